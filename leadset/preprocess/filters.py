"""Filters by name, as second-order sections that run forward and backward over a whole recording."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from leadset.utils.filtering import ZeroPhaseFilter


def _butterworth(order: int, edges: float | tuple[float, float], kind: str) -> Callable[[int], np.ndarray]:
    def design(fs: int) -> np.ndarray:
        from scipy.signal import butter

        return butter(order, edges, kind, fs=fs, output="sos")

    return design


def _heartmaasters(fs: int) -> np.ndarray:
    """Chebyshev type II, order 3, 20 dB down at 0.5 and 100 Hz, then a notch at 50 Hz; each edge only below fs / 2.

    As the heartMAASters entry of the Challenge 2021 had it at 500 Hz: edges are those of the stop band, so that two
    passes are flat within 3 dB from 0.86 to 64 Hz only, and the notch lifts what is far from it by a sixth.
    """
    from scipy.signal import cheby2

    low, high, mains = 0.5, 100.0, 50.0
    if high < fs / 2:
        sections = cheby2(3, 20, (low, high), "bandpass", fs=fs, output="sos")
    else:
        sections = cheby2(3, 20, low, "highpass", fs=fs, output="sos")
    if mains < fs / 2:
        sections = np.vstack([sections, _poles_and_zeros(mains, fs)])
    return sections


def _poles_and_zeros(hertz: float, fs: int) -> np.ndarray:
    """A notch section with poles at 0.9 of its zeros at 500 Hz, as wide and as strong at any other rate of sampling."""

    def section(at_fs: float) -> np.ndarray:
        radius, cosine = 0.9 ** (500 / at_fs), np.cos(2 * np.pi * hertz / at_fs)
        return np.array([1, -2 * cosine, 1, 1, -2 * radius * cosine, radius**2])

    def steady_gain(of: np.ndarray) -> float:
        return of[:3].sum() / of[3:].sum()

    notch = section(fs)
    notch[:3] *= steady_gain(section(500)) / steady_gain(notch)
    return notch


#: Filter designs by name: sampling rate in Hz to second-order sections, run forward and backward.
FILTERS: dict[str, Callable[[int], np.ndarray] | None] = {
    "none": None,
    # Baseline wander out, ST segment kept: two passes of order 1 have -6 dB at 0.5 Hz.
    "highpass": _butterworth(1, 0.5, "highpass"),
    # Restoring networks get the waves alone: two passes of order 2 have -6 dB at 1 Hz and at 25 Hz.
    "restoration": lambda fs: np.concatenate([
        _butterworth(2, 1.0, "highpass")(fs), _butterworth(2, 25.0, "lowpass")(fs)
    ]),
    "heartmaasters": _heartmaasters,
}


@cache
def _filter(name: str, fs: int) -> ZeroPhaseFilter:
    return ZeroPhaseFilter(FILTERS[name](fs))


def apply_filter(signal: np.ndarray, name: str, fs: int) -> np.ndarray:
    """A signal (l, t) at ``fs`` Hz under the filter of this name, without phase shift."""
    return _filter(name, fs)(signal, min(fs, signal.shape[1] - 1))
