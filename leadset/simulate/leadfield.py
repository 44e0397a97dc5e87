"""From the heart vector to leads, and from electrodes to leads.

Axes of the heart vector, as Frank's: X to the patient's left, Y to the feet, Z to the back.
"""

from __future__ import annotations

import numpy as np

from leadset.leads import DOWER, INDEPENDENT_LEADS, LEADS, LIMB_WEIGHTS
from leadset.simulate.draws import Draws

#: Lead vectors of the average torso: real recordings show more of X in lead I and less in V1 than Dower's; P, QRS and T
#: all say so.
TORSO = np.array(DOWER)
TORSO[[0, 2], 0] *= 1.15, 0.8

#: How the atria are seen, relative to the ventricles: they lie behind them, farther from the chest electrodes.
_ATRIA = np.array([[1.35, 1.0, 1.0]] * 2 + [[0.62, 0.62, 0.62]] * 6)

#: Columns of the lead vectors of each chamber.
VENTRICLES, ATRIA = slice(0, 3), slice(3, 6)

#: The nine electrodes whose potentials make the leads.
ELECTRODES: tuple[str, ...] = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")


def _electrode_weights() -> np.ndarray:
    weights = np.zeros((len(INDEPENDENT_LEADS), len(ELECTRODES)))
    weights[0, :2] = -1, 1
    weights[1, [0, 2]] = -1, 1
    weights[2:, :3] = -1 / 3  # Wilson's central terminal
    weights[2:, 3:] = np.eye(6)
    return weights


#: Leads (8) as weights of the electrodes (9).
ELECTRODE_WEIGHTS = _electrode_weights()


def lead_vectors(draws: Draws) -> np.ndarray:
    """Lead vectors (n, 8, 6) of individual bodies, for ventricles and atria: the average ones, varied.

    A chest electrode lies up to half a space from its place, towards either neighbour, and sees the heart from its own
    distance; all six share the depth of the chest.
    """
    n = draws.n
    vectors = np.broadcast_to(TORSO, (n, *TORSO.shape)).copy()
    shift = np.clip(0.2 * draws.normal(1) + 0.1 * draws.normal(6), -0.5, 0.5)[..., None]
    chest = vectors[:, 2:]
    before = np.concatenate([chest[:, :1], chest[:, :-1]], axis=1)
    after = np.concatenate([chest[:, 1:], chest[:, -1:]], axis=1)
    vectors[:, 2:] = chest + np.abs(shift) * (np.where(shift < 0, before, after) - chest)
    depth, distance = 0.93 * np.exp(0.15 * draws.normal(1, 1)), np.exp(0.08 * draws.normal(6, 1))
    vectors[:, 2:] *= depth * distance
    vectors += 0.03 * draws.normal(*TORSO.shape)
    return np.concatenate([vectors, vectors * _ATRIA], axis=2)


def twelve_leads(recorded: np.ndarray) -> np.ndarray:
    """All twelve leads (n, 12, t) from the eight recorded ones (n, 8, t), by Einthoven's and Goldberger's relations."""
    out = np.empty((recorded.shape[0], len(LEADS), recorded.shape[2]), dtype=recorded.dtype)
    for i, lead in enumerate(LEADS):
        if lead in INDEPENDENT_LEADS:
            out[:, i] = recorded[:, INDEPENDENT_LEADS.index(lead)]
        else:
            first, second = LIMB_WEIGHTS[lead]
            np.multiply(recorded[:, 0], first, out=out[:, i])
            out[:, i] += second * recorded[:, 1]
    return out
