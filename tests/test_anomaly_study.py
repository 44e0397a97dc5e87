"""The study of the anomaly detector: arrays from PTB-XL as published, both recipes, detection and localisation."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
from test_datasets import ptbxl_row, write_ptbxl

from leadset.anomaly.arrays import TEST, TEST_LABELS, TRAIN, ArrayRecordings
from leadset.anomaly.metrics import dice, localisation_auc
from leadset.cli import main
from leadset.leads import LEADS
from leadset.models import model_options
from leadset.recordings.importers import open_dataset
from leadset.studies import anomaly_arrays
from leadset.studies.anomaly_arrays import TABLE_FILE, as_row, read_table, write_arrays
from leadset.studies.anomaly_study import SHIPPED_ROW, TITLES, _area, _counted, _dice
from leadset.studies.comparison import KIT, PUBLISHED
from leadset.studies.study import list_studies
from leadset.training.tasks.restoration_settings import RestorationSettings

STUDY = list_studies()["ecgad-ptbxl"]
MIXED, ABNORMAL = "{'NORM': 50.0, 'IMI': 50.0}", "{'IMI': 80.0}"


def test_the_file_of_the_study_names_things_that_are_there():
    settings, options = {field.name for field in fields(RestorationSettings)}, set(model_options("cross_restoration"))
    assert set(STUDY.published["training"]) <= settings
    assert set(STUDY.published["network"]) <= options
    assert all(set(changes) <= settings | options for changes in STUDY.ablations.values())
    assert set(STUDY.paper["columns"].values()) <= set(TITLES)
    recipes = STUDY.recipes(STUDY.ablations, {"width": 2, "steps": 3})
    assert set(recipes) == {PUBLISHED, KIT, *STUDY.ablations}
    assert {(recipe.settings.steps, recipe.options["width"]) for recipe in recipes.values()} == {(3, 2)}
    assert recipes[PUBLISHED].settings.masking == "published"
    assert recipes["without masks"].settings.masking == "none"
    with pytest.raises(ValueError, match="found ablation 'colour', expected one of"):
        STUDY.recipes(["colour"], {})


def test_ptbxl_becomes_the_arrays_of_the_authors(tmp_path):
    rows = [ptbxl_row(1), ptbxl_row(2, fold=9), ptbxl_row(3, MIXED), ptbxl_row(4, ABNORMAL), ptbxl_row(5, fold=10)]
    rows += [ptbxl_row(6, ABNORMAL, fold=10), ptbxl_row(7, MIXED, fold=10), ptbxl_row(8, patient="1005.0")]
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path / 'ptbxl', rows)}", "super")
    folder = tmp_path / "arrays"
    write_arrays(data, folder, STUDY.test)
    assert len(ArrayRecordings(folder / TRAIN)) == 2
    values = np.load(folder / TEST)
    assert values.shape == (2, 5000, 12) and values.dtype == np.float32
    assert values.min() == -1 and values.max() == 1
    assert np.load(folder / TEST_LABELS).tolist() == [0, 1]
    assert [(r.file, r.recording[:5], r.patient, r.label) for r in read_table(folder)] == [
        (TRAIN, "00001", "1001", 0), (TRAIN, "00002", "1002", 0),
        (TEST, "00005", "1005", 0), (TEST, "00006", "1006", 1),
    ]  # fmt: skip
    with open(folder / TABLE_FILE) as file:
        reasons = Counter(row["left_out"] for row in csv.DictReader(file) if row["left_out"])
    assert reasons == {"normal beside another class": 2, "abnormal, in a training fold": 1,
                       "of a patient of the test folds": 1}  # fmt: skip
    recording = data.recording(data.by_path[str(data.paths[4])].path)
    assert np.array_equal(values[0], as_row(recording.signal, recording.fs, recording.leads))


def test_a_flat_lead_becomes_zeros_and_a_short_recording_is_refused():
    signal = np.random.default_rng(0).normal(size=(12, 5000))
    signal[8] = 0.5  # a lead that does not follow from others
    assert not as_row(signal, 500, LEADS)[:, 8].any()
    with pytest.raises(ValueError, match="2500 samples at 500 Hz, expected 5000 or more"):
        as_row(signal[:, :2500], 500, LEADS)


def test_arrays_need_both_kinds_of_recordings(tmp_path):
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path / 'ptbxl', [ptbxl_row(1), ptbxl_row(5, fold=10)])}", "super")
    with pytest.raises(ValueError, match="expected normal recordings in the training folds, and both"):
        write_arrays(data, tmp_path / "arrays", STUDY.test)
    assert not (tmp_path / "arrays" / TABLE_FILE).exists()


def test_areas_by_level_and_dice_are_those_of_all_points():
    rng = np.random.default_rng(1)
    masks = [rng.random((3, 400)) < 0.2 for _ in range(6)]
    maps = [mask * 0.5 + rng.exponential(size=mask.shape) for mask in masks]
    for heat in maps:
        heat[:, :20] = np.nan
    once = np.ones(6)
    positives, negatives = _counted(masks, maps)
    assert _area(once @ positives, once @ negatives) == pytest.approx(localisation_auc(masks, maps), abs=1e-3)
    assert _dice(masks, maps, 0.8).value == dice(masks, maps, 0.8)


def test_the_study_on_stand_ins_detects_localises_and_says_what_it_is_of(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = partial(anomaly_arrays.write_stand_ins, normals=14, tested=4, marked=5)
    monkeypatch.setattr(anomaly_arrays, "write_stand_ins", few)
    words = ["study", "ecgad-ptbxl", "--simulated", "out", "--batch-size", "4", "--set", "steps=2", "--set", "width=2"]
    assert main(words) == 0, capsys.readouterr().err
    assert "SIMULATED STAND-INS" in (tmp_path / "out" / "study.html").read_text()
    with open(tmp_path / "out" / "study.csv") as file:
        lines = list(csv.DictReader(file))
    ours = [line for line in lines if line["source"] == "simulated stand-ins"]
    assert {line["model"] for line in ours} == {PUBLISHED, KIT, SHIPPED_ROW}
    assert {line["metric"] for line in ours} == set(TITLES)
    published = [line for line in lines if line not in ours and line["metric"] == "localisation_map"]
    theirs = {line["model"]: line["percent"] for line in published}
    assert theirs == {"Cross-restoration, paper": "74.7", "Cross-restoration, released code": "75.4"}
    weights = tmp_path / "out" / "detectors" / "published_recipe" / "detector.safetensors"
    before = weights.stat().st_mtime_ns
    assert main(words) == 0 and weights.stat().st_mtime_ns == before
    assert main([*words[:-1], "width=3"]) == 1
    assert "name another folder for it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--preset", "compact"])
