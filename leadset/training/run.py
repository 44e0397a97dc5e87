"""`train_model.py` in one piece: every architecture on every lead set, then the entry that answers with them."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import leadset
from leadset.classes import LabelSpace, label_space
from leadset.config import Config, load_config
from leadset.decision import DecisionRule
from leadset.files import write_atomically
from leadset.leads import lead_set_name
from leadset.manifest import Manifest, Member, TrainedSet
from leadset.models import create_model, list_models
from leadset.preprocess import InputSpec
from leadset.training.checkpoint import read_progress, save_weights
from leadset.training.data import TrainingData, load_training_data
from leadset.training.ensemble import fit_weights
from leadset.training.loop import Task, Trainer, seconds_per_step
from leadset.training.plan import TimeLimit, affordable_steps, deadline
from leadset.training.thresholds import fit_thresholds

WORK_FOLDER = "work"
LOG_FILE = "training.jsonl"
SPLIT_FILE = "split.csv"


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


class Run:
    """One call of `train_model.py`, or the continuation of one that was interrupted.

    Args:
        data_folder: recordings with labels.
        model_folder: where the entry goes; unfinished work is kept in a folder inside it.
        config: the choices of `leadset.toml`.
    """

    def __init__(self, data_folder: str | Path, model_folder: str | Path, config: Config) -> None:
        self.data_folder, self.folder, self.config = Path(data_folder), Path(model_folder), config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.preset = config.preset
        if self.preset == "auto":
            self.preset = "published" if self.device.type == "cuda" else "compact"
        self.space: LabelSpace = label_space(config.label_space)
        self.work = self.folder / WORK_FOLDER
        self.jobs = list(self._jobs())

    def _jobs(self) -> Iterator[Job]:
        names = list_models("classifier") if "all" in self.config.architectures else self.config.architectures
        for leads in sorted(self.config.lead_sets, key=len, reverse=True):
            for name in names:
                options = self.config.options(name, self.preset)
                spec = create_model(name, leads, len(self.space), **options).input_spec
                yield Job(name, options, leads, spec)

    # --- the run -----------------------------------------------------------------------------------------------

    def execute(self) -> Manifest:
        """Trains what is not trained yet and writes the entry; see `train_entry`."""
        self.work.mkdir(parents=True, exist_ok=True)
        self.limit = TimeLimit(self.config.time_limit_hours * 3600)
        self.data = self._load_data()
        clock_file = self.work / f"clock-{self._digest('clock')}.json"
        self.limit.spent = _read_json(clock_file).get("seconds", 0.0)
        members = {}
        try:
            costs = self._measure()
            for i, job in enumerate(self.jobs):
                others = sum(costs[later.name] * self._wanted_steps(later) for later in self.jobs[i + 1 :])
                members[job.name] = self._member(job, costs[job.name], others)
                _write_json(clock_file, {"seconds": self.limit.used})
        finally:
            _write_json(clock_file, {"seconds": self.limit.used})
        manifest = self._finish(members)
        if not self.config.keep_work:
            shutil.rmtree(self.work)
        return manifest

    def _load_data(self) -> TrainingData:
        cache = Path(self.config.cache) if self.config.cache else self.work / "store"
        data = load_training_data(
            self.data_folder,
            [job.spec.transform for job in self.jobs],
            cache,
            self.space,
            self.config.validation_share,
            self.config.seed,
            self.config.workers,
            [(job.spec.transform, job.leads) for job in self.jobs if job.spec.beats],
        )
        data.write_split(self.folder / SPLIT_FILE)
        self._log({"event": "data", **data.counts(), "fingerprint": data.fingerprint, "preset": self.preset})
        counts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in data.counts().items())
        print(f"recordings: {counts}; device {self.device.type}, preset {self.preset}")
        for failure in data.failures[:5]:
            print(f"  skipped: {failure.message}")
        if len(data.failures) > 5:
            print(f"  … and {len(data.failures) - 5} more, all listed in {self.folder / SPLIT_FILE}")
        return data

    def _measure(self) -> dict[str, float]:
        """Seconds per step of every job, measured once per run and kept for its continuation."""
        file = self.work / f"costs-{self._digest('costs')}.json"
        costs = _read_json(file)
        missing = [job for job in self.jobs if job.name not in costs]
        for job in tqdm(missing, desc="measure", unit="network", leave=False):
            costs[job.name] = seconds_per_step(self._build(job), self._task(job))
            _write_json(file, costs)
        return costs

    def _wanted_steps(self, job: Job) -> int:
        return max(self.config.epochs * self._task(job).steps_per_epoch, self.config.min_steps)

    def _task(self, job: Job) -> Task:
        return Task(
            store=self.data.stores[job.spec.transform],
            labels=self.data.labels,
            train=self.data.train,
            valid=self.data.valid,
            leads=job.leads,
            spec=job.spec,
            seed=self.config.seed,
            batch_size=self.config.batch_size,
            learning_rate=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            beats=self.data.beats[job.spec.transform, job.leads] if job.spec.beats else None,
        )

    def _build(self, job: Job) -> nn.Module:
        torch.manual_seed(self.config.seed)
        return create_model(job.architecture, job.leads, len(self.space), **job.options).to(self.device)

    def _digest(self, job: Job | str) -> str:
        """Names the work of a job: anything that would change its result changes the name."""
        settings = [getattr(self.config, name) for name in _RESULT_SETTINGS]
        text = f"{leadset.__version__} {job} {settings} {self.data.fingerprint} {self.device.type}"
        return blake2b(text.encode(), digest_size=6).hexdigest()

    def _member(self, job: Job, cost: float, others: float) -> tuple[Member, np.ndarray]:
        """The trained network of a job, from this run or from the one that it continues."""
        digest = self._digest(job)
        done_file = self.work / f"{job.name}-{digest}.json"
        answers_file = done_file.with_suffix(".npy")
        state_file = done_file.with_suffix(".safetensors")
        weights = f"{job.name}.safetensors"
        summary = _read_json(done_file)
        if not summary:
            wanted = self._wanted_steps(job)
            unfinished = read_progress(state_file)
            steps = unfinished["steps"] if unfinished else affordable_steps(wanted, cost, others, self.limit.left)
            stop = deadline(self.limit.left, cost * wanted, others)
            model = self._build(job)
            outcome = Trainer(model, self._task(job), steps, state_file, self._logger(job), stop).run(job.name)
            save_weights(self.folder / weights, model)
            with write_atomically(answers_file, "wb") as file:
                np.save(file, outcome.probabilities)
            summary = {**outcome.summary, "seconds_per_step": cost}
            _write_json(done_file, summary)
            state_file.unlink(missing_ok=True)
        probabilities = np.load(answers_file)
        rule = self._rule(probabilities)
        return Member(job.architecture, job.options, job.spec, weights, rule, summary), probabilities

    def _rule(self, probabilities: np.ndarray) -> DecisionRule:
        provenance = {"split": SPLIT_FILE, "part": self.data.valid_name, "seed": self.config.seed}
        return fit_thresholds(probabilities, self.data.labels[self.data.valid], self.space, provenance)

    def _finish(self, members: dict[str, tuple[Member, np.ndarray]]) -> Manifest:
        """Joins the networks of each lead set and writes `entry.json`."""
        labels = self.data.labels[self.data.valid]
        sets = []
        for leads in sorted(self.config.lead_sets, key=len, reverse=True):
            chosen = [members[job.name] for job in self.jobs if job.leads == leads]
            weights = fit_weights([probabilities for _, probabilities in chosen], labels)
            rule = self._rule(np.tensordot(weights, np.stack([p for _, p in chosen]), axes=1))
            sets.append(TrainedSet(leads, tuple(member for member, _ in chosen), weights, rule))
            value, part = rule.provenance["value"], self.data.valid_name
            print(f"{lead_set_name(leads):>6} leads: Challenge metric {value:.3f} on {part} (thresholds fitted there)")
        prior = self.data.labels[self.data.train].mean(axis=0)
        provenance = {
            "versions": {"leadset": leadset.__version__, "torch": torch.__version__, "numpy": np.__version__},
            "seed": self.config.seed,
            "preset": self.preset,
            "device": self.device.type,
            "data": {**self.data.counts(), "fingerprint": self.data.fingerprint, "split": SPLIT_FILE},
            "seconds": round(self.limit.used, 1),
        }
        manifest = Manifest(self.config.label_space, self.space.keys, prior, tuple(sets), provenance)
        manifest.write(self.folder)
        self._log({"event": "done", "seconds": round(self.limit.used, 1)})
        return manifest

    def _logger(self, job: Job) -> Callable[[dict], None]:
        return lambda event: self._log({"job": job.name, **event})

    def _log(self, event: dict) -> None:
        """Adds one line to `training.jsonl`."""
        with open(self.folder / LOG_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **event}) + "\n")


# Settings that change what a network learns; with others changed, an interrupted run can still go on.
_RESULT_SETTINGS = (
    "label_space",
    "seed",
    "epochs",
    "min_steps",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "validation_share",
)


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _write_json(path: Path, values: dict) -> None:
    with write_atomically(path) as file:
        json.dump(values, file)


def train_entry(data_folder: str | Path, model_folder: str | Path, config: Config | None = None) -> Manifest:
    """Trains an entry on a folder of recordings.

    A run that was interrupted or killed goes on where it stopped when it is started again with the same data, model
    folder and configuration.

    Args:
        data_folder: recordings with labels, nested as they are published.
        model_folder: made if missing.
        config: by default `leadset.config.load_config`.

    Raises:
        OSError: no such data folder, or the model folder cannot be written.
        ValueError: nothing to learn from, or a configuration that does not fit; the message says what.
    """
    run = Run(data_folder, model_folder, config or load_config())
    try:
        return run.execute()
    except KeyboardInterrupt:
        print(f"\ninterrupted: start the same command again to go on ({run.work} keeps the state)", file=sys.stderr)
        raise
