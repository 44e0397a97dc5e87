"""Which patient a recording is of, in every form in which data sets say so: header, folder or table."""

from __future__ import annotations

import csv
import os
import posixpath
import re
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from leadset.recordings.fields import FILE_COLUMNS, PATIENT_FIELDS, known_patient, plain_name
from leadset.recordings.formats import list_formats
from leadset.recordings.reader import WFDB_ENDINGS
from leadset.utils.text_encoding import GUESS, GUESSED, encoding_of

# PTB names folders `patient001`, ECG-ID `Person_01`, MIMIC-IV-ECG `p10001725`, BIDS `sub-01`.
_NUMBERED = r"(?:patient|subject|participant|person)[ _-]?\d+|sub-[a-z]*\d[a-z0-9]*"
_FOLDER = re.compile(rf"{_NUMBERED}|p\d{{5,}}", re.IGNORECASE)
# Files of one folder may be named so: `patient001_s0010.hea`.
_FILE = re.compile(rf"({_NUMBERED})[_.-].+", re.IGNORECASE)
# A path from the root, with or without a drive of Windows.
_ABSOLUTE = re.compile(r"(?:[a-z]:)?/", re.IGNORECASE)


def patient_of_folder(path: str | Path) -> str | None:
    """The innermost folder of a path that is named after a patient; the start of the file's name where that is.

    Args:
        path: from the data folder on: a folder above it, as a home may be, would make one patient of all recordings.
    """
    *folders, name = Path(path).parts
    in_name = _FILE.fullmatch(name)
    named = (folder.casefold() for folder in reversed(folders) if _FOLDER.fullmatch(folder))
    return next(named, in_name[1].casefold() if in_name else None)


def read_patient_tables(folder: str | Path) -> dict[str, str]:
    """Patients by path (relative to the table, no extension) or name of recordings, from the CSV files of a folder.

    A table counts that has a column for the patient and one for the recording, such as PTB-XL's `ptbxl_database.csv`
    or MIMIC-IV-ECG's `record_list.csv`; others are ignored, and so are names that a table has for several patients.
    """
    patients: dict[str, str] = {}
    for file in sorted(Path(folder).glob("*.csv")):
        try:
            encoding = encoding_of(file)
            with open(file, newline="", encoding=encoding, errors="replace") as opened:
                first = opened.readline()
                separator = max(",;\t", key=first.count)
                opened.seek(0)
                found = _patients_of_table(csv.DictReader(opened, delimiter=separator), file.parent)
            if found and encoding == GUESSED:
                warnings.warn(f"{file}: {GUESS}", stacklevel=2)
            patients |= found
        except (OSError, csv.Error) as error:  # recordings can be read without it, but patients may then be divided
            text = f"{file}: patients are not known from this table, which cannot be read: {error}"
            warnings.warn(text, stacklevel=2)
    return patients


def _patients_of_table(rows: csv.DictReader, folder: Path) -> dict[str, str]:
    columns = {plain_name(column): column for column in rows.fieldnames or ()}
    patient = next((columns[name] for name in columns if name in PATIENT_FIELDS), None)
    files = [columns[name] for name in columns if name in FILE_COLUMNS]
    if patient is None or not files:
        return {}
    patients: dict[str, set[str]] = {}
    for row in rows:
        value = known_patient(row[patient])
        for file in files:
            if value is not None and row[file]:
                patients.setdefault(_key(row[file], folder), set()).add(value)
    return {key: values.pop() for key, values in patients.items() if len(values) == 1}


@cache
def _endings() -> frozenset[str]:
    return frozenset({*WFDB_ENDINGS, *(ending for form in list_formats() for ending in form.endings)})


def _key(text: str, folder: Path) -> str:
    """A path from a folder on, without the ending of a recording; of one that lies elsewhere the name alone."""
    path = posixpath.normpath(text.strip().replace("\\", "/"))
    if _ABSOLUTE.match(path):
        above = posixpath.join(folder.absolute().as_posix(), "")
        path = path.removeprefix(above) if path.startswith(above) else posixpath.basename(path)
    stem, ending = posixpath.splitext(path)
    return stem if ending.casefold() in _endings() else path


def find_patients(folder: str | Path, recordings: Iterable[tuple[str | Path, str | None]]) -> list[str | None]:
    """The patient of each recording of a data folder; None where nothing says whom it is of.

    Args:
        folder: the data folder; tables in it and in the folders down to a recording's own are read.
        recordings: path and patient of the header, if it names one, of each.

    Of folders, those below the data folder count. Header and table name patients in one way, and so both may be used
    for the same patient; of equal identifiers in two data sets it is not known that they are two patients, and they are
    kept together.
    """
    folder = Path(os.path.abspath(folder))
    tables: dict[Path, dict[str, str]] = {}
    patients = []
    for path, of_header in recordings:
        path = Path(os.path.abspath(path))
        inner = path.relative_to(folder) if path.is_relative_to(folder) else path.name
        patient = known_patient(of_header) or patient_of_folder(inner)
        parent = path.parent
        while patient is None:
            table = tables.setdefault(parent, read_patient_tables(parent) if parent not in tables else {})
            keys = (_key(name, parent) for name in (path.relative_to(parent).as_posix(), path.name))
            patient = next((table[key] for key in keys if key in table), None)
            if parent in (folder, parent.parent):
                break
            parent = parent.parent
        patients.append(patient)
    return patients
