"""Which diagnoses a recording has: one main diagnosis, the rhythm it comes with, and others that accompany it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from leadset.simulate.conditions import CONDITIONS
from leadset.simulate.draws import Draws

#: Names of the conditions, in the order of the columns of a diagnosis matrix.
NAMES: tuple[str, ...] = tuple(CONDITIONS)

#: Rhythms exclude each other; every recording has exactly one.
RHYTHMS: tuple[str, ...] = ("NSR", "SB", "STach", "SA", "AF")

#: Weight of each main diagnosis where none is asked for: rhythms as common as they are told apart with effort.
DEFAULT_WEIGHTS: dict[str, float] = {
    "NSR": 5, "SB": 3, "STach": 3, "SA": 2, "AF": 3, "PAC": 2, "PVC": 2, "LBBB": 2, "RBBB": 2, "IAVB": 2,
}

#: Weights of the rhythms under a main diagnosis that is not itself a rhythm.
RHYTHM_WEIGHTS: dict[str, dict[str, float]] = {
    "PAC": {"NSR": 55, "SB": 18, "STach": 15, "SA": 12},
    "PVC": {"NSR": 50, "SB": 12, "STach": 20, "SA": 6, "AF": 12},
    "LBBB": {"NSR": 62, "SB": 12, "STach": 13, "AF": 13},
    "RBBB": {"NSR": 58, "SB": 20, "STach": 8, "SA": 2, "AF": 12},
    "IAVB": {"NSR": 62, "SB": 32, "STach": 2, "SA": 4},
}

#: Probability of a second diagnosis beside any main one.
COMPANIONS: dict[str, float] = {"PAC": 0.03, "PVC": 0.03, "LBBB": 0.01, "RBBB": 0.03, "IAVB": 0.03}

#: Pairs that cannot be together.
_EXCLUSIVE: tuple[tuple[str, str], ...] = (("AF", "IAVB"), ("AF", "PAC"), ("LBBB", "RBBB"))


def parse_labels(labels: str | Iterable[str] | Mapping[str, float] | None) -> dict[str, float]:
    """Weights of main diagnoses from abbreviations (any case): a text with commas, names, or names with weights.

    Raises:
        ValueError: an unknown abbreviation (the message lists the known ones), a negative weight or none above zero.
    """
    if labels is None:
        return dict(DEFAULT_WEIGHTS)
    if isinstance(labels, str):
        labels = [name for name in labels.split(",") if name.strip()]
    weights = dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, 1.0)
    known = {name.casefold(): name for name in NAMES}
    unknown = [name for name in weights if name.strip().casefold() not in known]
    if unknown:
        raise ValueError(f"cannot simulate {', '.join(map(repr, unknown))}: expected labels out of {', '.join(NAMES)}")
    if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise ValueError(f"no label to simulate: expected labels out of {', '.join(NAMES)}, weights at least zero")
    return {known[name.strip().casefold()]: float(weight) for name, weight in weights.items()}


def draw_diagnoses(draws: Draws, weights: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Diagnoses of n recordings.

    Args:
        draws: where they come from.
        weights: weight of each main diagnosis, from `parse_labels`; companions come from the same names.

    Returns:
        ``present`` (n, conditions) bool and ``main`` (n,), the column of the main diagnosis.
    """
    column = {name: i for i, name in enumerate(NAMES)}
    main = draws.choice(np.array([weights.get(name, 0.0) for name in NAMES]))
    rhythm_table = np.array([
        [1.0 * (name == rhythm) if name in RHYTHMS else RHYTHM_WEIGHTS[name].get(rhythm, 0) for rhythm in RHYTHMS]
        for name in NAMES
    ])
    rhythm = np.array([column[name] for name in RHYTHMS])[draws.choice(rhythm_table[main])]
    present = np.zeros((draws.n, len(NAMES)), dtype=bool)
    rows = np.arange(draws.n)
    present[rows, main] = present[rows, rhythm] = True
    for name, probability in COMPANIONS.items():
        chance = draws.flags(probability if weights.get(name) else 0.0)
        rivals = [column[a if b == name else b] for a, b in _EXCLUSIVE if name in (a, b)]
        present[:, column[name]] |= chance & ~present[:, rivals].any(axis=1)
    return present, main


def draw_codes(draws: Draws, present: np.ndarray) -> list[tuple[str, ...]]:
    """SNOMED CT codes of each recording; of equivalent codes one, as often as the public data use it."""
    chosen = [
        np.array(c.codes)[draws.choice(np.array(c.frequency, dtype=float))] for c in CONDITIONS.values()
    ]
    return [
        tuple(str(chosen[column][row]) for column in np.flatnonzero(diagnoses)) for row, diagnoses in enumerate(present)
    ]
