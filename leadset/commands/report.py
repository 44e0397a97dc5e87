"""``leadset report OUT``: make a page and tables of a cross-validation's results.

It writes OUT/report.html and OUT/report/*.csv. It may be called while folds are still running: entries that have not
answered in every fold are left out, and the page names them.

Examples:
    leadset report folds
    leadset report folds --against earlier
"""

from __future__ import annotations

import argparse
from pathlib import Path

GROUP = "compare networks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of leadset crossval")
    parser.add_argument(
        "--against", type=Path, metavar="OTHER",
        help="folder of another leadset crossval: its scores per data set stand beside these",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Writes the report; returns the exit status."""
    from leadset.studies.report import write_report

    print(f"Done: {write_report(arguments.out, arguments.against)}")
    return 0
