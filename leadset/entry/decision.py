"""From probabilities to labels: thresholds per class, never an empty answer, no label by a detector alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# A class is near its threshold from this share of the odds on that it takes to be decided.
NEAR = 0.5


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

    def near(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes (n, k) are decided or nearly so: with at least `NEAR` of the odds that their threshold is."""
        odds = self.thresholds / (1 - self.thresholds)
        return probabilities >= (1 - probabilities) * (NEAR * odds)

    def to_json(self) -> dict:
        """As plain values, for `entry.json`."""
        return {"thresholds": [float(t) for t in self.thresholds], "provenance": self.provenance}

    @classmethod
    def from_json(cls, values: dict) -> DecisionRule:
        """The inverse of `to_json`."""
        thresholds = np.array(values["thresholds"], dtype=float)
        if not ((thresholds > 0) & (thresholds < 1)).all():
            raise ValueError(f"thresholds {thresholds.tolist()}: expected numbers between 0 and 1")
        return cls(thresholds, dict(values["provenance"]))


def veto(decisions: np.ndarray, own: DecisionRule, probabilities: np.ndarray) -> np.ndarray:
    """Decisions (n, k) that a detector had a say in, less those that the classifiers give no reason for.

    An anomaly raises no particular class. So a class stays decided only where the classifiers alone put it near their
    threshold; where nothing is left, they decide alone.

    Args:
        decisions: (n, k) bool of all members together.
        own: the rule by which the classifiers alone decide.
        probabilities: (n, k) of the classifiers alone.
    """
    kept = decisions & own.near(probabilities)
    return np.where(kept.any(axis=1, keepdims=True), kept, own(probabilities))
