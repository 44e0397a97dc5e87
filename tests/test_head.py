"""The detector in an entry: its head, what it may not do, how it is trained and measured beside the classifiers."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from configurations import tiny_config
from reconstructions import SMALL
from safetensors.numpy import load_file, save_file

from leadset import load_entry
from leadset.anomaly.features import feature_names
from leadset.anomaly.head import Head, cross_fit, fill_with_prior, fit_head
from leadset.challenge import load_model, run_model
from leadset.challenge import test_entry as answer_folder
from leadset.classes import label_space
from leadset.config import default_config
from leadset.entry.decision import NEAR, DecisionRule, veto
from leadset.entry.ensemble import Ensemble, Evidence
from leadset.entry.manifest import Manifest, TrainedSet
from leadset.leads import LEAD_SETS, resolve_leads
from leadset.recordings import find_recordings
from leadset.scoring import auroc
from leadset.simulate.write import write_dataset
from leadset.training import run
from leadset.training import trainer as trainer_module
from leadset.training.context import LOG_FILE
from leadset.training.decision.ensemble import ValidationOutputs, ValidationTargets, out_of_fold
from leadset.training.decision.evidence import ablation, fit_set
from leadset.training.normals import TOO_FEW
from leadset.utils.weights import read_arrays

SPACE = label_space("challenge2021")
K = len(SPACE)


# --- the head --------------------------------------------------------------------------------------------------------


SHARES = np.full(1 + K, 0.05)


def features_and_targets(n=300, d=12, seed=0):
    """Features (n, d) of which the first tells abnormal recordings, and targets: these, and class 3 among them."""
    rng = np.random.default_rng(seed)
    abnormal = rng.random(n) < 0.6
    features = rng.normal(size=(n, d)) * np.geomspace(0.1, 10, d) + 5
    features[:, 0] += 0.15 * abnormal
    labels = np.zeros((n, K), dtype=bool)
    labels[:, 3] = abnormal & (rng.random(n) < 0.5)
    labels[:, SPACE.normal_index] = ~abnormal
    return features, np.column_stack([abnormal, labels])


def test_head_learns_what_features_tell_and_is_calibrated():
    shares = np.append([0.6, 0.4], np.full(K - 1, 0.02))[[0, 2, 2, 2, 1, *[2] * (K - 4)]]
    shares[1 + SPACE.normal_index] = 0.4
    head = fit_head(*features_and_targets(n=2000), shares)
    features, targets = features_and_targets(n=2000, seed=1)
    probabilities, abnormal = head(features), targets[:, 0]
    assert probabilities.shape == (2000, 1 + K)
    assert auroc(targets[:, [0]], probabilities[:, [0]])[0] > 0.8
    assert auroc(targets[:, [4]], probabilities[:, [4]])[0] > 0.65
    sure = probabilities[:, 0] > np.quantile(probabilities[:, 0], 0.5)
    assert probabilities[sure, 0].mean() == pytest.approx(abnormal[sure].mean(), abs=0.06)
    assert probabilities[~sure, 0].mean() == pytest.approx(abnormal[~sure].mean(), abs=0.06)
    # A class that was never seen is unlikely, not impossible.
    assert 0 < probabilities[:, 8].max() < 0.05


def test_features_that_tell_nothing_leave_the_shares():
    """Out of fold, too: the folds' own shares would make noise look as if it misled."""
    rng = np.random.default_rng(0)
    targets = rng.random((80, 1 + K)) < 0.05
    probabilities = cross_fit(np.ones((80, 5)), targets, SHARES, np.arange(80) % 5)
    np.testing.assert_allclose(probabilities, 0.05)
    np.testing.assert_allclose(fit_head(np.ones((0, 5)), targets[:0], SHARES)(np.ones((1, 5))), 0.05)


