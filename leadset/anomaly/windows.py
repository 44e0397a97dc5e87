"""Windows and heartbeats of a prepared recording, for training and for scoring alike."""

from __future__ import annotations

import numpy as np

from leadset.models.cross_restoration import BEAT_SAMPLES, BEFORE_R
from leadset.preprocess import MAX_TEST_WINDOWS, InputSpec

AFTER_R = BEAT_SAMPLES - BEFORE_R
# In median RR intervals: before this a heartbeat is premature; from this on one is missing between two others.
_PREMATURE, _PAUSE = 0.85, 1.5
#: Flag of a recording in which no complete heartbeat was found.
NO_BEATS = "no reliable beats"


def due_places(r_peaks: np.ndarray) -> np.ndarray:
    """Where heartbeats were due, given R peaks (n,): premature ones left out, then gaps filled.

    A heartbeat is premature after less than 0.85 median RR intervals; one is missing in 1.5 of them or more. What is
    compared at these places shows both where an early heartbeat should have been and that a pause has none.
    """
    if len(r_peaks) < 3:
        return r_peaks
    typical = np.median(np.diff(r_peaks))
    kept = [r_peaks[0]]
    for peak in r_peaks[1:-1]:
        if peak - kept[-1] >= _PREMATURE * typical:
            kept.append(peak)
    kept = np.array([*kept, r_peaks[-1]])
    gaps = np.diff(kept)
    parts = np.where(gaps >= _PAUSE * typical, np.rint(gaps / typical), 1).astype(int)
    shares = np.concatenate([np.arange(n) / n for n in parts])
    filled = np.repeat(kept[:-1], parts) + np.repeat(gaps, parts) * shares
    return np.append(np.rint(filled).astype(int), kept[-1])


def surrounded(places: np.ndarray, samples: int) -> np.ndarray:
    """Places of heartbeats, continued at their median distance to both ends of a window, which cut through some."""
    step = max(int(np.median(np.diff(places))), 1) if len(places) > 1 else BEAT_SAMPLES
    before = np.arange(places[0] - step, BEFORE_R - step, -step)[::-1]
    return np.concatenate([before, places, np.arange(places[-1] + step, samples + BEFORE_R, step)])


def centred_starts(n_samples: int, spec: InputSpec) -> np.ndarray:
    """First samples of the windows to be scored: the middle where one window is nearly all, else evenly spaced ones.

    A recording of 10 s (5000 samples) gives samples 100 to 4899, as published.
    """
    surplus = n_samples - spec.samples
    if surplus <= 0:
        return np.array([0])
    if surplus <= spec.samples // 20:
        return np.array([surplus // 2])
    count = min(-(-n_samples // spec.samples), MAX_TEST_WINDOWS)
    return np.linspace(0, surplus, count).round().astype(int)


def beats_within(r_peaks: np.ndarray, start: int, recorded: int) -> tuple[np.ndarray, bool]:
    """R peaks of the beats that lie within a window, and whether they are real.

    Args:
        r_peaks: of the recording.
        start: first sample of the window.
        recorded: samples of the window that are not padding.

    Returns:
        Positions (n,) in the window, n ≥ 1, and True; where there is no beat, evenly spaced places and False.
    """
    within = r_peaks - start
    within = within[(within >= BEFORE_R) & (within <= recorded - AFTER_R)]
    if len(within):
        return within, True
    return np.arange(BEFORE_R, max(recorded - AFTER_R, BEFORE_R) + 1, BEAT_SAMPLES), False


def around(centres: np.ndarray) -> np.ndarray:
    """Samples (n, 480) that heartbeats with these R peaks (n,) take up."""
    return centres[:, None] + np.arange(-BEFORE_R, AFTER_R)


def cut_heartbeats(window: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Heartbeats (n, l, 480) of a window (l, t) around R peaks, each lead's extremes at -1 and 1; constant leads 0."""
    beats = window[:, around(centres)].swapaxes(0, 1)
    low, high = beats.min(axis=2, keepdims=True), beats.max(axis=2, keepdims=True)
    span = high - low
    scaled = 2 * (beats - low) / np.where(span > 0, span, 1) - 1
    return np.where(span > 0, scaled, 0).astype(np.float32)
