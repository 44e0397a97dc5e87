"""What importers share: rows of tables with their lines, numbers in them, and whether a recording's files are there."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leadset.recordings.subject import OLDEST, parse_age, parse_sex, without_decimals
from leadset.utils.text_encoding import encoding_of

# Files that hold a recording's samples beside its header.
_SIGNALS = (".dat", ".mat")


def read_rows(path: Path, columns: Sequence[str], delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table with a heading, as dictionaries, each with its line number; missing values are empty.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: a column is missing, or it is no table.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a table of the data set")
    with open(path, newline="", encoding=encoding_of(path)) as file:
        rows = csv.DictReader(file, delimiter=delimiter)
        with _named_errors(path, rows):
            names = rows.fieldnames = clean_names(rows.fieldnames or [])
            missing = [column for column in columns if column not in names]
            if missing:
                raise ValueError(f"{path}, line 1: found columns {', '.join(names)}, expected {', '.join(missing)} too")
            for row in rows:
                extra = row.pop(None, None)
                if extra:
                    raise ValueError(f"{path}, line {rows.line_num}: found {len(extra)} values more than columns")
                yield rows.line_num, {name: (value or "").strip() for name, value in row.items()}


def clean_names(heading: Sequence[str]) -> list[str]:
    """Names of columns without the blanks and quotes that a heading has about them."""
    return [name.strip().strip('"') for name in heading]


def read_heading(path: Path) -> tuple[list[str], str]:
    """Names of a table's columns, as `read_rows` has them, and what is between them.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: it is no table.
    """
    with open(path, encoding=encoding_of(path)) as file:
        delimiter = max("\t;,", key=file.readline().count)
    with _opened(path, delimiter) as rows:
        return clean_names(next(rows, [])), delimiter


def read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a table without a heading, each with its line number.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: it is no table.
    """
    with _opened(path) as rows:
        for row in rows:
            yield rows.line_num, row


@contextmanager
def _opened(path: Path, delimiter: str = ",") -> Iterator[Any]:
    """A CSV reader of a table, whose errors name file and line."""
    with open(path, newline="", encoding=encoding_of(path)) as file:
        rows = csv.reader(file, delimiter=delimiter)
        with _named_errors(path, rows):
            yield rows


@contextmanager
def _named_errors(path: Path, rows: Any) -> Iterator[None]:
    """Errors of a CSV reader as those that name file and line."""
    try:
        yield
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}, line {rows.line_num}: found {error}, expected rows of a CSV table") from None


def number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole_number(text: str | None) -> str:
    """Text of an identifier: a whole number that was written as a decimal (``15709.0``, ``1.5709E4``) without that."""
    text = (text or "").strip()
    return without_decimals(text) or text


class Files:
    """Which files there are; each folder is listed once, since a data set has tens of thousands of files."""

    def __init__(self) -> None:
        self._names: dict[Path, frozenset[str]] = {}

    def has(self, path: Path) -> bool:
        """Whether there is such a file."""
        folder = path.parent
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except (OSError, ValueError):  # no path at all, such as one with a zero byte
                self._names[folder] = frozenset()
        return path.name in self._names[folder]

    def complete(self, header: Path) -> bool:
        """Whether a header and a file of samples of its name are there."""
        return self.has(header) and any(self.has(header.with_suffix(ending)) for ending in _SIGNALS)


def plausible_age(text: str | None) -> float | None:
    """An age in years that a table has as a number; None where it is none of a person."""
    age = number(text)
    return age if age is not None and 0 <= age <= OLDEST else None


def age_and_sex(age: str, sex: str) -> tuple[float | None, str | None, tuple[str, ...]]:
    """Age in years, ``"female"`` or ``"male"``, and flags, from what a table says; None where unknown or unreadable."""
    years, age_flags = parse_age(age)
    known, sex_flags = parse_sex(sex)
    return years, known, age_flags + sex_flags
