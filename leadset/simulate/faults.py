"""Electrode faults applied to simulated signals: swapped electrodes and unconnected leads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from leadset.leads import INDEPENDENT_LEADS, LEADS
from leadset.simulate.draws import Draws
from leadset.simulate.leadfield import ELECTRODE_WEIGHTS, ELECTRODES, twelve_leads


def swap_electrodes(signals: np.ndarray, first: str, second: str) -> np.ndarray:
    """The recordings (..., 12, samples) as they would be had two electrodes changed places.

    Raises:
        ValueError: not two of the electrodes RA, LA, LL, V1 to V6.
    """
    if first not in ELECTRODES or second not in ELECTRODES or first == second:
        raise ValueError(f"cannot swap {first} and {second}: expected two of {', '.join(ELECTRODES)}")
    one, two = signals[..., LEADS.index("I"), :], signals[..., LEADS.index("II"), :]
    # Potentials against Wilson's terminal, the mean of the limb electrodes, which no swap among them moves.
    limbs = [-(one + two) / 3, (2 * one - two) / 3, (2 * two - one) / 3]
    chest = [signals[..., LEADS.index(name), :] for name in INDEPENDENT_LEADS[2:]]
    potentials = np.stack(limbs + chest, axis=-2)
    order = list(range(len(ELECTRODES)))
    i, j = ELECTRODES.index(first), ELECTRODES.index(second)
    order[i], order[j] = j, i
    recorded = ELECTRODE_WEIGHTS.astype(signals.dtype) @ potentials[..., order, :]
    flat = twelve_leads(recorded.reshape(-1, *recorded.shape[-2:]))
    return flat.reshape(*signals.shape[:-2], *flat.shape[1:])


def flatten_leads(signals: np.ndarray, leads: Iterable[str]) -> np.ndarray:
    """The recordings (..., 12, samples) with leads that were not connected: a flat line.

    Raises:
        ValueError: not one of the twelve leads.
    """
    out = signals.copy()
    for lead in leads:
        if lead not in LEADS:
            raise ValueError(f"no lead {lead}: expected some of {' '.join(LEADS)}")
        out[..., LEADS.index(lead), :] = 0
    return out


def draw_faults(seed: int, indices: Sequence[int], share: float) -> list[Callable[[np.ndarray], np.ndarray]]:
    """A function of a signal for each recording: a share swaps two electrodes or unplugs one or two chest leads.

    Swaps are the frequent ones: both arms, an arm and a leg, neighbours on the chest.
    """
    draws = Draws(seed, indices, purpose=4)
    wrong = draws.flags(share)
    swapped = draws.flags(0.6)
    swap = draws.choice(np.array([weight for _, weight in _SWAPS]))
    unplugged = 6 + (6 * draws.uniform(2)).astype(int)

    def fault(row: int) -> Callable[[np.ndarray], np.ndarray]:
        if not wrong[row]:
            return lambda signal: signal
        if swapped[row]:
            return lambda signal: swap_electrodes(signal, *_SWAPS[swap[row]][0])
        return lambda signal: flatten_leads(signal, [LEADS[i] for i in unplugged[row]])

    return [fault(row) for row in range(len(indices))]


_SWAPS: tuple[tuple[tuple[str, str], float], ...] = (
    (("RA", "LA"), 5), (("LA", "LL"), 2), (("RA", "LL"), 1), (("V1", "V2"), 1), (("V2", "V3"), 1), (("V4", "V5"), 1),
)  # fmt: skip
