"""Twelve rows in standard order from whatever was recorded: gaps filled, limb leads derived, dead leads told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import NamedTuple

import numpy as np

from leadset.leads import LEADS, LIMB_WEIGHTS, is_known_lead, names_beside, signed_lead
from leadset.signals import (
    CLIPPED_SHARE,
    IMPOSSIBLE_MV,
    LARGEST_OFFSET_MV,
    LONGEST_BRIDGE_S,
    MIN_KNOWN_S,
    MIN_KNOWN_SHARE,
    MIN_SD_MV,
    PLAUSIBLE_SD_MV,
    known,
    runs,
)

# Clipping is measured on every so many samples, which is as good as on all of them.
_CLIPPING_STRIDE = 4
# Samples from which on leads are gone through one by one, to hold less in memory.
_LARGE = 1 << 22


class Statistics(NamedTuple):
    """Mean, SD, minimum and maximum (l,) of leads in mV."""

    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray


def statistics_of(signal: np.ndarray) -> Statistics:
    """Of each row of (l, t)."""
    if len(signal) > 1 and signal.size > _LARGE:
        return Statistics(*map(np.concatenate, zip(*map(statistics_of, np.split(signal, len(signal))), strict=True)))
    mean = signal.mean(axis=1)
    centred = signal - mean[:, None]
    sd = np.sqrt(np.einsum("lt,lt->l", centred, centred) / signal.shape[1])
    return Statistics(mean, sd, signal.min(axis=1), signal.max(axis=1))


@dataclass
class Repaired:
    """The recorded leads out of the twelve.

    Attributes:
        signal: (l, t) float32 mV in standard order; short gaps are bridged by a line, what else is unknown has the mean
            of what is known.
        leads: the l names.
        there: (l, t) bool, what is known or bridged; None where all is.
        usable: the leads that carry a heartbeat: neither flat nor dead nor far above any ECG nor hardly ever known.
        statistics: of the signal.
        flags: what was repaired or looks wrong, such as ``"flat:V1"``.
    """

    signal: np.ndarray
    leads: tuple[str, ...]
    there: np.ndarray | None
    usable: tuple[str, ...]
    statistics: Statistics
    flags: list[str]

    @property
    def shares(self) -> np.ndarray:
        """Share (l,) of the recording for which each lead is known."""
        return np.ones(len(self.leads)) if self.there is None else self.there.mean(axis=1)


def repair(signal: np.ndarray, fs: float, leads: Sequence[str]) -> Repaired:
    """The leads of a recording as they can be used.

    Args:
        signal: (l, t) float32 mV, any leads in any order; NaN and infinity are allowed.
        fs: sampling rate in Hz.
        leads: the l names; of two rows of one lead the first counts.
    """
    signal, names, flags = _arrange(signal, leads)
    signal, there, lost, more = _fill_gaps(signal, fs, names)
    flags += more
    if not len(names):
        return Repaired(signal, names, there, (), Statistics(*[np.zeros(0)] * 4), flags)
    statistics = statistics_of(signal)
    flat = np.array([name not in lost for name in names]) & (statistics.low == statistics.high)
    flags += [f"flat:{names[row]}" for row in np.flatnonzero(flat)]
    alive = np.array([name not in lost for name in names]) & ~flat
    huge, offset = _misplaced(statistics, alive)
    flags += [f"implausible_amplitude:{names[row]}" for row in np.flatnonzero(huge)]
    flags += [f"offset:{names[row]}" for row in np.flatnonzero(offset)]
    if (offset | huge | (flat & (statistics.low != 0))).any():  # an offset is no signal; filters would make one of it
        signal = np.where((flat | huge)[:, None], np.float32(0), signal)
        signal[offset] -= statistics.mean[offset, None]
        statistics = statistics_of(signal)
    alive &= ~huge
    dead, more = _appearance(signal, statistics, alive, names)
    flags += more
    usable = tuple(names[row] for row in np.flatnonzero(alive & ~dead))
    return Repaired(signal, names, there, usable, statistics, flags)


def _arrange(signal: np.ndarray, leads: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """The rows of the twelve leads in standard order, upright; their names; flags for names that are not understood."""
    rows: dict[str, tuple[int, int]] = {}
    here = names_beside(leads)
    for row, name in enumerate(leads):
        lead, sign = signed_lead(name, here)
        rows.setdefault(lead, (row, sign))
    names = tuple(lead for lead in LEADS if lead in rows)
    if names == tuple(leads):
        return signal, names, []
    arranged = signal[[rows[name][0] for name in names]]
    for row, name in enumerate(names):
        if rows[name][1] < 0:
            arranged[row] *= -1
    strange = (name for name in leads if not is_known_lead(name, here))
    return arranged, names, [f"unknown_lead:{'_'.join(name.split())}" for name in strange]


def _fill_gaps(
    signal: np.ndarray, fs: float, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray | None, set[str], list[str]]:
    """Bridges short gaps, fills long ones; the signal, what is there, leads that hardly ever are, flags."""
    # Both are NaN if any sample is.
    if not signal.size or (signal.min() > -IMPOSSIBLE_MV and signal.max() < IMPOSSIBLE_MV):
        return signal, None, set(), []
    signal, there = signal.copy(), np.array([known(row) for row in signal])
    lost, flags = set(), []
    for row in np.flatnonzero(~there.all(axis=1)):
        lead, good = signal[row], there[row]
        starts, ends = runs(~good)
        short = (ends - starts <= LONGEST_BRIDGE_S * fs) & (ends - starts < len(good))
        lead[~good] = 0
        mean = lead.sum(dtype=np.float64) / max(np.count_nonzero(good), 1)
        _bridge(lead, good, starts[short], ends[short])
        if not _is_known_enough(good, fs):
            lead[:], good[:] = 0, False
            lost.add(names[row])
            flags.append(f"nonfinite:{names[row]}")
            continue
        lead[~good] = mean
        flags.append(f"{'nonfinite' if good.all() else 'partial'}:{names[row]}")
    return signal, None if there.all() else there, lost, flags


def _bridge(lead: np.ndarray, good: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Draws a line across each gap of a lead (t,), level where it is at an end, and marks it as good."""
    lengths = ends - starts
    at = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    before = np.where(starts > 0, starts - 1, ends)
    behind = np.where(ends < len(lead), ends, before)
    before, behind = (np.minimum(side, len(lead) - 1) for side in (before, behind))
    first, last = (np.repeat(lead[side].astype(np.float64), lengths) for side in (before, behind))
    before, behind = np.repeat(before, lengths), np.repeat(behind, lengths)
    lead[at] = first + (last - first) * (at - before) / np.maximum(behind - before, 1)
    good[at] = True


