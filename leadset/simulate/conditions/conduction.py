"""Conduction: how long the AV node takes and which way the ventricles are activated."""

from __future__ import annotations

import numpy as np

from leadset.simulate import loops
from leadset.simulate.conditions.registry import condition
from leadset.simulate.draws import Draws
from leadset.simulate.heart import CONDUCTED, Heart, discordant_t, set_loops, vary


@condition("IAVB", (3534,), mean_age=68)
def first_degree_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A PR interval above 0.2 s."""
    _lengthen_pr(heart, rows, 0.212 + np.abs(0.034 * draws.normal()))


@condition("LPR", (392,), mean_age=64)
def long_pr(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """The same under another name, as some sources write it."""
    _lengthen_pr(heart, rows, 0.208 + np.abs(0.028 * draws.normal()))


@condition("LBBB", (213, 1281), mean_age=70)
def left_bundle_branch_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """The left ventricle is reached late, through the septum."""
    _set_left_block(heart, rows, draws)


@condition("RBBB", (1779, 3051), mean_age=66)
def right_bundle_branch_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """The right ventricle is reached late, and is seen alone at the end."""
    duration = np.clip(0.140 + 0.012 * draws.normal(), 0.124, 0.18)
    _set_right_block(heart, rows, draws, duration, np.exp(0.35 * draws.normal()))


@condition("IRBBB", (1857,), mean_age=48)
def incomplete_right_bundle_branch_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A small late wave to the right in a QRS complex of less than 0.12 s."""
    duration = np.clip(0.110 + 0.005 * draws.normal(), 0.100, 0.118)
    _set_right_block(heart, rows, draws, duration, 0.5 * np.exp(0.25 * draws.normal()))


@condition("BBB", (522,), mean_age=70)
def bundle_branch_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A block of either bundle branch, the side unnamed."""
    left = draws.flags(0.5)
    _set_left_block(heart, rows & left, draws)
    duration = np.clip(0.138 + 0.012 * draws.normal(), 0.124, 0.18)
    _set_right_block(heart, rows & ~left, draws, duration, np.exp(0.35 * draws.normal()))


@condition("NSIVCB", (1768,), mean_age=66)
def nonspecific_conduction_delay(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A QRS complex slowed everywhere, slurred, like neither bundle branch block."""
    qrs = heart.qrs[:, CONDUCTED].copy()
    size = np.linalg.norm(qrs[..., 2:], axis=-1, keepdims=True)
    qrs[..., 2:] += 0.25 * size * draws.normal(qrs.shape[1], 3)
    qrs[..., 1] *= np.where(size[..., 0] > 0, draws.uniform(qrs.shape[1], low=0.7, high=1.3), 1.0)
    axis = loops.frontal_axis(heart.qrs[:, CONDUCTED])
    heart.widen(rows, np.clip(0.124 + 0.009 * draws.normal(), 0.112, 0.155))
    set_loops(heart.qrs, rows, CONDUCTED, loops.with_axis(qrs, axis))
    heart.t[rows, CONDUCTED, :, 2:] *= draws.uniform(1, 1, low=0.5, high=1.0)[rows]


