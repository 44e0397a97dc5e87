"""The packed store: prepared recordings as int16 in memory-mapped chunk files, one copy for all lead sets and models.

A chunk holds up to `CHUNK` recordings of one folder. Its name is a digest of the transform, of the user's lead names
and of the identity (name, size, modification time) of every file in it: a changed file makes a new chunk, an unchanged
one is found again. Each recording is its statistics (5 × 12 float32) followed by its samples (12 × t int16). A chunk
counts only once its index is there and agrees with the data in length and checksum; what a kill left half-written is
built again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import IO

import numpy as np

from leadset.leads import LEADS
from leadset.preprocess import Prepared, Transform, prepare
from leadset.recordings.dataset import DataSet, Reader
from leadset.recordings.errors import reason
from leadset.recordings.reader import Recording, read_recording
from leadset.utils.files import write_atomically

# Raised whenever `prepare` or the layout changes what a chunk holds.
STORE_VERSION = 4
# Recordings per chunk: small enough to lose little to a kill, large enough for few files.
CHUNK = 64
_DIGEST_STRIDE = 8
_STATISTICS = 5 * len(LEADS)
_STATISTICS_BYTES = 4 * _STATISTICS


@dataclass(frozen=True)
class StoredRecording:
    """Index entry of one recording; ``start`` is its first byte in the chunk file."""

    name: str
    path: str
    start: int
    n_samples: int
    fs: float
    codes: tuple[str, ...]
    age: float | None
    sex: str | None
    patient: str | None
    flags: tuple[str, ...]
    digest: str
    given_source: str = ""

    @property
    def source(self) -> str:
        """The data set it came from: as given, or its folder's name, looking through PhysioNet's ``g1`` … ``gN``."""
        if self.given_source:
            return self.given_source
        folder = Path(self.path).parent
        return folder.parent.name if folder.name[:1] == "g" and folder.name[1:].isdigit() else folder.name


@dataclass(frozen=True)
class Failure:
    """A recording that could not be read, and why."""

    path: str
    message: str


class Store:
    """Prepared recordings by index; opening it reads the index only, samples are mapped at their first use."""

    def __init__(self, transform: Transform, chunks: Sequence[tuple[Path, dict]]) -> None:
        self.transform = transform
        self.recordings: list[StoredRecording] = []
        self.failures: list[Failure] = []
        self._files: list[Path] = []
        self._chunk_of: list[int] = []
        self._maps: dict[int, np.ndarray] = {}
        for file, index in chunks:
            self._chunk_of += [len(self._files)] * len(index["recordings"])
            self._files.append(file)
            self.recordings += [_entry(values) for values in index["recordings"]]
            self.failures += [Failure(**values) for values in index["failures"]]

    def __len__(self) -> int:
        return len(self.recordings)

    def __getstate__(self) -> dict:
        # Maps are opened again where a worker process needs them, instead of being copied to it.
        return {**self.__dict__, "_maps": {}}

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples (12, t) int16, mapped, and statistics (5, 12) float32 of recording ``i``, as in `Prepared`."""
        entry, chunk = self.recordings[i], self._chunk_of[i]
        if chunk not in self._maps:
            self._maps[chunk] = np.memmap(self._files[chunk], dtype=np.uint8, mode="r")
        data = self._maps[chunk]
        samples = entry.start + _STATISTICS_BYTES
        end = samples + 2 * len(LEADS) * entry.n_samples
        statistics = data[entry.start : samples].view(np.float32).reshape(5, -1)
        return data[samples:end].view(np.int16).reshape(len(LEADS), -1), statistics

    @property
    def files(self) -> list[Path]:
        """The chunk files."""
        return list(self._files)

    def joined(self, other: Store) -> Store:
        """These recordings, and behind them those of another store of the same transform."""
        if other.transform != self.transform:
            raise ValueError(f"cannot join stores of {self.transform} and {other.transform}")
        both = Store(self.transform, [])
        both.recordings, both.failures = self.recordings + other.recordings, self.failures + other.failures
        both._files = self._files + other._files
        both._chunk_of = self._chunk_of + [len(self._files) + chunk for chunk in other._chunk_of]
        return both

    def described(self, data: DataSet) -> Store:
        """The same store with what a data set says of its recordings in the place of what their files say.

        Chunks hold what files say, so that all tasks of a data set share them.
        """
        other = Store(self.transform, [])
        other._files, other._chunk_of, other.failures = self._files, self._chunk_of, self.failures
        other.recordings = [
            replace(recording, **item.facts(), given_source=item.source)
            for recording in self.recordings
            for item in [data.by_path[recording.path]]
        ]
        return other

    def without(self, paths: Container[str]) -> Store:
        """The same store less the recordings of these header files."""
        kept = [i for i, recording in enumerate(self.recordings) if recording.path not in paths]
        other = Store(self.transform, [])
        other._files, other.failures = self._files, self.failures
        other.recordings = [self.recordings[i] for i in kept]
        other._chunk_of = [self._chunk_of[i] for i in kept]
        return other


