"""What a folder of a cross-validation holds: recordings, classes, and who answered what."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leadset.classes import LabelSpace, label_space
from leadset.studies.answers import Row, Together, collect, missing
from leadset.studies.crossval import ABOUT_FILE, DROPPED_FILE, FOLDS_FILE


@dataclass(frozen=True)
class Results:
    """The recordings that were tested on, and the answers of every row about them.

    Attributes:
        about: `crossval.json`.
        space: the classes.
        labels: (n, k) bool, those of the official score.
        evidence: (n, k) bool, aliases of the label space included.
        sources, groups, folds: (n,) of each recording.
        decided: by row, (n, k) bool.
        probabilities: by row, (n, k).
        entrants: by name, what the folder says of each.
        unfinished: by name, the folds that are not answered yet.
        dropped: recordings that take no part, with the reason.
    """

    about: dict[str, Any]
    space: LabelSpace
    labels: np.ndarray
    evidence: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    decided: Mapping[Row, np.ndarray]
    probabilities: Mapping[Row, np.ndarray]
    entrants: Mapping[str, dict[str, Any]]
    unfinished: Mapping[str, list[str]]
    dropped: list[dict[str, str]]

    @property
    def lead_sets(self) -> list[str]:
        """Names of the lead sets, largest first."""
        return list(dict.fromkeys(row.leads for row in self.rows))

    @property
    def rows(self) -> list[Row]:
        """The rows, by lead set."""
        return sorted(self.decided, key=lambda row: (-_size(row.leads), row.leads))

    def of_leads(self, leads: str) -> list[Row]:
        """The rows of a lead set."""
        return [row for row in self.rows if row.leads == leads]

    def part(self, chosen: np.ndarray) -> Results:
        """The same of some recordings, chosen by (n,) bool."""
        arrays = ("labels", "evidence", "sources", "groups", "folds")
        values = self.__dict__ | {name: getattr(self, name)[chosen] for name in arrays}
        for name in ("decided", "probabilities"):
            values[name] = {row: answers[chosen] for row, answers in getattr(self, name).items()}
        return Results(**values)


def _size(leads: str) -> int:
    return int(leads) if leads.isdigit() else len(leads.split("-"))


def read_results(folder: str | Path) -> Results:
    """Reads the folder of a cross-validation, finished or not.

    Raises:
        OSError: there is none, or its files cannot be read.
        ValueError: nobody has answered in every fold yet, or files are damaged or do not fit one another.
    """
    folder = Path(folder)
    about = _read_json(folder / ABOUT_FILE)
    space = label_space(about["label_space"], folder)
    table = _read_csv(folder / FOLDS_FILE)
    names = list(dict.fromkeys(row["fold"] for row in table if row["fold"]))
    entrants = {
        values["name"]: values for path in sorted(folder.glob("*.json"))
        if path.name != ABOUT_FILE and (values := _read_json(path)).get("name")
    }  # fmt: skip
    together = collect(folder, names, list(entrants))
    if not together:
        found = ", ".join(f"{name} lacks {len(missing(folder, names, name))} of {len(names)}" for name in entrants)
        raise ValueError(f"{folder}: nobody has answered in every fold ({found}); let leadset crossval end first")
    tested = _same_recordings(folder, together, len(table))
    chosen = [table[i] for i in tested]
    return Results(
        about,
        space,
        np.array([space.encode(_codes(row)) for row in chosen]),
        np.array([space.encode_for_training(_codes(row)) for row in chosen]),
        np.array([row["source"] for row in chosen]),
        np.array([row["group"] for row in chosen]),
        np.array([row["fold"] for row in chosen]),
        {row: answers.said.decisions for row, answers in together.items()},
        {row: answers.said.probabilities for row, answers in together.items()},
        entrants,
        {name: folds for name in entrants if (folds := missing(folder, names, name))},
        _read_csv(folder / DROPPED_FILE),
    )


def _codes(row: dict[str, str]) -> list[str]:
    return [code for code in row["codes"].split(",") if code]


def _same_recordings(folder: Path, together: Mapping[Row, Together], n: int) -> np.ndarray:
    """The recordings that all rows answered.

    Raises:
        ValueError: rows answered different ones, or ones that the table of folds does not have.
    """
    first = next(iter(together.values())).tested
    for row, answers in together.items():
        if not np.array_equal(answers.tested, first) or answers.tested.max() >= n:
            raise ValueError(f"{folder}: {row.model} answered other recordings than {FOLDS_FILE} has: begin it anew")
    return first


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file, expected the folder of a leadset crossval") from None
    except ValueError as error:
        raise ValueError(f"{path}: found no JSON ({error})") from None


def _read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
