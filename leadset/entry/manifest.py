"""`entry.json`: what a model folder says about itself. Plain values, checked when read, never code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from leadset.anomaly.detector import DetectorFiles
from leadset.classes import LabelSpace, label_space
from leadset.entry import card
from leadset.entry.decision import DecisionRule, veto
from leadset.entry.ensemble import Ensemble, Evidence, read_probabilities
from leadset.leads import own_lead_names, resolve_leads
from leadset.preprocess import InputSpec
from leadset.utils.files import write_atomically

FILE_NAME = "entry.json"
#: Folder inside that of an entry: what a training that has not ended keeps.
WORK_FOLDER = "work"
FORMAT = 2


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes:
        architecture, options: what it is.
        spec: its input.
        weights: name of its weights' file.
        rule: its own decision rule.
        training: how it was trained, as plain values.
        macs: multiply-accumulates for one window (`leadset.models.cost`).
        head: name of the file of its head, where it needs one to answer with classes; empty otherwise.
        detector: how it scores, and its reference of normal recordings; None for a classifier.
        universal: its weights are those of twelve leads, and are cut to the lead set (`leadset.models.shipped`).
    """

    architecture: str
    options: dict[str, Any]
    spec: InputSpec
    weights: str
    rule: DecisionRule
    training: dict[str, Any]
    macs: int
    head: str = ""
    detector: DetectorFiles | None = None
    universal: bool = False

    def to_json(self) -> dict:
        """As plain values."""
        return {
            "architecture": self.architecture,
            "options": self.options,
            "input": self.spec.to_json(),
            "weights": self.weights,
            "head": self.head,
            "detector": self.detector and self.detector.to_json(),
            "universal": self.universal,
            "decision": self.rule.to_json(),
            "training": self.training,
            "macs": self.macs,
        }

    @classmethod
    def from_json(cls, values: dict) -> Member:
        """The inverse of `to_json`; files must be plain names inside the model folder."""
        head = values.get("head", "")
        if not isinstance(values["architecture"], str):
            raise ValueError(f"architecture {values['architecture']!r}: expected a name")
        for name in (values["weights"], *([head] if head else [])):
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise ValueError(f"weights {name!r}: expected a .safetensors file inside the model folder")
        return cls(
            values["architecture"],
            dict(values["options"]),
            InputSpec.from_json(values["input"]),
            values["weights"],
            DecisionRule.from_json(values["decision"]),
            dict(values["training"]),
            int(values["macs"]),
            head,
            _detector_files(values.get("detector"), head),
            bool(values.get("universal", False)),
        )


def _detector_files(values: dict | None, head: str) -> DetectorFiles | None:
    """What a member says of its detector; entries of 0.1.0 did not say how theirs score, which was always the same."""
    if values is not None:
        return DetectorFiles.from_json(values)
    return DetectorFiles(part="its entry was trained before references were kept, train it again") if head else None


