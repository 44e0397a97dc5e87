"""How the networks of a lead set answer together: weighted probabilities, and evidence that a detector adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from leadset.entry.calibration import Calibration
from leadset.entry.decision import DecisionRule
from leadset.utils.probabilities import log_odds

# What weights that sum to one may lack to it.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Ensemble:
    """How networks answer together.

    Attributes:
        weights: (m,) of each one's probabilities.
        rule: decides on their sum.
        calibration: of that sum, before it is decided on; None: it is taken as it is.
    """

    weights: np.ndarray
    rule: DecisionRule
    calibration: Calibration | None = None

    def join(self, by_member: Sequence[np.ndarray | None]) -> np.ndarray:
        """Probabilities (n, k) of each member to one; those of a member without weight may be None."""
        # Term by term: a matrix product may differ in the last bit with the number of recordings.
        joint = sum(weight * p for weight, p in zip(self.weights, by_member, strict=True) if weight)
        return joint if self.calibration is None else self.calibration(joint)

    def to_json(self) -> dict:
        """As plain values."""
        return {
            "weights": [float(w) for w in self.weights],
            "decision": self.rule.to_json(),
            "calibration": self.calibration and self.calibration.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict, members: int) -> Ensemble:
        """The inverse of `to_json`, for so many members."""
        weights = np.array(values["weights"], dtype=float)
        if weights.shape != (members,):
            raise ValueError(f"{len(weights)} weights of an ensemble, expected {members}")
        if not (weights >= 0).all() or not weights.sum() <= 1 + _ROUNDING:
            raise ValueError(f"weights {weights.tolist()} of an ensemble, expected shares of one")
        calibration = values.get("calibration")
        return cls(
            weights,
            DecisionRule.from_json(values["decision"]),
            None if calibration is None else Calibration.from_json(calibration),
        )


def read_probabilities(values: Any) -> np.ndarray:
    """Numbers from 0 to 1, from plain values."""
    numbers = np.array(values, dtype=float)
    if not ((numbers >= 0) & (numbers <= 1)).all():
        raise ValueError(f"{numbers.tolist()}: expected numbers from 0 to 1")
    return numbers


@dataclass(frozen=True)
class Evidence:
    """How a detector has a say in what classifiers answer: by the log odds that it adds to what was known before.

    A detector that gives nothing but the shares of the classes changes nothing.

    Attributes:
        strengths: (m,) how much the evidence of each member counts; 0 for classifiers.
        shares: (k,) of the classes in the training recordings.
        rule: decides on the result.
    """

    strengths: np.ndarray
    shares: np.ndarray
    rule: DecisionRule

    def join(self, own: np.ndarray, by_member: Sequence[np.ndarray | None]) -> np.ndarray:
        """Probabilities (n, k) of the classifiers and those of each member to one, as `Ensemble.join`."""
        total, before = log_odds(own), log_odds(self.shares)
        for strength, p in zip(self.strengths, by_member, strict=True):
            if strength:
                total = total + strength * (log_odds(p) - before)
        return expit(total)

    def to_json(self) -> dict:
        """As plain values."""
        return {
            "strengths": [float(s) for s in self.strengths],
            "shares": [float(s) for s in self.shares],
            "decision": self.rule.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict, members: int) -> Evidence:
        """The inverse of `to_json`, for so many members."""
        strengths, shares = np.array(values["strengths"], dtype=float), read_probabilities(values["shares"])
        if strengths.shape != (members,) or not np.isfinite(strengths).all():
            raise ValueError(f"evidence of {len(strengths)} members, expected finite numbers for {members}")
        return cls(strengths, shares, DecisionRule.from_json(values["decision"]))
