"""Protocols: how recordings are divided into what is learnt from and what is tested on.

A protocol divides a `Cohort` into folds. In each fold, no recording of a patient that the test part has is left in the
training part, whatever the protocol: recordings of one patient and copies of one signal are of one group
(`leadset.store.groups`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from leadset.recordings.dataset import fold_order
from leadset.training.split import stratified_parts


@dataclass(frozen=True)
class Cohort:
    """The recordings with a diagnosis that a protocol divides.

    Attributes:
        paths: (n,) header or file of each.
        codes: (n,) of its diagnoses.
        labels: (n, k) bool, those of the official score.
        targets: (n, k) of training: 1, 0, or NaN where the source does not annotate the class.
        sources: (n,) data set of each.
        groups: (n,) number of the patient.
        folds: (n,) the fold that its data set gives each, as text, empty where it gives none.
    """

    paths: tuple[str, ...]
    codes: tuple[tuple[str, ...], ...]
    labels: np.ndarray
    targets: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)


class Fold(NamedTuple):
    """One division.

    Attributes:
        name: for files and tables.
        train: indices of the recordings to train and validate on.
        valid: indices of those among them to validate on; empty: a part is drawn.
        test: indices of the recordings to test on.
        related: indices of recordings in neither part: of a patient that the test part has, where the protocol did not
            put them there.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    related: np.ndarray


#: By name: the protocols.
PROTOCOLS: dict[str, type[Protocol]] = {}


@dataclass(frozen=True)
class Protocol(ABC):
    """How a cohort is divided; subclasses say which recordings each fold tests on."""

    name: ClassVar[str]
    title: ClassVar[str]

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        PROTOCOLS[cls.name] = cls

    @abstractmethod
    def tests(self, cohort: Cohort) -> Iterator[tuple[str, np.ndarray]]:
        """Name and test part, (n,) bool, of each fold.

        Raises:
            ValueError: the cohort cannot be divided so.
        """

    def divide(self, cohort: Cohort) -> tuple[Fold, ...]:
        """The folds.

        Raises:
            ValueError: the cohort cannot be divided so, or a fold has nothing to test on or to learn from.
        """
        return tuple(_fold(name, test, self.validated(cohort), cohort) for name, test in self.tests(cohort))

    def validated(self, cohort: Cohort) -> np.ndarray:
        """The recordings (n,) bool that are validated on as far as they are not tested on; none: a part is drawn."""
        return np.zeros(len(cohort), dtype=bool)


def _fold(name: str, test: np.ndarray, valid: np.ndarray, cohort: Cohort) -> Fold:
    of_test_patients = np.isin(cohort.groups, cohort.groups[test])
    if not test.any() or of_test_patients.all():
        lacking = "to test on" if not test.any() else "to learn from: every one is of a patient that is tested on"
        raise ValueError(f"fold {name}: found no recording {lacking}, expected some of {len(cohort)}")
    parts = (~of_test_patients, valid & ~of_test_patients, test, of_test_patients & ~test)
    return Fold(name, *map(np.flatnonzero, parts))


def _dealt(cohort: Cohort, shares: Sequence[float], seed: int) -> np.ndarray:
    """Part number (n,): classes and sources spread evenly, patients never divided."""
    sources = cohort.sources[:, None] == np.unique(cohort.sources)
    return stratified_parts(np.concatenate([cohort.labels, sources], axis=1), cohort.groups, shares, seed)


@dataclass(frozen=True)
class HoldOut(Protocol):
    """One test part, drawn with classes and sources spread evenly.

    Attributes:
        share: of the recordings that are tested on.
        seed: of the draw.
    """

    name: ClassVar[str] = "holdout"
    title: ClassVar[str] = "hold-out"
    share: float
    seed: int

    def tests(self, cohort: Cohort) -> Iterator[tuple[str, np.ndarray]]:
        """See `Protocol.tests`."""
        if not 0 < self.share < 1:
            raise ValueError(f"found a test share of {self.share}, expected a number between 0 and 1")
        yield "test", _dealt(cohort, [1 - self.share, self.share], self.seed) == 1


@dataclass(frozen=True)
class KFold(Protocol):
    """k-fold cross-validation, classes and sources spread evenly: every recording is tested on once.

    Attributes:
        folds: k.
        seed: of the draw.
    """

    name: ClassVar[str] = "kfold"
    title: ClassVar[str] = "k-fold cross-validation"
    folds: int
    seed: int

    def tests(self, cohort: Cohort) -> Iterator[tuple[str, np.ndarray]]:
        """See `Protocol.tests`."""
        if not 2 <= self.folds <= len(np.unique(cohort.groups)):
            most = len(np.unique(cohort.groups))
            raise ValueError(f"found {self.folds} folds, expected 2 to {most}, as many as there are patients")
        parts = _dealt(cohort, [1] * self.folds, self.seed)
        for k in range(self.folds):
            yield str(k + 1), parts == k


@dataclass(frozen=True)
class OfficialFolds(Protocol):
    """The folds that the data set names.

    Attributes:
        test: the folds to test on, each by networks that learn from all others; empty: every fold in turn.
        valid: the folds to validate on; empty: a part is drawn.
    """

    name: ClassVar[str] = "official"
    title: ClassVar[str] = "official folds"
    test: tuple[str, ...]
    valid: tuple[str, ...]

    def tests(self, cohort: Cohort) -> Iterator[tuple[str, np.ndarray]]:
        """See `Protocol.tests`."""
        known = sorted(set(cohort.folds.tolist()) - {""}, key=fold_order)
        if len(known) < 2:
            raise ValueError(f"found {len(known)} official folds in the data set, expected two at least")
        for name in (*self.test, *self.valid):
            if name not in known:
                raise ValueError(f"found no official fold {name!r}, expected one of {', '.join(known)}")
        if set(self.test) & set(self.valid):
            both = ", ".join(set(self.test) & set(self.valid))
            raise ValueError(f"found fold {both} for both validation and test, expected one of them")
        for name in self.test or known:
            yield name, cohort.folds == name

    def validated(self, cohort: Cohort) -> np.ndarray:
        """See `Protocol.validated`."""
        return np.isin(cohort.folds, self.valid)


@dataclass(frozen=True)
class LeaveOneSourceOut(Protocol):
    """Each data set in turn is tested on by networks that learnt from the others."""

    name: ClassVar[str] = "lodo"
    title: ClassVar[str] = "leave one data set out"

    def tests(self, cohort: Cohort) -> Iterator[tuple[str, np.ndarray]]:
        """See `Protocol.tests`."""
        sources = np.unique(cohort.sources)
        if len(sources) < 2:
            raise ValueError(f"found the one source {sources[0]}, expected two at least to leave one out")
        for source in sources:
            yield str(source), cohort.sources == source


def create_protocol(name: str, **choices: Any) -> Protocol:
    """The protocol of a name, with those of the choices that it has.

    Args:
        name: one of `PROTOCOLS`.
        choices: values of attributes of protocols.

    Raises:
        ValueError: no such protocol.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"found no protocol {name!r}, expected one of {', '.join(PROTOCOLS)}")
    chosen = PROTOCOLS[name]
    return chosen(**{field.name: choices[field.name] for field in fields(chosen)})
