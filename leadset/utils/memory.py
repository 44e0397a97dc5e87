"""The C library's memory allocator, set so that the CPU trains and delineates faster, and work in blocks of memory."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

# Parameters of mallopt(3), from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
#: Samples that are copied at once: three minutes of twelve leads at 500 Hz.
MOST_COPIED = 2**20
#: Bytes of a block larger than all temporary arrays of a short recording.
_LARGER_THAN_TEMPORARY = 2**23


def keep_freed_memory() -> bool:
    """Lets the process keep freed memory for its next large tensors instead of returning it at once.

    By default glibc maps every block above 32 MB afresh and gives it back when freed, so that each large activation
    costs thousands of page faults. Networks with such activations gain (STAR on twelve leads trains 1.5 times as fast,
    `benchmarks/models.csv`), others are as before. The process keeps its peak memory until it ends. Call it before the
    first large tensor is made.

    Returns:
        Whether the setting took effect; False where the C library is not glibc.
    """
    return _set(_M_MMAP_MAX, 0, _M_TRIM_THRESHOLD, 2**31 - 1)


def share_memory_of_threads(places: int) -> bool:
    """Lets the threads of the process take memory from so many places; call it before the first thread starts.

    By default glibc gives them up to eight places for each core, and what one thread has freed in its place is not used
    by those of another: a server whose few threads answer in turn grows by what each of them once needed. Threads at
    work at the same time need a place each: they wait for one another wherever they share one.

    Returns:
        Whether the setting took effect; False where the C library is not glibc.
    """
    return _set(_M_ARENA_MAX, places)


def _set(*settings: int) -> bool:
    """Calls mallopt(3) with pairs of parameter and value."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(settings[i], settings[i + 1]) for i in range(0, len(settings), 2))


def row_blocks(rows: int, columns: int, most: int = MOST_COPIED) -> list[slice]:
    """Rows of a (rows, columns) array in blocks of at most so many samples, so that copies of one stay small.

    A short recording is one block; of long ones each lead is one.
    """
    each = max(most // max(columns, 1), 1)
    return [slice(first, first + each) for first in range(0, rows, each)]


@cache
def reuse_temporary_arrays() -> None:
    """Lets the process use the memory of freed temporary arrays again, without page faults, up to some megabytes.

    glibc maps every block above 128 kB afresh, later on those larger than the largest mapped block freed so far
    (mallopt(3), M_MMAP_THRESHOLD). Allocating and freeing one such block, without writing to it, raises that threshold;
    larger blocks are given back as before.
    """
    np.empty(_LARGER_THAN_TEMPORARY, dtype=np.uint8)
