"""A bank of simulated recordings in the packed store: prepared like real ones, and kept for later runs.

Recording *i* of a bank is recording *i* of `SimulatedStream` with the same seed, so a larger bank begins with the
smaller one, and shares its chunks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import blake2b
from pathlib import Path

from leadset.leads import LEADS
from leadset.preprocess import Transform
from leadset.recordings.reader import Recording
from leadset.simulate.stream import SimulatedStream
from leadset.store.packed import CHUNK, STORE_VERSION, Store, build_chunks, ensure_chunk

# Raised whenever the simulator's recordings change.
BANK_VERSION = 1
# What most of the Challenge's recorders have.
RATE, SECONDS = 500, 10.0
#: Folder part of the names that simulated recordings have in a store.
SOURCE = "simulated"


def build_bank(
    n: int, seed: int, transform: Transform, folder: Path, n_jobs: int = -1, progress: bool = True
) -> Store:
    """Simulates and prepares recordings 0 to n - 1 of a seed in parallel, or finds them prepared.

    Args:
        n: how many; rounded up to whole chunks of the store.
        seed: of `SimulatedStream`.
        transform: what is done to each recording.
        folder: where chunks are kept; those of real recordings may lie there too.
        n_jobs, progress: as `leadset.store.packed.build_store`.
    """
    plan = []
    for chunk in range(-(-n // CHUNK)):
        content = [BANK_VERSION, STORE_VERSION, asdict(transform), RATE, SECONDS, seed, chunk, CHUNK]
        key = blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()
        plan.append((folder / f"{key}.i16", range(chunk * CHUNK, (chunk + 1) * CHUNK)))
    ensure = partial(_ensure_simulated, seed)
    return build_chunks(plan, ensure, transform, n_jobs, "simulate" if progress else None)


def _ensure_simulated(seed: int, file: Path, indices: range, transform: Transform) -> dict:
    paths = [Path(SOURCE) / str(seed) / f"S{index + 1:05d}.hea" for index in indices]
    return ensure_chunk(file, paths, transform, _reader(seed, indices, paths))


def _reader(seed: int, indices: range, paths: Sequence[Path]) -> Callable[[Path], Recording]:
    """A reader of the recordings of a chunk, which are simulated together at the first call."""
    made: dict[Path, Recording] = {}

    def read(path: Path) -> Recording:
        if not made:
            stream = SimulatedStream(len(indices), seed, SECONDS, RATE)
            stream.position = indices.start // len(indices)
            for name, signal, codes in zip(paths, *next(stream), strict=True):
                made[name] = Recording(signal, RATE, LEADS, name.stem, codes=codes)
        return made[path]

    return read
