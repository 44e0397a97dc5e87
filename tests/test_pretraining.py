"""Simulated recordings before and beside the real ones: the bank, phases, and whole runs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from configurations import tiny_config
from networks import REDUCED

from leadset.classes import label_space
from leadset.config import default_config
from leadset.leads import LEADS, resolve_leads
from leadset.models import create_model, list_models
from leadset.preprocess import InputSpec, Transform, prepare
from leadset.recordings import find_recordings
from leadset.simulate import SimulatedStream
from leadset.simulate.write import write_dataset
from leadset.store.bank import build_bank
from leadset.store.beat_store import build_beats
from leadset.store.packed import CHUNK, build_store
from leadset.training import run
from leadset.training import trainer as trainer_module
from leadset.training.data import Preparation, Split, load_training_data
from leadset.training.steps.curriculum import Curriculum, Phase, Pool, top_up
from leadset.training.steps.pretraining import add_bank, affordable_bank, training_curriculum
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import RunContext, Trainer

SPACE = label_space("challenge2021")
SPLIT = Split(0.2, seed=1)
TRANSFORM = Transform(50)
FREE_SET = resolve_leads("II,V5")
N_REAL = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings in files, which stand for real ones."""
    folder = tmp_path_factory.mktemp("recordings")
    list(write_dataset(folder, N_REAL, seed=3, seconds=5.0))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


# --- the bank --------------------------------------------------------------------------------------------------------


def test_bank_holds_the_recordings_of_the_stream_prepared_as_real_ones_are(cache):
    bank = build_bank(2 * CHUNK, 5, TRANSFORM, cache, n_jobs=1, progress=False)
    stream = SimulatedStream(CHUNK, seed=5)
    for chunk in range(2):
        signals, codes = next(stream)
        for i in (0, CHUNK - 1):
            samples, statistics = bank[chunk * CHUNK + i]
            expected = prepare(signals[i], 500, LEADS, TRANSFORM)
            np.testing.assert_array_equal(samples, expected.samples)
            np.testing.assert_array_equal(statistics, expected.statistics)
            assert bank.recordings[chunk * CHUNK + i].codes == codes[i]


def test_larger_bank_begins_with_the_smaller_one(cache):
    small = build_bank(1, 5, TRANSFORM, cache, n_jobs=1, progress=False)
    large = build_bank(CHUNK + 1, 5, TRANSFORM, cache, n_jobs=1, progress=False)
    assert (len(small), len(large)) == (CHUNK, 2 * CHUNK)
    assert large.files[:1] == small.files
    other = build_bank(1, 6, TRANSFORM, cache, n_jobs=1, progress=False)
    assert other.files != small.files
    assert not np.array_equal(other[0][0], small[0][0])


def test_joined_stores_keep_recordings_and_beats(folder, cache):
    transform = Transform(100)
    real = build_store(find_recordings(folder), transform, cache, n_jobs=1, progress=False)
    bank = build_bank(CHUNK, 5, transform, cache, n_jobs=1, progress=False)
    beats = [build_beats(store, FREE_SET, cache, n_jobs=1, progress=False) for store in (real, bank)]
    both, both_beats = real.joined(bank), beats[0].joined(beats[1])
    assert len(both) == len(both_beats) == N_REAL + CHUNK
    for i in (0, N_REAL - 1):
        np.testing.assert_array_equal(both[i][0], real[i][0])
        np.testing.assert_array_equal(both_beats[i].at, beats[0][i].at)
    for i in (0, CHUNK - 1):
        np.testing.assert_array_equal(both[N_REAL + i][0], bank[i][0])
        np.testing.assert_array_equal(both_beats[N_REAL + i].features, beats[1][i].features)
    with pytest.raises(ValueError, match="cannot join"):
        real.joined(build_bank(1, 5, TRANSFORM, cache, n_jobs=1, progress=False))


# --- pools and phases ------------------------------------------------------------------------------------------------


def test_drawn_recordings_come_in_turn():
    pool = Pool(np.arange(10), ((np.arange(100, 107), 3), (np.arange(200, 202), 5)))
    epochs = [pool.epoch(number, seed=1) for number in range(7)]
    assert all(len(epoch) == len(pool) == 18 for epoch in epochs)
    assert all(sorted(epoch[epoch < 100]) == list(range(10)) for epoch in epochs)
    drawn = np.concatenate([epoch[(epoch >= 100) & (epoch < 200)] for epoch in epochs])
    np.testing.assert_array_equal(np.bincount(drawn - 100), np.full(7, 3))  # 21 draws of 7: each three times
    np.testing.assert_array_equal(pool.epoch(4, seed=1), epochs[4])
    assert (pool.epoch(4, seed=2) != epochs[4]).any()


