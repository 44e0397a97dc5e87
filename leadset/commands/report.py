"""``leadset report OUT``: make a page and tables of a cross-validation's results.

It writes OUT/report.html, OUT/report/*.csv and tables for a paper, OUT/report/*.tex, and prints the main scores and
ranks. It may be called while folds are still running: entries that have not answered in every fold are left out.

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
    print(_summary(page.parent / TABLES_FOLDER))
    print(f"Done: {page}")
    return 0


def _summary(folder: Path) -> str:
    """The main scores with their intervals, and mean ranks by AUROC."""
    from leadset.studies.ranking import FOLDS, MAIN_SCORE
    from leadset.studies.report import MAIN, TITLES

    ranks: dict[str, dict[tuple[str, str], str]] = {}
    for line in _read(folder / "ranks.csv"):
        if line["score"] == MAIN_SCORE and line["blocks"] != FOLDS:
            by_row = ranks.setdefault(f"{TITLES[MAIN_SCORE]} rank, {line['n']} {line['blocks']}", {})
            by_row[line["leads"], line["model"]] = f"{float(line['mean_rank']):.2f}"
    rows = [("leads", "model", *(TITLES[name] for name in MAIN), *ranks)]
    for line in _read(folder / "scores.csv"):
        row, scores = (line["leads"], line["model"]), [_with_interval(line, name) for name in MAIN]
        rows.append((*row, *scores, *(by_row.get(row, "–") for by_row in ranks.values())))
    return aligned(rows)


def _read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _with_interval(line: dict[str, str], name: str) -> str:
    numbers = (line[name], line[f"{name}_low"], line[f"{name}_high"])
    value, low, high = (f"{float(text):.3f}" if text else "–" for text in numbers)
    deviation = f" ± {float(line[f'{name}_sd']):.3f}" if line[f"{name}_sd"] else ""
    return f"{value}{deviation} ({low} to {high})"
