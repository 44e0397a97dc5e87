"""Twelve rows in standard order from whatever was recorded: gaps bridged, limb leads derived."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadset.leads import LEADS, LIMB_WEIGHTS, canonical_lead
from leadset.signals import IMPOSSIBLE_MV, MIN_KNOWN_SHARE, known


def arrange(signal: np.ndarray, leads: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Twelve rows in standard order from whatever leads there are: (12, t), names of the missing ones."""
    if tuple(leads) == LEADS:
        return signal, []
    names = [canonical_lead(name) for name in leads]
    arranged = np.zeros((len(LEADS), signal.shape[1]), dtype=np.float32)
    missing = []
    for row, lead in enumerate(LEADS):
        if lead in names:
            arranged[row] = signal[names.index(lead)]
        else:
            missing.append(lead)
    return arranged, missing


def repair_gaps(signal: np.ndarray, missing: list[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Bridges NaN, infinite and impossible samples by lines; leads that are mostly gaps become missing ones."""
    if signal.min() > -IMPOSSIBLE_MV and signal.max() < IMPOSSIBLE_MV:  # both are NaN if any sample is
        return signal, missing, []
    signal, flags, missing = signal.copy(), [], list(missing)
    there = known(signal)
    for row in np.flatnonzero(~there.all(axis=1)):
        good = there[row]
        if good.mean() < MIN_KNOWN_SHARE:
            signal[row] = 0
            missing.append(LEADS[row])
        else:
            signal[row, ~good] = np.interp(np.flatnonzero(~good), np.flatnonzero(good), signal[row, good])
        flags.append(f"nonfinite:{LEADS[row]}")
    return signal, missing, flags


def derive_limb_leads(signal: np.ndarray, missing: list[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Fills missing limb leads from any two that are there (Einthoven, Goldberger); (12, t), still missing, flags."""
    have = [lead for lead in LIMB_WEIGHTS if lead not in missing]
    wanted = [lead for lead in LIMB_WEIGHTS if lead in missing]
    if not wanted or len(have) < 2:
        return signal, missing, [f"missing:{lead}" for lead in missing]
    to_first_two = np.linalg.inv(np.array([LIMB_WEIGHTS[lead] for lead in have[:2]]))
    first_two = to_first_two @ signal[[LEADS.index(lead) for lead in have[:2]]]
    signal = signal.copy()
    for lead in wanted:
        signal[LEADS.index(lead)] = np.array(LIMB_WEIGHTS[lead]) @ first_two
    missing = [lead for lead in missing if lead not in wanted]
    flags = [f"derived:{lead}" for lead in wanted] + [f"missing:{lead}" for lead in missing]
    return signal, missing, flags