def _entry(values: dict) -> StoredRecording:
    return StoredRecording(**{**values, "codes": tuple(values["codes"]), "flags": tuple(values["flags"])})

# --- building ------------------------------------------------------------------------------------------------------


def _identities(paths: Sequence[Path]) -> dict[Path, list]:
    """Per header: name, size and modification time of every file that shares its stem (header and signal)."""
    by_folder: dict[Path, dict[str, list]] = {}
    for folder in {path.parent for path in paths}:
        stems: dict[str, list] = {}
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                try:
                    status = entry.stat()
                except OSError:  # a dangling link: the reader will say what is wrong with it
                    continue
                stems.setdefault(Path(entry.name).stem, []).append([entry.name, status.st_size, status.st_mtime_ns])
        by_folder[folder] = stems
    return {path: by_folder[path.parent].get(path.stem, []) for path in paths}


def _planned_chunks(
    paths: Sequence[Path], transform: Transform, lead_names: Mapping[str, str], read: Reader
) -> Iterator[tuple[str, list[Path]]]:
    """Splits the recordings, folder by folder, into chunks named by what they will hold."""
    identities = _identities(paths)
    for folder, members in groupby(sorted(paths), key=lambda path: path.parent):
        members = list(members)
        for first in range(0, len(members), CHUNK):
            part = members[first : first + CHUNK]
            content = [STORE_VERSION, asdict(transform), str(folder), [identities[path] for path in part]]
            content += [sorted(lead_names.items())] if lead_names else []
            content += [] if read is read_recording else [f"{read.__module__}.{read.__qualname__}"]
            yield blake2b(json.dumps(content).encode(), digest_size=16).hexdigest(), part


