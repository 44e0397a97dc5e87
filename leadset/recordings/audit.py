"""The facts of every recording of a folder, gathered in parallel."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from leadset.classes import LabelSpace
from leadset.preprocess import Transform, prepare, preparing_flags
from leadset.recordings.dataset import DataSet, Item, Reader
from leadset.recordings.duplicates import (
    FS,
    NO_HEARTBEATS,
    Heartbeats,
    beginning,
    comparable,
    heartbeats,
    same_recordings,
)
from leadset.recordings.errors import reason
from leadset.recordings.header import Header
from leadset.recordings.names import stem_of
from leadset.recordings.patients import find_patients
from leadset.recordings.reader import Recording, assemble, read_header, read_recording
from leadset.recordings.segments import read_raw
from leadset.recordings.signals import checksum_mismatches, signal_hash
from leadset.utils.files import write_atomically

# Recordings for which one process is done sooner than worker processes have started.
_FEW = 400


@dataclass(frozen=True)
class Audit:
    """One recording; what could not be found out is empty.

    Attributes:
        path: header file, relative to the audited folder.
        source: its folder, looking through PhysioNet's ``g1`` … ``gN``; ``.`` for the audited folder itself.
        name: record name. dialect: of the header, see `Header`.
        fs: sampling rate in Hz. seconds: duration. samples: per lead, as in the file.
        leads: names in file order. age: years. sex, codes: as in the header. patient: of header, folder or table.
        scored: abbreviations of the classes of the label space that the codes stand for.
        labels: ``"scored"`` (at least one class), ``"unscored"`` (other diagnoses only) or ``"none"``.
        signal: digest of the counts. duplicate_of: path of the first recording with the same heartbeats (`duplicates`).
        same_stem_as: path of the first header of the same file name in another folder.
        flags: of reading and of preparing.
        error: why training will skip the recording; empty if it will not.
    """

    path: str
    source: str
    name: str = ""
    dialect: str = ""
    fs: float | None = None
    samples: int | None = None
    seconds: float | None = None
    leads: tuple[str, ...] = ()
    age: float | None = None
    sex: str | None = None
    patient: str | None = None
    codes: tuple[str, ...] = ()
    scored: tuple[str, ...] = ()
    labels: str = ""
    signal: str = ""
    duplicate_of: str = ""
    same_stem_as: str = ""
    flags: tuple[str, ...] = ()
    error: str = ""


def audit_recording(
    path: Path, folder: Path, space: LabelSpace, lead_names: Mapping[str, str] | None = None
) -> Audit:
    """Reads and prepares one recording of ``folder`` as training would; never raises on what it finds in the files."""
    return _audited(path, folder, space, lead_names)[0]


def _audited(
    path: Path,
    folder: Path,
    space: LabelSpace,
    lead_names: Mapping[str, str] | None,
    item: Item | None = None,
    read: Reader = read_recording,
) -> tuple[Audit, Heartbeats]:
    """The audit of a recording, and its heartbeats."""
    item = item or Item(path)
    row = Audit(path.relative_to(folder).as_posix(), item.source or _source(path.parent, folder))
    try:
        if read is not read_recording:
            recording = replace(read(path, lead_names), **item.facts())
            row = replace(_about(row, recording, space), signal=signal_hash(recording.signal))
            row = replace(row, samples=recording.signal.shape[1], seconds=recording.seconds)
            flags = recording.flags + preparing_flags(recording.signal, recording.fs, recording.leads)
            return replace(row, flags=flags), heartbeats(_comparable(recording))
        header = replace(read_header(path, lead_names), **item.facts())
        row = replace(_about(row, header, space), dialect=header.dialect)
        raw = read_raw(header, path.parent)
        row = replace(row, samples=raw.shape[1], seconds=raw.shape[1] / header.fs, signal=signal_hash(raw))
        recording = assemble(header, raw, path, path)
        flags = recording.flags + (("checksum_mismatch",) if checksum_mismatches(raw, header) else ())
        row = replace(row, flags=flags)
        row = replace(row, flags=flags + preparing_flags(recording.signal, recording.fs, recording.leads))
        return row, heartbeats(_comparable(recording))
    except Exception as error:  # one bad recording never ends an audit of thousands
        return replace(row, error=reason(path, error)), NO_HEARTBEATS


def _about(row: Audit, subject: Header | Recording, space: LabelSpace) -> Audit:
    """The audit with what a header or a recording says."""
    classes = tuple(itertools.compress(space.abbreviations, space.encode(subject.codes)))
    return replace(
        row, name=subject.name, fs=subject.fs, leads=subject.leads, age=subject.age, sex=subject.sex,
        patient=subject.patient, codes=subject.codes, scored=classes, flags=subject.flags,
        labels="scored" if classes else "unscored" if space.diagnoses(subject.codes) else "none",
    )


def _comparable(recording: Recording) -> np.ndarray:
    prepared = prepare(beginning(recording.signal, recording.fs), recording.fs, recording.leads, Transform(FS))
    return comparable(prepared.samples * prepared.statistics[0, :, None], FS)


def audit_folder(
    folder: str | Path,
    paths: Sequence[Path],
    space: LabelSpace,
    n_jobs: int | None = None,
    lead_names: Mapping[str, str] | None = None,
    data: DataSet | None = None,
) -> list[Audit]:
    """Audits header files below ``folder``, in their order, with duplicates, patients and repeated file names.

    Args:
        folder: what paths are given relative to.
        paths: header files, as `find_recordings` returns them.
        space: the classes.
        n_jobs: worker processes, as joblib counts them; by default this process alone for a few hundred recordings, and
            one per core for more.
        lead_names: as for `leadset.recordings.read_recording`.
        data: the data set whose labels, patients and sources take the place of the headers'.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    if n_jobs is None:
        n_jobs = 1 if len(paths) <= _FEW else -1
    pool = Parallel(n_jobs=n_jobs, return_as="generator")
    read, items = (data.read, data.by_path) if data else (read_recording, {})
    audited = pool(
        delayed(_audited)(path, Path(folder), space, lead_names, items.get(str(path)), read) for path in paths
    )
    audited = tqdm(audited, total=len(paths), desc="audit", unit="rec", disable=None)
    rows, beats = map(list, zip(*audited, strict=True)) if paths else ([], [])
    patients = find_patients(folder, zip(paths, (row.patient for row in rows), strict=True))
    rows = [replace(row, patient=patient) for row, patient in zip(rows, patients, strict=True)]
    return _mark_repeats(rows, same_recordings(beats, lambda i: _comparable(read(paths[i], lead_names))))


