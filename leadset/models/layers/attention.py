"""The two attentions inside the residual blocks of STAR and MVMS-net.

Both see (b, f, 1, t) tensors: one row of time, features as channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadset.models.layers.blockwise import blocks, blocks_pay


class ShuffleAttention(nn.Module):
    """STAR's grouped attention over time (its MDSA), followed by a channel shuffle.

    Within each group of channels X (c, t), all groups sharing their weights:
    x1 = InstanceNorm(X ⊙ sigmoid(gate)), the gate out of the group's temporal mean and maximum;
    x2 = a 3-tap convolution of X; p = softmax over c of x2's temporal mean; X ← X ⊙ sigmoid(Σ_c p_c · x1[c]).

    Neither x1 nor x2 is built. The normalised signal is the centred X times a gain that follows from X's variance, and
    the temporal mean of a convolution follows from X's mean and its two end samples; what is left over time is one
    weighted sum of channels.

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
        time = x.squeeze(2).transpose(1, 2)  # (b, t, f)
        mean = time.mean(1, keepdim=True)
        centred = time - mean
        mean, variance, peak, first, last = (
            statistic.unflatten(1, (self.groups, -1))
            for statistic in (mean.squeeze(1), centred.square().mean(1), time.amax(1), time[:, 0], time[:, -1])
        )
        gate = torch.sigmoid(self.restore(self.reduce(mean).relu() + self.reduce(peak).relu()))
        gain = gate * torch.rsqrt(gate.square() * variance + self.norm.eps) * self.norm.weight
        share = self._mean_convolved(mean, first, last, time.shape[1]).softmax(-1)
        weight = centred @ _block_diagonal(share * gain) + (share @ self.norm.bias).unsqueeze(1)  # (b, t, groups)
        out = time.unflatten(2, (self.groups, -1)) * torch.sigmoid(weight).unsqueeze(-1)
        # New channel 2k + j is old channel (f/2) j + k.
        out = out.flatten(2).unflatten(2, (2, -1)).transpose(2, 3).flatten(2)
        return out.transpose(1, 2).unsqueeze(2)

    def _mean_convolved(self, mean: Tensor, first: Tensor, last: Tensor, samples: int) -> Tensor:
        """Temporal mean of the zero-padded convolution: its outer taps miss the last and the first sample."""
        before, centre, after = self.conv.weight[:, :, 1].unbind(-1)
        missed = F.linear(last, before) + F.linear(first, after)
        return F.linear(mean, before + centre + after, self.conv.bias) - missed / samples


def _block_diagonal(coefficients: Tensor) -> Tensor:
    """(b, g, c) to (b, g·c, g): column g weighs the channels of group g and no others."""
    return torch.diag_embed(coefficients.transpose(1, 2), dim1=1, dim2=3).flatten(1, 2)


class _BlockwiseGate(torch.autograd.Function):
    """x ⊙ c ⊙ sigmoid(z) of (b, f, 1, t), (b, f, 1, 1) and (b, f, 1, t)."""

    @staticmethod
    def forward(ctx, x: Tensor, c: Tensor, z: Tensor) -> Tensor:
        y, share = torch.empty_like(x), torch.empty_like(x)
        for x_block, c_block, z_block, y_block, s in blocks(x, c, z, y, share):
            torch.sigmoid(z_block, out=s)
            torch.mul(x_block, s, out=y_block).mul_(c_block)
        ctx.save_for_backward(x, c, share)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, c, share = ctx.saved_tensors
        grad_x, grad_c, grad_z = torch.empty_like(x), torch.empty_like(c), torch.empty_like(share)
        for g, x_block, c_block, s, out_x, out_c, out_z in blocks(grad, x, c, share, grad_x, grad_c, grad_z):
            torch.mul(s, g, out=out_x)
            product = x_block * out_x
            torch.sum(product, 3, keepdim=True, out=out_c)
            out_x.mul_(c_block)
            torch.addcmul(product, product, s, value=-1, out=out_z).mul_(c_block)
        return grad_x, grad_c, grad_z


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
        # A 1 × 1 convolution acts on each position by itself, so the wide tensor need not be concatenated before it.
        tokens = torch.cat([self.reduce(x.mean(3, keepdim=True)), self.reduce(x)], 3)
        tokens = F.hardswish(self.norm(tokens))
        channel, time = torch.sigmoid(self.channel_gate(tokens[..., :1])), self.time_gate(tokens[..., 1:])
        return _BlockwiseGate.apply(x, channel, time) if blocks_pay(x) else x * channel * torch.sigmoid(time)
