"""Zero-phase quadratic-spline wavelet transform of all leads at once.

Martínez, Almeida, Olmos, Rocha, Laguna, IEEE Trans. Biomed. Eng. 51(4):570-581, 2004; prototype filters of Li, Zheng,
Tai, IEEE Trans. Biomed. Eng. 42(1):21-28, 1995. The wavelet is the derivative of a smoothing function: an extremum of a
scale is a steepest slope, a zero crossing between two extrema of opposite sign is the peak of a wave. The published
filters advance scale k by 2^(k-1) - 1/2 samples; here only their amplitude is applied, so that every scale crosses zero
at the peak itself.

The transform is evaluated on one grid of 250 Hz whatever the rate of the recording: multipliers vanish above 125 Hz,
so the inverse Fourier transform on that grid is a band-limited resampling and loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import ceil

import numpy as np
import scipy.fft

#: Sampling rate of the grid in Hz; every constant given in samples refers to it.
GRID_RATE = 250
#: Number of dyadic scales.
N_SCALES = 5
#: Seconds of point reflection on either side, longer than half the longest filter.
PADDING = 1.0


@dataclass(frozen=True)
class Transform:
    """A recording on the 250-Hz grid.

    Attributes:
        signal: (leads, t) the band-limited signal in mV.
        scales: (5, leads, t) wavelet scales 1 to 5.
        step: input samples per grid sample.
        origin: position of grid sample 0 in input samples.
    """

    signal: np.ndarray
    scales: np.ndarray
    step: float
    origin: float

    def of(self, leads: np.ndarray) -> Transform:
        """The transform of some leads, chosen by a (leads,) mask."""
        return self if leads.all() else replace(self, signal=self.signal[leads], scales=self.scales[:, leads])

    def to_input(self, position: np.ndarray) -> np.ndarray:
        """Grid positions as positions in samples of the input."""
        return position * self.step + self.origin

    def to_grid(self, position: np.ndarray) -> np.ndarray:
        """Positions in samples of the input as grid positions."""
        return (position - self.origin) / self.step


def multipliers(frequency: np.ndarray) -> np.ndarray:
    """Frequency responses j·A_k(f) of scales 1 to 5.

    Args:
        frequency: (f,) in Hz.

    Returns:
        (5, f) imaginary numbers, 0 above 125 Hz.
    """
    omega = 2 * np.pi * np.asarray(frequency, dtype=float) / GRID_RATE
    smoothing = np.ones_like(omega)
    rows = []
    for k in range(N_SCALES):
        rows.append(4j * np.sin(omega * 2**k / 2) * smoothing)
        smoothing = smoothing * np.cos(omega * 2**k / 2) ** 3
    return np.where(np.abs(omega) <= np.pi, np.stack(rows), 0)


@lru_cache(maxsize=64)
def _plan(samples: int, fs: float) -> tuple[int, int, int, np.ndarray]:
    """Padding on the left, padded lengths at the input rate and on the grid, multipliers of the shared bins."""
    ratio = Fraction(GRID_RATE / fs).limit_denominator(2000)
    left = ceil(PADDING * fs)
    blocks = scipy.fft.next_fast_len(ceil((samples + 2 * left) / ratio.denominator), real=True)
    length, grid_length = blocks * ratio.denominator, blocks * ratio.numerator
    bins = min(length, grid_length) // 2 + 1
    response = multipliers(np.arange(bins) * (GRID_RATE / grid_length)).astype(np.complex64)
    return left, length, grid_length, np.concatenate([np.ones((1, bins), np.complex64), response])


def transform(signal: np.ndarray, fs: float) -> Transform:
    """Wavelet scales 1 to 5 of every lead.

    Args:
        signal: (leads, samples) in mV, finite.
        fs: sampling rate in Hz.

    Returns:
        The signal and its scales on the 250-Hz grid, covering the recording from its first to its last sample.
    """
    samples = signal.shape[1]
    left, length, grid_length, response = _plan(samples, float(fs))
    offset = signal.mean(axis=1, keepdims=True)
    padded = _continued((signal - offset).astype(np.float32, copy=False), left, length - samples - left)
    spectrum = scipy.fft.rfft(padded, axis=1)[:, : response.shape[1]]
    step = length / grid_length
    first = ceil(left / step)
    last = int((left + samples - 1) / step)
    both = scipy.fft.irfft(response[:, None] * spectrum, n=grid_length, axis=2)[:, :, first : last + 1]
    both = both * (grid_length / length)
    return Transform(both[0] + offset.astype(np.float32), both[1:], step, first * step - left)


def _continued(signal: np.ndarray, before: int, behind: int) -> np.ndarray:
    """(leads, before + t + behind) of (leads, t), reflected at the points where it begins and ends."""
    if max(before, behind) >= signal.shape[1]:
        return np.pad(signal, ((0, 0), (before, behind)), mode="reflect", reflect_type="odd")
    # The same, in a third of the time for a single lead.
    first, last = 2 * signal[:, :1] - signal[:, before:0:-1], 2 * signal[:, -1:] - signal[:, -2 : -2 - behind : -1]
    return np.concatenate([first, signal, last], axis=1)
