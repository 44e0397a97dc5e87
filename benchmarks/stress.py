"""The stress test of this kit and of an example that stands for the organisers', as one table.

    python benchmarks/stress.py WORK [--entries leadset example] [--only CHECKS] [--output benchmarks/stress.csv]

The example (`benchmarks/example_entry`) is written after the Challenge's description of theirs: random forests on age,
sex and the RMS of each lead. Rows of other entries and checks that are there are kept.
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


def tested(entry: str, work: Path, only: str | None) -> list[dict[str, str]]:
    """The rows of an entry; of those checks alone that are named, and the base that they need."""
    table = work / f"{entry}.csv"
    words = [] if entry == "leadset" else ["--entry", str(assembled(work / entry))]
    words += ["--only", only] if only else []
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
    parser.add_argument("--only", metavar="CHECKS", help="checks with commas between; the other rows stay")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    if arguments.output.exists():
        with open(arguments.output, newline="") as file:
            rows = list(csv.DictReader(file))
    for entry in arguments.entries:
        new = {row["check"]: row for row in tested(entry, arguments.work, arguments.only)}
        old = [row for row in rows if row["entry"] == entry and row["check"] != "all"] if arguments.only else []
        own = [new.pop(row["check"], row) for row in old] + list(new.values())
        rows = [row for row in rows if row["entry"] != entry] + [*own, summed(entry, own)]
        write_table(arguments.output, ("entry", *COLUMNS, "cores", "load"), rows)


if __name__ == "__main__":
    main()