@condition("QAb", (2076,), mean_age=66)
def abnormal_q_wave(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """Infarcted muscle is not activated: the first third of the QRS complex points away from it."""
    region = _REGIONS[draws.choice(_REGION_WEIGHTS)] + 0.12 * draws.normal(3)
    qrs = heart.qrs[:, CONDUCTED].copy()
    away = -region * (0.32 * np.exp(0.3 * draws.normal()))[:, None]
    qrs[:, 0] = np.concatenate([np.full((heart.n, 1), 0.14), np.full((heart.n, 1), 0.065), away], axis=1)
    qrs[:, 1, 2:] = 0.3 * qrs[:, 1, 2:] + 0.9 * away
    qrs[:, 1, 0], qrs[:, 1, 1] = 0.27, 0.075
    # The wave lost there is missing from the rest too.
    qrs[:, 2:4, 2:] -= 0.35 * (qrs[:, 2:4, 2:] * region[:, None]).sum(-1, keepdims=True).clip(min=0) * region[:, None]
    heart.widen(rows, np.minimum(heart.qrs_duration[:, CONDUCTED] + 0.006, 0.118))
    set_loops(heart.qrs, rows, CONDUCTED, qrs)


@condition("PRWP", (638,), mean_age=62)
def poor_r_wave_progression(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """The early forces do not come forward: R stays below 0.3 mV up to V3."""
    qrs = heart.qrs[:, CONDUCTED].copy()
    backward = draws.uniform(1, low=0.8, high=1.2)
    qrs[:, 0, 4] *= 0.35
    qrs[:, 1, 2] *= 0.55
    qrs[:, 1, 4] = 0.22 * backward[:, 0]
    qrs[:, 2, 4] = np.maximum(qrs[:, 2, 4], 0.62 * np.abs(qrs[:, 2, 2])) + 0.12 * backward[:, 0]
    set_loops(heart.qrs, rows, CONDUCTED, qrs)


@condition("LAD", (7631,), mean_age=65)
def left_axis_deviation(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A frontal axis beyond -30 degrees."""
    _set_axis(heart, rows, np.clip(-33 - np.abs(14 * draws.normal()), -85, -32))


@condition("RAD", (1280,), mean_age=50)
def right_axis_deviation(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A frontal axis beyond 90 degrees."""
    _set_axis(heart, rows, np.clip(96 + np.abs(22 * draws.normal()), 95, 170))


@condition("LAnFB", (2186,), mean_age=66)
def left_anterior_fascicular_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """The upper left ventricle comes last: down first, then up and left; small q in I, small r in II and III."""
    _set_axis(heart, rows, np.clip(-63 + 8 * draws.normal(), -85, -52))
    start = np.array([-0.12, 0.24, -0.14]) * np.exp(0.25 * draws.normal(1))
    heart.qrs[rows, CONDUCTED, 0, 2:] = start[rows]
    heart.widen(rows, np.clip(heart.qrs_duration[:, CONDUCTED] + 0.010, None, 0.19))


@condition("LQRSV", (1599,), mean_age=64)
def low_voltage(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """No limb lead's QRS complex reaches 0.5 mV from peak to peak."""
    size = loops.limb_voltage(heart.qrs[:, CONDUCTED])
    scale = np.minimum(draws.uniform(low=0.28, high=0.42) / size, 0.8)
    heart.qrs[rows, CONDUCTED, :, 2:] *= scale[rows, None, None]
    heart.t[rows, CONDUCTED, :, 2:] *= np.sqrt(scale)[rows, None, None]


#: Directions of the walls of the left ventricle that infarcts are named after: inferior, anterior, lateral.
_REGIONS = np.array([[0.0, 1.0, 0.1], [0.25, 0.0, -0.95], [0.95, -0.2, 0.0]])
_REGION_WEIGHTS = np.array([0.45, 0.4, 0.15])


def _lengthen_pr(heart: Heart, rows: np.ndarray, longer: np.ndarray) -> None:
    at_most = np.minimum(0.36, 0.62 * 60 / heart.rate)  # the P wave stays behind the beat before
    heart.pr[rows] = np.maximum(np.minimum(longer, at_most), 0.206)[rows]


def _set_left_block(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    qrs = loops.rotate(vary(draws, loops.QRS_LBBB, 0.25), 12 * draws.normal(), "y")
    qrs = loops.with_axis(qrs, np.clip(15 + 28 * draws.normal(), -28, 80))
    qrs[..., 2:] *= np.exp(0.25 * draws.normal(1, 1))
    heart.widen(rows, np.clip(0.148 + 0.014 * draws.normal(), 0.124, 0.19))
    set_loops(heart.qrs, rows, CONDUCTED, qrs)
    set_loops(heart.t, rows, CONDUCTED, discordant_t(draws, qrs, 0.36))


def _set_right_block(
    heart: Heart, rows: np.ndarray, draws: Draws, duration: np.ndarray, size: np.ndarray
) -> None:
    own = heart.qrs[:, CONDUCTED, : len(loops.QRS_NORMAL)].copy()
    own[..., :2] *= (heart.qrs_duration[:, CONDUCTED] / duration)[:, None, None]  # the left ventricle keeps its pace
    # and is no longer alone at the end
    complete = size > 0.7
    own[:, 3:, 2:] *= np.where(complete, 0.45, 0.85)[:, None, None]
    own[:, 2, 4] -= np.where(complete, 0.25, 0.0)
    terminal = vary(draws, loops.QRS_RIGHT_TERMINAL, 0.5)
    terminal[..., 2:] *= size[:, None, None]
    heart.widen(rows, duration)
    set_loops(heart.qrs, rows, CONDUCTED, np.concatenate([own, terminal], axis=1))
    against = discordant_t(draws, terminal, 0.6)
    heart.t[rows, CONDUCTED, : against.shape[1], 2:] += (0.6 * against[..., 2:])[rows]


def _set_axis(heart: Heart, rows: np.ndarray, degrees: np.ndarray) -> None:
    """Turns the QRS loop, and the T loop a third of the way."""
    qrs, t = heart.qrs[:, CONDUCTED], heart.t[:, CONDUCTED]
    turn = (degrees - loops.frontal_axis(qrs) + 180) % 360 - 180
    heart.qrs[rows, CONDUCTED] = loops.with_axis(qrs, degrees)[rows]
    heart.t[rows, CONDUCTED] = loops.rotate(t, turn / 3, "z")[rows]
