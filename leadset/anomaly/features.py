"""A recording as a fixed number of features: how well each wave of each lead was restored, and what scaling hides.

The mean error of a recording dilutes what is wrong with one wave of one lead. These features keep waves and leads
apart, say what is typical of the recording and how far its outlier is from that, the heartbeat least like the others,
and add what the network never sees because leads are scaled, heartbeats cut and noise is not to be reconstructed:
rhythm, amplitude, roughness, and the waves as the delineation has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadset.anomaly.score import AnomalyScore
from leadset.models.cross_restoration import BEFORE_R, RATE
from leadset.utils.nan_statistics import median, spread
from leadset.waves.beats import RECORD_FEATURES, Beats

#: Stretches of a heartbeat in samples from its R peak; waves are looked for where most hearts have them.
SEGMENTS: dict[str, tuple[int, int]] = {"P": (-120, -30), "QRS": (-30, 40), "ST": (40, 90), "T": (90, 240)}
# What is asked by lead and segment: the two branches' typical error, and how far the outlier among the heartbeats is
# from the typical one in each and in the signal itself.
_BY_SEGMENT = ("record typical", "record outlier", "beat typical", "beat outlier", "signal outlier")
_PARTS = ("record", "beat", "trend", "log-variance")
_RHYTHM = ("interval", "irregularity", "shortest", "longest", "jump")
# Of beats (`leadset.waves.BEAT_FEATURES`), in seconds, with what stands for an interval that was never seen.
_INTERVALS = {
    "p_duration": 0.10, "pr_interval": 0.16, "qrs_duration": 0.10, "t_duration": 0.16, "qt_interval": 0.38, "qtc": 0.41,
}  # fmt: skip
# Of leads (`leadset.waves.LEAD_FEATURES`), in mV and as shares.
_HEIGHTS = ("p_amplitude", "q_amplitude", "r_amplitude", "s_amplitude", "t_amplitude", "st_level")
_SHARES = ("r_to_s", "q_share", "p_share", "t_share", "t_biphasic", "t_inverted")
# Waves with a direction in the frontal plane, and the heights that make them.
_DIRECTED = {"P": ("p_amplitude",), "QRS": ("q_amplitude", "r_amplitude", "s_amplitude"), "T": ("t_amplitude",)}
# Roughness: differences over so many samples, so often (half of what is in them lies beyond 20 Hz); QRS complexes,
# which are rough in everyone, in samples around R; length of the stretches that are compared, and the least share of
# one that has to lie between complexes.
_STEP, _TIMES, _COMPLEX, _STRETCH, _LEAST_BETWEEN = 5, 4, (-30, 60), 400, 0.2
# Keep logarithms finite: of squared errors, of shares, of millivolts, of squared differences.
_LEAST_ERROR, _LEAST_SHARE, _LEAST_MV, _LEAST_ROUGH = 1e-5, 0.01, 0.01, 1e-8
#: The groups of features that are judged together, by the question they answer: is a moment unlike the rest of the
#: recording, is the rhythm unusual, is the heartbeat that recurs?
FAMILIES: dict[str, tuple[str, ...]] = {
    "moment": ("record outlier", "beat outlier", "signal outlier", "roughness"),
    "rhythm": ("rhythm",),
    "heartbeat": ("typical", "parts", "amplitude", "waves", "heights", "shares"),
}
#: Those that ask about all of the recording, as most diagnoses do; a moment may be no more than a loose electrode.
LASTING = ("rhythm", "heartbeat")


def feature_names(leads: Sequence[str]) -> tuple[str, ...]:
    """Names of the entries of `AnomalyScore.features` for a lead set, in order.

    * ``"V1 QRS beat typical"``: log of the median over heartbeats of the error in a lead, a segment and a branch;
    * ``"V1 QRS beat outlier"``: log of the largest over the median distance, there, from the typical heartbeat,
      of what the branch leaves unrestored, or of the signal;
    * ``"part trend"``: log of the mean error of a branch, or the mean log-variance;
    * ``"rhythm interval"``: log of the median RR interval in s; ``irregularity``: log of SD over median; ``shortest``
      and ``longest``: log of that interval over the median; ``jump``: log of the largest change between two intervals
      over the median. All 0 where there are fewer than three intervals;
    * ``"V1 amplitude"``: log of the range in mV;
    * ``"V1 roughness"``: log of the roughest over the median stretch between QRS complexes, see `roughness`;
    * ``"no beats"``: share of the windows without a heartbeat to rely on;
    * ``"waves pr_interval"``: median over leads and beats, in s; ``"waves p_share"``: share of the beats with a P wave;
      ``"waves pr_spread"``: standard deviation over beats of the median over leads, in s; ``"waves QRS in I"`` and
      ``"in aVF"``: direction in the frontal plane, a vector no longer than 1;
    * ``"V1 r_amplitude heights"``: median over beats, the root of its size in mV with its sign;
    * ``"V1 q_share shares"`` and what else `leadset.waves.LEAD_FEATURES` has of shares.
    """
    by_segment = (f"{lead} {segment} {what}" for what in _BY_SEGMENT for lead in leads for segment in SEGMENTS)
    directions = (f"{wave} in {lead}" for wave in _DIRECTED for lead in ("I", "aVF"))
    waves = (*_INTERVALS, "p_share", "pr_spread", *directions)
    return (
        *by_segment, *(f"part {part}" for part in _PARTS), *(f"rhythm {name}" for name in _RHYTHM),
        *(f"{lead} {what}" for what in ("amplitude", "roughness") for lead in leads), "no beats",
        *(f"waves {name}" for name in waves),
        *(f"{lead} {name} heights" for lead in leads for name in _HEIGHTS),
        *(f"{lead} {name} shares" for lead in leads for name in _SHARES),
    )  # fmt: skip


def feature_group(name: str) -> str:
    """The group of an entry of `feature_names`: the features that are judged together, a few or a hundred."""
    words = name.split()
    first, last = words[0], words[-1]
    if last == "outlier":
        return " ".join(words[-2:])
    if last in ("typical", "amplitude", "roughness", "heights", "shares"):
        return last
    return first if first in ("rhythm", "waves") else "parts"


def score_features(score: AnomalyScore | None, leads: Sequence[str]) -> np.ndarray:
    """Features (d,) float64 of a score; NaN where there is none."""
    return np.full(len(feature_names(leads)), np.nan) if score is None else score.features.astype(float)


def by_segment(values: np.ndarray) -> np.ndarray:
    """Means (n, l, s) of values (n, l, 480) of heartbeats over `SEGMENTS`."""
    return np.stack([values[..., BEFORE_R + a : BEFORE_R + b].mean(axis=-1) for a, b in SEGMENTS.values()], axis=-1)


def _log(values: np.ndarray | float) -> np.ndarray:
    return np.log(np.asarray(values) + _LEAST_ERROR)


def typical(errors: np.ndarray) -> np.ndarray:
    """Log of the median over heartbeats of errors (n, l, 480), by segment: (l, s)."""
    return _log(np.median(by_segment(errors), axis=0))


def outlier(distances: np.ndarray) -> np.ndarray:
    """Log of the largest over the median of distances (n, l, 480) from the typical heartbeat, by segment: (l, s)."""
    distances = by_segment(distances)
    return _log(distances.max(axis=0)) - _log(np.median(distances, axis=0))


def rhythm_features(r_peaks: np.ndarray) -> np.ndarray:
    """The rhythm of R peaks (n,) in samples; see `feature_names`."""
    intervals = np.diff(r_peaks) / RATE
    if len(intervals) < 3:
        return np.zeros(len(_RHYTHM))
    middle = np.median(intervals)
    shares = np.array([intervals.std(), np.abs(np.diff(intervals)).max()]) / middle + _LEAST_SHARE
    irregularity, jump = np.log(shares)
    return np.array(
        [np.log(middle), irregularity, np.log(intervals.min() / middle), np.log(intervals.max() / middle), jump]
    )


def roughness(signal: np.ndarray, r_peaks: np.ndarray) -> np.ndarray:
    """Log of how much rougher the roughest stretch of each lead is than its median one: (l,), 0 where there are few.

    Noise that comes and goes hardly changes the mean of a heartbeat's waves. It shows where nothing is steep: between
    QRS complexes, in differences of high order, which leave out what is slow.

    Args:
        signal: (l, t) in mV.
        r_peaks: (n,) in it.
    """
    rough = signal.astype(float)
    if rough.shape[1] < _STRETCH + _TIMES * _STEP:
        return np.zeros(len(signal))
    for _ in range(_TIMES):
        rough = rough[:, _STEP:] - rough[:, :-_STEP]
    place = (r_peaks - _TIMES * _STEP // 2)[:, None] + np.arange(*_COMPLEX)
    between = np.ones(rough.shape[1])
    between[place[(place >= 0) & (place < len(between))]] = 0
    known = _summed(between)
    enough = known > _LEAST_BETWEEN * _STRETCH
    if not enough.any():
        return np.zeros(len(signal))
    mean = _summed(rough**2 * between)[:, enough] / known[enough]
    return np.log((mean.max(axis=1) + _LEAST_ROUGH) / (np.median(mean, axis=1) + _LEAST_ROUGH)) / 2


def _summed(values: np.ndarray) -> np.ndarray:
    """Sums of values (…, t) over every stretch."""
    total = np.cumsum(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(1, 0)]), axis=-1)
    return total[..., _STRETCH:] - total[..., :-_STRETCH]


def wave_features(beats: Beats, leads: Sequence[str]) -> np.ndarray:
    """Features (14 + 12 · l,) of the waves of a recording with l leads, the last of `feature_names`; always finite."""
    from leadset.waves import BEAT_FEATURES, LEAD_FEATURES

    of_beats = {feature.name: beats.features[..., i] for i, feature in enumerate(BEAT_FEATURES)}
    table = np.nan_to_num(beats.record[RECORD_FEATURES:].reshape(len(leads), -1))
    of_leads = {feature.name: column for feature, column in zip(LEAD_FEATURES, table.T, strict=True)}
    intervals = [median(of_beats[name].ravel()) for name in _INTERVALS]
    pr_spread = spread(median(of_beats["pr_interval"], axis=0))
    intervals = np.where(np.isnan(intervals), list(_INTERVALS.values()), intervals)
    directions = [_direction(sum(of_leads[name] for name in names), leads) for names in _DIRECTED.values()]
    heights, shares = (np.stack([of_leads[name] for name in names], axis=1) for names in (_HEIGHTS, _SHARES))
    return np.concatenate([
        intervals, [of_leads["p_share"].mean(), np.nan_to_num(pr_spread)], *directions,
        (np.sign(heights) * np.sqrt(np.abs(heights))).ravel(), shares.ravel(),
    ]).astype(np.float32)  # fmt: skip


def _direction(heights: np.ndarray, leads: Sequence[str]) -> np.ndarray:
    """Direction (2,) of a wave with these heights (l,) in mV, in I and aVF; zeros without I and II.

    A vector, since angles jump where they come round; it is short where the wave is too small to have a direction.
    """
    if not {"I", "II"} <= set(leads):
        return np.zeros(2)
    first, second = (heights[list(leads).index(lead)] for lead in ("I", "II"))
    x, y = first, (second - first / 2) * 2 / np.sqrt(3)
    return np.array([x, y]) / (np.hypot(x, y) + 2 * _LEAST_MV)


def window_features(
    by_lead: Sequence[np.ndarray],
    parts: Sequence[float],
    r_peaks: np.ndarray,
    statistics: np.ndarray,
    signal: np.ndarray,
    real: bool,
) -> np.ndarray:
    """Features of a window: those of `feature_names`, in order, but for the last, of `wave_features`.

    Args:
        by_lead: (l, s) of everything asked by lead and segment.
        parts: mean errors of recording, heartbeats and trend, mean log-variance.
        r_peaks: in the window: those found, not those due.
        statistics: (5, l) of the prepared recording.
        signal: (l, t) of the window in mV.
        real: whether there are heartbeats.
    """
    *errors, log_variance = parts
    *_, low, high = statistics
    return np.concatenate([
        *(values.ravel() for values in by_lead), _log(errors), [log_variance], rhythm_features(r_peaks),
        np.log(high - low + _LEAST_MV), roughness(signal, r_peaks), [float(not real)],
    ]).astype(np.float32)  # fmt: skip
