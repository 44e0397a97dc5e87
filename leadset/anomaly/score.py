"""What a detector says of one recording, and the names of what is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PARTS: tuple[str, ...] = ("record", "beat", "trend")
#: What an `AnomalyScore` may be ranked by besides its parts.
RANKS: tuple[str, ...] = ("score", "peak", "worst_beat")
#: The maps of an `AnomalyScore`.
MAPS: tuple[str, ...] = ("map", "deviation")


@dataclass(frozen=True)
class AnomalyScore:
    """What the network says of one recording; errors are squared, on leads scaled to -1 ... 1, never negative.

    Attributes:
        score: sum of the parts, which is how the paper ranks recordings.
        peak: largest value of the deviation; a short anomaly that hardly moves the score stands out in it.
        parts: mean error of recording, heartbeats and trend.
        beats: (n,) mean error of each heartbeat.
        lead_errors: (2, l) mean error of each lead in the recording and in its heartbeats.
        log_variance: mean log-variance that the network expected of the recording.
        map: (l, t) error of each sample, smoothed: how it differs from normal hearts; NaN where no window was scored.
        deviation: (l, t) how it differs from the recording's own heartbeats, see `deviation_map`; blind to what is the
            same in every beat.
        r_peaks: (n,) R peaks of the heartbeats, or the places taken for them.
        features: (d,) float32, always finite, the same entries for every recording of a lead set: those that
            `leadset.anomaly.features.feature_names` lists; of several windows the mean, those of waves over all beats.
        flags: what is wrong with the recording.
        attributes: (7,) `leadset.models.cross_restoration.ATTRIBUTES` in years, share of male, 1/min and seconds, of a
            network that reads them off its latents.
        classes: (k,) probabilities, likewise.
    """

    score: float
    peak: float
    parts: dict[str, float]
    beats: np.ndarray
    lead_errors: np.ndarray
    log_variance: float
    map: np.ndarray
    deviation: np.ndarray
    r_peaks: np.ndarray
    features: np.ndarray
    flags: tuple[str, ...]
    attributes: np.ndarray | None = None
    classes: np.ndarray | None = None

    @property
    def worst_beat(self) -> float:
        """Largest mean error of a heartbeat."""
        return float(self.beats.max())
