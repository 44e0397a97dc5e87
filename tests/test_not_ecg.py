"""Curves that beat like a heart and are no ECG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadset.leads import LEADS
from leadset.recordings import read_recording
from leadset.simulate import simulate
from leadset.waves import assess, delineate

FS = 500
SECONDS = np.arange(10 * FS) / FS
#: Time since the last beat of a heart of 70 a minute.
PHASE = (SECONDS + 0.4) % (60 / 70)
CURVES = {
    "pulse": np.exp(-0.5 * ((PHASE - 0.2) / 0.07) ** 2) + 0.45 * np.exp(-0.5 * ((PHASE - 0.45) / 0.1) ** 2),
    "pressure": (1 - np.exp(-PHASE / 0.04)) * np.exp(-PHASE / 0.25),
    "square": np.sign(np.sin(2 * np.pi * SECONDS + 0.1)),
    "saw-tooth": SECONDS % 1,
    "calibration": (SECONDS % 1 < 0.2) * 1.0,
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("leads", [1, 12])
def test_what_is_no_ecg_is_named(curve: str, leads: int) -> None:
    signal = np.linspace(1, 0.5, leads)[:, None] * CURVES[curve]
    quality = assess(signal + 0.01 * np.random.default_rng(0).standard_normal(signal.shape), FS, LEADS[:leads])
    assert quality.suspicions[:1] == ("not_ecg",)


@pytest.mark.parametrize("method", ["learned", "wavelet", "pan_tompkins"])
@pytest.mark.parametrize("labels", ["NSR", "LBBB", "AF"])
def test_an_ecg_is_one(method: str, labels: str) -> None:
    for signal in simulate(3, seed=5, labels=labels, marks=False).signals:
        for rows, leads in ((slice(None), LEADS), (slice(1, 2), ("II",))):
            assert "not_ecg" not in assess(signal[rows], FS, leads, delineate(signal[rows], FS, method)).suspicions


def test_real_recordings_are_ecgs(real_data: Path) -> None:
    headers = sorted((real_data / "challenge").rglob("*.hea"))[::3]
    for header in headers + sorted((real_data / "af_2017").glob("*.hea"))[::20]:
        recording = read_recording(header)
        assert "not_ecg" not in assess(recording.signal, recording.fs, recording.leads).suspicions


@pytest.mark.parametrize(("share", "suspected"), [(1, False), (0.5, True), (2, True)])
def test_a_wrong_sampling_rate_is_suspected(share: float, suspected: bool) -> None:
    found = []
    for signal in simulate(6, seed=5, labels="NSR", marks=False).signals:
        for rows, leads in ((slice(None), LEADS), (slice(1, 2), ("II",))):
            found.append("sampling_rate" in assess(signal[rows], share * FS, leads).suspicions)
    assert sum(found) >= 8 if suspected else not any(found)


def test_real_recordings_have_their_sampling_rate(real_data: Path) -> None:
    found = {0.5: 0, 1: 0}
    headers = sorted((real_data / "challenge").rglob("*.hea"))[::9]
    for header in headers:
        recording = read_recording(header)
        for share in found:
            quality = assess(recording.signal[:, : int(20 * recording.fs)], share * recording.fs, recording.leads)
            found[share] += "sampling_rate" in quality.suspicions
    assert found[1] == 0 and found[0.5] > 0.7 * len(headers)
