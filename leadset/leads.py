"""Lead names, the lead sets of the Challenge and lead I alone, and the limb-lead relations.

The only place where a lead is named. Everything is by name, never by position in a file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

LEAD_SETS: dict[int, tuple[str, ...]] = {
    12: LEADS,
    6: LEADS[:6],
    4: ("I", "II", "III", "V2"),
    3: ("I", "II", "V2"),
    2: ("I", "II"),
    1: ("I",),
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

_RANK = {lead: i for i, lead in enumerate(LEADS)}

#: Leads with names of their own outside the twelve: posterior and right-sided ones, and those of Frank.
OTHER_LEADS = frozenset({"V7", "V8", "V9", "V1R", "V2R", "V3R", "V4R", "V5R", "V6R", "X", "Y", "Z", "VX", "VY", "VZ"})
#: Those of them that are as well the axes of an accelerometer.
AXES = frozenset({"X", "Y", "Z"})

# What devices and standards write before a lead's name: MDC (ISO/IEEE 11073-10102), DICOM's and SCP-ECG's texts.
# The word for lead in other languages stands there as well.
_BEFORE = (
    r"(?:mdc[ _]ecg[ _](?:lead|elec[ _]potl)|(?:ecg|ekg)?[ _-]?lead|ecg|ekg|ableitung|abl|d[eé]rivation|"
    r"derivaci[oó]n|deriva[cç][aã]o|derivazione|отведение|отв|导联)-?[ _:.]*"
)
# Roman and, after L, Arabic limb leads, also of Holter electrodes (ML) and in Latin notation (DI; a small d is not
# taken: with it devices mark leads that are computed from EASI electrodes); Wilson's leads, C by the IEC's colour code.
_NAMES = (r"(?:ML|ml|D)?[ _-]?(?P<limb>[Ii]{1,3})|[Ll](?P<digit>[123])|"
          r"[Aa][ _.-]?[Vv][ _.-]?(?P<goldberger>[RrLlFf])|[VvCc][ _.-]?0?(?P<chest>[1-6])")  # fmt: skip
# A note is a unit or a filter, or set off by a bracket or a mark, or it is further words that no operator joins to the
# name; a sign at the end says that the lead is upside down.
_UNIT_OR_FILTER = r"[ _-](?i:raw|filt(?:ered)?|clean(?:ed)?|ref(?:erence)?|[mnu\N{GREEK SMALL LETTER MU}]?v)"
_NOTE = rf"{_UNIT_OR_FILTER}|" r"\s*[(\[{,;:#|/].*|\s+(?![+*=&-]|(?:minus|plus|and|or|to|vs)\b).*|-|[ _-]?neg"
_INVERTED = re.compile(r"\s*(?:-|[(\[]-[)\]])|.*\b_?(?:inv|inverted|inverse|neg|negative|upside)\b.*", re.IGNORECASE)
# Words that make V4R or V8 of a chest lead, or put it into another space between ribs, as for Brugada's pattern; V1 and
# V2 are recorded right of V3 in any case.
_OTHER_PLACES = ("r", "posterior", "post", "back", "dorsal", "high", "2nd", "3rd", "2ics", "3ics")
_ELSEWHERE = {"right": "3456", **dict.fromkeys(_OTHER_PLACES, "123456")}
_MINUS = r"(?:-|(?:minus|neg|inv(?:erted)?)[ _-])\s*"
_WRITTEN = re.compile(
    rf"(?P<minus>(?i:{_MINUS}))?(?i:{_BEFORE})?(?P<inner>(?i:{_MINUS}))?(?:{_NAMES})(?P<note>{_NOTE})?", re.DOTALL
)
_WORD = re.compile(r"\w+")
# Two electrodes, the positive one first, as montages of sleep recorders name limb leads. The other way round they may
# stand for a lead that is upside down or for one that is not, and are left to the user.
_ELECTRODES = re.compile(rf"(?:{_BEFORE})?((?:LA|LL|LF)-(?:RA|LA))", re.IGNORECASE)
_BIPOLAR: dict[str, str] = {"LA-RA": "I", "LL-RA": "II", "LL-LA": "III"}
# Signs that look like a minus, and Cyrillic letters that look like those of leads.
_ALIKE = str.maketrans({
    **dict.fromkeys("\N{MINUS SIGN}\N{EN DASH}\N{HYPHEN}\N{NON-BREAKING HYPHEN}", "-"),
    "\N{CYRILLIC CAPITAL LETTER A}": "A", "\N{CYRILLIC SMALL LETTER A}": "a", "\N{CYRILLIC CAPITAL LETTER ES}": "C",
    "\N{CYRILLIC CAPITAL LETTER BYELORUSSIAN-UKRAINIAN I}": "I",
})  # fmt: skip


# Channels of an EEG (electrodes of the 10-20 system, of ears and eyes), perhaps with their reference; and what sleep
# recorders call the ECG beside them.
_EEG = re.compile(
    r"(?:E[EO]G|(?:[LR]OC|Fp[12z]|F[3478z]|T[3-6]|P[34z]|O[12z]|Cz|[AM][12])(?![^\W_])).*", re.IGNORECASE
)
_ONE_ECG = re.compile(r"E[CK]G", re.IGNORECASE)
_SPEAKS_OF_ECG = re.compile(r"(?<![a-z])e[ck]g(?![a-z])", re.IGNORECASE)
_CHEST_OR_HEAD = re.compile(r"C[ _.-]?0?[1-6](?![^\W_]).*", re.IGNORECASE)


def speaks_of_ecg(name: str) -> bool:
    """Whether a channel's name has the word ECG in it."""
    return _SPEAKS_OF_ECG.search(name) is not None


