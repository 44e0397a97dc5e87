"""Memory that long recordings take, in multiples of their samples."""

from __future__ import annotations

import tracemalloc

import numpy as np

from leadset.leads import LEADS
from leadset.simulate import simulate
from leadset.utils.memory import row_blocks
from leadset.waves import assess, delineate, extract_features


def test_a_long_recording_is_assessed_in_the_memory_of_a_few_of_its_leads():
    signal = np.tile(simulate(1, seed=5, labels="NSR", marks=False).signals[0], 60).astype(np.float32)
    signal += np.random.default_rng(0).normal(0, 0.005, signal.shape).astype(np.float32)
    delineation = delineate(signal, 500)
    tracemalloc.start()
    assess(signal, 500, LEADS, delineation)
    extract_features(delineation, signal, LEADS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * signal.nbytes


def test_blocks_hold_all_rows_once():
    assert row_blocks(12, 5000) == [slice(0, 209)]
    assert row_blocks(3, 10**9) == [slice(0, 1), slice(1, 2), slice(2, 3)] and row_blocks(2, 0)[0].start == 0