def test_members_of_a_step_do_not_depend_on_the_steps_before():
    pool = Pool(np.arange(10), ((np.arange(100, 107), 3),))
    row = np.concatenate([pool.epoch(number, seed=1) for number in range(4)])
    for step in (0, 3, 8):
        np.testing.assert_array_equal(pool.members(step, 5, seed=1), row[5 * step : 5 * step + 5])


def test_rare_classes_are_brought_up_to_the_target():
    labels = np.zeros((400, 4), dtype=bool)
    real, simulated = np.arange(100), np.arange(100, 400)
    labels[:60, 0] = labels[60:65, 1] = True
    labels[100:120, 1] = labels[120:200, 2] = True  # class 3 is nowhere
    pool = top_up(labels, real, simulated, target=20, share=0.5)
    assert [n for _, n in pool.drawn] == [15, 20]
    epoch = pool.epoch(0, seed=1)
    np.testing.assert_array_equal(labels[epoch].sum(axis=0), [60, 20, 20, 0])
    assert len(epoch) == 135


def test_mixed_in_recordings_keep_to_their_share():
    labels = np.zeros((1000, 3), dtype=bool)
    labels[100:400, 0] = labels[400:700, 1] = labels[700:, 2] = True
    pool = top_up(labels, np.arange(100), np.arange(100, 1000), target=200, share=0.25)
    assert [n for _, n in pool.drawn] == [11, 11, 11]
    assert len(pool) - 100 <= 0.25 * len(pool)


def test_curricula_are_scaled_in_proportion():
    curriculum = Curriculum((Phase("a", Pool(np.arange(8)), 300, 1e-3), Phase("b", Pool(np.arange(4)), 100, 1e-4)))
    assert [phase.steps for phase in curriculum.scaled(40).phases] == [30, 10]
    assert curriculum.scaled(1).steps == 1
    assert (curriculum.at(299)[0].name, *curriculum.at(300)[1:]) == ("a", 0)
    with pytest.raises(IndexError):
        curriculum.at(400)


# --- the loop --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def task(folder, cache):
    """Twelve steps on simulated recordings, then ten on real ones with simulated ones among them."""
    spec = InputSpec(TRANSFORM, 200)
    real = build_store(find_recordings(folder), TRANSFORM, cache, n_jobs=1, progress=False)
    store = real.joined(build_bank(CHUNK, 5, TRANSFORM, cache, n_jobs=1, progress=False))
    labels = np.array([SPACE.encode(recording.codes) for recording in store.recordings])
    train, simulated = np.arange(30), np.arange(N_REAL, len(store))
    mixed = top_up(labels, train, simulated, 10, 0.5)
    assert mixed.drawn
    curriculum = Curriculum((Phase("simulated", Pool(simulated), 12, 1e-3), Phase("real", mixed, 10, 2e-4)))
    return ClassificationTask(store, labels, curriculum, np.arange(30, N_REAL), FREE_SET, spec, 1, 8, 0.01)


def network():
    torch.manual_seed(11)
    return create_model("resnet34", FREE_SET, width=4, rate=50, seconds=4.0, blocks=(1, 1, 1, 1))


def rates_of(task, tmp_path, monkeypatch):
    """Learning rate and members of every step of a training."""
    seen, real_step = [], trainer_module.train_step

    def step(model, optimizer, task, batch):
        seen.append(optimizer.param_groups[0]["lr"])
        return real_step(model, optimizer, task, batch)

    monkeypatch.setattr(trainer_module, "train_step", step)
    Trainer(network(), task, task.curriculum.steps, RunContext(tmp_path / "r.safetensors")).run()
    return seen


def test_each_phase_has_its_recordings_and_its_schedule(task, tmp_path, monkeypatch):
    batches = task.batches(task.curriculum)
    assert all((batches._members(step) >= N_REAL).all() for step in range(12))
    later = np.concatenate([batches._members(step) for step in range(12, 22)])
    assert 0 < (later >= N_REAL).mean() <= 0.6
    assert set(range(30)) <= set(later) <= {*range(30), *range(N_REAL, len(task.store))}
    rates = rates_of(task, tmp_path, monkeypatch)
    assert max(rates[:12]) == pytest.approx(1e-3, rel=0.02)
    assert max(rates[12:]) == pytest.approx(2e-4, rel=0.02)
    assert rates[11] < 1e-4


