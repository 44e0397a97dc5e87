"""Worker processes that train networks or predict recordings side by side, each on its share of the cores.

On a CPU, several small networks side by side are much faster than one after the other on all threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

_stop: Event | threading.Event | None = None


def available_cores() -> int:
    """Cores that this process may use: containers and schedulers often allow fewer than the machine has."""
    from joblib import cpu_count

    return cpu_count()


def stop_requested() -> bool:
    """Whether the main process was interrupted; asked before every training step."""
    return _stop is not None and _stop.is_set()


class Here(Executor):
    """An executor that calls each function at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Calls it; what it raises is raised at once."""
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def stopping_by_signal() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM are what `stop_requested` says; at the end they interrupt, if nothing has before.

    Raises:
        KeyboardInterrupt: one of them came.
    """
    global _stop
    stop, before = threading.Event(), _stop
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, lambda *_: stop.set()) for number in signals]
    _stop = stop
    try:
        yield
    finally:
        _stop = before
        for number, handler in zip(signals, handlers, strict=True):
            signal.signal(number, handler)
    if stop.is_set():
        raise KeyboardInterrupt


@contextmanager
def cluster(scheduler: str) -> Iterator[None]:
    """Inside, what joblib spreads over processes goes to the workers of a Dask cluster.

    Args:
        scheduler: address of its scheduler, such as ``tcp://HOST:8786``; empty: this machine's processes, as ever.

    Raises:
        ValueError: Dask is not installed.
        OSError: there is no scheduler.
    """
    if not scheduler:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(f"scheduler {scheduler}: found no Dask: install leadset[distributed]") from None
    from joblib import parallel_config

    with Client(scheduler, set_as_default=False) as client, parallel_config("dask", client=client):
        yield


def _start_worker(stop: Event, threads: int) -> None:
    global _stop
    import torch

    from leadset.utils.memory import keep_freed_memory

    _stop = stop
    # The main process turns Ctrl-C into `stop`, so that a worker saves its state whoever was sent the signal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    keep_freed_memory()


def _die_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def worker_pool(processes: int) -> Iterator[Executor]:
    """An executor of that many processes, or of this one.

    At an interrupt the workers save their state, and the pool waits until they have.
    """
    if processes == 1:
        yield Here()
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    threads = max(1, available_cores() // processes)
    pool = ProcessPoolExecutor(processes, context, _start_worker, (stop, threads))
    try:
        yield pool
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
