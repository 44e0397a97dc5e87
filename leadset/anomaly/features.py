"""A recording as a fixed number of features: how well each wave of each lead was restored, and what scaling hides.

The mean error of a recording dilutes what is wrong with one wave of one lead. These features keep waves and leads
apart, say what is usual in the recording and how far its oddest heartbeat is from that, and add what the network never
sees because leads are scaled and heartbeats cut: rhythm and amplitude. All are logarithms, but for shares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadset.models.cross_restoration import BEFORE_R, RATE

#: Stretches of a heartbeat in samples from its R peak; waves are looked for where most hearts have them.
SEGMENTS: dict[str, tuple[int, int]] = {"P": (-120, -30), "QRS": (-30, 40), "ST": (40, 90), "T": (90, 240)}
# What is asked by lead and segment: the two branches' usual error, and how odd the oddest heartbeat is in each and in
# the signal itself.
_BY_SEGMENT = ("record typical", "record odd", "beat typical", "beat odd", "signal odd")
_PARTS = ("record", "beat", "trend", "log-variance")
_RHYTHM = ("interval", "irregularity", "shortest", "longest", "jump")
# Keep logarithms finite: of squared errors, of shares, of millivolts.
_LEAST_ERROR, _LEAST_SHARE, _LEAST_MV = 1e-5, 0.01, 0.01


def feature_names(leads: Sequence[str]) -> tuple[str, ...]:
    """Names of the entries of `AnomalyScore.features` for a lead set, in order.

    * ``"V1 QRS beat typical"``: log of the median over heartbeats of the error in a lead, a segment and a branch;
    * ``"V1 QRS beat odd"``: log of the largest over the median distance, there, from the recording's usual heartbeat,
      of what the branch leaves unrestored, or of the signal;
    * ``"part trend"``: log of the mean error of a branch, or the mean log-variance;
    * ``"rhythm interval"``: log of the median RR interval in s; ``irregularity``: log of SD over median; ``shortest``
      and ``longest``: log of that interval over the median; ``jump``: log of the largest change between two intervals
      over the median. All 0 where there are fewer than three intervals;
    * ``"V1 amplitude"``: log of the range in mV;
    * ``"no beats"``: share of the windows without a heartbeat to rely on.
    """
    waves = (f"{lead} {segment} {what}" for what in _BY_SEGMENT for lead in leads for segment in SEGMENTS)
    parts = (f"part {part}" for part in _PARTS)
    return *waves, *parts, *(f"rhythm {name}" for name in _RHYTHM), *(f"{lead} amplitude" for lead in leads), "no beats"


def feature_group(name: str) -> str:
    """The group of an entry of `feature_names`: the features that are judged together, a few or a hundred."""
    if name.endswith("typical"):
        return "typical"
    if name.endswith("odd"):
        return " ".join(name.split()[-2:])
    return next((group for group in ("rhythm", "amplitude") if group in name), "parts")


def by_segment(values: np.ndarray) -> np.ndarray:
    """Means (n, l, s) of values (n, l, 480) of heartbeats over `SEGMENTS`."""
    return np.stack([values[..., BEFORE_R + a : BEFORE_R + b].mean(axis=-1) for a, b in SEGMENTS.values()], axis=-1)


def _log(values: np.ndarray | float) -> np.ndarray:
    return np.log(np.asarray(values) + _LEAST_ERROR)


def typical(errors: np.ndarray) -> np.ndarray:
    """Log of the median over heartbeats of errors (n, l, 480), by segment: (l, s)."""
    return _log(np.median(by_segment(errors), axis=0))


def odd(distances: np.ndarray) -> np.ndarray:
    """Log of the largest over the median of distances (n, l, 480) from the usual heartbeat, by segment: (l, s)."""
    distances = by_segment(distances)
    return _log(distances.max(axis=0)) - _log(np.median(distances, axis=0))


def rhythm_features(r_peaks: np.ndarray) -> np.ndarray:
    """The rhythm of R peaks (n,) in samples; see `feature_names`."""
    intervals = np.diff(r_peaks) / RATE
    if len(intervals) < 3:
        return np.zeros(len(_RHYTHM))
    usual = np.median(intervals)
    shares = np.array([intervals.std(), np.abs(np.diff(intervals)).max()]) / usual + _LEAST_SHARE
    irregularity, jump = np.log(shares)
    return np.array(
        [np.log(usual), irregularity, np.log(intervals.min() / usual), np.log(intervals.max() / usual), jump]
    )


def window_features(
    by_lead: Sequence[np.ndarray], parts: Sequence[float], r_peaks: np.ndarray, statistics: np.ndarray, real: bool
) -> np.ndarray:
    """Features (d,) of a window, in the order of `feature_names`.

    Args:
        by_lead: (l, s) of everything asked by lead and segment.
        parts: mean errors of recording, heartbeats and trend, mean log-variance.
        r_peaks: in the window: those found, not those due.
        statistics: (5, l) of the prepared recording.
        real: whether there are heartbeats.
    """
    *errors, log_variance = parts
    *_, low, high = statistics
    return np.concatenate([
        *(values.ravel() for values in by_lead), _log(errors), [log_variance], rhythm_features(r_peaks),
        np.log(high - low + _LEAST_MV), [float(not real)],
    ]).astype(np.float32)  # fmt: skip
