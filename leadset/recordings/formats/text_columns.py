"""Tables of numbers in text: a column for each lead, or a row, with names, units and times or without.

Cells end at tabs, semicolons, commas or blanks; but between commas, numbers may have a decimal comma. Lines before the
names that begin with ``#``, ``%`` or ``//`` are comments. Text is UTF-8, UTF-16 or Latin-1.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from leadset.classes import UNKNOWN_WORDS
from leadset.leads import AXES, is_known_lead, names_beside, speaks_of_ecg
from leadset.recordings.errors import ReadError
from leadset.recordings.fields import FILE_COLUMNS, PATIENT_FIELDS, plain_name
from leadset.recordings.header import voltage_unit
from leadset.utils.text_encoding import text_encoding

_COMMENT = ("#", "%", "//")
_QUOTES = "\"'"
# Characters of a line that are looked at to tell what a table is, and lines of it.
_LONGEST_LINE, _FIRST_LINES = 1 << 16, 4
#: What stands for a missing sample, besides `UNKNOWN_WORDS`: R, spreadsheets, data bases.
_MISSING = UNKNOWN_WORDS | {"#n/a", "#na", "#num!", "#value!", "--", "---", "*", ".", "missing"}
# A unit behind the name of a lead: `II (uV)`, `II [mV]`, `II_uV`; those of counts are none of a voltage.
_UNIT = re.compile(r"(?:[(\[]|(?<=[^\W_])[ _-](?=\w?v$))([^)\]]+?)[)\]]?$", re.IGNORECASE)
_NO_VOLTAGE = re.compile(r"adu?|counts?|lsb|[an]\.?u\.?|bits?|digits?|steps?|[\d.,]+ ?\w?v(?:olts?)?", re.IGNORECASE)
_TIME = re.compile(
    r"(?:elapsed|sample|recording|rel(?:ative)?|abs(?:olute)?)?[ _.-]?(?:time(?:[ _.-]?stamps?)?|date[ _]?time|t|s|ms|"
    r"sec(?:onds?)?|millis(?:econds?)?)(?:[ _.(\[].*)?|zeit.*", re.IGNORECASE
)  # fmt: skip
_INDEX = re.compile(r"|index|idx|n|no\.?|#|unnamed: ?\d+|samples?(?:[ _]?(?:#|no\.?|number|index))?", re.IGNORECASE)
# A number with a comma in which there may be thousands; `0,950` and `1,07` have decimals.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_CLOCK = re.compile(r"(?:(\d+)[:hH])?(\d{1,2})[:mM](\d{1,2}(?:[.,]\d*)?)s?")
# Seconds of a day, and of a step between samples from which on it is a gap.
_DAY_S, _LONGEST_STEP_S = 86400.0, 0.05


class _Line(NamedTuple):
    """A line that is no comment: its number and its cells."""

    number: int
    cells: list[str]


class _Cells:
    """Turns cells into numbers, and keeps the first of each way of writing them: commas may be decimal or not."""

    def __init__(self, separator: str | None) -> None:
        self._separator = separator
        self._first: dict[str, str] = {}

    def number(self, text: str) -> float:
        """A cell as a number; between commas, one with a comma could have thousands as well, and is none."""
        text = text.strip().strip(_QUOTES).strip()
        if text.casefold() in _MISSING:
            return math.nan
        if self._separator == ",":
            return float(text)
        value = float(text.replace(",", ".", 1))
        way = next((sign for sign in ",." if sign in text), "whole")
        self._first.setdefault("thousands" if way == "," and _THOUSANDS.fullmatch(text) else way, text)
        return value

    def fault(self) -> tuple[str, str, str] | None:
        """A cell whose comma is not known to be decimal, what was found, and what was expected."""
        decimal, thousands, point = map(self._first.get, (",", "thousands", "."))
        cell = decimal or thousands
        if cell and point:
            return cell, f"{cell!r}, and {point!r} elsewhere", "decimals behind a comma, or a point, in all of a table"
        if thousands and not decimal and "whole" in self._first:
            return thousands, f"{thousands!r}, with a comma of thousands or of decimals", "whole numbers without commas"
        return None


class _Table(NamedTuple):
    """How a table is written.

    Attributes:
        separator: of its cells; None: blanks.
        names: of its columns; empty where it has none.
        line: number of the line with the names.
        first: number of the first line of numbers.
        units: the line of units below the names; empty where it has none.
        by_row: whether each line is a lead, its name in the first cell.
    """

    separator: str | None
    names: list[str]
    line: int
    first: int
    units: list[str]
    by_row: bool


def is_numbers(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a table with leads or numbers in it, and of no table of files."""
    lines = start.decode(text_encoding([start], whole=False), errors="replace").splitlines(keepends=True)
    # The last line, or its last cell, may be cut off.
    cut = bool(lines) and not lines[-1].endswith(("\n", "\r")) and len(start) >= _FIRST_LINES
    some, _ = _first_lines(lines[:-1] if cut and len(lines) > 1 else lines)
    if not some:
        return False
    names = some[0].cells[:-1] if len(lines) == 1 and len(some[0].cells) > 2 else some[0].cells
    known = sum(map(is_known_lead, names))
    if known >= 2 or known == 1 == len(names) or _are_numbers(names):
        return True
    if _is_row(names):
        return True
    below = [line.cells for line in some[1:]]
    told = {plain_name(name) for name in names} & (FILE_COLUMNS | PATIENT_FIELDS)
    return not told and len(below) >= 2 and all(len(cells) == len(names) > 1 and _are_numbers(cells) for cells in below)


