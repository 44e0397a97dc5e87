"""Pacing spikes: what is far too narrow for a complex and as large as one is taken out of the signal."""

from __future__ import annotations

import numpy as np

from leadset.signals import runs

#: Rate in Hz from which on a spike is so much narrower than a complex that it can be cut out of a lead.
CUT_RATE = 200
#: How far in ms a spike is compared with what is beside it.
WIDTH = 4
#: It leaves the signal on either side by this much in mV, and by this share of the range of the rest of the lead (a
#: complex 14 ms wide does so by 0.2, one of 25 ms by 0.05), and lasts so many ms at most.
CUT_MV, CUT_SHARE, LONGEST = 0.3, 0.5, 48


def without_spikes(signal: np.ndarray, fs: float) -> np.ndarray:
    """The signal (leads, samples) in mV with a straight line in place of each large spike; itself where there is none.
    """
    step = max(round(WIDTH * fs / 1000), 1)
    if fs < CUT_RATE or signal.shape[1] < 4 * step:
        return signal
    away = np.abs(signal[:, step:-step] - signal[:, : -2 * step] / 2 - signal[:, 2 * step :] / 2)
    out = signal
    for lead in np.flatnonzero(away.max(axis=1) > CUT_MV):
        height = np.pad(away[lead], step)
        steep = _widened(height > CUT_MV, step)
        least = CUT_SHARE * np.ptp(signal[lead, ~steep]) if not steep.all() else np.inf
        for start, stop in zip(*runs(steep), strict=True):
            if stop - start <= LONGEST * fs / 1000 and height[start:stop].max() > least:
                out = signal.copy() if out is signal else out
                sides = signal[lead, max(start - step, 0) : start], signal[lead, stop : stop + step]
                ends = [side.mean() if side.size else signal[lead, start] for side in sides]
                out[lead, start:stop] = np.linspace(*ends, stop - start + 2)[1:-1]
    return out


def _widened(mask: np.ndarray, by: int) -> np.ndarray:
    """The mask (t,), true for ``by`` samples more on either side."""
    return np.convolve(mask, np.ones(2 * by + 1), "same") > 0.5
