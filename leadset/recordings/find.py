"""Finding recordings in nested folders."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from leadset.recordings.errors import ReadError
from leadset.recordings.foreign import is_signal_file, sort_file, without_header
from leadset.recordings.header import NOTHING, header_lines
from leadset.recordings.names import stem_of
from leadset.recordings.reader import read_header_text, read_recording
from leadset.recordings.segments import is_multi_segment, segment_names


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        headers: of the recordings, or files of other formats that hold them, sorted by path.
        others: files that look like recordings and are not read, with what they are (``"EDF"``), sorted by path.
    """

    headers: list[Path] = field(default_factory=list)
    others: dict[Path, str] = field(default_factory=dict)

    def count_others(self) -> str:
        """The kinds of file that are not read, with how many there are of each."""
        counts = Counter(self.others.values())
        return ", ".join(f"{kind} ({count})" for kind, count in sorted(counts.items()))


def survey(folder: str | Path) -> Found:
    """What is below a folder; hidden files and folders are skipped, links followed once.

    Segments belong to the recording that names them. Warns of folders that cannot be looked into.

    Raises:
        PermissionError: it cannot be looked into.
        FileNotFoundError: no such folder.
        NotADirectoryError: it is a file.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder, expected a folder of recordings (.hea files)")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: a file, expected a folder of recordings (.hea files)")
    visited: set[str] = set()
    closed: list[OSError] = []
    contents, named = Found(), set()
    for root, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        real = os.path.realpath(root)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        _sort(Path(root), [name for name in files if not name.startswith(".")], contents, named)
    if closed and not contents.headers:
        raise closed[0]
    for error in closed:
        warnings.warn(f"{error.filename}: {error.strerror}; what recordings it holds are left out", stacklevel=3)
    contents.headers.sort()
    contents.others = dict(sorted(contents.others.items()))
    return contents


def find_recordings(folder: str | Path) -> list[Path]:
    """All recordings below ``folder``, by header or file of another format, sorted by path, as `survey` finds them.

    Warns of files that look like recordings and are not read.

    Raises:
        OSError: as `survey`.
        ValueError: there is no recording in it.
    """
    contents = survey(folder)
    if not contents.headers:
        others = ""
        if contents.others:
            others = f"; not read: {contents.count_others()}{_why_not(next(iter(contents.others)))}"
        raise ValueError(f"{folder}: no recording in it or below, expected .hea files{others}")
    if contents.others:
        warnings.warn(f"{folder}: not read: {contents.count_others()} (leadset doctor names them)", stacklevel=2)
    return contents.headers


def _why_not(path: Path) -> str:
    """What is wrong with a file that is not read."""
    try:
        read_recording(path)
    except (ReadError, OSError) as error:
        return f", of which the first is {error}"
    return ""


def _sort(folder: Path, files: Iterable[str], contents: Found, named: set[Path]) -> None:
    """Adds what one folder holds; and to ``named`` the signal files that its headers name, there or further below."""
    headers, signals, rest = [], [], []
    for name in files:
        path = folder / name
        (headers if name.lower().endswith(".hea") else signals if is_signal_file(path) else rest).append(path)
    stems = {path.stem for path in signals}
    parts = set()
    # Only a header without a signal file of its name may be one of several segments, or name other files.
    for header in headers:
        if header.stem not in stems:
            segments, signal_files = _named_in(header)
            parts |= segments
            named |= {folder / file for file in signal_files}
    contents.headers += [header for header in headers if header.stem not in parts]
    own = {header.stem for header in headers}
    alone = [path for path in signals if path.stem not in own and path not in named]
    contents.others |= {path: without_header(path) for path in alone}
    _sort_others([path for path in rest if path not in named], own, contents)


def _sort_others(paths: Iterable[Path], stems: set[str], contents: Found) -> None:
    """Adds files of other formats; of several of one stem, which would be answered under one name, the first alone."""
    for path in sorted(paths):
        form, kind = sort_file(path)
        if form is None and kind:
            contents.others[path] = kind
        elif form is not None and stem_of(path) in stems:
            contents.others[path] = f"{form.name} beside a recording of its name"
        elif form is not None:
            stems.add(stem_of(path))
            contents.headers.append(path)


def _named_in(header: Path) -> tuple[set[str], set[str]]:
    """The segments and the signal files that a header names."""
    try:
        text = read_header_text(header)
        if is_multi_segment(text):
            return {name for name, _ in segment_names(text, header) if name != NOTHING}, set()
    except ReadError:
        return set(), set()
    lines = [line.split(maxsplit=1) for line in header_lines(text)[1:]]
    return set(), {line[0] for line in lines if line}