def write_csv(rows: Iterable[Audit], path: str | Path) -> None:
    """Writes one line per recording; several values in a field are separated by blanks."""
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Audit)])
        for row in rows:
            values = asdict(row).values()
            writer.writerow([" ".join(value) if isinstance(value, tuple) else value for value in values])


def _source(inner: Path, folder: Path) -> str:
    """The path from the folder that is audited to that of a source, ``g1`` and the like left out; its name where it is
    that folder."""
    last = inner.name
    inner = inner.parent if inner != folder and last[:1] == "g" and last[1:].isdigit() else inner
    return folder.resolve().name if inner == folder else inner.relative_to(folder).as_posix()


def _mark_repeats(rows: Sequence[Audit], pairs: Iterable[tuple[int, int]]) -> list[Audit]:
    """Fills ``duplicate_of`` and ``same_stem_as`` with the first recording of its kind.

    Args:
        rows: in order.
        pairs: (i, j), i < j, of rows with the same heartbeats; those with equal signals are known besides.
    """
    first_signal: dict[str, int] = {}
    first_stem: dict[str, str] = {}
    original = list(range(len(rows)))
    for i, row in enumerate(rows):
        original[i] = first_signal.setdefault(row.signal, i) if row.signal else i
    for i, j in sorted(pairs):
        original[j] = min(original[j], original[i])
    marked = []
    for i, row in enumerate(rows):
        namesake = first_stem.setdefault(stem_of(row.path), row.path)
        row = row if original[i] == i else replace(row, duplicate_of=rows[original[i]].path)
        marked.append(row if namesake == row.path else replace(row, same_stem_as=namesake))
    return marked
