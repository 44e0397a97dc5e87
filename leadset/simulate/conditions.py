"""What each diagnosis changes in a heart. A condition is one function, registered under its class abbreviation.

A function gets the hearts, the rows that have the diagnosis and the draws; it must draw for all rows (see
`leadset.simulate.draws.Draws`) and may change only its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leadset.classes import label_space
from leadset.simulate import loops
from leadset.simulate.draws import Draws
from leadset.simulate.heart import CONDUCTED, FIBRILLATION, Heart, discordant_t, vary

Change = Callable[[Heart, np.ndarray, Draws], None]


@dataclass(frozen=True)
class Condition:
    """A diagnosis: its class, the codes it is written as with their frequency, and what it changes.

    ``frequency`` is the number of recordings with each code in the public Challenge data.
    """

    abbreviation: str
    codes: tuple[str, ...]
    frequency: tuple[int, ...]
    mean_age: float
    change: Change


#: Every condition by its abbreviation, in the order in which they are applied.
CONDITIONS: dict[str, Condition] = {}


def _condition(abbreviation: str, mean_age: float = 60.0, frequency: tuple[int, ...] = (1,)):
    codes = {d.abbreviation: d.codes for d in label_space().classes}[abbreviation]

    def register(change: Change) -> Change:
        CONDITIONS[abbreviation] = Condition(abbreviation, codes, frequency, mean_age, change)
        return change

    return register


@_condition("NSR", 50)
def _sinus_rhythm(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    _set_rate(heart, rows, 74 + 10 * draws.normal(), 60.5, 99.5)


@_condition("SB", 60)
def _sinus_bradycardia(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    _set_rate(heart, rows, 58.5 - np.abs(6 * draws.normal()), 38, 59)


@_condition("STach", 56)
def _sinus_tachycardia(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    _set_rate(heart, rows, 101 + np.abs(15 * draws.normal()), 101.5, 165)
    shorter = 0.85 + 0.1 * draws.uniform()  # vagal withdrawal: shorter PR, little variability
    heart.pr[rows] = np.maximum(heart.pr * shorter, 0.11)[rows]
    for swing in (heart.respiratory_swing, heart.slow_swing, heart.jitter):
        swing[rows] *= 0.3


@_condition("SA", 38)
def _sinus_arrhythmia(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    _set_rate(heart, rows, 68 + 11 * draws.normal(), 48, 95)
    # The longest interval exceeds the shortest by more than 0.16 s, mostly with the breath.
    least = 0.09 * heart.rate / 60
    heart.respiratory_swing[rows] = (least + np.abs(0.06 * draws.normal()))[rows]
    heart.slow_swing[rows] = (heart.respiratory_swing * draws.uniform(low=0.1, high=0.5))[rows]
    heart.respiration[rows] = draws.uniform(low=0.15, high=0.32)[rows]


@_condition("AF", 72)
def _atrial_fibrillation(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    _set_rate(heart, rows, 88 * np.exp(0.27 * draws.normal()), 45, 165)
    heart.rhythm[rows] = FIBRILLATION


@_condition("IAVB", 68)
def _first_degree_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    longer = np.clip(0.212 + np.abs(0.032 * draws.normal()), 0.21, 0.36)
    heart.pr[rows] = np.minimum(longer, 0.62 * 60 / heart.rate)[rows].clip(min=0.206)


@_condition("PAC", 66, (3041, 224))
def _premature_atrial(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    heart.premature["atrial"][rows] = (0.02 + 0.16 * draws.uniform() ** 2)[rows]


@_condition("PVC", 65, (1279, 659))
def _premature_ventricular(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    heart.premature["ventricular"][rows] = (0.02 + 0.20 * draws.uniform() ** 2)[rows]


@_condition("LBBB", 70, (213, 1281))
def _left_bundle_branch_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    qrs = vary(draws, loops.QRS_LBBB, 0.25)
    qrs = loops.rotate(qrs, 10 * draws.normal(), "y")
    qrs = loops.with_axis(qrs, np.clip(5 + 32 * draws.normal(), -60, 80))
    qrs[..., 2:] *= np.exp(0.22 * draws.normal(1, 1))
    _widen(heart, rows, np.clip(0.148 + 0.014 * draws.normal(), 0.124, 0.19))
    heart.qrs[rows, CONDUCTED] = qrs[rows]
    heart.t[rows, CONDUCTED] = discordant_t(draws, qrs, 0.30)[rows]


@_condition("RBBB", 66, (1779, 3051))
def _right_bundle_branch_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    duration = np.clip(0.140 + 0.012 * draws.normal(), 0.126, 0.18)
    own = heart.qrs[:, CONDUCTED].copy()
    own[..., :2] *= (heart.qrs_duration[:, CONDUCTED] / duration)[:, None, None]  # the left ventricle keeps its pace
    own[:, 3:, 2:] *= 0.6  # and is no longer alone at the end
    terminal = vary(draws, loops.QRS_RIGHT_TERMINAL, 0.4)
    terminal[..., 2:] *= np.exp(0.3 * draws.normal(1, 1))
    both = np.concatenate([own, terminal], axis=1)
    _widen(heart, rows, duration)
    _replace_qrs(heart, rows, both)
    against = discordant_t(draws, terminal, 0.35)
    heart.t[rows, CONDUCTED, :, 2:] += (0.6 * against[..., 2:])[rows]


def _set_rate(heart: Heart, rows: np.ndarray, rate: np.ndarray, low: float, high: float) -> None:
    heart.rate[rows] = np.clip(rate, low, high)[rows]


def _widen(heart: Heart, rows: np.ndarray, duration: np.ndarray) -> None:
    """A slower QRS complex; the QT interval grows with it, as the JT interval stays."""
    longer = duration - heart.qrs_duration[:, CONDUCTED]
    heart.qrs_duration[rows, CONDUCTED] = duration[rows]
    heart.qtc[rows, CONDUCTED] += 0.8 * longer[rows]


def _replace_qrs(heart: Heart, rows: np.ndarray, qrs: np.ndarray) -> None:
    """Sets conducted QRS loops (n, components, 5), making room for more components with ones of no height."""
    missing = qrs.shape[1] - heart.qrs.shape[2]
    if missing > 0:
        heart.qrs = np.pad(heart.qrs, ((0, 0), (0, 0), (0, missing), (0, 0)))
        heart.qrs[:, :, -missing:, 1] = 1.0  # a width that can be divided by
    heart.qrs[rows, CONDUCTED] = qrs[rows]
