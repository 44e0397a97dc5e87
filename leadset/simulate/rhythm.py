"""When the heart beats: atria, AV node and ventricles, beat by beat, for all recordings at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.simulate.draws import Draws
from leadset.simulate.heart import CONDUCTED, FIBRILLATION, FLUTTER, P_ECTOPIC, P_SINUS, SINUS, VENTRICULAR, Heart

#: Seconds simulated before the first and after the last sample, so that waves and filters have no edge there.
LEAD_IN, LEAD_OUT = 1.5, 0.5

_FASTEST = 230 / 60  # beats a second; how many beats are provided for
_SHORTEST_RR = 0.24


@dataclass(frozen=True)
class Beats:
    """Beats of n recordings (n, beats), times in seconds from the first sample; unused places have ``used`` false."""

    onset: np.ndarray  # of the QRS complex
    used: np.ndarray
    conducted: np.ndarray  # whether the ventricles follow
    kind: np.ndarray  # CONDUCTED, VENTRICULAR
    p_onset: np.ndarray  # NaN without a P wave
    p_kind: np.ndarray
    qt: np.ndarray


def draw_beats(draws: Draws, heart: Heart, seconds: float) -> Beats:
    """Beats from `LEAD_IN` seconds before the first sample to `LEAD_OUT` seconds after the last."""
    count = int((LEAD_IN + seconds + LEAD_OUT) * _FASTEST) + 2
    regular, irregular, flutter = (
        make(draws, heart, count) for make in (_sinus_intervals, _fibrillation_intervals, _flutter_intervals)
    )
    choice = [(heart.rhythm == rhythm)[:, None] for rhythm in (FIBRILLATION, FLUTTER)]
    rr = np.select(choice, [irregular, flutter], regular)
    atrial, ventricular = _premature(draws, heart, rr, seconds)
    rr = np.maximum(_with_premature(draws, rr, atrial, ventricular, choice[0] | choice[1]), _SHORTEST_RR)

    onset = np.cumsum(rr, axis=1) - rr[:, :1] * draws.uniform(1) - LEAD_IN
    kind = np.where(ventricular, VENTRICULAR, CONDUCTED)
    pr = heart.pr[:, None] + np.where(atrial, 0.015, 0.0) + 0.002 * draws.normal(count)
    has_p = ~ventricular & (heart.rhythm == SINUS)[:, None]
    qtc = np.take_along_axis(heart.qtc, kind, axis=1)
    # QT follows the heart rate of the last minute more than the last interval.
    memory = 0.75 * 60 / heart.rate[:, None] + 0.25 * rr * _blocked(heart)[:, None]
    return Beats(
        onset=onset,
        used=onset < seconds + LEAD_OUT,
        conducted=ventricular | (np.arange(count) % _blocked(heart)[:, None] == 0),
        kind=kind,
        p_onset=np.where(has_p, onset - pr, np.nan),
        p_kind=np.where(atrial, P_ECTOPIC, P_SINUS),
        qt=qtc * np.cbrt(memory),
    )


def _blocked(heart: Heart) -> np.ndarray:
    """P waves for a beat of the ventricles (n,); flutter waves are not counted, as they make no beats of their own."""
    return np.where(heart.rhythm == SINUS, heart.block, 1)


def _sinus_intervals(draws: Draws, heart: Heart, count: int) -> np.ndarray:
    """RR intervals (n, count) with the breathing and the 0.1-Hz part of heart rate variability."""
    mean = 60 / (heart.rate * _blocked(heart))[:, None]
    time = mean * np.arange(count)
    phase = 2 * np.pi * draws.uniform(2)
    breath = np.sin(2 * np.pi * heart.respiration[:, None] * time + phase[:, :1])
    slow = np.sin(2 * np.pi * 0.1 * time + phase[:, 1:] + 0.5 * np.cumsum(draws.normal(count), axis=1) / count**0.5)
    swing = heart.respiratory_swing[:, None] * breath + heart.slow_swing[:, None] * slow
    return mean * (1 + swing + heart.jitter[:, None] * draws.normal(count))


def _fibrillation_intervals(draws: Draws, heart: Heart, count: int) -> np.ndarray:
    """RR intervals (n, count) without order: the AV node's refractory time, then a waiting time of gamma shape."""
    mean = 60 / heart.rate[:, None]
    shortest = np.maximum(0.52 * mean, 0.26)
    spread = draws.uniform(1, low=0.15, high=0.27) * mean
    shape = ((mean - shortest) / spread) ** 2
    # Wilson & Hilferty: the cube root of a gamma variable is close to normal.
    root = 1 - 1 / (9 * shape) + draws.normal(count) / (3 * np.sqrt(shape))
    return shortest + (mean - shortest) * np.maximum(root, 0.0) ** 3


