"""Do attributions of the shipped entry hold: sanity checks, completeness and processor time, on simulated recordings.

    python benchmarks/explain.py [--methods typical,eg] [--checks pointing,cost] [--output benchmarks/explain.csv]

Rows of other checks and methods that the table already has stay, so that they can be measured one at a time. Methods
were chosen on other simulated recordings (seeds 5 and 6) than these checks draw.
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
from leadset.leads import LEADS
from leadset.recordings import Recording
from leadset.scoring.intervals import Interval, bootstrap
from leadset.simulate import simulate

#: Recordings of each check.
RECORDINGS = 12
MOST_SECONDS, MOST_ERROR, COST = 10.0, 0.01, "cost"
_SEED = 11


def checked(entry: Entry, method: str, names: list[str]) -> Iterator[checks.Check]:
    """Checks of a method by name; of `COST`, what it costs and what its attributions miss."""
    for name in names:
        if name != COST:
            yield from checks.run_checks(entry, method, RECORDINGS, names=[name])
            continue
        seconds, errors = [], []
        for signal in simulate(4, _SEED, 10.0, 500, "AF,RBBB,PVC,IAVB", marks=False).signals:
            began = time.process_time()
            found = explain(entry, Recording(signal, 500, LEADS), method=method)
            seconds.append(time.process_time() - began)
            errors += [one.completeness_error for one in found.classes]
        what = "processor seconds for one recording of twelve leads, all decided classes"
        yield _bounded(what, method, seconds, MOST_SECONDS)
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
    parser.add_argument("--checks", type=lambda words: words.split(","), default=[*checks.CHECKS, COST])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--entry", type=Path, help="folder of an entry (default: the one that ships)")
    arguments = parser.parse_args()
    entry = leadset.load_entry(arguments.entry)
    for method in arguments.methods:
        for check in checked(entry, method, arguments.checks):
            print(check, flush=True)
            write_row(arguments.output, check.row())


def write_row(path: Path, row: dict) -> None:
    """Puts a row into the table, in the place of the one of the same check and method."""
    rows = []
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    same = [i for i, old in enumerate(rows) if (old["method"], old["check"]) == (row["method"], row["check"])]
    rows[slice(same[0], same[0] + 1) if same else slice(len(rows), None)] = [row]
    write_table(path, checks.COLUMNS, sorted(rows, key=lambda row: list(METHODS).index(row["method"])))


if __name__ == "__main__":
    main()
