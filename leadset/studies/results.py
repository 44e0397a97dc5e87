"""What a folder of a cross-validation holds: recordings, classes, and who answered what."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leadset.classes import LabelSpace, label_space
from leadset.studies.answers import Row, Said, Together, collect, missing, without_seed
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
        said: by row, what was said of them after training with each of its seeds.
        seeds: by row, these seeds; a row that no seed changes has one.
        entrants: by name, what the folder says of each; runs with a seed of their own are called ``NAME@SEED``.
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
    said: Mapping[Row, tuple[Said, ...]]
    seeds: Mapping[Row, tuple[int, ...]]
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
        return sorted(self.said, key=lambda row: (-_size(row.leads), row.leads))

    @property
    def decided(self) -> dict[Row, np.ndarray]:
        """By row, the decisions (n, k) bool of its first seed."""
        return {row: runs[0].decisions for row, runs in self.said.items()}

    @property
    def probabilities(self) -> dict[Row, np.ndarray]:
        """By row, the probabilities (n, k) of its first seed."""
        return {row: runs[0].probabilities for row, runs in self.said.items()}

    def of_leads(self, leads: str) -> list[Row]:
        """The rows of a lead set."""
        return [row for row in self.rows if row.leads == leads]

    def part(self, chosen: np.ndarray) -> Results:
        """The same of some recordings, chosen by (n,) bool."""
        arrays = ("labels", "evidence", "sources", "groups", "folds")
        values = self.__dict__ | {name: getattr(self, name)[chosen] for name in arrays}
        values["said"] = {
            row: tuple(Said(*(array[chosen] for array in said)) for said in runs) for row, runs in self.said.items()
        }
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
    runs = _by_seed(folder, names, entrants)
    if not runs:
        found = ", ".join(f"{name} lacks {len(missing(folder, names, name))} of {len(names)}" for name in entrants)
        raise ValueError(f"{folder}: nobody has answered in every fold ({found}); let leadset crossval end first")
    tested = _same_recordings(folder, runs, len(table))
    chosen = [table[i] for i in tested]
    return Results(
        about,
        space,
        np.array([space.encode(_codes(row)) for row in chosen]),
        np.array([space.encode_for_training(_codes(row)) for row in chosen]),
        np.array([row["source"] for row in chosen]),
        np.array([row["group"] for row in chosen]),
        np.array([row["fold"] for row in chosen]),
        {row: tuple(answers.said for answers in by_seed.values()) for row, by_seed in runs.items()},
        {row: tuple(by_seed) for row, by_seed in runs.items()},
        entrants,
        {name: folds for name in entrants if (folds := missing(folder, names, name))},
        _read_csv(folder / DROPPED_FILE),
    )


def _by_seed(
    folder: Path, folds: Sequence[str], entrants: Mapping[str, Mapping[str, Any]]
) -> dict[Row, dict[int, Together]]:
    """The answers of each row by the seed that its entrant was trained with, in the order of seeds.

    Where several entrants have a row of the same name, those behind the first one get their own name in brackets.
    """
    found: dict[Row, dict[int, Together]] = {}
    owner: dict[Row, str] = {}
    order = list(dict.fromkeys(map(without_seed, entrants)))
    for name in sorted(entrants, key=lambda name: (order.index(without_seed(name)), _seed_of(entrants[name]))):
        entrant = without_seed(name)
        for row, answers in collect(folder, folds, [name]).items():
            if owner.setdefault(row, entrant) != entrant:
                row = row._replace(model=f"{row.model} ({entrant})")
            found.setdefault(row, {})[_seed_of(entrants[name])] = answers
    return found


def _seed_of(entrant: Mapping[str, Any]) -> int:
    """The seed of a run; 0 where it has none, as where an entry was trained elsewhere."""
    return entrant.get("configuration", {}).get("seed", 0)


def _codes(row: dict[str, str]) -> list[str]:
    return [code for code in row["codes"].split(",") if code]


def _same_recordings(folder: Path, runs: Mapping[Row, Mapping[int, Together]], n: int) -> np.ndarray:
    """The recordings that all rows answered.

    Raises:
        ValueError: rows answered different ones, or ones that the table of folds does not have.
    """
    first = next(iter(next(iter(runs.values())).values())).tested
    for row, by_seed in runs.items():
        for answers in by_seed.values():
            if not np.array_equal(answers.tested, first) or answers.tested.max() >= n:
                raise ValueError(
                    f"{folder}: {row.model} answered other recordings than {FOLDS_FILE} has: begin it anew"
                )
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
