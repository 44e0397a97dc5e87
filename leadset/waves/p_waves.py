"""Which of the P waves that the network supposes before every complex are there.

P waves come with most beats, and at one distance before the complex; flutter, fibrillation and noise look like a P wave
in some beats, and at any distance. So the P wave of a beat is judged with those of the beats around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from leadset.utils.nan_statistics import median
from leadset.waves.rhythm import NEIGHBOURS, rhythm_change
from leadset.waves.search import ms

#: How much the mean confidence of these beats counts in that of a beat: a P wave that noise hides is believed where
#: others are seen.
TRUST = 0.4
#: Changes from one RR interval to the next, relative to the interval, of which half are larger in an irregular rhythm.
#: (Of 167 recordings of normal rhythm 95 % have less than 0.055; of 200 of atrial fibrillation 95 % more than 0.06.)
CHANGE = 0.08
#: A larger change counts as this.
LARGEST_CHANGE = 0.3
#: Mean confidence from which an irregular rhythm has P waves at whatever distances (second-degree block).
CERTAIN = 0.8
#: Distances before the complex that differ by no more than this count as one; in a rhythm whose P waves are low, or
#: whose other beats have none, by no more than that.
SAME, STEADY = ms(24), ms(12)
#: Of a regular rhythm with low P waves this share of the beats around has one at a steady distance; noise has not.
STEADY_SHARE = 0.6
#: Of an irregular rhythm with ectopic beats this share has one of this confidence at a steady distance; fibrillation
#: has not.
SINUS_SHARE, SURE = 0.35, 0.75


@dataclass(frozen=True)
class Needs:
    """Least confidences of a P wave.

    Attributes:
        own: of the beat in the lead, the mean of the beats around counted in.
        common: the mean of the beats around in all leads.
        coherent: in an irregular rhythm, which may be atrial fibrillation, the same mean when beats whose P wave has
            another distance count as 0.
        slope: what is added to that, times the change of the RR interval.
        steady: of low P waves at a steady distance, the mean of the beats around in all leads and in the lead.
    """

    own: float
    common: float
    coherent: float
    slope: float
    steady: float = np.inf


#: Up to so many leads: what they need. More leads confirm one another. Two leads, of which one may show no P wave at
#: all, would lose as many P waves in frequent ectopic beats as they would lose false ones in fibrillation.
NEEDS: dict[float, Needs] = {
    1: Needs(0.2, 0.35, 0.1, 1.7), 3: Needs(0.2, 0.35, 0.0, 0.0), np.inf: Needs(0.35, 0.35, 0.4, 1.0, 0.28),
}


def is_p(sure: np.ndarray, place: np.ndarray, beat: np.ndarray) -> np.ndarray:
    """Which P waves exist.

    Args:
        sure: (leads, beats) confidence of each by itself.
        place: (leads, beats) where it is, in grid samples.
        beat: (beats,) where the beat is, in grid samples.

    Returns:
        (leads, beats) bool.
    """
    needs = next(needs for leads, needs in NEEDS.items() if len(sure) <= leads)
    sure = np.maximum(sure, 1e-3)
    mean = sure.mean(axis=0)
    common = _around(mean)
    enough = common >= needs.common
    change = rhythm_change(beat)
    distance = beat - (place * sure).sum(axis=0) / sure.sum(axis=0)
    doubtful = (change >= CHANGE) & (common < CERTAIN)
    if doubtful.any():
        least = needs.coherent + needs.slope * np.minimum(change, LARGEST_CHANGE)
        enough &= ~doubtful | (_coherent(mean, distance) >= least)
    there = (sure ** (1 - TRUST) * common**TRUST >= needs.own) & enough
    if np.isinf(needs.steady) or enough.all():
        return there
    typical, share = _steady(np.where(mean >= SURE, distance, np.nan))
    sinus = doubtful & (share >= SINUS_SHARE) & (mean >= needs.common) & (np.abs(distance - typical) <= SAME)
    typical, share = _steady(distance)
    low = (change < CHANGE) & (share >= STEADY_SHARE) & (common >= needs.steady)
    low = low & (np.abs(beat - place - typical) <= SAME) & (_around(sure) >= needs.steady)
    return there | (sure >= needs.own) & sinus | low


def _around(values: np.ndarray) -> np.ndarray:
    """Mean over the beats around each, the last axis."""
    return uniform_filter1d(values, 2 * NEIGHBOURS + 1, mode="mirror", axis=-1)


def _windows(values: np.ndarray) -> np.ndarray:
    """(beats, beats around each) of (beats,) values; NaN beyond the first and the last."""
    padded = np.pad(values, NEIGHBOURS, constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)


def _steady(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The median distance of the beats around each (beats,) and the share of them that have it, to `STEADY`; NaN is a
    beat without P wave."""
    around = _windows(distance)
    typical = median(around, axis=1)
    near = np.abs(around - typical[:, None]) <= STEADY
    return typical, near.sum(axis=1) / (~np.isnan(_windows(np.zeros(len(distance))))).sum(axis=1)


def _coherent(mean: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """(beats,) mean confidence of the beats around; of those with a P wave at another distance (grid samples), 0."""
    same = np.abs(_windows(distance) - distance[:, None]) <= SAME  # NaN compares False
    return np.nansum(same * _windows(mean), axis=1) / (~np.isnan(_windows(mean))).sum(axis=1)
