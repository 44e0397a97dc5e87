"""Recordings of a data set as the arrays of the anomaly detector's authors (`leadset.anomaly.arrays`).

Normal recordings of the training folds go into ``train.npy``, all of the test folds into ``test.npy``; each is prepared
as networks see it, and scaled from -1 to 1 by lead, whichever file it goes into.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from tqdm import tqdm

from leadset.anomaly.arrays import BENCHMARK, BENCHMARK_LABELS, SAMPLES, TEST, TEST_LABELS, TRAIN
from leadset.anomaly.detector import TRANSFORM
from leadset.leads import LEADS
from leadset.preprocess import prepare
from leadset.recordings import ReadError
from leadset.recordings.dataset import DataSet
from leadset.utils.files import write_atomically

#: One line for each recording of `TRAIN` and `TEST`, in their order; and one for each that is in neither.
TABLE_FILE = "recordings.csv"
_COLUMNS = ("file", "recording", "patient", "label", "left_out")


class ArrayRow(NamedTuple):
    """A recording of the arrays: its file, its name, its patient (empty where unknown), and 1 where it is abnormal."""

    file: str
    recording: str
    patient: str
    label: int


def as_row(signal_mv: np.ndarray, fs: float, leads: Iterable[str]) -> np.ndarray:
    """A recording (l, t) in mV as one of the arrays: (5000, 12) float32 from -1 to 1 by lead, zero where it is flat.

    Raises:
        ValueError: it is shorter than ten seconds, or has no usable lead.
    """
    prepared = prepare(signal_mv, fs, tuple(leads), TRANSFORM)
    if prepared.samples.shape[1] < SAMPLES:
        raise ValueError(f"{prepared.samples.shape[1]} samples at {TRANSFORM.rate} Hz, expected {SAMPLES} or more")
    values = prepared.samples[:, :SAMPLES].astype(np.float32)
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    spread = high - low
    scaled = np.where(spread > 0, 2 * (values - low) / np.where(spread > 0, spread, 1) - 1, 0)
    return np.ascontiguousarray(scaled.T, dtype=np.float32)


def write_arrays(data: DataSet, folder: Path, test_folds: Collection[str]) -> None:
    """Writes `TRAIN`, `TEST`, `TEST_LABELS` and `TABLE_FILE` where they are not there yet; prints the counts.

    Normal is the normal class of the data set's label space as the only class; recordings that have it beside others
    are left out, and so are abnormal ones of the training folds, which nothing is learnt from.

    Args:
        data: with a label space and folds.
        folder: where they go.
        test_folds: those whose recordings are to be told apart.

    Raises:
        OSError: the files cannot be written.
        ValueError: the data set has no such fold, or a part is without normal or without abnormal recordings.
    """
    if (folder / TABLE_FILE).is_file():
        return
    tested, space = set(data.in_folds(test_folds)), data.label_space
    related = set(data.of_patients_of(tested))
    rows, left_out, wanted = [], [], {TRAIN: [], TEST: []}
    for path in map(str, data.paths):
        codes = data.codes(Path(path))
        normal, mixed = space.is_plain_normal(codes), space.encode(codes)[space.normal_index]
        if path in related:
            left_out.append((path, "of a patient of the test folds"))
        elif mixed and not normal:
            left_out.append((path, "normal beside another class"))
        elif path not in tested and not normal:
            left_out.append((path, "abnormal, in a training fold"))
        else:
            wanted[TEST if path in tested else TRAIN].append((path, int(not normal)))
    for name, chosen in wanted.items():
        rows += _write(folder / name, data, chosen, left_out)
    labels = [row.label for row in rows if row.file == TEST]
    if len(set(labels)) < 2 or not any(row.file == TRAIN for row in rows):
        raise ValueError(f"{data}: found {Counter((r.file, r.label) for r in rows)}, expected normal recordings in the "
                         "training folds, and both normal and abnormal ones in the test folds")  # fmt: skip
    with write_atomically(folder / TEST_LABELS, "wb") as file:
        np.save(file, np.array(labels, dtype=np.int64))
    with write_atomically(folder / TABLE_FILE) as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        table.writerows([*row, ""] for row in rows)
        table.writerows(["", Path(path).stem, "", "", why] for path, why in left_out)
    print(f"{sum(row.file == TRAIN for row in rows)} normal recordings to learn from; {labels.count(0)} normal and "
          f"{labels.count(1)} abnormal ones to tell apart")  # fmt: skip
    for why, count in Counter(why for _, why in left_out).items():
        print(f"  left out: {count} × {why}")


def _write(
    path: Path, data: DataSet, chosen: list[tuple[str, int]], left_out: list[tuple[str, str]]
) -> list[ArrayRow]:
    """Writes one array, recording after recording; what cannot be read is left out."""
    rows = []
    with write_atomically(path, "wb") as file:
        _write_header(file, 0)
        for name, label in tqdm(chosen, f"write {path.name}", unit="rec", leave=False):
            try:
                recording = data.recording(name)
                file.write(as_row(recording.signal, recording.fs, recording.leads).tobytes())
            except (ReadError, OSError, ValueError) as error:
                left_out.append((name, f"cannot be used: {error}"))
                continue
            item = data.by_path[name]
            rows.append(ArrayRow(path.name, item.name or Path(name).stem, item.patient, label))
        file.seek(0)
        _write_header(file, len(rows))
    return rows


def _write_header(file: IO[bytes], n: int) -> None:
    """The header of an array (n, 5000, 12); NumPy leaves room in it, so that its length does not depend on n."""
    shape = (n, SAMPLES, len(LEADS))
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def read_table(folder: Path) -> list[ArrayRow]:
    """The recordings of the arrays, as `write_arrays` has written them; none for arrays of another origin."""
    if not (folder / TABLE_FILE).is_file():
        return []
    with open(folder / TABLE_FILE, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"]]
    return [ArrayRow(row["file"], row["recording"], row["patient"], int(row["label"])) for row in rows]


def write_stand_ins(folder: Path, seed: int, normals: int = 60, tested: int = 24, marked: int = 12) -> None:
    """Writes simulated arrays in the place of published ones, a benchmark with exact masks among them.

    Args:
        folder: where they go, if they are not there yet.
        seed: of the recordings.
        normals: normal recordings to learn from.
        tested: normal recordings to tell apart, and as many with diagnoses.
        marked: recordings with one anomaly each, and its mask.
    """
    from leadset.simulate import simulate, simulate_anomalies

    if (folder / BENCHMARK_LABELS).is_file():
        return
    well = simulate(normals + tested, seed, labels="NSR", marks=False).signals
    ill = simulate(tested, seed + 1, marks=False, labels="AF,PVC,LBBB,TInv").signals
    local = simulate_anomalies(marked, seed + 2)
    arrays = {
        TRAIN: _rows(well[:normals]), TEST: _rows([*well[normals:], *ill]), BENCHMARK: _rows(local.signals),
        TEST_LABELS: np.repeat([0, 1], tested), BENCHMARK_LABELS: local.masks.transpose(0, 2, 1).astype(np.uint8),
    }  # fmt: skip
    for name, values in arrays.items():
        with write_atomically(folder / name, "wb") as file:
            np.save(file, values)


def _rows(signals: Iterable[np.ndarray]) -> np.ndarray:
    def made() -> Iterator[np.ndarray]:
        return (as_row(signal, TRANSFORM.rate, LEADS) for signal in signals)

    return np.stack(list(made()))
