"""Importers of published data sets, one file each, and `open_dataset`, which finds the one that is asked for."""

from __future__ import annotations

import re
from pathlib import Path

from leadset.recordings.dataset import DataSet, Item
from leadset.recordings.find import find_recordings
from leadset.recordings.formats import format_of
from leadset.recordings.importers.registry import Importer, importer, importer_for, list_importers, register_importer
from leadset.recordings.importers.table import TABLE_ENDINGS, is_table

__all__ = ["Importer", "importer", "is_data_set", "list_importers", "may_be_table", "open_dataset", "register_importer"]

# A file with this ending is a table of recordings.
_TABLE = "table"
_NAMED = re.compile(r"([A-Za-z]\w+):(.+)")


def is_data_set(name: str | Path) -> bool:
    """Whether it is ``NAME:FOLDER`` or a table of recordings, rather than a folder or a file of a recording."""
    path = Path(name)
    return is_table(path) if path.exists() else _NAMED.fullmatch(str(name)) is not None


def may_be_table(name: str | Path) -> bool:
    """Whether it is a file with the ending of a table that is no array: a table whose columns have other names."""
    path = Path(name)
    if path.suffix.casefold() not in TABLE_ENDINGS or not path.is_file():
        return False
    form = format_of(path)
    return form is None or not form.is_found(path)


def open_dataset(data: str | Path | DataSet, task: str | None = None, **options: str) -> DataSet:
    """The recordings that a data set consists of, with labels, patients and folds.

    Args:
        data: ``NAME:FOLDER`` (``ptbxl:/data/ptb-xl``), with NAME one of `list_importers`; a table of recordings (CSV or
            Parquet, as importer ``table``); any other folder of recordings, whose labels are those of the headers. A
            data set that is open is returned as it is.
        task: which of the importer's tasks; by default its first one.
        options: of the importer.

    Raises:
        OSError: no such folder or file, or it cannot be read.
        ValueError: no such importer, task or option, no recording, a table that is none of the data set's, or one that
            only an importer of its own can read.
    """
    if isinstance(data, DataSet):
        return data
    named = _NAMED.fullmatch(str(data)) if not Path(data).exists() else None
    name, path = (named[1], Path(named[2])) if named else ("", Path(data))
    if not name and path.is_file() and path.suffix.casefold() in TABLE_ENDINGS:
        name = _TABLE
        known = importer_for(path.parent)
        if known and known.mark == path.name and not options:
            raise ValueError(f"{path}: found a table of {known.title}, try {known.name}:{path.parent}")
    if name:
        chosen = importer(name)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder, expected {chosen.title}")
        return chosen.open(path, task, **options)
    if path.suffix.casefold() in TABLE_ENDINGS and not path.exists():
        raise FileNotFoundError(f"{path}: no such file, expected a table of recordings")
    for given in (["task"] if task is not None else []) + list(options):
        raise ValueError(f"{data}: found {given}, expected none: the labels of a plain folder are its headers'")
    known = importer_for(path)
    remarks = (f"this looks like {known.title}, try {known.name}:{path}",) if known else ()
    return DataSet("", path, tuple(Item(header) for header in find_recordings(path)), remarks=remarks)
