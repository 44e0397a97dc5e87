"""Atrioventricular block of the second and the third degree: P waves that no beat of the ventricles follows.

These diagnoses are no class of a label space. They are simulated where they are asked for by name, and draw from a
stream of their own, so that all other recordings of a seed are what they are without them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from leadset.simulate.draws import Draws
from leadset.simulate.heart import CONDUCTED, P_SINUS, VENTRICULAR, Heart
from leadset.simulate.rhythm import LEAD_IN, LEAD_OUT, Beats

#: Abbreviation (as the Challenge's list of unscored diagnoses has it): SNOMED CT code. Of 2:1 conduction the type of
#: second-degree block cannot be told.
AV_BLOCKS: dict[str, str] = {"MoI": "54016002", "MoII": "28189009", "IIAVB": "195042002", "CHB": "27885002"}
_NAMES = tuple(AV_BLOCKS)
_MOBITZ_I, _MOBITZ_II, _TWO_TO_ONE, _COMPLETE = range(len(_NAMES))

#: Purposes of the streams (see `Draws`).
_WHICH, _WHEN = 5, 6
#: Seconds by which PR grows along a Wenckebach period: less from beat to beat, so that RR shortens.
_WENCKEBACH = np.array([0.0, 0.080, 0.125, 0.150, 0.165])


def draw_blocks(draws: Draws, weights: Mapping[str, float]) -> np.ndarray:
    """Which of `AV_BLOCKS` each recording has (n,), or -1, by the weights of all main diagnoses."""
    of_blocks = np.array([weights.get(name, 0.0) for name in _NAMES])
    if not of_blocks.any():
        return np.full(draws.n, -1)
    others = sum(weights.values()) - of_blocks.sum()
    return draws.apart(_WHICH).choice(np.array([others, *of_blocks])) - 1


def block_codes(block: int) -> tuple[str, ...]:
    """SNOMED CT code of a block, by its number in `AV_BLOCKS`."""
    return (AV_BLOCKS[_NAMES[block]],)


def with_blocks(draws: Draws, heart: Heart, beats: Beats, seconds: float) -> Beats:
    """Beats with those of the hearts that have a block in their place."""
    rows = np.flatnonzero(heart.av_block >= 0)
    if not len(rows):
        return beats
    blocked = _blocked_beats(draws.apart(_WHEN), heart, beats.onset.shape[1], seconds)
    return Beats(*(_put(getattr(beats, name), getattr(blocked, name), rows) for name in Beats.__dataclass_fields__))


def _put(into: np.ndarray, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    out = into.copy()
    out[rows] = values[rows]
    return out


def _blocked_beats(draws: Draws, heart: Heart, count: int, seconds: float) -> Beats:
    """Atria at 65 to 105 a minute; of their waves all but the last of each period are conducted, or, in complete block,
    none: the ventricles beat by themselves at 30 to 50 a minute, from the junction (narrow) or below (wide)."""
    block = heart.av_block[:, None]
    interval = 60 / draws.uniform(1, low=65, high=105)
    atria = interval * (1 + 0.012 * draws.normal(count))
    p_onset = np.cumsum(atria, axis=1) - atria[:, :1] * draws.uniform(1) - LEAD_IN
    period = np.where(block == _TWO_TO_ONE, 2, 3 + draws.choice(np.array([0.45, 0.35, 0.2]))[:, None])
    place = (np.arange(count) + np.floor(draws.uniform(1) * period).astype(int)) % period
    growth = draws.uniform(1, low=0.75, high=1.3) * _WENCKEBACH[place]
    pr = heart.pr[:, None] + np.where(block == _MOBITZ_I, growth, 0.0) + 0.002 * draws.normal(count)
    escape = 60 / draws.uniform(1, low=30, high=50)
    own = np.cumsum(escape * (1 + 0.01 * draws.normal(count)), axis=1) - escape * draws.uniform(1) - LEAD_IN
    wide = draws.flags(0.5)[:, None]

    complete = np.broadcast_to(block == _COMPLETE, own.shape)
    conducted = (place < period - 1) & ~complete
    onset = np.concatenate([p_onset + pr, np.where(complete, own, np.inf)], axis=1)
    order = np.argsort(onset, axis=1, kind="stable")[:, :count]
    both = lambda atrial, ventricular: np.take_along_axis(  # noqa: E731
        np.concatenate([atrial, np.broadcast_to(ventricular, own.shape)], axis=1), order, axis=1)
    kind = both(np.full(own.shape, CONDUCTED), np.where(wide, VENTRICULAR, CONDUCTED))
    rr = np.where(block == _COMPLETE, escape, interval * period / (period - 1))
    onset = both(p_onset + pr, np.where(complete, own, np.inf))
    return Beats(
        onset=onset,
        used=onset < seconds + LEAD_OUT,
        conducted=both(conducted, np.ones(own.shape, dtype=bool)),
        kind=kind,
        p_onset=both(p_onset, np.nan),
        p_kind=np.full(own.shape, P_SINUS),
        qt=np.take_along_axis(heart.qtc, kind, axis=1) * np.cbrt(np.minimum(rr, 1.6)),
    )
