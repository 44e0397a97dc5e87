"""Which of the P waves that the network supposes before every complex are there.

P waves come with most beats, and at one distance before the complex; flutter, fibrillation and noise look like a P wave
in some beats, and at any distance. So the P wave of a beat is judged with those of the beats around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

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
#: Distances before the complex that differ by no more than this count as one.
SAME = ms(24)


@dataclass(frozen=True)
class Needs:
    """Least confidences of a P wave.

    Attributes:
        own: of the beat in the lead, the mean of the beats around counted in.
        common: the mean of the beats around in all leads.
        coherent: in an irregular rhythm, which may be atrial fibrillation, the same mean when beats whose P wave has
            another distance count as 0.
        slope: what is added to that, times the change of the RR interval.
    """

    own: float
    common: float
    coherent: float
    slope: float


#: Up to so many leads: what they need. More leads confirm one another. Two leads, of which one may show no P wave at
#: all, would lose as many P waves in frequent ectopic beats as they would lose false ones in fibrillation.
NEEDS: dict[float, Needs] = {
    1: Needs(0.2, 0.35, 0.1, 1.7), 3: Needs(0.2, 0.35, 0.0, 0.0), np.inf: Needs(0.35, 0.35, 0.4, 1.0),
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
    common = uniform_filter1d(mean, 2 * NEIGHBOURS + 1, mode="mirror")
    enough = common >= needs.common
    change = rhythm_change(beat)
    doubtful = (change >= CHANGE) & (common < CERTAIN)
    if doubtful.any():
        distance = beat - (place * sure).sum(axis=0) / sure.sum(axis=0)
        least = needs.coherent + needs.slope * np.minimum(change, LARGEST_CHANGE)
        enough &= ~doubtful | (_coherent(mean, distance) >= least)
    return (sure ** (1 - TRUST) * common**TRUST >= needs.own) & enough


def _coherent(mean: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """(beats,) mean confidence of the beats around; of those with a P wave at another distance (grid samples), 0."""
    around = lambda x: np.lib.stride_tricks.sliding_window_view(  # noqa: E731
        np.pad(x, NEIGHBOURS, constant_values=np.nan), 2 * NEIGHBOURS + 1)
    same = np.abs(around(distance) - distance[:, None]) <= SAME  # NaN compares False
    return np.nansum(same * around(mean), axis=1) / (~np.isnan(around(mean))).sum(axis=1)
