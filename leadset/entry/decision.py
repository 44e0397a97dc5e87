"""From probabilities to labels: by thresholds or by expected score, never empty, no label by a detector alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# A class is near its threshold from this share of the odds on that it takes to be decided.
NEAR = 0.5
# A label set is better than another from this much on.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class DecisionRule:
    """Thresholds per class, or rewards of classes, with the record of where they come from.

    Attributes:
        thresholds: (k,) probabilities in (0, 1); a class is decided where its probability reaches its threshold.
        provenance: what the thresholds were fitted on and for, as plain values.
        rewards: (k, k) of the Challenge metric, true class by decided one. Where they are given, they decide, and
            thresholds say only which classes are `near`.
    """

    thresholds: np.ndarray
    provenance: dict = field(default_factory=dict)
    rewards: np.ndarray | None = None

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (n, k) to decisions (n, k) bool."""
        if self.rewards is not None:
            return best_label_sets(probabilities, self.rewards)
        return self._by_thresholds(probabilities)

    def _by_thresholds(self, probabilities: np.ndarray) -> np.ndarray:
        """Decisions by thresholds.

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
        rewards = None if self.rewards is None else self.rewards.tolist()
        return {
            "thresholds": [float(t) for t in self.thresholds], "provenance": self.provenance, "rewards": rewards,
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: dict) -> DecisionRule:
        """The inverse of `to_json`."""
        thresholds = np.array(values["thresholds"], dtype=float)
        if not ((thresholds > 0) & (thresholds < 1)).all():
            raise ValueError(f"thresholds {thresholds.tolist()}: expected numbers between 0 and 1")
        rewards = values.get("rewards")
        if rewards is not None:
            rewards = np.array(rewards, dtype=float)
            if rewards.shape != (len(thresholds), len(thresholds)) or not np.isfinite(rewards).all():
                raise ValueError(f"rewards of shape {rewards.shape}: expected finite numbers by pairs of classes")
        return cls(thresholds, dict(values["provenance"]), rewards)


def best_label_sets(probabilities: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """The label sets (n, k) bool of highest expected Challenge score, none of them empty.

    A set b of classes earns sum(b p W) / E|y or b|, where the divisor is the expected number of classes that are true
    or decided: the sum of p, at least 1, and that of 1 - p over b. Such a ratio is greatest where each class pays its
    share of it (Dinkelbach, On nonlinear fractional programming, 1967): b holds the classes with p W > ratio (1 - p),
    which is repeated until it stays.

    Args:
        probabilities: (n, k) calibrated ones, of classes taken to be independent.
        rewards: (k, k) W, true class by decided one.
    """
    # No matrix product: its last bit may differ with the number of recordings.
    earned, costs = np.einsum("nk,kj->nj", probabilities, rewards), 1 - probabilities
    size = np.maximum(probabilities.sum(axis=1, keepdims=True), 1.0)

    def ratios(decided: np.ndarray) -> np.ndarray:
        return (decided * earned).sum(axis=1, keepdims=True) / (size + (decided * costs).sum(axis=1, keepdims=True))

    decided = np.eye(len(rewards), dtype=bool)[np.argmax(earned / (size + costs), axis=1)]
    while True:
        ratio = ratios(decided)
        candidates = earned > ratio * costs
        better = ratios(candidates) > ratio + _ROUNDING
        if not better.any():
            return decided
        decided = np.where(better, candidates, decided)


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
