"""What the atria show when they do not beat: fibrillatory and flutter waves."""

from __future__ import annotations

import numpy as np

from leadset.simulate.heart import FIBRILLATION, FLUTTER, Heart
from leadset.simulate.rhythm import LEAD_IN, Beats


def add_fibrillation(heart: Heart, vector: np.ndarray, fs: float) -> None:
    """Adds fibrillatory waves to the atrial vectors (n, 3, samples) of the rows in fibrillation.

    A sawtooth of 4 to 9 Hz whose size and frequency wander, after Stridh & Sörnmo, IEEE Trans. Biomed. Eng.
    48:105-111, 2001; it is seen best in V1, as its vector points forward and down.
    """
    rows = np.flatnonzero(heart.rhythm == FIBRILLATION)
    if not len(rows):
        return
    dtype = vector.dtype
    wander = heart.fibrillation.wander[rows].astype(dtype)
    time = (np.arange(vector.shape[2]) / fs).astype(dtype)
    slow = 2 * np.pi * ((0.08 + 0.25 * wander[:, :2, None]) * time + wander[:, 2:4, None])
    frequency = heart.fibrillation.frequency[rows, None].astype(dtype)
    angle = 2 * np.pi * frequency * time + 1.6 * np.sin(slow[:, 0]) + 0.9 * np.sin(2.3 * slow[:, 1])
    swell = 1 + 0.35 * np.sin(2 * np.pi * (0.4 * wander[:, 4:5] * time + wander[:, 5:6]))
    for axis in range(3):
        own = angle + heart.fibrillation.lag[rows, axis, None].astype(dtype)
        saw = np.sin(own) + 0.4 * np.sin(2 * own) + 0.2 * np.sin(3 * own)
        vector[rows, axis] += heart.fibrillation.size[rows, axis, None].astype(dtype) * swell * saw


def add_flutter(heart: Heart, beats: Beats, vector: np.ndarray, fs: float) -> None:
    """Adds flutter waves to the atrial vectors (n, 3, samples) of the rows in flutter: a sawtooth that falls slowly and
    rises fast in II, III and aVF and is upright in V1, in step with the beats."""
    rows = np.flatnonzero(heart.rhythm == FLUTTER)
    if not len(rows):
        return
    time = np.arange(vector.shape[2]) / fs - LEAD_IN - beats.onset[rows, :1]
    angle = 2 * np.pi * ((heart.flutter.frequency[rows, None] * time) % 1)
    for axis in range(3):
        own = (angle + heart.flutter.lag[rows, axis, None]).astype(vector.dtype)
        saw = sum(np.sin(k * own) / k for k in range(1, 5))
        vector[rows, axis] += heart.flutter.size[rows, axis, None].astype(vector.dtype) * saw
