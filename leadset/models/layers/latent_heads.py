"""Heads on the latents of a reconstruction model: attributes of the patient and the heart, and classes.

After the later release of the ECGAD code (Jiang et al., arXiv 2408.17154); the class head is the one-dimensional
residual network of Hong et al. (2020).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_KERNEL, _GROUPS, _DROPOUT = 16, 32, 0.5
_BLOCKS, _FIRST_WIDTH = 16, 128
#: Blocks that halve the time axis, and the one that doubles the channels.
_HALVING, _WIDENING = (1, 7, 13), 12


class AttributeRegressor(nn.Sequential):
    """Latents (b, f, n) to attributes (b, a) through hidden layers a tenth and a hundredth as wide, or a.
    """

    def __init__(self, features: int, tokens: int, attributes: int) -> None:
        size = features * tokens
        wide, narrow = (max(size // share, attributes) for share in (10, 100))
        super().__init__(
            nn.Flatten(), nn.Linear(size, wide), nn.ReLU(), nn.Linear(wide, narrow), nn.ReLU(),
            nn.Linear(narrow, attributes),
        )  # fmt: skip


class _SameConv(nn.Conv1d):
    """A convolution of width 16 that keeps the time axis, or halves it (rounded up)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, _KERNEL, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        stride, time = self.stride[0], x.shape[2]
        padding = max((-(-time // stride) - 1) * stride + _KERNEL - time, 0)
        return super().forward(F.pad(x, (padding // 2, padding - padding // 2)))


class _Block(nn.Module):
    """Two normalised, activated convolutions beside an identity, which is pooled and filled up with empty channels."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.stride, self.missing = stride, channels_out - channels_in
        self.residual = nn.Sequential(
            nn.BatchNorm1d(channels_in), nn.ReLU(), nn.Dropout(_DROPOUT),
            _SameConv(channels_in, channels_out, stride, _GROUPS),
            nn.BatchNorm1d(channels_out), nn.ReLU(), nn.Dropout(_DROPOUT),
            _SameConv(channels_out, channels_out, groups=_GROUPS),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        identity = F.max_pool1d(x, self.stride, ceil_mode=True) if self.stride > 1 else x
        return self.residual(x) + F.pad(identity, (0, 0, self.missing // 2, self.missing - self.missing // 2))


class ClassHead(nn.Sequential):
    """Latents (b, f, n) to logits (b, k): sixteen residual blocks of grouped convolutions, mean over time.

    Departs from the published code, whose first block has a normalisation that it does not apply: here it applies it.
    """

    def __init__(self, features: int, classes: int) -> None:
        width = _FIRST_WIDTH
        layers: list[nn.Module] = [_SameConv(features, width), nn.BatchNorm1d(width), nn.ReLU()]
        for i in range(_BLOCKS):
            wider = 2 * width if i == _WIDENING else width
            layers.append(_Block(width, wider, 2 if i in _HALVING else 1))
            width = wider
        super().__init__(
            *layers, nn.BatchNorm1d(width), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, classes)
        )
