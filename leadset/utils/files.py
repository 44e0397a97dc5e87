"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def write_atomically(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Opens a temporary file beside ``path`` that takes its place when the block ends without an error.

    The folder is made if missing. After an error or a kill, ``path`` is what it was before. Text is UTF-8; in names of
    files that are none, their bytes stay.

    Raises:
        OSError: the file cannot be written; as far as that can be known, before the block is entered.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, expected a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    try:
        with open(temporary, mode, **text) as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
