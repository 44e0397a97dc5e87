"""ResNet-34 on the time axis: 12-lead ECG classification of Zhang et al. (2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leadset.models.layers.masking import apply_mask, downsample_mask, masked_max, masked_mean
from leadset.models.layers.options import check_layers
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform

DROPOUT = 0.2


class BasicBlock(nn.Module):
    """Two convolutions of width 7 with a shortcut: conv, BN, ReLU, dropout, conv, BN, add, ReLU."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv1d(channels_in, channels, 7, stride, 3, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(DROPOUT)
        self.conv2 = nn.Conv1d(channels, channels, 7, 1, 3, bias=False)
        self.bn2 = nn.BatchNorm1d(channels)
        self.shortcut = None
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv1d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm1d(channels)
            )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features (b, f_in, t) to (b, f, ceil(t/stride)); ``mask`` is that of the output."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = apply_mask(self.dropout(F.relu(self.bn1(self.conv1(x)))), mask)
        return apply_mask(F.relu(self.bn2(self.conv2(x)) + shortcut), mask)


@register_model(
    "resnet34",
    title="ResNet-34",
    citation="Zhang, Yang, Yuan, Zhang: Interpretable deep learning for automatic diagnosis of 12-lead "
    "electrocardiogram. iScience 24(4):102373, 2021",
    after="Zhang et al., iScience 2021",
    url="https://doi.org/10.1016/j.isci.2021.102373",
    reduced={"width": 4, "blocks": (1, 1, 1, 1), "rate": 100, "seconds": 2},
)
class ResNet34(nn.Module):
    """Stem, four stages of 3, 4, 6 and 3 residual blocks, average and maximum over time, one linear layer.

    Departs from the paper: 10-s windows, drawn at random in training and averaged at test, with masked pooling, instead
    of the last 30 s padded with zeros on the left; ``window="published"`` restores that, and then no mask is used.

    Args:
        leads: lead names; only their number matters to the network.
        n_classes: number of logits.
        width: channels of the first stage (64 as published; each later stage doubles them).
        blocks: residual blocks per stage ((2, 2, 2, 2) is the ResNet-18 of the same authors).
        rate: sampling rate of the input in Hz (500 as published).
        seconds: length of a masked window, by default 10; the published window has 30.
        window: ``"masked"`` or ``"published"``.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        n_classes: int,
        *,
        width: int = 64,
        blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        rate: int = 500,
        seconds: float | None = None,
        window: str = "masked",
    ) -> None:
        super().__init__()
        if window not in ("masked", "published"):
            raise ValueError(f"window={window!r}: expected 'masked' or 'published'")
        check_layers("blocks", *blocks)
        self.masked = window == "masked"
        if seconds is not None and not self.masked:
            raise ValueError(f"seconds={seconds} with window={window!r}: expected none, its length is 30 s")
        self.input_spec = (
            InputSpec(Transform(rate), round(rate * (10.0 if seconds is None else seconds)))
            if self.masked
            else InputSpec(Transform(rate), 30 * rate, window="tail")
        )
        self.conv1 = nn.Conv1d(len(leads), width, 15, 2, 7, bias=False)
        self.lead_axes = {"conv1.weight": 1}
        self.bn1 = nn.BatchNorm1d(width)
        self.pool = nn.MaxPool1d(3, 2, 1)
        stages, channels_in = [], width
        for stage, count in enumerate(blocks):
            channels = width * 2**stage
            stages.append(
                nn.ModuleList(
                    BasicBlock(channels_in if i == 0 else channels, channels, 2 if i == 0 and stage > 0 else 1)
                    for i in range(count)
                )
            )
            channels_in = channels
        self.stages = nn.ModuleList(stages)
        self.fc = nn.Linear(2 * channels_in, n_classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Signals (b, l, t) in mV and mask (b, t) to logits (b, k)."""
        if not self.masked:
            mask = None
        mask = downsample_mask(mask)
        x = apply_mask(F.relu(self.bn1(self.conv1(x))), mask)
        mask = downsample_mask(mask)
        x = apply_mask(self.pool(x), mask)
        for stage in self.stages:
            for block in stage:
                if block.stride == 2:
                    mask = downsample_mask(mask)
                x = block(x, mask)
        return self.fc(torch.cat([masked_mean(x, mask), masked_max(x, mask)], dim=1))
