"""Opening a made-up PTB-XL of the published size and a quarter of it: seconds, and memory at its peak.

    python benchmarks/importers.py

The files are empty: importing looks whether they are there, and opens none. Writes benchmarks/importers.csv.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (5459, 21837)
COLUMNS = ("ecg_id", "patient_id", "age", "sex", "report", "scp_codes", "strat_fold", "filename_lr", "filename_hr")
STATEMENTS = (
    "{'NORM': 100.0, 'SR': 0.0}", "{'IMI': 35.0, 'ABQRS': 0.0, 'SR': 0.0}", "{'LVH': 100.0, 'AFIB': 0.0}",
    "{'NDT': 100.0, 'PVC': 100.0, 'SR': 0.0}", "{'SR': 0.0}",
)  # fmt: skip


def write_files(folder: Path, n: int) -> None:
    """The table of n recordings, that of the statements, and empty files at 500 Hz."""
    lines = [",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass", "NORM,x,1.0,,,NORM,NORM"]
    lines += ["IMI,x,1.0,,,MI,IMI", "LVH,x,1.0,,,HYP,LVH", "NDT,x,1.0,1.0,,STTC,STTC", "ABQRS,x,,1.0,,,"]
    lines += ["PVC,x,,1.0,,,", "SR,x,,,1.0,,", "AFIB,x,,,1.0,,"]
    (folder / "scp_statements.csv").write_text("\n".join(lines) + "\n")
    with open(folder / "ptbxl_database.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i in range(1, n + 1):
            stem = f"{i // 1000 * 1000:05d}/{i:05d}"
            for ending in ("hea", "dat"):
                path = folder / "records500" / f"{stem}_hr.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            writer.writerow([
                i, f"{i * 7 // 8}.0", f"{20 + i % 70}.0", i % 2, "sinus rhythm. normal ecg. " * 3,
                STATEMENTS[i % len(STATEMENTS)], i % 10 + 1, f"records100/{stem}_lr", f"records500/{stem}_hr",
            ])  # fmt: skip


def measure(folder: str) -> None:
    """Opens it, and prints number of recordings, how many are left out, seconds, and megabytes it took more."""
    from leadset.recordings.importers import open_dataset

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    data = open_dataset(f"ptbxl:{folder}", "super")
    seconds = time.perf_counter() - started
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(len(data), len(data.left_out), f"{seconds:.1f}", f"{more:.0f}")


def main() -> None:
    """Measures each size in a process of its own, and writes the table."""
    rows = []
    for n in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), n)
            done = subprocess.run([sys.executable, __file__, folder], check=True, capture_output=True, text=True)
            rows.append([n, *done.stdout.split()])
            print(*rows[-1])
    with open(Path(__file__).with_suffix(".csv"), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["rows", "recordings", "left_out", "seconds", "megabytes"], *rows])


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
