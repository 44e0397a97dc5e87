"""Which of the P waves that the network supposes before every complex are there.

P waves come with most beats; flutter, fibrillation and noise look like a P wave in some beats, also where they happen
to do so at a steady distance before the complex. So the P wave of a beat is judged with those of the beats around it.
In an irregular rhythm, which may be fibrillation, the beats that are not premature must have sure P waves: those of a
sinus rhythm with ectopic beats have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from leadset.utils.nan_statistics import median
from leadset.waves.rhythm import NEIGHBOURS, irregularity, mean_around, premature
from leadset.waves.search import ms

#: How much the mean confidence of these beats counts in that of a beat: a P wave that noise hides is believed where
#: others are seen.
TRUST = 0.4
#: Distances before the complex of low P waves that differ by no more than the first of these count as steady, and those
#: of one beat in the leads by no more than the second.
STEADY, SAME = ms(12), ms(24)
#: Of a regular rhythm with low P waves this share of the beats around has one at a steady distance; noise has not.
STEADY_SHARE = 0.6


@dataclass(frozen=True)
class Needs:
    """Least confidences of a P wave.

    Attributes:
        own: of the beat in the lead, the mean of the beats around counted in.
        common: in a regular rhythm, the mean of the beats around in all leads.
        irregular: mean change of the RR interval from which a rhythm is irregular.
        usual: in an irregular rhythm, the mean of those beats around that are not premature.
        steady: of low P waves at a steady distance, the mean of the beats around in all leads and in the lead.
    """

    own: float
    common: float
    irregular: float
    usual: float
    steady: float = np.inf


#: Up to so many leads: what they need. More leads confirm one another; in few of them, noise makes P waves of any
#: rhythm less sure.
NEEDS: dict[float, Needs] = {
    3: Needs(0.2, 0.35, 0.09, 0.73), np.inf: Needs(0.35, 0.35, 0.08, 0.65, 0.28),
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
    irregular, early = irregularity(beat) >= needs.irregular, premature(beat)
    if irregular.any():
        usual = mean_around(mean, ~early)
        enough = np.where(irregular, usual >= needs.usual, enough)
        common = np.where(irregular, usual, common)
    there = (sure ** (1 - TRUST) * common**TRUST >= needs.own) & enough
    if np.isinf(needs.steady) or (irregular | there.all(axis=0)).all():
        return there
    distance = beat - (place * sure).sum(axis=0) / sure.sum(axis=0)
    typical, share = _steady(distance)
    low = ~irregular & ~early & (share >= STEADY_SHARE) & (common >= needs.steady)
    return there | (low & (np.abs(beat - place - typical) <= SAME) & (_around(sure) >= needs.steady))


def _around(values: np.ndarray) -> np.ndarray:
    """Mean over the beats around each, the last axis."""
    return uniform_filter1d(values, 2 * NEIGHBOURS + 1, mode="mirror", axis=-1)


def _steady(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The median of the distances (beats,) of the beats around each and the share of them that have it, to `STEADY`."""
    padded = np.pad(distance, NEIGHBOURS, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    typical = median(around, axis=1)
    near = np.abs(around - typical[:, None]) <= STEADY  # NaN, beyond the first and the last, compares False
    return typical, near.sum(axis=1) / (~np.isnan(around)).sum(axis=1)
