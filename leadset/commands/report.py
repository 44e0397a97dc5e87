"""``leadset report OUT``: make a page and tables of a cross-validation's results.

It writes OUT/report.html and OUT/report/*.csv, and prints the main scores. It may be called while folds are still
running: entries that have not answered in every fold are left out, and the page names them.

Examples:
    leadset report folds
    leadset report folds --against earlier
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from leadset.utils.text_tables import aligned

GROUP = "compare networks"

# Columns of the table of scores that are printed, and what they are called.
_PRINTED = {"challenge_metric": "Challenge metric", "auroc": "AUROC", "f1": "F1"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of leadset crossval")
    parser.add_argument(
        "--against", type=Path, metavar="OTHER",
        help="folder of another leadset crossval: its scores per data set stand beside these",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Writes the report; returns the exit status."""
    from leadset.studies.report import TABLES_FOLDER, write_report

    page = write_report(arguments.out, arguments.against)
    print(_summary(page.parent / TABLES_FOLDER / "scores.csv"))
    print(f"Done: {page}")
    return 0


def _summary(path: Path) -> str:
    """The main scores with their intervals."""
    with open(path, newline="", encoding="utf-8") as file:
        scores = list(csv.DictReader(file))
    rows = [("leads", "model", *_PRINTED.values())]
    rows += [(line["leads"], line["model"], *(_with_interval(line, name) for name in _PRINTED)) for line in scores]
    return aligned(rows)


def _with_interval(line: dict[str, str], name: str) -> str:
    numbers = (line[name], line[f"{name}_low"], line[f"{name}_high"])
    value, low, high = (f"{float(text):.3f}" if text else "–" for text in numbers)
    return f"{value} ({low} to {high})"
