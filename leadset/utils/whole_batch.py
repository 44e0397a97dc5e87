"""Sums over all recordings of a batch, of which a process may have a part only.

What a layer learns from a batch besides its gradients, such as statistics, it takes by `over_whole_batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

Sum = Callable[[Tensor], Tensor]
_sum: Sum | None = None


def over_whole_batch(own: Tensor) -> Tensor:
    """The sum of a tensor over all processes that share a batch; the tensor itself where the batch is not shared."""
    return own if _sum is None else _sum(own)


@contextmanager
def summed_by(sum_of_all: Sum) -> Iterator[None]:
    """Inside, batches are shared, and this sums over the processes."""
    global _sum
    before, _sum = _sum, sum_of_all
    try:
        yield
    finally:
        _sum = before
