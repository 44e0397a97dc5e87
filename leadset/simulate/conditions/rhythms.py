"""Rhythms: where the beat starts and how fast."""

from __future__ import annotations

import numpy as np

from leadset.simulate import loops
from leadset.simulate.conditions.registry import condition
from leadset.simulate.draws import Draws
from leadset.simulate.heart import (
    CONDUCTED,
    FIBRILLATION,
    FLUTTER,
    JUNCTIONAL,
    PACED_VENTRICLE,
    SINUS,
    Heart,
    discordant_t,
    set_loops,
    vary,
)


@condition("NSR", (28971,), mean_age=50)
def sinus_rhythm(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """60 to 100 beats a minute."""
    _set_rate(heart, rows, 74 + 10 * draws.normal(), 60.5, 99.5)


@condition("SA", (3790,), mean_age=38)
def sinus_arrhythmia(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """The longest interval exceeds the shortest by more than 0.16 s, mostly with the breath."""
    _set_rate(heart, rows, 72 + 9 * draws.normal(), 60.5, 95)
    least = 0.09 * heart.rate / 60
    heart.respiratory_swing[rows] = (least + np.abs(0.06 * draws.normal()))[rows]
    heart.slow_swing[rows] = (heart.respiratory_swing * draws.uniform(low=0.1, high=0.5))[rows]
    heart.respiration[rows] = draws.uniform(low=0.15, high=0.32)[rows]


@condition("SB", (18918,), mean_age=60)
def sinus_bradycardia(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """Below 60 beats a minute."""
    _set_rate(heart, rows, 58.5 - np.abs(6 * draws.normal()), 38, 59)


@condition("STach", (9657,), mean_age=56)
def sinus_tachycardia(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """Above 100 beats a minute, with the short PR interval and the steadiness of withdrawn vagal tone."""
    _set_rate(heart, rows, 101 + np.abs(15 * draws.normal()), 101.5, 165)
    shorter = 0.85 + 0.1 * draws.uniform()
    heart.pr[rows] = np.maximum(heart.pr * shorter, 0.11)[rows]
    heart.p[rows, ..., 2:] *= 1.25
    heart.t[rows, CONDUCTED, :, 2:] *= draws.uniform(1, 1, low=0.4, high=1.0)[rows]
    for swing in (heart.respiratory_swing, heart.slow_swing, heart.jitter):
        swing[rows] *= 0.4


@condition("Brady", (295,), mean_age=72)
def bradycardia(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A slow rhythm of any origin: sinus, junction, or every second P wave blocked."""
    _set_rate(heart, rows, 47 + 6 * draws.normal(), 32, 58)
    origin = draws.choice(np.array([0.45, 0.3, 0.25]))
    heart.rhythm[rows & (origin == 1)] = JUNCTIONAL
    heart.block[rows & (origin == 2)] = 2


@condition("AF", (5255,), mean_age=72)
def atrial_fibrillation(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """No P waves, fibrillatory waves, no order in the RR intervals."""
    _set_rate(heart, rows, 88 * np.exp(0.27 * draws.normal()), 45, 165)
    heart.rhythm[rows] = FIBRILLATION
    # Sick hearts, drugs and the rhythm itself leave few normal T waves.
    change = draws.uniform(1, 1, low=0.0, high=1.0) + 0.25 * draws.normal(1, 3)
    heart.t[rows, CONDUCTED, :, 2:] *= change[rows]


@condition("AFL", (8374,), mean_age=68)
def atrial_flutter(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """Sawtooth waves of 230 to 340 a minute, of which the AV node conducts every second to fifth."""
    heart.block[rows] = (2 + draws.choice(np.array([0.4, 0.25, 0.3, 0.05])))[rows]
    heart.block_varies[rows] = draws.flags(0.45)[rows]
    heart.rhythm[rows] = FLUTTER
    heart.rate[rows] = (60 * heart.flutter.frequency / heart.block)[rows]


@condition("PR", (1481,), mean_age=74)
def pacing(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A pacemaker in the right ventricle, alone or following the atria, sometimes pacing them too."""
    _set_rate(heart, rows, 66 + 9 * draws.normal(), 50, 110)
    mode = draws.choice(np.array([0.4, 0.35, 0.25]))
    heart.rhythm[rows] = np.where(mode == 0, PACED_VENTRICLE, SINUS)[rows]
    heart.atrial_spike[rows & (mode == 2)] = True
    heart.ventricular_spike[rows] = True
    for swing in (heart.respiratory_swing, heart.slow_swing, heart.jitter):
        swing[rows & (mode != 1)] *= 0.05
    heart.pr[rows] = draws.uniform(low=0.12, high=0.19)[rows]
    qrs = loops.rotate(vary(draws, loops.QRS_LBBB, 0.3), 12 * draws.normal(), "y")
    qrs = loops.with_axis(qrs, np.clip(-65 + 20 * draws.normal(), -88, 10))  # from the apex upwards
    duration = np.clip(0.158 + 0.016 * draws.normal(), 0.126, 0.20)
    qrs[..., 2:] *= 1.1 * np.exp(0.25 * draws.normal(1, 1))
    heart.widen(rows, duration)
    set_loops(heart.qrs, rows, CONDUCTED, qrs)
    set_loops(heart.t, rows, CONDUCTED, discordant_t(draws, qrs, 0.35))
    unipolar = draws.flags(0.35)
    size = np.where(unipolar, 2.5, 0.35) * np.exp(0.4 * draws.normal())
    direction = np.array([0.6, 0.7, -0.4]) + 0.3 * draws.normal(3)
    heart.spike[rows] = (size[:, None] * direction)[rows]


def _set_rate(heart: Heart, rows: np.ndarray, rate: np.ndarray, low: float, high: float) -> None:
    heart.rate[rows] = np.clip(rate, low, high)[rows]