@dataclass(frozen=True)
class TrainedSet:
    """The networks of one lead set, and how they answer together.

    Attributes:
        leads: the lead set.
        members: its networks.
        ensemble: the classifiers together, a detector with weight 0 where there are any.
        evidence: what a detector beside classifiers adds; None where there is none.
    """

    leads: tuple[str, ...]
    members: tuple[Member, ...]
    ensemble: Ensemble
    evidence: Evidence | None = None

    @property
    def universal(self) -> bool:
        """Whether its networks can be cut to any leads."""
        return all(member.universal for member in self.members)

    @property
    def asked(self) -> np.ndarray:
        """(m,) bool, which members have a say in the answer."""
        asked = self.ensemble.weights > 0
        return asked if self.evidence is None else asked | (self.evidence.strengths != 0)

    def answer(self, by_member: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
        """Decisions and probabilities (n, k) from those (n, k) of each member; None of one that has no say."""
        own = self.ensemble.join(by_member)
        if self.evidence is None:
            return self.ensemble.rule(own), own
        joint = self.evidence.join(own, by_member)
        return veto(self.evidence.rule(joint), self.ensemble.rule, own), joint

    def to_json(self) -> dict:
        """As plain values."""
        return {
            "leads": list(self.leads),
            "members": [member.to_json() for member in self.members],
            "ensemble": self.ensemble.to_json(),
            "evidence": self.evidence and self.evidence.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict) -> TrainedSet:
        """The inverse of `to_json`."""
        members = tuple(Member.from_json(member) for member in values["members"])
        evidence = values.get("evidence")
        return cls(
            resolve_leads(values["leads"]),
            members,
            Ensemble.from_json(values["ensemble"], len(members)),
            None if evidence is None else Evidence.from_json(evidence, len(members)),
        )


@dataclass(frozen=True)
class Manifest:
    """A whole entry.

    Attributes:
        label_space: its name, or that of its file in the folder; ``classes`` are its class keys in order.
        prior: (k,) share of the training recordings that have each class: the answer where nothing can be read.
        sets: the trained lead sets, largest first.
        provenance: versions, seed, preset, data counts and fingerprint.
        lead_names: what names of leads stood for in training, as for `leadset.recordings.read_recording`; entries of
            0.1.0 have none.
        abnormality: whether detectors without a say are asked all the same, for the probability of an abnormality.
    """

    label_space: str
    classes: tuple[str, ...]
    prior: np.ndarray
    sets: tuple[TrainedSet, ...]
    provenance: dict[str, Any]
    lead_names: Mapping[str, str] = field(default_factory=dict)
    abnormality: bool = False

    def _by_class(self) -> Iterator[np.ndarray]:
        """Whatever has one number for each class."""
        yield self.prior
        for trained in self.sets:
            yield from (member.rule.thresholds for member in trained.members)
            yield trained.ensemble.rule.thresholds
            if trained.ensemble.calibration is not None:
                yield trained.ensemble.calibration.slopes
            if trained.evidence is not None:
                yield trained.evidence.shares
                yield trained.evidence.rule.thresholds

    def space_in(self, folder: Path) -> LabelSpace:
        """The label space of the entry in that folder.

        Raises:
            ValueError: there is no such space, its file is missing or damaged, or it has other classes by now.
        """
        path = folder / FILE_NAME
        try:
            space = label_space(self.label_space, folder)
        except ValueError as error:
            raise ValueError(f"{path}: its label space is gone: {error}") from None
        if space.keys != self.classes:
            trained, present = ", ".join(self.classes), ", ".join(space.keys)
            raise ValueError(
                f"{path}: found the classes {trained}, but label space {self.label_space} has {present}; "
                "expected the same, so the label space was changed after training"
            )
        return space

    def write(self, folder: Path) -> None:
        """Writes `entry.json` and the card, atomically.

        Raises:
            ValueError: as `space_in`.
        """
        values = {
            "format": FORMAT,
            "label_space": self.label_space,
            "classes": list(self.classes),
            "prior": [float(p) for p in self.prior],
            "provenance": self.provenance,
            "lead_names": self.lead_names,
            "abnormality": self.abnormality,
            "lead_sets": [trained.to_json() for trained in self.sets],
        }
        with write_atomically(folder / card.FILE_NAME) as file:
            file.write(card.card_text(values, self.space_in(folder).abbreviations))
        with write_atomically(folder / FILE_NAME) as file:
            json.dump(values, file, indent=1)

    def files(self) -> list[str]:
        """Names of the files of weights, heads and references that belong to it."""
        members = [member for trained in self.sets for member in trained.members]
        references = [member.detector.reference for member in members if member.detector]
        named = [name for member in members for name in (member.weights, member.head)] + references
        return [name for name in dict.fromkeys(named) if name]

    def space_files(self, folder: Path) -> list[str]:
        """Names of the files of its label space that lie in its folder; none of one that ships.

        Raises:
            ValueError: there is no such space, or its file is missing or damaged.
        """
        space = label_space(self.label_space, folder)
        return [file.name for file in (space.file, space.weight_file) if file and file.parent == folder]

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads and checks `entry.json`.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is not one of this format; the message says what is wrong.
        """
        path = folder / FILE_NAME
        if not path.is_file() and (folder / WORK_FOLDER).is_dir():
            raise FileNotFoundError(f"{path}: no such file, training is unfinished: start the same command again")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, expected a model folder made by train_model.py")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']!r}, expected {FORMAT}")
            sets = tuple(TrainedSet.from_json(trained) for trained in values["lead_sets"])
            if not sets or not all(trained.members for trained in sets):
                raise ValueError("no trained lead set")
            if not all(isinstance(key, str) for key in values["classes"]):
                raise ValueError(f"classes {values['classes']!r}: expected texts")
            if not isinstance(values["label_space"], str):
                raise ValueError(f"label space {values['label_space']!r}: expected a name")
            manifest = cls(
                values["label_space"],
                tuple(values["classes"]),
                read_probabilities(values["prior"]),
                sets,
                dict(values["provenance"]),
                own_lead_names(values.get("lead_names", {})),
                bool(values.get("abnormality", False)),
            )
            for numbers in manifest._by_class():
                if numbers.shape != (len(manifest.classes),):
                    expected = f"expected one for each of {len(manifest.classes)} classes"
                    raise ValueError(f"numbers of shape {numbers.shape}, {expected}")
        except Exception as error:  # what is not of this kit is wrong in many ways
            raise ValueError(f"{path}: not an entry of this kit: {type(error).__name__}: {error}") from error
        return manifest
