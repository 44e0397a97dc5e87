"""Fitting a `Calibration`: a line for each class, drawn towards one for all classes where positives are few."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from leadset.entry.calibration import Calibration
from leadset.utils.probabilities import log_odds

#: How far a class's slope (in its logarithm) and its intercept usually lie from those of all classes together: with few
#: positives a class stays near them, with some dozens its own recordings decide (`benchmarks/calibration.csv`).
SLOPE_SD, INTERCEPT_SD = 0.15, 0.6


def fit_calibration(probabilities: np.ndarray, targets: np.ndarray, provenance: dict[str, Any]) -> Calibration:
    """The calibration of probabilities that did not see the targets.

    Args:
        probabilities: (n, k).
        targets: (n, k), 1 or 0; NaN where nobody knows.
        provenance: what they are, as plain values.
    """
    scores = log_odds(probabilities)
    known = ~np.isnan(targets)
    common = _fit_line(scores[known], targets[known], np.zeros(2), (1.0, 10.0))
    lines = np.array([
        _fit_line(scores[known[:, k], k], targets[known[:, k], k], common, (SLOPE_SD, INTERCEPT_SD))
        for k in range(targets.shape[1])
    ])
    return Calibration(np.exp(lines[:, 0]), lines[:, 1], provenance)


def _fit_line(scores: np.ndarray, targets: np.ndarray, centre: np.ndarray, sds: tuple[float, float]) -> np.ndarray:
    """Logarithm of the slope, and intercept, of highest posterior probability under normal priors."""
    precision = 1 / np.square(sds)

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(line[0])
        z = slope * scores + line[1]
        error = expit(z) - targets
        away = line - centre
        value = (np.logaddexp(0, z) - targets * z).sum() + (precision * away**2).sum() / 2
        return value, np.array([(error * slope * scores).sum(), error.sum()]) + precision * away

    return minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=[(-3, 3), (-30, 30)]).x
