"""Amplitude scalings by name: what turns millivolts into the numbers that a network sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leadset.signals import MIN_SD_MV


def _scale_none(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(statistics.shape[1], np.float32), np.zeros(statistics.shape[1], np.float32)


def _scale_lead(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, mean, sd, _, _ = statistics
    gain = 1 / np.maximum(sd, MIN_SD_MV)
    return gain, -mean * gain


def _scale_recording(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, mean, sd, _, _ = statistics
    overall = mean.mean()
    gain = 1 / max(np.sqrt((sd**2 + (mean - overall) ** 2).mean()), MIN_SD_MV)
    return np.full_like(mean, gain), np.full_like(mean, -overall * gain)


def _scale_range(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    *_, low, high = statistics
    gain = np.where(high > low, 2 / np.maximum(high - low, MIN_SD_MV), 0)
    return gain, np.where(high > low, -low * gain - 1, 0)


#: Amplitude scalings by name: statistics (5, l) of the whole recording to gain and offset (l,) on millivolts.
SCALINGS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "none": _scale_none,  # millivolts
    "lead": _scale_lead,  # zero mean and unit SD per lead
    "recording": _scale_recording,  # one mean and SD for all leads: their ratios stay
    "range": _scale_range,  # each lead's extremes to -1 and 1
}
