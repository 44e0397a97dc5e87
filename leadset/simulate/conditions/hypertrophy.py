"""Thick or otherwise strong left ventricles: more voltage to the left and back."""

from __future__ import annotations

import numpy as np

from leadset.simulate.conditions.registry import condition
from leadset.simulate.draws import Draws
from leadset.simulate.heart import CONDUCTED, Heart


@condition("LVHV", (5401,), mean_age=55)
def high_voltage(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """High voltage and nothing else."""
    heart.qrs[rows, CONDUCTED, :, 2:] *= _growth(draws)[rows]


@condition("LVH", (4406,), mean_age=64)
def left_ventricular_hypertrophy(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """High voltage, a QRS complex that takes a little longer, and often strain: a T wave against it."""
    heart.qrs[rows, CONDUCTED, :, 2:] *= _growth(draws)[rows]
    longer = np.where(heart.qrs_duration[:, CONDUCTED] < 0.112, draws.uniform(low=0.002, high=0.010), 0.0)
    heart.widen(rows, np.minimum(heart.qrs_duration[:, CONDUCTED] + longer, 0.2))
    strain = rows & draws.flags(0.45)
    against = draws.uniform(1, low=-0.9, high=-0.2)
    heart.t[strain, CONDUCTED, :, 2] *= against[strain]
    heart.t[strain, CONDUCTED, :, 3] *= 0.4


def _growth(draws: Draws) -> np.ndarray:
    """Factors (n, 1, 3): most to the left and back, least downwards."""
    size = draws.uniform(1, 1, low=0.35, high=0.95)
    return 1 + size * np.array([1.0, 0.4, 0.9])
