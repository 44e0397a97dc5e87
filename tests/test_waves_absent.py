"""No beat in silence, and no P wave where there is none."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from annotated import SCORED, Tally, read_ludb, score_leads
from synthetic_leads import METHODS, synthetic

import leadset
from leadset.leads import LEADS
from leadset.waves import assess, delineate
from leadset.waves.marks import P1, R
from leadset.waves.p_waves import is_p
from leadset.waves.rhythm import irregularity, premature


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
@pytest.mark.parametrize("silence", [3, 8])
@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_no_beat_in_silence(method: str, leads: int, noise: float, silence: int, where: str) -> None:
    fs = 500
    beats, pause = synthetic(fs)[0], np.zeros(silence * fs)
    parts = {"start": [pause, beats], "middle": [beats, pause, beats], "end": [beats, pause]}[where]
    signal = np.linspace(1, 0.5, leads)[:, None] * np.concatenate(parts)
    signal += noise * np.random.default_rng(0).standard_normal(signal.shape)
    assert len(delineate(signal, fs, method).r_peaks) == (24 if where == "middle" else 12)


@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("rate", [60, 90])
@pytest.mark.parametrize("step", [1e-6, 5e-6])
def test_no_p_wave_without_noise_where_there_is_none(leads: int, rate: int, step: float) -> None:
    fs = 500
    t = np.arange(20 * fs) / fs
    signal = np.zeros(len(t))
    for at in np.arange(0.6, 19.5, 60 / rate):
        for height, offset, sd in ((-0.1, -0.032, 0.008), (1, 0, 0.011), (-0.2, 0.034, 0.009), (0.3, 0.28, 0.04)):
            signal += height * np.exp(-0.5 * ((t - at - offset) / sd) ** 2)
    signal = np.rint(signal / step) * step * np.linspace(1, 0.5, leads)[:, None]
    found = delineate(signal, fs)
    assert found.present[:, :, R].all()
    assert not found.present[:, :, P1].any()


def test_p_waves_are_judged_with_the_beats_around() -> None:
    beat = 200.0 * np.arange(20)
    irregular = beat + 30 * np.random.default_rng(1).standard_normal(20)
    sure = np.full((1, 20), 0.6)
    near, anywhere = (beat - 40)[None], (beat - np.random.default_rng(1).integers(20, 100, 20))[None]
    assert is_p(sure, near, beat).all()
    assert is_p(sure, anywhere, beat).all()  # complete block: a regular rhythm, P waves anywhere
    assert not is_p(sure, near + irregular - beat, irregular).any()  # as in fibrillation
    assert not is_p(sure, anywhere + irregular - beat, irregular).any()
    assert is_p(np.full((1, 20), 0.9), anywhere + irregular - beat, irregular).all()  # second-degree block
    assert not is_p(np.full((1, 20), 0.3), near, beat).any()
    lonely = np.where(np.arange(20) == 7, 0.05, sure)
    assert is_p(lonely, near, beat).sum() == 19  # a premature ventricular beat


def test_waves_of_fibrillation_at_a_steady_distance_are_no_p_waves() -> None:
    intervals = np.array([180, 168, 252, 208, 176, 168, 176, 172, 176, 172, 248, 212])  # most change by little
    beats = 100 + np.append(0, np.cumsum(intervals))
    sure = np.array([0.63, 0.68, 0.87, 0.36, 0.64, 0.61, 0.84, 0.65, 0.74, 0.80, 0.13, 0.29, 0.16])
    for leads in (1, 2, 12):
        confidence = sure * np.ones((leads, 1))
        assert not is_p(confidence, beats - 30 + np.zeros((leads, 1)), beats).any()
        assert is_p(np.fmin(confidence + 0.4, 1), beats - 30 + np.zeros((leads, 1)), beats).mean() > 0.9


def test_an_irregular_rhythm_with_premature_beats_is_told_from_a_regular_one() -> None:
    regular = 200 * np.arange(60)
    assert not premature(regular).any()
    assert not irregularity(regular).any()
    early = regular - np.where(np.arange(60) % 10 == 5, 60, 0)
    np.testing.assert_array_equal(np.flatnonzero(premature(early)), np.arange(5, 60, 10))
    assert irregularity(early).max() < 1e-9
    varied = regular + np.where(np.arange(60) % 4 < 2, 0, 24)
    np.testing.assert_allclose(irregularity(varied)[20:40], 0.12, atol=0.01)
    halves = np.append(varied[:30], varied[29] + 200 * np.arange(1, 31))
    assert irregularity(halves)[10] > 0.1 and irregularity(halves)[-5] < 1e-9
    hidden = np.delete(regular, [10, 40])
    assert irregularity(hidden).max() < 1e-9
    made_up = np.sort(np.append(regular, [2090, 7350]))
    assert irregularity(made_up).max() < 1e-9
    assert irregularity(np.delete(made_up[:20], 15)).max() < 1e-9
    for few in range(4):
        assert premature(regular[:few]).shape == irregularity(regular[:few]).shape == (few,)


def test_p_waves_of_single_leads(real_data: Path) -> None:
    shares = []
    with (real_data / "af_2017" / "REFERENCE.csv").open() as file:
        names = [name for name, label, *_ in csv.reader(file) if label == "A"]
    for name in names[::4]:
        recording = leadset.read_recording(real_data / "af_2017" / f"{name}.hea")
        shares.append(delineate(recording.signal, recording.fs).present[0, :, P1].mean())
    assert np.median(shares) <= 0.05
    assert np.mean(shares) <= 0.1
    tallies = {name: Tally() for name in SCORED}
    for recording in read_ludb(real_data / "ludb", every=3):
        score_leads(recording, [delineate(lead, recording.fs).marks[0] for lead in recording.signal], tallies)
    assert tallies["P peak"].sensitivity >= 98
    assert tallies["P peak"].predictivity >= 97


def test_low_p_waves_at_a_steady_distance_are_believed() -> None:
    rng, beats = np.random.default_rng(0), np.arange(14) * 200 + 100
    sure = np.clip(0.31 + 0.05 * rng.standard_normal((12, 14)), 0.1, None)  # too low each by itself
    steady = beats - 60 + rng.normal(0, 1.0, (12, 14)).round()
    assert is_p(sure, steady, beats).mean() > 0.9
    anywhere = beats - rng.integers(20, 100, 14) + np.zeros((12, 1))
    assert not is_p(sure, anywhere, beats).any()
    assert not is_p(sure / 3, steady, beats).any()
    early = beats - np.where(np.arange(14) == 7, 60, 0)
    there = is_p(np.where(np.arange(14) == 7, 0.01, sure + 0.1), steady - beats + early, early)
    assert not there[:, 7].any()  # a premature ventricular beat
    assert there.mean() > 0.8


def test_sinus_beats_among_ectopic_ones_keep_their_p_waves() -> None:
    rng = np.random.default_rng(1)
    ectopic = np.arange(16) % 3 == 2
    beats = np.cumsum(np.where(ectopic, 130, 220) + rng.integers(-3, 3, 16))
    sure = np.where(ectopic, 0.05, 0.9) * np.ones((12, 1))
    place = beats - np.where(ectopic, rng.integers(20, 90, 16), 45) + rng.integers(-1, 2, 16)
    there = is_p(sure, place * np.ones((12, 1)), beats)
    assert there[:, ~ectopic].all()
    assert not there[:, ectopic].any()
    fibrillation = rng.uniform(0.1, 0.9, 16) * np.ones((12, 1))
    assert not is_p(fibrillation, beats - rng.integers(20, 100, 16) + np.zeros((12, 1)), beats).any()


def escape(beats: int, leads: int, fs: int = 500, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Ten seconds (leads, t) of silence with so many beats, and where their R peaks are."""
    places = np.array([5.2, 1.7, 8.4])[:beats] * fs
    signal = np.zeros(10 * fs)
    for place in places:
        beat, r = synthetic(fs, beats=1, seconds=1.4)
        at = int(place - fs * r[0])
        signal[at : at + len(beat)] += beat
    signal = signal * np.linspace(1, 0.5, leads)[:, None]
    return signal + noise * np.random.default_rng(0).standard_normal(signal.shape), np.sort(places)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("beats", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
def test_rare_beats_are_found_and_usable(method: str, leads: int, beats: int, noise: float) -> None:
    signal, places = escape(beats, leads, noise=noise)
    found = delineate(signal, 500, method)
    assert len(found.r_peaks) == beats
    np.testing.assert_allclose(found.r_peaks, places, atol=10)
    assert found.present[:, :, R].mean() > 0.8
    assert assess(signal, 500, LEADS[:leads], found).usable


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("what", ["step", "discharge", "spike", "burst", "nothing"])
def test_rare_disturbances_are_no_beats(method: str, leads: int, what: str) -> None:
    t, rng = np.arange(5000) / 500, np.random.default_rng(1)
    one = {"step": t > 4.3, "discharge": (t > 4.3) * np.exp(-np.maximum(t - 4.3, 0)), "spike": np.abs(t - 4.3) < 0.002,
           "burst": np.exp(-(((t - 4.3) / 0.2) ** 2)) * rng.standard_normal(5000), "nothing": 0 * t}[what]
    signal = np.linspace(1, 0.5, leads)[:, None] * one + 0.01 * rng.standard_normal((leads, 5000))
    found = delineate(signal, 500, method)
    assert not len(found.r_peaks)
    assert not assess(signal, 500, LEADS[:leads], found).usable


def test_real_beats_alone_in_their_own_baseline(real_data: Path) -> None:
    rng, seen = np.random.default_rng(0), []
    for recording in read_ludb(real_data / "ludb", every=6):
        marks = recording.marks[1]
        start, stop = (int(marks[name][2] + by * recording.fs) for name, by in (("QRS onset", -0.25), ("T end", 0.06)))
        rest = recording.signal[:, int(marks["T end"][1]) : int(marks["T end"][1] + 0.1 * recording.fs)]
        rest = rest - np.linspace(rest[:, 0], rest[:, -1], rest.shape[1]).T
        signal = rest.std(axis=1, keepdims=True) * rng.standard_normal(recording.signal.shape)
        beat = recording.signal[:, start:stop]
        signal[:, 2000 : 2000 + stop - start] += beat - np.linspace(beat[:, 0], beat[:, -1], stop - start).T
        found = delineate(signal, recording.fs)
        seen.append((len(found.r_peaks), assess(signal, recording.fs, LEADS, found).usable))
    assert sum(one == (1, True) for one in seen) >= 0.9 * len(seen)
