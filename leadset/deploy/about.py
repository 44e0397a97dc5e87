"""What an exported file says about itself: one JSON text in the metadata of the ONNX model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from leadset.entry.ensemble import Ensemble
from leadset.leads import resolve_leads
from leadset.preprocess import InputSpec

FORMAT = 2
KEY = "leadset"
#: What a network is given, in words, for those who write another runtime.
NOTES = (
    "Inputs of group g: windows_g (n, leads, samples) float32 in the order of leads, mask_g (n, samples) bool, true "
    "where a sample was recorded, share_g (recordings, n) float32, whose rows sum to 1 over a recording's windows, and "
    "the extra inputs that `inputs` names. A recording in mV is repaired, resampled to `rate` and filtered as `filter` "
    "says, cut into evenly spaced windows and scaled as `scaling` says: none (mV), recording (zero mean and unit SD of "
    "the whole recording, by lead). Outputs: probabilities and labels (recordings, classes) of the networks together, "
    "and the probabilities of each network alone under its name. Not a medical device."
)


class Deciding(NamedTuple):
    """How networks answer together, and the thresholds (k,) of each one's own decisions, by name."""

    ensemble: Ensemble
    thresholds: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class About:
    """What is in an exported file.

    Attributes:
        leads: of the networks, in their order.
        inputs: of each group of networks that take the same windows.
        networks: names of the networks, in the order of their outputs.
        label_space: its name, or that of its file beside the exported ones.
        classes: key of each class.
        prior: share of each class in the training recordings, which is the answer where nothing can be read.
        thresholds: of each network's own decisions, by name.
        left_out: networks of the entry that ONNX cannot hold, and why.
        provenance: of the entry.
        lead_names: what names of leads stood for in training.
        universal: leads that are not there, and do not follow from others, are to be zero.
        ensembles: of each lead set of the entry, how its networks answer: `leads`, the `networks`, their `thresholds`,
            and what `leadset.entry.ensemble.Ensemble` has.
    """

    leads: tuple[str, ...]
    inputs: tuple[InputSpec, ...]
    networks: tuple[str, ...]
    label_space: str
    classes: tuple[str, ...]
    prior: tuple[float, ...]
    thresholds: Mapping[str, tuple[float, ...]]
    left_out: Mapping[str, str]
    provenance: Mapping[str, Any]
    lead_names: Mapping[str, str]
    universal: bool
    ensembles: tuple[Mapping[str, Any], ...]

    def decisions(self) -> dict[tuple[str, ...], Deciding]:
        """How the networks of this file answer on each lead set of the entry that has no others."""
        return {
            resolve_leads(values["leads"]): Deciding(
                Ensemble.from_json(values, len(self.networks)),
                {name: np.array(values["thresholds"][name], float) for name in self.networks},
            )
            for values in self.ensembles if tuple(values["networks"]) == self.networks
        }  # fmt: skip

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps(vars(self) | {
            "format": FORMAT, "inputs": [spec.to_json() for spec in self.inputs], "notes": NOTES,
        })  # fmt: skip

    @classmethod
    def from_text(cls, text: str) -> About:
        """The inverse of `to_text`.

        Raises:
            ValueError: it is none of this format.
        """
        try:
            values = json.loads(text)
            if values.pop("format") != FORMAT:
                raise ValueError(f"another format than {FORMAT}")
            values.pop("notes")
            about = cls(**{
                **values, "leads": resolve_leads(values["leads"]), "classes": tuple(values["classes"]),
                "inputs": tuple(map(InputSpec.from_json, values["inputs"])), "networks": tuple(values["networks"]),
                "prior": tuple(map(float, values["prior"])), "ensembles": tuple(values["ensembles"]),
            })  # fmt: skip
            about.decisions()
        except Exception as error:  # what is not of this kit is wrong in many ways
            raise ValueError(f"no metadata of an exported entry: {type(error).__name__}: {error}") from error
        if len(about.prior) != len(about.classes):
            raise ValueError(f"{len(about.prior)} shares of {len(about.classes)} classes")
        return about