def read_numbers(
    path: Path, given: Sequence[str] | None, lead_names: Mapping[str, str] | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Numbers (samples, columns) of a table, float32, and what it says; columns of other names are left out.

    Args:
        path: of the file.
        given: names of the leads in their order, where something beside the table says them.
        lead_names: as for `leadset.recordings.read_recording`.

    Returns:
        The numbers; and of ``leads``, ``unit`` (one for each lead), ``times`` (of all rows, in seconds or parts
        of them, or counted) and ``flags`` what the table says.

    Raises:
        ReadError: it names no lead, or a line is none of numbers.
    """
    with open(path, "rb") as file:
        coding = text_encoding([file.read(_LONGEST_LINE)], whole=False)
    with open(path, encoding=coding, errors="replace", newline=None) as file:
        table = _understood(path, file, lead_names)
    if table.by_row:
        return _by_row(path, coding, table)
    columns = _columns(path, table, given, lead_names)
    array = _load(path, coding, table, columns)
    if not table.names:
        return array, {}
    names = [table.names[i] for i in columns]
    said: dict[str, Any] = {"leads": names} if is_known_lead(names[0], lead_names) else {}
    if units := _units(path, names, [table.units[i] for i in columns] if table.units else []):
        said["unit"] = units
    if len(columns) < len(table.names):
        said["flags"] = ("other_channel",)
    of_times = next((i for i, name in enumerate(table.names) if i not in columns and _TIME.fullmatch(name)), None)
    if of_times is not None:
        said["times"] = _times(path, coding, table, of_times)
    return array, said


def contradicts(times: np.ndarray, fs: float) -> bool:
    """Whether times (t,) make another rate than ``fs`` in Hz, or have a gap, or go back.

    They are in seconds, milli-, micro- or nanoseconds, or count samples. Nothing is said of those not understood.
    """
    if len(times) < 2 or not np.isfinite(times).all():
        return False
    step, steps = (times[-1] - times[0]) / (len(times) - 1), np.diff(times)
    if (steps == 1).all():
        return False
    per_second = next((per for per in (1.0, 1e3, 1e6, 1e9) if abs(fs * step / per - 1) < 0.02), None)
    if per_second is None:
        return True
    longest = max(_LONGEST_STEP_S * per_second, 3 * step)
    return bool(((steps > longest) | (steps < -longest)).any())


def _content(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text that are neither empty nor comments before its first other line.

    A comment that names leads, as NumPy writes names of columns, is none.
    """
    begun = False
    for number, line in enumerate(lines, 1):
        text = line.strip("\ufeff\r\n")
        if not begun and text.lstrip().startswith(_COMMENT):
            names = text.lstrip("#%/ \t")
            known = sum(map(is_known_lead, _cells(names, _separator(names))))
            text = names if known > 1 or is_known_lead(names) else ""
        if text.strip():
            begun = True
            yield number, text


def _first_lines(lines: Iterable[str]) -> tuple[list[_Line], str | None]:
    """The first lines of a table, and what is between their cells."""
    some = list(islice(_content(lines), _FIRST_LINES))
    separator = _separator(some[0][1]) if some else None
    return [_Line(number, _cells(text, separator)) for number, text in some], separator


def _separator(line: str) -> str | None:
    """What is between the cells of a line; None for blanks, and where there is one cell."""
    there = [sign for sign in "\t;," if sign in line]
    ways = [(sign, _cells(line, sign)) for sign in (*there, None)]
    if is_known_lead(line) and not any(_is_row(cells) for _, cells in ways):
        return ","
    told = (sign for sign, cells in ways if _are_numbers(cells) or any(map(is_known_lead, cells)))
    return next(told, there[0] if there else ",")


def _cells(line: str, separator: str | None) -> list[str]:
    cells = line.split() if separator is None else next(csv.reader([line], delimiter=separator), [])
    return [cell.strip().strip(_QUOTES).strip() for cell in cells]


def _is_row(cells: Sequence[str]) -> bool:
    """Whether cells are a lead's name and numbers of it."""
    return len(cells) > 2 and is_known_lead(cells[0]) and _are_numbers(cells[1:])


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether all cells are numbers, missing ones or times, and some are numbers."""
    plain = [cell for cell in cells if cell.casefold() not in _MISSING]
    return any(map(_is_number, plain)) and all(_is_number(cell) or _seconds(cell) is not None for cell in plain)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return "_" not in text


def _seconds(text: str) -> float | None:
    """A time as seconds: a number, a clock's, or a date with a clock's; None for anything else."""
    text = text.strip().strip("[]" + _QUOTES)
    if _is_number(text):
        return float(text.replace(",", ".", 1))
    if clock := _CLOCK.fullmatch(text):
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3].replace(",", "."))
    try:
        return datetime.fromisoformat(text.replace(",", ".")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _is_counted(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers from 0 or 1 on, as programs name columns that have no name."""
    has_index = cells[0] == ""
    counted = list(cells[has_index:])
    n = len(counted)
    return n > (1 if has_index else 2) and counted in (list(map(str, range(k, n + k))) for k in (0, 1))


def _understood(path: Path, file: TextIO, lead_names: Mapping[str, str] | None) -> _Table:
    some, separator = _first_lines(line[:_LONGEST_LINE] for line in file)
    if not some:
        raise ReadError(path, "no line", "numbers")
    number, cells = some[0]
    if is_known_lead(cells[0], lead_names) and len(cells) > 2 and _are_numbers(cells[1:-1]):
        return _Table(separator, [], number, number, [], True)
    if _are_numbers(cells) and not _is_counted(cells):
        return _Table(separator, [], number, number, [], False)
    below = some[1] if len(some) > 1 else _Line(number + 1, [])
    has_number = _are_numbers(below.cells) or any(map(_is_number, below.cells))
    units = [] if has_number else below.cells
    if units and len(units) != len(cells):
        raise ReadError(path, f"{len(units)} cells", f"{len(cells)}, as in the first line", below.number)
    first = (some[2].number if len(some) > 2 else below.number + 1) if units else below.number
    return _Table(separator, cells, number, first, units, False)


def _columns(
    path: Path, table: _Table, given: Sequence[str] | None, lead_names: Mapping[str, str] | None
) -> list[int] | None:
    """Which columns are leads: those with the name of one; or those with a name that is given, or as many as are."""
    names = table.names
    if not names:
        return None
    here = names_beside(names, lead_names)
    known = [i for i, name in enumerate(names) if is_known_lead(name, here)]
    # Beside a column that is called ECG, X, Y and Z are those of an accelerometer.
    of_movement = any(map(speaks_of_ecg, names)) and all(names[i].upper() in AXES for i in known)
    if known and not of_movement:
        return known
    if given is not None:
        if len(set(names)) == len(names) and set(given) <= set(names):
            return [names.index(name) for name in given]
        named = [i for i in range(len(names)) if i not in known]
        others = [i for i in named if not _INDEX.fullmatch(names[i]) and not _TIME.fullmatch(names[i])]
        if len(others) == len(given):
            return others
    expected = "names of leads, or such that [leads] of leadset.toml explains"
    raise ReadError(path, f"columns {', '.join(names[:20])}", expected, table.line)


def _units(path: Path, names: Sequence[str], below: Sequence[str]) -> list[str]:
    """The unit of each lead, behind its name or in the line below; empty where a table says none."""
    behind = [unit[1] if (unit := _UNIT.search(name)) else "" for name in names]
    stated = [below[i] if below else unit for i, unit in enumerate(behind)]
    units = [voltage_unit(unit) for unit in stated]
    for name, unit, text in zip(names, units, stated, strict=True):
        if unit is None and text and (below or _NO_VOLTAGE.fullmatch(text)):
            raise ReadError(path, f"unit {text!r} of {name}", "a voltage such as mV, and counts converted to it")
    lacking = [name for name, unit in zip(names, units, strict=True) if unit is None]
    if lacking and len(lacking) < len(names):
        raise ReadError(path, f"no unit of {', '.join(lacking)}", "one of each lead, as the others have, or of none")
    return [] if lacking else units


def _lines(path: Path, encoding: str, first: int) -> Iterator[tuple[int, str]]:
    with open(path, encoding=encoding, errors="replace", newline=None) as file:
        for number, line in enumerate(file, 1):
            if number >= first and line.strip():
                yield number, line


def _load(path: Path, encoding: str, table: _Table, columns: list[int] | None) -> np.ndarray:
    cells = _Cells(table.separator)
    for convert in (None, cells.number):  # the first is fast, and takes neither words nor commas
        try:
            array = _numbers(path, encoding, table, np.float32, columns, convert)
        except ValueError as error:
            failed = error
        else:
            _check_commas(path, encoding, table, cells)
            return array
    raise _fault(path, encoding, table, columns) or failed


def _check_commas(path: Path, encoding: str, table: _Table, cells: _Cells) -> None:
    if fault := cells.fault():
        cell, found, expected = fault
        lines = _lines(path, encoding, table.first)
        raise ReadError(path, found, expected, next((number for number, text in lines if cell in text), None))


def _numbers(
    path: Path, encoding: str, table: _Table, dtype: type, columns: list[int] | None,
    convert: Callable[[str], float] | None = None,
) -> np.ndarray:  # fmt: skip
    texts = (text.strip("\ufeff") for _, text in _lines(path, encoding, table.first))
    return np.loadtxt(
        texts, dtype, delimiter=table.separator, usecols=columns, ndmin=2, quotechar='"', comments=None,
        converters=convert,
    )  # fmt: skip


def _fault(path: Path, encoding: str, table: _Table, columns: list[int] | None) -> ReadError | None:
    """Which line of a table is none of numbers."""
    width, converted = None, _Cells(table.separator)
    for number, text in _lines(path, encoding, table.first):
        cells = _cells(text.strip("\ufeff"), table.separator)
        width = width or len(table.names) or len(cells)
        if len(cells) != width:
            return ReadError(path, f"{len(cells)} cells", f"{width}, as in the first line", number)
        for i in range(width) if columns is None else columns:
            try:
                converted.number(cells[i])
            except ValueError:
                named = f" of {table.names[i]}" if table.names else ""
                return ReadError(path, f"{cells[i]!r}", f"a number{named}", number)
    return None


def _by_row(path: Path, encoding: str, table: _Table) -> tuple[np.ndarray, dict[str, Any]]:
    """Numbers (samples, leads) of a table with a line for each lead."""
    names, rows, converted = [], [], _Cells(table.separator)
    for number, text in _lines(path, encoding, table.first):
        name, *cells = _cells(text.strip("\ufeff"), table.separator)
        try:
            rows.append(np.array(list(map(converted.number, cells)), np.float32))
        except ValueError as error:
            raise ReadError(path, str(error), f"a number in each cell of {name}", number) from None
        if len(rows[-1]) != len(rows[0]):
            raise ReadError(path, f"{len(rows[-1])} numbers of {name}", f"{len(rows[0])}, as of {names[0]}", number)
        names.append(name)
    _check_commas(path, encoding, table, converted)
    units = _units(path, names, [])
    return np.stack(rows, axis=1), {"leads": names} | ({"unit": units} if units else {})


def _times(path: Path, encoding: str, table: _Table, column: int) -> np.ndarray:
    """Times (t,) of all rows, in float64, NaN where one is not understood; those of a clock go on behind midnight."""
    try:
        return _numbers(path, encoding, table, np.float64, [column])[:, 0]
    except ValueError:  # no plain numbers: they are read as a clock, or not at all
        pass
    rows = (_cells(text, table.separator) for _, text in _lines(path, encoding, table.first))
    found = [_seconds(cells[column]) if column < len(cells) else None for cells in rows]
    times = np.array([math.nan if time is None else time for time in found])
    return times + _DAY_S * np.cumsum(np.diff(times, prepend=times[:1]) < -_DAY_S / 2)
