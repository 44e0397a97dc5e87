"""Mish, computed a cache-sized block at a time on the CPU.

PyTorch's CPU kernel evaluates exp, log1p and tanh for every element, twice in training; in the encoders of STAR and
MVMS-net that is the largest single cost. With s = sigmoid(x) and n = s(2 − s) one has tanh(softplus(x)) = n / (2 − n)
exactly, for which one sigmoid and a few products suffice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Elements per thread worked on at once: three float32 temporaries of this size stay in a core's second-level cache.
BLOCK = 1 << 17


def _blocks(x: Tensor, *others: Tensor):
    rows = max(1, BLOCK * torch.get_num_threads() // max(1, x[:1].numel()))
    return zip(x.split(rows), *(other.split(rows) for other in others), strict=True)


class _BlockwiseMish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        y = torch.empty_like(x)
        # What value and slope share is at hand here; backward is then left with one product.
        slope = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        for x_block, y_block, *slope_block in _blocks(x, y, *([] if slope is None else [slope])):
            s = torch.sigmoid(x_block)
            n = (2 - s).mul_(s)
            t = n.div_(2 - n)
            torch.mul(x_block, t, out=y_block)
            if slope_block:
                # d Mish / dx = t + x s (1 − t²), t = tanh(softplus(x))
                torch.addcmul(t, s.mul_(x_block), 1 - t * t, out=slope_block[0])
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0]


def mish(x: Tensor) -> Tensor:
    """x · tanh(softplus(x)), elementwise, for any shape and floating type; twice differentiable off the CPU only."""
    if x.device.type != "cpu" or not x.ndim or torch.compiler.is_compiling():
        return F.mish(x)
    return _BlockwiseMish.apply(x)


class Mish(nn.Module):
    """`mish` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return mish(x)
