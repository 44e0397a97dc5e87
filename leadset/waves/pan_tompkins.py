"""The QRS detector of Pan and Tompkins, as a method to compare others with: R peaks and no other marks.

Pan and Tompkins, A Real-Time QRS Detection Algorithm, IEEE Trans. Biomed. Eng. 32(3):230-236, 1985: band-pass, slope,
square, moving sum of 150 ms; two adaptive thresholds, a refractory time of 200 ms, T waves told by their slope, and
search-back after 166 % of the mean RR interval. Filters run forwards and backwards here, which delays nothing, over
the grid of 250 Hz. The sums of several leads are averaged, each in units of its own mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks

from leadset.utils.filtering import ZeroPhaseFilter
from leadset.waves.envelope import Envelope
from leadset.waves.marks import MARKS, R
from leadset.waves.search import gather
from leadset.waves.wavelet import Transform

#: Samples a second of the grid.
RATE = 250
BAND = (5.0, 15.0)
#: Seconds: of the moving sum; in which no beat follows another; in which a T wave may; within which R lies; to learn.
SUM, REFRACTORY, T_WAVE, NEAR, LEARNING = 0.15, 0.2, 0.36, 0.1, 2.0
#: Share of the RR interval after which a beat is looked for, and intervals that it is the mean of.
LATE, INTERVALS = 1.66, 8
# Weight of a new peak in a level, and of one that search-back found; threshold between noise and signal levels.
_NEW, _FOUND, _BETWEEN = 0.125, 0.25, 0.25
_BAND_PASS = ZeroPhaseFilter(butter(2, BAND, "bandpass", fs=RATE, output="sos"))
# Samples by which a recording is continued for it, three times its length.
_PADDING = 3 * (2 * len(_BAND_PASS.sections) + 1)


def pan_tompkins_marks(grid: Transform, envelope: Envelope, usable: np.ndarray) -> np.ndarray:
    """R peaks by Pan and Tompkins; arguments and result as of `leadset.waves.rules.rule_marks`."""
    leads, samples = grid.signal.shape
    if not usable.any() or samples <= _PADDING:
        return np.full((leads, 0, len(MARKS)), np.nan)
    filtered = _BAND_PASS(grid.signal[usable].astype(float), _PADDING)
    slope = np.gradient(filtered, axis=1)
    energy = uniform_filter1d(slope**2, round(SUM * RATE), axis=1)
    means = energy.mean(axis=1, keepdims=True)
    common = (energy / np.where(means > 0, means, 1)).mean(axis=0)
    beats = detect(common, np.abs(slope).max(axis=0))
    marks = np.full((leads, len(beats), len(MARKS)), np.nan)
    near = round(NEAR * RATE)
    rows = np.repeat(np.arange(len(filtered)), len(beats))
    around = np.abs(gather(filtered, rows, np.tile(beats - near, len(filtered)), 2 * near + 1))
    highest = around.argmax(axis=1).reshape(len(filtered), len(beats))
    marks[usable, :, R] = np.maximum(beats - near + highest, 0)  # what lies before the first sample repeats it
    return marks


def detect(energy: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Samples (beats,) of the peaks of the moving sum (t,) that are beats.

    Args:
        energy: (t,) the moving sum at 250 Hz.
        slope: (t,) the largest slope among the leads, by which T waves are told from beats.
    """
    peaks, _ = find_peaks(energy, distance=round(REFRACTORY * RATE))
    learning = energy[: round(LEARNING * RATE)]
    signal, noise = float(learning.max()) / 3, float(learning.mean()) / 2
    # Plain numbers, as arithmetic on those of an array takes several times as long.
    heights = dict(zip(peaks.tolist(), energy[peaks].tolist(), strict=True))
    beats: list[int] = []
    passed: list[int] = []  # peaks since the last beat that were too low
    for peak, height in heights.items():
        threshold = noise + _BETWEEN * (signal - noise)
        if passed and peak - beats[-1] > LATE * _mean_interval(beats):
            missed = max(passed, key=heights.__getitem__)
            if heights[missed] > threshold / 2:
                signal += _FOUND * (heights[missed] - signal)
                beats.append(missed)
                passed = [at for at in passed if at > missed]
                threshold = noise + _BETWEEN * (signal - noise)
        if height > threshold and not (beats and _is_t_wave(slope, beats[-1], peak)):
            signal += _NEW * (height - signal)
            beats.append(peak)
            passed = []
        else:
            noise += _NEW * (height - noise)
            passed += [peak] if beats else []
    return np.array(beats, dtype=int)


def _mean_interval(beats: Sequence[int]) -> float:
    """Samples between two of the last beats, on average; infinite where there are not two."""
    last = beats[-INTERVALS - 1 :]
    return (last[-1] - last[0]) / (len(last) - 1) if len(last) > 1 else inf


def _is_t_wave(slope: np.ndarray, beat: int, peak: int) -> bool:
    """Whether a peak shortly after a beat is less than half as steep."""
    if peak - beat > T_WAVE * RATE:
        return False
    half = round(SUM * RATE / 2)
    steepest = [slope[max(at - half, 0) : at + half + 1].max() for at in (beat, peak)]
    return bool(steepest[1] < steepest[0] / 2)
