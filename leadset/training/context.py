"""One network of a run: what it is, and training it here or in a worker process."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import leadset
from leadset.anomaly.detector import DetectorFiles
from leadset.anomaly.reference import Reference
from leadset.classes import LabelSpace
from leadset.config import Config
from leadset.config_rules import SHIPPED, SIMULATED
from leadset.entry.manifest import WORK_FOLDER
from leadset.leads import lead_set_name
from leadset.models import create_network, model_entry
from leadset.models.shipped import load_universal, write_shipped
from leadset.preprocess import InputSpec
from leadset.training.checkpoint import read_progress
from leadset.training.data import TrainingData
from leadset.training.distributed import is_leader
from leadset.training.normals import TOO_FEW
from leadset.training.start import Start, head_axes, nearest_classes, simulated_start, started_network
from leadset.training.task import Cost, TrainingTask, Tuning
from leadset.training.tasks.registry import TASKS
from leadset.training.trainer import Deadline, Outcome, RunContext, Trainer, measure, measure_answering
from leadset.utils.files import write_atomically
from leadset.utils.gpu_memory import with_peak
from leadset.utils.weights import read_arrays, read_tensors, save_weights, write_arrays
from leadset.utils.workers import stop_requested

LOG_FILE = "training.jsonl"
SPLIT_FILE = "split.csv"

# Settings that change what a network learns; with others changed, an interrupted run can still go on.
_RESULT_SETTINGS = (
    *("seed", "epochs", "min_steps", "batch_size", "learning_rate", "weight_decay", "validation_share"),
    *("loss", "schedule"),
    *("pretrain", "start", "reconstruction_steps"),
)


@dataclass(frozen=True)
class Job:
    """One network to train: an architecture with its options on a lead set.

    Attributes:
        architecture, options, leads: what it is. spec: its input.
        start: the weights that it starts from; None: nothing.
        cut_to: lead sets that it serves, of a network of twelve leads that is to be cut to them; none: its own alone.
    """

    architecture: str
    options: dict[str, Any]
    leads: tuple[str, ...]
    spec: InputSpec
    start: Start | None = None
    cut_to: tuple[tuple[str, ...], ...] = ()

    @property
    def serves(self) -> tuple[tuple[str, ...], ...]:
        """The lead sets that it answers for."""
        return self.cut_to or (self.leads,)

    @property
    def all_leads(self) -> tuple[tuple[str, ...], ...]:
        """Those that it is trained on, and the lead sets that it answers for."""
        return (self.leads, *self.cut_to)

    @property
    def name(self) -> str:
        """For files, bars and tables."""
        return self.architecture if self.cut_to else f"{self.architecture}-{lead_set_name(self.leads)}"

    @property
    def weights(self) -> str:
        """Name of its weights' file in the model folder."""
        return f"{self.name}.safetensors"

    @property
    def head(self) -> str:
        """Name of the file of its head, for a network that needs one."""
        return f"{self.name}-head.safetensors"

    @property
    def reference(self) -> str:
        """Name of the file of what normal recordings score, for a reconstruction model."""
        return f"{self.name}-reference.safetensors"

    @property
    def kind(self) -> str:
        """One of `leadset.models.registry.KINDS`."""
        return model_entry(self.architecture).kind


