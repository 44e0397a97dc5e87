"""Attentions without their large intermediate signals."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leadset.models.layers.attention import CoordinateAttention, ShuffleAttention
from leadset.models.layers.fast.blockwise import blocks, blocks_pay


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


class BlockwiseCoordinateAttention(CoordinateAttention):
    """`CoordinateAttention` whose two gates are applied a block at a time."""

    def _gated(self, x: Tensor, channel: Tensor, time: Tensor) -> Tensor:
        return _BlockwiseGate.apply(x, channel, time) if blocks_pay(x) else super()._gated(x, channel, time)
