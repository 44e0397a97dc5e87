"""Which diagnoses a recording has: one main diagnosis, the rhythm it comes with, and others that accompany it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from leadset.simulate.av_block import AV_BLOCKS
from leadset.simulate.conditions import CONDITIONS
from leadset.simulate.draws import Draws

#: Names of the conditions, in the order of the columns of a diagnosis matrix.
NAMES: tuple[str, ...] = tuple(CONDITIONS)

#: Rhythms exclude each other; every recording has exactly one.
RHYTHMS: tuple[str, ...] = ("NSR", "SB", "STach", "SA", "AF", "AFL", "PR", "Brady")

#: Recordings in the public Challenge data, of which `Condition.counts` are a part.
PUBLIC_RECORDINGS = 88_253

#: Weights of the rhythms under a main diagnosis that is no rhythm. The sinus rhythms follow their counts in the
#: public data, drawn towards what the diagnosis is known for.
_DEFAULT_RHYTHMS: dict[str, float] = {"NSR": 50, "SB": 22, "STach": 13, "SA": 4, "AF": 7, "AFL": 3, "Brady": 0.5}
RHYTHM_WEIGHTS: dict[str, dict[str, float]] = {
    "PAC": {"NSR": 46, "SB": 15, "STach": 28, "SA": 11},
    "IAVB": {"NSR": 62, "SB": 32, "STach": 2, "SA": 4},
    "LPR": {"NSR": 62, "SB": 32, "STach": 2, "SA": 4},
    "IRBBB": {"NSR": 60, "SB": 22, "STach": 8, "SA": 9},
    "LQT": {"NSR": 55, "SB": 28, "STach": 10, "AF": 7},
}

#: How much more (or less) often than by chance two diagnoses come together. Counted on 135 recordings of Chapman-
#: Shaoxing/Ningbo, Georgia and PTB-XL, the sources that label completely, and drawn towards 1 where few were counted.
_LIFTS: dict[frozenset[str], float] = {
    frozenset(pair.split()): lift
    for pair, lift in {
        "PAC TAb": 2.0, "PAC TInv": 2.0, "PAC PVC": 2.5, "PAC NSIVCB": 2.5, "TAb TInv": 3.0, "TAb NSIVCB": 2.0,
        "TAb PVC": 1.5, "TAb PRWP": 2.5, "TInv NSIVCB": 1.5, "TAb STach": 1.3, "TInv STach": 1.5, "PVC STach": 2.0,
        "PVC NSIVCB": 1.5, "TAb NSR": 0.6, "TAb SB": 0.5, "TAb AF": 1.8, "TAb AFL": 1.3, "LAD LAnFB": 5.0,
        "LAD LBBB": 2.5, "LAD IRBBB": 1.2, "RAD RBBB": 1.5, "LAD PVC": 1.2, "QAb PRWP": 3.0, "QAb TInv": 2.5,
        "QAb TAb": 2.0, "LQT TAb": 2.0, "IAVB RBBB": 1.8, "IAVB LBBB": 2.0, "IAVB LAnFB": 1.8, "RBBB LAnFB": 3.0,
        "STD TAb": 2.0, "STE QAb": 3.0, "LQRSV TAb": 1.5, "PR PVC": 2.0, "NSIVCB PRWP": 3.0,
        "LVHV PAC": 2.0, "LVHV STach": 1.8, "LVHV TAb": 2.0, "LVHV NSIVCB": 2.5, "LVHV NSR": 0.4, "LVHV AFL": 2.0,
        "LVHV PVC": 2.0, "LVHV PRWP": 2.0, "LVH NSSTTA": 2.5, "LVH AF": 3.0, "LVH NSR": 0.5, "LVH TInv": 2.0,
        "NSSTTA STach": 1.9, "NSSTTA AFL": 2.5, "NSSTTA LQT": 3.0, "NSSTTA LAD": 1.8, "NSSTTA IAVB": 1.8,
        "NSSTTA NSR": 0.5, "NSSTTA AF": 2.0, "PAC NSR": 0.5, "NSSTTA STD": 2.0,
    }.items()
}  # fmt: skip

#: Sets of diagnoses of which a recording has at most one, because one excludes or contains the other.
_EXCLUSIVE: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "LBBB RBBB IRBBB BBB NSIVCB PR",
        "IAVB LPR AF AFL Brady PR",
        "PAC AF AFL PR Brady",
        "LAD RAD PR",
        "LAnFB RAD LBBB PR BBB",
        "LQRSV LBBB PR",
        "QAb LBBB PR BBB",
        "PRWP LBBB RBBB IRBBB PR BBB QAb",
        "TInv LBBB PR STE BBB",
        "TAb LBBB STE PR",
        "STD STE PR LBBB",
        "LQT PR",
        "PVC VEB",
        "LVH LVHV LQRSV PR LBBB BBB",
        "NSSTTA TAb TInv STE LBBB PR BBB",
    )
)


def default_weights() -> dict[str, float]:
    """Weight of each main diagnosis where none is asked for: the square root of its count in the public data, so that
    rare ones are seen and common ones stay common."""
    return {name: float(np.sqrt(sum(c.counts))) for name, c in CONDITIONS.items()}


def companion_probability(name: str, beside: str) -> float:
    """Probability of a diagnosis beside a main one: its share of the public data times the lift of the pair."""
    if any({name, beside} <= group for group in _EXCLUSIVE):
        return 0.0
    share = sum(CONDITIONS[name].counts) / PUBLIC_RECORDINGS
    return min(share * _LIFTS.get(frozenset((name, beside)), 1.0), 0.5)


def parse_labels(labels: str | Iterable[str] | Mapping[str, float] | None) -> dict[str, float]:
    """Weights of main diagnoses from abbreviations (any case): a text with commas, names, or names with weights.

    Raises:
        ValueError: an unknown abbreviation (the message lists the known ones), a negative weight or none above zero.
    """
    if labels is None:
        return default_weights()
    if isinstance(labels, str):
        labels = [name for name in labels.split(",") if name.strip()]
    weights = dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, 1.0)
    known = {name.casefold(): name for name in (*NAMES, *AV_BLOCKS)}
    names = ", ".join(known.values())
    unknown = [name for name in weights if name.strip().casefold() not in known]
    if unknown:
        raise ValueError(f"cannot simulate {', '.join(map(repr, unknown))}: expected labels out of {names}")
    if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise ValueError(f"no label to simulate: expected labels out of {names}, weights at least zero")
    return {known[name.strip().casefold()]: float(weight) for name, weight in weights.items()}


def draw_diagnoses(draws: Draws, weights: Mapping[str, float], sinus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Diagnoses of n recordings.

    Args:
        draws: where they come from.
        weights: weight of each main diagnosis, from `parse_labels`; companions come from the same names.
        sinus: (n,) recordings that have sinus rhythm and no other diagnosis of these.

    Returns:
        ``present`` (n, conditions) bool and ``main`` (n,), the column of the main diagnosis.
    """
    column = {name: i for i, name in enumerate(NAMES)}
    only = np.arange(len(NAMES)) == column["NSR"]
    main = draws.choice(np.where(sinus[:, None], only, [weights.get(name, 0.0) for name in NAMES]))
    rhythm = np.array([column[name] for name in RHYTHMS])[draws.choice(_RHYTHM_TABLE[main])]
    present = np.zeros((draws.n, len(NAMES)), dtype=bool)
    rows = np.arange(draws.n)
    present[rows, main] = present[rows, rhythm] = True
    chance = draws.uniform(len(NAMES))
    for name in _COMPANIONS:
        likely = _COMPANION_TABLE[main, column[name]] * np.sqrt(_COMPANION_LIFT[rhythm, column[name]])
        rivals = present @ _EXCLUDES[column[name]]
        present[:, column[name]] |= (chance[:, column[name]] < likely * bool(weights.get(name))) & ~rivals
    # A sinus arrhythmia is slow as often as sinus rhythm is.
    slow = present[:, column["SA"]] & (chance[:, column["SB"]] < _SLOW_ARRHYTHMIA) & ~present[:, column["SB"]]
    present[:, column["SB"]] |= slow & bool(weights.get("SB"))
    present[sinus] = only
    return present, main


