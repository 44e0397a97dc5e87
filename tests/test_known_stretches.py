"""A lead is judged by its known stretches: paper ECGs, late leads, gaps."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_leads import in_millivolts

from leadset import delineate
from leadset.leads import LEADS
from leadset.preprocess import InputSpec, Transform, cut_window, prepare
from leadset.recordings import find_recordings, read_recording
from leadset.simulate import simulate
from leadset.waves.beats import find_beats
from leadset.waves.marks import R
from leadset.waves.quality import find_missing
from leadset.waves.stretches import at_rest, find_stretches


def paper(signal, strip):
    """The 3 x 4 layout of a paper ECG at 500 Hz: 2.5 s a lead, with lead II as rhythm strip or without."""
    known = np.full((12, 5000), np.nan, dtype=np.float32)
    for column in range(4):
        rows, shown = slice(3 * column, 3 * column + 3), slice(1250 * column, 1250 * column + 1250)
        known[rows, shown] = signal[rows, shown]
    if strip:
        known[1] = signal[1]
    return known


@pytest.mark.parametrize("strip", [True, False])
def test_every_lead_of_a_paper_ecg_is_there(signal, strip):
    known = paper(signal, strip)
    prepared = prepare(known, 500, LEADS, Transform())
    assert set(prepared.flags) == {f"partial:{lead}" for lead in LEADS if not (strip and lead == "II")}
    assert prepared.usable_leads == LEADS
    out, there = in_millivolts(prepared), np.isfinite(known)
    np.testing.assert_allclose(out[there], signal[there], atol=2e-3)
    mean, sd = np.nanmean(known, axis=1), np.nanstd(known, axis=1)
    for row in range(12):
        np.testing.assert_allclose(out[row, ~there[row]], mean[row], atol=2e-3)
    np.testing.assert_allclose(prepared.statistics[1], mean, atol=1e-3)
    np.testing.assert_allclose(prepared.statistics[2], sd, rtol=1e-2)
    # Scaled by lead, silence is zero and the known part is as large as that of a whole recording.
    spec = InputSpec(samples=5000, scaling="lead")
    window, _ = cut_window(prepared.samples, prepared.statistics, range(12), 0, spec)
    assert np.abs(window[~there]).max() < 0.01
    np.testing.assert_allclose([window[row, there[row]].std() for row in range(12)], 1, rtol=0.02)


def test_late_leads_and_long_gaps_have_no_line_across(signal):
    late = signal.copy()
    late[6, :3600] = np.nan  # known for 2.8 s of 10
    late[7, 2000:3000] = np.nan
    late[8, :4200] = np.nan  # known for 1.6 s: too little
    prepared = prepare(late, 500, LEADS, Transform())
    assert set(prepared.flags) == {"partial:V1", "partial:V2", "nonfinite:V3", "missing:V3"}
    out = in_millivolts(prepared)
    assert np.ptp(out[6, :3600]) == np.ptp(out[7, 2000:3000]) == 0
    np.testing.assert_allclose(out[6, 3600:], signal[6, 3600:], atol=2e-3)
    assert not out[8].any()
    # Half of a short recording is enough.
    assert "partial:V1" in prepare(late[:, 3000:4200], 500, LEADS, Transform()).flags


def test_limb_leads_follow_where_two_are_known_together(signal):
    have = signal[[0, 1, 5]].copy()  # I, II, aVF
    have[0, 2500:] = np.nan
    have[1, 2000:] = np.nan
    have[2, :3000] = np.nan
    prepared = prepare(have, 500, ("I", "II", "aVF"), Transform())
    assert prepared.usable_leads == LEADS[:6]
    np.testing.assert_allclose(in_millivolts(prepared)[2, :2000], signal[2, :2000], atol=3e-3)
    assert np.ptp(in_millivolts(prepared)[2, 2000:]) < 1e-4
    have[1, :1800] = np.nan
    assert prepare(have[[0, 1]], 500, ("I", "II"), Transform()).usable_leads == ("I",)


@pytest.fixture(scope="module")
def heart():
    """(12, 5000) mV of a simulated sinus rhythm at 500 Hz."""
    return simulate(1, seed=8, labels="NSR", marks=False).signals[0].astype(np.float32)


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("rest", [np.nan, 0.0])
def test_beats_of_a_paper_ecg_are_those_of_the_recording(heart, strip, rest):
    known = paper(heart, strip)
    shown = np.isfinite(known)
    known[~shown] = rest
    whole, found = delineate(heart, 500), delineate(known, 500)
    assert len(found.fused) == pytest.approx(len(whole.fused), abs=1)  # one may be cut by a column's edge
    for r in whole.fused[1:-1, R]:
        assert np.abs(found.fused[:, R] - r).min() < 20 or not 50 < r % 1250 < 1200
    at = found.marks[:, :, R]
    for row in range(12):
        beats = at[row][~np.isnan(at[row])].round().astype(int)
        assert len(beats) >= 2 and shown[row, beats].all()
    assert found.quality.min() > 0.5
    assert "missing samples" in found.flags[0]


@pytest.mark.parametrize(
    "transform", [Transform(500), Transform(100), Transform(100, "highpass"), Transform(100, "restoration")]
)
def test_networks_are_given_the_beats_of_known_stretches(heart, transform):
    whole = delineate(heart, 500)
    prepared = prepare(paper(heart, False), 500, LEADS, transform)
    beats = find_beats(prepared.samples, prepared.statistics, transform.rate, LEADS)
    assert len(beats.at) == pytest.approx(len(whole.fused), abs=1)
    assert np.isfinite(beats.features).any(axis=(1, 2)).all()


def test_leads_that_start_late_have_beats_from_then_on(heart):
    late = heart[[1, 7]].copy()
    late[1, :3000] = np.nan
    found = delineate(late, 500)
    r = found.marks[:, :, R]
    assert (~np.isnan(r)).sum(axis=1).tolist() == [len(found.fused), np.count_nonzero(found.fused[:, R] > 3000)]
    np.testing.assert_array_equal(found.marks[0], delineate(late[:1], 500).marks[0])
    # A lead that is hardly ever known is none.
    late[1, :4600] = np.nan
    assert np.isnan(delineate(late, 500).marks[1]).all()


def test_real_recordings_are_known_from_beginning_to_end(real_data):
    for path in find_recordings(real_data / "challenge") + find_recordings(real_data / "ludb"):
        recording = read_recording(path)
        # V1 of this one jumps by 12 mV and then rests, like the other chest leads.
        signal, fs = recording.signal, recording.fs
        stretches = find_stretches(find_missing(signal) | at_rest(signal, fs), fs)
        assert (len(stretches) == 1) != (path.stem == "JS45544"), path
