"""What a classifier minimises: losses of logits (b, k) and targets (b, k), 1, 0, or NaN where unknown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from leadset.training.steps.partial_labels import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]

# Of the focal loss (Lin et al., ICCV 2017, section 3): weight of positives, and power of what is left to learn.
_ALPHA, _GAMMA = 0.25, 2.0
# Of the asymmetric loss (Ridnik et al., ICCV 2021, section 2): powers for positives and negatives, and how far the
# probability of a negative is shifted down.
_POSITIVE_POWER, _NEGATIVE_POWER, _MARGIN = 1.0, 4.0, 0.05
_LEAST = 1e-8


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean focal loss over the targets that are known."""
    y = targets.nan_to_num()
    right = torch.sigmoid(torch.where(y > 0, logits, -logits))
    weight = torch.where(y > 0, _ALPHA, 1 - _ALPHA) * (1 - right) ** _GAMMA
    return _mean_of_known(weight * F.binary_cross_entropy_with_logits(logits, y, reduction="none"), targets)


def asymmetric(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean asymmetric loss over the targets that are known."""
    y, p = targets.nan_to_num(), torch.sigmoid(logits)
    shifted = (p - _MARGIN).clamp(min=0)
    positive = (1 - p) ** _POSITIVE_POWER * p.clamp(min=_LEAST).log()
    negative = shifted**_NEGATIVE_POWER * (1 - shifted).clamp(min=_LEAST).log()
    return _mean_of_known(-(y * positive + (1 - y) * negative), targets)


def _mean_of_known(values: Tensor, targets: Tensor) -> Tensor:
    known = ~torch.isnan(targets)
    return (values * known).sum() / known.sum().clamp(min=1)


#: By name: the losses of the configuration.
LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "focal": focal, "asymmetric": asymmetric}
