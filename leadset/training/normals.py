"""Which recordings count as normal, and which of them are held out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from leadset.classes import LabelSpace
from leadset.store.packed import Store
from leadset.training.split import stratified_parts

#: With fewer normal recordings than this all are needed for training.
FEWEST = 40
#: With fewer than this there is nothing to learn what is normal from.
TOO_FEW = 10
#: How often a recording of a small source may be repeated in one pass.
MOST_REPEATS = 8


def plain_sinus_rhythm(recordings: Iterable | Store, space: LabelSpace) -> np.ndarray:
    """Indices of the recordings whose only diagnosis is the normal class of the label space, sinus rhythm.

    PTB-XL's class NORM, which the authors train on, is wider: it allows bradycardia and other statements on the rhythm.
    """
    entries = recordings.recordings if isinstance(recordings, Store) else recordings
    return np.flatnonzero([space.is_plain_normal(entry.codes) for entry in entries])


def balanced_by_source(store: Store, indices: np.ndarray) -> np.ndarray:
    """Indices with repetitions, so that every source has about as many as the largest.

    None is repeated more than `MOST_REPEATS` times: a handful of recordings must not be learnt by heart.
    """
    sources, number = np.unique([store.recordings[i].source for i in indices], return_inverse=True)
    counts = np.bincount(number, minlength=len(sources))
    repeats = np.minimum(np.rint(counts.max(initial=0) / counts).astype(int), MOST_REPEATS)
    return np.repeat(indices, repeats[number])


def hold_out(
    store: Store, indices: np.ndarray, groups: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divides indices in two, evenly for each source, without dividing a group (n,); the second is ``share``.

    Where there are too few to spare any, the second is empty.
    """
    if len(indices) < FEWEST:
        return indices, indices[:0]
    sources = np.array([store.recordings[i].source for i in indices])
    by_source = sources[:, None] == np.unique(sources)
    part = stratified_parts(by_source, groups[indices], [1 - share, share], seed)
    return indices[part == 0], indices[part == 1]
