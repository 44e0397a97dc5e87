"""Tables of features: a row for each recording of a data set, computed in parallel, in chunks that a kill leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from leadset.leads import LEADS
from leadset.preprocess import Prepared, Transform, prepare
from leadset.recordings.dataset import DataSet, Reader
from leadset.recordings.errors import reason
from leadset.store.packed import Failure
from leadset.utils.files import write_atomically
from leadset.waves import LEAD_FEATURES
from leadset.waves.beats import find_beats, record_feature_names
from leadset.waves.statistics import lead_statistics, statistic_names

#: What all features are computed from: recordings at this rate, as networks see them.
TRANSFORM = Transform(500)
# Recordings per chunk, and what is raised whenever a feature changes its value.
CHUNK, VERSION = 64, 1
# Endings of signal files that lie beside a header.
_SIGNALS = (".dat", ".mat")
# Bytes of files from which on a chunk is full, so that one of long recordings is done in minutes, too.
_CHUNK_BYTES = 32 << 20

#: Is told what share of a piece of work has been done since the last call.
Progress = Callable[[float], object]


@dataclass(frozen=True)
class FeatureSet:
    """Features of a recording.

    Attributes:
        title: what they are.
        names: their names for some leads.
        compute: their values, of a recording prepared by `TRANSFORM`, for these leads; NaN is missing. A third
            argument is told what share of the work has been done since the last call.
    """

    title: str
    names: Callable[[Sequence[str]], list[str]]
    compute: Callable[..., np.ndarray]


def _statistics(prepared: Prepared, leads: Sequence[str], progress: Progress = lambda _: None) -> np.ndarray:
    def in_millivolts() -> Iterator[np.ndarray]:
        for row in map(LEADS.index, leads):
            yield prepared.samples[row] * prepared.statistics[0, row]
            progress(1 / len(leads))

    return lead_statistics(in_millivolts())


def _pqrst(prepared: Prepared, leads: Sequence[str], progress: Progress = lambda _: None) -> np.ndarray:
    return find_beats(prepared.samples, prepared.statistics, TRANSFORM.rate, leads, progress=progress).record


def _pqrst_names(leads: Sequence[str]) -> list[str]:
    return record_feature_names() + [f"{lead}_{feature.name}" for lead in leads for feature in LEAD_FEATURES]


#: By name.
FEATURE_SETS: dict[str, FeatureSet] = {
    "statistics": FeatureSet("statistics of leads and wavelet coefficients", statistic_names, _statistics),
    "pqrst": FeatureSet("rhythm, intervals, axes and amplitudes of the delineated waves", _pqrst_names, _pqrst),
}


@dataclass(frozen=True)
class FeatureTable:
    """Features of the recordings of a data set.

    Attributes:
        records: paths of the recordings below the data set's folder, without extension: what rows are joined by.
        names: of the features, each behind the name of its set: ``"pqrst_heart_rate"``.
        values: (n, d) float32; NaN is missing.
        failures: recordings without a row, and why.
    """

    records: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Task:
    """What is computed for every recording."""

    sets: tuple[str, ...]
    leads: tuple[str, ...]
    read: Callable[[Path], object]

    def names(self) -> tuple[str, ...]:
        return tuple(f"{name}_{feature}" for name in self.sets for feature in FEATURE_SETS[name].names(self.leads))

    def row(self, path: Path, progress: Progress) -> np.ndarray:
        part = 1 / (1 + len(self.sets))
        recording = self.read(path)
        prepared = prepare(recording.signal, recording.fs, recording.leads, TRANSFORM)
        del recording  # of a day, it takes as much memory as all that follows
        lacking = [lead for lead in self.leads if lead not in prepared.usable_leads]
        if lacking:
            there = f" (it has --leads {','.join(prepared.usable_leads)})" if prepared.usable_leads else ""
            raise ValueError(f"found no signal in {', '.join(lacking)}, expected one in {', '.join(self.leads)}{there}")
        progress(part)
        compute = (FEATURE_SETS[name].compute for name in self.sets)
        return np.concatenate([of_set(prepared, self.leads, lambda done: progress(part * done)) for of_set in compute])


@dataclass(frozen=True)
class _Reading:
    """`Reader` of a data set with the user's names of leads."""

    read: Reader
    lead_names: Mapping[str, str] | None

    def __call__(self, path: Path) -> object:
        return self.read(path, self.lead_names)


