"""How many steps networks get, what is kept back, and whole runs inside their time limit."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from configurations import tiny_config
from safetensors.torch import load_file

from leadset.leads import resolve_leads
from leadset.simulate.write import write_dataset
from leadset.training import context, run
from leadset.training import trainer as trainer_module
from leadset.training.context import TrainingContext
from leadset.training.plan import GPU_PROCESS, TimeLimit, affordable, that_fit
from leadset.training.task import Cost
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import Deadline

TINY = tiny_config(
    lead_sets=(resolve_leads(2), resolve_leads("II,V5")),
    architectures=("resnet34",),
    presets={"tiny": {"resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]}}},
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    list(write_dataset(folder, 60, seed=3, seconds=5.0))
    return folder


def test_plan_shares_what_is_left():
    assert affordable(100, 1.0, 100.0, 0.0, 1000.0) == (100, 900.0)  # time enough: all steps, and patience
    assert affordable(100, 1.0, 100.0, 0.0, 100.0) == (50, pytest.approx(65.0))  # half the time, so half the steps
    assert affordable(100, 1.0, 0.0, 0.0, 0.0)[0] == 1


def test_plan_is_as_fair_to_the_last_network_as_to_the_first_where_validation_takes_long():
    left, end, shares = 500.0, 20.0, []
    for later in range(9, -1, -1):
        steps, _ = affordable(100, 1.0, 100.0 * later, end * (later + 1), left)
        shares.append(steps)
        left -= steps * 1.0 + end
    assert min(shares) >= max(shares) - 1
    assert -end <= left <= 10.0


def test_reserve_is_learned():
    limit = TimeLimit(100.0)
    assert limit.reserve == pytest.approx(8.0)
    limit.finishing = 4.0
    limit.pace.add(10.0, 5.0)
    assert limit.reserve == pytest.approx(8.0), "a faster machine is not relied on"
    limit.pace.add(10.0, 55.0)
    assert limit.reserve == pytest.approx(1.5 * 3 * 4)
    assert limit.left == pytest.approx(82.0, abs=1.0)


@pytest.mark.parametrize(
    "peaks, free, fit",
    [([], 80, 1), ([1, 1, 1], 1, 1), ([1, 1, 1], 5, 2), ([1, 1, 1], 80, 3), ([1, 20, 4, 9], 38, 2), ([50], 20, 1)],
)
def test_a_gpu_holds_as_many_networks_as_its_memory_does_whichever_meet(peaks, free, fit):
    """In GiB; each process takes one more beside its tensors, and a tenth stays free."""
    assert GPU_PROCESS == 2**30
    assert that_fit([peak * 2**30 for peak in peaks], free * 2**30) == fit


def test_networks_train_side_by_side_where_a_gpu_has_room(simulated, tmp_path, monkeypatch, capsys):
    """They become what they are one at a time; the stand-in for a GPU is in this machine's memory."""
    one_at_a_time = run.train_entry(simulated, tmp_path / "one", replace(TINY, workers=1))
    monkeypatch.setattr(run.Run, "_processes", lambda self: 1)
    monkeypatch.setattr(run, "free_memory", lambda device: 80 * 2**30)
    monkeypatch.setattr(context, "with_peak", lambda work, device: (work(), 2**30))
    manifest = run.train_entry(simulated, tmp_path / "gpu", replace(TINY, workers=10))
    assert "side by side on the GPU: 2 networks; the largest takes 1.0 GiB" in capsys.readouterr().out
    for trained, expected in zip(manifest.sets, one_at_a_time.sets, strict=True):
        (weights,) = (load_file(tmp_path / "gpu" / member.weights) for member in trained.members)
        (same,) = (load_file(tmp_path / "one" / member.weights) for member in expected.members)
        assert all(torch.equal(weights[name], same[name]) for name in same)


@pytest.mark.parametrize("cores, free, fit", [(10, 80, 2), (10, 3, 1), (8, 80, 1), (10, 0, 1)])
def test_each_network_on_a_gpu_takes_five_cores_and_its_memory(simulated, tmp_path, monkeypatch, cores, free, fit):
    monkeypatch.setattr(run, "free_memory", lambda device: free * 2**30)
    monkeypatch.setattr(run, "worker_pool", lambda processes: nullcontext(processes))
    training = run.Run(simulated, tmp_path, replace(TINY, workers=cores))
    training.limit, training.context = TimeLimit(100.0), TrainingContext(None, TINY, None, tmp_path, "cuda", False)
    monkeypatch.setattr(TrainingContext, "finished", lambda self, job: {})
    with training._trainers(None, {job.name: Cost(1.0, memory=2**30) for job in training.jobs}) as pool:
        assert pool == (fit if fit > 1 else None)
    assert (training.limit.pace.slowdown, training.context.quiet) == (fit, fit > 1)


def test_clock_leaves_time_for_what_follows_the_last_step():
    clock = trainer_module._Clock(Deadline(time.monotonic() + 10, Cost(0.1, 0.0, 2.0), 0.5))
    assert clock.allowed == pytest.approx(8.0, abs=0.1)
    clock.count_step(0.2)
    assert clock.allowed == pytest.approx(10 - 4.0 - 0.5, abs=0.1), "twice as slow, and so is what the run does then"
    clock.count_validation(3.0)
    assert clock.allowed == pytest.approx(10 - 6.0 - 1.0, abs=0.1), "validations three times as slow"
    assert not clock.is_over
    clock.count_step(3.5)
    assert clock.is_over


def test_time_spent_by_an_interrupted_run_is_not_given_again():
    assert TimeLimit(100.0, spent=95.0).left == 0.0


def test_time_limit_saves_every_network(simulated, tmp_path):
    hurried = replace(TINY, time_limit_hours=3 / 3600, epochs=100_000)
    manifest = run.train_entry(simulated, tmp_path, hurried)
    assert len(manifest.sets) == 2
    assert all(1 <= trained.members[0].training["steps"] < 100_000 for trained in manifest.sets)


def test_a_machine_that_becomes_busy_keeps_the_limit(simulated, tmp_path, monkeypatch):
    """Once everything was measured, steps and validations take many times as long."""
    limit, busy = 16.0, []
    train, step, probabilities = TrainingContext.train, trainer_module.train_step, ClassificationTask.probabilities

    def slower(seconds, call):
        def slowed(*arguments):
            time.sleep(seconds if busy else 0)
            return call(*arguments)

        return slowed

    monkeypatch.setattr(TrainingContext, "train", lambda *arguments: busy.append(1) or train(*arguments))
    monkeypatch.setattr(trainer_module, "train_step", slower(0.1, step))
    monkeypatch.setattr(ClassificationTask, "probabilities", slower(0.8, probabilities))
    started = time.monotonic()
    hurried = replace(TINY, time_limit_hours=limit / 3600, epochs=100_000)
    manifest = run.train_entry(simulated, tmp_path, hurried)
    assert time.monotonic() - started < limit
    steps = [trained.members[0].training["steps"] for trained in manifest.sets]
    assert all(1 <= n < 100_000 for n in steps)
