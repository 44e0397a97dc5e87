"""What differs between kinds of networks: what they learn from, how, and what they say of the validation recordings.

A classifier learns from every training recording and answers with probabilities. A restorer learns from the normal ones
alone and answers with features, from which a head that is fitted afterwards makes probabilities.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from torch import nn
from tqdm import tqdm

from leadset.anomaly import answers
from leadset.anomaly.metrics import detection_auc
from leadset.config import Config
from leadset.preprocess import InputSpec
from leadset.store.beat_store import BeatStore
from leadset.store.packed import Store
from leadset.training.checkpoint import read_progress
from leadset.training.data import TrainingData
from leadset.training.normals import TOO_FEW, balanced_by_source
from leadset.training.pretraining import training_curriculum
from leadset.training.tasks.restoration_fit import Fit, FitSettings, train_step
from leadset.training.trainer import Outcome, Task, Trainer, seconds_per_step

# Steps and validation recordings that a measurement of costs takes.
_TIMED_STEPS, _TIMED_RECORDINGS = 2, 8


class Cost(NamedTuple):
    """Seconds of training a network: each step, and what follows the last one."""

    step: float
    end: float


class TrainingTask(Protocol):
    """What one network learns, and from what."""

    @property
    def wanted_steps(self) -> int:
        """Steps without a time limit."""

    def measure(self, model: nn.Module) -> Cost:
        """Measured on a network that is thrown away afterwards."""

    def train(
        self,
        model: nn.Module,
        title: str,
        steps: int,
        seconds: float,
        state_file: Path,
        log: Callable[[dict], None],
        stop_requested: Callable[[], bool],
        quiet: bool,
    ) -> Outcome:
        """Trains a network, or goes on with it; it then holds the trained weights.

        Args:
            model: freshly built, already on its device.
            title: of the progress bar.
            steps: planned number of steps.
            seconds: after this time it stops early, though never before its first step.
            state_file: where the unfinished run is kept.
            log: called with a dictionary now and then.
            stop_requested: asked before every step; true means that the run was interrupted.
            quiet: no progress bar.

        Raises:
            KeyboardInterrupt: interrupted, after the state has been saved.
        """


@dataclass(frozen=True)
class Classifying:
    """The classes of all training recordings."""

    task: Task

    @property
    def wanted_steps(self) -> int:
        """As a `TrainingTask`."""
        return self.task.course.steps

    def measure(self, model: nn.Module) -> Cost:
        """As a `TrainingTask`."""
        return Cost(seconds_per_step(model, self.task), 0.0)

    def train(self, model, title, steps, seconds, state_file, log, stop_requested, quiet) -> Outcome:
        """As a `TrainingTask`."""
        deadline = time.monotonic() + seconds
        return Trainer(model, self.task, steps, state_file, log, deadline, stop_requested).run(title, quiet)


@dataclass(frozen=True)
class Restoring:
    """Normal recordings, those of training whose only label is sinus rhythm.

    Attributes:
        store: prepared recordings, of the network's transform.
        beats: their R peaks.
        normal: indices of those to learn from, balanced by source.
        valid: indices of those that are scored for the head.
        abnormal: (len(store),) bool.
        settings: of the training.
        simulated: how many of the recordings to learn from are simulated.
    """

    store: Store
    beats: BeatStore
    normal: np.ndarray
    valid: np.ndarray
    abnormal: np.ndarray
    settings: FitSettings
    simulated: int = 0

    @property
    def wanted_steps(self) -> int:
        """As a `TrainingTask`."""
        return self.settings.steps

    def _fit(self, model: nn.Module, settings: FitSettings, *more) -> Fit:
        return Fit(model, self.store, answers.RPeaks(self.beats), self.normal, settings, *more)

    def measure(self, model: nn.Module) -> Cost:
        """As a `TrainingTask`."""
        fit = self._fit(model.train(), replace(self.settings, steps=1 + _TIMED_STEPS), Path())
        train_step(model, fit.optimizer, fit.batches[0], fit.device)
        started = time.perf_counter()
        for step in range(1, 1 + _TIMED_STEPS):
            float(train_step(model, fit.optimizer, fit.batches[step], fit.device))
        per_step, some = (time.perf_counter() - started) / _TIMED_STEPS, self.valid[:_TIMED_RECORDINGS]
        started = time.perf_counter()
        replace(self, valid=some).answers(model.eval(), quiet=True)
        return Cost(per_step, (time.perf_counter() - started) / len(some) * len(self.valid))

    def train(self, model, title, steps, seconds, state_file, log, stop_requested, quiet) -> Outcome:
        """As a `TrainingTask`."""
        spent = (read_progress(state_file) or {"seconds": 0.0})["seconds"]
        settings = replace(self.settings, steps=steps, minutes=(spent + max(seconds, 1e-3)) / 60)
        told = self._fit(model, settings, state_file, stop_requested).run(title, quiet)
        features, score = self.answers(model, quiet)
        summary = {
            "steps": told["steps"],
            "planned_steps": steps,
            "epochs": round(told["steps"] * settings.batch_size / len(self.normal), 2),
            "recordings": len(np.unique(self.normal)),
            "simulated": self.simulated,
            "seconds": told["seconds"],
            "train_loss": told["loss"],
            "valid_auroc": score,
        }
        log({"step": told["steps"], "steps": steps, "train_loss": told["loss"], "valid_auroc": score})
        return Outcome(features, summary)

    def answers(self, model: nn.Module, quiet: bool) -> tuple[np.ndarray, float | None]:
        """Features (n_valid, d) of the validation recordings, and the AUROC of detecting abnormal ones by the score."""
        features, scores, model = [], [], model.folded()
        for i in tqdm(self.valid, "score", unit="rec", leave=False, disable=quiet):
            found = answers.score(model, *self.store[i], self.beats[i])
            features.append(answers.features(found, model.leads))
            scores.append(np.nan if found is None else found.score)
        known = np.isfinite(scores)
        area = detection_auc(self.abnormal[self.valid][known], np.array(scores)[known])
        return np.stack(features), None if np.isnan(area) else round(area, 6)


def classifying(data: TrainingData, config: Config, spec: InputSpec, leads: tuple[str, ...]) -> Classifying:
    """The lesson of a classifier."""
    task = Task(
        store=data.stores[spec.transform],
        labels=data.targets,
        course=training_curriculum(data, config),
        valid=data.valid,
        leads=leads,
        spec=spec,
        seed=config.seed,
        batch_size=config.batch_size,
        weight_decay=config.weight_decay,
        contexts=data.contexts_for(spec, leads),
    )
    return Classifying(task)


def restoring(data: TrainingData, config: Config, spec: InputSpec, leads: tuple[str, ...]) -> Restoring:
    """The lesson of a restorer; where real normal recordings are too few, simulated ones are learnt from beside them.

    Raises:
        NothingToLearn: there are too few normal recordings.
    """
    store = data.stores[spec.transform]
    abnormal = data.abnormal
    normal = data.train[~abnormal[data.train]]
    if len(normal) < TOO_FEW:
        normal = np.append(normal, data.simulated[~abnormal[data.simulated]])
    if len(normal) < TOO_FEW:
        raise NothingToLearn(
            f"{len(normal)} recordings to learn from have sinus rhythm as their only label, expected at least {TOO_FEW}"
        )
    steps = max(round(config.epochs * len(normal) / config.batch_size), config.min_steps)
    steps = max(1, round(config.restorer_steps * steps))
    settings = FitSettings(
        steps=steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        seed=config.seed,
    )
    balanced = balanced_by_source(store, normal)
    simulated = len(np.intersect1d(normal, data.simulated))
    beats = data.contexts_for(spec, leads).beats[True]
    return Restoring(store, beats, balanced, data.valid, abnormal, settings, simulated)


class NothingToLearn(ValueError):
    """A folder has nothing for a kind of network to learn from, while others can."""


#: What a network of each of `leadset.models.registry.KINDS` learns.
TASKS: dict[str, Callable[[TrainingData, Config, InputSpec, tuple[str, ...]], TrainingTask]] = {
    "classifier": classifying,
    "reconstruction": restoring,
}
