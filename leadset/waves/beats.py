"""The beats of a prepared recording and their features: the one path for training and `run_model`.

Delineated is what the networks see, the prepared recording, and of it only the leads of the lead set: the beats of a
two-lead recording are the very ones that a twelve-lead recording of the same heart gives to a network of two leads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leadset.leads import LEADS

if TYPE_CHECKING:
    from leadset.waves import Delineation, Features

# The method that the detector that ships learned from; the learned one finds more (benchmarks/beat_methods.csv).
METHOD = "wavelet"
#: Features per lead and beat: the length of `leadset.waves.BEAT_FEATURES`.
BEAT_FEATURES = 30
#: Features of a recording as a whole, and of each of its leads, as `record_features` has them.
RECORD_FEATURES, LEAD_FEATURES = 23, 14


@dataclass(frozen=True)
class Beats:
    """Beats of a recording in the leads of a lead set.

    Attributes:
        at: (n,) float32 sample of the R peak, at the rate of the prepared recording.
        features: (l, n, 30) float32 as `leadset.waves.BEAT_FEATURES` defines them; NaN is missing.
        record: (23 + 14 · l,) float32 as `record_features` defines them.
    """

    at: np.ndarray
    features: np.ndarray
    record: np.ndarray

    @property
    def r_peaks(self) -> np.ndarray:
        """(n,) R peaks in whole samples."""
        return _whole(self.at)


def _whole(positions: np.ndarray) -> np.ndarray:
    return np.rint(positions[np.isfinite(positions)]).astype(int)


def _is_legible(delineation: Delineation) -> bool:
    """Whether there are heartbeats, and most of what looks like them is no noise in some lead."""
    from leadset.waves.quality import NOISY

    return len(delineation.r_peaks) > 0 and float(np.median(delineation.beat_quality.max(axis=0))) >= NOISY


def record_length(leads: int) -> int:
    """Number of features of a recording as a whole, where so many leads are delineated."""
    return RECORD_FEATURES + leads * LEAD_FEATURES


def find_r_peaks(samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], rate: float) -> np.ndarray:
    """R peaks (n,) in whole samples of a prepared recording, from the leads of these rows alone.

    They are those of the reliable beats of `find_beats`.
    """
    from leadset.waves import delineate

    rows = list(rows)
    delineation = delineate(samples[rows] * statistics[0, rows, None], rate, METHOD)
    return _whole(delineation.r_peaks) if _is_legible(delineation) else np.zeros(0, dtype=int)


def find_beats(
    samples: np.ndarray, statistics: np.ndarray, rate: int, leads: Sequence[str], reliable: bool = False,
    progress: Callable[[float], object] = lambda _: None,
) -> Beats:  # fmt: skip
    """Delineates the leads of a lead set.

    Args:
        samples: (12, t) int16 of a prepared recording, in memory or mapped.
        statistics: (5, 12) as in `leadset.preprocess.Prepared`.
        rate: its sampling rate in Hz.
        leads: the l lead names.
        reliable: none where most of what looks like heartbeats is noise in every lead.
        progress: is told what share of the recording has been delineated since the last call.
    """
    from leadset.waves import delineate, extract_features

    rows = [LEADS.index(lead) for lead in leads]
    signal = samples[rows] * statistics[0, rows, None]
    delineation = delineate(signal, rate, METHOD, progress)
    if reliable and not _is_legible(delineation):
        nothing = np.empty((len(rows), 0, BEAT_FEATURES), np.float32)
        return Beats(np.empty(0, np.float32), nothing, np.full(record_length(len(rows)), np.nan, np.float32))
    features = extract_features(delineation, signal, leads)
    return Beats(delineation.r_peaks.astype(np.float32), features.beats, record_features(features))


def record_features(features: Features) -> np.ndarray:
    """Features of a recording as a whole (23 + 14 · l,) float32; NaN is missing.

    Those of `leadset.waves.RECORD_FEATURES` in their order, less the number of beats, which says how long the recording
    is; then those of each lead (`leadset.waves.LEAD_FEATURES`). Rates are per second, and an axis is its cosine and its
    sine, for which -180° and 180° are the same.
    """
    from leadset.waves import RECORD_FEATURES as TABLE

    parts = []
    for feature, value in zip(TABLE, features.record, strict=True):
        if feature.unit == "degree":
            parts += [np.cos(np.radians(value)), np.sin(np.radians(value))]
        elif feature.name != "beats":
            parts.append(value / 60 if feature.unit == "1/min" else value)
    return np.concatenate([parts, features.leads.ravel()]).astype(np.float32)


def record_feature_names() -> list[str]:
    """Names of the 23 `record_features` of a recording as a whole."""
    from leadset.waves import RECORD_FEATURES as TABLE

    names = []
    for feature in TABLE:
        if feature.unit == "degree":
            names += [f"{feature.name}_cosine", f"{feature.name}_sine"]
        elif feature.name != "beats":
            names.append(f"{feature.name}_per_second" if feature.unit == "1/min" else feature.name)
    return names


def lead_feature_names(leads: Sequence[str]) -> list[str]:
    """Names of what follows in `record_features`: of each lead those of `leadset.waves.LEAD_FEATURES`."""
    from leadset.waves import LEAD_FEATURES as TABLE

    return [f"{lead} {feature.name}" for lead in leads for feature in TABLE]


def beat_feature_names(leads: Sequence[str]) -> list[str]:
    """Names of the rows of `cut_beats` for these leads, in its order."""
    from leadset.waves import BEAT_FEATURES as TABLE

    return [f"{lead} {feature.name}" for lead in leads for feature in TABLE]


def cut_beats(beats: Beats, window: range, most: int) -> np.ndarray:
    """Features (30 · l, most) of the first beats whose R peak lies in a window; NaN where there is no further beat.

    Rows are ordered by lead, then by feature, as `leadset.waves.Features.tensor` has them.
    """
    inside = np.flatnonzero((beats.at >= window.start) & (beats.at < window.stop))[:most]
    features = np.full((len(beats.features), BEAT_FEATURES, most), np.nan, dtype=np.float32)
    features[:, :, : len(inside)] = beats.features[:, inside].transpose(0, 2, 1)
    return features.reshape(-1, most)