class ChunkWriter:
    """Writes a chunk and counts what its index must say of it: bytes and checksum."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.length, self.crc = file, 0, 0

    def write(self, data: bytes) -> None:
        """Appends."""
        self.file.write(data)
        self.length, self.crc = self.length + len(data), zlib.crc32(data, self.crc)


def write_index(file: Path, written: ChunkWriter, content: dict) -> dict:
    """Writes the index of a chunk file, beside it and after it; returns it."""
    index = {"bytes": written.length, "crc32": written.crc, **content}
    with write_atomically(file.with_suffix(".json")) as index_file:
        json.dump({**index, "index_crc32": _index_checksum(index)}, index_file)
    return index


def _index_checksum(index: dict) -> int:
    return zlib.crc32(json.dumps(index).encode())


def read_index(file: Path) -> dict | None:
    """The index of a finished, undamaged chunk file, or None."""
    try:
        index = json.loads(file.with_suffix(".json").read_text())
        if index.pop("index_crc32") != _index_checksum(index):
            return None
        data = np.memmap(file, dtype=np.uint8, mode="r") if index["bytes"] else b""
        intact = len(data) == index["bytes"] and zlib.crc32(data) == index["crc32"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return index if intact else None


def _packed(recording: Recording, prepared: Prepared, path: Path, start: int) -> tuple[bytes, dict]:
    samples = prepared.samples.tobytes()
    entry = StoredRecording(
        name=recording.name,
        path=str(path),
        start=start,
        n_samples=prepared.samples.shape[1],
        fs=float(recording.fs),
        codes=recording.codes,
        age=recording.age,
        sex=recording.sex,
        patient=recording.patient,
        flags=(*recording.flags, *prepared.flags),
        # Samples are quantised to each lead's own maximum, so that duplicates agree even if two headers announce
        # different gains. Every eighth sample distinguishes signals as well as all of them.
        digest=blake2b(prepared.samples[:, ::_DIGEST_STRIDE].tobytes(), digest_size=16).hexdigest(),
    )
    # 240 and 24 t bytes: the next recording's statistics stay aligned.
    return prepared.statistics.tobytes() + samples, vars(entry)


def ensure_chunk(
    file: Path, paths: Iterable[Path], transform: Transform, read: Callable[[Path], Recording] = read_recording
) -> dict:
    """Finds or builds one chunk; returns its index. Bad recordings are listed in it, never raised."""
    index = read_index(file)
    if index is not None:
        return index
    recordings, failures = [], []
    with write_atomically(file, "wb") as opened:
        chunk = ChunkWriter(opened)
        for path in paths:
            try:
                recording = read(path)
                prepared = prepare(recording.signal, recording.fs, recording.leads, transform)
            except Exception as error:
                failures.append({"path": str(path), "message": reason(path, error)})
                continue
            packed, entry = _packed(recording, prepared, path, chunk.length)
            chunk.write(packed)
            recordings.append(entry)
    return write_index(file, chunk, {"recordings": recordings, "failures": failures})


def _read(read: Reader, lead_names: Mapping[str, str] | None, path: Path) -> Recording:
    return read(path, lead_names)


def build_store(
    paths: Sequence[Path],
    transform: Transform,
    folder: Path,
    n_jobs: int = -1,
    progress: bool = True,
    lead_names: Mapping[str, str] | None = None,
    read: Reader = read_recording,
) -> Store:
    """Prepares recordings in parallel, or finds them prepared, and opens the store.

    Args:
        paths: header files.
        transform: what is done to each recording.
        folder: where chunks are kept; made if missing. Several stores may share it.
        n_jobs: worker processes, as joblib counts them; joblib's own configuration (a Dask cluster, say) applies.
        progress: show a progress bar.
        lead_names: as `leadset.recordings.read_recording`.
        read: reads a file, where it is not of a recording with a header.

    A killed build goes on where it stopped. Memory is bounded by one recording per worker, plus the index.
    """
    plan = [(folder / f"{key}.i16", part) for key, part in _planned_chunks(paths, transform, lead_names or {}, read)]
    ensure = partial(ensure_chunk, read=partial(_read, read, lead_names))
    return build_chunks(plan, ensure, transform, n_jobs, "prepare" if progress else None)


def build_chunks(
    plan: Sequence[tuple[Path, Sequence]],
    ensure: Callable[[Path, Sequence, Transform], dict],
    transform: Transform,
    n_jobs: int = -1,
    title: str | None = None,
) -> Store:
    """Builds chunks in parallel, whatever their recordings come from, and opens them as one store.

    Args:
        plan: chunk files, each with the recordings that it is to hold.
        ensure: finds or builds one of them and returns its index.
        transform: what is done to each recording.
        n_jobs: as `build_store`.
        title: of the progress bar; None for no bar.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    # Worker processes cost about a second to start: one chunk is done sooner here.
    pool = Parallel(n_jobs=n_jobs if len(plan) > 1 else 1, return_as="generator")
    chunks = []
    with tqdm(total=sum(len(part) for _, part in plan), desc=title, unit="rec", disable=title is None) as bar:
        for (file, part), index in zip(
            plan, pool(delayed(ensure)(file, part, transform) for file, part in plan), strict=True
        ):
            chunks.append((file, index))
            bar.update(len(part))
    return Store(transform, chunks)
