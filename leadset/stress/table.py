"""The results of a stress test as text, CSV and a page."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from leadset.stress.suite import FAILED, Result
from leadset.studies.page import Page
from leadset.utils.files import write_atomically

COLUMNS = ("check", "result", "seconds", "memory_mb", "remark", "shows")
_MB = 1e6


def _row(result: Result) -> tuple[str, ...]:
    """In the order of `COLUMNS`."""
    numbers = f"{result.seconds:.1f}", f"{result.memory / _MB:.0f}"
    return result.check, result.result, *numbers, result.remark, result.shows


def line(result: Result) -> str:
    """A line for a terminal."""
    name, state, seconds, memory, remark, shows = _row(result)
    shown = f": {remark}" if remark else ""
    return f"{state:<8}{name:<18}{seconds:>8} s {memory:>6} MB  {shows}{shown}"


def summary(results: Sequence[Result]) -> str:
    """How many passed, failed and were skipped."""
    return ", ".join(f"{count} {result}" for result, count in Counter(r.result for r in results).items())


def write_csv(path: Path, results: Sequence[Result]) -> None:
    """Writes a line for each check."""
    with write_atomically(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(_row(result) for result in results)


def write_page(path: Path, results: Sequence[Result], entry: str, data: str) -> None:
    """Writes a page; failed checks are shaded."""
    page = Page("Stress test of an entry")
    page.text(f"Entry: {entry}")
    page.text(f"Data: {data}")
    page.text(summary(results))
    head = ["Check", "Result", "Seconds", "MB, largest process", "Remark", "What it shows"]
    failed = [i for i, result in enumerate(results) if result.result == FAILED]
    page.table(head, [[escape(cell) for cell in _row(result)] for result in results], failed)
    with write_atomically(path) as file:
        file.write(page.html())
