"""`entry.json`: what a model folder says about itself. Plain values, checked when read, never code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leadset.decision import DecisionRule
from leadset.files import write_atomically
from leadset.leads import resolve_leads
from leadset.preprocess import InputSpec

FILE_NAME = "entry.json"
FORMAT = 1


@dataclass(frozen=True)
class Member:
    """One trained network: architecture and options, its input, its weights' file, its own decision rule."""

    architecture: str
    options: dict[str, Any]
    spec: InputSpec
    weights: str
    rule: DecisionRule
    training: dict[str, Any]

    def to_json(self) -> dict:
        """As plain values."""
        return {
            "architecture": self.architecture,
            "options": self.options,
            "input": self.spec.to_json(),
            "weights": self.weights,
            "decision": self.rule.to_json(),
            "training": self.training,
        }

    @classmethod
    def from_json(cls, values: dict) -> Member:
        """The inverse of `to_json`; the weights' file must be a plain name inside the model folder."""
        if Path(values["weights"]).name != values["weights"] or not values["weights"].endswith(".safetensors"):
            raise ValueError(f"weights {values['weights']!r}: expected a .safetensors file inside the model folder")
        return cls(
            values["architecture"],
            dict(values["options"]),
            InputSpec.from_json(values["input"]),
            values["weights"],
            DecisionRule.from_json(values["decision"]),
            dict(values["training"]),
        )


@dataclass(frozen=True)
class TrainedSet:
    """The networks of one lead set, and how they answer together: weights of their probabilities, decision rule."""

    leads: tuple[str, ...]
    members: tuple[Member, ...]
    weights: np.ndarray
    rule: DecisionRule

    def to_json(self) -> dict:
        """As plain values."""
        return {
            "leads": list(self.leads),
            "members": [member.to_json() for member in self.members],
            "ensemble": {"weights": [float(w) for w in self.weights], "decision": self.rule.to_json()},
        }

    @classmethod
    def from_json(cls, values: dict) -> TrainedSet:
        """The inverse of `to_json`."""
        return cls(
            resolve_leads(values["leads"]),
            tuple(Member.from_json(member) for member in values["members"]),
            np.array(values["ensemble"]["weights"], dtype=float),
            DecisionRule.from_json(values["ensemble"]["decision"]),
        )


@dataclass(frozen=True)
class Manifest:
    """A whole entry.

    Attributes:
        label_space: its name; ``classes`` are its class keys in order.
        prior: (k,) share of the training recordings that have each class: the answer where nothing can be read.
        sets: the trained lead sets, largest first.
        provenance: versions, seed, preset, data counts and fingerprint.
    """

    label_space: str
    classes: tuple[str, ...]
    prior: np.ndarray
    sets: tuple[TrainedSet, ...]
    provenance: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Writes `entry.json`, atomically."""
        values = {
            "format": FORMAT,
            "label_space": self.label_space,
            "classes": list(self.classes),
            "prior": [float(p) for p in self.prior],
            "provenance": self.provenance,
            "lead_sets": [trained.to_json() for trained in self.sets],
        }
        with write_atomically(folder / FILE_NAME) as file:
            json.dump(values, file, indent=1)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads and checks `entry.json`.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is not one of this format; the message says what is wrong.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, expected a model folder made by train_model.py")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']!r}, expected {FORMAT}")
            sets = tuple(TrainedSet.from_json(trained) for trained in values["lead_sets"])
            if not sets or not all(trained.members for trained in sets):
                raise ValueError("no trained lead set")
            manifest = cls(
                values["label_space"],
                tuple(values["classes"]),
                np.array(values["prior"], dtype=float),
                sets,
                dict(values["provenance"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not an entry of this kit: {type(error).__name__}: {error}") from error
        return manifest
