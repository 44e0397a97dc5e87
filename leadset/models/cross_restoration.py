"""Multi-scale cross-restoration: a network that restores masked recordings, of Jiang et al. (MICCAI 2023).

It learns from normal recordings alone; what it restores badly is not normal. Masks, losses, scores and training are in
`leadset.anomaly`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from leadset.models.layers.folded import FoldedStack
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
#: What the latents of a recording are asked for with ``attributes=True``; years, 1 for male, 1/min, then seconds.
ATTRIBUTES: tuple[str, ...] = ("age", "sex", "rate", "pr_interval", "qt_interval", "qtc", "qrs_duration")


class Latents(NamedTuple):
    """Latents of recordings (b, f, n), of heartbeats (b, f, 1) and of trends (b, f, n)."""

    record: Tensor
    beat: Tensor
    trend: Tensor


class Restored(NamedTuple):
    """What a decoder gives: signals (b, l, t) and their log-variance (b, 1, t)."""

    signal: Tensor
    log_variance: Tensor


class Restoration(NamedTuple):
    """Restored recordings and heartbeats with log-variances, and recordings (b, l, t) restored with their trend.

    ``attributes`` (b, 7) are those of a network that has them, scaled as in `leadset.anomaly.attributes`, else None.
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
    """Signals (b, c, t) to latents (b, z, t/32 - 14): five convolutions of stride 2, one of width 15."""

    def __init__(self, channels_in: int, width: int, latent: int) -> None:
        layers: list[nn.Module] = [nn.Conv1d(channels_in, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for _ in range(_HALVINGS - 1):
            layers.append(nn.Conv1d(width, 2 * width, 4, 2, 1, bias=False))
            width *= 2
            layers += [nn.BatchNorm1d(width), nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv1d(width, latent, _LAST_KERNEL, bias=False))


class Decoder(nn.Sequential):
    """Latents (b, z, n) to signals (b, c, 32 (n + 14)) in -1 ... 1: the encoder backwards."""

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


class UnbiasedLayerNorm(nn.Module):
    """Layer normalisation by the unbiased standard deviation, with epsilon added outside the root."""

    def __init__(self, features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features)), eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., f) to the same shape."""
        centred = x - x.mean(-1, keepdim=True)
        deviation = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / (x.shape[-1] - 1) ** 0.5
        return self.weight * centred / (deviation + self.eps) + self.bias


class CrossAttention(nn.Module):
    """Mixes the latents of a recording and a heartbeat: attention over all tokens, then an MLP along them for each."""

    def __init__(self, features: int, tokens: int, heads: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(features, heads, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.norm = UnbiasedLayerNorm(features)
        self.beat_mlp, self.record_mlp = (
            nn.Sequential(nn.Linear(tokens, wide), nn.ReLU(inplace=True), nn.Linear(wide, told))
            for wide, told in ((2 * tokens, 1), (4 * tokens, tokens - 1))
        )

    def forward(self, record: Tensor, beat: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (b, f, n) and (b, f, 1) to the same shapes; what is added to them knows of both."""
        tokens = torch.cat([record, beat], dim=2).transpose(1, 2)
        attended = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        mixed = self.norm(tokens + self.dropout(attended)).transpose(1, 2)
        return record + self.record_mlp(mixed), beat + self.beat_mlp(mixed)

    def mean_over_beats(self, record: Tensor, beats: Tensor) -> tuple[Tensor, Tensor]:
        """`forward` of recordings with each of k heartbeats, as in evaluation mode, at a fraction of its cost.

        What the tokens of a recording have to do with each other is the same beside every heartbeat: one key more draws
        the mean of a softmax towards its own value, by the sigmoid of what its score has over all others together. And
        the last layer of a perceptron, being linear, may be asked once, for the mean.

        Args:
            record: latents (b, f, n).
            beats: latents (k, b, f, 1).

        Returns:
            Fused latents (b, f, n), averaged over heartbeats, and (k, b, f, 1).
        """
        tokens, token = record.transpose(1, 2), beats.transpose(2, 3)
        queries, keys, values = self._projected(tokens)
        query, key, value = self._projected(token)

        def attend(queries: Tensor) -> Tensor:
            scores = queries @ keys.transpose(-1, -2)
            over = (queries * key).sum(-1, keepdim=True) - scores.logsumexp(-1, keepdim=True)
            return torch.lerp(scores.softmax(-1) @ values, value, over.sigmoid())

        attended = torch.cat([attend(queries), attend(query)], dim=-2)  # (k, b, heads, n + 1, f / heads)
        attended = self.attention.out_proj(attended.transpose(2, 3).flatten(3))
        everything = torch.cat([tokens.expand(len(beats), -1, -1, -1), token], dim=2)
        mixed = self.norm(everything + attended).transpose(2, 3).contiguous()
        hidden = self.record_mlp[:-1](mixed).mean(0)
        return record + self.record_mlp[-1](hidden), beats + self.beat_mlp(mixed)

    def _projected(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled queries, keys and values (..., heads, t, f / heads) of tokens (..., t, f)."""
        heads, features = self.attention.num_heads, self.attention.head_dim
        projected = functional.linear(tokens, self.attention.in_proj_weight, self.attention.in_proj_bias)
        queries, keys, values = projected.unflatten(-1, (3, heads, features)).transpose(-2, -4).unbind(-3)
        return queries / features**0.5, keys, values


@register_model(
    "cross_restoration",
    title="Multi-scale cross-restoration",
    citation="Jiang, Meng, Liu, Lu, Liu, Wang: Multi-scale Cross-restoration Framework for Electrocardiogram Anomaly "
    "Detection. MICCAI 2023, LNCS 14225, doi 10.1007/978-3-031-43907-0_9",
    kind="restorer",
    reduced={"width": 2, "latent": 4},
)
class CrossRestoration(nn.Module):
    """Three autoencoders, of a masked recording, of one of its heartbeats, masked too, and of its trend.

    Departs from the published code: the log-variance may leave -1 ... 1 (``log_variance="published"`` keeps it there),
    and constant or padded signals have a trend instead of NaN.

    Args:
        leads: lead names; only their number matters to the network.
        width: channels of the first layer (32 as published; each of the next four doubles them).
        latent: features of a token (50 as published).
        record_samples: length of a recording, a multiple of 32.
        log_variance: a name out of `LOG_VARIANCE_RANGES`.
        attributes: whether `ATTRIBUTES` and classes are read off the latents (arXiv 2408.17154), which takes 19 million
            parameters more at the published size.
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
        self.has_attributes = attributes
        if attributes:
            if classes is None:
                raise ValueError("attributes=True: found no number of classes, expected classes=")
            self.attribute_regressor = AttributeRegressor(2 * latent, tokens - 1, len(ATTRIBUTES))
            self.class_head = ClassHead(2 * latent, classes)

    @property
    def learning_apart(self) -> tuple[list[nn.Parameter], ...]:
        """Parameters that share a loss: the restorer, and the class head where there is one."""
        apart = [[], []]
        for name, parameter in self.named_parameters():
            apart[name.startswith("class_head.")].append(parameter)
        return tuple(parameters for parameters in apart if parameters)

    def folded(self) -> CrossRestoration:
        """A copy to score with, whose answers in evaluation mode are the same but for rounding and take less time."""
        copy = deepcopy(self).eval()
        for name, part in copy.named_children():
            if isinstance(part, Encoder | Decoder):
                setattr(copy, name, FoldedStack(part, parts=2 if part is copy.trend_decoder else 1))
        return copy

    def encode(self, record: Tensor, beat: Tensor, trend: Tensor) -> Latents:
        """Latents before they know of each other; the three may have batches of different size."""
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
        """Logits (b, k) of the same latents, which learn nothing from them: what has a class need not be normal."""
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