@pytest.mark.parametrize("interrupted_at", [5, 12, 17])
def test_interrupted_training_ends_in_the_same_weights(task, tmp_path, monkeypatch, interrupted_at):
    """In the simulated phase, between the two, and in the real one."""
    straight = network()
    Trainer(straight, task, 22, RunContext(tmp_path / "a.safetensors")).run()
    real_step, calls = trainer_module.train_step, []

    def step_until_interrupt(*arguments):
        calls.append(1)
        if len(calls) == interrupted_at + 1:
            raise KeyboardInterrupt
        return real_step(*arguments)

    monkeypatch.setattr(trainer_module, "train_step", step_until_interrupt)
    with pytest.raises(KeyboardInterrupt):
        Trainer(network(), task, 22, RunContext(tmp_path / "b.safetensors")).run()
    monkeypatch.setattr(trainer_module, "train_step", real_step)
    continued = network()
    torch.manual_seed(999)
    trainer = Trainer(continued, task, 22, RunContext(tmp_path / "b.safetensors"))
    assert trainer.step == interrupted_at
    trainer.run()
    for name, tensor in straight.state_dict().items():
        torch.testing.assert_close(continued.state_dict()[name], tensor, rtol=0, atol=0)


def test_log_and_summary_say_what_was_learnt_from(task, tmp_path):
    events = []
    model = network()
    outcome = Trainer(model, task, 22, RunContext(tmp_path / "s.safetensors", log=events.append)).run()
    assert [phase["steps"] for phase in outcome.summary["phases"]] == [12, 10]
    assert outcome.summary["phases"][0]["recordings"] == CHUNK
    real = task.curriculum.phases[1]
    assert outcome.summary["phases"][1] == {
        "name": "real", "steps": 10, "epochs": round(10 / real.epoch_steps(8), 2), "recordings": 30,
        "mixed_in": len(real.pool) - 30,
    }  # fmt: skip
    assert [event["phase"] for event in events if event["step"] in (12, 22)] == ["simulated", "real"]
    assert task.outputs(model, quiet=True).answers.shape == (10, 26)


def test_checkpoint_is_that_of_the_real_validation_recordings(task, tmp_path):
    """What is kept is the network of the best event, and what scores it are the ten real recordings held out."""
    events = []
    model = network()
    outcome = Trainer(model, task, 22, RunContext(tmp_path / "s.safetensors", log=events.append)).run()
    held_out = replace(task, labels=task.labels[:N_REAL], store=task.store)
    score = held_out.validate(model).values["valid_auroc"]
    assert score == outcome.summary["valid_auroc"] == max(event["valid_auroc"] for event in events)


def test_without_validation_recordings_the_last_weights_are_kept(task, tmp_path):
    events, saved = [], {}
    model = network()

    def log(event):
        events.append(event)
        saved.update({k: v.clone() for k, v in model.state_dict().items()})

    context = RunContext(tmp_path / "u.safetensors", log=log)
    outcome = Trainer(model, replace(task, valid=np.empty(0, int)), 22, context).run()
    assert events[-1]["step"] == 22
    assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())
    assert "valid_auroc" not in outcome.summary
    assert replace(task, valid=np.empty(0, int)).outputs(model, quiet=True).answers.shape == (0, 26)
    assert all("valid_auroc" not in event for event in events)


# --- whole runs ------------------------------------------------------------------------------------------------------

TINY = tiny_config(
    lead_sets=(resolve_leads(2), FREE_SET),
    architectures=("resnet34",),
    pretrain=replace(default_config().pretrain, below=1000, recordings=CHUNK, epochs=1, rare_below=5),
    presets={
        "tiny": {
            "resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]},
            "crnn_pqrst": {"width": 8, "rate": 100, "norm": "batch"},
        }
    },
)


@pytest.fixture
def tiny(cache):
    """`TINY`, with one store for all runs."""
    return replace(TINY, cache=str(cache))


