"""The work of a server: recordings that wait together are answered together, everything else in a few threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from leadset.config import Serve
from leadset.entry import Answer, Entry
from leadset.recordings import Recording
from leadset.serve.metrics import Metrics
from leadset.serve.problems import Problem, busy
from leadset.utils.workers import available_cores

_Result = TypeVar("_Result")
#: Threads that read, delineate and explain beside the one that asks the networks.
_THREADS = 2


class Work:
    """Runs what requests need, at most so much at a time.

    Networks are asked by one thread: it takes whatever recordings wait when it becomes free, so that nobody waits for
    a group to fill up. A lone recording is put to the networks side by side, on as many threads as there are cores.

    Args:
        entry: answers recordings.
        limits: of the server.
        metrics: counts what is done.
    """

    def __init__(self, entry: Entry, limits: Serve, metrics: Metrics) -> None:
        self.entry, self.limits, self.metrics = entry, limits, metrics
        self._waiting: asyncio.Queue[tuple[Recording, asyncio.Future[Answer]]] = asyncio.Queue()
        self._under_way = 0
        self._networks = ThreadPoolExecutor(1, "networks")
        self._threads = ThreadPoolExecutor(_THREADS, "work")
        self._beside = ThreadPoolExecutor(available_cores(), "beside")
        self._asking: asyncio.Task | None = None

    async def start(self) -> None:
        """Starts answering; called when the server starts."""
        self._asking = asyncio.create_task(self._ask())

    async def stop(self) -> None:
        """Stops answering; what waits is given up."""
        if self._asking is not None:
            self._asking.cancel()
        self._networks.shutdown(cancel_futures=True)
        self._threads.shutdown(cancel_futures=True)
        self._beside.shutdown(cancel_futures=True)

    @contextmanager
    def request(self) -> Any:
        """Counts a request as under way.

        Raises:
            Problem: there are as many as the server takes.
        """
        if self._under_way >= self.limits.waiting:
            raise busy()
        self._under_way += 1
        self.metrics.under_way.set(self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1
            self.metrics.under_way.set(self._under_way)

    async def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """The result of a function that takes its time, run in a thread.

        Raises:
            Problem: it took longer than the server waits.
        """
        loop = asyncio.get_running_loop()
        return await self._in_time(loop.run_in_executor(self._threads, function, *arguments))

    async def predict(self, recording: Recording) -> Answer:
        """The entry's answer, the same as if the recording came alone.

        Raises:
            Problem: it took longer than the server waits.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((recording, future))
        return await self._in_time(future)

    async def _in_time(self, awaited: asyncio.Future[_Result]) -> _Result:
        try:
            return await asyncio.wait_for(awaited, self.limits.timeout_s)
        except TimeoutError:
            detail = f"found no result after {self.limits.timeout_s:g} s, expected one: send a shorter recording"
            raise Problem(504, "timeout", "The request took too long", detail) from None

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            group = [await self._waiting.get()]
            while len(group) < self.limits.batch and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            group = [(recording, future) for recording, future in group if not future.done()]
            if not group:
                continue
            self.metrics.group_sizes.observe(len(group))
            try:
                answers = await loop.run_in_executor(self._networks, self._answers, [one for one, _ in group])
            except Exception as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def _answers(self, recordings: list[Recording]) -> list[Answer]:
        if len(recordings) == 1:
            return [self.entry.predict(recordings[0], self._beside)]
        return list(self.entry.predict(recordings))
