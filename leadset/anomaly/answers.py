"""What a trained restoring network says of a recording, for a head: the one path for training and `run_model`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadset.anomaly.features import feature_names
from leadset.anomaly.scores import AnomalyScore, Scoring, score_recording
from leadset.models.cross_restoration import CrossRestoration
from leadset.waves.beats import Beats


class RPeaks(Sequence):
    """R peaks (n,) int of recordings by index, out of stored `Beats`."""

    def __init__(self, beats: Sequence[Beats]) -> None:
        self._beats = beats

    def __len__(self) -> int:
        return len(self._beats)

    def __getitem__(self, i: int) -> np.ndarray:
        return self._beats[i].r_peaks


def score(model: CrossRestoration, samples: np.ndarray, statistics: np.ndarray, beats: Beats) -> AnomalyScore | None:
    """The score of a prepared recording, in the way that entries score; None for one that cannot be scored.

    Args:
        model: in evaluation mode.
        samples, statistics: of a `leadset.preprocess.Prepared` of the network's transform.
        beats: its reliable ones.
    """
    try:
        return score_recording(model, samples, statistics, Scoring(), beats=beats)
    except Exception:  # whatever is wrong with one recording, the others are answered, and so is this one: by the prior
        return None


def features(found: AnomalyScore | None, leads: Sequence[str]) -> np.ndarray:
    """Features (d,) of `leadset.anomaly.features.feature_names`; NaN where there is no score."""
    return np.full(len(feature_names(leads)), np.nan) if found is None else found.features.astype(float)
