"""Processor time of default trainings, network by network: what `leadset train DATA MODEL --models NETWORK` takes.

    python benchmarks/training_time.py DATA WORK [--models … | all] [--output benchmarks/training_time.csv]
    python benchmarks/training_time.py DATA WORK --models resnet34,crnn_pqrst --folds 5    # of a cross-validation
    python benchmarks/training_time.py DATA WORK --models crnn_pqrst --lead-sets five each --again

``five``: one run of five lead sets, which share what is read and prepared, and one pass of training. ``each``: a run of
each of them alone, one after the other. Networks without weights that ship are left out: they learn from nothing, which
takes long. The time is that of all processes of a run, on however busy a machine; cores divide it. Rows that are there
are kept, but for those that are measured `--again`.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from tables import write_table

from leadset.models.shipped import shipped_networks

COLUMNS = ("network", "lead_sets", "recordings", "folds", "core_minutes", "cores", "load")
#: Lead sets of each of the runs that are measured together.
LEADS = {"five": ["12,6,4,3,2"], "each": ["12", "6", "4", "3", "2"], "one": ["12"]}


def measured(data: Path, folder: Path, network: str, lead_sets: str, folds: int) -> dict:
    """The row of a run: a training, or a cross-validation of so many folds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for leads in LEADS[lead_sets]:
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "leadset", "crossval" if folds else "train", data, folder, "--models", network]
        command += ["--leads", leads, *(["--set", f"folds={folds}"] if folds else [])]
        words = [str(word) for word in command]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(folder / ("folds.csv" if folds else "split.csv")) as file:
        recordings = sum(row.get("part") != "excluded" for row in csv.DictReader(file))
    shutil.rmtree(folder)
    return {
        "network": network, "lead_sets": lead_sets, "recordings": recordings, "folds": folds,
        "core_minutes": f"{seconds / 60:.1f}",
        "cores": len(os.sched_getaffinity(0)), "load": f"{os.getloadavg()[0]:.0f}",
    }  # fmt: skip


def main() -> None:
    """Writes the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--models", nargs="+", default=shipped_networks())
    parser.add_argument("--lead-sets", nargs="+", choices=LEADS, default=["five"])
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="measure rows that are there once more")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    rows: list[dict] = []
    if arguments.output.exists():
        with open(arguments.output, newline="") as file:
            rows = list(csv.DictReader(file))
    for network in arguments.models:
        for lead_sets in arguments.lead_sets:
            key = network, lead_sets, arguments.folds
            others = [row for row in rows if (row["network"], row["lead_sets"], int(row["folds"])) != key]
            if len(others) == len(rows) or arguments.again:
                rows = [*others, measured(arguments.data, arguments.work / network, *key)]
                write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
