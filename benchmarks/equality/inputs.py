"""The recordings that a record of `equality_record.py` is made of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from leadset import LEAD_SETS, read_recording
from leadset.recordings import find_recordings
from leadset.simulate import simulate

SOURCES = ("chapman_ningbo", "cpsc_2018", "cpsc_2018_extra", "georgia", "ptb", "ptb-xl")
Items = Iterator[tuple[str, Any]]


class Ecg(NamedTuple):
    """A recording: signal (l, t) in mV."""

    name: str
    signal: np.ndarray
    fs: float
    leads: tuple[str, ...]
    age: float | None = None
    sex: str | None = None


class Inputs(NamedTuple):
    """Folders: real recordings, the entry (None: no answers are recorded), and an empty one for files."""

    real: Path
    entry: Path | None
    scratch: Path


def challenge_paths(real: Path, per_source: int) -> list[Path]:
    """The first headers of each source."""
    return [p for s in SOURCES for p in find_recordings(real / "challenge" / "training" / s)[:per_source]]


def read(path: Path, seconds: float, start: float = 0) -> Ecg:
    """A stretch of a recording; a single lead without a name of the twelve counts as lead I."""
    found = read_recording(path)
    signal = found.signal[:, round(start * found.fs) : round((start + seconds) * found.fs)]
    leads = ("I",) if found.leads == ("ECG",) else found.leads
    return Ecg(f"{path.parent.name}-{found.name}", signal, found.fs, leads, found.age, found.sex)


@cache
def simulated(n: int, seed: int, rate: float) -> list[Ecg]:
    """Simulated recordings; the last one has a gap, a flat lead and a clipped one."""
    made = simulate(n, seed, 10.0, rate)
    signals = made.signals.copy()
    signals[-1, 1, 300:900] = np.nan
    signals[-1, 4] = 0
    signals[-1, 7] = signals[-1, 7].clip(-0.1, 0.1)
    return [Ecg(f"sim{seed}-{rate}-{i}", signals[i], rate, LEAD_SETS[12]) for i in range(n)]


@cache
def real_recordings(real: Path) -> list[Ecg]:
    """Fifteen recordings of several kinds, half a minute of each at most."""
    paths = [*challenge_paths(real, 1), *(p for f in ("ludb", "af_2017") for p in find_recordings(real / f)[:3])]
    slices = [read(path, 30, 60.0 * (i + 1)) for i, path in enumerate(find_recordings(real / "mitdb")[:3])]
    return [*(read(path, 30) for path in paths), *slices]


def sha(data: bytes) -> str:
    """Digest of bytes."""
    return sha256(data).hexdigest()


def files_in(folder: Path, pattern: str = "*") -> Items:
    """Names and digests of the files of a folder."""
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
        yield str(path.relative_to(folder)), sha(path.read_bytes())
