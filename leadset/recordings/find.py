"""Finding recordings in nested folders."""

from __future__ import annotations

import os
import warnings
from pathlib import Path


def find_recordings(folder: str | Path) -> list[Path]:
    """All header files below ``folder``, sorted by path; hidden files and folders are skipped, links followed once.

    Warns of folders that cannot be looked into.

    Raises:
        PermissionError: it cannot be looked into.
        FileNotFoundError: no such folder.
        NotADirectoryError: it is a file.
        ValueError: there is no header in it.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder, expected a folder of recordings (.hea files)")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: a file, expected a folder of recordings (.hea files)")
    visited: set[str] = set()
    headers: list[Path] = []
    closed: list[OSError] = []
    for root, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        real = os.path.realpath(root)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        headers += [Path(root, name) for name in files if name.lower().endswith(".hea") and not name.startswith(".")]
    if closed and not headers:
        raise closed[0]
    for error in closed:
        warnings.warn(f"{error.filename}: {error.strerror}; what recordings it holds are left out", stacklevel=2)
    if not headers:
        raise ValueError(f"{folder}: no recording in it or below, expected .hea files")
    return sorted(headers)
