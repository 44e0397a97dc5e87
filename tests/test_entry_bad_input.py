"""What a trained entry does with bad input: recordings, command lines, hostile or damaged folders."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording
from untrained_entry import SPACE

import test_model
import train_model
from leadset import load_entry
from leadset.challenge import load_model, run_model
from leadset.entry.manifest import Manifest
from leadset.leads import LEAD_SETS
from leadset.scoring import evaluate
from leadset.simulate import simulate


def test_run_model_always_answers(entry_folder):
    entry = load_model(str(entry_folder), LEAD_SETS[12])
    header = "X 2 500 20\nX.mat 16 1000/mV 16 0 0 0 0 I\nX.mat 16 1000/mV 16 0 0 0 0 II\n"
    cases = [
        ("", np.zeros((2, 20))),
        ("nonsense", make_counts(2, 20)),
        (header, np.zeros((0, 0))),
        (header, None),
        (header, make_counts(3, 2000)),
        (header, np.zeros((2, 2000), dtype=np.int16)),
        (header, np.full((2, 2000), np.nan)),
        (header, np.full((2, 2000), 1e300)),
        (header, np.full((2, 2000), -32768, dtype=np.int16)),
        (header.replace("1000/mV", "0/mV"), make_counts(2, 2000)),
        (header.replace(" II", " V9"), make_counts(2, 2000)),
        (header, make_counts(2, 1)),
    ]
    for text, counts in cases:
        codes, labels, probabilities = run_model(entry, text, counts)
        assert len(codes) == len(labels) == len(probabilities) == len(SPACE)
        assert np.isfinite(probabilities).all()
        assert labels.sum() >= 1


def test_failures_are_counted_named_and_strict(entry_folder, tmp_path, capsys):
    data = tmp_path / "data"
    counts = (1000 * simulate(1, seed=2, labels="NSR", marks=False).signals[0]).astype(np.int16)
    write_recording(data / "a", "GOOD", counts)
    write_recording(data / "a", "BAD", make_counts(n_samples=2000), text="BAD 12 500 2000\n")
    write_recording(data / "b", "GOOD", counts)
    assert test_model.main([str(entry_folder), str(data), str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "3 answers written to " in shown.out and "; 1 recordings failed" in shown.out
    assert "BAD: unanswered" in shown.err
    assert test_model.main([str(entry_folder), str(data), str(tmp_path / "out"), "--strict"]) == 1
    # A stem that two folders hold is answered for both, and scored.
    assert {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.csv")} == {
        "BAD.csv", "a/GOOD.csv", "b/GOOD.csv",
    }  # fmt: skip
    assert evaluate(data, tmp_path / "out").n_recordings == 3


def test_wrong_command_lines(tmp_path, entry_folder, capsys):
    for script in (train_model, test_model):
        with pytest.raises(SystemExit) as stop:
            script.main([])
        assert stop.value.code == 2
        assert "usage" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert train_model.main([str(tmp_path / "nowhere"), str(tmp_path / "m")]) == 1
    assert train_model.main([str(tmp_path / "empty"), str(tmp_path / "m")]) == 1
    assert test_model.main([str(entry_folder), str(tmp_path / "empty"), str(tmp_path / "o")]) == 1
    assert test_model.main([str(tmp_path / "nowhere"), str(tmp_path / "empty"), str(tmp_path / "o")]) == 1
    messages = capsys.readouterr().err
    assert "no such folder" in messages
    assert "no recording" in messages
    assert "expected a model folder" in messages


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v.clear(),
        lambda v: v.update(format=99),
        lambda v: v.update(classes=v["classes"][::-1]),
        lambda v: v.update(lead_sets=[]),
        lambda v: v["lead_sets"][0]["members"][0].update(weights="../../etc/passwd.safetensors"),
        lambda v: v["lead_sets"][0]["members"][0].update(weights="model.pkl"),
        lambda v: v["lead_sets"][0]["members"][0].update(architecture="os.system"),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"width": 8}),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"evil": "yes"}),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(scaling="exec"),
        lambda v: v["lead_sets"][0]["members"][4].update(head="/etc/head.safetensors"),
        lambda v: v["lead_sets"][0]["members"][4].update(head="star-I-II.safetensors"),
        lambda v: v["lead_sets"][0]["members"][4].update(head=""),
        lambda v: v["lead_sets"][0]["ensemble"].update(weights=[1.0]),
        lambda v: v["lead_sets"][0]["evidence"].update(strengths=[1.0]),
        lambda v: v["lead_sets"][0]["evidence"].update(strengths=[0, 0, 0, 0, float("inf"), 0]),
        lambda v: v["lead_sets"][0]["evidence"]["shares"].pop(),
        lambda v: v["lead_sets"][0].update(evidence=[]),
        lambda v: v.update(label_space=["challenge2021"]),
        lambda v: v["prior"].pop(),
        lambda v: v["prior"].__setitem__(0, float("nan")),
        lambda v: v["prior"].__setitem__(0, 3.0),
        lambda v: v["lead_sets"][0]["ensemble"]["weights"].__setitem__(0, -1.0),
        lambda v: v["lead_sets"][0]["ensemble"]["weights"].__setitem__(0, 1e9),
        lambda v: v["lead_sets"][0]["ensemble"]["decision"]["thresholds"].pop(),
        lambda v: v["lead_sets"][0]["members"][0]["decision"]["thresholds"].__setitem__(0, None),
        lambda v: v["lead_sets"][0]["members"][0]["decision"]["thresholds"].__setitem__(0, 0),
        lambda v: v["lead_sets"][0]["members"][0].update(architecture=["resnet34"]),
        lambda v: v["lead_sets"][0]["members"][0].update(macs=float("inf")),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"width": 0, "rate": 100}),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"width": 4, "rate": float("inf")}),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(samples=10**9),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(samples="5000"),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(extra={"record": True}),
        lambda v: v["lead_sets"][0]["members"][0]["input"]["transform"].update(rate=10**9),
        lambda v: v["lead_sets"][0]["members"][0]["input"]["transform"].update(rate=float("nan")),
    ],
)
def test_hostile_or_damaged_model_folders_are_refused(entry_folder, tmp_path, spoil):
    folder = tmp_path / "entry"
    shutil.copytree(entry_folder, folder)
    values = json.loads((folder / "entry.json").read_text())
    spoil(values)
    (folder / "entry.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="entry"):
        load_entry(folder).load(LEAD_SETS[12])


def test_deeply_nested_manifest_is_refused(tmp_path):
    (tmp_path / "entry.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="not an entry of this kit"):
        load_entry(tmp_path)


def test_damaged_weights_are_refused(entry_folder, tmp_path):
    folder = tmp_path / "entry"
    shutil.copytree(entry_folder, folder)
    weights = folder / Manifest.read(folder).sets[0].members[0].weights
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_entry(folder).load(LEAD_SETS[12])
