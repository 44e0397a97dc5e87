"""Splits, thresholds, the loop and its resumption, planning, and whole runs on small simulated data."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from configurations import tiny_config
from safetensors.torch import load_file

from leadset.classes import label_space
from leadset.entry.decision import DecisionRule
from leadset.entry.manifest import Manifest
from leadset.leads import resolve_leads
from leadset.models import create_model
from leadset.preprocess import InputSpec, Transform
from leadset.recordings import find_recordings
from leadset.scoring import ChallengeMetric
from leadset.simulate.write import write_dataset
from leadset.store.groups import related_groups
from leadset.store.packed import build_store
from leadset.training import run
from leadset.training import trainer as trainer_module
from leadset.training.checkpoint import read_progress
from leadset.training.decision.ensemble import fit_weights
from leadset.training.decision.thresholds import fit_thresholds
from leadset.training.split import stratified_parts
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.training.steps.schedules import one_cycle
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import Deadline, RunContext, Trainer

SPACE = label_space("challenge2021")
ROOT = Path(__file__).resolve().parent.parent


# --- split ---------------------------------------------------------------------------------------------------------


def test_related_groups_join_through_any_key():
    groups = related_groups(["a", "b", "a", "c", "d"], [None, "p", None, "p", None])
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]
    assert len(set(groups)) == 3


def test_split_is_even_per_class_reproducible_and_keeps_groups():
    rng = np.random.default_rng(0)
    labels = rng.random((3000, 12)) < np.geomspace(0.003, 0.4, 12)
    groups = rng.integers(0, 2200, 3000)
    parts = stratified_parts(labels, groups, [0.8, 0.2], seed=7)
    np.testing.assert_array_equal(parts, stratified_parts(labels, groups, [0.8, 0.2], seed=7))
    assert (parts != stratified_parts(labels, groups, [0.8, 0.2], seed=8)).any()
    for group in np.unique(groups):
        assert len(set(parts[groups == group])) == 1
    share = labels[parts == 1].sum(axis=0) / labels.sum(axis=0)
    tolerance = 0.02 + 1.5 / labels.sum(axis=0)
    assert (np.abs(share - 0.2) < tolerance).all(), share


def test_split_of_very_few_recordings():
    assert stratified_parts(np.zeros((0, 3), bool), np.zeros(0, int), [0.8, 0.2], 0).shape == (0,)
    assert set(stratified_parts(np.eye(5, dtype=bool), np.arange(5), [0.5, 0.5], 0)) == {0, 1}


# --- thresholds and decisions ----------------------------------------------------------------------------------------


def noisy_answers(n=400, seed=0):
    """Labels and the probabilities of a classifier that is miscalibrated by class, in the same way for every seed."""
    rng = np.random.default_rng(seed)
    bias = np.random.default_rng(77).normal(0, 1.0, 26)
    labels = rng.random((n, 26)) < np.geomspace(0.01, 0.3, 26)
    labels[~labels.any(axis=1), SPACE.normal_index] = True
    logits = 2.5 * labels + rng.normal(-1.5, 1.0, labels.shape) + bias
    return labels, 1 / (1 + np.exp(-logits))


def test_fitted_thresholds_beat_any_common_one_where_they_were_fitted():
    labels, p = noisy_answers()
    rule = fit_thresholds(p, labels, SPACE, {"part": "validation"})
    metric = ChallengeMetric(labels, SPACE)
    common = max(metric(DecisionRule(np.full(26, t))(p)) for t in np.linspace(0.05, 0.95, 19))
    assert metric(rule(p)) > common
    assert rule.provenance["value"] == pytest.approx(metric(rule(p)), abs=1e-6)
    assert rule.provenance["part"] == "validation"


def test_fitted_thresholds_hold_on_unseen_recordings():
    labels, p = noisy_answers()
    unseen, p_unseen = noisy_answers(seed=1)
    rule = fit_thresholds(p, labels, SPACE)
    metric = ChallengeMetric(unseen, SPACE)
    assert metric(rule(p_unseen)) > metric(DecisionRule(np.full(26, 0.5))(p_unseen))


def test_rare_classes_stay_near_the_pooled_threshold():
    labels, p = noisy_answers()
    labels[:, 3] = False
    labels[0, 3] = True
    rule = fit_thresholds(p, labels, SPACE)
    pooled = rule.provenance["pooled_threshold"]
    distance = np.abs(np.log(rule.thresholds / (1 - rule.thresholds)) - math.log(pooled / (1 - pooled)))
    assert distance[3] < 0.1 * math.log(0.995 / 0.005) * 2


def test_thresholds_without_anything_to_learn_from_are_one_half():
    rule = fit_thresholds(np.full((3, 26), 0.2), np.zeros((3, 26), bool), SPACE)
    np.testing.assert_allclose(rule.thresholds, 0.5, atol=0.01)


def test_thresholds_lie_between_recordings_and_not_on_one():
    labels = np.zeros((2000, 26), bool)
    labels[:1000, 3] = labels[1000:, 5] = True
    rule = fit_thresholds(np.where(labels, 0.8, 0.2), labels, SPACE)
    np.testing.assert_allclose(rule.thresholds[[3, 5]], 0.5, atol=0.02)


def test_no_decision_is_empty():
    rule = DecisionRule(np.array([0.9, 0.5, 0.1]))
    decisions = rule(np.array([[0.95, 0.1, 0.05], [0.4, 0.3, 0.05], [0.0, 0.0, 0.0]]))
    np.testing.assert_array_equal(decisions, [[True, False, False], [False, True, False], [True, False, False]])
    assert DecisionRule.from_json(json.loads(json.dumps(rule.to_json()))).thresholds.tolist() == [0.9, 0.5, 0.1]


def test_ensemble_weights_follow_the_better_member():
    labels, p = noisy_answers()
    chance = np.random.default_rng(1).random(p.shape)
    weights = fit_weights([p, chance], labels)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.9
    np.testing.assert_allclose(fit_weights([p, p], labels), 0.5, atol=1e-3)
    assert fit_weights([p], labels).tolist() == [1.0]


# --- the loop --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    list(write_dataset(folder, 60, seed=3, seconds=5.0))
    return folder


@pytest.fixture(scope="module")
def task(simulated, tmp_path_factory):
    spec = InputSpec(Transform(50), 200)
    store = build_store(
        find_recordings(simulated), spec.transform, tmp_path_factory.mktemp("cache"), n_jobs=1, progress=False
    )
    labels = np.array([SPACE.encode(recording.codes) for recording in store.recordings])
    curriculum = Curriculum((Phase("real", Pool(np.arange(44)), 20, 1e-3),))
    return ClassificationTask(store, labels, curriculum, np.arange(44, 60), resolve_leads(2), spec, 1, 8, 0.01)


def network():
    torch.manual_seed(11)
    return create_model("resnet34", 2, width=4, rate=50, seconds=4.0, blocks=(1, 1, 1, 1))


def test_batches_are_a_function_of_the_step(task):
    batches = task.batches(task.curriculum)
    again = task.batches(task.curriculum)
    for step in (0, 5, 13):
        torch.testing.assert_close(batches[step].windows, again[step].windows, rtol=0, atol=0)
    epoch = np.concatenate([batches._members(step) for step in range(11)])[:44]
    assert sorted(epoch) == list(range(44))


def test_interrupted_training_ends_in_the_same_weights(task, tmp_path, monkeypatch, two_threads):
    """Ctrl-C in the middle of an epoch, then the same command: bit-identical to never having been interrupted."""
    straight = network()
    Trainer(straight, task, 17, RunContext(tmp_path / "a.safetensors")).run()

    interrupted = network()
    real_step, calls = trainer_module.train_step, []

    def step_until_interrupt(*arguments):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return real_step(*arguments)

    monkeypatch.setattr(trainer_module, "train_step", step_until_interrupt)
    with pytest.raises(KeyboardInterrupt):
        Trainer(interrupted, task, 17, RunContext(tmp_path / "b.safetensors")).run()
    monkeypatch.setattr(trainer_module, "train_step", real_step)
    continued = network()
    torch.manual_seed(999)  # the state on disk, not this process, decides
    trainer = Trainer(continued, task, 17, RunContext(tmp_path / "b.safetensors"))
    assert trainer.step == 8
    trainer.run()
    for name, tensor in straight.state_dict().items():
        torch.testing.assert_close(continued.state_dict()[name], tensor, rtol=0, atol=0)


def test_damaged_state_starts_again(task, tmp_path):
    state = tmp_path / "state.safetensors"
    state.write_bytes(b"\x00\x01nonsense")
    assert Trainer(network(), task, 5, RunContext(state)).step == 0


def test_best_validation_is_kept(task, tmp_path):
    events = []
    model = network()
    outcome = Trainer(model, task, 20, RunContext(tmp_path / "s.safetensors", log=events.append)).run()
    assert outcome.summary["valid_auroc"] == max(event["valid_auroc"] for event in events)
    assert task.outputs(model, quiet=True).answers.shape == (16, 26)
    assert len(events) == 4  # every epoch of 44 / 8, rounded to 6 steps, and the end


def test_deadline_ends_training_with_a_validated_network(task, tmp_path):
    model = network()
    outcome = Trainer(model, task, 1000, RunContext(tmp_path / "s.safetensors", deadline=Deadline(0.0))).run()
    assert outcome.summary["steps"] == 1
    assert np.isfinite(task.outputs(model, quiet=True).answers).all()


def test_one_cycle_rises_to_its_peak_and_falls():
    rates = [one_cycle(step, 100) for step in range(100)]
    assert np.argmax(rates) == 20
    assert rates[20] == pytest.approx(1)
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[-1] < 0.01


# --- whole runs ------------------------------------------------------------------------------------------------------

TINY = tiny_config(
    lead_sets=(resolve_leads(2), resolve_leads("II,V5")),
    architectures=("resnet34",),
    presets={"tiny": {"resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]}}},
)


def test_run_writes_an_entry_with_its_provenance(simulated, tmp_path, capsys):
    manifest = run.train_entry(simulated, tmp_path, TINY)
    assert Manifest.read(tmp_path).sets[1].leads == ("II", "V5")
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md", "entry.json", "resnet34-2.safetensors", "resnet34-II-V5.safetensors", "split.csv",
        "training.jsonl",
    }  # fmt: skip
    provenance = manifest.sets[0].ensemble.rule.provenance
    assert (provenance["part"], provenance["split"], provenance["seed"]) == ("validation", "split.csv", 2021)
    assert manifest.provenance["data"]["found"] == 60
    rows = list(csv.DictReader((tmp_path / "split.csv").open()))
    assert {row["part"] for row in rows} == {"train", "validation"}
    assert len(rows) == 60
    assert "60 found" in capsys.readouterr().out
    assert all(json.loads(line) for line in (tmp_path / "training.jsonl").read_text().splitlines())


def test_killed_run_does_not_repeat_finished_networks(simulated, tmp_path, monkeypatch):
    trained = []
    real_run = Trainer.run

    def run_once(self):
        trained.append(self.context.title)
        if len(trained) == 2:
            raise RuntimeError("killed")
        return real_run(self)

    monkeypatch.setattr(Trainer, "run", run_once)
    with pytest.raises(RuntimeError, match="killed"):
        run.train_entry(simulated, tmp_path, TINY)
    first = load_file(tmp_path / f"{trained[0]}.safetensors")
    monkeypatch.setattr(Trainer, "run", lambda self: trained.append(self.context.title) or real_run(self))
    run.train_entry(simulated, tmp_path, TINY)
    assert len(trained) == 3
    assert trained[1] == trained[2] != trained[0]
    again = load_file(tmp_path / f"{trained[0]}.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_networks_with_damaged_files_are_trained_again(simulated, tmp_path):
    kept = replace(TINY, keep_work=True)
    run.train_entry(simulated, tmp_path, kept)
    weights = [tmp_path / f"resnet34-{name}.safetensors" for name in ("2", "II-V5")]
    whole = [path.read_bytes() for path in weights]
    (answers,) = (tmp_path / "work").glob("resnet34-2-*.answers")
    answers.write_bytes(b"")
    weights[1].write_bytes(whole[1][:1000])
    for file in (tmp_path / "work").glob("c*.json"):  # of clock and costs
        file.write_text("[]")
    run.train_entry(simulated, tmp_path, kept)
    assert [path.read_bytes() for path in weights] == whole


def test_interrupt_of_a_run_saves_what_the_workers_are_at(simulated, tmp_path):
    """Ctrl-C to the main process alone: the workers save and end; the same command then finishes the run."""
    settings = tmp_path / "long.toml"
    settings.write_text(
        'architectures = ["resnet34"]\nlead_sets = ["2", "3"]\npreset = "tiny"\nmin_steps = 3000\nworkers = 2\n'
        "[presets.tiny.resnet34]\nwidth = 4\nrate = 50\nblocks = [1, 1, 1, 1]\n[pretrain]\nbelow = 0\n"
    )
    command = [sys.executable, str(ROOT / "train_model.py"), str(simulated), str(tmp_path / "model")]
    environment = {**os.environ, "LEADSET_CONFIG": str(settings)}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, start_new_session=True,
        # Where the tests run in the background, interrupts are ignored, and what they start would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "model" / "training.jsonl"
    while process.poll() is None and (not log.exists() or log.read_text().count('"step"') < 3):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"start the same command again" in shown
    states = list((tmp_path / "model" / "work").glob("resnet34-*.safetensors"))
    assert len(states) == 2
    assert all(read_progress(state)["step"] > 0 for state in states)


def test_same_data_and_seed_train_the_same_network(simulated, tmp_path):
    for name in ("one", "two"):
        run.train_entry(simulated, tmp_path / name, TINY)
    for weights in ("resnet34-2.safetensors", "resnet34-II-V5.safetensors"):
        assert (tmp_path / "one" / weights).read_bytes() == (tmp_path / "two" / weights).read_bytes()


def test_folders_that_cannot_be_learnt_from_say_why(tmp_path, simulated, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        run.train_entry(tmp_path / "nowhere", tmp_path / "m", TINY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no recording"):
        run.train_entry(tmp_path / "empty", tmp_path / "m", TINY)
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    for header in list(find_recordings(simulated))[:3]:
        text = "\n".join(line for line in header.read_text().splitlines() if "Dx" not in line)
        (unlabelled / header.name).write_text(text + "\n")
        (unlabelled / header.with_suffix(".mat").name).write_bytes(header.with_suffix(".mat").read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr("leadset.training.data.build_store", pytest.fail)  # hours, for a folder of some size
        with pytest.raises(ValueError, match=r"none of 3 recordings has a diagnosis, expected .* or a table of labels"):
            run.train_entry(unlabelled, tmp_path / "m", TINY)
        for header in unlabelled.glob("*.hea"):
            header.write_text(header.read_text() + "# Dx: 55827005,1234\n")
        with pytest.raises(ValueError, match=r"no diagnosis is a class of .* found codes 1234, 55827005$"):
            run.train_entry(unlabelled, tmp_path / "m", TINY)
    for header in unlabelled.glob("*.hea"):
        header.write_text(header.read_text().replace("1234", "426783006"))
        header.with_suffix(".mat").unlink()
    with pytest.raises(ValueError, match="none of 3 recordings can be read"):
        run.train_entry(unlabelled, tmp_path / "m", TINY)
