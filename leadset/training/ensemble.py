"""Weights of the members of an ensemble, fitted on validation recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

# Pull of the weights towards equality, in recordings: a small validation set must not pick one member by chance.
_EQUALITY = 5.0


def fit_weights(probabilities: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Non-negative weights that sum to 1 and minimise the log loss of the weighted mean of the members.

    Args:
        probabilities: one (n, k) array per member.
        labels: (n, k) bool.
    """
    members = np.clip(np.stack(probabilities), 1e-6, 1 - 1e-6)
    if len(members) == 1:
        return np.ones(1)

    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max())
        return e / e.sum()

    def loss(z: np.ndarray) -> float:
        w = softmax(z)
        p = np.tensordot(w, members, axes=1)
        per_recording = -np.where(labels, np.log(p), np.log(1 - p)).sum(axis=1)
        return per_recording.mean() - _EQUALITY / len(labels) * np.log(w * len(w)).mean()

    return softmax(minimize(loss, np.zeros(len(members)), method="L-BFGS-B").x)
