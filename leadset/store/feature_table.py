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


@dataclass(frozen=True)
class FeatureSet:
    """Features of a recording.

    Attributes:
        title: what they are.
        names: their names for some leads.
        compute: their values, of a recording prepared by `TRANSFORM`, for these leads; NaN is missing.
    """

    title: str
    names: Callable[[Sequence[str]], list[str]]
    compute: Callable[[Prepared, Sequence[str]], np.ndarray]


def _statistics(prepared: Prepared, leads: Sequence[str]) -> np.ndarray:
    return lead_statistics(prepared.samples[row] * prepared.statistics[0, row] for row in map(LEADS.index, leads))


def _pqrst(prepared: Prepared, leads: Sequence[str]) -> np.ndarray:
    return find_beats(prepared.samples, prepared.statistics, TRANSFORM.rate, leads).record


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

    def row(self, path: Path) -> np.ndarray:
        recording = self.read(path)
        prepared = prepare(recording.signal, recording.fs, recording.leads, TRANSFORM)
        del recording  # of a day, it takes as much memory as all that follows
        lacking = [lead for lead in self.leads if lead not in prepared.usable_leads]
        if lacking:
            there = f" (it has --leads {','.join(prepared.usable_leads)})" if prepared.usable_leads else ""
            raise ValueError(f"found no signal in {', '.join(lacking)}, expected one in {', '.join(self.leads)}{there}")
        return np.concatenate([FEATURE_SETS[name].compute(prepared, self.leads) for name in self.sets])


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
    from joblib import Parallel, delayed
    from tqdm import tqdm

    for name in sets:
        if name not in FEATURE_SETS:
            raise ValueError(f"features {name!r}: expected some of {', '.join(FEATURE_SETS)}")
    task = _Task(tuple(sets), tuple(leads), _Reading(data.read, lead_names))
    paths = data.paths
    plan = [paths[first : first + CHUNK] for first in range(0, len(paths), CHUNK)]
    pool = Parallel(n_jobs=n_jobs if len(plan) > 1 else 1, return_as="generator")
    files = [parts / f"{_digest(task, chunk, lead_names)}.npz" for chunk in plan]
    done = pool(delayed(_ensure_chunk)(chunk, file, task) for chunk, file in zip(plan, files, strict=True))
    chunks = list(tqdm(done, "features", len(plan), unit="chunk", disable=not progress))
    rows = [values for values, _ in chunks if len(values)]
    failed = {path: message for _, failures in chunks for path, message in failures}
    shutil.rmtree(parts, ignore_errors=True)
    return FeatureTable(
        tuple(_record(path, data.folder) for path in paths if str(path) not in failed),
        task.names(),
        np.concatenate(rows) if rows else np.empty((0, len(task.names())), np.float32),
        tuple(Failure(path, message) for path, message in failed.items()),
    )


def _record(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    return inside.with_suffix("").as_posix()


def _digest(task: _Task, paths: Sequence[Path], lead_names: Mapping[str, str] | None) -> str:
    """Name of a chunk: another one for other features, and where a header or its place changed."""
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()]
    content = [VERSION, task.sets, task.leads, sorted((lead_names or {}).items()), stats]
    return blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _ensure_chunk(paths: Sequence[Path], file: Path, task: _Task) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Rows (n, d) of a chunk and what failed: read, or computed and kept. Nothing is raised for a recording."""
    try:
        with np.load(file) as kept:
            return kept["values"], json.loads(str(kept["failures"]))
    except Exception:  # it is not there, or numpy meets what is damaged with errors of many kinds
        file.unlink(missing_ok=True)
    rows, failures = [], []
    for path in paths:
        try:
            rows.append(task.row(path))
        except Exception as error:
            failures.append((str(path), reason(path, error)))
    values = np.array(rows, dtype=np.float32).reshape(len(rows), len(task.names()))
    with write_atomically(file, "wb") as opened:
        np.savez(opened, values=values, failures=json.dumps(failures))
    return values, failures


def csv_rows(table: FeatureTable) -> Iterator[list[str]]:
    """Rows of a CSV file, its header first; an empty cell is a missing value."""
    yield ["record", *table.names]
    for record, values in zip(table.records, table.values.tolist(), strict=True):
        yield [record, *("" if np.isnan(value) else f"{value:.7g}" for value in values)]
