"""Whether the limb leads fit each other: inverted, exchanged and scaled ones among them.

Einthoven: I + III = II. Goldberger: aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2. Any two limb leads give the
other four, so that of four and more the one that does not fit stands out. An exchange of electrodes leaves all
relations as they are; see `leadset.waves.electrodes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from leadset.leads import LIMB_WEIGHTS

#: A lead fits if it differs from what the others say by at most this share of the limb leads' root mean square.
TOLERANCE = 0.2
#: A lead whose scale differs from the others' by less than this factor is not called scaled.
_SAME_SCALE = 1.25
_WEIGHTS = np.array(list(LIMB_WEIGHTS.values()))


@dataclass(frozen=True)
class LimbLeads:
    """What the limb leads say together.

    Attributes:
        first, second: (n,) levels of I and II, as most of the limb leads have them.
        suspicions: ``"inverted:LEAD"``, ``"scaled:LEAD"``, ``"exchanged:LEAD-LEAD"`` (two rows of the recording, not
            two electrodes), ``"inconsistent:LEAD"``; where all are concerned, ``"scaled:limb leads"`` (each has a scale
            of its own) and ``"inconsistent:limb leads"``.
    """

    first: np.ndarray
    second: np.ndarray
    suspicions: tuple[str, ...] = ()


def compare_limb_leads(levels: Mapping[str, np.ndarray]) -> LimbLeads | None:
    """Finds the limb leads that do not fit the others.

    Leads that do not fit are named where more than half, and at least three, fit each other. Otherwise each may have a
    scale of its own, or a sign, which the relations give: Σ n_l t_l x_l = 0 for the scales t, the levels x and every n
    that is orthogonal to both columns of weights. Of three leads, exchanging two looks like inverting the third.

    Args:
        levels: (n,) levels in mV, without NaN, of each lead that can be used.

    Returns:
        None where there are fewer than two limb leads, or these are 0.
    """
    names = [lead for lead in LIMB_WEIGHTS if lead in levels]
    measured = np.array([levels[lead] for lead in names])
    if len(names) < 2 or not measured.any():
        return None
    weights = _WEIGHTS[[list(LIMB_WEIGHTS).index(lead) for lead in names]]
    limit = TOLERANCE * np.linalg.norm(measured) / np.sqrt(len(names))
    implied = _largest_agreement(measured, weights, limit)
    fits = np.linalg.norm(measured - implied, axis=1) <= limit
    agreed = LimbLeads(*_solve(weights[fits], measured[fits]), ("inconsistent:limb leads",))
    if fits.sum() > max(len(names) / 2, 2) or fits.all():
        wrong = np.flatnonzero(~fits)
        faults = _name_faults([names[i] for i in wrong], measured[wrong], implied[wrong], limit)
        agreed = replace(agreed, suspicions=faults)
    if not any(fault.startswith("inconsistent") for fault in agreed.suspicions):
        return agreed
    return _scaled_leads(names, measured, weights) or agreed


def _scaled_leads(names: list[str], measured: np.ndarray, weights: np.ndarray) -> LimbLeads | None:
    """Leads that fit each other once each is multiplied by a factor of its own."""
    scales = _scales(measured, weights)
    scaled = scales[:, None] * measured
    first, second = _solve(weights, scaled)
    if np.linalg.norm(scaled - weights @ np.stack([first, second])) > TOLERANCE * np.linalg.norm(scaled):
        return None
    inverted = tuple(f"inverted:{name}" for name, scale in zip(names, scales, strict=True) if scale < 0)
    same = np.abs(scales).max() < _SAME_SCALE * np.abs(scales).min()
    return LimbLeads(first, second, inverted if same else (*inverted, "scaled:limb leads"))


def _solve(weights: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """I and II (n,) from leads (l, n) with weights (l, 2)."""
    first, second = np.linalg.lstsq(weights, measured, rcond=None)[0]
    return first, second


def _largest_agreement(measured: np.ndarray, weights: np.ndarray, limit: float) -> np.ndarray:
    """What follows for all leads (l, n) from the pair of them that most others fit."""
    pairs = np.array(list(combinations(range(len(measured)), 2)))
    implied = weights @ np.linalg.solve(weights[pairs], measured[pairs])
    errors = np.linalg.norm(measured - implied, axis=2) / limit  # (pairs, l)
    return implied[np.argmin((np.where(errors > 1, len(measured), 0) + np.minimum(errors, 1)).sum(axis=1))]


def _scales(measured: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Factor (l,) for each lead, most of them positive, under which the relations hold best."""
    orthogonal = np.linalg.svd(weights)[0][:, 2:]
    size = np.linalg.norm(measured, axis=1, keepdims=True).clip(1e-9)
    system = np.einsum("lk,ln->knl", orthogonal, measured / size).reshape(-1, len(measured))
    scales = np.linalg.svd(system)[2][-1] / size[:, 0]
    scales *= 1 if (scales > 0).sum() * 2 >= len(scales) else -1
    return scales / np.median(np.abs(scales))


def _name_faults(names: list[str], measured: np.ndarray, implied: np.ndarray, limit: float) -> tuple[str, ...]:
    """What is wrong with leads (l, n) that do not fit what the others imply."""
    equal = np.linalg.norm(measured[:, None] - implied[None], axis=2) <= limit
    for a, b in combinations(range(len(names)), 2):
        if equal[a, b] and equal[b, a]:
            rest = [i for i in range(len(names)) if i not in (a, b)]
            others = _name_faults([names[i] for i in rest], measured[rest], implied[rest], limit)
            return (f"exchanged:{names[a]}-{names[b]}", *others)
    faults = []
    for name, row, expected in zip(names, measured, implied, strict=True):
        scale = row @ expected / max(expected @ expected, 1e-12)
        proportional = np.linalg.norm(row - scale * expected) <= TOLERANCE * np.linalg.norm(row)
        faults.append(f"{('scaled' if scale > 0 else 'inverted') if proportional else 'inconsistent'}:{name}")
    return tuple(faults)