def feature_table(
    data: DataSet,
    parts: Path,
    sets: Sequence[str] = tuple(FEATURE_SETS),
    leads: Sequence[str] = LEADS,
    n_jobs: int = -1,
    lead_names: Mapping[str, str] | None = None,
    progress: bool = True,
) -> FeatureTable:
    """Computes features of every recording of a data set, or finds those of an interrupted call.

    Args:
        data: the recordings.
        parts: folder for what is done so far; it is removed at the end.
        sets: names out of `FEATURE_SETS`.
        leads: the leads of which features are computed.
        n_jobs: worker processes, as joblib counts them.
        lead_names: as for `leadset.recordings.read_recording`.
        progress: show a bar.

    Raises:
        OSError: the folder cannot be written.
        ValueError: no such set of features.
    """
    from joblib import Parallel, delayed, effective_n_jobs
    from tqdm import tqdm

    for name in sets:
        if name not in FEATURE_SETS:
            raise ValueError(f"features {name!r}: expected some of {', '.join(FEATURE_SETS)}")
    task = _Task(tuple(sets), tuple(leads), _Reading(data.read, lead_names))
    paths = data.paths
    plan = list(_chunks(paths))
    files = [parts / f"{_digest(task, chunk, lead_names)}.npz" for chunk in plan]
    n_jobs = effective_n_jobs(n_jobs) if len(plan) > 1 else 1
    shown = "{desc}: {percentage:3.0f}%|{bar}| {n:.2f}/{total_fmt} rec [{elapsed}<{remaining}]"
    with tqdm(total=len(paths), desc="features", bar_format=shown, disable=not progress) as bar:
        if n_jobs == 1:
            chunks = [_ensure_chunk(chunk, file, task, bar.update) for chunk, file in zip(plan, files, strict=True)]
        else:
            pool, chunks = Parallel(n_jobs=n_jobs, return_as="generator"), []
            done = pool(delayed(_ensure_chunk)(chunk, file, task) for chunk, file in zip(plan, files, strict=True))
            for chunk, found in zip(plan, done, strict=True):
                chunks.append(found)
                bar.update(len(chunk))
    rows = [values for values, _ in chunks if len(values)]
    failed = {path: message for _, failures in chunks for path, message in failures}
    shutil.rmtree(parts, ignore_errors=True)
    return FeatureTable(
        tuple(_record(path, data.folder) for path in paths if str(path) not in failed),
        task.names(),
        np.concatenate(rows) if rows else np.empty((0, len(task.names())), np.float32),
        tuple(Failure(path, message) for path, message in failed.items()),
    )


def _chunks(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Recordings in their order, up to `CHUNK` or `_CHUNK_BYTES` of them together."""
    chunk: list[Path] = []
    size = 0
    for path in paths:
        chunk.append(path)
        files = (path, *map(path.with_suffix, _SIGNALS))
        size += sum(file.stat().st_size for file in files if file.is_file())
        if len(chunk) == CHUNK or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _record(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    return inside.with_suffix("").as_posix()


def _digest(task: _Task, paths: Sequence[Path], lead_names: Mapping[str, str] | None) -> str:
    """Name of a chunk: another one for other features, and where a header or its place changed."""
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()]
    content = [VERSION, task.sets, task.leads, sorted((lead_names or {}).items()), stats]
    return blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _ensure_chunk(
    paths: Sequence[Path], file: Path, task: _Task, progress: Progress = lambda _: None
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Rows (n, d) of a chunk and what failed: read, or computed and kept. Nothing is raised for a recording."""
    try:
        with np.load(file) as kept:
            found = kept["values"], json.loads(str(kept["failures"]))
        progress(len(paths))
        return found
    except Exception:  # it is not there, or numpy meets what is damaged with errors of many kinds
        file.unlink(missing_ok=True)
    rows, failures = [], []
    for path in paths:
        try:
            rows.append(_row(path, task, progress))
        except Exception as error:
            failures.append((str(path), reason(path, error)))
    values = np.array(rows, dtype=np.float32).reshape(len(rows), len(task.names()))
    with write_atomically(file, "wb") as opened:
        np.savez(opened, values=values, failures=json.dumps(failures))
    return values, failures


def _row(path: Path, task: _Task, progress: Progress) -> np.ndarray:
    """The row of a recording; in the end all of it is told, whatever happened."""
    told = 0.0

    def tell(share: float) -> None:
        nonlocal told
        told += share
        progress(share)

    try:
        return task.row(path, tell)
    finally:
        progress(1 - told)


def csv_rows(table: FeatureTable) -> Iterator[list[str]]:
    """Rows of a CSV file, its header first; an empty cell is a missing value."""
    yield ["record", *table.names]
    for record, values in zip(table.records, table.values.tolist(), strict=True):
        yield [record, *("" if np.isnan(value) else f"{value:.7g}" for value in values)]
