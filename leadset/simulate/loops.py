"""The shapes of beats: P, QRS and T loops of the heart vector as sums of Gaussians.

A loop is an array (components, 5): centre and width (SD) as fractions of the wave's duration, then the vector in mV
(X left, Y to the feet, Z to the back; see `leadset.simulate.leadfield`). A P wave lasts from its onset to its end, a
QRS complex likewise; the loop of ST segment and T wave runs from the J point (0) to the end of the T wave (1).
The idea is the dynamical model of McSharry et al., IEEE Trans. Biomed. Eng. 50:289-294, 2003, carried to three
dimensions by Sameni et al., EURASIP J. Adv. Signal Process. 2007:043407; the numbers below are laid out along the known
sequence of activation (septum, apex, free wall, posterior base) to give the amplitudes of adult reference tables.
"""

from __future__ import annotations

import numpy as np

from leadset.simulate.leadfield import DOWER

#: Right atrium (forward, down), then left atrium (left, backward).
P_SINUS = np.array([
    [0.36, 0.135, 0.030, 0.075, -0.045],
    [0.64, 0.135, 0.055, 0.060, 0.035],
])

#: Septum, apex, free wall, posterior wall, base.
QRS_NORMAL = np.array([
    [0.19, 0.070, -0.14, -0.05, -0.20],
    [0.36, 0.080, 0.38, 0.36, -0.42],
    [0.49, 0.085, 0.85, 0.72, 0.12],
    [0.63, 0.080, 0.30, 0.20, 0.58],
    [0.79, 0.080, -0.16, -0.08, 0.26],
])

#: The septum is crossed from right to left, the free wall late and slowly: no septal q, broad notched plateau.
QRS_LBBB = np.array([
    [0.16, 0.065, 0.16, 0.12, -0.06],
    [0.32, 0.095, 0.52, 0.30, 0.42],
    [0.49, 0.095, 0.48, 0.12, 0.86],
    [0.68, 0.095, 0.66, 0.14, 0.80],
    [0.84, 0.070, 0.26, 0.02, 0.30],
])

#: What follows the left ventricle in right bundle branch block: slow forces to the right and forward.
QRS_RIGHT_TERMINAL = np.array([
    [0.70, 0.090, -0.34, -0.02, -0.46],
    [0.85, 0.070, -0.26, -0.06, -0.30],
])

#: ST segment, the slow rise and the steeper fall of the T wave.
T_NORMAL = np.array([
    [0.15, 0.150, 0.010, 0.008, -0.020],
    [0.52, 0.130, 0.090, 0.080, -0.080],
    [0.71, 0.110, 0.210, 0.180, -0.150],
])

#: Rows of the lead matrix for lead I and aVF, which define the frontal axis.
_FRONTAL = np.stack([DOWER[0], DOWER[1] - DOWER[0] / 2])


def net_vector(loops: np.ndarray) -> np.ndarray:
    """Area of loops (..., components, 5) as a vector (..., 3), in mV times the wave's duration."""
    return (loops[..., 1:2] * loops[..., 2:]).sum(axis=-2)


def frontal_axis(loops: np.ndarray) -> np.ndarray:
    """Frontal electrical axis of loops (..., components, 5) in degrees, from the net areas in lead I and aVF."""
    one, foot = np.moveaxis(net_vector(loops) @ _FRONTAL.T, -1, 0)
    return np.degrees(np.arctan2(foot * 2 / np.sqrt(3), one))  # Goldberger's leads are shorter by half the root of 3


def rotate(loops: np.ndarray, degrees: np.ndarray, axis: str) -> np.ndarray:
    """Loops (n, components, 5) turned by angles (n,): ``"z"`` turns I towards aVF, ``"y"`` turns left to the back."""
    cos, sin = np.cos(np.radians(degrees))[:, None], np.sin(np.radians(degrees))[:, None]
    a, b = {"z": (2, 3), "y": (2, 4)}[axis]
    out = loops.copy()
    out[..., a] = cos * loops[..., a] - sin * loops[..., b]
    out[..., b] = sin * loops[..., a] + cos * loops[..., b]
    return out


def with_axis(loops: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Loops (n, components, 5) turned in the frontal plane until their axis is ``degrees`` (n,)."""
    for _ in range(4):  # the lead vectors are not quite at their textbook angles, so one turn is not enough
        error = (degrees - frontal_axis(loops) + 180) % 360 - 180
        loops = rotate(loops, error, "z")
    return loops
