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

from leadset.leads import LIMB_WEIGHTS
from leadset.simulate.leadfield import TORSO

#: Right atrium (forward, down), then left atrium (left, backward).
P_SINUS = np.array([
    [0.36, 0.135, 0.058, 0.078, -0.085],
    [0.64, 0.135, 0.095, 0.050, 0.035],
])

#: Septum, apex, free wall, posterior wall, base.
QRS_NORMAL = np.array([
    [0.19, 0.060, -0.13, -0.05, -0.15],
    [0.35, 0.075, 0.42, 0.36, -0.36],
    [0.49, 0.085, 0.92, 0.72, 0.10],
    [0.63, 0.080, 0.30, 0.20, 0.66],
    [0.79, 0.080, -0.10, -0.06, 0.28],
])

#: The septum is crossed from right to left, the free wall late and slowly: no septal q, broad notched plateau.
QRS_LBBB = np.array([
    [0.14, 0.055, 0.14, 0.12, -0.16],
    [0.33, 0.100, 0.60, 0.30, 0.60],
    [0.50, 0.105, 0.42, 0.10, 1.25],
    [0.67, 0.100, 0.74, 0.14, 1.05],
    [0.83, 0.075, 0.28, 0.02, 0.42],
])

#: What follows the left ventricle in right bundle branch block: slow forces to the right and forward.
QRS_RIGHT_TERMINAL = np.array([
    [0.70, 0.090, -0.34, -0.02, -0.46],
    [0.85, 0.070, -0.26, -0.06, -0.30],
])

#: ST segment, the slow rise and the steeper fall of the T wave.
T_NORMAL = np.array([
    [0.15, 0.150, 0.022, 0.016, -0.072],
    [0.52, 0.130, 0.100, 0.100, -0.072],
    [0.71, 0.110, 0.222, 0.225, -0.138],
])

#: Lead I and aVF as rows of the lead matrix, which span the frontal plane; Goldberger's leads are shorter than
#: Einthoven's by half the root of 3.
_FRONTAL = np.stack([TORSO[0], (TORSO[1] - TORSO[0] / 2) * 2 / np.sqrt(3)])


def net_vector(loops: np.ndarray) -> np.ndarray:
    """Area of loops (..., components, 5) as a vector (..., 3), in mV times the wave's duration."""
    return (loops[..., 1:2] * loops[..., 2:]).sum(axis=-2)


def frontal_axis(loops: np.ndarray) -> np.ndarray:
    """Frontal electrical axis of loops (..., components, 5) in degrees, from the net areas in lead I and aVF."""
    one, foot = np.moveaxis(net_vector(loops) @ _FRONTAL.T, -1, 0)
    return np.degrees(np.arctan2(foot, one))


def limb_voltage(loops: np.ndarray) -> np.ndarray:
    """Largest height in mV from peak to peak over the limb leads, of loops (n, components, 5)."""
    limb = np.array([first * TORSO[0] + second * TORSO[1] for first, second in LIMB_WEIGHTS.values()])
    shape = np.exp(-0.5 * ((np.linspace(0, 1, 60) - loops[..., :1]) / loops[..., 1:2]) ** 2)
    waves = limb @ loops[..., 2:].swapaxes(-1, -2) @ shape
    return np.ptp(waves, axis=-1).max(axis=-1)


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
    wanted = np.radians(degrees)[:, None]
    # The axis is right when the net vector, turned by phi, is at right angles to ``across``, the lead that looks across
    # the wanted direction: a cos(phi) + b sin(phi) + c = 0. Of the two solutions one points the other way.
    across = np.sin(wanted) * _FRONTAL[0] - np.cos(wanted) * _FRONTAL[1]
    net = net_vector(loops)
    a = across[:, 0] * net[:, 0] + across[:, 1] * net[:, 1]
    b = across[:, 1] * net[:, 0] - across[:, 0] * net[:, 1]
    c = across[:, 2] * net[:, 2]
    half = np.arccos(np.clip(-c / np.hypot(a, b), -1, 1))
    turned = [rotate(loops, np.degrees(np.arctan2(b, a) + sign * half), "z") for sign in (1, -1)]
    error = np.abs((frontal_axis(turned[0]) - degrees + 180) % 360 - 180)
    return np.where((error < 90)[:, None, None], *turned)
