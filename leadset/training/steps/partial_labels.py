"""Losses and scores of targets that are partly unknown: 1, 0, or NaN, which has no say in any of them.

Where everything is known they are the usual ones, to the bit.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from leadset.scoring.metrics import auroc


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits (b, k) over the targets (b, k) that are known; 0 where none is."""
    known = ~torch.isnan(targets)
    # Weights whose mean is 1, so that the mean over all entries is the one over those that are known.
    weights = known * (known.numel() / known.sum().clamp(min=1))
    return F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), weight=weights)


def log_loss(targets: np.ndarray, probabilities: np.ndarray, least: float) -> np.ndarray:
    """Negative log-likelihood (n, k) of targets under probabilities kept ``least`` away from 0 and 1; unknown: 0."""
    p = np.clip(probabilities, least, 1 - least)
    return np.where(np.isnan(targets), 0.0, -np.where(targets == 1, np.log(p), np.log(1 - p)))


def mean_of_known(values: np.ndarray, targets: np.ndarray) -> float:
    """Mean of values (n, k) where the target is known; NaN where none is."""
    return float(values[~np.isnan(targets)].mean())


def known_auroc(targets: np.ndarray, scalars: np.ndarray) -> np.ndarray:
    """AUROC (k,) of each class over the recordings where it is known; NaN without both kinds of them."""
    areas = np.full(targets.shape[1], np.nan)
    for k, known in enumerate(~np.isnan(targets).T):
        if known.any():
            areas[k] = auroc(targets[known, k, None] == 1, scalars[known, k, None])[0]
    return areas


def shares(targets: np.ndarray) -> np.ndarray:
    """Share (k,) of the recordings that have each class among those where it is known; 0 where it never is."""
    known = ~np.isnan(targets)
    return np.where(known, targets, 0).sum(axis=0, dtype=float) / np.maximum(known.sum(axis=0), 1)
