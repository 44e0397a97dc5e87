"""Training in several processes: the steps of one, whatever becomes of the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import REDUCED
from safetensors.torch import load_file
from shared_run import LEADS, STEPS, small_config
from torch import Tensor

from leadset.simulate.write import write_dataset
from leadset.training.checkpoint import read_progress
from leadset.training.run import train_entry

TESTS = Path(__file__).parent


def run(script: str, *arguments: str | Path, processes: int = 1) -> subprocess.CompletedProcess:
    """A script of this folder, in several processes."""
    command = [sys.executable, *(["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] * (processes > 1))]
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return subprocess.run(
        [*command, TESTS / script, *arguments], capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": paths, "TORCH_SHOW_CPP_STACKTRACES": "0"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """By network: what a few steps found in one process and in two."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for processes, folder in enumerate(folders, 1):
        done = run("shared_steps.py", folder, processes=processes)
        assert done.returncode == 0, done.stderr
    return {file.stem: tuple(load_file(folder / file.name) for folder in folders) for file in folders[0].iterdir()}


@pytest.mark.parametrize("name", [*REDUCED, "cnn_heartmaasters-focal", "cnn_heartmaasters-asymmetric"])
def test_two_processes_take_the_steps_of_one(steps, name):
    one, two = steps[name]
    assert one.keys() == two.keys()
    # Gradients of what normalisation takes away again are nothing but rounding, so that each is judged by the largest.
    for kind, tolerance in (("loss", 1e-5), ("gradient", 5e-4)):
        names = [key for key in one if key.startswith(kind)]
        largest = max(one[key].abs().max() for key in names)
        for key in names:
            torch.testing.assert_close(two[key], one[key], rtol=tolerance, atol=float(tolerance * largest), msg=key)
    # AdamW turns them into whole steps, of 1e-4 here; statistics are learnt without it.
    for key in (key for key in one if key.startswith("weight")):
        torch.testing.assert_close(two[key], one[key], rtol=1e-3, atol=1e-3, msg=key)
    assert torch.equal(one["generator"], two["generator"])  # any number of processes goes on from here


def test_a_process_that_fails_ends_all_and_any_number_goes_on(tmp_path):
    data = tmp_path / "data"
    list(write_dataset(data, 60, seed=3, seconds=5.0))
    failed = run("shared_run.py", data, tmp_path / "entry", "4", processes=2)
    assert failed.returncode != 0
    assert "ValueError: this process cannot go on" in failed.stderr
    assert "process 1 of 2: another process of this training ended" in failed.stderr
    assert failed.stdout.count("recordings: 60 found") == 1  # one process alone shows what is done
    work = tmp_path / "entry" / "work"
    assert len([*work.glob("resnet34-*.json")]) == 1  # one network is trained, the other half
    (state,) = work.glob("resnet34-*.safetensors")
    assert read_progress(state)["step"] == 4

    train_entry(data, tmp_path / "entry", small_config())
    train_entry(data, tmp_path / "alone", small_config())
    steps = [json.loads(line) for line in (tmp_path / "entry" / "training.jsonl").read_text().splitlines()]
    assert sum("train_loss" in event and event["step"] == STEPS for event in steps) == len(LEADS)
    for name in LEADS:
        one, two = (load_file(tmp_path / folder / f"resnet34-{name}.safetensors") for folder in ("alone", "entry"))
        for key in one:
            np.testing.assert_allclose(two[key], one[key], rtol=1e-3, atol=2e-3, err_msg=f"{key} after {STEPS} steps")


def test_an_interrupt_saves_once_and_stops_all(tmp_path):
    list(write_dataset(tmp_path / "data", 60, seed=3, seconds=5.0))
    settings = tmp_path / "long.toml"
    settings.write_text(
        'architectures = ["resnet34"]\nlead_sets = ["2"]\npreset = "tiny"\nmin_steps = 3000\nworkers = 1\n'
        "[presets.tiny.resnet34]\nwidth = 4\nrate = 50\nblocks = [1, 1, 1, 1]\n"
        '[pretrain]\nbelow = 0\n[start]\nweights = "none"\n'
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", TESTS.parent / "train_model.py"]
    process = subprocess.Popen(
        [*command, tmp_path / "data", tmp_path / "model"], env=os.environ | {"LEADSET_CONFIG": str(settings)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True,
        # Where the tests run in the background, interrupts are ignored, and what they start would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "model" / "training.jsonl"
    while process.poll() is None and (not log.exists() or '"step"' not in log.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=120)
    assert process.returncode != 0
    assert shown.count("start the same command again") == 1
    (state,) = (tmp_path / "model" / "work").glob("resnet34-*.safetensors")
    assert read_progress(state)["step"] > 0
