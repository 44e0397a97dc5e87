"""Pan and Tompkins: R peaks of clean, noisy and irregular recordings, no T waves, no other marks."""

from __future__ import annotations

import numpy as np
import pytest

from leadset import delineate
from leadset.simulate import simulate
from leadset.waves.marks import MARKS, R
from leadset.waves.pan_tompkins import detect


def waves(at: np.ndarray, fs: float, seconds: float, t_wave: float = 0.3, scale: float = 1.0) -> np.ndarray:
    """A lead in mV with a QRS complex and a T wave for each beat at some seconds."""
    time = np.arange(round(seconds * fs)) / fs
    beats = [scale * np.exp(-((time - r) ** 2) / (2 * 0.011**2)) for r in at]
    ts = [t_wave * np.exp(-((time - r - 0.28) ** 2) / (2 * 0.04**2)) for r in at]
    return np.sum([*beats, *ts], axis=0)


def agrees(found: np.ndarray, at: np.ndarray, fs: float) -> bool:
    return len(found) == len(at) and bool((np.abs(found / fs - at) < 0.03).all())


@pytest.mark.parametrize("fs", [250, 360, 500, 1000])
def test_beats_are_found_and_t_waves_are_not(fs):
    at = np.arange(0.6, 29.6, 0.8)
    noise = 0.02 * np.random.default_rng(0).normal(size=30 * fs)
    for t_wave, sign in ((0.3, 1), (0.9, 1), (0.3, -1)):
        found = delineate(sign * waves(at, fs, 30, t_wave) + noise, fs, "pan_tompkins")
        assert agrees(found.r_peaks, at, fs)
        assert found.method == "pan_tompkins"
        others = [column for column in range(len(MARKS)) if column != R]
        assert np.isnan(found.marks[:, :, others]).all()


def test_a_small_beat_after_a_long_interval_is_looked_for_again():
    at = np.arange(0.6, 29.6, 0.8)
    signal = waves(at, 250, 30)
    small = (np.arange(signal.size) / 250 > at[20] - 0.1) & (np.arange(signal.size) / 250 < at[20] + 0.1)
    signal[small] *= 0.42  # its energy lies between the threshold and half of it
    assert agrees(delineate(signal, 250, "pan_tompkins").r_peaks, at, 250)


def test_leads_are_weighed_alike_and_beats_are_common_to_them():
    at = np.arange(0.6, 29.6, 0.8)
    large = 20 * np.sin(2 * np.pi * 0.4 * np.arange(7500) / 250)  # wander beside beats of 1 mV
    found = delineate(np.stack([large + waves(at, 250, 30), waves(at, 250, 30, scale=0.4)]), 250, "pan_tompkins")
    assert agrees(found.r_peaks, at, 250)
    assert found.marks.shape[:2] == (2, len(at))


@pytest.mark.parametrize("rhythm", ["NSR", "AF", "STach"])
def test_simulated_recordings_give_nearly_all_their_beats(rhythm):
    drawn = simulate(6, 3, labels=rhythm)
    hits = expected = extra = 0
    for signal, marks in zip(drawn.signals, drawn.marks, strict=True):
        true = np.nanmedian(marks[:, :, R], axis=0)
        delineation = delineate(signal, drawn.fs, "pan_tompkins")
        assert not len(delineation.p_only) and np.isnan(np.delete(delineation.marks, R, axis=2)).all()
        found = delineation.r_peaks
        near = np.abs(found[:, None] - true) < 0.075 * drawn.fs
        hits, expected, extra = hits + near.any(0).sum(), expected + len(true), extra + (~near.any(1)).sum()
    assert hits >= 0.98 * expected
    assert extra <= 0.03 * expected


@pytest.mark.parametrize("signal", [np.zeros((2, 5000)), np.zeros((1, 3)), np.full((1, 2500), np.nan)])
def test_what_has_no_beats_gives_none(signal):
    assert not len(delineate(signal, 500, "pan_tompkins").r_peaks)


def test_noise_alone_has_no_level_of_its_own_to_divide_by():
    assert len(detect(np.zeros(500), np.zeros(500))) == 0
