"""STAR's shuffle attention without its large intermediate signals."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leadset.models.layers.attention import ShuffleAttention


class FusedShuffleAttention(ShuffleAttention):
    """`ShuffleAttention` that builds neither the normalised signal x1 nor the convolved one x2.

    The normalised signal is the centred X times a gain that follows from X's variance, and the temporal mean of a
    convolution follows from X's mean and its two end samples; what is left over time is one weighted sum of channels.
    """

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
