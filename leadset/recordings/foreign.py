"""Files that hold recordings in a form that is not read, or not here: told apart, so that messages can name them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from leadset.leads import is_known_lead
from leadset.recordings.formats import Format, format_of, list_formats, read_start
from leadset.recordings.matlab import describe, list_variables

# Names by endings that no format has, or that do not say which one a file is of.
_BY_ENDING = {
    ".bdf": "BDF", ".gdf": "GDF", ".dcm": "DICOM", ".dicom": "DICOM", ".ecg": "ECG file of a device", ".h5": "HDF5",
    ".hdf5": "HDF5", ".npy": "NumPy array", ".npz": "NumPy arrays",
}  # fmt: skip
# Endings that files of any content have.
_TEXTS = (".csv", ".tsv", ".txt", ".xml")
_DICOM_AT, _DICOM = 128, b"DICM"
_BY_CONTENT = ((0, b"ISHNE1.0", "ISHNE"), (_DICOM_AT, _DICOM, "DICOM"), (0, b"\xffBIOSEMI", "BDF"))
# Root elements of what devices export.
_XML = {
    "restingecg": "GE MUSE XML", "annotatedecg": "HL7 aECG", "restingecgdata": "Philips XML",
    "cardiologyxml": "GE CardioSoft XML", "sapphire": "GE Sapphire XML",
}  # fmt: skip
_ROOT = re.compile(rb"<(?:\w+:)?([A-Za-z]\w*)")
_SIGNAL_FILES = {".mat": "MATLAB file", ".dat": "signal file"}


def sort_file(path: Path) -> tuple[Format | None, str]:
    """The format of a file that is found and can be read; or what it is that looks like a recording and is not read.

    The second is empty for a file that does not look like one.
    """
    ending = path.suffix.casefold()
    if ending == ".gz" and Path(path.stem).suffix.casefold() in {".hea", *_SIGNAL_FILES, *_names_by_ending()}:
        return None, "file compressed by gzip"
    known = {*_names_by_ending(), *_TEXTS}
    # Archives of images, and the discs they write, name files without an ending: `IM000001`, `1.2.840.113619`.
    if ending not in known and ending.strip(".0123456789"):
        return None, ""
    start = read_start(path)
    if ending not in known and not start.startswith(_DICOM, _DICOM_AT):
        return None, ""
    form = format_of(path, start)
    if form is None or not form.is_found(path):
        return None, _named(ending, start)
    return (form, "") if form.installed else (None, f"{form.name}, which takes {form.extra}")


@cache
def _names_by_ending() -> dict[str, str]:
    """What a file is by its ending alone, as where it is empty or damaged."""
    forms = {ending: form.name for form in list_formats() for ending in form.endings if ending not in _TEXTS}
    return forms | _BY_ENDING


def _named(ending: str, start: bytes) -> str:
    """What a file is, by its ending and first bytes, that is of no format that is read."""
    if ending == ".xml":
        roots = [match[1].decode().casefold() for match in _ROOT.finditer(start)]
        return next((_XML.get(root, "XML of an ECG") for root in roots if root in _XML or "ecg" in root), "")
    if ending == ".csv":
        names = re.split(r"[,;\t]", start.decode("latin-1").splitlines()[0].replace('"', "")) if start.strip() else []
        return "CSV of leads" if sum(map(is_known_lead, map(str.strip, names))) >= 2 else ""
    by_content = (name for at, sign, name in _BY_CONTENT if start.startswith(sign, at))
    return next(by_content, _names_by_ending().get(ending, ""))


def is_signal_file(path: Path) -> bool:
    """Whether a file's name is that of one with the samples that a header describes."""
    return path.suffix.casefold() in _SIGNAL_FILES


def without_header(path: Path) -> str:
    """What a signal file is that no header names."""
    return f"{_SIGNAL_FILES[path.suffix.casefold()]} without a header"


def describe_file(path: Path) -> str:
    """What a file is that was taken for a recording, for a message; of a MATLAB file, with its variables."""
    if path.suffix.casefold() == ".mat":
        return f"{without_header(path)}, variables {describe(list_variables(path))}"
    if is_signal_file(path):
        return without_header(path)
    _, named = sort_file(path)
    if not named and path.suffix.casefold() in (".csv", ".tsv", ".txt"):
        return "a first line of neither leads nor numbers, with commas, semicolons, tabs or blanks between them"
    return f"{named}, which is not read" if named else "a file of another kind"