class Trained(NamedTuple):
    """Summary of a trained network; steps and seconds of this call."""

    summary: dict[str, Any]
    steps: int
    seconds: float


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
        """A file of a job's work: its state (safetensors) or its summary (json)."""
        return self.work / f"{job.name}-{self.digest(job)}.{ending}"

    def answers_file(self, job: Job, leads: tuple[str, ...]) -> Path:
        """The validation answers of the network of a job on one of the lead sets that it serves."""
        return self.file(job, f"{lead_set_name(leads)}.answers")

    def answers(self, job: Job, leads: tuple[str, ...]) -> np.ndarray:
        """What is in that file.

        Raises:
            OSError, ValueError, KeyError: it is missing or damaged.
        """
        return read_arrays(self.answers_file(job, leads))["answers"]

    def simulated_answers(self, job: Job, leads: tuple[str, ...]) -> np.ndarray:
        """Answers (n, k) of `_simulated_weights` to the recordings of `fit_recordings`.

        Raises:
            OSError, ValueError, KeyError: it is missing or damaged.
        """
        return read_arrays(self.answers_file(job, leads))["simulated_weights"]

    def fit_recordings(self, job: Job) -> np.ndarray:
        """Training recordings that calibration, weights and thresholds are fitted to beside the validation part.

        `_simulated_weights` answer them; without these there are none.
        """
        lacking = self.config.start.fitted_to - len(self.data.valid)
        if lacking <= 0 or not self.data.has_validation_part or self._simulated_weights(job) is None:
            return np.zeros(0, dtype=int)
        return np.sort(np.random.default_rng(self.config.seed).permutation(self.data.train)[:lacking])

    def _simulated_weights(self, job: Job) -> Start | None:
        """Weights from simulation alone that answer training recordings in place of a classifier, which has seen them.

        None for a network that starts with other classes, or from the weights of a folder: those from simulation
        answer too unlike it.
        """
        ships = job.start is not None and self.config.start.weights in (SHIPPED, SIMULATED)
        if job.kind != "classifier" or not ships or self._new_classes(job):
            return None
        start = simulated_start(job.architecture, job.leads)
        return start if start is not None and start.has_options(job.architecture, job.options) else None

    def finished(self, job: Job) -> dict[str, Any]:
        """The summary of a trained network; empty where it, the weights or the validation answers are damaged."""
        try:
            for leads in job.serves:
                self.answers(job, leads)
                if len(self.fit_recordings(job)):
                    self.simulated_answers(job, leads)
            files = self.detector_files(job)
            for name in (job.weights, *([files.reference] if files and files.reference else [])):
                read_tensors(self.folder / name)
            return {} if files is None and job.kind != "classifier" else read_json(self.file(job, "json"))
        except (OSError, ValueError, KeyError):
            return {}

    def summary(self, job: Job, leads: tuple[str, ...]) -> dict[str, Any]:
        """How the network of a job was trained, with what it started from and measures on one of its lead sets."""
        summary = self.finished(job)
        by_lead_set = summary.pop("by_lead_set", {})
        summary |= by_lead_set.get(lead_set_name(leads), {})
        if job.start is None:
            return summary | {"start": None}
        start = {"weights": job.start.about, "file": job.start.path.name, "digest": job.start.digest}
        if job.kind == "classifier":
            start["new_classes"] = self._new_classes(job)
        return summary | {"start": start}

    def task(self, job: Job) -> TrainingTask:
        """What the network of a job learns.

        Raises:
            NothingToLearn: the folder has nothing for it.
        """
        return self._task(job, job.leads)

    def _task(self, job: Job, leads: tuple[str, ...]) -> TrainingTask:
        return TASKS[job.kind](self.data, self.config, job.spec, leads, self._tuning(job))

    def _tuning(self, job: Job) -> Tuning | None:
        """How the network of a job is tuned; None of one that starts from nothing."""
        if job.start is None:
            return None
        head = head_axes(job.architecture, job.leads, job.options, self.space)
        start = self.config.start
        return Tuning(frozenset(head), 0.0 if start.freeze else start.trunk_rate, job.cut_to)

    def is_fixed(self, job: Job) -> bool:
        """Whether the network of a job stays as it starts: a reconstruction model, which has no head, if frozen."""
        return job.start is not None and self.config.start.freeze and job.kind != "classifier"

    def wanted_steps(self, job: Job) -> int:
        """Steps without a time limit, less those that an interrupted run has done."""
        if self.is_fixed(job):
            return 0
        unfinished = read_progress(self.file(job, "safetensors"))
        if unfinished:
            return unfinished["steps"] - unfinished["step"]
        return self.task(job).curriculum.steps

    def build(self, job: Job) -> nn.Module:
        """The network as its training begins; what is not from weights depends on the seed alone."""
        torch.manual_seed(self.config.seed)
        if job.start is None:
            return self._untrained(job, job.leads).to(self.device)
        return started_network(job.architecture, job.leads, self.space, job.options, job.start).to(self.device)

    def _untrained(self, job: Job, leads: tuple[str, ...]) -> nn.Module:
        return create_network(job.architecture, leads, len(self.space), job.options)

    def measure(self, job: Job) -> Cost:
        """What training the network costs.

        Nothing is trained before all networks are measured, so that one that cannot learn is found here.

        Raises:
            ValueError: the network does not do what it should; the message names it. Other errors have a note.
        """
        try:
            cost, memory = with_peak(partial(self._cost, job), self.device)
        except ValueError as error:
            raise ValueError(f"{job.name}: {error}") from error
        except Exception as error:
            error.add_note(f"This is the network {job.name}.")
            raise
        return cost._replace(memory=memory)

    def _cost(self, job: Job) -> Cost:
        model, task = self.build(job), self.task(job)
        if self.is_fixed(job):
            return Cost(end=measure_answering(model, task))
        answers = len(job.serves) * (1 + len(self.fit_recordings(job)) / max(len(task.valid), 1))
        return measure(model, task, answers)

    def train(self, job: Job, steps: int, deadline: Deadline) -> Trained:
        """Trains a network and writes weights, validation answers and summary; the leader writes, if there are several.

        Args:
            job: which.
            steps: planned steps; those of an interrupted run stay as they were planned.
            deadline: when it must be over; the clock is the same in all processes of a machine.
        """
        started = time.monotonic()
        model, state_file = self.build(job), self.file(job, "safetensors")
        unfinished = read_progress(state_file)
        if unfinished:
            steps = unfinished["steps"]
        context = RunContext(
            state_file, job.name, self._logger(job), stop_requested, deadline=deadline, quiet=self.quiet
        )
        if self.is_fixed(job):
            outcome = Outcome({"steps": 0}, 0)
        else:
            outcome = Trainer(model, self.task(job), steps, context).run()
        if not is_leader():
            return Trained(outcome.summary, outcome.steps, time.monotonic() - started)
        if not self.is_fixed(job):
            self._blend(job, model)
        summary = outcome.summary | self._write(job, model.eval())
        write_json(self.file(job, "json"), summary)
        state_file.unlink(missing_ok=True)
        return Trained(summary, outcome.steps, time.monotonic() - started)

    def _blend(self, job: Job, model: nn.Module) -> None:
        """Puts a tuned network between its weights and those it started from, where it started with all of them."""
        share = self.config.start.blend
        if job.start is None or share == 1 or self._new_classes(job):
            return
        started = self.build(job).state_dict()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(started[name].lerp(tensor, share))

    def _new_classes(self, job: Job) -> list[str]:
        """Abbreviations of the classes that the weights of a classifier do not know."""
        known = nearest_classes(self.space, job.start)
        names = self.space.abbreviations if job.kind == "classifier" else ()
        return [name for i, name in enumerate(names) if i not in known]

    def _write(self, job: Job, model: nn.Module) -> dict[str, Any]:
        """Writes weights and what they answer; returns measures of the answers, and those of each lead set served."""
        path = self.folder / job.weights
        if job.cut_to:
            write_shipped(model, self.space.keys, {"data": f"tuned from {job.start.about}"}, self.folder)
        else:
            save_weights(path, model)
        by_leads = {}
        for leads in job.serves:
            if job.cut_to:
                model = load_universal(path, partial(self._untrained, job, leads), leads).eval().to(self.device)
            outputs = self._task(job, leads).outputs(model, self.quiet)
            self._write_detector(job, outputs.reference)
            answers = {"answers": outputs.answers, **self._answers_to_fit(job, leads)}
            write_arrays(self.answers_file(job, leads), answers)
            by_leads[lead_set_name(leads)] = outputs.values
        return {**next(iter(by_leads.values())), "by_lead_set": by_leads} if job.cut_to else outputs.values

    def _answers_to_fit(self, job: Job, leads: tuple[str, ...]) -> dict[str, np.ndarray]:
        """What `simulated_answers` reads; empty without `fit_recordings`."""
        recordings = self.fit_recordings(job)
        if not len(recordings):
            return {}
        start = self._simulated_weights(job)
        model = started_network(job.architecture, leads, self.space, job.options, start).to(self.device)
        task = replace(self._task(job, leads), valid=recordings)
        return {"simulated_weights": task.outputs(model.eval(), self.quiet).answers}

    def _write_detector(self, job: Job, reference: Reference | None) -> None:
        """Writes what normal validation recordings score, of a reconstruction model."""
        if job.kind == "classifier":
            return
        files = DetectorFiles(part=f"fewer than {TOO_FEW} normal recordings among those of the validation")
        if reference is not None:
            files = DetectorFiles(reference=job.reference, n=reference.n, part=reference.part)
            files.write_reference(self.folder, reference)
        write_json(self.file(job, "detector.json"), files.to_json())

    def detector_files(self, job: Job) -> DetectorFiles | None:
        """How the detector of a job scores, and its reference; None of a classifier."""
        values = read_json(self.file(job, "detector.json"))
        return DetectorFiles.from_json(values) if values else None

    def _logger(self, job: Job) -> Callable[[dict], None]:
        return lambda event: self.log({"job": job.name, **event})

    def log(self, event: dict) -> None:
        """Adds one line to `training.jsonl`."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **event}) + "\n"
        with open(self.folder / LOG_FILE, "a", encoding="utf-8") as file:
            file.write(line)


def read_json(path: Path) -> dict:
    """The values that `write_json` wrote; empty where there are none, or they are damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = content["values"]
        return values if content["crc32"] == _checksum(values) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_json(path: Path, values: dict) -> None:
    """Writes a JSON file with a checksum, atomically."""
    with write_atomically(path) as file:
        json.dump({"crc32": _checksum(values), "values": values}, file)


def _checksum(values: dict) -> int:
    return zlib.crc32(json.dumps(values).encode())
