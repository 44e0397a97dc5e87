"""Names for what is written beside recordings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def distinct_names(paths: list[Path]) -> list[str]:
    """Stems of files; where one occurs twice, with the names of as many folders before it as tell them apart."""
    files = [path.is_file() or path.suffix in (".hea", ".mat", ".dat") for path in paths]
    parts = [path.with_suffix("").parts if file else path.parts for path, file in zip(paths, files, strict=True)]
    names = [part[-1] for part in parts]
    depth = 1
    while depth < max(map(len, parts)):
        repeated = {name for name, count in Counter(names).items() if count > 1}
        if not repeated:
            break
        depth += 1
        names = ["_".join(part[-depth:]) if name in repeated else name for name, part in zip(names, parts, strict=True)]
    return names