def test_head_answers_a_recording_alike_whatever_is_beside_it():
    features, targets = features_and_targets()
    head = fit_head(features, targets, SHARES)
    together = head(features)
    np.testing.assert_array_equal(together, np.concatenate([head(row[None]) for row in features]))


def test_head_bears_missing_and_extreme_features():
    features, targets = features_and_targets()
    features[:5] = np.nan
    features[5:, 4] = 1.0  # the same everywhere
    head = fit_head(features, targets, SHARES)
    assert np.isnan(head(features[:5])).all()
    answered = fill_with_prior(head(features), SHARES)
    assert np.isfinite(answered).all() and (answered[:5] == 0.05).all()
    wild = head(np.full((1, features.shape[1]), 1e30))
    assert np.isfinite(wild).all()
    np.testing.assert_array_equal(wild, head(np.full((1, features.shape[1]), 1e6)))


def test_no_recording_is_judged_by_a_head_that_saw_it():
    features, targets = features_and_targets(n=60)
    parts = np.arange(60) % 5
    probabilities = cross_fit(features, targets, SHARES, parts)
    changed = targets ^ (parts == 2)[:, None]
    again = cross_fit(features, changed, SHARES, parts)
    np.testing.assert_array_equal(probabilities[parts == 2], again[parts == 2])
    assert (probabilities[parts != 2] != again[parts != 2]).any()


def spoilt_heads():
    huge = {"weights": np.zeros((1 + K, 10_000))}
    return [
        lambda t: t.pop("bias"),
        lambda t: t.update(extra=np.zeros(3)),
        lambda t: t.update(weights=t["weights"][:, 1:].copy()),
        lambda t: t.update(weights=t["weights"].astype(np.float32)),
        lambda t: t.update(bias=np.where(np.arange(1 + K) == 2, np.nan, t["bias"])),
        lambda t: t.update(scale=t["scale"] * 0),
        lambda t: t.update(huge),
    ]


@pytest.mark.parametrize("spoil", spoilt_heads())
def test_hostile_heads_are_refused(tmp_path, spoil):
    path = tmp_path / "head.safetensors"
    head = fit_head(*features_and_targets(), SHARES)
    head.write(path)
    again = Head.read(path, 12, K)
    assert all(np.array_equal(getattr(head, name), getattr(again, name)) for name in ("centre", "scale", "weights"))
    tensors = load_file(path)
    spoil(tensors)
    save_file(tensors, path)
    with pytest.raises(ValueError, match="expected"):
        Head.read(path, 12, K)
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ValueError, match="head"):
        Head.read(path, 12, K)


# --- what it may not do ----------------------------------------------------------------------------------------------


def test_a_detector_decides_nothing_that_classifiers_are_far_from():
    own = DecisionRule(np.array([0.5, 0.5, 0.5]))
    classifiers = np.array([[0.9, 0.34, 0.3], [0.1, 0.2, 0.1], [0.4, 0.45, 0.1]])
    shouted = np.ones((3, 3), dtype=bool)
    expected = [[True, True, False], [False, True, False], [True, True, False]]
    np.testing.assert_array_equal(veto(shouted, own, classifiers), expected)
    # It may also be the one that a class needs no more: nothing near is left, so the classifiers decide alone.
    silent = np.zeros((3, 3), dtype=bool)
    np.testing.assert_array_equal(veto(silent, own, classifiers), own(classifiers))


@pytest.mark.parametrize("shouts", range(K))
def test_a_head_that_always_shouts_creates_no_label(shouts):
    rng = np.random.default_rng(shouts)
    classifiers = rng.beta(0.4, 2.0, (500, K))
    detector = np.zeros((500, K))
    detector[:, shouts] = 1.0
    evidence = Evidence(np.array([0.0, 1.0]), SHARES[1:], DecisionRule(rng.uniform(0.1, 0.6, K)))
    own = DecisionRule(rng.uniform(0.1, 0.6, K))
    trained = TrainedSet((), (), Ensemble(np.array([1.0, 0.0]), own), evidence)
    decisions, _ = trained.answer([classifiers, detector])
    assert decisions.any(axis=1).all()
    odds = classifiers / (1 - classifiers) / (own.thresholds / (1 - own.thresholds))
    created = decisions & (odds < NEAR * (1 - 1e-9))
    # Below that, a class is only decided where the classifiers alone decide it, as the nearest where nothing is near.
    assert not (created & ~own(classifiers)).any()
    assert replace(trained, evidence=None).answer([classifiers, detector])[0][:, shouts].mean() < 1


