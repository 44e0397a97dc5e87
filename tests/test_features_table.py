"""Statistics of leads and wavelet coefficients, and tables of features."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from leadset.cli import main
from leadset.leads import LEADS
from leadset.recordings import find_recordings, read_recording
from leadset.recordings.extract import extract_leads
from leadset.recordings.importers import open_dataset
from leadset.simulate.write import write_dataset
from leadset.store import feature_table as module
from leadset.store.feature_table import TRANSFORM, feature_table
from leadset.waves.statistics import daubechies, decompose, energy_entropy, lead_statistics, statistic_names


def test_filters_are_those_of_daubechies():
    root = np.sqrt(3)
    assert daubechies(2) == pytest.approx(np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * np.sqrt(2)))
    taps = daubechies(10)
    assert taps[:3] == pytest.approx([0.026670057900547, 0.188176800077621, 0.527201188930920], abs=1e-9)
    for shift in range(10):
        assert taps[2 * shift :] @ taps[: 20 - 2 * shift] == pytest.approx(float(shift == 0), abs=1e-9)
    moments = [(taps[::-1] * (-1.0) ** np.arange(20) * np.linspace(-1, 1, 20) ** k).sum() for k in range(10)]
    assert moments == pytest.approx([0] * 10, abs=1e-6)


def test_coefficients_are_as_many_and_as_large_as_those_of_the_publication():
    signal = np.random.default_rng(0).normal(size=(1, 5000))
    signal[:, :200] = signal[:, -200:] = 0  # nothing that its mirror image could add to
    coefficients = decompose(signal)
    assert [part.shape[1] for part in coefficients] == [330, 330, 641, 1264, 2509]
    assert sum((part**2).sum() for part in coefficients) == pytest.approx((signal**2).sum())
    # A slow wave is in the coarse coefficients, a line of ones in the approximation alone.
    slow = np.sin(2 * np.pi * np.arange(5000) / 500)[None]
    energy = [(part**2).sum() for part in decompose(slow)]
    assert energy[0] > 0.99 * sum(energy)
    ones = decompose(np.ones((1, 640)))
    assert ones[0] == pytest.approx(np.full(ones[0].shape, 4.0)) and max(abs(part).max() for part in ones[1:]) < 1e-8


def test_statistics_are_named_in_their_order():
    signal = np.random.default_rng(0).normal(size=(2, 700)) * [[1], [3]]
    values = dict(zip(statistic_names(("I", "V1")), lead_statistics(signal), strict=True))
    assert len(statistic_names(LEADS)) == 636 and len(values) == 2 * 53
    assert values["V1_signal_p25"] == pytest.approx(np.percentile(signal[1], 25), rel=1e-6)
    assert values["V1_signal_variance"] == pytest.approx(signal[1].var(), rel=1e-6)
    finest = decompose(signal)[-1]
    assert values["I_cD1_median"] == pytest.approx(np.median(finest[0]), rel=1e-6)
    assert values["I_cD1_entropy"] == pytest.approx(energy_entropy(finest)[0], rel=1e-6)


def test_entropy_tells_shapes_and_not_lengths():
    assert energy_entropy(np.array([[0.0, 5, 0, 0], [2, 2, 2, 2], [0, 0, 0, 0]])) == pytest.approx([0, 1, 0])
    noise = np.random.default_rng(0).normal(size=(2, 20000))
    short, long = energy_entropy(noise[:, :2000])[0], energy_entropy(noise)[0]
    assert abs(short - long) < 0.03


@pytest.fixture
def folder(tmp_path):
    list(write_dataset(tmp_path / "data", 5, seconds=5, fs=250))
    bad = find_recordings(tmp_path / "data")[2]
    bad.with_suffix(".mat").write_bytes(b"no signal")
    return tmp_path / "data", bad


def test_a_table_has_a_row_per_recording_and_names_the_bad_one(folder, tmp_path, capsys):
    data, bad = folder
    assert main(["features", str(data), "-o", str(tmp_path / "f.csv"), "--leads", "II,V2", "-j", "1"]) == 1
    printed = capsys.readouterr()
    assert "4 recordings" in printed.out and "1 skipped" in printed.out and str(bad.with_suffix(".mat")) in printed.err
    with open(tmp_path / "f.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert len(set(header)) == len(header) == 1 + 2 * 53 + 23 + 2 * 14
    assert {"statistics_II_cA4_entropy", "pqrst_heart_rate_per_second", "pqrst_V2_r_amplitude"} <= set(header)
    paths = [path for path in find_recordings(data) if path != bad]
    assert [row[0] for row in rows] == [path.relative_to(data).with_suffix("").as_posix() for path in paths]
    recording = read_recording(paths[0])
    prepared = module.prepare(recording.signal, recording.fs, recording.leads, TRANSFORM)
    signal = prepared.samples[[1]] * prepared.statistics[0, [1], None]
    cell = float(rows[0][header.index("statistics_II_signal_sd")])
    assert cell == pytest.approx(signal.std(), rel=1e-5)
    assert not (tmp_path / ".f.csv.parts").exists()


def test_what_was_computed_for_one_lead_is_not_taken_for_another(folder, tmp_path, monkeypatch):
    data, choices = open_dataset(folder[0]), {"sets": ["statistics"], "n_jobs": 1, "progress": False}
    expected = feature_table(data, tmp_path / "apart", leads=("II",), **choices)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(module.shutil, "rmtree", lambda *_, **__: None)
        feature_table(data, tmp_path / "parts", leads=("I",), **choices)
    found = feature_table(data, tmp_path / "parts", leads=("II",), **choices)
    np.testing.assert_array_equal(found.values, expected.values)


def test_an_interrupted_table_goes_on(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    data, asked = open_dataset(folder[0]), []
    compute = module.FEATURE_SETS["statistics"].compute

    def counted(prepared, leads, progress):
        asked.append(leads)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return compute(prepared, leads, progress)

    monkeypatch.setitem(module.FEATURE_SETS, "statistics", module.FeatureSet("", statistic_names, counted))
    choices = {"sets": ["statistics"], "leads": ("I",), "n_jobs": 1, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        feature_table(data, tmp_path / "parts", **choices)
    table = feature_table(data, tmp_path / "parts", **choices)
    assert len(asked) == 3 + 2, "the first chunk was computed once"
    assert table.values.shape == (4, 53) and len(table.failures) == 1


def test_the_bar_moves_within_a_recording(folder, tmp_path, monkeypatch):
    data, told = open_dataset(folder[0]), []
    monkeypatch.setattr("tqdm.tqdm.update", lambda bar, n=1: told.append(n))
    feature_table(data, tmp_path / "parts", leads=("I", "II"), n_jobs=1)
    assert sum(told) == pytest.approx(len(data)) and sum(0 < n < 0.5 for n in told) >= 4 * 4


def test_long_recordings_are_kept_one_by_one(folder, tmp_path, monkeypatch):
    data = open_dataset(folder[0])
    assert [len(chunk) for chunk in module._chunks(data.paths)] == [5]
    monkeypatch.setattr(module, "_CHUNK_BYTES", 20_000)  # each has 30 kB
    assert [len(chunk) for chunk in module._chunks(data.paths)] == [1, 1, 2, 1]  # one has lost its signal


def test_a_lead_without_a_signal_is_named(folder, tmp_path):
    data, _ = folder
    for header in find_recordings(data)[:2]:
        extract_leads(header, tmp_path / "two" / header.name, ["I", "V1"])
    table = feature_table(open_dataset(tmp_path / "two"), tmp_path / "parts", leads=("I", "II"), n_jobs=1)
    assert not table.records and table.values.shape == (0, 2 * 53 + 23 + 2 * 14)
    assert len(table.failures) == 2 and all("found no signal in II" in one.message for one in table.failures)
    assert all("it has --leads I,V1" in one.message for one in table.failures)


def test_unknown_features_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="features 'magic': expected some of statistics, pqrst"):
        feature_table(open_dataset(folder[0]), tmp_path / "parts", ["magic"])
