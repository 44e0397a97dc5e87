"""One network of a run: what it is, and training it here or in a worker process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

import leadset
from leadset.classes import LabelSpace
from leadset.config import Config
from leadset.leads import lead_set_name
from leadset.models import create_network, model_entry
from leadset.preprocess import InputSpec
from leadset.training.checkpoint import read_progress
from leadset.training.data import TrainingData
from leadset.training.tasks.kinds import TASKS, Cost, TrainingTask
from leadset.utils.files import write_atomically
from leadset.utils.weights import save_weights
from leadset.utils.workers import stop_requested

WORK_FOLDER = "work"
LOG_FILE = "training.jsonl"

# Settings that change what a network learns; with others changed, an interrupted run can still go on.
_RESULT_SETTINGS = (
    *("seed", "epochs", "min_steps", "batch_size", "learning_rate", "weight_decay", "validation_share"),
    *("pretrain", "restorer_steps"),
)


@dataclass(frozen=True)
class Job:
    """One network to train: an architecture with its options on a lead set."""

    architecture: str
    options: dict[str, Any]
    leads: tuple[str, ...]
    spec: InputSpec

    @property
    def name(self) -> str:
        """For files, bars and tables."""
        return f"{self.architecture}-{lead_set_name(self.leads)}"

    @property
    def weights(self) -> str:
        """Name of its weights' file in the model folder."""
        return f"{self.name}.safetensors"

    @property
    def head(self) -> str:
        """Name of the file of its head, for a network that needs one."""
        return f"{self.name}-head.safetensors"

    @property
    def kind(self) -> str:
        """One of `leadset.models.registry.KINDS`."""
        return model_entry(self.architecture).kind


@dataclass(frozen=True)
class TrainingContext:
    """What training any network of a run needs; it travels to worker processes.

    Attributes:
        data: prepared recordings with labels and split.
        config: the choices of `default.toml` and what overrides them.
        space: the classes.
        folder: the model folder; unfinished work is kept in a folder inside it.
        device: ``"cpu"`` or ``"cuda"``.
        quiet: no progress bar of steps.
    """

    data: TrainingData
    config: Config
    space: LabelSpace
    folder: Path
    device: str
    quiet: bool

    @property
    def work(self) -> Path:
        """Where unfinished work is kept."""
        return self.folder / WORK_FOLDER

    def digest(self, job: Job | str) -> str:
        """Names the work of a job: anything that would change its result changes the name."""
        settings = [getattr(self.config, name) for name in _RESULT_SETTINGS]
        data = f"{self.data.fingerprint} {len(self.data.simulated)}"
        text = f"{leadset.__version__} {job} {settings} {data} {self.space} {self.device}"
        return blake2b(text.encode(), digest_size=6).hexdigest()

    def file(self, job: Job, ending: str) -> Path:
        """A file of a job's work: its state (safetensors), its summary (json), its validation answers (npy)."""
        return self.work / f"{job.name}-{self.digest(job)}.{ending}"

    def finished(self, job: Job) -> dict[str, Any]:
        """The summary of a trained network; empty where it, the weights or the validation answers are damaged."""
        try:
            np.load(self.file(job, "npy"))
            with safe_open(self.folder / job.weights, "numpy"):  # its length must be what its header says
                return read_json(self.file(job, "json"))
        except Exception:  # numpy meets damaged files with errors of many kinds
            return {}

    def lesson(self, job: Job) -> TrainingTask:
        """What the network of a job learns.

        Raises:
            NothingToLearn: the folder has nothing for it.
        """
        return TASKS[job.kind](self.data, self.config, job.spec, job.leads)

    def wanted_steps(self, job: Job) -> int:
        """Steps without a time limit, less those that an interrupted run has done."""
        unfinished = read_progress(self.file(job, "safetensors"))
        if unfinished:
            return unfinished["steps"] - unfinished["step"]
        return self.lesson(job).wanted_steps

    def build(self, job: Job) -> nn.Module:
        """The untrained network; its initial weights depend on the seed alone."""
        torch.manual_seed(self.config.seed)
        return create_network(job.architecture, job.leads, len(self.space), job.options).to(self.device)

    def measure(self, job: Job) -> Cost:
        """What training the network costs."""
        return self.lesson(job).measure(self.build(job))

    def train(self, job: Job, steps: int, seconds: float) -> dict[str, Any]:
        """Trains a network and writes weights, validation answers and summary; returns the summary.

        Args:
            job: which.
            steps: planned steps; those of an interrupted run stay as they were planned.
            seconds: after this time it stops early.
        """
        model, state_file = self.build(job), self.file(job, "safetensors")
        unfinished = read_progress(state_file)
        if unfinished:
            steps = unfinished["steps"]
        outcome = self.lesson(job).train(
            model, job.name, steps, seconds, state_file, self._logger(job), stop_requested, self.quiet
        )
        save_weights(self.folder / job.weights, model)
        with write_atomically(self.file(job, "npy"), "wb") as file:
            np.save(file, outcome.answers)
        write_json(self.file(job, "json"), outcome.summary)
        state_file.unlink(missing_ok=True)
        return outcome.summary

    def _logger(self, job: Job) -> Callable[[dict], None]:
        return lambda event: self.log({"job": job.name, **event})

    def log(self, event: dict) -> None:
        """Adds one line to `training.jsonl`."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **event}) + "\n"
        with open(self.folder / LOG_FILE, "a", encoding="utf-8") as file:
            file.write(line)


def read_json(path: Path) -> dict:
    """A JSON file's values; empty where there are none to be read."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def write_json(path: Path, values: dict) -> None:
    """Writes a JSON file atomically."""
    with write_atomically(path) as file:
        json.dump(values, file)
