"""What entrants answered about the test recordings of each fold: compact files, and all of them together.

What an entrant answers after training with a seed other than that of the folds goes by the name ``NAME@SEED``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leadset.utils.files import write_atomically

FOLDER = "answers"
_SEED_MARK = "@"


def with_seed(entrant: str, seed: int) -> str:
    """The name of an entrant that is trained with a seed of its own."""
    return f"{entrant}{_SEED_MARK}{seed}"


def without_seed(name: str) -> str:
    """The inverse of `with_seed`: the entrant that is trained with several seeds."""
    return name.partition(_SEED_MARK)[0]


class Row(NamedTuple):
    """Who answered: the model as tables name it, and the lead set by name."""

    model: str
    leads: str


class Said(NamedTuple):
    """Probabilities (n, k) and decisions (n, k) bool."""

    probabilities: np.ndarray
    decisions: np.ndarray


@dataclass(frozen=True)
class FoldAnswers:
    """What an entrant answered about the test part of one fold.

    Attributes:
        tested: (n,) indices of the recordings in the table of folds.
        by_row: what each row said of them.
        unanswered: number of answers that had to be the class shares, as the recording could not be judged.
    """

    tested: np.ndarray
    by_row: Mapping[Row, Said]
    unanswered: int

    def write(self, path: Path) -> None:
        """Writes them, atomically, probabilities in single precision."""
        with write_atomically(path, "wb") as file:
            np.savez_compressed(
                file,
                tested=self.tested,
                rows=json.dumps([list(row) for row in self.by_row]),
                probabilities=np.array([said.probabilities for said in self.by_row.values()], dtype=np.float32),
                decisions=np.array([said.decisions for said in self.by_row.values()], dtype=bool),
                unanswered=self.unanswered,
            )

    @classmethod
    def read(cls, path: Path) -> FoldAnswers:
        """The inverse of `write`.

        Raises:
            ValueError: the file is damaged; the message names it.
        """
        try:
            with np.load(path) as values:
                rows = [Row(*row) for row in json.loads(str(values["rows"]))]
                said = map(Said, values["probabilities"].astype(float), values["decisions"])
                return cls(values["tested"], dict(zip(rows, said, strict=True)), int(values["unanswered"]))
        except Exception as error:  # numpy meets damaged files with errors of many kinds
            found = f"{type(error).__name__}: {error}"
            raise ValueError(f"{path}: not answers of a cross-validation ({found}); delete it and run again") from error


class Together(NamedTuple):
    """What a row said in all folds, in the order of the table of folds.

    Attributes:
        tested: (n,) indices of the recordings in the table of folds, ascending.
        fold: (n,) name of the fold in which each was tested.
        said: what was said of them.
    """

    tested: np.ndarray
    fold: np.ndarray
    said: Said


def file_of(folder: Path, fold: str, entrant: str) -> Path:
    """Where the answers of an entrant in a fold are."""
    return folder / FOLDER / f"{entrant}-{fold}.npz"


def collect(folder: Path, folds: Sequence[str], entrants: Sequence[str]) -> dict[Row, Together]:
    """The answers of entrants that have answered in every fold, by row; see `missing` for the others."""
    collected: dict[Row, Together] = {}
    for entrant in entrants:
        if missing(folder, folds, entrant):
            continue
        parts = [FoldAnswers.read(file_of(folder, fold, entrant)) for fold in folds]
        for row in parts[0].by_row:
            collected[row] = _joined(row, folds, parts)
    return collected


def missing(folder: Path, folds: Sequence[str], entrant: str) -> list[str]:
    """The folds in which an entrant has not answered yet."""
    return [fold for fold in folds if not file_of(folder, fold, entrant).is_file()]


def _joined(row: Row, folds: Sequence[str], parts: Sequence[FoldAnswers]) -> Together:
    tested = np.concatenate([part.tested for part in parts])
    names = np.repeat(np.array(folds), [len(part.tested) for part in parts])
    order = np.argsort(tested, kind="stable")
    said = Said(*(np.concatenate(values)[order] for values in zip(*_said(row, parts), strict=True)))
    return Together(tested[order], names[order], said)


def _said(row: Row, parts: Sequence[FoldAnswers]) -> Iterator[Said]:
    return (part.by_row[row] for part in parts)
