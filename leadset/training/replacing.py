"""A model folder that holds an entry already: the run says so, and what was the old entry's alone does not stay."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadset.entry.manifest import FILE_NAME, Manifest


@contextmanager
def replacing(folder: Path) -> Iterator[None]:
    """Inside, an entry is written to a model folder; files of the one before that it does not name are then removed.

    After an error all of them stay.
    """
    old = _files_in(folder)
    if old:
        written = time.strftime("%Y-%m-%d %H:%M", time.localtime((folder / FILE_NAME).stat().st_mtime))
        print(f"{folder} holds a finished entry of {written}: it is replaced")
    yield
    for name in old - _files_in(folder):
        (folder / name).unlink(missing_ok=True)


def _files_in(folder: Path) -> set[str]:
    """Names of the files of the entry in a folder, but for `entry.json`; none where there is no entry."""
    try:
        manifest = Manifest.read(folder)
        return {*manifest.files(), *manifest.space_files(folder)}
    except (OSError, ValueError):
        return set()
