"""Arrays: CSV, NPY and NPZ, with rate, unit and leads from a JSON file beside them, or from a `Layout`.

Of ``NAME.csv``, ``NAME.npy`` and ``NAME.npz`` the JSON file is ``NAME.json``; ``arrays.json`` stands for all arrays of
its folder that have none of their own. It holds ``fs`` in Hz, ``unit`` and ``leads``, and may hold ``age``, ``sex``,
``codes`` and ``patient``. Of a CSV file the leads may be in its first line instead, and the unit behind their names or
in the second line; in an NPZ file, all of these may be arrays. Columns of a CSV end at commas, semicolons or tabs;
with the latter two, numbers may have a decimal comma.
"""

from __future__ import annotations

import json
import math
import re
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from leadset.classes import UNKNOWN_WORDS
from leadset.leads import is_known_lead, signed_lead
from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import Contents, Format, Layout
from leadset.recordings.header import voltage_unit
from leadset.recordings.storage import check_unpacked

#: The JSON file for all arrays of a folder.
FOLDER_LAYOUT = "arrays.json"
_KEYS = ("fs", "unit", "leads")
_MORE_KEYS = ("age", "sex", "codes", "patient")
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_QUOTES = "\"'"
# A unit behind the name of a lead: `II (uV)`, `II [mV]`, `II_uV`.
_UNIT = re.compile(r"(?:[(\[]|(?<=[^\W_])[ _-](?=\w?v$))([^)\]]+?)[)\]]?$", re.IGNORECASE)
_TIME = re.compile(r"(?:elapsed[ _])?(?:time|t|s|ms|seconds?|sec)(?:[ _(\[].*)?|zeit.*", re.IGNORECASE)
# Seconds, milliseconds, microseconds; steps of this share are those of a rate.
_PER_SECOND, _CLOSE = (1.0, 1e3, 1e6), 0.02
_MOST_BYTES = 256 << 20
_LONGEST_LAYOUT = 1 << 16
#: Names of the array of samples in an NPZ file.
_SIGNALS = ("signal", "signals", "ecg", "data", "arr_0")


def _recognises(path: Path, start: bytes) -> bool:
    ending = path.suffix.casefold()
    if ending == ".csv":
        names = _first_line(start)
        known = sum(map(is_known_lead, names))
        return bool(names) and (known >= 2 or known == 1 == len(names) or all(map(_is_number, names)))
    return start.startswith(_NPY) or (ending == ".npz" and start.startswith(_ZIP))


def _is_described(path: Path) -> bool:
    """Whether what an array does not say stands beside it; without, it is no recording when a folder is searched."""
    if _layout_file(path) is not None:
        return True
    if path.suffix.casefold() != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{key}.npy" for key in _KEYS} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _layout_file(path: Path) -> Path | None:
    return next((file for file in (path.with_suffix(".json"), path.with_name(FOLDER_LAYOUT)) if file.is_file()), None)


def read_layout(file: Path) -> dict[str, Any]:
    """What a JSON file says of arrays.

    Raises:
        ReadError: it is no JSON object, or has a key that means nothing.
    """
    try:
        if file.stat().st_size > _LONGEST_LAYOUT:
            raise ReadError(file, f"more than {_LONGEST_LAYOUT} bytes", "a few keys")
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadError(file, str(error), "a JSON object") from error
    if not isinstance(said, dict):
        raise ReadError(file, type(said).__name__, "a JSON object")
    strange = [key for key in said if key not in (*_KEYS, *_MORE_KEYS)]
    if strange:
        raise ReadError(file, f"key {strange[0]!r}", f"keys out of {', '.join((*_KEYS, *_MORE_KEYS))}")
    return said


def _read(path: Path, layout: Layout | None) -> Contents:
    ending = path.suffix.casefold()
    said: dict[str, Any] = {}
    if ending == ".csv":
        array, said = _read_csv(path)
    elif ending == ".npz":
        array, said = _read_npz(path)
    else:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    step = said.pop("step", None)
    if layout is None and (file := _layout_file(path)):
        beside = {key: value for key, value in read_layout(file).items() if value is not None}
        _check_agreement(path, file, said, beside)
        said |= beside
    if layout is not None:
        said |= {key: value for key, value in vars(layout).items() if value or key == "fs"}
    lacking = [key for key in _KEYS if key not in said]
    if lacking:
        expected = f"{path.with_suffix('.json').name} or {FOLDER_LAYOUT} beside it, with {', '.join(_KEYS)}"
        raise ReadError(path, f"an array without {', '.join(lacking)}", expected)
    leads = said["leads"]
    if not isinstance(leads, (list, tuple)) or not all(isinstance(lead, str) for lead in leads):
        raise ReadError(path, f"leads {leads!r}", "a list of names")
    if not isinstance(said["fs"], (int, float)) or not isinstance(said["unit"], str):
        raise ReadError(path, f"fs {said['fs']!r}, unit {said['unit']!r}", "a number of Hz and a unit such as mV")
    if step and step != 1 and not any(abs(said["fs"] * step / per - 1) < _CLOSE for per in _PER_SECOND):
        said["flags"] = (*said.get("flags", ()), "other_times")
    counts, n = _by_lead(path, np.asarray(array), list(leads)), len(leads)
    more = {key: str(said.get(key, "")) for key in ("age", "sex")}
    codes = said.get("codes", "")
    return Contents(
        counts, float(said["fs"]), leads, [said["unit"]] * n, [1.0] * n, [0.0] * n, **more,
        codes=codes if isinstance(codes, str) else ",".join(map(str, codes)),
        patient=str(said["patient"]) if said.get("patient") else None, flags=said.get("flags", ()),
    )  # fmt: skip


