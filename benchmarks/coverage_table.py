"""How much of each module the tests run, from what `make coverage` printed.

    PYTHONPATH=. python benchmarks/coverage_table.py coverage.txt [--output benchmarks/coverage_table.csv]

A row for all modules together, and one for each of which less than `ENOUGH` per cent of the statements ran, the least
first. Statements that other processes alone ran count as not run.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tables import write_table

ENOUGH = 80
COLUMNS = ("module", "statements", "not_run", "per_cent")
_ROW = re.compile(r"^(leadset/\S+\.py|TOTAL)\s+(\d+)\s+(\d+)\s+(\d+)%", re.MULTILINE)


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("printed", type=Path, help="coverage.txt")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in _ROW.findall(arguments.printed.read_text())]
    together = [row | {"module": "all"} for row in rows if row["module"] == "TOTAL"]
    if not together:
        parser.error(f"{arguments.printed}: found no row TOTAL, expected what `make coverage` writes")
    few = [row for row in rows if row["module"] != "TOTAL" and int(row["per_cent"]) < ENOUGH]
    write_table(arguments.output, COLUMNS, together + sorted(few, key=lambda row: int(row["per_cent"])))


if __name__ == "__main__":
    main()
