"""The two attentions inside the residual blocks of STAR and MVMS-net.

Both see (b, f, 1, t) tensors: one row of time, features as channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ShuffleAttention(nn.Module):
    """STAR's grouped attention over time (its MDSA), followed by a channel shuffle.

    Within each group of channels X (c, t), all groups sharing their weights:
    x1 = InstanceNorm(X ⊙ sigmoid(gate)), the gate out of the group's temporal mean and maximum;
    x2 = a 3-tap convolution of X; p = softmax over c of x2's temporal mean; X ← X ⊙ sigmoid(Σ_c p_c · x1[c]).

    Args:
        channels: number of features; published with 64, for which alone the original works.
        groups: number of contiguous groups.
    """

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        if channels % groups or channels % 2:
            raise ValueError(f"{channels} channels cannot be split into {groups} groups and then two halves")
        size = channels // groups
        self.groups = groups
        self.reduce = nn.Linear(size, channels, bias=False)
        self.restore = nn.Linear(channels, size, bias=False)
        self.norm = nn.GroupNorm(size, size)
        # On one row of time only the kernel's middle row acts; its published 3 × 3 shape fixes the initial spread.
        self.conv = nn.Conv2d(size, size, 3, padding=1)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, 1, t) to the same shape."""
        b, features, _, samples = x.shape
        group = x.reshape(b * self.groups, -1, 1, samples)
        mean, peak = group.mean(3).squeeze(2), group.amax(3).squeeze(2)
        gate = self.restore(self.reduce(mean).relu()) + self.restore(self.reduce(peak).relu())
        normed = self.norm(group * gate.sigmoid()[:, :, None, None])
        share = self.conv(group).mean((2, 3)).softmax(1)
        weight = (share[:, :, None, None] * normed).sum(1, keepdim=True)
        out = (group * weight.sigmoid()).reshape(b, features, 1, samples)
        # New channel 2k + j is old channel (f/2) j + k.
        return out.reshape(b, 2, -1, 1, samples).transpose(1, 2).reshape(b, features, 1, samples)


class CoordinateAttention(nn.Module):
    """MVMS-net's attention: a gate per channel and a gate per channel and position, from one narrow shared layer.

    After Q. Hou et al., "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021, on one row. The
    statistics of the shared norm mix the temporal-mean token with the time tokens, as published.

    Args:
        channels: number of features.
        reduction: the bottleneck has max(8, channels / reduction) features.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        width = max(8, channels // reduction)
        self.reduce = nn.Conv2d(channels, width, 1)
        self.norm = nn.BatchNorm2d(width)
        self.channel_gate = nn.Conv2d(width, channels, 1)
        self.time_gate = nn.Conv2d(width, channels, 1)
        for conv in (self.reduce, self.channel_gate, self.time_gate):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, 1, t) to the same shape."""
        tokens = torch.cat([x.mean(3, keepdim=True), x], 3)
        tokens = F.hardswish(self.norm(self.reduce(tokens)))
        token, time = tokens.split([1, x.shape[3]], 3)
        return x * self.channel_gate(token).sigmoid() * self.time_gate(time).sigmoid()
