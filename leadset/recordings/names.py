"""Names for what is written beside recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def stem_of(path: str | Path) -> str:
    """The name of a recording's file without its ending. A number is none: DICOM names files `1.2.840.7`."""
    path = Path(path)
    return path.name if path.suffix[1:].isdigit() else path.stem


def distinct_names(paths: Sequence[Path], own: Sequence[str] = ()) -> list[str]:
    """Stems of files; where one occurs twice, with the names of as many folders before it as tell them apart.

    Files of one folder and stem have their ending behind it; a file that is named twice keeps its name.

    Args:
        paths: of the files.
        own: a name for each of them that it keeps where no other has it.
    """
    beside = Counter((path.parent, stem_of(path)) for path in set(paths))
    parts = []
    for path in paths:
        is_file = path.is_file() or path.suffix in (".hea", ".mat", ".dat")
        name = stem_of(path) if is_file else path.name
        if is_file and beside[path.parent, name] > 1:
            name += f"_{path.suffix[1:]}"
        parts.append((*path.parts[:-1], name))
    names, depth = list(own or (part[-1] for part in parts)), 0
    while depth < max(map(len, parts), default=0):
        named = Counter(name for _, name in set(zip(paths, names, strict=True)))
        repeated = {name for name, count in named.items() if count > 1}
        if not repeated:
            break
        depth += 1
        names = ["_".join(part[-depth:]) if name in repeated else name for name, part in zip(names, parts, strict=True)]
    return names
