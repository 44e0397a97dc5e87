"""The verb `anomaly` on recordings and on the files of the paper's authors."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from leadset.anomaly import Detector
from leadset.anomaly.arrays import ArrayRecordings, read_labels
from leadset.anomaly.detector import TRANSFORM
from leadset.anomaly.features import FAMILIES, LASTING
from leadset.cli import main
from leadset.preprocess import InputSpec, cut_window
from leadset.recordings import find_recordings, read_recording
from leadset.simulate import simulate
from leadset.simulate.write import write_dataset

# A network and a training as short as can be.
FIT = ["--width", "4", "--steps", "2", "--batch-size", "2"]


@pytest.fixture(scope="module")
def array_folder(tmp_path_factory):
    """Six recordings in the authors' files; half of those to be tested are abnormal."""
    folder = tmp_path_factory.mktemp("arrays")
    values = simulate(6, seed=9, labels="NSR", marks=False).signals.swapaxes(1, 2).astype(np.float64)
    np.save(folder / "train.npy", values)
    np.save(folder / "test.npy", values)
    np.save(folder / "label.npy", np.arange(6) % 2)
    np.save(folder / "benchmark_data.npy", values)
    np.save(folder / "benchmark_label.npy", (np.random.default_rng(0).random(values.shape) < 0.1).astype(int))
    return folder


def test_authors_files_are_read_and_checked(array_folder, tmp_path):
    recordings = ArrayRecordings(array_folder / "test.npy")
    samples, statistics = recordings[2]
    assert len(recordings) == 6 and samples.shape == (12, 5000)
    original = np.load(array_folder / "test.npy")[2].T
    np.testing.assert_allclose(samples * statistics[0][:, None], original, atol=1e-3)
    window, _ = cut_window(samples, statistics, range(12), 0, InputSpec(TRANSFORM, 5000, "range"))
    np.testing.assert_allclose([window.min(axis=1), window.max(axis=1)], [[-1] * 12, [1] * 12], atol=1e-3)
    np.save(tmp_path / "short.npy", np.zeros((2, 4000, 12)))
    with pytest.raises(ValueError, match=r"\(2, 4000, 12\), expected \(n, 5000, 12\)"):
        ArrayRecordings(tmp_path / "short.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(ValueError, match="not a NumPy array of numbers"):
        ArrayRecordings(tmp_path / "objects.npy")
    with pytest.raises(ValueError, match="labels of shape"):
        read_labels(array_folder / "label.npy", 5)


def test_verb_on_authors_files(array_folder, tmp_path, capsys):
    assert main(["anomaly", "fit", str(array_folder), str(tmp_path / "model"), *FIT]) == 0
    assert main(["anomaly", "score", str(tmp_path / "model"), str(array_folder), "-o", str(tmp_path / "s.csv")]) == 0
    output = capsys.readouterr().out
    assert "detection AUC of 6 recordings: " in output
    assert all(f" by {name}" in output for name in ("deviation score", "lasting deviation score", "score"))
    assert "localisation AUC: " in output and "Dice: " in output
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert len(rows) == 12 and float(rows[0]["score"]) > 0 and "V6_beat" in rows[0]
    for row in rows:
        assert float(row["deviation_lasting"]) == max(float(row[f"deviation_{name}"]) for name in LASTING)
        assert float(row["deviation"]) == max(float(row[f"deviation_{name}"]) for name in FAMILIES)


def test_verb_on_recordings(tmp_path, capsys):
    data, model = tmp_path / "data", tmp_path / "model"
    list(write_dataset(data, 10, seed=4, labels={"NSR": 1, "AF": 1}))
    (next(data.rglob("*.hea")).parent / "broken.hea").write_text("no header")
    fit = ["anomaly", "fit", str(data), str(model), "--leads", "2", "--masking", "published", *FIT]
    assert main(fit) == 0
    assert json.loads((model / "detector.json").read_text())["detector"]["scoring"]["masking"] == "published"
    assert not (model / "store").exists()
    assert main(["anomaly", "score", str(model), str(data), "-o", str(tmp_path / "s.csv")]) == 1, "one is broken"
    output = capsys.readouterr()
    assert "broken.hea" in output.err and "10 labelled recordings scored, 1 skipped" in output.out
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert len(rows) == 10
    for row in rows:
        total = sum(float(row[part]) for part in ("record", "beat", "trend"))
        assert float(row["score"]) == pytest.approx(total, rel=1e-4) and 0 <= float(row["score_percentile"]) <= 100
    assert main(["anomaly", "localise", str(model), str(data), "-o", str(tmp_path / "all")]) == 1, "one is broken"
    assert len(list((tmp_path / "all").glob("*.npz"))) == 10 and "broken.hea" in capsys.readouterr().err
    path = next(p for p in find_recordings(data) if p.stem != "broken")
    assert main(["anomaly", "localise", str(model), str(path), "--plot", "-o", str(tmp_path / "maps")]) == 0
    found = np.load(tmp_path / "maps" / f"{path.stem}.npz")
    seconds = read_recording(path).signal.shape[1] / read_recording(path).fs
    assert found["deviation"].shape == found["map"].shape == (2, round(500 * seconds))
    assert found["leads"].tolist() == ["I", "II"]
    table = list(csv.reader((tmp_path / "maps" / f"{path.stem}.csv").open()))
    assert len(table) == 1 + found["map"].shape[1] and table[0] == ["seconds", "I", "II"]
    assert (tmp_path / "maps" / f"{path.stem}_anomaly.png").read_bytes()[:4] == b"\x89PNG"


def test_options_that_would_do_nothing_are_refused(array_folder, tmp_path, capsys):
    list(write_dataset(tmp_path / "data", 2, seed=4))
    assert main(["anomaly", "fit", str(array_folder), str(tmp_path / "m"), "--cache", str(tmp_path / "c"), *FIT]) == 1
    assert "--cache is for recordings with headers" in capsys.readouterr().err
    score = ["anomaly", "score", str(tmp_path / "m"), str(tmp_path / "data"), "-o", str(tmp_path / "s.csv")]
    assert main([*score, "--map", "map"]) == 1
    assert "expected benchmark_data.npy" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["anomaly", "fit", str(array_folder), str(tmp_path / "m"), "--steps", "2", "--epochs", "3"])
    assert "not allowed with" in capsys.readouterr().err


