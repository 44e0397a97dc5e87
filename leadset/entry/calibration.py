"""Calibration: from what networks say to probabilities that are as often right as they claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from leadset.utils.probabilities import log_odds


@dataclass(frozen=True)
class Calibration:
    """A line through the log odds of each class (Platt, Advances in Large Margin Classifiers, 1999).

    Attributes:
        slopes: (k,) above 0, so that the order of recordings stays.
        intercepts: (k,).
        provenance: what it was fitted on, as plain values.
    """

    slopes: np.ndarray
    intercepts: np.ndarray
    provenance: dict[str, Any]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (n, k) to calibrated ones."""
        return expit(self.slopes * log_odds(probabilities) + self.intercepts)

    def undone(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (n, k) or thresholds (k,) to those that the calibration makes them of."""
        return expit((log_odds(probabilities) - self.intercepts) / self.slopes)

    def to_json(self) -> dict:
        """As plain values."""
        return {
            "slopes": [float(slope) for slope in self.slopes],
            "intercepts": [float(intercept) for intercept in self.intercepts],
            "provenance": self.provenance,
        }

    @classmethod
    def from_json(cls, values: dict) -> Calibration:
        """The inverse of `to_json`."""
        slopes, intercepts = (np.array(values[name], dtype=float) for name in ("slopes", "intercepts"))
        if slopes.shape != intercepts.shape:
            raise ValueError(f"{slopes.size} slopes, {intercepts.size} intercepts of a calibration: expected as many")
        if not (np.isfinite(slopes) & (slopes > 0)).all():
            raise ValueError(f"slopes {slopes.tolist()} of a calibration: expected positive numbers")
        if not np.isfinite(intercepts).all():
            raise ValueError(f"intercepts {intercepts.tolist()} of a calibration: expected finite numbers")
        return cls(slopes, intercepts, dict(values["provenance"]))
