"""The Challenge 2017: single-lead recordings, and `REFERENCE.csv` with normal, AF, other and noisy."""

from __future__ import annotations

from pathlib import Path

from leadset.classes import label_space
from leadset.recordings.dataset import DataSet, Item, LeftOut
from leadset.recordings.importers.registry import register_importer
from leadset.recordings.importers.tables import Files, read_lines

# Newest revision of the labels first.
_TABLES = ("REFERENCE-v3.csv", "REFERENCE-v2.csv", "REFERENCE.csv")
_FOLDERS = (".", "training2017")


@register_importer(
    "af_2017",
    title="Challenge 2017",
    citation="Clifford et al., AF Classification from a Short Single Lead ECG Recording: the PhysioNet/Computing in "
    "Cardiology Challenge 2017, CinC 44, 2017",
    licence="ODC-By 1.0",
    published={"": 8528},
    tasks={"rhythm": "cinc2017"},
)
def open_af_2017(folder: Path, task: str) -> DataSet:
    """The recordings that the newest table of labels names.

    Args:
        folder: with the table; the recordings are beside it or in `training2017`.
        task: the only one.
    """
    tables = [folder / inside / name for name in _TABLES for inside in _FOLDERS]
    table = next((path for path in tables if path.is_file()), None)
    if table is None:
        raise FileNotFoundError(f"{folder}: no table of labels, expected {_TABLES[0]} or {_TABLES[-1]} in it")
    space, files, items, left_out, named = label_space("cinc2017"), Files(), [], [], set()
    for line, row in read_lines(table):
        if len(row) < 2:
            raise ValueError(f"{table}, line {line}: found {row}, expected a name and a label")
        name, label = row[0].strip(), row[1].strip()
        paths = [place / inside / f"{name}.hea" for place in (table.parent, folder) for inside in _FOLDERS]
        path = next((path for path in paths if files.complete(path)), None)
        if path is None or name in named:
            left_out.append(LeftOut(name, "named twice" if path else "no header and signal of this name"))
        elif label not in space.index:
            left_out.append(LeftOut(name, f"label {label!r}, which is none of {', '.join(space.index)}"))
        else:
            items.append(Item(path, (label,), name, source="af_2017"))
        named.add(name)
    return DataSet("af_2017", folder, tuple(items), space, tuple(left_out), (f"labels of {table.name}",))
