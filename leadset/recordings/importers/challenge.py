"""The eight sources of the Challenge 2021, by name, as PhysioNet nests them or as they were first packed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from leadset.recordings.dataset import DataSet, Item, LeftOut
from leadset.recordings.find import find_recordings
from leadset.recordings.importers.registry import register_importer

# Recordings of each source, and what its first archive called it (Reyna et al., table 2).
_SOURCES = {
    "cpsc_2018": (6877, "WFDB_CPSC2018"),
    "cpsc_2018_extra": (3453, "WFDB_CPSC2018_2"),
    "st_petersburg_incart": (74, "WFDB_StPetersburg"),
    "ptb": (516, "WFDB_PTB"),
    "ptb-xl": (21_837, "WFDB_PTBXL"),
    "georgia": (10_344, "WFDB_Ga"),
    "chapman_shaoxing": (10_247, "WFDB_ChapmanShaoxing"),
    "ningbo": (34_905, "WFDB_Ningbo"),
}
_OLD_NAMES = {old: name for name, (_, old) in _SOURCES.items()}


@register_importer(
    "challenge",
    title="Challenge 2021",
    citation="Reyna et al., Will Two Do? Varying Dimensions in Electrocardiography: The PhysioNet/Computing in "
    "Cardiology Challenge 2021, CinC 48, 2021",
    licence="CC BY 4.0",
)
def open_challenge(folder: Path, task: str, *, sources: str = "") -> DataSet:
    """The recordings below a folder, each of the source that a folder above it is named after.

    Args:
        folder: of the training data.
        task: none.
        sources: names of sources with commas between: these alone.
    """
    wanted = [name.strip() for name in sources.split(",") if name.strip()]
    for name in wanted:
        if name not in _SOURCES:
            raise ValueError(f"{folder}: found the source {name!r}, expected some of {', '.join(_SOURCES)}")
    items, left_out, others = [], [], Counter()
    for path in find_recordings(folder):
        source = _source(path.relative_to(folder.parent))
        if not source:
            others[path.parent.parent.name if path.parent.name[1:].isdigit() else path.parent.name] += 1
        if wanted and source not in wanted:
            left_out.append(LeftOut(str(path.relative_to(folder)), "of none of the wanted sources"))
        else:
            items.append(Item(path, source=source))
    counts = Counter(item.source for item in items)
    remarks = [f"{name}: {counts[name]} of {n} recordings" for name, (n, _) in _SOURCES.items() if counts[name]]
    absent = [name for name in wanted or _SOURCES if not counts[name]]
    remarks += [f"not there: {', '.join(absent)}"] if absent else []
    remarks += [f"{name}: {count} recordings in a folder of none of the sources" for name, count in others.items()]
    published = {"": sum(n for name, (n, _) in _SOURCES.items() if name in (wanted or _SOURCES))}
    return DataSet("challenge", folder, tuple(items), None, tuple(left_out), tuple(remarks), published)


def _source(path: Path) -> str:
    """The innermost folder that is named after a source; empty if there is none."""
    names = [_OLD_NAMES.get(name, name) for name in reversed(path.parts[:-1])]
    return next((name for name in names if name in _SOURCES), "")
