"""Lead names, the five lead sets of the Challenge, and the limb-lead relations.

The only place where a lead is named. Everything is by name, never by position in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

LEAD_SETS: dict[int, tuple[str, ...]] = {
    12: LEADS,
    6: LEADS[:6],
    4: ("I", "II", "III", "V2"),
    3: ("I", "II", "V2"),
    2: ("I", "II"),
}

# Einthoven and Goldberger: each limb lead as (weight of I, weight of II).
LIMB_WEIGHTS: dict[str, tuple[float, float]] = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}

#: The leads that are recorded; the other four limb leads follow from I and II.
INDEPENDENT_LEADS: tuple[str, ...] = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

#: Lead vectors of the independent leads in Frank's axes (X to the patient's left, Y to the feet, Z to the back): Dower,
#: Machado & Osborne, "On deriving the electrocardiogram from vectorcardiographic leads", Clin. Cardiol. 3:87-95, 1980.
DOWER: tuple[tuple[float, float, float], ...] = (
    (0.632, -0.235, 0.059),
    (0.235, 1.066, -0.132),
    (-0.515, 0.157, -0.917),
    (0.044, 0.164, -1.387),
    (0.882, 0.098, -1.277),
    (1.213, 0.127, -0.601),
    (1.125, 0.127, -0.086),
    (0.831, 0.076, 0.230),
)

_BY_FOLDED_NAME = {lead.casefold(): lead for lead in LEADS}
_RANK = {lead: i for i, lead in enumerate(LEADS)}


def canonical_lead(name: str) -> str:
    """The standard spelling of a lead name (``AVR`` and ``avr`` become ``aVR``); other names are kept as they are."""
    name = name.strip()
    return _BY_FOLDED_NAME.get(name.casefold(), name)


def sort_leads(names: Iterable[str]) -> tuple[str, ...]:
    """Lead names in standard order; leads outside the twelve come last, in alphabetical order."""
    return tuple(sorted(map(canonical_lead, names), key=lambda name: (_RANK.get(name, len(LEADS)), name)))


def with_derived(names: Iterable[str]) -> frozenset[str]:
    """The leads obtainable from ``names``: themselves, and all six limb leads once two of them are there."""
    have = {canonical_lead(name) for name in names}
    if len(have & LIMB_WEIGHTS.keys()) >= 2:
        have |= LIMB_WEIGHTS.keys()
    return frozenset(have)


def resolve_leads(leads: int | str | Sequence[str]) -> tuple[str, ...]:
    """A lead set from its size (``12``), its text (``"II,V5"``) or its names, in standard order.

    Raises:
        ValueError: no such size, an unknown or a repeated lead name, or no lead at all.
    """
    if isinstance(leads, int):
        if leads not in LEAD_SETS:
            raise ValueError(f"no lead set of size {leads}: expected one of {sorted(LEAD_SETS, reverse=True)}")
        return LEAD_SETS[leads]
    if isinstance(leads, str):
        if leads.strip().isdigit():
            return resolve_leads(int(leads))
        leads = leads.replace("-", ",").split(",")
    names = sort_leads(leads)
    unknown = [name for name in names if name not in _RANK]
    if unknown or not names or len(set(names)) < len(names):
        found = ", ".join(names) or "(empty)"
        raise ValueError(f"not a lead set: {found}; expected distinct names out of {' '.join(LEADS)}")
    return names


def lead_set_name(leads: Sequence[str]) -> str:
    """A short name for files and tables: the size of a Challenge set (``12``), otherwise the names (``II-V5``)."""
    leads = tuple(leads)
    return str(len(leads)) if LEAD_SETS.get(len(leads)) == leads else "-".join(leads)
