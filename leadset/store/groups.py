"""Which recordings of a store are of one patient: these belong on one side of every split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leadset.recordings.duplicates import Heartbeats, beginning, comparable, heartbeats, same_recordings
from leadset.recordings.patients import find_patients
from leadset.store.packed import Store

# Starting workers takes as long as looking at so many recordings.
_WORTH_WORKERS, _AT_A_TIME = 500, 64


def related_groups(*keys: Sequence[str | None]) -> np.ndarray:
    """Group number (n,) of each recording: recordings that share a key in any of the lists belong together.

    Args:
        keys: lists of n keys, such as signal digests (duplicates) and patient identifiers; None relates to nothing.
    """
    n = len(keys[0])
    nodes: dict[tuple[int, str], int] = {}
    edges = [
        (i, n + nodes.setdefault((kind, key), len(nodes)))
        for kind, values in enumerate(keys)
        for i, key in enumerate(values)
        if key is not None
    ]
    size = n + len(nodes)
    rows, columns = np.array(edges, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    return connected_components(graph, directed=False)[1][:n]


def patient_groups(store: Store, folder: str | Path | None = None, workers: int = 1) -> np.ndarray:
    """Group number (n,) of each recording of a store: those of one patient have the same.

    Recordings belong together that hold the same heartbeats, whatever their rate, cut, filter or gain
    (`leadset.recordings.duplicates`), or that are of one patient by header, folder or table
    (`leadset.recordings.patients`).

    Args:
        store: prepared recordings.
        folder: the data folder, down from which tables of patients are looked for; by default the recordings' common
            one.
        workers: processes that look for heartbeats, as joblib counts them.
    """
    if not len(store):
        return np.zeros(0, dtype=int)
    paths = [Path(recording.path) for recording in store.recordings]
    folder = Path(folder or os.path.commonpath([path.parent for path in paths]))
    patients = find_patients(folder, zip(paths, (r.patient for r in store.recordings), strict=True))
    digests = [recording.digest for recording in store.recordings]
    pairs = same_recordings(_all_heartbeats(store, workers), lambda i: _comparable(store, i))
    return related_groups(digests, patients, *_pair_keys(pairs, len(store)))


def _pair_keys(pairs: Sequence[tuple[int, int]], n: int) -> list[list[str | None]]:
    """Keys that relate the recordings of each pair: those of the connected parts of all pairs."""
    if not pairs:
        return []
    rows, columns = np.array(pairs).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return [[str(part) for part in connected_components(graph, directed=False)[1]]]


def _comparable(store: Store, i: int) -> np.ndarray:
    samples, statistics = store[i]
    return comparable(beginning(samples, store.transform.rate) * statistics[0, :, None], store.transform.rate)


def _heartbeats(store: Store, indices: range) -> list[Heartbeats]:
    part = copy(store)  # what it maps is let go with it
    return [heartbeats(_comparable(part, i)) for i in indices]


def _all_heartbeats(store: Store, workers: int) -> list[Heartbeats]:
    from joblib import Parallel, delayed

    parts = [range(i, min(i + _AT_A_TIME, len(store))) for i in range(0, len(store), _AT_A_TIME)]
    pool = Parallel(n_jobs=workers if len(store) > _WORTH_WORKERS else 1)
    return [one for part in pool(delayed(_heartbeats)(store, part) for part in parts) for one in part]
