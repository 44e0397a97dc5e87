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
        ctx.save_for_backward(x)
        y = torch.empty_like(x)
        for x_block, y_block in _blocks(x, y):
            s = torch.sigmoid(x_block)
            n = (2 - s).mul_(s)
            torch.mul(x_block, n, out=y_block).div_(2 - n)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        for x_block, grad_block, out in _blocks(x, grad, grad_x):
            s = torch.sigmoid(x_block)
            n = (2 - s).mul_(s)
            d = 2 - n
            # d Mish / dx = (n + 4 x s (1 − s)² / d) / d
            torch.sub(1, s, out=out).square_().mul_(s).mul_(x_block)
            torch.addcdiv(n, out, d, value=4, out=out).div_(d).mul_(grad_block)
        return grad_x


def mish(x: Tensor) -> Tensor:
    """x · tanh(softplus(x)), elementwise, for any shape and floating type; twice differentiable off the CPU only."""
    if x.device.type != "cpu" or not x.ndim or torch.compiler.is_compiling():
        return F.mish(x)
    return _BlockwiseMish.apply(x)


class Mish(nn.Module):
    """`mish` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return mish(x)
