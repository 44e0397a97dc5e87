"""P waves that no complex follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotated import match, read_ludb
from synthetic_leads import METHODS, synthetic

from leadset.simulate import simulate
from leadset.waves import MARKS, delineate
from leadset.waves.export import csv_rows
from leadset.waves.marks import P1, R


def bump(signal: np.ndarray, fs: int, at: float, height: float = 0.12) -> None:
    t = np.arange(signal.shape[-1]) / fs
    signal += height * np.exp(-0.5 * ((t - at) / 0.02) ** 2)


@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("fs", [100, 500])
def test_p_waves_of_two_to_one_conduction(leads: int, fs: int) -> None:
    signal, r = synthetic(fs, rr=1.4, beats=7, noise=0.005)
    lone = r + 0.7 - 0.17
    for at in lone[:-1]:
        bump(signal, fs, at)
    found = delineate(np.linspace(1, 0.5, leads)[:, None] * signal, fs)
    assert len(found.r_peaks) == 7
    np.testing.assert_allclose(found.p_only[:, 1] / fs, lone[:-1], atol=0.02)
    assert (found.p_only[:, 0] < found.p_only[:, 1]).all()
    assert (found.p_only[:, 1] < found.p_only[:, 3]).all()


@pytest.mark.parametrize("method", METHODS)
def test_no_lone_p_wave_without_block(method: str) -> None:
    for rr in (0.8, 1.0, 1.4):
        signal, _ = synthetic(500, rr=rr, beats=int(9.4 / rr), noise=0.01)
        assert not len(delineate(signal, 500, method).p_only)


@pytest.mark.parametrize(("label", "share"), [("MoII", 0.65), ("IIAVB", 0.55)])
def test_simulated_blocks(label: str, share: float) -> None:
    made = simulate(12, seed=11, labels=label, fs=500)
    hits = waves = false = 0
    for signal, p_only in zip(made.signals, made.p_only, strict=True):
        found = delineate(signal, 500).p_only[:, 1]
        true = np.nanmedian(p_only[:, np.isfinite(p_only[..., 1]).any(axis=0), 1], axis=0)
        hit = (match(true, found, 40) >= 0).sum()
        hits, waves, false = hits + hit, waves + len(true), false + len(found) - hit
    assert hits >= share * waves
    assert false <= 0.1 * hits


def test_complete_block_takes_no_p_wave_for_a_beat() -> None:
    made = simulate(12, seed=11, labels="CHB", fs=500)
    extra = beats = 0
    for signal, marks in zip(made.signals, made.marks, strict=True):
        found = delineate(signal, 500).r_peaks
        true = np.nanmin(marks[..., MARKS.index("QRSon")], axis=0) + 25
        beats, extra = beats + len(true), extra + (match(found, np.sort(true), 75) < 0).sum()
    assert extra <= 0.08 * beats  # without a look at their height, half as many as there are beats


def test_rows_without_complex() -> None:
    signal, r = synthetic(500, rr=1.4, beats=7)
    for at in r[:-1] + 0.53:
        bump(signal, 500, at)
    found = delineate(signal, 500)
    rows = [dict(zip(("recording", "fs", "lead", "beat", *MARKS, "quality"), row, strict=True))
            for row in csv_rows("x", ["II"], found)]
    lone = [row for row in rows if row["beat"] == ""]
    assert len(lone) == 6 == len(rows) - 14
    assert all(row["lead"] == "all" and row["P1"] and not row["R"] and not row["QRSon"] for row in lone)


def test_sinus_rhythm_has_hardly_any(real_data: Path) -> None:
    lone = beats = 0
    for recording in read_ludb(real_data / "ludb", every=4):
        found = delineate(recording.signal, recording.fs)
        inner = found.p_only[found.p_only[:, 1] < np.nanmax(found.fused[:, R])]
        lone, beats = lone + len(inner), beats + found.present[:, :, P1].any(axis=0).sum()
    assert lone <= 0.01 * beats
