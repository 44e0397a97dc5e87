"""The stress test of this kit and of an example that stands for the organisers', as one table.

    python benchmarks/stress.py WORK [--entries leadset example] [--output benchmarks/stress.csv]

The example (`benchmarks/example_entry`) is written after the Challenge's description of theirs: random forests on age,
sex and the RMS of each lead. Rows of other entries that are there are kept.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tables import write_table

from leadset.stress.bench import DRIVERS, HELPER, ORGANISERS
from leadset.stress.table import COLUMNS

HERE = Path(__file__).parent
ENTRIES = ("leadset", "example")


def assembled(folder: Path) -> Path:
    """The example with the organisers' scripts."""
    shutil.copytree(HERE / "example_entry", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*DRIVERS, HELPER):
        shutil.copy(ORGANISERS / name, folder)
    return folder


def tested(entry: str, work: Path) -> list[dict[str, str]]:
    """The rows of an entry."""
    table = work / f"{entry}.csv"
    words = [] if entry == "leadset" else ["--entry", str(assembled(work / entry))]
    subprocess.run([sys.executable, "-m", "leadset", "stress", *words, "--csv", str(table)])
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    shared = {"cores": str(len(os.sched_getaffinity(0))), "load": f"{os.getloadavg()[0]:.0f}"}
    return [{"entry": entry, **row, **shared} for row in rows]


def summed(entry: str, rows: list[dict[str, str]]) -> dict[str, str]:
    """How many checks passed, failed and were skipped, and time and memory of all."""
    count = {result: sum(row["result"] == result for row in rows) for result in ("pass", "fail", "skipped")}
    numbers = {"seconds": f"{sum(float(row['seconds']) for row in rows):.0f}",
               "memory_mb": str(max(int(row["memory_mb"]) for row in rows))}  # fmt: skip
    remark = f"{count['pass']} pass, {count['fail']} fail, {count['skipped']} skipped"
    return {"entry": entry, "check": "all", "result": "fail" if count["fail"] else "pass", "remark": remark, **numbers}


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--entries", nargs="+", choices=ENTRIES, default=ENTRIES)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    if arguments.output.exists():
        with open(arguments.output, newline="") as file:
            rows = list(csv.DictReader(file))
    for entry in arguments.entries:
        new = tested(entry, arguments.work)
        rows = [row for row in rows if row["entry"] != entry] + [*new, summed(entry, new)]
        write_table(arguments.output, ("entry", *COLUMNS, "cores", "load"), rows)


if __name__ == "__main__":
    main()
