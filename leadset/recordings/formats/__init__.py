"""Recordings in the formats of devices and archives: one file for each format, found by its name.

A format's module has ``FORMAT``, a `Format`. What it reads becomes a `Header` that holds the counts as well, so that
whatever reads WFDB recordings reads these too. Libraries are imported when a file of the format is read.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import Contents, Format, Layout, header_of
from leadset.recordings.header import Header
from leadset.utils.modules import import_modules

#: How much of a file is looked at to tell its format.
START = 4096
# Warnings are caught for a whole process: recordings are read by several threads.
_CATCHING = threading.Lock()


@cache
def list_formats() -> tuple[Format, ...]:
    """All formats, sorted by the names of their modules."""
    return tuple(module.FORMAT for module in import_modules(__name__) if hasattr(module, "FORMAT"))


def read_start(path: Path) -> bytes:
    """The first bytes of a file, empty where it cannot be read, or is a pipe that nobody may ever write to."""
    try:
        if not path.is_file():
            return b""
        with open(path, "rb") as file:
            return file.read(START)
    except OSError:
        return b""


def format_of(path: str | Path, start: bytes | None = None) -> Format | None:
    """The format of a file that is not WFDB, told by its content; None where it is of none of these.

    Args:
        path: the file.
        start: its first bytes (`read_start`), where they are known.
    """
    path = Path(path)
    start = read_start(path) if start is None else start
    return next((form for form in list_formats() if start and form.recognises(path, start)), None)


def read_format(
    path: str | Path,
    form: Format,
    lead_names: Mapping[str, str] | None = None,
    layout: Layout | None = None,
) -> Header:
    """Reads a file of a format: the header holds the counts.

    Args:
        path: the file.
        form: its format, as `format_of` tells it.
        lead_names: as for `leadset.recordings.read_recording`.
        layout: what an array does not say about itself; other formats take none.

    Raises:
        ReadError: the library of the format is missing, the file is too large, damaged, or holds no ECG.
    """
    path = Path(path)
    if not form.installed:
        raise ReadError(path, form.name, f"{form.library} to read it: install {form.extra}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ReadError(path, str(error), f"a readable file ({form.name})") from error
    if size > form.most_bytes:
        raise ReadError(path, f"{size} bytes", f"{form.name} of at most {form.most_bytes}")
    try:
        with _CATCHING, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            contents = form.read(path, layout, lead_names)
    except ReadError:
        raise
    except Exception as error:  # libraries meet damaged files with errors of many kinds
        raise ReadError(path, f"{type(error).__name__}: {error}", f"a recording ({form.name})") from error
    contents = replace(contents, flags=(*contents.flags, *map(_flag, caught)))
    return header_of(contents, path, form.name, lead_names)


def _flag(caught: warnings.WarningMessage) -> str:
    """The flag that stands for what a library warned of."""
    if "checksum" in f"{caught.category.__name__} {caught.message}".casefold():
        return "checksum_mismatch"
    is_part = any(words in str(caught.message) for words in ("only the first", "are not loaded"))
    return "first_of_several" if is_part else "not_by_standard"


__all__ = ["Contents", "Format", "Layout", "format_of", "list_formats", "read_format", "read_start"]
