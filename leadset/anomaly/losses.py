"""The loss that teaches restoring (Jiang et al. 2023, section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from leadset.models.cross_restoration import Restoration, Restored


def weighted_error(restored: Restored, target: Tensor) -> Tensor:
    """Squared errors (b, l, t) divided by the variance that the network expects there."""
    return torch.exp(-restored.log_variance) * (restored.signal - target).square()


def mean_recorded(values: Tensor, recorded: Tensor | None) -> Tensor:
    """Mean over values (b, c, t) at recorded samples (b, t); None: all of them."""
    if recorded is None:
        return values.mean()
    return (values * recorded.unsqueeze(1)).sum() / (recorded.sum() * values.shape[1]).clamp(min=1)


def restoration_loss(
    restoration: Restoration, record: Tensor, beat: Tensor, recorded: Tensor | None = None
) -> Tensor:
    """Negative log-likelihood of record and beat, up to constants and factors, plus the squared error of the trend.

    Args:
        restoration: of the network.
        record: (b, l, t) unmasked.
        beat: (b, l, 480) unmasked.
        recorded: (b, t) False where the recording is padding.
    """
    return (
        mean_recorded(weighted_error(restoration.record, record), recorded)
        + mean_recorded(restoration.record.log_variance, recorded)
        + weighted_error(restoration.beat, beat).mean()
        + restoration.beat.log_variance.mean()
        + mean_recorded((restoration.trend - record).square(), recorded)
    )
