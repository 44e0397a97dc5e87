"""LUDB as PhysioNet publishes it: `ludb.csv` and the recordings in `data`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from leadset.classes import label_space
from leadset.recordings.dataset import DataSet, Item, LeftOut, examples
from leadset.recordings.importers.registry import register_importer
from leadset.recordings.importers.tables import Files, age_and_sex, read_rows

_TABLE = "ludb.csv"


@register_importer(
    "ludb",
    title="LUDB",
    citation="Kalyakulina et al., LUDB: A New Open-Access Validation Tool for Electrocardiogram Delineation "
    "Algorithms, IEEE Access 8, 2020",
    licence="ODC-By 1.0",
    published={"": 200},
    tasks={"rhythm": "ludb_rhythm"},
    mark=_TABLE,
)
def open_ludb(folder: Path, task: str) -> DataSet:
    """The recordings with one of the rhythms.

    Args:
        folder: with the table and `data`.
        task: the only one.
    """
    space, files, items, left_out, other = label_space("ludb_rhythm"), Files(), [], [], Counter()
    for line, row in read_rows(folder / _TABLE, ("ID", "Sex", "Age", "Rhythms")):
        name = row["ID"]
        # A comma would end a code in output files.
        rhythms = [words.strip().replace(",", "") for words in row["Rhythms"].splitlines() if words.strip()]
        codes = tuple(dict.fromkeys(words for words in rhythms if words in space.index))
        other.update(words for words in rhythms if words not in space.index)
        path = folder / "data" / f"{name}.hea"
        age, sex, _ = age_and_sex(row["Age"], row["Sex"])
        if not name or not files.complete(path):
            left_out.append(LeftOut(f"{name or _TABLE + f', line {line}'}", "no header and signal of this name"))
        elif not codes:
            left_out.append(LeftOut(name, "none of the rhythms of the task"))
        else:
            items.append(Item(path, codes, name, source="ludb", age=age, sex=sex))
    named = [f"{words} ({n})" for words, n in other.most_common()]
    remarks = (f"{len(other)} statements of the column Rhythms are no class: {examples(named)}",) if other else ()
    return DataSet("ludb", folder, tuple(items), space, tuple(left_out), remarks)
