"""Memory of a GPU: what work takes at its most, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

_Result = TypeVar("_Result")


def with_peak(work: Callable[[], _Result], device: str) -> tuple[_Result, int]:
    """What a piece of work returns, and the bytes that PyTorch held at its most on the way; 0 where there is no GPU."""
    if device != "cuda":
        return work(), 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return work(), torch.cuda.max_memory_reserved()


def free_memory(device: str) -> int:
    """Bytes of a GPU that no process holds, kept but unused ones of this process included; 0 where there is no GPU."""
    if device != "cuda":
        return 0
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info()[0]