def test_a_detector_that_knows_nothing_changes_nothing():
    classifiers = np.random.default_rng(0).beta(0.4, 2.0, (50, K)).clip(1e-5, 1 - 1e-5)
    evidence = Evidence(np.array([0.0, 1.0]), SHARES[1:], DecisionRule(np.full(K, 0.5)))
    np.testing.assert_allclose(evidence.join(classifiers, [classifiers, np.full((50, K), 0.05)]), classifiers)


# --- ensembles and the ablation --------------------------------------------------------------------------------------


def validated(n=200, seed=0):
    """A classifier that is fairly good, and a detector whose features tell class 3."""
    features, targets = features_and_targets(n=n, seed=seed)
    labels = targets[:, 1:]
    rng = np.random.default_rng(seed + 1)
    p = 1 / (1 + np.exp(-(4 * labels + rng.normal(-3.0, 1.0, labels.shape))))
    targets = ValidationTargets(targets, targets[:, 1:], np.full(1 + K, 0.1))
    return [ValidationOutputs(p, False), ValidationOutputs(features, True)], targets, np.arange(n) % 5


def test_ablation_compares_on_recordings_that_nothing_was_fitted_on():
    networks, targets, folds = validated()
    found = ablation(networks, targets, folds, SPACE)
    assert json.loads(json.dumps(found)) == found
    assert found["recordings"] == 200 and found["folds"] == 5
    difference = found["with"]["challenge_metric"] - found["without"]["challenge_metric"]
    assert found["gain"]["value"] == pytest.approx(difference)
    assert found["gain"]["low"] <= difference <= found["gain"]["high"]
    answers = [out_of_fold(network, targets, folds) for network in networks]
    trained = fit_set((), (), networks, answers, targets, SPACE)
    assert found["without"]["challenge_metric"] < trained.ensemble.rule.provenance["value"]
    assert trained.ensemble.weights.tolist() == [1.0, 0.0]
    assert trained.evidence.strengths[0] == 0 < trained.evidence.strengths[1] <= 1


def test_a_detector_alone_needs_nobody_to_agree():
    networks, targets, folds = validated()
    answers = [out_of_fold(networks[1], targets, folds)]
    trained = fit_set((), (), networks[1:], answers, targets, SPACE)
    assert trained.evidence is None and trained.ensemble.weights.tolist() == [1.0]
    assert trained.answer(answers)[0].any(axis=1).all()


# --- whole runs ------------------------------------------------------------------------------------------------------

