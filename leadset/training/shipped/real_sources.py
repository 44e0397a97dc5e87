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
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from leadset.classes import CHALLENGE, LabelSpace, label_space
from leadset.preprocess import Transform
from leadset.recordings import find_recordings
from leadset.store.groups import patient_groups
from leadset.store.packed import Store, StoredRecording, build_store
from leadset.training.data import split_recordings
from leadset.training.shipped.rehearsal import some_of
from leadset.utils.files import write_atomically

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
FOLDS, SPLIT_SEED = 5, 2021


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


# --- prepared -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RealData:
    """Real recordings of several sources.

    Attributes:
        folder: the data folder.
        stores: by transform; recording i is the same one in each.
        targets: (n, k) 1, 0, or NaN where nobody knows.
        sources: (n,) of `SOURCES`.
        groups: (n,) number of each recording's patient.
        folds: (n,) fold of each.
    """

    folder: Path
    stores: dict[Transform, Store]
    targets: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    folds: np.ndarray

    @property
    def names(self) -> list[str]:
        """Path of each recording's header below the data folder, without its extension."""
        paths = (Path(recording.path) for recording in next(iter(self.stores.values())).recordings)
        return [path.relative_to(self.folder).with_suffix("").as_posix() for path in paths]


def load_real_data(folder: Path, work: Path, transforms: Sequence[Transform], scale: float = 1.0) -> RealData:
    """Prepares the recordings of a data folder, and divides them into folds.

    Args:
        folder: as of `headers_of`.
        work: where what is prepared is kept.
        transforms: that networks want.
        scale: share of the recordings of each source, for a rehearsal.

    Raises:
        ValueError: there is none.
    """
    paths = [path for source in SOURCES for path in some_of(headers_of(folder, source), scale)]
    if not paths:
        raise ValueError(f"{folder}: found none of {', '.join(SOURCES)}, expected recordings to learn from")
    cache, space = work / "store", label_space(CHALLENGE)
    stores = {t: build_store(paths, t, cache, 1, lead_names=LEAD_NAMES) for t in dict.fromkeys(transforms)}
    failed = {failure.path for store in stores.values() for failure in store.failures}
    stores = {transform: store.without(failed) for transform, store in stores.items()}
    recordings = next(iter(stores.values())).recordings
    targets = targets_of(folder, recordings, space)
    groups = _groups(next(iter(stores.values())), folder, work)
    folds = split_recordings(recordings, np.nan_to_num(targets) > 0, groups, [1] * FOLDS, SPLIT_SEED)
    return RealData(folder, stores, targets, np.array([source_of(folder, r) for r in recordings]), groups, folds)


def _groups(store: Store, folder: Path, work: Path) -> np.ndarray:
    """Number of each recording's patient, kept in a file, as comparing all with all takes minutes."""
    digest = blake2b("".join(recording.digest for recording in store.recordings).encode(), digest_size=8).hexdigest()
    file = work / f"groups-{digest}.npy"
    if not file.exists():
        with write_atomically(file, "wb") as opened:
            np.save(opened, patient_groups(store, folder))
    return np.load(file)
