"""The detectors of a trained entry: scoring and localising with them, and what they are compared with."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from configurations import tiny_config
from reconstructions import SMALL, same_reference

from leadset import load_entry
from leadset.anomaly import Detector
from leadset.anomaly.reference import Reference
from leadset.cli import main
from leadset.entry.detectors import DetectorFolder
from leadset.entry.manifest import Manifest
from leadset.leads import LEAD_SETS, resolve_leads
from leadset.recordings import find_recordings, read_recording
from leadset.training import run
from leadset.training.data import Preparation, Split, load_training_data

CONFIG = tiny_config(
    lead_sets=(resolve_leads(3), resolve_leads(2)),
    architectures=("cross_restoration",),
    min_steps=3,
    batch_size=4,
    validation_share=0.5,
    presets={"tiny": {"cross_restoration": SMALL, "resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]}}},
)


@pytest.fixture(scope="module")
def trained(half_normal, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    run.train_entry(half_normal, folder, CONFIG)
    return folder


@pytest.fixture
def copy(trained, tmp_path):
    """The entry, to be changed."""
    shutil.copytree(trained, tmp_path / "entry")
    return tmp_path / "entry"


def change_members(folder, alter):
    values = json.loads((folder / "entry.json").read_text())
    for trained_set in values["lead_sets"]:
        for member in trained_set["members"]:
            alter(member)
    (folder / "entry.json").write_text(json.dumps(values))


def test_reference_is_made_of_the_normal_validation_recordings(trained, half_normal, tmp_path):
    (member,) = Manifest.read(trained).sets[1].members
    assert member.detector.part == "normal recordings of the validation part"
    detector = load_entry(trained).detector(LEAD_SETS[2])
    transform = detector.model.input_spec.transform
    split = Split(CONFIG.validation_share, CONFIG.seed)
    preparation = Preparation([transform], tmp_path, workers=1)
    data = load_training_data(half_normal, load_entry(trained).space, preparation, split)
    normal = data.valid[~data.abnormal[data.valid]]
    assert len(normal) == member.detector.n == detector.reference.n >= 10
    scores = list(detector.score_all(data.stores[transform], normal))
    assert same_reference(detector.reference, Reference.of(scores, member.detector.part, detector.leads))


def test_verbs_take_an_entry_and_choose_its_lead_set(trained, half_normal, tmp_path, capsys):
    assert main(["anomaly", "score", str(trained), str(half_normal), "-o", str(tmp_path / "s.csv")]) == 0
    assert "by lasting deviation score" in capsys.readouterr().out
    rows = {row["recording"]: row for row in csv.DictReader((tmp_path / "s.csv").open())}
    path = find_recordings(half_normal)[0]
    recording, detector = read_recording(path), load_entry(trained).detector(LEAD_SETS[12])
    assert detector.leads == LEAD_SETS[3], "the largest that was trained"
    score = detector.score(recording.signal, recording.fs, recording.leads)
    row = rows[path.stem]
    assert row["leads"] == "3" and row["V2_beat"]
    assert float(row["score"]) == pytest.approx(score.score, rel=1e-5)
    assert float(row["deviation"]) == pytest.approx(detector.deviation_score(score), rel=1e-4)
    target = ["-o", str(tmp_path / "maps"), "--plot"]
    assert main(["anomaly", "localise", str(trained), str(path), *target]) == 0
    assert "of normal recordings" in capsys.readouterr().out
    maps = np.load(tmp_path / "maps" / f"{path.stem}.npz")
    np.testing.assert_array_equal(maps["map"], score.map)
    assert (tmp_path / "maps" / f"{path.stem}_anomaly.png").read_bytes()[:4] == b"\x89PNG"


def test_an_entry_and_a_folder_of_fit_hold_the_same_detector(trained, tmp_path, normals):
    detector = load_entry(trained).detector(LEAD_SETS[2])
    detector.save(tmp_path)
    again = Detector.load(tmp_path)
    assert same_reference(detector.reference, again.reference) and detector.scoring == again.scoring
    first, second = (one.score_prepared(*normals[0]) for one in (detector, DetectorFolder(tmp_path).for_leads(())))
    np.testing.assert_array_equal(first.features, second.features)


def test_entries_without_a_reference_score_and_say_what_they_cannot(copy, half_normal, tmp_path, capsys):
    """Entries of earlier versions have none."""
    change_members(copy, lambda member: member.pop("detector"))
    path = find_recordings(half_normal)[0]
    assert main(["anomaly", "score", str(copy), str(half_normal), "-o", str(tmp_path / "s.csv")]) == 0
    shown = capsys.readouterr()
    assert shown.err.count("no percentiles and deviation scores on 3 leads") == 1 and "train it again" in shown.err
    assert "by score" in shown.out and "deviation" not in shown.out
    row = next(csv.DictReader((tmp_path / "s.csv").open()))
    assert row["score"] and row["peak"] and not row["deviation"] + row["score_percentile"] + row["high_share"]
    localise = ["anomaly", "localise", str(copy), str(path), "-o", str(tmp_path / "maps")]
    assert main(localise) == 0
    assert "not compared with normal recordings: its entry was trained before" in capsys.readouterr().out
    assert main([*localise, "--plot"]) == 1
    assert "train it again" in capsys.readouterr().err
    detector = load_entry(copy).detector(LEAD_SETS[2])
    with pytest.raises(ValueError, match="no reference of normal recordings: its entry was trained before"):
        detector.deviation_score(detector.score(np.sin(np.arange(10_000) / 9).reshape(2, -1), 500, LEAD_SETS[2]))


def test_answers_do_not_depend_on_the_reference(copy, trained, half_normal):
    for file in copy.glob("*reference*"):
        file.unlink()
    path = find_recordings(half_normal)[0]
    np.testing.assert_array_equal(
        load_entry(copy).predict(path).probabilities, load_entry(trained).predict(path).probabilities
    )
    with pytest.raises(FileNotFoundError):
        load_entry(copy).detector(LEAD_SETS[2])


@pytest.mark.parametrize("alter", [
    lambda member: member["detector"]["reference"].update(file="../reference.safetensors"),
    lambda member: member["detector"]["scoring"].update(masking="some"),
    lambda member: member.update(detector=[]),
])  # fmt: skip
def test_hostile_detectors_of_an_entry_are_refused(copy, alter):
    change_members(copy, alter)
    with pytest.raises(ValueError, match=r"entry\.json"):
        load_entry(copy)


def test_a_member_is_what_its_architecture_is(copy):
    change_members(copy, lambda member: member.update(detector=None, head=""))
    with pytest.raises(ValueError, match="the entry says otherwise"):
        load_entry(copy).load(LEAD_SETS[2])


def test_an_entry_without_detector_says_so(half_normal, tmp_path, capsys):
    classifiers = replace(CONFIG, architectures=("resnet34",), lead_sets=(LEAD_SETS[2],))
    run.train_entry(half_normal, tmp_path / "entry", classifiers)
    capsys.readouterr()
    path = find_recordings(half_normal)[0]
    assert main(["anomaly", "localise", str(tmp_path / "entry"), str(path), "-o", str(tmp_path)]) == 1
    assert "no reconstruction model among the networks on 2 leads" in capsys.readouterr().err
