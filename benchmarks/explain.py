"""Do attributions of the shipped entry hold: sanity checks, completeness and processor time, on simulated recordings.

    python benchmarks/explain.py [--methods ig,eg,occlusion] [--output benchmarks/explain.csv]

Rows of other methods that the table already has stay, so that methods can be measured one at a time. Occlusion, which
takes some 900 answers for each map, is checked on a third as many recordings.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tables import write_table

import leadset
from leadset.entry import Entry
from leadset.explain import METHODS, checks, explain
from leadset.explain.background import simulated_normals
from leadset.leads import LEADS
from leadset.recordings import Recording
from leadset.scoring.intervals import Interval, bootstrap
from leadset.simulate import ANOMALIES, simulate

RECORDINGS, MOST_SECONDS, MOST_ERROR = 12, 10.0, 0.01
_SEED = 11


def checked(entry: Entry, method: str) -> Iterator[checks.Check]:
    """Every check of a method, then what it costs and what its attributions miss."""
    n = RECORDINGS // 3 if method == "occlusion" else RECORDINGS
    yield from checks.run_checks(entry, method, n)
    if method != "occlusion":
        background = simulated_normals(entry, LEADS)
        yield checks.pointing(entry, method, n, background, kinds=ANOMALIES)
    seconds, errors = [], []
    for signal in simulate(4, _SEED, 10.0, 500, "AF,RBBB,PVC,IAVB", marks=False).signals:
        began = time.process_time()
        found = explain(entry, Recording(signal, 500, LEADS), method=method)
        seconds.append(time.process_time() - began)
        errors += [one.completeness_error for one in found.classes]
    yield _bounded("processor seconds for one recording of twelve leads, all decided classes", method, seconds,
                   MOST_SECONDS)  # fmt: skip
    if method != "occlusion":
        yield _bounded("completeness error, largest of all classes", method, errors, MOST_ERROR)


def _bounded(name: str, method: str, values: list[float], bound: float) -> checks.Check:
    array = np.array(values)
    largest = bootstrap(lambda counts: float(array[counts > 0].max()), len(array))
    value = Interval(float(array.max()), largest.low, largest.high)
    return checks.Check(name, method, value, bound, False, np.nan, len(array))


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=lambda words: words.split(","), default=list(METHODS))
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--entry", type=Path, help="folder of an entry (default: the one that ships)")
    arguments = parser.parse_args()
    entry = leadset.load_entry(arguments.entry)
    for method in arguments.methods:
        rows = []
        for check in checked(entry, method):
            print(check, flush=True)
            rows.append(check.row())
        if arguments.output.is_file():
            with arguments.output.open(encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["method"] != method] + rows
        write_table(arguments.output, checks.COLUMNS, sorted(rows, key=lambda row: list(METHODS).index(row["method"])))


if __name__ == "__main__":
    main()
