"""A data set: recordings in place, with the labels, patients and folds that its tables give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leadset.classes import LabelSpace
from leadset.recordings.errors import kind_of
from leadset.recordings.header import Header
from leadset.recordings.reader import Recording, read_header, read_recording

#: Reads one file; takes its path and the user's names of leads (as `read_recording`).
Reader = Callable[[Path, Mapping[str, str] | None], Recording]

#: Why recordings are held out of a training.
TEST_FOLD = "held out: test fold"
PATIENT_OF_TEST_FOLD = "held out: another recording of the patient is in the test fold"

# How many names a message lists.
_EXAMPLES = 3


class LeftOut(NamedTuple):
    """A recording that takes no part: which (its path or name), and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Item:
    """One recording of a data set.

    Attributes:
        path: of its header, or of its file where that is of another kind.
        codes: what the data set says of it, as codes of its label space; None: what the header says.
        name: of the recording; empty: that of the file.
        patient, fold: identifiers as text; empty where the data set names none.
        source: the data set that it came from; empty: the name of its folder (`StoredRecording.source`).
        age, sex: years, and ``"female"`` or ``"male"``; None: as the header says.
    """

    path: Path
    codes: tuple[str, ...] | None = None
    name: str = ""
    patient: str = ""
    fold: str = ""
    source: str = ""
    age: float | None = None
    sex: str | None = None

    @property
    def called(self) -> str:
        """Its name, or that of its file."""
        return self.name or self.path.stem

    @property
    def labelled_apart(self) -> bool:
        """Whether its labels come from a table that names no source, and so not from what its folder is called."""
        return self.codes is not None and not self.source

    def facts(self) -> dict[str, object]:
        """What replaces the facts of the file: attributes of `Recording` and `StoredRecording`, by name."""
        given = {"codes": self.codes, "age": self.age, "sex": self.sex}
        named = {"name": self.name or None, "patient": self.patient or None}
        return {key: value for key, value in {**given, **named}.items() if value is not None}


@dataclass(frozen=True)
class DataSet:
    """Recordings, and what is known of them as a whole.

    Attributes:
        name: of its importer; empty for a folder without one.
        folder: where it lies; patients' tables are looked for from here down (`leadset.recordings.patients`).
        items: one for each recording, of distinct paths.
        label_space: the classes that the codes are of; None: that of the configuration.
        left_out: recordings that its tables name and that take no part.
        remarks: what else is odd about it, a sentence each.
        published: number of recordings by release, as its authors give it.
        test_folds: the folds that its authors test on.
        title, citation, licence: of its publication.
        read: reads one of its files.
        published_classes: the published number of each class, by release and code.
        opened: what messages call it; by default its importer and folder.
    """

    name: str
    folder: Path
    items: tuple[Item, ...]
    label_space: LabelSpace | None = None
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()
    published: Mapping[str, int] = field(default_factory=dict)
    test_folds: tuple[str, ...] = ()
    title: str = ""
    citation: str = ""
    licence: str = ""
    read: Reader = read_recording
    published_classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    opened: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def __str__(self) -> str:
        return self.opened or (f"{self.name}:{self.folder}" if self.name else str(self.folder))

    @cached_property
    def paths(self) -> list[Path]:
        """Path of each recording, sorted."""
        return sorted(item.path for item in self.items)

    @cached_property
    def by_path(self) -> dict[str, Item]:
        """The recordings by path, as text."""
        return {str(item.path): item for item in self.items}

    @property
    def official_folds(self) -> tuple[str, ...]:
        """Names of the folds that it gives its recordings, numbers in their order; empty where it gives none."""
        return tuple(sorted({item.fold for item in self.items if item.fold}, key=fold_order))

    def in_folds(self, folds: Collection[str]) -> list[str]:
        """Paths, as text, of the recordings of some folds.

        Raises:
            ValueError: it has no such fold.
        """
        for name in folds:
            if name not in self.official_folds:
                known = f"one of {', '.join(self.official_folds)}" if self.official_folds else "none: it has no folds"
                raise ValueError(f"{self}: found fold {name!r}, expected {known}")
        return [str(item.path) for item in self.items if item.fold in folds]

    def of_patients_of(self, paths: Collection[str]) -> list[str]:
        """Paths, as text, of the other recordings of patients that some recordings are of."""
        given = set(paths)
        patients = {self.by_path[path].patient for path in given} - {""}
        return [path for path, item in self.by_path.items() if item.patient in patients and path not in given]

    def part(self, folds: Collection[str]) -> DataSet:
        """The recordings of some folds; all of them where none is named.

        Raises:
            ValueError: it has no such fold.
        """
        return self.of(self.in_folds(folds)) if folds else self

    def of(self, paths: Iterable[str | Path]) -> DataSet:
        """The recordings of these paths."""
        return replace(self, items=tuple(self.by_path[str(path)] for path in paths))

    def header(self, path: Path, lead_names: Mapping[str, str] | None = None) -> Header | None:
        """The header of a recording; None where its files are of a kind that only its importer reads.

        Raises:
            ReadError: it is none.
        """
        return read_header(path, lead_names) if self.read is read_recording else None

    def codes(self, path: Path) -> tuple[str, ...]:
        """What is said of a recording, by the data set or else by its header.

        Raises:
            ReadError: it cannot be read.
        """
        given = self.by_path[str(path)].codes
        if given is not None:
            return given
        header = self.header(path)
        return self.read(path, None).codes if header is None else header.codes

    def recording(self, path: str | Path, lead_names: Mapping[str, str] | None = None) -> Recording:
        """Reads one of its recordings, with the facts that the data set gives.

        Raises:
            ReadError: its files are missing or damaged.
        """
        return replace(self.read(Path(path), lead_names), **self.by_path[str(path)].facts())

    def summary(self) -> str:
        """How many recordings there are beside the published number, and every sort of what was left out."""
        published = f" ({_as_published(self.published)})" if self.published else ""
        space = f", {len(self.label_space)} classes of {self.label_space.name}" if self.label_space else ""
        lines = [f"{self.title or self}: {len(self)} recordings{published}{space}", *self._classes_beside_published()]
        lines += [f"  left out: {line}" for line in counted(self.left_out)]
        return "\n".join([*lines, *(f"  {remark}" for remark in self.remarks)])

    def _classes_beside_published(self) -> list[str]:
        """A line with the number of recordings of each class beside the published one, where both are known."""
        if not self.published_classes or any(item.codes is None for item in self.items):
            return []
        counts = Counter(code for item in self.items for code in item.codes)
        by_code = {}
        for release, numbers in self.published_classes.items():
            for code, number in numbers.items():
                by_code.setdefault(code, {})[release] = number
        names = dict(zip(self.label_space.keys, self.label_space.abbreviations, strict=True))
        each = [f"{names.get(c, c)} {counts[c]} ({_as_published(numbers)})" for c, numbers in by_code.items()]
        return [f"  by class: {', '.join(each)}"]


