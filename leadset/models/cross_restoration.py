"""Multi-scale cross-restoration of Jiang et al. (MICCAI 2023): a model that reconstructs masked recordings.

Trained on normal recordings alone, it reconstructs badly what is abnormal. Masks, losses and scores are in
`leadset.anomaly`.

Shapes: b recordings, l leads, t samples, f features, n tokens of a latent, k classes.
"""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from leadset.models.layers.cross_attention import CrossAttention
from leadset.models.layers.fast.folded import FoldedStack
from leadset.models.layers.latent_heads import AttributeRegressor, ClassHead
from leadset.models.layers.options import one_of
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform

RATE = 500
#: Samples of a recording and of a heartbeat; of a beat's samples, those before its R peak.
RECORD_SAMPLES, BEAT_SAMPLES, BEFORE_R = 4800, 480, 140
# Five halvings and a last kernel of 15 lie between a signal and its latent.
_HALVINGS, _LAST_KERNEL = 5, 15
_TREND_REACH = 5
#: Ranges of the log-variance: what a tanh allows, and one in which errors far below the signal's range still count.
LOG_VARIANCE_RANGES: dict[str, tuple[float, float]] = {"published": (-1.0, 1.0), "wide": (-6.0, 3.0)}
#: What is predicted from the latents with ``attributes=True``: years, 1 for male, 1/min, then seconds.
ATTRIBUTES: tuple[str, ...] = ("age", "sex", "rate", "pr_interval", "qt_interval", "qtc", "qrs_duration")


class Latents(NamedTuple):
    """Latents of recordings (b, f, n), of heartbeats (b, f, 1) and of trends (b, f, n)."""

    record: Tensor
    beat: Tensor
    trend: Tensor


class Restored(NamedTuple):
    """Output of a decoder: signals (b, l, t) and their log-variance (b, 1, t)."""

    signal: Tensor
    log_variance: Tensor


class Restoration(NamedTuple):
    """Restored recordings and heartbeats with log-variances, and recordings (b, l, t) restored with their trend.

    ``attributes`` (b, 7), scaled as in `leadset.anomaly.attributes`, are None in a model without them.
    """

    record: Restored
    beat: Restored
    trend: Tensor
    attributes: Tensor | None = None


def trend_of(record: Tensor, mask: Tensor | None = None) -> Tensor:
    """The trend of recordings (b, l, t): a moving average of 10 samples, differenced, scaled to -1 ... 1.

    Each recording has one scale for all its leads. The difference is zero in the first and last five samples, where it
    would reach beyond what was recorded (``mask`` (b, t) bool), and everywhere in a constant recording, which stays 0.
    """
    reach = _TREND_REACH
    difference = torch.zeros_like(record)
    difference[..., reach:-reach] = (record[..., 2 * reach :] - record[..., : -2 * reach]) / (2 * reach)
    if mask is not None:
        known = torch.zeros_like(mask)
        known[:, reach:-reach] = mask[:, 2 * reach :] & mask[:, : -2 * reach]
        difference = difference * known.unsqueeze(1)
    low = difference.amin((1, 2), keepdim=True)
    span = difference.amax((1, 2), keepdim=True) - low
    return torch.where(span > 0, 2 * (difference - low) / span.clamp(min=1e-12) - 1, torch.zeros_like(difference))


