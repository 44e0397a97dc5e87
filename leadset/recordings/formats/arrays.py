"""Arrays: tables in text, NPY and NPZ, with rate, unit and leads from a JSON file beside them, or from a `Layout`.

Of ``NAME.csv``, ``NAME.npy`` and ``NAME.npz`` the JSON file is ``NAME.json``; ``arrays.json`` stands for all arrays of
its folder that have none of their own. It holds ``fs`` in Hz, ``unit`` and ``leads``, and may hold ``age``, ``sex``,
``codes`` and ``patient``. A table in text may name leads and units itself (`text_columns`); in an NPZ file, all of
these may be arrays.
"""

from __future__ import annotations

import json
import math
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from leadset.leads import signed_lead
from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import Contents, Format, Layout
from leadset.recordings.formats.text_columns import contradicts, is_numbers, read_numbers
from leadset.recordings.header import voltage_unit
from leadset.recordings.storage import check_unpacked

#: The JSON file for all arrays of a folder.
FOLDER_LAYOUT = "arrays.json"
_KEYS = ("fs", "unit", "leads")
_MORE_KEYS = ("age", "sex", "codes", "patient")
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
#: Endings of tables in text.
_TEXTS = (".csv", ".tsv", ".txt")
_MOST_BYTES = 256 << 20
_LONGEST_LAYOUT = 1 << 16
# Names of arrays of labels, which are of an unknown form.
_LABELS = {"labels", "label", "dx", "diagnosis", "diagnoses", "y", "target", "classes"}
#: Names of the array of samples in an NPZ file.
_SIGNALS = ("signal", "signals", "ecg", "data", "arr_0")


def _recognises(path: Path, start: bytes) -> bool:
    ending = path.suffix.casefold()
    if ending in _TEXTS:
        return is_numbers(start) or (bool(start) and _says_fs(path.with_suffix(".json")))
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


def _says_fs(file: Path) -> bool:
    """Whether a file is one that says the rate of the array of its name, whatever that array looks like."""
    try:
        return file.is_file() and "fs" in read_layout(file)
    except ReadError:
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


def _read(path: Path, layout: Layout | None, lead_names: Mapping[str, str] | None) -> Contents:
    ending = path.suffix.casefold()
    said: dict[str, Any] = {}
    file = _layout_file(path) if layout is None else None
    beside = {key: value for key, value in read_layout(file).items() if value is not None} if file else {}
    if layout is not None:
        beside = {key: value for key, value in vars(layout).items() if value or key == "fs"}
    if ending in _TEXTS:
        given = _list_of_names(path, beside["leads"]) if "leads" in beside else None
        array, said = read_numbers(path, given, lead_names)
    elif ending == ".npz":
        array, said = _read_npz(path)
    else:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    times = said.pop("times", None)
    if file:
        _check_agreement(path, file, said, beside, lead_names)
    said |= beside
    lacking = [key for key in _KEYS if key not in said]
    if lacking:
        expected = f"{path.with_suffix('.json').name} or {FOLDER_LAYOUT} beside it, with {', '.join(_KEYS)}"
        raise ReadError(path, f"an array without {', '.join(lacking)}", expected)
    leads = _list_of_names(path, said["leads"])
    units = said["unit"] if isinstance(said["unit"], list) else [said["unit"]] * len(leads)
    if not isinstance(said["fs"], (int, float)) or not all(isinstance(unit, str) for unit in units):
        raise ReadError(path, f"fs {said['fs']!r}, unit {said['unit']!r}", "a number of Hz and a unit such as mV")
    if times is not None and contradicts(times, said["fs"]):
        said["flags"] = (*said.get("flags", ()), "other_times")
    counts, n = _by_lead(path, np.asarray(array), list(leads)), len(leads)
    if len(units) != n:
        raise ReadError(path, f"{len(units)} units of {n} leads", "one of each lead, or of all")
    more = {key: str(said.get(key, "")) for key in ("age", "sex")}
    codes = said.get("codes", "")
    return Contents(
        counts, float(said["fs"]), leads, units, [1.0] * n, [0.0] * n, **more,
        codes=",".join(map(str, codes)) if isinstance(codes, (list, tuple)) else str(codes),
        patient=str(said["patient"]) if said.get("patient") else None, flags=said.get("flags", ()),
    )  # fmt: skip


def _list_of_names(path: Path, leads: Any) -> list[str]:
    if not isinstance(leads, (list, tuple)) or not all(isinstance(lead, str) for lead in leads):
        raise ReadError(path, f"leads {leads!r}", "a list of names")
    return list(leads)


def _check_agreement(
    path: Path, file: Path, said: dict[str, Any], beside: dict[str, Any], lead_names: Mapping[str, str] | None
) -> None:
    """Raises a `ReadError` where an array says something else of itself than the JSON file beside it."""

    def units(stated: Any) -> set[str | None]:
        return {voltage_unit(str(unit)) for unit in (stated if isinstance(stated, list) else [stated])}

    def number(fs: Any) -> float | str:
        return float(fs) if isinstance(fs, (int, float)) else str(fs)

    forms = {"fs": number, "unit": units, "leads": lambda leads: [signed_lead(str(lead), lead_names) for lead in leads]}
    for key, form in forms.items():
        if key in said and key in beside and form(said[key]) != form(beside[key]):
            stated = list(dict.fromkeys(said[key])) if key == "unit" and isinstance(said[key], list) else said[key]
            stated = stated[0] if key == "unit" and len(stated) == 1 else stated
            raise ReadError(file, f"{key} {beside[key]!r}", f"{stated!r}, as {path.name} says")


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
        flags = ("first_of_several",) if sum(name in arrays for name in _SIGNALS) > 1 else ()
        flags += ("diagnoses_elsewhere",) if "codes" not in arrays and _LABELS & set(arrays) else ()
        return arrays[name], said | ({"flags": flags} if flags else {})


def _values(path: Path, key: str, array: np.ndarray) -> Any:
    """An array as plain values, that of one element as that element; leads stay a list.

    Texts are checked, as NumPy takes any number for a letter.
    """
    array = array.reshape(()) if array.size == 1 and key != "leads" else array
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace").tolist()
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


FORMAT = Format("array", (*_TEXTS, ".npy", ".npz"), _recognises, _read, most_bytes=_MOST_BYTES, is_found=_is_described)
