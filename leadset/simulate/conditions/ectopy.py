"""Premature beats."""

from __future__ import annotations

import numpy as np

from leadset.simulate.conditions.registry import condition
from leadset.simulate.draws import Draws
from leadset.simulate.heart import Heart


@condition("PAC", (3041, 224), mean_age=66)
def premature_atrial(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """Beats that come early from elsewhere in the atria."""
    heart.premature["atrial"][rows] = (0.02 + 0.16 * draws.uniform() ** 2)[rows]


@condition("PVC", (1279, 659), mean_age=65)
def premature_ventricular(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """Beats that come early from the ventricles."""
    _set_ventricular(heart, rows, draws)


@condition("VEB", (1944,), mean_age=65)
def ventricular_ectopics(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    """The same under the code of the 2018 data."""
    _set_ventricular(heart, rows, draws)


def _set_ventricular(heart: Heart, rows: np.ndarray, draws: Draws) -> None:
    heart.premature["ventricular"][rows] = (0.02 + 0.20 * draws.uniform() ** 2)[rows]
