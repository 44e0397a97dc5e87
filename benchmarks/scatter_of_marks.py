"""Where the errors of limits come from: how far marks scatter within a lead and between leads, annotated ones and ours.

    python benchmarks/scatter_of_marks.py DATA [--weights WEIGHTS.safetensors] [--parity 0|1] [--output FILE.csv]

Of every mark of LUDB that is found, its distance from the beat's R (median of the leads' R marks). *Within leads* is
the standard deviation of these distances about their median over the beats of the lead: what even the best constant
distance for each lead and recording would err by, true changes from beat to beat included. *Between leads* is that
about their median over the leads of the beat. Each is given for the annotated marks and ours. Last comes the standard
deviation of the error, and the same without the recordings that add most to it. Everything is in ms. Writes
benchmarks/scatter_of_marks.csv.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from annotated import SCORED, TOLERANCE, match, read_ludb
from tables import write_table

from leadset.utils import nan_statistics
from leadset.waves import delineator, network
from leadset.waves.learned import learned_marks
from leadset.waves.marks import R

#: Recordings left out for the last column.
WORST = 3
COLUMNS = ("mark", "n", "within_annotated", "within_ours", "between_annotated", "between_ours", "error",
           "error_without_worst")  # fmt: skip


def distances(folder: Path, parity: int | None) -> dict[str, np.ndarray]:
    """Per mark (n, 5): number of the recording, of the lead, of the beat, annotated and found distance from R in ms."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in SCORED}
    for recording in read_ludb(folder):
        if parity not in (None, int(recording.name) % 2):
            continue
        marks = delineator.delineate(recording.signal, recording.fs, "given").marks
        centre = nan_statistics.median(marks[:, :, R], axis=0)
        for lead, reference in enumerate(recording.marks):
            for name, column in SCORED.items():
                beats = np.flatnonzero(~np.isnan(marks[lead, :, column]))
                found = marks[lead, beats, column]
                assigned = match(reference[name], found, TOLERANCE * recording.fs)
                hit = assigned >= 0
                beat = beats[assigned[hit]]
                from_r = (np.stack([reference[name][hit], found[assigned[hit]]]) - centre[beat]) * 1000 / recording.fs
                rows[name].append(np.stack([np.full(len(beat), int(recording.name)), np.full(len(beat), lead), beat,
                                            *from_r], axis=1))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def spread(values: np.ndarray, groups: np.ndarray) -> float:
    """Standard deviation of the values (n,) about the medians of their groups (n, g)."""
    number = np.unique(groups, axis=0, return_inverse=True)[1].ravel()
    parts = (values[number == i] for i in range(number.max() + 1))
    return float(np.concatenate([part - np.median(part) for part in parts]).std())


def without_worst(recordings: np.ndarray, errors: np.ndarray) -> float:
    """Standard deviation of the errors (n,) without the recordings whose squared errors add up to most."""
    names, number = np.unique(recordings, return_inverse=True)
    worst = np.argsort(np.bincount(number, (errors - errors.mean()) ** 2))[-WORST:]
    return float(errors[~np.isin(number, worst)].std()) if len(names) > WORST else float("nan")


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, default=network.WEIGHTS)
    parser.add_argument("--parity", type=int, help="of the recordings' numbers; default: all")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    delineator.METHODS["given"] = partial(learned_marks, weights=args.weights)
    rows = []
    for name, table in distances(args.data / "ludb", args.parity).items():
        annotated, ours = table[:, 3:].T
        leads, beats, error = table[:, [0, 1]], table[:, [0, 2]], ours - annotated
        values = [spread(annotated, leads), spread(ours, leads), spread(annotated, beats), spread(ours, beats),
                  error.std(), without_worst(table[:, 0], error)]  # fmt: skip
        cells = [name, str(len(table)), *(f"{value:.1f}" for value in values)]
        print("  ".join(cells))
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    write_table(args.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