class Encoder(nn.Sequential):
    """Signals (b, l, t) to latents (b, f, t/32 - 14): five convolutions of stride 2, one of width 15."""

    def __init__(self, channels_in: int, width: int, latent: int) -> None:
        layers: list[nn.Module] = [nn.Conv1d(channels_in, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for _ in range(_HALVINGS - 1):
            layers.append(nn.Conv1d(width, 2 * width, 4, 2, 1, bias=False))
            width *= 2
            layers += [nn.BatchNorm1d(width), nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv1d(width, latent, _LAST_KERNEL, bias=False))


class Decoder(nn.Sequential):
    """Latents (b, f, n) to signals (b, l, 32 (n + 14)) in -1 ... 1: the layers of the encoder in reverse."""

    def __init__(self, latent: int, width: int, channels_out: int) -> None:
        width *= 2 ** (_HALVINGS - 1)
        layers: list[nn.Module] = [
            nn.ConvTranspose1d(latent, width, _LAST_KERNEL, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True)
        ]  # fmt: skip
        for _ in range(_HALVINGS - 1):
            layers.append(nn.ConvTranspose1d(width, width // 2, 4, 2, 1, bias=False))
            width //= 2
            layers += [nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.ConvTranspose1d(width, channels_out, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, *latents: Tensor) -> Tensor:
        """Latents whose features are in one or more parts; those behind the first may have a batch of one for all."""
        return super().forward(torch.cat([part.expand(len(latents[0]), -1, -1) for part in latents], dim=1))


@register_model(
    "cross_restoration",
    title="Multi-scale cross-restoration",
    citation="Jiang, Meng, Liu, Lu, Liu, Wang: Multi-scale Cross-restoration Framework for Electrocardiogram Anomaly "
    "Detection. MICCAI 2023, LNCS 14225, doi 10.1007/978-3-031-43907-0_9",
    after="Jiang et al., MICCAI 2023",
    url="https://doi.org/10.1007/978-3-031-43907-0_9",
    kind="reconstruction",
    reduced={"width": 2, "latent": 4},
)
class CrossRestoration(nn.Module):
    """Three autoencoders: of a masked recording, of one of its heartbeats, also masked, and of its trend.

    A cross-attention mixes the latents of recording and heartbeat before they are decoded.

    Departs from the published code: the log-variance may leave -1 ... 1 (``log_variance="published"`` keeps it there),
    and constant or padded signals have a trend instead of NaN.

    Args:
        leads: lead names; only their number matters to the network.
        width: channels of the first layer (32 as published; each of the next four doubles them).
        latent: features of a token (50 as published).
        record_samples: length of a recording, a multiple of 32.
        log_variance: a name out of `LOG_VARIANCE_RANGES`.
        attributes: also predict `ATTRIBUTES` and classes from the latents (arXiv 2408.17154), with 19 million more
            parameters at the published size.
        classes: how many classes (116 as published), which goes with ``attributes``.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        *,
        width: int = 32,
        latent: int = 50,
        record_samples: int = RECORD_SAMPLES,
        log_variance: str = "wide",
        attributes: bool = False,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        low, high = LOG_VARIANCE_RANGES[one_of("log_variance", log_variance, LOG_VARIANCE_RANGES)]
        if record_samples % 2**_HALVINGS or record_samples <= BEAT_SAMPLES or latent % 2:
            raise ValueError(
                f"record_samples={record_samples}, latent={latent}: expected a multiple of 32 above {BEAT_SAMPLES} "
                "and an even number"
            )
        if classes is not None and not attributes:
            raise ValueError(f"classes={classes} without attributes: expected none, as only attributes have classes")
        self.leads, self.beat_samples = tuple(leads), BEAT_SAMPLES
        self._middle, self._half_range = (low + high) / 2, (high - low) / 2
        transform = Transform(RATE, "restoration")
        self.input_spec = InputSpec(transform, record_samples, "range", extra={"reliable_beats": True})
        n = len(leads)
        self.record_encoder, self.beat_encoder, self.trend_encoder = (Encoder(n, width, latent) for _ in range(3))
        tokens = record_samples // 2**_HALVINGS - _LAST_KERNEL + 2
        self.cross_attention = CrossAttention(latent, tokens)
        self.record_decoder, self.beat_decoder = (Decoder(latent, width, n + 1) for _ in range(2))
        self.trend_decoder = Decoder(2 * latent, width, n)
        encoders = {f"{name}_encoder.0.weight": 1 for name in ("record", "beat", "trend")}
        decoders = {f"{name}_decoder.{len(self.record_decoder) - 2}.weight": 1 for name in ("record", "beat", "trend")}
        self.lead_axes = encoders | decoders
        self.has_attributes = attributes
        if attributes:
            if classes is None:
                raise ValueError("attributes=True: found no number of classes, expected classes=")
            self.attribute_regressor = AttributeRegressor(2 * latent, tokens - 1, len(ATTRIBUTES))
            self.class_head = ClassHead(2 * latent, classes)

    @property
    def learning_apart(self) -> tuple[list[nn.Parameter], ...]:
        """Parameters that share a loss: those of the reconstruction, and those of the class head where there is one."""
        apart = [[], []]
        for name, parameter in self.named_parameters():
            apart[name.startswith("class_head.")].append(parameter)
        return tuple(parameters for parameters in apart if parameters)

    def folded(self) -> CrossRestoration:
        """A faster copy for scoring: in evaluation mode its outputs are the same up to rounding."""
        copy = deepcopy(self).eval()
        for name, part in copy.named_children():
            if isinstance(part, Encoder | Decoder):
                setattr(copy, name, FoldedStack(part, parts=2 if part is copy.trend_decoder else 1))
        return copy

    def encode(self, record: Tensor, beat: Tensor, trend: Tensor) -> Latents:
        """Latents before the cross-attention; the three batches may differ in size."""
        return Latents(self.record_encoder(record), self.beat_encoder(beat), self.trend_encoder(trend))

    def decode_record(self, latent: Tensor) -> Restored:
        """Fused latents (b, f, n) of recordings to signals with log-variance."""
        return self._with_variance(self.record_decoder(latent))

    def decode_beat(self, latent: Tensor) -> Restored:
        """Fused latents (b, f, 1) of heartbeats to signals with log-variance."""
        return self._with_variance(self.beat_decoder(latent))

    def decode_trend(self, record: Tensor, trend: Tensor) -> Tensor:
        """Fused latents of recordings and latents of their trends, or the one trend of all, to signals (b, l, t)."""
        return self.trend_decoder(record, trend)

    def regress(self, record: Tensor, trend: Tensor) -> Tensor:
        """`ATTRIBUTES` (b, 7) of fused latents of recordings and latents of their trends, both (b, f, n)."""
        return self.attribute_regressor(torch.cat([record, trend], dim=1))

    def classify(self, record: Tensor, trend: Tensor) -> Tensor:
        """Logits (b, k) of the same latents, without gradient to them: recordings with a class need not be normal."""
        return self.class_head(torch.cat([record, trend], dim=1).detach())

    def _with_variance(self, decoded: Tensor) -> Restored:
        return Restored(decoded[:, :-1], self._middle + self._half_range * decoded[:, -1:])

    def forward(self, record: Tensor, beat: Tensor, trend: Tensor) -> Restoration:
        """Restores recordings.

        Args:
            record: (b, l, record_samples) in -1 ... 1, masked samples zero.
            beat: (b, l, 480) one heartbeat of each, R peak at sample 140, masked samples zero.
            trend: (b, l, record_samples) of the unmasked recording, see `trend_of`.
        """
        latents = self.encode(record, beat, trend)
        fused_record, fused_beat = self.cross_attention(latents.record, latents.beat)
        return Restoration(
            self.decode_record(fused_record),
            self.decode_beat(fused_beat),
            self.decode_trend(fused_record, latents.trend),
            self.regress(fused_record, latents.trend) if self.has_attributes else None,
        )
