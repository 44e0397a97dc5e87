"""The losses that teach a network to reconstruct what is hidden from it (Jiang et al. 2023, section 2.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from leadset.anomaly.attributes import asymmetric_loss, attribute_loss
from leadset.models.cross_restoration import CrossRestoration, Restoration, Restored, trend_of


class MaskedBatch(NamedTuple):
    """Recordings and one heartbeat of each, with what is hidden of them.

    Attributes:
        record: (b, l, t) in -1 ... 1.
        beat: (b, l, 480) likewise.
        hidden, hidden_beat: (b, t) and (b, 480) bool.
        recorded: (b, t) bool, False where a recording is padding; None: nowhere.
        targets: (b, d) of a network that reads off attributes or classes, else None.
        present: (b, l) bool, False where a recording lacks a lead, which is zero; None: nowhere.
    """

    record: Tensor
    beat: Tensor
    hidden: Tensor
    hidden_beat: Tensor
    recorded: Tensor | None
    targets: Tensor | None = None
    present: Tensor | None = None


def weighted_error(restored: Restored, target: Tensor) -> Tensor:
    """Squared errors (b, l, t) divided by the variance that the network expects there."""
    return torch.exp(-restored.log_variance) * (restored.signal - target).square()


def mean_recorded(values: Tensor, recorded: Tensor | None, present: Tensor | None = None) -> Tensor:
    """Mean over values (b, c, t) at recorded samples (b, t) of present channels (b, c); None: all of them."""
    if present is not None:
        known = present.unsqueeze(2) & torch.ones_like(values, dtype=torch.bool)
        known = known if recorded is None else known & recorded.unsqueeze(1)
        return (values * known).sum() / known.sum().clamp(min=1)
    if recorded is None:
        return values.mean()
    return (values * recorded.unsqueeze(1)).sum() / (recorded.sum() * values.shape[1]).clamp(min=1)


def restoration_loss(
    restoration: Restoration,
    record: Tensor,
    beat: Tensor,
    recorded: Tensor | None = None,
    present: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood of record and beat, up to constants and factors, plus the squared error of the trend.

    Args:
        restoration: of the network.
        record: (b, l, t) unmasked.
        beat: (b, l, 480) unmasked.
        recorded: (b, t) False where the recording is padding.
        present: (b, l) False where it lacks a lead.
    """
    return (
        mean_recorded(weighted_error(restoration.record, record), recorded, present)
        + mean_recorded(restoration.record.log_variance, recorded)
        + mean_recorded(weighted_error(restoration.beat, beat), None, present)
        + restoration.beat.log_variance.mean()
        + mean_recorded((restoration.trend - record).square(), recorded, present)
    )


def normal_loss(model: CrossRestoration, batch: MaskedBatch) -> Tensor:
    """Loss of reconstructing masked normal recordings, and of their attributes where they are among the targets."""
    record, beat, hidden, hidden_beat, recorded, attributes, present = batch
    trend = trend_of(record, recorded)
    if present is not None:  # a lead without a signal has none, as in the network of the others
        trend = trend * present.unsqueeze(2)
    restoration = model(record * ~hidden.unsqueeze(1), beat * ~hidden_beat.unsqueeze(1), trend)
    loss = restoration_loss(restoration, record, beat, recorded, present)
    return loss if attributes is None else loss + attribute_loss(restoration.attributes, attributes)


def class_loss(model: CrossRestoration, batch: MaskedBatch) -> Tensor:
    """Loss of the classes of whole recordings, normal or not, from which nothing but the class head learns.

    Running statistics stay those of normal recordings; the network is left in training mode.
    """
    with torch.no_grad():
        model.eval()
        latents = model.encode(batch.record, batch.beat, trend_of(batch.record, batch.recorded))
        fused, _ = model.cross_attention(latents.record, latents.beat)
        model.train()
    return asymmetric_loss(model.classify(fused, latents.trend).float(), batch.targets)