def names_beside(names: Iterable[str], lead_names: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
    """What names stand for in one file (see `signed_lead`): C3 is no chest lead beside others of an EEG.

    Args:
        names: of all channels of the file.
        lead_names: the user's, which go before.
    """
    names = [name.strip().strip("\"'").strip() for name in names]
    either = [name for name in names if _CHEST_OR_HEAD.fullmatch(name)]
    if not either:
        return lead_names
    has_limb_lead = any(signed_lead(name, lead_names)[0] in LIMB_WEIGHTS for name in names)
    if any(map(_EEG.fullmatch, names)) or (any(map(_ONE_ECG.fullmatch, names)) and not has_limb_lead):
        return {**(lead_names or {}), **{name: f"EEG {name}" for name in either if not _is_named(name, lead_names)}}
    return lead_names


def _is_named(name: str, lead_names: Mapping[str, str] | None) -> bool:
    return name.casefold() in {written.strip().casefold() for written in lead_names or {}}


def signed_lead(name: str, lead_names: Mapping[str, str] | None = None) -> tuple[str, int]:
    """A lead in standard spelling, and -1 where the name says that it was recorded upside down (``-aVR``), else 1.

    The names of devices and standards are understood (``MDC_ECG_LEAD_II``, ``Lead II``, ``C1``, ``V-1``, ``MLII``),
    with a note behind them or without; a name that is none of the twelve leads' is kept as it is.

    Args:
        name: as written by whoever recorded it.
        lead_names: names that go before all others, in any case, and what they stand for.
    """
    name = name.strip().strip("\"'").strip()
    for written, meant in (lead_names or {}).items():
        if written.strip().casefold() == name.casefold():
            return _understood(meant.strip())
    return _understood(name)


@lru_cache(maxsize=4096)
def _understood(name: str) -> tuple[str, int]:
    written = unicodedata.normalize("NFKC", name).translate(_ALIKE)
    match = _WRITTEN.fullmatch(written)
    if match is None:
        electrodes = _ELECTRODES.fullmatch(written)
        return _BIPOLAR.get(electrodes[1].upper().replace("LF", "LL"), name) if electrodes else name, 1
    lead = _lead_of(match)
    note = match["note"] or ""
    words = _WORD.findall(note)
    if any(other and _lead_of(other) != lead for other in map(_WRITTEN.fullmatch, words)):  # a difference, or a list
        return name, 1
    if match["chest"] and any(map(_EEG.fullmatch, words)):  # against an ear: an electrode on the head
        return name, 1
    if match["chest"] and any(match["chest"] in _ELSEWHERE.get(word.casefold(), "") for word in words):
        return name, 1
    upside_down = (match["minus"], match["inner"], _INVERTED.fullmatch(note))
    return lead, -1 if sum(map(bool, upside_down)) % 2 else 1


def _lead_of(match: re.Match) -> str:
    if match["limb"] or match["digit"]:
        return "I" * (len(match["limb"]) if match["limb"] else int(match["digit"]))
    return f"aV{match['goldberger'].upper()}" if match["goldberger"] else f"V{match['chest']}"


def own_lead_names(lead_names: Mapping[str, str]) -> dict[str, str]:
    """Checked names for `signed_lead`: in lower case, each with its lead in standard spelling (``-II`` if inverted).

    Raises:
        ValueError: one stands for none of the twelve leads.
    """
    names: dict[str, str] = {}
    for written, meant in lead_names.items():
        lead, sign = signed_lead(meant) if isinstance(meant, str) else ("", 1)
        if lead not in _RANK:
            expected = f"one of {' '.join(LEADS)}, behind '-' where it was recorded upside down"
            raise ValueError(f"lead name {written!r}: found {meant!r}, expected {expected}")
        names[written.strip().casefold()] = lead if sign > 0 else f"-{lead}"
    return names


def canonical_lead(name: str, lead_names: Mapping[str, str] | None = None) -> str:
    """The standard spelling of a lead's name, see `signed_lead`; other and inverted leads keep their name."""
    lead, sign = signed_lead(name, lead_names)
    return lead if sign > 0 else name.strip()


def is_known_lead(name: str, lead_names: Mapping[str, str] | None = None) -> bool:
    """Whether a name is that of one of the twelve leads (see `signed_lead`), or of one that is known to be none."""
    return signed_lead(name, lead_names)[0] in _RANK or name.upper() in OTHER_LEADS


def sort_leads(names: Iterable[str]) -> tuple[str, ...]:
    """Lead names in standard order; leads outside the twelve come last, in alphabetical order."""
    return _sorted(tuple(names))


@lru_cache(maxsize=1024)
def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(map(canonical_lead, names), key=lambda name: (_RANK.get(name, len(LEADS)), name)))


def with_derived(names: Iterable[str]) -> frozenset[str]:
    """The leads obtainable from ``names``: themselves, and all six limb leads once two of them are there."""
    return _with_derived(tuple(names))


@lru_cache(maxsize=1024)
def _with_derived(names: tuple[str, ...]) -> frozenset[str]:
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
        found = ", ".join(unknown or names) or "(empty)"
        raise ValueError(f"found leads {found}, expected distinct names out of {' '.join(LEADS)}")
    return names


def lead_set_name(leads: Sequence[str]) -> str:
    """A short name for files and tables: the size of a Challenge set (``12``), otherwise the names (``II-V5``)."""
    leads = tuple(leads)
    return str(len(leads)) if LEAD_SETS.get(len(leads)) == leads else "-".join(leads)