def _flutter_intervals(draws: Draws, heart: Heart, count: int) -> np.ndarray:
    """RR intervals (n, count) of whole numbers of flutter waves."""
    change = np.digitize(draws.uniform(count), [0.25, 0.8]) - 1  # one wave less, as many, one more
    waves = np.where(heart.block_varies[:, None], np.maximum(heart.block[:, None] + change, 2), heart.block[:, None])
    return waves / heart.flutter.frequency[:, None] * (1 + 0.003 * draws.normal(count))


def _premature(draws: Draws, heart: Heart, rr: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Which beats are premature (n, beats) atrial and ventricular ones; at least one of a kind that is asked for."""
    count = rr.shape[1]
    expected = np.cumsum(rr, axis=1) - LEAD_IN
    wanted = {}
    for name, share in heart.premature.items():
        beats = draws.uniform(count) < share[:, None]
        alternating = (np.arange(count) + draws.choice(np.ones(2))[:, None]) % 2 == 0
        bigeminy = draws.flags(0.12 if name == "ventricular" else 0.05)
        beats = np.where(bigeminy[:, None] & (share > 0)[:, None], alternating, beats)
        sure = draws.uniform(low=min(1.0, 0.2 * seconds), high=max(seconds - 1.5, 0.3 * seconds))
        nearest = np.abs(expected - sure[:, None]).argmin(axis=1)
        beats[np.arange(draws.n), nearest] |= share > 0
        wanted[name] = beats
    ventricular = wanted["ventricular"]
    couplet = draws.uniform(count) < 0.08
    ventricular &= ~_shifted(ventricular) | couplet
    atrial = wanted["atrial"] & ~ventricular & ~_shifted(ventricular)
    return atrial & ~_shifted(atrial), ventricular


def _with_premature(
    draws: Draws, rr: np.ndarray, atrial: np.ndarray, ventricular: np.ndarray, no_sinus: np.ndarray
) -> np.ndarray:
    """Intervals before each beat once premature beats have come early.

    An atrial one resets the sinus node, so that the next beat follows after little more than an interval; after a
    ventricular one the sinus node keeps its time and the pause is compensatory.
    """
    count = rr.shape[1]
    coupling = draws.uniform(2, low=0.0, high=1.0)
    early_atrial = 0.52 + 0.28 * coupling[:, :1] + 0.03 * draws.normal(count)
    early_ventricular = 0.48 + 0.22 * coupling[:, 1:] + 0.015 * draws.normal(count)
    out = np.where(atrial, early_atrial * rr, rr)
    out = np.where(ventricular, early_ventricular * rr, out)
    previous = np.concatenate([rr[:, :1], rr[:, :-1]], axis=1)
    taken = np.concatenate([out[:, :1], out[:, :-1]], axis=1)
    compensatory = np.where(no_sinus, 1.2 * rr, np.maximum(previous + rr - taken, 1.1 * rr))
    pause = draws.uniform(count, low=1.02, high=1.2) * rr
    out = np.where(_shifted(atrial) & ~atrial & ~ventricular, pause, out)
    return np.where(_shifted(ventricular) & ~ventricular, compensatory, out)


def _shifted(beats: np.ndarray) -> np.ndarray:
    """Whether the beat before was one of these."""
    return np.concatenate([np.zeros_like(beats[:, :1]), beats[:, :-1]], axis=1)