def _is_known_enough(there: np.ndarray, fs: float) -> bool:
    """Whether a lead (t,) is known for a stretch that has a heartbeat in it, or for most of the recording."""
    if there.mean() >= MIN_KNOWN_SHARE:
        return True
    starts, ends = runs(there)
    return bool(len(starts)) and (ends - starts).max() >= MIN_KNOWN_S * fs


def _misplaced(statistics: Statistics, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which leads (l,) are far above the others and any ECG, and which others lie on an offset.

    None of them where most leads are no ECG's, since then the unit is wrong.
    """
    if not alive.any() or not _is_plausible(statistics.sd[alive]):
        return np.zeros_like(alive), np.zeros_like(alive)
    huge = alive & (statistics.sd > PLAUSIBLE_SD_MV[1])
    return huge, alive & ~huge & (np.abs(statistics.mean) > LARGEST_OFFSET_MV)


def _is_plausible(sd: np.ndarray) -> bool:
    """Whether the SDs (l,) of leads are those of an ECG."""
    return PLAUSIBLE_SD_MV[0] <= median(sd.tolist()) <= PLAUSIBLE_SD_MV[1]


def _appearance(
    signal: np.ndarray, statistics: Statistics, alive: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Which leads (l,) are too weak for a heartbeat, and flags for them, for clipped ones and for a wrong unit."""
    dead = np.zeros(len(names), dtype=bool)
    if not alive.any():
        return dead, []
    clipped = np.zeros(len(names), dtype=bool)
    some = signal[:, ::_CLIPPING_STRIDE]
    for limit in (statistics.low, statistics.high):
        at_limit = some == limit[:, None]
        # Counted over all leads first, which is quick and settles it for most recordings.
        if np.count_nonzero(at_limit) > CLIPPED_SHARE * some.shape[1]:
            clipped |= at_limit.mean(axis=1) > CLIPPED_SHARE
    weak = alive & (statistics.sd < MIN_SD_MV)
    if (alive & ~weak).any():  # with all of them so weak, it is the unit that is wrong
        dead = weak
    flags = [f"dead:{names[row]}" for row in np.flatnonzero(dead)]
    flags += [f"clipped:{names[row]}" for row in np.flatnonzero(alive & clipped & ~dead)]
    if not _is_plausible(statistics.sd[alive & ~dead]):
        flags.append("implausible_amplitude")
    return dead, flags


@dataclass(frozen=True)
class Derivation:
    """Which limb leads follow from which two others, and what is then still missing of the twelve.

    Attributes:
        pair: two usable limb leads; None where there are not two that are known at the same time.
        wanted: the limb leads to derive.
        missing: leads that were not recorded, or hardly ever known, and cannot be derived.
    """

    pair: tuple[str, str] | None
    wanted: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def flags(self) -> list[str]:
        """One for each lead that is derived or missing."""
        return [f"derived:{lead}" for lead in self.wanted] + [f"missing:{lead}" for lead in self.missing]


def plan_derivation(repaired: Repaired, fs: float) -> Derivation:
    """What to derive (Einthoven, Goldberger) from the first two usable limb leads, or the two known together longest.

    A flat or dead limb lead is derived too, unless the others agree that there is nothing.
    """
    have = [lead for lead in LIMB_WEIGHTS if lead in repaired.usable]
    pair = tuple(have[:2]) if len(have) >= 2 else None
    if pair and repaired.there is not None:
        rows = {lead: repaired.there[repaired.leads.index(lead)] for lead in have}
        pair = max(combinations(have, 2), key=lambda two: np.count_nonzero(rows[two[0]] & rows[two[1]]))
        pair = pair if _is_known_enough(rows[pair[0]] & rows[pair[1]], fs) else None
    wanted = tuple(
        lead for lead in LIMB_WEIGHTS
        if lead not in have and not (lead in repaired.leads and derive(repaired, pair, lead).std() < MIN_SD_MV)
    ) if pair else ()  # fmt: skip
    kept = {lead for lead in repaired.leads if lead in repaired.usable or f"nonfinite:{lead}" not in repaired.flags}
    return Derivation(pair, wanted, tuple(lead for lead in LEADS if lead not in kept and lead not in wanted))


def complete(repaired: Repaired, derivation: Derivation) -> tuple[np.ndarray, np.ndarray]:
    """The twelve leads (12, t), missing ones zero, and the share (12,) of the recording for which each is known."""
    shares = np.ones(len(LEADS))
    shares[[LEADS.index(lead) for lead in repaired.leads]] = np.where(repaired.shares > 0, repaired.shares, 1)
    if repaired.leads == LEADS and not derivation.wanted:
        return repaired.signal, shares
    signal = np.zeros((len(LEADS), repaired.signal.shape[1]), dtype=np.float32)
    signal[[LEADS.index(lead) for lead in repaired.leads]] = repaired.signal
    for lead in derivation.wanted:
        row, first, second = LEADS.index(lead), *(repaired.leads.index(one) for one in derivation.pair)
        signal[row] = derive(repaired, derivation.pair, lead)
        there = None if repaired.there is None else repaired.there[first] & repaired.there[second]
        if there is not None and not there.all():
            signal[row, ~there], shares[row] = signal[row, there].mean(), there.mean()
    return signal, shares


def derive(repaired: Repaired, pair: tuple[str, str], lead: str) -> np.ndarray:
    """A limb lead (t,) from two others."""
    to_first_two = np.linalg.inv(np.array([LIMB_WEIGHTS[one] for one in pair]))
    first_two = to_first_two @ repaired.signal[[repaired.leads.index(one) for one in pair]]
    return (np.array(LIMB_WEIGHTS[lead]) @ first_two).astype(np.float32)