def test_run_pretrains_small_training_sets_only(folder, tiny, tmp_path):
    few = run.train_entry(folder, tmp_path / "few", tiny)
    many = run.train_entry(folder, tmp_path / "many", replace(tiny, pretrain=replace(tiny.pretrain, below=10)))
    for trained in few.sets:
        simulated, real = trained.members[0].training["phases"]
        assert (simulated["name"], simulated["recordings"], simulated["steps"]) == ("simulated", CHUNK, CHUNK // 16)
        assert real["mixed_in"] > 0
    assert [phase["name"] for phase in many.sets[0].members[0].training["phases"]] == ["real"]
    assert (few.provenance["data"]["simulated"], many.provenance["data"]["simulated"]) == (CHUNK, 0)
    assert few.provenance["data"]["fingerprint"] == many.provenance["data"]["fingerprint"]
    assert few.provenance["data"]["found"] == N_REAL
    np.testing.assert_array_equal(few.prior, many.prior)
    assert (tmp_path / "few/split.csv").read_text() == (tmp_path / "many/split.csv").read_text()
    assert len(list(csv.DictReader((tmp_path / "few/split.csv").open()))) == N_REAL
    events = [json.loads(line) for line in (tmp_path / "few/training.jsonl").read_text().splitlines()]
    assert {event["phase"] for event in events if "step" in event} == {"simulated", "real"}
    assert events[0]["simulated"] == CHUNK
    assert few.sets[0].ensemble.rule.provenance["recordings"] == few.provenance["data"]["validation"]


def test_network_of_beats_is_pretrained_on_a_free_lead_set(folder, tiny, tmp_path):
    config = replace(tiny, architectures=("crnn_pqrst",), lead_sets=(FREE_SET,))
    member = run.train_entry(folder, tmp_path, config).sets[0].members[0]
    assert member.spec.extra["beats"]
    assert member.training["phases"][0]["steps"] == CHUNK // 16


def test_simulated_beats_stand_behind_the_real_ones(folder, cache):
    transform = Transform(100)
    preparation = Preparation([transform], cache, [(transform, FREE_SET, True)], workers=1)
    data = load_training_data(folder, SPACE, preparation, SPLIT)
    with_bank = add_bank(data, CHUNK, 5, cache, 1)
    beats = with_bank.beats[transform, FREE_SET, True]
    assert len(beats) == len(with_bank.first) == len(with_bank.labels) == len(with_bank.part) == N_REAL + CHUNK
    assert beats[N_REAL].features.shape == (2, len(beats[N_REAL].at), 30)
    np.testing.assert_array_equal(with_bank.train, data.train)
    np.testing.assert_array_equal(with_bank.valid, data.valid)
    assert set(with_bank.simulated) == set(range(N_REAL, N_REAL + CHUNK))
    curriculum = training_curriculum(with_bank, TINY)
    used = np.concatenate([phase.pool.epoch(0, 1) for phase in curriculum.phases])
    assert not set(used) & set(with_bank.valid)


def test_every_classifier_is_pretrained_on_a_free_lead_set(folder, tiny, tmp_path):
    config = replace(
        tiny, architectures=("all",), lead_sets=(FREE_SET,), preset="reduced", presets={"reduced": REDUCED},
        batch_size=32,
    )  # fmt: skip
    members = run.train_entry(folder, tmp_path, config).sets[0].members
    assert {member.architecture for member in members} == set(list_models("classifier"))
    assert all(member.training["phases"][0]["steps"] == CHUNK // 32 for member in members)


def test_bank_keeps_to_its_share_of_the_time(folder, tiny, cache, tmp_path, monkeypatch):
    data = load_training_data(folder, SPACE, Preparation([TRANSFORM], cache, workers=1), SPLIT)
    assert affordable_bank(data, 1000, 1e6, 1, tmp_path) == 1024  # whole chunks
    assert affordable_bank(data, 1000, 1e-3, 1, tmp_path) == 0
    assert not list(tmp_path.iterdir())
    hurried = replace(tiny, pretrain=replace(tiny.pretrain, bank_time_share=1e-9))
    manifest = run.train_entry(folder, tmp_path / "hurried", hurried)
    assert manifest.provenance["data"]["simulated"] == 0
    assert [phase["name"] for phase in manifest.sets[0].members[0].training["phases"]] == ["real"]


def test_continued_run_has_the_same_bank(folder, tiny, tmp_path, monkeypatch):
    """However fast the machine is by then."""
    real_run = Trainer.run

    def killed(self):
        raise RuntimeError("killed")

    monkeypatch.setattr(Trainer, "run", killed)
    with pytest.raises(RuntimeError, match="killed"):
        run.train_entry(folder, tmp_path, tiny)
    monkeypatch.setattr(Trainer, "run", real_run)
    monkeypatch.setattr(run, "affordable_bank", lambda *arguments: pytest.fail("measured again"))
    assert run.train_entry(folder, tmp_path, tiny).provenance["data"]["simulated"] == CHUNK
