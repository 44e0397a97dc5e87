"""From what the reconstruction model says to classes: a small logistic regression on the features of an anomaly score.

It is fitted on recordings that no network was trained on, one regression for each class and one for "not plain sinus
rhythm", which makes it a calibrated probability of an anomaly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import expit

from leadset.utils.probabilities import log_odds
from leadset.utils.weights import read_arrays, write_arrays

# Pull of all weights towards zero, as if by so many recordings: few recordings must not be learnt by heart.
RIDGE = 30.0
# Shares of classes are kept this far from 0 and 1: none is impossible, none certain.
_LEAST_SHARE = 1e-3
# Standardised features count no further than this: nothing far from what the head was fitted on moves it more.
_FURTHEST = 3.0
# Bytes that a safetensors file takes beside its numbers.
_OVERHEAD = 4096
_NAMES = ("centre", "scale", "weights", "bias")


@dataclass(frozen=True)
class Head:
    """Logistic regressions on standardised features (d,): abnormality first, then the k classes.

    Attributes:
        centre, scale: (d,) of the features.
        weights: (1 + k, d).
        bias: (1 + k,).
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (n, d) to probabilities (n, 1 + k), abnormality first; NaN where a feature is not finite."""
        # Summed by row: a matrix product may differ in the last bit with the number of recordings.
        rows = self._standardised(features)
        return np.stack([expit((self.weights * row).sum(axis=1) + self.bias) for row in rows])

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        return np.clip((features - self.centre) / self.scale, -_FURTHEST, _FURTHEST)

    def write(self, path: Path) -> None:
        """Writes a safetensors file, atomically."""
        write_arrays(path, {name: getattr(self, name) for name in _NAMES})

    @classmethod
    def read(cls, path: Path, n_features: int, n_classes: int) -> Head:
        """The inverse of `write`.

        Raises:
            OSError: no such file.
            ValueError: not a head for so many features and classes, or one that is not finite.
        """
        d, k = n_features, 1 + n_classes
        shapes = {"centre": (d,), "scale": (d,), "weights": (k, d), "bias": (k,)}
        largest = 8 * sum(int(np.prod(shape)) for shape in shapes.values()) + _OVERHEAD
        if path.stat().st_size > largest:
            raise ValueError(f"{path}: {path.stat().st_size} bytes, expected no more than {largest}")
        try:
            tensors = read_arrays(path)
        except ValueError as error:
            raise ValueError(f"{path}: not the head of a detector: {error}") from None
        contents = {name: (tensor.shape, str(tensor.dtype)) for name, tensor in tensors.items()}
        expected = {name: (shape, "float64") for name, shape in shapes.items()}
        if contents != expected:
            raise ValueError(f"{path}: found {contents}, expected {expected}")
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()) or not (tensors["scale"] > 0).all():
            raise ValueError(f"{path}: expected finite numbers and positive scales")
        return cls(**tensors)


def fit_head(features: np.ndarray, targets: np.ndarray, shares: np.ndarray) -> Head:
    """Fits a head by penalised maximum likelihood.

    A recording with the mean features gets the shares. Those of the recordings that the head is fitted on would not do:
    few as they are, what is frequent in one fold is rare in the others, and out of fold even noise seems to mislead.

    Args:
        features: (n, d); recordings with a feature that is not finite are left out.
        targets: (n, 1 + k), anything but plain sinus rhythm and the classes: 1, 0, or NaN where unknown, which has no
            say.
        shares: (1 + k,) of them in the training recordings.
    """
    from scipy.optimize import minimize

    scored = np.isfinite(features).all(axis=1)
    targets, x = targets[scored].astype(float), features[scored].astype(float)
    known, targets = ~np.isnan(targets), np.nan_to_num(targets)
    n, d, k = len(x), features.shape[1], targets.shape[1]
    prior = log_odds(shares, _LEAST_SHARE)
    centre = x.mean(axis=0) if n else np.zeros(d)
    spread = x.std(axis=0) if n else np.zeros(d)
    head = Head(centre, np.where(spread > 0, spread, 1.0), np.zeros((k, d)), prior)
    if not n:
        return head
    x = head._standardised(x)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        w = parameters.reshape(k, d)
        z = x @ w.T + prior
        value = (known * np.logaddexp(0, z)).sum() - (targets * z).sum() + RIDGE / 2 * (w**2).sum()
        return value / n, ((known * expit(z) - targets).T @ x + RIDGE * w).ravel() / n

    weights = minimize(loss, np.zeros(k * d), jac=True, method="L-BFGS-B").x.reshape(k, d)
    return replace(head, weights=weights)


def cross_fit(features: np.ndarray, targets: np.ndarray, shares: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Probabilities (n, 1 + k) of every recording by a head that was fitted on the other parts; ``parts`` (n,)."""
    probabilities = np.empty(targets.shape)
    for part in np.unique(parts):
        out = parts == part
        probabilities[out] = fit_head(features[~out], targets[~out], shares)(features[out])
    return probabilities


def fill_with_prior(probabilities: np.ndarray, prior: Sequence[float]) -> np.ndarray:
    """Probabilities (n, k) with the prior (k,) for recordings that could not be scored."""
    return np.where(np.isfinite(probabilities), probabilities, prior)