def _check_agreement(path: Path, file: Path, said: dict[str, Any], beside: dict[str, Any]) -> None:
    """Raises a `ReadError` where a table says something else of its unit or leads than the JSON file beside it."""
    forms = {"unit": lambda unit: voltage_unit(str(unit)), "leads": lambda leads: [signed_lead(str(x)) for x in leads]}
    for key, form in forms.items():
        if key in said and key in beside and form(said[key]) != form(beside[key]):
            raise ReadError(file, f"{key} {beside[key]!r}", f"{said[key]!r}, as {path.name} says")


def _by_lead(path: Path, array: np.ndarray, names: list[str]) -> np.ndarray:
    """Numbers (leads, samples)."""
    leads = len(names)
    array = array[None] if array.ndim == 1 else array
    if array.dtype.kind not in "iuf" or array.ndim != 2 or leads not in array.shape:
        expected = f"numbers ({leads}, samples) or turned, of the leads {', '.join(names)}"
        raise ReadError(path, f"{array.dtype} of shape {array.shape}", expected)
    if array.shape == (leads, leads):
        raise ReadError(path, f"as many samples as leads, {leads}", "a recording")
    array = array if array.shape[0] == leads else array.T
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    return np.where(np.isfinite(array), array, np.nan) if array.dtype.kind == "f" else np.asarray(array)


def _first_line(start: bytes) -> list[str]:
    lines = start.decode("utf-8-sig", errors="replace").splitlines()
    return [name.strip().strip(_QUOTES) for name in lines[0].split(_separator(lines[0]))] if lines else []


def _separator(line: str) -> str:
    return next((sign for sign in "\t;" if sign in line), ",")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text.replace(",", ".")))
    except ValueError:
        return False


def _read_csv(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Numbers (samples, columns) of a table, and what its first lines say; columns of other names are left out."""
    with open(path, "rb") as file:
        line, second = file.readline(1 << 16), file.readline(1 << 16)
    names, separator = _first_line(line), _separator(line.decode(errors="replace"))
    is_named = not all(map(_is_number, names))
    columns = [i for i, name in enumerate(names) if is_known_lead(name) or not is_named]
    units, has_units = _units(path, names, columns, _first_line(second)) if is_named else ((), False)

    def number(text: str) -> float:
        if text.strip().casefold() in UNKNOWN_WORDS:  # R writes NA, data bases NULL
            return np.nan
        return float(text if separator == "," else text.replace(",", "."))

    def other(text: str) -> float:
        return number(text) if _is_number(text) else np.nan

    table = np.loadtxt(
        path, np.float32, delimiter=separator, skiprows=is_named + has_units, ndmin=2, encoding="utf-8-sig",
        quotechar='"', comments=None, converters={i: number if i in columns else other for i in range(len(names))},
    )  # fmt: skip
    if not is_named:
        return table, {}
    said: dict[str, Any] = {"leads": [names[i] for i in columns]}
    if units:
        said["unit"] = units[0]
    if len(columns) < len(names):
        said["flags"] = ("other_channel",)
    times = next((i for i, name in enumerate(names) if i not in columns and _TIME.fullmatch(name)), None)
    if times is not None and len(table) > 1:
        first, last = float(table[0, times]), float(table[-1, times])
        # Seconds since 1970 lose their steps in 32 bits.
        said |= {"step": (last - first) / (len(table) - 1)} if last - first > 1e-4 * abs(last) else {}
    return table[:, columns], said


def _units(path: Path, names: list[str], columns: list[int], second: list[str]) -> tuple[tuple[str, ...], bool]:
    """The unit of the leads, none where a table does not say it, and whether it has a line of them."""
    found = [_UNIT.search(names[i]) for i in columns]
    units = {voltage_unit(unit[1]) for unit in found if unit}
    has_line = len(second) == len(names) and all(voltage_unit(second[i]) for i in columns)
    units |= {voltage_unit(second[i]) for i in columns} if has_line else set()
    units.discard(None)
    if len(units) > 1:
        raise ReadError(path, f"leads in {', '.join(sorted(units))}", "one unit")
    return tuple(units), has_line


def _read_npz(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        check_unpacked(path, path.stat().st_size, sum(item.file_size for item in archive.infolist()))
        for item in archive.infolist():
            with archive.open(item) as file:
                _check_size(path, item, file)
    with np.load(path, allow_pickle=False) as arrays:
        name = next((name for name in _SIGNALS if name in arrays), None)
        if name is None:
            raise ReadError(path, f"arrays {', '.join(arrays)}", f"one of the name {', '.join(_SIGNALS)}")
        said = {key: _values(path, key, arrays[key]) for key in (*_KEYS, *_MORE_KEYS) if key in arrays}
        return arrays[name], said


def _values(path: Path, key: str, array: np.ndarray) -> Any:
    """An array as plain values; texts are checked, as NumPy takes any number for a letter."""
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(-1)
        if native.view(np.uint32).max() > sys.maxunicode:
            raise ReadError(path, f"{key} of letters that there are not", "text")
    return array.tolist()


def _check_size(path: Path, item: zipfile.ZipInfo, file: IO[bytes]) -> None:
    """Raises a `ReadError` where an array announces more than its file holds: memory would be reserved for it."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ReadError(path, f"{item.filename} of version {version}", "version 1.0 or 2.0")
    shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > item.file_size:
        raise ReadError(path, f"{item.filename} of {item.file_size} bytes, {dtype} of shape {shape}", "all its numbers")


FORMAT = Format("array", (".csv", ".npy", ".npz"), _recognises, _read, most_bytes=_MOST_BYTES, is_found=_is_described)