def test_map_says_what_localisation_is_measured_by(array_folder, tmp_path, capsys):
    assert main(["anomaly", "fit", str(array_folder), str(tmp_path / "m"), "--leads", "2", *FIT]) == 0
    score, lines = ["anomaly", "score", str(tmp_path / "m"), str(array_folder), "-o", str(tmp_path / "s.csv")], []
    for more in ([], ["--map", "deviation"], ["--map", "map"]):
        capsys.readouterr()
        assert main([*score, *more]) == 0
        lines += [line for line in capsys.readouterr().out.splitlines() if line.startswith("localisation")]
    assert lines[0] == lines[1] != lines[2]


def test_verb_goes_on_from_given_weights(array_folder, tmp_path, capsys):
    fit, first, second = ["anomaly", "fit", str(array_folder)], tmp_path / "first", tmp_path / "second"
    assert main([*fit, str(first), "--leads", "2", *FIT]) == 0
    before = Detector.load(first).model.state_dict()
    small = ["--leads", "2", "--lr", "1e-6", "--seed", "5", *FIT]
    assert main([*fit, str(second), "--start", str(first), *small]) == 0
    after = Detector.load(second).model.state_dict()
    moved = [float((after[name] - before[name]).abs().max()) for name in before if name.endswith("weight")]
    assert 0 < max(moved) < 1e-4, "two small steps from there"
    capsys.readouterr()
    assert main([*fit, str(second), "--start", str(first), *FIT]) == 1
    assert "expected I, II, III" in capsys.readouterr().err
    assert main([*fit, str(second), "--start", str(first), *small, "--width", "8"]) == 1
    assert "do not fit" in capsys.readouterr().err


def test_verb_names_what_is_wrong(tmp_path, capsys):
    assert main(["anomaly", "score", str(tmp_path), str(tmp_path), "-o", str(tmp_path / "s.csv")]) == 1
    assert "detector.json" in capsys.readouterr().err
    assert not (tmp_path / "s.csv").exists()


def test_verb_learns_attributes(array_folder, tmp_path, capsys):
    list(write_dataset(tmp_path / "data", 8, seed=4, labels={"NSR": 1, "AF": 1}))
    fit = ["anomaly", "fit", str(tmp_path / "data"), str(tmp_path / "model"), "--leads", "2", "--attributes", *FIT]
    assert main(fit) == 0
    output = ["-o", str(tmp_path / "s.csv")]
    assert main(["anomaly", "score", str(tmp_path / "model"), str(tmp_path / "data"), *output]) == 0
    row = next(csv.DictReader((tmp_path / "s.csv").open()))
    assert np.isfinite(float(row["age"])) and 0 < float(row["AF"]) < 1
    assert main(["anomaly", "fit", str(array_folder), str(tmp_path / "arrays"), "--attributes", *FIT]) == 1
    assert "headers" in capsys.readouterr().err
