"""Beats of the recordings of a store, computed once for each lead set: memory-mapped files beside the store's own.

Each chunk of the store has one file of beats per lead set, named by a digest of the chunk's name and the leads. A
recording is the positions of its n beats (n float32), their features (l × n × 30 float32) and those of the recording as
a whole (23 + 14 · l float32).
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from leadset.preprocess import Transform
from leadset.recordings.errors import reason
from leadset.store.packed import ChunkWriter, Failure, Store, read_index, write_index
from leadset.utils.files import write_atomically
from leadset.waves.beats import BEAT_FEATURES, METHOD, Beats, find_beats, record_length

# Raised whenever delineation or its features change what a file holds.
BEATS_VERSION = 5


class BeatStore:
    """`Beats` by index: number i belongs to recording i of the store they were computed from.

    Attributes:
        failures: recordings that could not be delineated.
    """

    def __init__(self, store: Store, leads: Sequence[str], chunks: Sequence[tuple[Path, dict]]) -> None:
        self.leads, self._record = tuple(leads), record_length(len(leads))
        self.failures = [Failure(**values) for _, index in chunks for values in index["failures"]]
        self._files = [file for file, _ in chunks]
        self._maps: dict[int, np.ndarray] = {}
        self._paths = [recording.path for recording in store.recordings]
        where = {path: (c, *place) for c, (_, index) in enumerate(chunks) for path, place in index["beats"].items()}
        # Chunk, first float and number of beats of each recording; a negative number where it could not be delineated.
        self._where = np.array([where.get(path, (0, 0, -1)) for path in self._paths], dtype=np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self._where)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_maps": {}}

    def __getitem__(self, i: int) -> Beats:
        chunk, start, n = self._where[i].tolist()
        if n < 0:
            n, data = 0, np.full(self._record, np.nan, np.float32)
        else:
            data = self._mapped(chunk)[start:]
        shape = len(self.leads), n, BEAT_FEATURES
        record = n + math.prod(shape)
        return Beats(data[:n], data[n:record].reshape(shape), data[record : record + self._record])

    def _mapped(self, chunk: int) -> np.ndarray:
        if chunk not in self._maps:
            self._maps[chunk] = np.memmap(self._files[chunk], np.float32, "r")
        return self._maps[chunk]

    def joined(self, other: BeatStore) -> BeatStore:
        """These beats, and behind them those of another store, as `Store.joined`."""
        both = object.__new__(BeatStore)
        where = other._where + np.array([len(self._files), 0, 0])
        both.__dict__ = {
            **self.__getstate__(),
            "failures": self.failures + other.failures,
            "_files": self._files + other._files,
            "_paths": self._paths + other._paths,
            "_where": np.concatenate([self._where, where]),
        }
        return both

    def without(self, paths: Container[str]) -> BeatStore:
        """The same beats less those of the recordings of these header files, as `Store.without`."""
        kept = [i for i, path in enumerate(self._paths) if path not in paths]
        other = object.__new__(BeatStore)
        other.__dict__ = {**self.__getstate__(), "_where": self._where[kept], "_paths": [self._paths[i] for i in kept]}
        return other


def _ensure_beats(source: Path, file: Path, transform: Transform, leads: Sequence[str], reliable: bool) -> dict:
    """Finds or computes the beats of one chunk of a store; returns their index. Nothing is raised for a recording."""
    index = read_index(file)
    if index is not None:
        return index
    store = Store(transform, [(source, read_index(source))])
    places, failures = {}, []
    with write_atomically(file, "wb") as opened:
        chunk = ChunkWriter(opened)
        for i, recording in enumerate(store.recordings):
            try:
                beats = find_beats(*store[i], transform.rate, leads, reliable)
            except Exception as error:
                failures.append({"path": recording.path, "message": reason(recording.path, error)})
                continue
            places[recording.path] = [chunk.length // 4, len(beats.at)]
            chunk.write(beats.at.tobytes() + beats.features.tobytes() + beats.record.tobytes())
    return write_index(file, chunk, {"beats": places, "failures": failures})


def build_beats(
    store: Store, leads: Sequence[str], folder: Path, n_jobs: int = -1, progress: bool = True, reliable: bool = False
) -> BeatStore:
    """Delineates the recordings of a store in parallel, or finds them delineated.

    Args:
        store: as `leadset.store.packed.build_store` gives it.
        leads: the lead set.
        folder: where the files are kept; that of the store will do.
        n_jobs, progress: as `build_store`.
        reliable: as `leadset.waves.beats.find_beats`.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    plan = []
    for source in store.files:
        content = [BEATS_VERSION, METHOD, source.stem, list(leads), reliable]
        plan.append((source, folder / f"{blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()}.f32"))
    pool = Parallel(n_jobs=n_jobs if len(plan) > 1 else 1, return_as="generator")
    jobs = (delayed(_ensure_beats)(source, file, store.transform, leads, reliable) for source, file in plan)
    indices = tqdm(pool(jobs), f"delineate {len(leads)}", len(plan), unit="chunk", disable=not progress)
    return BeatStore(store, leads, [(file, index) for (_, file), index in zip(plan, indices, strict=True)])
