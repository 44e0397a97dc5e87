"""Seeded splits that keep class shares equal in every part and related recordings on one side.

Iterative stratification for multi-label data: Sechidis, Tsoumakas, Vlahavas, ECML PKDD 2011, on groups instead of
single recordings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def stratified_parts(labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Part number (n,) of each recording.

    The rarest label is dealt out first; each group goes to the part that lacks most of it. Every part gets its share
    of every label as nearly as whole groups allow.

    Args:
        labels: (n, k) bool, whatever should be spread evenly (classes, data sets).
        groups: (n,) group numbers; a group is never divided.
        shares: wanted share of each part; they are normalised to sum to 1.
        seed: makes the split reproducible.
    """
    rng = np.random.default_rng(seed)
    _, groups = np.unique(groups, return_inverse=True)
    n_groups = groups.max() + 1 if len(groups) else 0
    counts = np.zeros((n_groups, labels.shape[1]))
    np.add.at(counts, groups, labels)
    sizes = np.bincount(groups, minlength=n_groups)
    shares = np.asarray(shares, dtype=float) / np.sum(shares)
    wanted_labels = shares[:, None] * counts.sum(axis=0)  # (parts, k), what each part still lacks
    wanted_size = shares * sizes.sum()
    part_of = np.full(n_groups, -1)

    def assign(group: int, label: int | None) -> None:
        lack = wanted_size if label is None else wanted_labels[:, label]
        candidates = np.flatnonzero(lack == lack.max())
        candidates = candidates[wanted_size[candidates] == wanted_size[candidates].max()]
        part = rng.choice(candidates)
        part_of[group] = part
        wanted_labels[part] -= counts[group]
        wanted_size[part] -= sizes[group]

    remaining = counts.sum(axis=0)
    while (remaining > 0).any():
        label = int(np.argmin(np.where(remaining > 0, remaining, np.inf)))
        for group in rng.permutation(np.flatnonzero((part_of < 0) & (counts[:, label] > 0))):
            assign(group, label)
            remaining -= counts[group]
    for group in rng.permutation(np.flatnonzero(part_of < 0)):
        assign(group, None)
    return part_of[groups] if n_groups else np.zeros(0, dtype=int)
