"""The beats of a prepared recording and their features: the one path for training and `run_model`.

Delineated is what the networks see, the prepared recording, and of it only the leads of the lead set: the beats of a
two-lead recording are the very ones that a twelve-lead recording of the same heart gives to a network of two leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from leadset.leads import LEADS
from leadset.preprocess import InputSpec

# What networks were told of beats when they were compared (docs/models/crnn_pqrst.md) came from the wavelet method.
METHOD = "wavelet"
# Computing features silences warnings, which is a setting of the whole process; an entry reads in several threads.
_ONE_AT_A_TIME = Lock()
#: Features per lead and beat: the length of `leadset.waves.BEAT_FEATURES`.
BEAT_FEATURES = 30


@dataclass(frozen=True)
class Beats:
    """Beats of a recording as a network is told of them.

    Attributes:
        at: (n,) float32 sample of the R peak, at the rate of the prepared recording.
        features: (l, n, 30) float32 as `leadset.waves.BEAT_FEATURES` defines them; NaN is missing. (l, n, 0) where the
            network is told of R peaks alone.
    """

    at: np.ndarray
    features: np.ndarray


def find_r_peaks(samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], rate: float) -> np.ndarray:
    """R peaks (n,) in whole samples of a prepared recording, from the leads of these rows alone.

    There are none where most of what looks like heartbeats is noise in every lead.
    """
    from leadset.waves import delineate
    from leadset.waves.quality import NOISY

    rows = list(rows)
    found = delineate(samples[rows] * statistics[0, rows, None], rate, METHOD)
    if not len(found.r_peaks) or np.median(found.beat_quality.max(axis=0)) < NOISY:
        return np.zeros(0, dtype=int)
    return np.rint(found.r_peaks[np.isfinite(found.r_peaks)]).astype(int)


def find_beats(
    samples: np.ndarray, statistics: np.ndarray, rate: int, leads: Sequence[str], features: bool = True
) -> Beats:
    """Delineates the leads of a lead set.

    Args:
        samples: (12, t) int16 of a prepared recording, in memory or mapped.
        statistics: (5, 12) as in `leadset.preprocess.Prepared`.
        rate: its sampling rate in Hz.
        leads: the l lead names.
        features: of the beats too; otherwise R peaks alone, those of `find_r_peaks`.
    """
    from leadset.waves import delineate, extract_features

    rows = [LEADS.index(lead) for lead in leads]
    if not features:
        peaks = find_r_peaks(samples, statistics, rows, rate).astype(np.float32)
        return Beats(peaks, np.empty((len(rows), len(peaks), 0), np.float32))
    signal = samples[rows] * statistics[0, rows, None]
    delineation = delineate(signal, rate, METHOD)
    with _ONE_AT_A_TIME:
        features = extract_features(delineation, signal, leads)
    return Beats(delineation.r_peaks.astype(np.float32), features.beats)


def cut_beats(beats: Beats, start: int, spec: InputSpec) -> np.ndarray:
    """Features (30 · l, spec.beats) of the beats whose R peak lies in a window; NaN where there is no further beat.

    Rows are ordered by lead, then by feature, as `leadset.waves.Features.tensor` has them.
    """
    inside = np.flatnonzero((beats.at >= start) & (beats.at < start + spec.samples))[: spec.beats]
    features = np.full((len(beats.features), BEAT_FEATURES, spec.beats), np.nan, dtype=np.float32)
    features[:, :, : len(inside)] = beats.features[:, inside].transpose(0, 2, 1)
    return features.reshape(-1, spec.beats)
