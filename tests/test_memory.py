"""Memory that long recordings take, in multiples of their samples."""

from __future__ import annotations

import platform
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from leadset.anomaly.scoring import averaged
from leadset.leads import LEADS
from leadset.preprocess import Transform, prepare
from leadset.simulate import simulate
from leadset.store.feature_table import FEATURE_SETS, TRANSFORM
from leadset.utils.memory import row_blocks
from leadset.waves import assess, delineate, extract_features
from leadset.waves.quality import find_missing, repair
from leadset.waves.statistics import lead_statistics


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


def peak_of(call) -> int:
    """The most bytes that a call had at a time."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_statistics_of_a_long_recording_take_the_memory_of_one_of_its_leads():
    prepared = prepare(np.random.default_rng(0).normal(0, 1, (12, 150_000)), 500, LEADS, TRANSFORM)
    statistics = FEATURE_SETS["statistics"]
    whole = statistics.compute(prepared, LEADS)
    assert peak_of(lambda: statistics.compute(prepared, LEADS)) < 1.5 * prepared.samples.nbytes  # was 18 times
    np.testing.assert_array_equal(whole[:53], statistics.compute(prepared, LEADS[:1]))


def test_statistics_of_a_long_lead_are_computed_in_pieces(monkeypatch):
    lead = np.random.default_rng(0).normal(0, 1, 400_001).astype(np.float32)
    at_once = lead_statistics([lead])
    monkeypatch.setattr(sys.modules["leadset.waves.statistics"], "_MOST_AT_ONCE", 10_000)
    assert peak_of(lambda: lead_statistics([lead])) < 4 * lead.nbytes  # was 11 times
    np.testing.assert_allclose(lead_statistics([lead]), at_once, rtol=1e-6)


def test_leads_are_looked_through_one_after_the_other():
    signal = np.random.default_rng(0).normal(0, 1, (12, 100_000)).astype(np.float32)
    assert peak_of(lambda: repair(signal, find_missing(signal))) < 0.6 * signal.nbytes  # the mask alone is 0.25 of it


def test_baselines_of_the_beats_of_a_long_lead_are_found_in_pieces(monkeypatch):
    signal = np.tile(simulate(1, seed=5, labels="NSR", marks=False).signals[0, :1], 40).astype(np.float32)
    delineation = delineate(signal, 500)
    whole = extract_features(delineation, signal)
    pieces = lambda rows, columns: row_blocks(rows, columns, 20_000)  # noqa: E731
    monkeypatch.setattr(sys.modules["leadset.waves.features"], "row_blocks", pieces)
    assert peak_of(lambda: extract_features(delineation, signal)) < 2.5 * signal.nbytes  # was 4
    np.testing.assert_allclose(extract_features(delineation, signal).beats, whole.beats, rtol=1e-4, atol=1e-6)


def test_maps_of_a_long_recording_are_averaged_where_they_are():
    sums, cover = np.ones((2, 2, 100_000), np.float32), np.tile(np.float32([0, 1, 2, 3]), 25_000)
    means = []
    assert peak_of(lambda: means.append(averaged(sums, cover))) < 0.3 * sums.nbytes  # was twice the maps
    np.testing.assert_array_equal(means[0][1, 0, :4], np.float32([np.nan, 1, 1 / 2, 1 / 3]))


def test_blocks_hold_all_rows_once():
    assert row_blocks(12, 5000) == [slice(0, 209)]
    assert row_blocks(3, 10**9) == [slice(0, 1), slice(1, 2), slice(2, 3)] and row_blocks(2, 0)[0].start == 0


def test_a_long_recording_is_prepared_lead_by_lead(monkeypatch):
    """Two leads of a day were 12 in single precision, several times over: 5.2 GB."""
    signal = np.random.default_rng(0).normal(0, 1, (2, 300_000)).astype(np.float32)
    at_once = prepare(signal, 250, ("II", "V1"), Transform(500, "highpass"))
    monkeypatch.setattr(sys.modules["leadset.preprocess.prepare"], "_MOST_AT_ONCE", signal.shape[1], raising=False)
    tracemalloc.start()
    by_lead = prepare(signal, 250, ("II", "V1"), Transform(500, "highpass"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * signal.nbytes
    assert (by_lead.flags, by_lead.samples.shape) == (at_once.flags, at_once.samples.shape)
    np.testing.assert_allclose(by_lead.samples, at_once.samples, atol=1)
    np.testing.assert_allclose(by_lead.statistics, at_once.statistics, rtol=1e-5, atol=1e-6)


#: Four threads take memory at once, and glibc says in how many places.
_FOUR_THREADS = """
import ctypes, threading
from leadset.utils.memory import share_memory_of_threads
import numpy as np

assert share_memory_of_threads(2)
meeting = threading.Barrier(4)

def work():
    meeting.wait()
    held = [np.ones(4000) for _ in range(100)]
    meeting.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")
def test_threads_take_memory_from_as_many_places_as_are_at_work():
    """From one, a recording of the server took 15 ms more, in which its threads waited for one another."""
    done = subprocess.run([sys.executable, "-c", _FOUR_THREADS], capture_output=True, text=True, check=True)
    assert done.stderr.count("Arena ") == 2
