"""From probabilities to labels: thresholds per class, and never an empty answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class DecisionRule:
    """Thresholds per class with the record of where they come from.

    Attributes:
        thresholds: (k,) probabilities in (0, 1); a class is decided where its probability reaches its threshold.
        provenance: what the thresholds were fitted on and for, as plain values.
    """

    thresholds: np.ndarray
    provenance: dict = field(default_factory=dict)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (n, k) to decisions (n, k) bool.

        Where no class reaches its threshold, the one that comes nearest (largest ratio of probability to threshold)
        is decided: an answer without any label is worth less than a guess to the Challenge and to a reader.
        """
        decisions = probabilities >= self.thresholds
        empty = np.flatnonzero(~decisions.any(axis=1))
        decisions[empty, np.argmax(probabilities[empty] / self.thresholds, axis=1)] = True
        return decisions

    def to_json(self) -> dict:
        """As plain values, for `entry.json`."""
        return {"thresholds": [float(t) for t in self.thresholds], "provenance": self.provenance}

    @classmethod
    def from_json(cls, values: dict) -> DecisionRule:
        """The inverse of `to_json`."""
        return cls(np.array(values["thresholds"], dtype=float), values["provenance"])
