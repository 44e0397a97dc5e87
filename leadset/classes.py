"""Diagnoses: label spaces with SNOMED CT codes, equivalent codes and weights, and the text labels of old headers.

A label space is one TOML file in ``leadset/label_spaces``; adding a file adds a label space.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).parent / "label_spaces"

SINUS_RHYTHM = "426783006"

# Labels of the 2018 release, which were text, as SNOMED CT codes (keys are case-folded).
TEXT_LABELS: dict[str, str] = {
    "normal": SINUS_RHYTHM,
    "snr": SINUS_RHYTHM,
    "nsr": SINUS_RHYTHM,
    "af": "164889003",
    "i-avb": "270492004",
    "iavb": "270492004",
    "lbbb": "164909002",
    "rbbb": "59118001",
    "pac": "284470004",
    "pvc": "164884008",
    "std": "429622005",
    "ste": "164931005",
}


@dataclass(frozen=True)
class Diagnosis:
    """One class: the codes that count as it, a short and a full name."""

    codes: tuple[str, ...]
    abbreviation: str
    name: str

    @property
    def key(self) -> str:
        """Codes joined by ``|``, as in the weight table and in output files."""
        return "|".join(self.codes)


@dataclass(frozen=True)
class LabelSpace:
    """An ordered set of classes; ``normal`` is the code answered when nothing else is known."""

    name: str
    citation: str
    classes: tuple[Diagnosis, ...]
    normal: str
    weight_file: str | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Class keys (codes joined by ``|``) in order."""
        return tuple(d.key for d in self.classes)

    @cached_property
    def abbreviations(self) -> tuple[str, ...]:
        """Short names in order."""
        return tuple(d.abbreviation for d in self.classes)

    @cached_property
    def index(self) -> dict[str, int]:
        """Class index of every code."""
        return {code: i for i, d in enumerate(self.classes) for code in d.codes}

    @property
    def normal_index(self) -> int:
        """Index of the class of ``normal``."""
        return self.index[self.normal]

    def encode(self, codes: Iterable[str]) -> np.ndarray:
        """Codes to a bool vector (k,): a class is positive if any of its codes is there; other codes are ignored."""
        row = np.zeros(len(self), dtype=bool)
        row[[self.index[code] for code in codes if code in self.index]] = True
        return row

    @cached_property
    def weights(self) -> np.ndarray:
        """Reward matrix (classes, classes) of the Challenge metric; the identity where a space defines none."""
        if self.weight_file is None:
            return np.eye(len(self))
        with open(_FOLDER / self.weight_file, newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header[1:]) != self.keys:
            raise ValueError(f"{self.weight_file}: its columns are not the classes of {self.name}")
        return np.array([[float(x) for x in row[1:]] for row in rows])


@cache
def list_label_spaces() -> tuple[str, ...]:
    """Names of the label spaces there are."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def label_space(name: str = "challenge2021") -> LabelSpace:
    """A label space by name.

    Raises:
        ValueError: no such space; the message lists those there are.
    """
    if name not in list_label_spaces():
        raise ValueError(f"no label space {name!r}: expected one of {', '.join(list_label_spaces())}")
    with open(_FOLDER / f"{name}.toml", "rb") as file:
        table = tomllib.load(file)
    classes = tuple(Diagnosis(tuple(c["codes"]), c["abbreviation"], c["name"]) for c in table["classes"])
    return LabelSpace(table["name"], table["citation"], classes, table["normal"], table.get("weights"))
