"""What goes wrong with a recording, and what is merely worth knowing about it."""

from __future__ import annotations

import re
from pathlib import Path


def reason(path: str | Path, error: Exception) -> str:
    """Why a recording cannot be used, as a message that names a file."""
    return str(error) if isinstance(error, ReadError) else f"{path}: {str(error) or type(error).__name__}"


def kind_of(text: str, name: str) -> str:
    """A reason without what is of one recording alone, its name and numbers: equal for recordings of one fault."""
    named = rf"(?<!\w){re.escape(name)}(?!\w)" if name else r"\0"
    return re.sub(r"\d+", "#", re.sub(named, "…", text))


# Characters of what was found that a message shows.
_LONGEST = 1000


class ReadError(ValueError):
    """A recording that cannot be read: names the file, the line where there is one, what was found and expected.

    Attributes:
        path: the file at fault, as text.
        line: its line number, counted from 1, or None.
    """

    def __init__(self, path: str | Path, found: str, expected: str, line: int | None = None) -> None:
        # All four reach `args`, so that the error survives pickling on its way back from a worker process.
        super().__init__(str(path), found, expected, line)
        self.path = str(path)
        self.line = line

    def __str__(self) -> str:
        path, found, expected, line = self.args
        found = found if len(found) <= _LONGEST else f"{found[:_LONGEST]}…"
        where = path if line is None else f"{path}, line {line}"
        return f"{where}: found {found}, expected {expected}"
