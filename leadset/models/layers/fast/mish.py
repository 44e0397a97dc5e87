"""Mish on the CPU, a cache-sized block at a time.

PyTorch's CPU kernel evaluates exp, log1p and tanh for every element, twice in training; in the encoders of STAR and
MVMS-net that is the largest single cost. With s = sigmoid(x) and n = s(2 − s) one has tanh(softplus(x)) = n / (2 − n)
exactly, for which one sigmoid and a few products suffice. One operation after the other over a whole signal would wait
for main memory; all of them over a block, then the next block, leave intermediate results in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Elements per thread worked on at once: three float32 temporaries of this size stay in a core's second-level cache.
BLOCK = 1 << 17


def _blocks(x: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views of the tensors, which agree in their outermost dimension, some of its entries at a time."""
    rows = max(1, BLOCK * torch.get_num_threads() // max(1, x[:1].numel()))
    return zip(x.split(rows), *(other.split(rows) for other in others), strict=True)


class _Mish(torch.autograd.Function):
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
        (slope,) = ctx.saved_tensors
        return slope * grad  # the layout of the first, where that of the other is ambiguous


class BlockwiseMish(nn.Mish):
    """x · tanh(softplus(x)), elementwise; twice differentiable off the CPU only."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape and floating type to the same."""
        # Not on a GPU, nor where a compiler joins the operations.
        if x.device.type == "cpu" and x.ndim > 0 and not torch.compiler.is_compiling():
            return _Mish.apply(x)
        return F.mish(x)
