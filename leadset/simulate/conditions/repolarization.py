"""Repolarisation: ST segment, T wave, QT interval."""

from __future__ import annotations

import numpy as np

from leadset.simulate.conditions.registry import condition
from leadset.simulate.draws import Draws
from leadset.simulate.heart import CONDUCTED, Heart

# Components of the ST-T loop: the ST segment, then the T wave.
_ST, _T = slice(0, 1), slice(1, None)


@condition("TAb", (11716,), mean_age=62)
def abnormal_t_wave(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """T waves that are flat, turned away from the QRS complex, or of two phases."""
    t = heart.t[:, CONDUCTED].copy()
    form = draws.choice(np.array([0.45, 0.35, 0.2]))
    flat = draws.uniform(1, 1, low=-0.15, high=0.3)
    turned = t[..., 2:] * draws.uniform(1, 3, low=-0.8, high=0.35)
    early = np.array([-0.7, 1.0] + [1.0] * (t.shape[1] - 3))[:, None]  # components of the T wave of two phases
    two_phases = t[:, _T, 2:] * early * draws.uniform(1, 1, low=0.6, high=1.1)
    two_phases[:, 0] *= 2.2
    shape = t[:, _T, 2:]
    shape[form == 0] = (shape * flat)[form == 0]
    shape[form == 1] = turned[:, _T][form == 1]
    shape[form == 2] = two_phases[form == 2]
    heart.t[rows, CONDUCTED] = t[rows]


@condition("NSSTTA", (4712,), mean_age=64)
def nonspecific_change(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """ST segments a little off the line and T waves low, not enough to be called anything else."""
    t = heart.t[:, CONDUCTED].copy()
    t[:, _T, 2:] = t[:, _T, 2:] * draws.uniform(1, 1, low=0.1, high=0.6) + 0.03 * draws.normal(1, 3)
    t[:, _ST, 2:] += draws.uniform(1, 1, low=0.02, high=0.07) * _unit(np.array([-0.7, -0.5, 0.4]))
    heart.t[rows, CONDUCTED] = t[rows]


@condition("TInv", (3989,), mean_age=62)
def inverted_t_wave(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """T waves that point against the wall they belong to: in front, below, at the side, or all of these."""
    t = heart.t[:, CONDUCTED].copy()
    region = draws.choice(np.array([0.35, 0.2, 0.15, 0.3]))
    depth = draws.uniform(1, 1, low=0.5, high=1.2)
    for wanted, axes in ((0, (4,)), (1, (3,)), (2, (2,)), (3, (2, 3, 4))):
        for axis in axes:
            # Against the normal direction (left, down, forward), whatever this heart's T wave was before.
            inverted = -np.abs(t[:, _T, axis]) if axis < 4 else np.abs(t[:, _T, axis])
            t[:, _T, axis] = np.where((region == wanted)[:, None], 1.1 * depth[..., 0] * inverted, t[:, _T, axis])
    heart.t[rows, CONDUCTED] = t[rows]


@condition("STD", (3645,), mean_age=62)
def st_depression(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """An ST segment 0.1 to 0.3 mV low where the left ventricle is seen, and a T wave the flatter for it."""
    size = 0.11 + 0.07 * np.abs(draws.normal(1))
    _set_st(heart, rows, size * _unit(np.array([-0.75, -0.55, 0.35]) + 0.22 * draws.normal(3)))
    heart.t[rows, CONDUCTED, _T, 2:] *= draws.uniform(1, 1, low=0.2, high=0.9)[rows]


@condition("STE", (628,), mean_age=60)
def st_elevation(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """An ST segment lifted over the front or the lower wall, running into a high T wave."""
    front = draws.flags(0.65)[:, None]
    direction = np.where(front, [0.3, 0.05, -0.95], [-0.1, 0.95, 0.25]) + 0.15 * draws.normal(3)
    size = np.where(front, 0.14, 0.19) * (1 + 0.5 * np.abs(draws.normal(1)))
    _set_st(heart, rows, size * _unit(direction))
    heart.t[rows, CONDUCTED, _T, 2:] += (0.5 * size * _unit(direction))[rows, None]


@condition("LQT", (1907,), mean_age=60)
def long_qt(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """A corrected QT interval above 0.48 s."""
    wanted = np.clip(0.485 + np.abs(0.025 * draws.normal()), None, 0.58)
    heart.qtc[rows, CONDUCTED] = np.maximum(heart.qtc[:, CONDUCTED], wanted)[rows]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _set_st(heart: Heart, rows: np.ndarray, vector: np.ndarray) -> None:
    """A flat ST segment of the given vector (n, 3) from the J point to the T wave."""
    shape = np.broadcast_to([0.12, 0.22], (heart.n, 2))
    heart.t[rows, CONDUCTED, 0] = np.concatenate([shape, vector], axis=1)[rows]
