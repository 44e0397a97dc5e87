"""Explanations of long recordings: they cover what networks look at, in the memory and the time that this takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from test_explain import CLASSES, Sums, seen_by

from leadset.explain.background import Background, zero_baseline
from leadset.explain.explanation import attribution_maps
from leadset.explain.gradients import TOLERANCE, Paths, path_gradients
from leadset.explain.steps import paths_by_typical_beat
from leadset.explain.stretches import Stretches
from leadset.explain.target import Target
from leadset.recordings import Recording
from leadset.waves import delineate


def long_recording(seconds: float, *rates: float) -> Recording:
    """Two leads of bell-shaped beats, of which each part of the recording has another rate in beats a second."""
    part, times = seconds / len(rates), []
    for number, rate in enumerate(rates):
        times.append(number * part + np.arange(0.3, part, 1 / rate))
    at, signal = np.arange(round(seconds * 250)) / 250, np.zeros(round(seconds * 250))
    for time in np.concatenate(times):
        near = slice(*np.searchsorted(at, [time - 0.2, time + 0.2]))
        signal[near] += np.exp(-(((at[near] - time) / 0.03) ** 2))
    return Recording(np.stack([signal, 2 * signal]), 250, ("II", "V1"), "long", 60.0, "female")


def sums_of_two(recording: Recording) -> Target:
    """The recording as a network of known sums sees it."""
    return seen_by(Sums(torch.randn(CLASSES, 2, 1000, generator=torch.Generator().manual_seed(4))), recording)


def test_stretches_are_around_windows_and_one_where_these_are_near() -> None:
    assert Stretches.around([(0.0, 10.0), (15.0, 25.0)], 33.3).limits == ((0, 34),)
    apart = Stretches.around([(0.5, 10.0), (60.0, 70.0), (100.2, 110.0), (191.0, 199.0)], 200.0)
    assert apart.limits == ((0, 10), (60, 70), (100, 110), (191, 200))
    assert Stretches.around([(490.0, 500.0)], 500.0).limits == ((490, 500),)
    assert Stretches.around([(490.0, 498.0)], 500.0).limits == ((490, 500),)
    assert apart.slices(2, 399) == [slice(0, 20), slice(120, 140), slice(200, 220), slice(382, 399)]
    values = np.arange(399)
    assert [part.tolist() for part in apart.cut(apart.joined(values, 2), 2, 399)][3] == values[382:].tolist()
    assert apart.number(np.array([0, 9, 59.5, 65, 150, 250])).tolist() == [0, 0, 1, 1, 2, 3]


def test_maps_of_a_long_recording_cover_what_networks_look_at() -> None:
    recording = long_recording(1200, 1.0)
    target, delineation = sums_of_two(recording), delineate(recording.signal, 250)
    assert len(target.stretches) == 16
    (found,) = attribution_maps(target, delineation, [1], "ig", None)
    assert found["map"].shape[1] <= 16 * 1200  # of 120 000 samples
    assert found["map"].sum() == pytest.approx(found["log_odds"] - found["baseline"], rel=TOLERANCE, abs=2e-3)
    parts = list(target.stretches.cut(found["map"], 100, target.finest.samples))
    (of_windows,) = path_gradients(target, [1], Paths.from_baselines(target, zero_baseline(target, None)))[0].parts
    for part, window in zip(parts, of_windows, strict=True):
        np.testing.assert_allclose(part.sum(), window.sum(), atol=1e-9)


def test_occlusion_takes_away_no_wave_that_networks_do_not_see() -> None:
    recording = long_recording(1200, 1.0)
    target, delineation, parts = sums_of_two(recording), delineate(recording.signal, 250), []
    attribution_maps(target, delineation, [0], "occlusion", None, parts.append)
    assert sum(parts) < 0.25 * 2 * 3 * len(delineation.fused)  # three parts of each beat and more, in two leads


def test_every_stretch_has_a_regular_rhythm_of_its_own_rate() -> None:
    recording = long_recording(1200, 0.7, 1.0, 1.6)
    target, delineation = sums_of_two(recording), delineate(recording.signal, 250)
    normal = long_recording(10, 1.2)
    background = Background((sums_of_two(normal),), {}, (normal,))
    paths = paths_by_typical_beat(target, background, delineation.r_peaks / 250)
    own, typical = paths.ends[0][-1].numpy(), paths.starts[0][-1].numpy()
    likeness = [np.corrcoef(a[0, 100:-100], b[0, 100:-100])[0, 1] for a, b in zip(own, typical, strict=True)]
    assert np.quantile(likeness, 0.2) > 0.9, "but for windows in which the rate changes"


def test_a_path_through_a_long_recording_takes_the_memory_of_its_windows() -> None:
    recording = long_recording(2400, 1.0)
    target, normal = sums_of_two(recording), long_recording(10, 1.2)
    background = Background((sums_of_two(normal),), {}, (normal,))
    r_peaks = delineate(recording.signal, 250).r_peaks / 250
    tracemalloc.start()
    paths_by_typical_beat(target, background, r_peaks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * recording.signal.nbytes
