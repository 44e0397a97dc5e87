"""How a lead set answers the recordings that its weights and thresholds were fitted on, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leadset.classes import LabelSpace
from leadset.entry.manifest import TrainedSet
from leadset.leads import lead_set_name
from leadset.scoring.intervals import score_intervals
from leadset.training.data import TrainingData

# Resampled data sets of an interval, and the scores that are kept.
_DRAWS = 200
_KEPT = ("auroc", "challenge_metric")


def validation_scores(
    trained: TrainedSet, answers: Sequence[np.ndarray], labels: np.ndarray, space: LabelSpace, data: TrainingData
) -> dict[str, Any]:
    """Scores as plain values, which are printed too: value, low and high of 95 % intervals over patients.

    Args:
        trained: the lead set.
        answers: (n, k) of each of its networks to the validation part.
        labels: (n, k) of the validation part.
        space: the classes.
        data: whose validation part it is.
    """
    decided, joint = trained.answer(answers)
    intervals = score_intervals(labels, decided, joint, space, data.groups[data.valid], _DRAWS)
    value, name = intervals["challenge_metric"].value, lead_set_name(trained.leads)
    print(f"{name:>6} leads: Challenge metric {value:.3f} on {data.valid_name} (thresholds fitted there)")
    scores = {
        kept: {end: _plain(getattr(intervals[kept], end)) for end in ("value", "low", "high")} for kept in _KEPT
    }
    return scores | {"recordings": len(labels), "part": f"{data.valid_name}; weights and thresholds were fitted there"}


def _plain(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
