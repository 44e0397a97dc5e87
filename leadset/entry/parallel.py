"""Many recordings answered side by side: in processes of one thread each, where all networks are small.

Small networks make little of several threads, and reading and delineating keep Python busy besides. Larger ones are
asked in this process on all threads: a recording's answer is the same to the bit whatever else is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

from leadset.entry.networks import is_small
from leadset.entry.prediction import Answer, Entry
from leadset.recordings import ReadError, Recording
from leadset.recordings.dataset import DataSet
from leadset.utils.workers import available_cores, worker_pool

# Recordings for which another process is worth its start, and those that it is given at a time.
_WORTH_A_PROCESS, _AT_A_TIME = 32, 16
# Each holds libraries and networks of its own.
_MOST_PROCESSES = 8


def predict_all(
    entry: Entry, headers: Sequence[Path], processes: int | None = None, data: DataSet | None = None
) -> Iterator[Answer]:
    """The answers of `Entry.predict`, in the same order.

    Args:
        entry: on a CPU or a GPU; a GPU is used by this process alone.
        headers: paths of the recordings' headers.
        processes: how many; by default as many as there are cores and work for, eight at most.
        data: the data set that they are of, which reads them; None: they are read as they are.
    """
    if processes is None:
        processes = min(available_cores(), _MOST_PROCESSES, len(headers) // _WORTH_A_PROCESS)
    small = all(is_small(member) for trained in entry.manifest.sets for member in trained.members)
    answered = 0
    if processes > 1 and small and entry.device.type == "cpu":
        parts = [headers[i : i + _AT_A_TIME] for i in range(0, len(headers), _AT_A_TIME)]
        parts = [(part, data and data.of(part)) for part in parts]  # of the data set, what a process needs
        # A process that is killed, for want of memory say, breaks the pool: this one answers what is left.
        with suppress(BrokenProcessPool), worker_pool(processes) as pool:
            known = entry.folder, tuple(entry.lead_names.items()), entry.every_network, entry.quality
            for answers in pool.map(partial(_answers, known), parts):
                yield from answers
                answered += len(answers)
    yield from entry.predict(recordings_of(data, headers[answered:], entry.lead_names))


def recordings_of(
    data: DataSet | None, paths: Iterable[Path], lead_names: Mapping[str, str]
) -> Iterator[Recording | Path]:
    """What an entry is asked about: recordings as the data set describes them; paths of those that cannot be read.

    The entry answers the latter, and says why.
    """
    for path in paths:
        try:
            yield path if data is None else data.recording(path, lead_names)
        except (ReadError, OSError):
            yield path


def _answers(known: tuple, part: tuple[Sequence[Path], DataSet | None]) -> list[Answer]:
    headers, data = part
    entry = _entry(*known)
    return list(entry.predict(recordings_of(data, headers, entry.lead_names)))


@lru_cache(maxsize=1)
def _entry(folder: Path, lead_names: tuple[tuple[str, str], ...], every_network: bool, quality: bool) -> Entry:
    return Entry(folder, "cpu", 0, dict(lead_names), every_network, quality)
