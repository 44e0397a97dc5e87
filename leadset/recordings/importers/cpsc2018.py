"""The China Physiological Signal Challenge 2018: `REFERENCE.csv` with MATLAB structs, or the form of the Challenge.

Liu et al., An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm and Morphology Abnormality
Detection, J. Med. Imaging Health Inform. 8(7), 2018. Each file holds a struct `ECG` of `sex`, `age` and `data`: 12
leads in standard order, in millivolts at 500 Hz.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leadset.classes import label_space
from leadset.leads import LEADS
from leadset.recordings.dataset import DataSet, Item, LeftOut, examples
from leadset.recordings.errors import ReadError
from leadset.recordings.find import find_recordings
from leadset.recordings.importers.registry import register_importer
from leadset.recordings.importers.tables import age_and_sex, read_rows, whole_number
from leadset.recordings.matlab import describe, list_variables
from leadset.recordings.matlab_files import Variable
from leadset.recordings.reader import Recording, header_path, read_recording

_TABLE, _FS, _STRUCT = "REFERENCE.csv", 500.0, "ECG"
_LABELS = ("First_label", "Second_label", "Third_label")
# Labels 1 to 9 are normal, AF, I-AVB, LBBB, RBBB, PAC, PVC, STD, STE.
_CODES = dict(zip(
    "123456789",
    ("426783006", "164889003", "270492004", "164909002", "59118001", "284470004", "164884008", "429622005",
     "164931005"),
    strict=True,
))  # fmt: skip


# Recordings with each label, the first or a later one: the Challenge 2021's table of diagnoses, column CPSC.
_COUNTS = dict(zip(_CODES.values(), (918, 1221, 722, 236, 1857, 616, 700, 869, 220), strict=True))


@register_importer(
    "cpsc2018",
    title="CPSC2018",
    citation="Liu et al., An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm and "
    "Morphology Abnormality Detection, J. Med. Imaging Health Inform. 8(7), 2018",
    licence="CC BY 4.0 in the form of the Challenge; the original release names none",
    published={"": 6877},
    tasks={"cpsc2018": "cpsc2018"},
    classes={"cpsc2018": {"": _COUNTS}},
)
def open_cpsc2018(folder: Path, task: str) -> DataSet:
    """The recordings of either release: those of `REFERENCE.csv`, or without one those with headers.

    Args:
        folder: of the training sets, below which tables and files lie.
        task: the only one.
    """
    space, tables = label_space(task), sorted(folder.rglob(_TABLE))
    if not tables:
        items = tuple(Item(path, source="cpsc_2018") for path in find_recordings(folder))
        return DataSet("cpsc2018", folder, items, space)
    files: dict[str, Path] = {}
    twice: list[LeftOut] = []
    for path in sorted(folder.rglob("*.mat")):
        if path.stem in files:
            twice.append(LeftOut(str(path.relative_to(folder)), "a recording of this name is in another folder"))
        files.setdefault(path.stem, path)
    items, left_out, unknown = [], twice, []
    named = set()
    for table in tables:
        for line, row in read_rows(table, ("Recording", _LABELS[0])):
            name = row["Recording"]
            labels = [label for column in _LABELS if (label := whole_number(row.get(column)))]
            codes = tuple(dict.fromkeys(_CODES[label] for label in labels if label in _CODES))
            unknown += [f"{label} ({name})" for label in labels if label not in _CODES]
            if name in named:
                left_out.append(LeftOut(name, f"named again in {table.relative_to(folder)}, line {line}"))
            elif name not in files:
                left_out.append(LeftOut(name, "no file of this name"))
            elif not codes:
                left_out.append(LeftOut(name, f"no label of 1 to 9 in {_TABLE}"))
            else:
                path = header_path(files[name])
                path = path if path.is_file() else files[name]
                items.append(Item(path, codes, name, source="cpsc_2018"))
            named.add(name)
    left_out += [LeftOut(name, f"not in {_TABLE}") for name in files.keys() - named]
    remarks = (f"{len(unknown)} labels are none of 1 to 9: {examples(unknown)}",) if unknown else ()
    return DataSet("cpsc2018", folder, tuple(items), space, tuple(sorted(left_out)), remarks, read=read_struct)


def read_struct(path: Path, lead_names: Mapping[str, str] | None = None) -> Recording:
    """Reads a recording with a header, or the struct of a MATLAB file without one.

    Raises:
        ReadError: the file is missing or damaged, or has no such struct.
    """
    if path.suffix.casefold() == ".hea":
        return read_recording(path, lead_names)
    variables = list_variables(path)
    struct = variables.get(_STRUCT)
    fields = struct.value if struct is not None and isinstance(struct.value, Mapping) else {}
    if "data" not in fields:
        raise ReadError(path, f"variables {describe(variables)}", f"a struct `{_STRUCT}` of sex, age, data")
    signal_mv = fields["data"].value
    is_matrix = isinstance(signal_mv, np.ndarray) and signal_mv.ndim == 2 and signal_mv.size
    if not is_matrix or len(signal_mv) != len(LEADS):
        content = f"`data` of {fields['data'].kind}, shape {fields['data'].shape}"
        raise ReadError(path, content, f"numbers ({len(LEADS)}, samples)")
    age, sex, flags = age_and_sex(*(_text(fields.get(name)) for name in ("age", "sex")))
    return Recording(signal_mv.astype(np.float32), _FS, LEADS, path.stem, age, sex, flags=flags, path=path)


def _text(variable: Variable | None) -> str:
    if variable is None or variable.value is None or isinstance(variable.value, Mapping):
        return ""
    if isinstance(variable.value, str):
        return variable.value.strip()
    return str(variable.value.reshape(-1)[0]) if variable.value.size else ""