_SLOW_ARRHYTHMIA = 0.35
_COMPANIONS = tuple(name for name in NAMES if name not in RHYTHMS)
_RHYTHM_TABLE = np.array([
    [float(name == rhythm) if name in RHYTHMS else RHYTHM_WEIGHTS.get(name, _DEFAULT_RHYTHMS).get(rhythm, 0.0)
     for rhythm in RHYTHMS]
    for name in NAMES
])
_COMPANION_TABLE = np.array([[companion_probability(name, beside) for name in NAMES] for beside in NAMES])
_COMPANION_LIFT = np.array([[_LIFTS.get(frozenset((name, beside)), 1.0) for name in NAMES] for beside in NAMES])
_EXCLUDES = np.array([
    [name != other and any({name, other} <= group for group in _EXCLUSIVE) for other in NAMES] for name in NAMES
])


def draw_codes(draws: Draws, present: np.ndarray) -> list[tuple[str, ...]]:
    """SNOMED CT codes of each recording; of equivalent codes one, as often as the public data use it."""
    chosen = [
        np.array(c.codes)[draws.choice(np.array(c.counts, dtype=float))] for c in CONDITIONS.values()
    ]
    return [
        tuple(str(chosen[column][row]) for column in np.flatnonzero(diagnoses)) for row, diagnoses in enumerate(present)
    ]
