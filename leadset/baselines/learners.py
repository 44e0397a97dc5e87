"""Trained baselines as plain arrays: how they answer, and what is checked when they are read. No pickles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.special import expit

from leadset.utils.weights import read_arrays, write_arrays

# Deepest tree that is read; scikit-learn's and LightGBM's stay far below it.
DEEPEST = 64
_FLOAT, _INT = np.dtype(np.float64), np.dtype(np.int32)


class Learner(ABC):
    """Something that answers features (n, d) with probabilities (n, k); a frozen dataclass of arrays."""

    @abstractmethod
    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (n, d), in which what is not finite is missing, to probabilities (n, k).

        The answer for a recording is the same to the bit whichever others are beside it.
        """

    @abstractmethod
    def check(self, features: int, classes: int) -> None:
        """Raises a `ValueError` where the arrays do not fit so many features and classes, or make no sense."""

    def write(self, path: Path) -> None:
        """Writes the arrays, atomically."""
        write_arrays(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, path: Path, features: int, classes: int) -> Learner:
        """The inverse of `write`, of which nothing is run and nothing taken for granted.

        Raises:
            OSError: no such file.
            ValueError: it is damaged, or holds other arrays than expected.
        """
        arrays: Mapping[str, np.ndarray] = read_arrays(path)
        names = {field.name for field in fields(cls)}
        if arrays.keys() != names:
            raise ValueError(f"{path}: found {', '.join(sorted(arrays))}, expected {', '.join(sorted(names))}")
        for name, array in arrays.items():
            if array.dtype not in (_FLOAT, _INT) or not np.isfinite(array).all():
                raise ValueError(f"{path}: {name} of {array.dtype}, expected finite numbers, float64 or int32")
        learner = cls(**arrays)
        try:
            learner.check(features, classes)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return learner


def _expect(name: str, array: np.ndarray, dtype: np.dtype, *shape: int) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {dtype} {shape}")


def _filled(features: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Features in single precision, as trees were grown on, with what is missing filled."""
    features = np.asarray(features, dtype=np.float32)
    return np.where(np.isfinite(features), features, fill.astype(np.float32))


@dataclass(frozen=True)
class Perceptron(Learner):
    """A logistic regression, or a network with two hidden layers.

    Attributes:
        fill, mean, scale: (d,) of missing features; what is taken away from features, and what they are divided by.
        first, first_bias, second, second_bias: (d, h), (h,), (h, g), (g,) of the hidden layers; empty for a regression.
        weights, bias: (g, k) or (d, k), and (k,).
    """

    fill: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    first: np.ndarray
    first_bias: np.ndarray
    second: np.ndarray
    second_bias: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """See `Learner`."""
        scaled = (_filled(features, self.fill).astype(np.float64) - self.mean) / self.scale
        return np.array([expit(self._logits(row)) for row in scaled]).reshape(len(scaled), len(self.bias))

    def _logits(self, x: np.ndarray) -> np.ndarray:
        if self.first.size:
            x = np.maximum(x @ self.first + self.first_bias, 0)
            x = np.maximum(x @ self.second + self.second_bias, 0)
        return x @ self.weights + self.bias

    def check(self, features: int, classes: int) -> None:
        """See `Learner`."""
        for name in ("fill", "mean", "scale"):
            _expect(name, getattr(self, name), _FLOAT, features)
        if not (self.scale > 0).all():
            raise ValueError("scale has zeros or less, expected positive numbers")
        into = features
        if self.first.size:
            h, into = len(self.first_bias), len(self.second_bias)
            _expect("first", self.first, _FLOAT, features, h)
            _expect("first_bias", self.first_bias, _FLOAT, h)
            _expect("second", self.second, _FLOAT, h, into)
            _expect("second_bias", self.second_bias, _FLOAT, into)
        _expect("weights", self.weights, _FLOAT, into, classes)
        _expect("bias", self.bias, _FLOAT, classes)


@dataclass(frozen=True)
class Trees(Learner):
    """A forest or boosted trees for each class: the sum of the leaves that a recording falls into.

    Attributes:
        fill: (d,) of missing features.
        feature, threshold, left, right, value: (m,) of all nodes: go left where the feature is at most the threshold;
            a leaf has -1 for both. Children come after their parent.
        roots, classes: (t,) first node and class of each tree, ordered by class.
        base: (k,) what the sum begins with.
        logistic: (1,) 1 where the sums are log odds, 0 where they are probabilities.
    """

    fill: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    classes: np.ndarray
    base: np.ndarray
    logistic: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """See `Learner`."""
        x = _filled(features, self.fill)
        at = np.tile(self.roots, (len(x), 1))
        rows = np.arange(len(x))[:, None]
        while (inner := self.left[at] >= 0).any():
            goes_left = x[rows, self.feature[at]] <= self.threshold[at]
            at = np.where(inner, np.where(goes_left, self.left[at], self.right[at]), at)
        total = np.tile(self.base, (len(x), 1))
        if len(self.roots):
            present, starts = np.unique(self.classes, return_index=True)
            total[:, present] += np.add.reduceat(self.value[at], starts, axis=1)
        return expit(total) if self.logistic[0] else np.clip(total, 0, 1)

    def check(self, features: int, classes: int) -> None:
        """See `Learner`."""
        m, t = self.value.size, self.roots.size
        _expect("fill", self.fill, _FLOAT, features)
        for name in ("feature", "threshold", "left", "right", "value"):
            _expect(name, getattr(self, name), _FLOAT if name in ("threshold", "value") else _INT, m)
        for name in ("roots", "classes"):
            _expect(name, getattr(self, name), _INT, t)
        _expect("base", self.base, _FLOAT, classes)
        _expect("logistic", self.logistic, _INT, 1)
        for name, array, size in (("feature", self.feature, features), ("roots", self.roots, m),
                                  ("classes", self.classes, classes)):
            if array.size and not (array.min() >= 0 and array.max() < size):
                raise ValueError(f"{name} has numbers beyond 0 to {size - 1}")
        if (np.diff(self.classes) < 0).any():
            raise ValueError("trees are not ordered by class")
        leaf, nodes = self.left < 0, np.arange(m)
        for child in (self.left, self.right):
            inside = np.where(leaf, child == -1, (child > nodes) & (child < m))
            if not inside.all():
                raise ValueError("a node has a child that does not come after it")
        self._check_depth()

    def _check_depth(self) -> None:
        level = np.unique(self.roots)
        for _ in range(DEEPEST):
            level = level[self.left[level] >= 0]
            if not level.size:
                return
            level = np.unique(np.concatenate([self.left[level], self.right[level]]))
        raise ValueError(f"a tree is deeper than {DEEPEST}")

