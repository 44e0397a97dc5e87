"""Chains of elementwise operations on the CPU, a cache-sized block at a time.

One operation after the other over a whole signal waits for main memory; all of them over a block, then the next block,
leaves the intermediate results in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

#: Elements per thread worked on at once: three float32 temporaries of this size stay in a core's second-level cache.
BLOCK = 1 << 17


def blocks(x: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views of the tensors, which agree in their outermost dimension, some of its entries at a time."""
    rows = max(1, BLOCK * torch.get_num_threads() // max(1, x[:1].numel()))
    return zip(x.split(rows), *(other.split(rows) for other in others), strict=True)


def blocks_pay(x: Tensor) -> bool:
    """Not on a GPU, nor where a compiler joins the operations."""
    return x.device.type == "cpu" and x.ndim > 0 and not torch.compiler.is_compiling()
