"""Real recordings that may be learned from with attribution, and what each of their sources says of the classes.

- ``challenge``: PhysioNet/CinC Challenge 2021 (CC BY 4.0), by the codes in its headers.
- ``ptbxl``: PTB-XL (CC BY 4.0), a copy whose voltages are lost, by the statements of its table.
- ``ludb``: Lobachevsky University Database (ODC-By 1.0), by the columns of its table.
- ``af_2017``: PhysioNet/CinC Challenge 2017 (ODC-By 1.0), one lead, taken for lead I, by its table of references.

What a source does not annotate is NaN, so that its absence there is not learned.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from leadset.classes import LabelSpace
from leadset.recordings import find_recordings
from leadset.store.packed import StoredRecording

#: PTB-XL's statements by the class of the Challenge that they belong to.
PTBXL_STATEMENTS: dict[str, str] = {
    "SR": "NSR", "AFIB": "AF", "AFLT": "AFL", "1AVB": "IAVB", "STACH": "STach", "SBRAD": "SB", "SARRH": "SA",
    "CLBBB": "LBBB", "CRBBB": "RBBB", "IRBBB": "IRBBB", "IVCD": "NSIVCB", "LAFB": "LAnFB", "LPR": "LPR", "PVC": "PVC",
    "PAC": "PAC", "INVT": "TInv", "NDT": "TAb", "NT_": "TAb", "LOWT": "TAb", "TAB_": "TAb", "QWAVE": "QAb",
    "LVOLT": "LQRSV", "LNGQT": "LQT", "PACE": "PR",
}  # fmt: skip
#: Classes that are read from voltages, which the copy has lost.
PTBXL_LOST = ("LQRSV", "LAD", "RAD", "PRWP")
#: Beginnings of LUDB's entries, in small letters, by the class they belong to.
LUDB_ENTRIES: dict[str, str] = {
    "sinus rhythm": "NSR", "sinus bradycardia": "SB", "sinus tachycardia": "STach", "sinus arrhythmia": "SA",
    "irregular sinus rhythm": "SA", "atrial fibrillation": "AF", "atrial flutter": "AFL",
    "electric axis of the heart: left axis deviation": "LAD", "electric axis of the heart: right axis": "RAD",
    "incomplete right bundle": "IRBBB", "complete right bundle": "RBBB", "complete left bundle": "LBBB",
    "left anterior hemiblock": "LAnFB", "i degree av block": "IAVB", "non-specific intravintricular": "NSIVCB",
    "ventricular extrasystole": "PVC", "atrial extrasystole": "PAC", "pacemaker": "PR", "unipolar": "PR",
    "bipolar": "PR", "biventricular": "PR",
}  # fmt: skip
#: What the references of 2017 say of classes: normal, fibrillation and other rhythms; noise is left out.
AF_2017_CLASSES: dict[str, dict[str, float]] = {
    "N": {"NSR": 1, "AF": 0, "AFL": 0},
    "A": {"AF": 1, "NSR": 0, "IAVB": 0},
    "O": {"AF": 0},
}
#: Names that headers give leads: the device of 2017 recorded between both hands, as lead I does.
LEAD_NAMES = {"ECG": "I"}
SOURCES = ("challenge", "ptbxl", "ludb", "af_2017")


def headers_of(data: Path, source: str) -> list[Path]:
    """Headers of the recordings of one of `SOURCES`; none where the data folder does not have it.

    Args:
        data: folder with ``challenge/training``, ``ptbxl``, ``ludb`` and ``af_2017``.
        source: which.
    """
    folder = data / {"challenge": "challenge/training"}.get(source, source)
    if not folder.is_dir():
        return []
    if source == "ptbxl":
        return sorted(folder / f"{row['filename_lr']}.hea" for row in _table(folder / "ptbxl_database.csv"))
    if source == "af_2017":
        return [folder / f"{name}.hea" for name, rhythm in _references(folder).items() if rhythm in AF_2017_CLASSES]
    return sorted(find_recordings(folder))


def _table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _references(folder: Path) -> dict[str, str]:
    with open(folder / "REFERENCE.csv", newline="", encoding="utf-8") as file:
        return dict(csv.reader(file))


def source_of(data: Path, recording: StoredRecording) -> str:
    """Which of `SOURCES` a recording below the data folder is from."""
    return Path(recording.path).relative_to(data).parts[0]


def targets_of(data: Path, recordings: Sequence[StoredRecording], space: LabelSpace) -> np.ndarray:
    """What to learn (n, k) float32 of recordings below the data folder: 1, 0, or NaN where the source does not say."""
    targets = space.targets_for_training(recordings)
    sources = np.array([source_of(data, recording) for recording in recordings])
    for source, values in (("ptbxl", _ptbxl), ("ludb", _ludb), ("af_2017", _af_2017)):
        chosen = np.flatnonzero(sources == source)
        if len(chosen):
            targets[chosen] = values(data / source, [recordings[i].name for i in chosen], space)
    return targets


def _ptbxl(folder: Path, names: Sequence[str], space: LabelSpace) -> np.ndarray:
    table = _table(folder / "ptbxl_database.csv")
    statements = {Path(row["filename_lr"]).name: ast.literal_eval(row["scp_codes"]) for row in table}
    known = set(PTBXL_STATEMENTS.values()) - set(PTBXL_LOST)
    positive = [{PTBXL_STATEMENTS[code] for code in statements[name] if code in PTBXL_STATEMENTS} for name in names]
    return _rows([{name: float(name in one) for name in known} for one in positive], space)


def _ludb(folder: Path, names: Sequence[str], space: LabelSpace) -> np.ndarray:
    entries = {
        row["ID"].strip(): [line.strip().lower() for cell in row.values() for line in cell.split("\n")]
        for row in _table(folder / "ludb.csv")
    }
    known = set(LUDB_ENTRIES.values())
    positive = [
        {name for start, name in LUDB_ENTRIES.items() if any(entry.startswith(start) for entry in entries[recording])}
        for recording in names
    ]
    return _rows([{name: float(name in one) for name in known} for one in positive], space)


def _af_2017(folder: Path, names: Sequence[str], space: LabelSpace) -> np.ndarray:
    references = _references(folder)
    return _rows([AF_2017_CLASSES[references[name]] for name in names], space)


def _rows(values: Iterable[Mapping[str, float]], space: LabelSpace) -> np.ndarray:
    return np.array([[one.get(name, np.nan) for name in space.abbreviations] for one in values], dtype=np.float32)
