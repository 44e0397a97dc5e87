"""Arithmetic of probabilities that are kept a little away from 0 and 1, so that their logarithms are finite."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

#: The least probability that the log odds and the log loss take at its word.
LEAST = 1e-6


def log_odds(probabilities: np.ndarray, least: float = LEAST) -> np.ndarray:
    """Of probabilities, clipped to ``least`` ... 1 - ``least``."""
    return logit(np.clip(probabilities, least, 1 - least))


def log_loss(labels: np.ndarray, probabilities: np.ndarray, least: float = LEAST) -> np.ndarray:
    """Negative log-likelihood of each label (n, k) bool under its probability, clipped likewise."""
    p = np.clip(probabilities, least, 1 - least)
    return -np.where(labels, np.log(p), np.log(1 - p))