def _as_published(numbers: Mapping[str, int]) -> str:
    """The numbers of releases, as text."""
    each = [f"{number} in {release}" if release else str(number) for release, number in numbers.items()]
    return f"published: {', '.join(each)}"


def counted(left_out: Iterable[LeftOut]) -> list[str]:
    """A line for each kind of reason: how many recordings it is of, the first one's reason, and the first of them."""
    kinds: dict[str, list[LeftOut]] = {}
    for one in left_out:
        kinds.setdefault(kind_of(one.reason, Path(one.what).stem), []).append(one)
    return [f"{len(kind)} × {kind[0].reason}: {examples([one.what for one in kind])}" for kind in kinds.values()]


def examples(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + more


def fold_order(name: str) -> tuple[bool, int, str]:
    """Sorts numbers by their value, in front of words."""
    return (not name.isdigit(), int(name) if name.isdigit() else 0, name)


def remarks_on_folds(items: Sequence[Item], space: LabelSpace | None) -> list[str]:
    """What is wrong with a data set and its folds: patients in several folds, classes without positives."""
    folds: dict[str, set[str]] = {}
    for item in items:
        if item.patient and item.fold:
            folds.setdefault(item.patient, set()).add(item.fold)
    shared = sorted(patient for patient, names in folds.items() if len(names) > 1)
    lines = []
    if shared:
        named = [f"{patient} ({', '.join(sorted(folds[patient], key=fold_order))})" for patient in shared]
        lines.append(f"{len(shared)} patients have recordings in several folds: {examples(named)}")
    known = space is not None and any(item.codes is not None for item in items)
    return lines + (_classes_without_positives(items, space) if known else [])


def _classes_without_positives(items: Sequence[Item], space: LabelSpace) -> list[str]:
    """Names of the classes that no recording has, and of those that none of some fold has."""
    by_fold: dict[str, set[str]] = {}
    for item in items:
        by_fold.setdefault(item.fold, set()).update(item.codes or ())
    present = {fold: space.encode(codes) for fold, codes in by_fold.items()}
    anywhere = np.any(list(present.values()), axis=0)
    lines = []
    if not anywhere.all():
        absent = [space.abbreviations[i] for i in np.flatnonzero(~anywhere)]
        lines.append(f"{len(absent)} classes have no positive recording: {', '.join(absent)}")
    present.pop("", None)
    folds = sorted(present, key=fold_order)
    partly = {
        space.abbreviations[i]: [fold for fold in folds if not present[fold][i]] for i in np.flatnonzero(anywhere)
    }
    partly = {name: lacking for name, lacking in partly.items() if lacking}
    if partly:
        named = [f"{name} (fold {' '.join(lacking)})" for name, lacking in partly.items()]
        lines.append(f"{len(partly)} classes have no positive recording in some fold: {', '.join(named)}")
    return lines


def remarks_on_codes(items: Iterable[Item], space: LabelSpace) -> list[str]:
    """Labels that are no class of the label space, each with how many recordings have it."""
    counts = Counter(code for item in items for code in item.codes or ())
    unknown = [(code, n) for code, n in counts.most_common() if not space.encode_for_training([code]).any()]
    if not unknown:
        return []
    named = [f"{code} ({n})" for code, n in unknown]
    return [f"{len(unknown)} labels are no class of {space.name}: {examples(named)}"]
