"""One path of a recording: repair, derivation, resampling, windows."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_leads import in_millivolts

from leadset.leads import LEADS
from leadset.preprocess import (
    MAX_TEST_WINDOWS,
    SCALINGS,
    InputSpec,
    Transform,
    cut_window,
    prepare,
    random_start,
    signal_start,
    signal_windows,
    window_starts,
)
from leadset.signals import MIN_SD_MV


def test_leads_in_any_order_and_case_give_the_same(signal, rng):
    order = rng.permutation(12)
    names = [LEADS[i].upper() if i % 2 else LEADS[i].lower() for i in order]
    straight, shuffled = prepare(signal, 500, LEADS, Transform()), prepare(signal[order], 500, names, Transform())
    np.testing.assert_array_equal(straight.samples, shuffled.samples)
    assert shuffled.flags == ()


def test_quantisation_keeps_the_signal(signal):
    prepared = prepare(signal, 500, LEADS, Transform())
    assert np.abs(in_millivolts(prepared) - signal).max() <= np.abs(signal).max() / 32767


@pytest.mark.parametrize("have", [("I", "II"), ("II", "III"), ("aVR", "aVF"), ("I", "aVL", "V3")])
def test_limb_leads_follow_from_any_two(signal, have):
    rows = [LEADS.index(lead) for lead in have]
    prepared = prepare(signal[rows], 500, have, Transform())
    np.testing.assert_allclose(in_millivolts(prepared)[:6], signal[:6], atol=2e-3)
    derived = {flag for flag in prepared.flags if flag.startswith("derived")}
    assert derived == {f"derived:{lead}" for lead in set(LEADS[:6]) - set(have)}
    assert "missing:V1" in prepared.flags
    assert not prepared.samples[6].any()


def test_one_limb_lead_alone_derives_nothing(signal):
    prepared = prepare(signal[:1], 500, ["I"], Transform())
    assert sum(flag.startswith("missing") for flag in prepared.flags) == 11


def test_gaps_are_bridged_and_flagged(signal):
    broken = signal.copy()
    broken[7, 100:200] = np.nan
    broken[8, 300] = np.inf
    broken[9, 400:404] = np.inf, -np.inf, 1e20, -1e30  # no electrode measures the like
    prepared = prepare(broken, 500, LEADS, Transform())
    assert set(prepared.flags) == {"nonfinite:V2", "nonfinite:V3", "nonfinite:V4"}
    bridge = in_millivolts(prepared)[7, 99:201]
    np.testing.assert_allclose(bridge, np.linspace(signal[7, 99], signal[7, 200], 102), atol=1e-3)
    assert np.abs(in_millivolts(prepared)[9]).max() <= np.abs(signal[9]).max() + 1e-3
    untouched = np.delete(np.arange(12), [7, 8, 9])
    whole = prepare(signal, 500, LEADS, Transform())
    np.testing.assert_array_equal(prepared.samples[untouched], whole.samples[untouched])


def test_a_recording_of_gaps_only_is_refused_for_its_gaps(signal):
    with pytest.raises(ValueError, match="found I, II with mostly invalid samples, expected some of I II"):
        prepare(np.full((2, 5000), np.nan), 500, ["I", "II"], Transform())
    with pytest.raises(ValueError, match="found RESP, expected some of I II"):
        prepare(signal[:1], 500, ["RESP"], Transform())


def test_a_limb_lead_of_gaps_only_is_derived(signal):
    broken = signal.copy()
    broken[3] = np.nan
    prepared = prepare(broken, 500, LEADS, Transform())
    assert set(prepared.flags) == {"nonfinite:aVR", "derived:aVR"}
    np.testing.assert_allclose(in_millivolts(prepared)[3], signal[3], atol=2e-3)


def test_flat_clipped_and_implausible_are_flagged(signal):
    faulty = signal.copy()
    faulty[6] = 0.25
    faulty[10] = np.clip(faulty[10], -0.02, 0.02)
    assert set(prepare(faulty, 500, LEADS, Transform()).flags) == {"flat:V1", "clipped:V5"}
    assert "implausible_amplitude" in prepare(signal * 1000, 500, LEADS, Transform()).flags


def test_an_offset_is_no_part_of_the_heartbeat(signal):
    whole, offset = prepare(signal, 500, LEADS, Transform()), signal.copy()
    offset[[0, 7]] += np.float32([[-60], [1]])
    prepared = prepare(offset, 500, LEADS, Transform())
    assert prepared.flags == ("offset:I", "offset:V2") and prepared.usable_leads == LEADS
    apart = in_millivolts(prepared) - in_millivolts(whole)
    assert np.ptp(apart, axis=1).max() < 2e-3 and np.abs(apart).max() < 0.1
    gaps = offset.copy()
    gaps[7, 1000:3000] = np.nan
    assert not in_millivolts(prepare(gaps, 500, LEADS, Transform()))[7, 1000:3000].any()


def test_one_lead_of_another_unit_is_not_used(signal):
    wrong = signal.copy()
    wrong[[0, 6]] *= 1000
    prepared = prepare(wrong, 500, LEADS, Transform())
    assert set(prepared.flags) == {"implausible_amplitude:I", "implausible_amplitude:V1", "derived:I"}
    assert "V1" not in prepared.usable_leads and not prepared.samples[6].any()
    np.testing.assert_allclose(in_millivolts(prepared)[0], signal[0], atol=2e-3)


def test_a_constant_lead_is_flat_before_and_after_any_transform(signal):
    signal[6], signal[7] = 2.5, 0
    for fs in (500, 360, 257):
        for transform in (Transform(500), Transform(100), Transform(250, "highpass"), Transform(128, "restoration")):
            prepared = prepare(signal, fs, LEADS, transform)
            assert prepared.flags == ("flat:V1", "flat:V2")
            assert not prepared.samples[6:8].any()
            assert not prepared.statistics[1:, 6:8].any()
            assert prepared.usable_leads == (*LEADS[:6], *LEADS[8:])
            for scaling in SCALINGS:
                spec = InputSpec(transform, samples=500, scaling=scaling)
                window, _ = cut_window(prepared.samples, prepared.statistics, [6, 7], 0, spec)
                assert scaling == "recording" or not window.any()


def test_a_lead_too_weak_for_a_heartbeat_is_dead(signal, rng):
    signal[9] = rng.integers(-1, 2, 5000) / 1000
    prepared = prepare(signal, 500, LEADS, Transform())
    assert prepared.flags == ("dead:V4",)
    assert "V4" not in prepared.usable_leads
    # With all of them so weak, it is the unit that is wrong.
    assert set(prepare(signal[:9] / 1000, 500, LEADS[:9], Transform()).flags) >= {"implausible_amplitude"}


@pytest.mark.parametrize("value", [0, 0.7])
def test_a_dead_limb_lead_is_no_source_and_follows_from_others(signal, value):
    whole = prepare(signal, 500, LEADS, Transform())
    broken = signal.copy()
    broken[0] = value
    prepared = prepare(broken, 500, LEADS, Transform())
    assert prepared.flags == ("flat:I", "derived:I")
    np.testing.assert_allclose(in_millivolts(prepared), in_millivolts(whole), atol=2e-3)
    assert prepared.usable_leads == LEADS
    two = prepare(broken[[0, 1, 6]], 500, ("I", "II", "V1"), Transform())
    assert two.usable_leads == ("II", "V1")
    assert not two.samples[[0, 2, 3, 4, 5]].any()
    # Where II and III are equal, I is nothing, and nothing is derived.
    broken[2] = broken[1]
    assert prepare(broken[[0, 1, 2]], 500, LEADS[:3], Transform()).usable_leads == ("II", "III", "aVR", "aVL", "aVF")


def test_leads_upside_down_are_turned(signal):
    signal[3] *= -1
    prepared = prepare(signal, 500, (*LEADS[:3], "-aVR", *LEADS[4:]), Transform())
    np.testing.assert_allclose(in_millivolts(prepared)[3], -signal[3], atol=1e-3)
    assert prepared.flags == ()


def test_names_that_are_no_leads_are_flagged(signal):
    prepared = prepare(signal[:4], 500, ("I", "II", "Kanal 7", "V7"), Transform())
    assert [flag for flag in prepared.flags if flag.startswith("unknown")] == ["unknown_lead:Kanal_7"]


@pytest.mark.parametrize("fs", [100, 250, 257, 360, 400, 1000, 499.5])
def test_resampling_keeps_slow_waves_and_length(fs):
    t = np.arange(round(10 * fs)) / fs
    signal = np.tile(np.sin(2 * np.pi * 3 * t) + 0.4, (12, 1))
    prepared = prepare(signal, fs, LEADS, Transform(200))
    n = prepared.samples.shape[1]
    assert abs(n - 2000) <= 1
    expected = np.sin(2 * np.pi * 3 * np.arange(n) / 200) + 0.4
    np.testing.assert_allclose(in_millivolts(prepared)[1], expected, atol=0.08)  # edges
    np.testing.assert_allclose(in_millivolts(prepared)[1, 100:-100], expected[100:-100], atol=0.005)


def test_highpass_removes_offset_without_delay():
    t = np.arange(5000) / 500
    signal = np.tile(np.sin(2 * np.pi * 5 * t) + 3.0, (12, 1))
    out = in_millivolts(prepare(signal, 500, LEADS, Transform(500, "highpass")))[4, 1000:4000]
    np.testing.assert_allclose(out, np.sin(2 * np.pi * 5 * t)[1000:4000], atol=0.02)


@pytest.mark.parametrize("samples", [2, 7, 40])
@pytest.mark.parametrize("transform", [Transform(500), Transform(100), Transform(500, "highpass")])
def test_very_short_recordings_pass(samples, transform):
    prepared = prepare(np.arange(12 * samples).reshape(12, samples) % 7 / 10, 500, LEADS, transform)
    assert prepared.samples.shape[1] >= 1


@pytest.mark.parametrize(
    ("signal", "fs", "leads"),
    [
        (np.zeros((2, 0)), 500, ("I", "II")),
        (np.zeros((2, 9)), 0, ("I", "II")),
        (np.zeros((3, 9)), 500, ("I", "II")),
        (np.zeros((1, 9)), 500, ("MCL1",)),
        (np.full((2, 9), np.nan), 500, ("I", "II")),
        (np.zeros((2, 9)), 500, ("I", "II")),
        (np.full((2, 9), 1.5), 500, ("I", "II")),
    ],
)
def test_hopeless_recordings_say_why(signal, fs, leads):
    with pytest.raises(ValueError, match="expected"):
        prepare(signal, fs, leads, Transform())


@pytest.mark.parametrize("fs", [-500, 0, 1, 49, 20_000, np.inf, np.nan])
def test_senseless_rates_are_refused_before_they_take_memory(signal, fs):
    with pytest.raises(ValueError, match=f"sampling rate {fs} Hz: expected 50 to 10000 Hz"):
        prepare(signal, fs, LEADS, Transform())


@pytest.mark.parametrize("bad", [{"rate": 0}, {"filter": "magic"}])
def test_unknown_transforms_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        Transform(**bad)


# --- windows -------------------------------------------------------------------------------------------------------


def test_windows_cover_a_recording_evenly():
    spec = InputSpec(samples=5000)
    assert window_starts(4000, spec).tolist() == [0]
    assert window_starts(5000, spec).tolist() == [0]
    assert window_starts(7500, spec).tolist() == [0, 2500]
    half_an_hour = window_starts(900_000, spec)
    assert len(half_an_hour) == MAX_TEST_WINDOWS
    assert half_an_hour[0] == 0
    assert half_an_hour[-1] == 895_000


def test_windows_in_which_no_lead_moves_are_left_out_unless_all_are():
    samples, statistics, spec = np.zeros((12, 300), np.int16), np.ones((5, 12)), InputSpec(samples=100)
    statistics[0] = MIN_SD_MV / 10  # 20 counts are two standard deviations
    assert signal_windows(samples, statistics, [0, 1], spec).tolist() == [0, 100, 200]
    samples[1, 50], samples[1, 150], samples[2, 250] = 19, 21, 21
    assert signal_windows(samples, statistics, [0, 1], spec).tolist() == [100]


def test_random_starts_reach_both_ends(rng):
    starts = {random_start(5003, InputSpec(samples=5000), rng) for _ in range(200)}
    assert starts == {0, 1, 2, 3}


def test_windows_come_from_where_there_is_signal(signal, rng):
    late = np.full((12, 10_000), np.nan, dtype=np.float32)
    late[:, 7000:] = signal[:, :3000]
    late[6] = np.concatenate([signal[6], signal[6]])
    for transform in (Transform(500), Transform(500, "highpass")):
        prepared = prepare(late, 500, LEADS, transform)
        spec = InputSpec(transform, samples=1000)
        assert signal_windows(prepared.samples, prepared.statistics, [0, 1], spec).min() > 5500
        drawn = [signal_start(prepared.samples, prepared.statistics, [0, 1], spec, rng) for _ in range(50)]
        assert min(drawn) > 5500
        with_v1 = signal_windows(prepared.samples, prepared.statistics, [0, 6], spec)
        np.testing.assert_array_equal(with_v1, window_starts(10_000, spec))
    whole = prepare(signal, 500, LEADS, Transform())
    same = [np.random.default_rng(1), np.random.default_rng(1)]
    assert signal_start(whole.samples, whole.statistics, [0], spec, same[0]) == random_start(5000, spec, same[1])


def test_short_recordings_are_padded_and_masked(signal):
    prepared = prepare(signal[:, :800], 500, LEADS, Transform())
    spec = InputSpec(samples=1000)
    window, mask = cut_window(prepared.samples, prepared.statistics, [1, 7], 0, spec)
    assert window.shape == (2, 1000)
    assert mask[:800].all()
    assert not mask[800:].any()
    assert not window[:, 800:].any()
    np.testing.assert_allclose(window[:, :800], signal[[1, 7], :800], atol=1e-3)


def test_tail_window_is_padded_in_front(signal):
    prepared = prepare(signal[:, :800], 500, LEADS, Transform())
    spec = InputSpec(samples=1000, window="tail")
    (start,) = window_starts(800, spec)
    window, mask = cut_window(prepared.samples, prepared.statistics, [0], start, spec)
    assert not mask[:200].any()
    assert mask[200:].all()
    np.testing.assert_allclose(window[0, 200:], signal[0, :800], atol=1e-3)


def scaled(signal, scaling):
    prepared = prepare(signal, 500, LEADS, Transform())
    spec = InputSpec(samples=5000, scaling=scaling)
    return cut_window(prepared.samples, prepared.statistics, range(12), 0, spec)[0]


def test_scalings(signal):
    signal[8] = 0.7  # flat
    by_lead, by_recording, by_range = (scaled(signal, name) for name in ("lead", "recording", "range"))
    alive = np.delete(np.arange(12), 8)
    np.testing.assert_allclose(by_lead[alive].mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(by_lead[alive].std(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(by_lead[8], 0, atol=1e-3)
    np.testing.assert_allclose((by_recording.mean(), by_recording.std()), (0, 1), atol=1e-3)
    np.testing.assert_allclose(by_range[alive].min(axis=1), -1, atol=1e-3)
    np.testing.assert_allclose(by_range[alive].max(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(by_range[8], 0, atol=1e-3)
    assert set(SCALINGS) == {"none", "lead", "recording", "range"}
