"""What is in a data set: counts of classes, subjects, durations, rates, leads, sources and folds.

Only counts are kept of a recording, so that many recordings take the memory of one.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leadset.classes import LabelSpace, canonical_code
from leadset.leads import LEADS, lead_set_name
from leadset.recordings.dataset import DataSet, LeftOut
from leadset.recordings.errors import reason
from leadset.recordings.reader import Recording

#: What stands in a table where a recording does not say it.
UNKNOWN = "unknown"
# Bounds of classes of durations in seconds.
_DURATIONS = (0, 5, 9, 11, 15, 30, 60, 120, 1800, math.inf)


class Facts(NamedTuple):
    """What is counted of a recording: codes, age in years, sex, fold, source, seconds, rate in Hz, leads.

    Rate and leads are None where its files cannot be read.
    """

    codes: tuple[str, ...]
    age: float | None
    sex: str | None
    fold: str
    source: str
    seconds: float | None
    fs: float | None
    leads: tuple[str, ...] | None


@dataclass
class Description:
    """Counts over the recordings of a data set.

    Attributes:
        data: the data set. space: its classes, k of them.
        recordings: number of those that are counted: that could be read, or that the data set says the codes of.
        told_only: number of those that cannot be read, of which what the data set says is counted.
        together: (k, k) int, recordings that have both classes; the diagonal is the class counts.
        labels_each: recordings by number of classes that they have.
        other_codes: recordings by each code that is of no class.
        ages: by decade of life and sex. sexes, rates, leads, sources: recordings by what they say.
        durations: by range of seconds, in their order.
        folds: recordings by fold; empty where there are none. by_fold: class counts (k,) of each fold.
        unreadable: recordings that cannot be read, and why.
        examples: by abbreviation of a class, the first recording that has it.
    """

    data: DataSet
    space: LabelSpace
    recordings: int = 0
    told_only: int = 0
    together: np.ndarray = field(init=False)
    labels_each: Counter[int] = field(default_factory=Counter)
    other_codes: Counter[str] = field(default_factory=Counter)
    ages: Counter[tuple[str, str]] = field(default_factory=Counter)
    sexes: Counter[str] = field(default_factory=Counter)
    durations: Counter[str] = field(default_factory=Counter)
    rates: Counter[str] = field(default_factory=Counter)
    leads: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    folds: Counter[str] = field(default_factory=Counter)
    by_fold: dict[str, np.ndarray] = field(default_factory=dict)
    unreadable: list[LeftOut] = field(default_factory=list)
    examples: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.together = np.zeros((len(self.space), len(self.space)), dtype=int)

    @property
    def counts(self) -> np.ndarray:
        """Recordings (k,) with each class."""
        return np.diagonal(self.together)

    @property
    def told(self) -> str:
        """What is counted of recordings that cannot be read, as a sentence; empty where there are none."""
        if not self.told_only:
            return ""
        these = f"{self.told_only} of {self.recordings} recordings"
        return f"of {these} only what {self.data.title or self.data} says is counted: their files cannot be read"

    def add(self, path: Path, facts: Facts) -> None:
        """Counts a recording."""
        labels = self.space.encode(facts.codes)
        self.recordings += 1
        self.together += np.outer(labels, labels)
        self.labels_each[int(labels.sum())] += 1
        self.other_codes.update(code for code in facts.codes if canonical_code(code) not in self.space.training_index)
        sex = facts.sex or UNKNOWN
        self.sexes[sex] += 1
        self.ages[decade(facts.age), sex] += 1
        self.durations[duration_range(facts.seconds)] += 1
        self.rates[UNKNOWN if facts.fs is None else f"{facts.fs:g} Hz"] += 1
        self.leads[_lead_set(facts.leads)] += 1
        self.told_only += facts.leads is None
        self.sources[facts.source or UNKNOWN] += 1
        if facts.fold:
            self.folds[facts.fold] += 1
            self.by_fold[facts.fold] = self.by_fold.get(facts.fold, 0) + labels
        for name in itertools.compress(self.space.abbreviations, labels):
            self.examples.setdefault(name, path)

    def read_examples(self, most: int) -> Iterator[tuple[str, Recording]]:
        """The first recording of each of the most frequent classes, as far as its signal can be read."""
        order = np.argsort(-self.counts, kind="stable")
        for name in [self.space.abbreviations[i] for i in order if self.counts[i]][:most]:
            try:
                yield name, self.data.recording(self.examples[name])
            except Exception as error:  # a damaged signal file is named, as a damaged header is
                self.unreadable.append(_unreadable(self.examples[name], error))


def describe(data: DataSet, space: LabelSpace, lead_names: Mapping[str, str] | None = None) -> Description:
    """Counts what is in a data set.

    Args:
        data: the recordings; of those with a header, the signal files are not opened.
        space: their classes.
        lead_names: as for `leadset.recordings.read_recording`.
    """
    from tqdm import tqdm

    description = Description(data, space)
    for path in tqdm(data.paths, desc="describe", unit="rec", disable=None):
        try:
            description.add(path, _facts(data, path, lead_names))
        except Exception as error:  # one bad recording never ends a description of thousands
            description.unreadable.append(_unreadable(path, error))
            if data.by_path[str(path)].codes is not None:
                description.add(path, _told(data, path))
    return description


def _unreadable(path: Path, error: Exception) -> LeftOut:
    """A recording and why it cannot be read, without its path said twice."""
    return LeftOut(str(path), reason(path, error).removeprefix(str(path)).lstrip(",: "))


def _facts(data: DataSet, path: Path, lead_names: Mapping[str, str] | None) -> Facts:
    item, header = data.by_path[str(path)], data.header(path, lead_names)
    if header is None:
        recording = data.recording(path, lead_names)
        seconds, subject = recording.seconds, recording
    else:
        seconds, subject = header.n_samples and header.n_samples / header.fs, header
    age, sex = item.age if item.age is not None else subject.age, item.sex or subject.sex
    codes = subject.codes if item.codes is None else item.codes
    return Facts(codes, age, sex, item.fold, item.source or source_of(path), seconds, subject.fs, subject.leads)


def _told(data: DataSet, path: Path) -> Facts:
    """What the data set says of a recording whose files cannot be read."""
    item = data.by_path[str(path)]
    return Facts(item.codes or (), item.age, item.sex, item.fold, item.source or source_of(path), None, None, None)


def _lead_set(leads: tuple[str, ...] | None) -> str:
    if leads is None:
        return UNKNOWN
    return lead_set_name(leads) if set(leads) <= set(LEADS) else ", ".join(leads)


def source_of(path: Path) -> str:
    """The name of a recording's folder, looking through PhysioNet's ``g1`` … ``gN``."""
    folder = path.parent
    return folder.parent.name if folder.name[:1] == "g" and folder.name[1:].isdigit() else folder.name


def decade(age: float | None) -> str:
    """``"60–69"`` for 64 years."""
    if age is None or not math.isfinite(age):
        return UNKNOWN
    first = int(age // 10) * 10
    return f"{first}–{first + 9}"


def duration_range(seconds: float | None) -> str:
    """``"9–11 s"`` for ten seconds."""
    if not seconds:
        return UNKNOWN
    low, high = next((low, high) for low, high in itertools.pairwise(_DURATIONS) if low <= seconds < high)
    return f"over {low} s" if high == math.inf else f"{low}–{high} s"
