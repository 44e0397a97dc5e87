"""Exchanged electrodes: which exchange, taken back, would make a recording look more like other hearts.

A recording is described by the levels of its waves in I, II and V1 to V6 (`leadset.waves.levels`), free of scale. How
usual a description is, its log density under a Student t distribution, was fitted on recordings with correct
electrodes (``benchmarks/fit_electrodes.py``). An exchange is suspected where taking it back raises that by `MARGIN`. So
does the correlation between measured and reconstructed leads in Kors, van Herpen, Am. J. Cardiol. 88(4):396-399, 2001.

With LA and LL exchanged, I and II change places, which mostly leaves a heart with another axis and nothing odd: it is
suspected only where the gain is so large that no other explanation is likely, which is seldom. So three limb electrodes
in a circle may look like two exchanged ones. Exchanges with the electrode of the right leg leave one limb lead flat and
are not among those named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from leadset.leads import DOWER, INDEPENDENT_LEADS
from leadset.waves.levels import LEVELS, P_LEVEL, QRS_LEVELS, T_LEVEL

CHEST = INDEPENDENT_LEADS[2:]
#: Gain in log density from which on an exchange is suspected, and from which on what is rarer than that: dextrocardia,
#: inverted chest leads, all of them reversed, which a paced ventricle may look like.
MARGIN, RARE_MARGIN = 6.0, 18.0
#: The gain from which on LA and LL are suspected: of the 569 recordings that it was chosen on none has as much.
LEFT = "exchanged:LA-LL"
LEFT_MARGIN = 14.5
#: Degrees of freedom of the distribution: a rare heart is not infinitely rare.
FREEDOM = 30
MODEL = Path(__file__).with_name("electrodes.safetensors")
# Share of the complex that a wave must reach to count fully: limb P and T, chest P and T.
_SMALLEST_LIMB, _SMALLEST_CHEST = np.array([0.02, 0.04]), np.array([0.03, 0.10])
_OTHER_WAVES = [P_LEVEL, T_LEVEL]


def limb_exchange(first: tuple[float, float], second: tuple[float, float]) -> np.ndarray:
    """(8, 8) the independent leads after an exchange, from I and II after it as weights of I and II before it."""
    matrix = np.eye(len(INDEPENDENT_LEADS))
    matrix[:2, :2] = first, second
    return matrix


def _chest_exchange(order: tuple[int, ...]) -> np.ndarray:
    """(8, 8) the independent leads with chest electrodes in another order."""
    return np.eye(len(INDEPENDENT_LEADS))[[0, 1, *(2 + place for place in order)]]


def _exchanges() -> dict[str, np.ndarray]:
    """Suspicion: (8, 8) matrix that takes it back."""
    matrices = {
        "exchanged:RA-LA": limb_exchange((-1, 0), (-1, 1)),
        "exchanged:RA-LL": limb_exchange((1, -1), (0, -1)),
        LEFT: limb_exchange((0, 1), (1, 0)),
        "reversed:V1-V6": _chest_exchange((5, 4, 3, 2, 1, 0)),
    }
    for a, b in combinations(range(len(CHEST)), 2):
        order = list(range(len(CHEST)))
        order[a], order[b] = b, a
        matrices[f"exchanged:{CHEST[a]}-{CHEST[b]}"] = _chest_exchange(tuple(order))
    for i, lead in enumerate(CHEST):
        matrices[f"inverted:{lead}"] = np.diag(np.where(np.arange(len(INDEPENDENT_LEADS)) == 2 + i, -1.0, 1.0))
    matrices["dextrocardia"] = np.linalg.inv(mirrored())
    return matrices


def mirrored() -> np.ndarray:
    """(8, 8) the independent leads of a heart on the right: its dipole has X inverted, what is no dipole stays."""
    dower = np.array(DOWER)
    return np.eye(len(dower)) + dower @ np.diag([-2.0, 0, 0]) @ np.linalg.pinv(dower)


#: Suspicion: matrix (8, 8) that takes it back, on levels of the independent leads.
EXCHANGES: dict[str, np.ndarray] = _exchanges()
_MATRICES = np.stack([np.eye(len(INDEPENDENT_LEADS)), *EXCHANGES.values()])


@dataclass(frozen=True)
class Density:
    """Student t distribution of descriptions.

    Attributes:
        mean: (64,) centre. covariance: (64, 64) scale.
    """

    mean: np.ndarray
    covariance: np.ndarray

    def log(self, descriptions: np.ndarray, there: np.ndarray) -> np.ndarray:
        """(n,) log density, up to a constant, of descriptions (n, 64) of which those (64,) are there."""
        away = (descriptions - self.mean)[:, there]
        distance = np.einsum("ni,ij,nj->n", away, self._precision(there.tobytes()), away)
        return -(FREEDOM + there.sum()) / 2 * np.log1p(distance / FREEDOM)

    @lru_cache(maxsize=32)  # noqa: B019  there is one density
    def _precision(self, there: bytes) -> np.ndarray:
        mask = np.frombuffer(there, dtype=bool)
        return np.linalg.inv(self.covariance[np.ix_(mask, mask)])

    def __hash__(self) -> int:
        return id(self)


@lru_cache(maxsize=1)
def shipped_density() -> Density:
    """The density that ships."""
    from safetensors.numpy import load_file

    return Density(**load_file(MODEL))


def describe(levels: np.ndarray) -> np.ndarray:
    """Levels without scale.

    Args:
        levels: (..., 8, 8) of the `leadset.leads.INDEPENDENT_LEADS` leads; NaN is missing.

    Returns:
        (..., 64) limb leads relative to the frontal plane's complex, P and T wave, chest leads each relative to itself.
    """
    first, second = levels[..., 0, :], levels[..., 1, :]
    plane = np.sqrt(first**2 + second**2 + (second - first) ** 2)  # of I, II, III: no exchange of electrodes moves it
    complex_ = np.linalg.norm(plane[..., QRS_LEVELS], axis=-1)[..., None]
    described = np.empty(levels.shape)
    described[..., :2, QRS_LEVELS] = levels[..., :2, QRS_LEVELS] / np.maximum(complex_, 1e-6)[..., None] * 2
    others = np.sqrt(plane[..., _OTHER_WAVES] ** 2 + (_SMALLEST_LIMB * complex_) ** 2)
    described[..., :2, _OTHER_WAVES] = levels[..., :2, _OTHER_WAVES] / np.maximum(others, 1e-6)[..., None, :]
    chest = levels[..., 2:, :]
    complex_ = np.linalg.norm(chest[..., QRS_LEVELS], axis=-1)[..., None]
    described[..., 2:, QRS_LEVELS] = chest[..., QRS_LEVELS] / np.maximum(complex_, 1e-6)
    others = np.sqrt(chest[..., _OTHER_WAVES] ** 2 + (_SMALLEST_CHEST * complex_) ** 2)
    described[..., 2:, _OTHER_WAVES] = chest[..., _OTHER_WAVES] / np.maximum(others, 1e-6)
    return described.reshape(*levels.shape[:-2], -1)


def stack_levels(levels: Mapping[str, np.ndarray]) -> np.ndarray:
    """(8, 8) levels of the independent leads from those by lead; NaN where a lead is missing."""
    missing = np.full(LEVELS, np.nan)
    return np.stack([levels.get(lead, missing) for lead in INDEPENDENT_LEADS])


def gains(levels: np.ndarray, density: Density | None = None) -> dict[str, float]:
    """By how much taking back each exchange raises the log density.

    Args:
        levels: (8, 8) of the independent leads in mV; NaN is missing.
        density: another than the one that ships.

    Returns:
        Of the exchanges of leads that are there, in at least two of which something else can be compared; none where
        more than six leads are missing.
    """
    density = density or shipped_density()
    unknown = np.isnan(levels)
    lost = unknown[:, QRS_LEVELS].any(axis=1)
    unknown |= lost[:, None]
    unknown[:2] |= lost[:2].any() | unknown[:2].any(axis=0)
    there = ~unknown.ravel()
    if lost.sum() > len(INDEPENDENT_LEADS) // 2 + 2 or not there.any():
        return {}
    candidates = _MATRICES @ np.where(unknown, 0, levels)
    scores = density.log(describe(candidates), there)
    moved = (np.abs(_MATRICES[1:] - np.eye(len(INDEPENDENT_LEADS))) > 0).any(axis=2)
    # A wave that only one of two exchanged leads shows cannot be compared.
    judged = ~(moved[:, :, None] & unknown[None] & ~unknown.all(axis=0)).any(axis=(1, 2))
    return {name: float(score - scores[0])
            for name, score, use in zip(EXCHANGES, scores[1:], judged, strict=True) if use}


def suspect_exchange(levels: np.ndarray, density: Density | None = None) -> str | None:
    """The exchange that explains levels (8, 8) of the independent leads best, or None; see `gains`."""
    likely = {name: gain for name, gain in gains(levels, density).items() if gain > _margin(name)}
    return max(likely, key=likely.__getitem__, default=None)


def _margin(name: str) -> float:
    """The gain from which on an exchange is suspected."""
    if name == LEFT:
        return LEFT_MARGIN
    return MARGIN if name.startswith("exchanged") else RARE_MARGIN