TINY = tiny_config(
    lead_sets=(resolve_leads(2),),
    architectures=("resnet34", "cross_restoration"),
    min_steps=3,
    batch_size=4,
    abnormality=True,
    presets={"tiny": {"resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]}, "cross_restoration": SMALL}},
)


@pytest.fixture(scope="module")
def trained(half_normal, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    run.train_entry(half_normal, folder, TINY)
    return folder


def test_run_trains_the_detector_beside_the_classifier(trained, half_normal, tmp_path):
    manifest = Manifest.read(trained)
    classifier, detector = manifest.sets[0].members
    assert (classifier.head, detector.head) == ("", "cross_restoration-2-head.safetensors")
    assert {path.name for path in trained.iterdir()} == {
        "README.md", "entry.json", "split.csv", LOG_FILE, classifier.weights, detector.weights, detector.head,
    }  # fmt: skip
    assert manifest.sets[0].ensemble.weights.tolist() == [1.0, 0.0]
    found = manifest.provenance["detector"]["2"]
    assert found["gain"]["low"] <= 0 and not found["asked"], "three steps teach it nothing"
    assert manifest.sets[0].evidence is None and manifest.sets[0].asked.tolist() == [True, False]
    events = [json.loads(line) for line in (trained / LOG_FILE).read_text().splitlines()]
    (logged,) = [event["detector"] for event in events if event.get("event") == "joined"]
    assert logged["with"] == found["with"] and logged["without"] == found["without"]
    assert answer_folder(trained, half_normal, tmp_path, per_model=True).failures == []
    assert len(list((tmp_path / "cross_restoration").glob("*.csv"))) == 60


def test_answers_hold_the_abnormality_and_are_those_of_run_model(trained, half_normal):
    entry = load_entry(trained)
    path = find_recordings(half_normal)[0]
    answer = entry.predict(path)
    assert 0 < answer.abnormality < 1
    from scipy.io import loadmat

    counts = loadmat(path.with_suffix(".mat"))["val"]
    _, labels, probabilities = run_model(load_model(str(trained), LEAD_SETS[2]), path.read_text(), counts)
    np.testing.assert_array_equal(probabilities, answer.probabilities)
    np.testing.assert_array_equal(labels, answer.labels)


def test_detector_without_a_say_is_asked_only_where_it_is_wanted(trained, half_normal, tmp_path):
    path = find_recordings(half_normal)[0]
    values = json.loads((trained / "entry.json").read_text())
    quiet = tmp_path / "quiet"
    shutil.copytree(trained, quiet)
    (quiet / "entry.json").write_text(json.dumps(values | {"abnormality": False}))
    answer, wanted = load_entry(quiet).predict(path), load_entry(trained).predict(path)
    assert answer.abnormality is None and wanted.abnormality is not None
    assert list(answer.by_model) == ["resnet34"]
    np.testing.assert_array_equal(answer.probabilities, wanted.probabilities)
    every = load_entry(quiet, every_network=True).predict(path)
    assert every.abnormality == wanted.abnormality and len(every.by_model) == 2
    np.testing.assert_array_equal(every.labels, answer.labels)
    answer_folder(quiet, half_normal, tmp_path / "outputs", details=True)
    with (tmp_path / "outputs/details.csv").open() as file:
        detailed = next(row for row in csv.DictReader(file) if row["recording"] == path.stem)
    assert float(detailed["abnormality"]) == every.abnormality
    entry = load_entry(quiet)
    entry.predict(path)
    assert len(entry._predictors) == 1, "the detector was not even loaded"


def test_validation_features_are_those_of_answers(half_normal, tmp_path):
    """One path: what the head was fitted on is what an entry computes for the same recording, to the bit."""
    run.train_entry(half_normal, tmp_path, replace(TINY, keep_work=True, architectures=("cross_restoration",)))
    (saved,) = (tmp_path / "work").glob("cross_restoration-*.answers")
    entry = load_entry(tmp_path)
    trained_set = entry.manifest.sets[0]
    assert trained_set.evidence is None
    predictor = entry.predictor(trained_set, trained_set.members[0])
    valid = [row.split(",")[0] for row in (tmp_path / "split.csv").read_text().splitlines() if ",validation," in row]
    asked = [path for path in find_recordings(half_normal) if path.stem in valid]
    inputs = [entry.prepare(path).input_of(trained_set.members[0].spec) for path in asked]
    probabilities = predictor(inputs).probabilities
    features = read_arrays(saved)["answers"]
    assert features.shape == (len(valid), len(feature_names(("I", "II"))))
    np.testing.assert_array_equal(predictor.head(features)[:, 1:], probabilities)


def test_a_recording_that_cannot_be_scored_gets_the_prior(trained, half_normal, monkeypatch):
    def fails(*arguments, **named):
        raise RuntimeError("cannot be scored")

    monkeypatch.setattr("leadset.anomaly.detector.score_recording", fails)
    answer = load_entry(trained).predict(find_recordings(half_normal)[0])
    np.testing.assert_array_equal(answer.by_model["cross_restoration"][1], Manifest.read(trained).prior)
    assert answer.abnormality is None and not answer.failed


def test_interrupted_reconstruction_model_ends_in_the_same_weights(trained, half_normal, tmp_path, monkeypatch):
    real_step, calls = trainer_module.train_step, []

    def step_until_interrupt(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real_step(*arguments)

    monkeypatch.setattr(trainer_module, "train_step", step_until_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.train_entry(half_normal, tmp_path, TINY)
    monkeypatch.setattr(trainer_module, "train_step", real_step)
    torch.manual_seed(999)
    run.train_entry(half_normal, tmp_path, TINY)
    for name in ("cross_restoration-2.safetensors", "cross_restoration-2-head.safetensors"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_processes_train_the_same_networks(trained, half_normal, tmp_path):
    """Two processes of one thread each, against this process on one thread: the same weights, to the bit."""
    run.train_entry(half_normal, tmp_path, replace(TINY, workers=2))
    weights = sorted(path.name for path in trained.glob("*.safetensors"))
    assert weights == [
        "cross_restoration-2-head.safetensors", "cross_restoration-2.safetensors", "resnet34-2.safetensors",
    ]  # fmt: skip
    for name in weights:
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


@pytest.fixture(scope="module")
def abnormal(tmp_path_factory):
    """Recordings of which none is normal."""
    folder = tmp_path_factory.mktemp("abnormal")
    list(write_dataset(folder, 20, seed=3, seconds=6.0, labels={"AF": 1}))
    return folder


def test_folders_without_normal_recordings_train_the_classifiers(abnormal, tmp_path, capsys):
    manifest = run.train_entry(abnormal, tmp_path / "model", TINY)
    assert [member.architecture for member in manifest.sets[0].members] == ["resnet34"]
    assert manifest.sets[0].evidence is None
    assert "cross_restoration is left out: 0 recordings" in capsys.readouterr().out
    events = [json.loads(line) for line in (tmp_path / "model" / LOG_FILE).read_text().splitlines()]
    (left_out,) = [event for event in events if event.get("event") == "left out"]
    assert left_out["jobs"] == ["cross_restoration-2"]
    with pytest.raises(ValueError, match="left out"):
        run.train_entry(abnormal, tmp_path / "other", replace(TINY, architectures=("cross_restoration",)))


def test_simulated_normals_stand_in_where_real_ones_are_too_few(abnormal, tmp_path):
    """Of 192 simulated recordings ten have sinus rhythm as their only label."""
    bank = replace(default_config().pretrain, below=1000, recordings=192, epochs=1, bank_time_share=0.9)
    manifest = run.train_entry(abnormal, tmp_path, replace(TINY, architectures=("cross_restoration",), pretrain=bank))
    (detector,) = manifest.sets[0].members
    assert detector.architecture == "cross_restoration"
    assert detector.training["recordings"] == detector.training["simulated"] >= TOO_FEW


def test_entry_with_a_missing_or_foreign_head_is_refused(trained, tmp_path):
    folder = tmp_path / "entry"
    shutil.copytree(trained, folder)
    (folder / "cross_restoration-2-head.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_entry(folder).load(LEAD_SETS[2])
    shutil.copy(folder / "resnet34-2.safetensors", folder / "cross_restoration-2-head.safetensors")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_entry(folder).load(LEAD_SETS[2])
    values = json.loads((folder / "entry.json").read_text())
    values["lead_sets"][0]["members"][1]["head"] = "../head.safetensors"
    (folder / "entry.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="inside the model folder"):
        load_entry(folder)
