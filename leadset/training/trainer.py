"""Training one network: AdamW, one-cycle schedule, best validation kept, resumable at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from leadset.models.extra_inputs import RecordingContext
from leadset.models.prediction import predict
from leadset.preprocess import InputSpec
from leadset.scoring.metrics import macro
from leadset.store.packed import Store
from leadset.training.batches import Batch, StepBatches, step_loader
from leadset.training.checkpoint import load_state, save_state
from leadset.training.curriculum import Curriculum, Phase
from leadset.training.partial_labels import cross_entropy, known_auroc, log_loss, mean_of_known

# One-cycle: share of the steps in which the rate rises, and how far below its peak it starts and ends.
WARM_UP_SHARE = 0.2
START_DIVISOR, END_DIVISOR = 25.0, 1e4
GRADIENT_NORM = 1.0
# A kill loses at most this many seconds of training.
SAVE_EVERY_S = 60.0
VALIDATION_GROUP = 32


@dataclass(frozen=True)
class Task:
    """What one network is trained on.

    Attributes:
        store: prepared recordings, of the network's transform.
        labels: (len(store), k) float32, 1, 0, or NaN where unknown.
        course: what is learnt from when, with the steps that it would take without a time limit.
        valid: indices into the store; without any, the last weights are kept instead of the best.
        leads: lead set.
        spec: the network's input.
        seed: of batches, dropout and initial weights.
        batch_size, weight_decay: see `default.toml`.
        contexts: of the recordings of the store, for a network with extra inputs.
    """

    store: Store
    labels: np.ndarray
    course: Curriculum
    valid: np.ndarray
    leads: tuple[str, ...]
    spec: InputSpec
    seed: int
    batch_size: int
    weight_decay: float
    contexts: Sequence[RecordingContext] = ()

    def input_of(self, i: int) -> tuple:
        """What `leadset.models.prediction.predict` takes for recording ``i`` of the store."""
        return (*self.store[i], self.contexts[i]) if self.spec.extra else self.store[i]

    def batches(self, course: Curriculum) -> StepBatches:
        """The training batches of that course."""
        return StepBatches(
            self.store, course, self.labels, self.leads, self.spec, self.batch_size, self.seed, self.contexts
        )

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """AdamW; biases and normalisation gains are not decayed."""
        decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW([g for g in groups if g["params"]])


@dataclass(frozen=True)
class Outcome:
    """What a trained network says of the validation recordings (n_valid, ...), and how it came about."""

    answers: np.ndarray
    summary: dict


def one_cycle(step: int, steps: int) -> float:
    """Learning rate as a share of its peak (Smith and Topin, 2019, with cosine flanks)."""
    rise = max(1.0, WARM_UP_SHARE * steps)
    if step < rise:
        start = 1 / START_DIVISOR
        return start + (1 - start) * (1 - math.cos(math.pi * step / rise)) / 2
    fall = (step - rise) / max(1.0, steps - rise)
    return 1 / END_DIVISOR + (1 - 1 / END_DIVISOR) * (1 + math.cos(math.pi * fall)) / 2


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, device: torch.device) -> Tensor:
    """One gradient step on the mean binary cross-entropy of known targets; returns the loss. bf16 autocast on a GPU."""
    windows, labels = batch.windows.to(device, non_blocking=True), batch.labels.to(device, non_blocking=True)
    mask = None if batch.mask is None else batch.mask.to(device, non_blocking=True)
    extra = {name: values.to(device, non_blocking=True) for name, values in batch.extra.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        loss = cross_entropy(model(windows, mask, **extra).float(), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
    optimizer.step()
    return loss.detach()


def validate(model: nn.Module, task: Task) -> np.ndarray:
    """Probabilities (n_valid, k) of the validation recordings; leaves the network in evaluation mode."""
    model.eval()
    recordings = (task.input_of(i) for i in task.valid)
    answers = list(predict(model, recordings, task.leads, task.spec, VALIDATION_GROUP))
    return np.array(answers).reshape(len(answers), task.labels.shape[1])


def validation_score(targets: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """Macro AUROC and negative log loss; compared in this order, so that the loss decides where AUROC cannot."""
    loss = mean_of_known(log_loss(targets, probabilities, 1e-7), targets)
    area = macro(known_auroc(targets, probabilities))
    return (0.0 if math.isnan(area) else round(area, 6)), -loss


class Trainer:
    """Trains one network for a number of steps.

    Args:
        model: freshly built, already on its device.
        task: what it learns.
        steps: planned number of steps; the course of the task is scaled to them.
        state_file: where the unfinished run is kept.
        log: called with a dictionary after each validation.
        deadline: `time.monotonic` value after which it stops early, though never before its first step.
        stop_requested: asked before every step; true means that the run was interrupted.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        steps: int,
        state_file: Path,
        log: Callable[[dict], None],
        deadline: float = math.inf,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model, self.task, self.steps, self.course = model, task, steps, task.course.scaled(steps)
        self.state_file, self.log, self.deadline, self.stop_requested = state_file, log, deadline, stop_requested
        self.device = next(model.parameters()).device
        self.optimizer = task.optimizer(model)
        self.step, self.seconds, self.best_score, self.best = 0, 0.0, (-1.0, -math.inf), None
        restored = load_state(state_file, model, self.optimizer)
        if restored is not None and restored[1]["steps"] == steps:
            self.best, progress = restored
            self.step, self.seconds = progress["step"], progress["seconds"]
            self.best_score = tuple(progress["best_score"])

    def save(self) -> None:
        """Writes the state from which the same run can go on."""
        progress = {"step": self.step, "steps": self.steps, "seconds": self.seconds, "best_score": self.best_score}
        save_state(self.state_file, self.model, self.optimizer, self.best, progress)

    def _validate(self, phase: Phase, losses: list[Tensor]) -> None:
        event = {"step": self.step, "steps": self.steps, "phase": phase.name}
        event["train_loss"] = float(torch.stack(losses).mean()) if losses else None
        losses.clear()
        if len(self.task.valid):
            score = validation_score(self.task.labels[self.task.valid], validate(self.model, self.task))
            if self.best is None or score > self.best_score:
                self.best_score = score
                self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            event |= {"valid_auroc": score[0], "valid_loss": -score[1]}
        self.log(event)
        self.model.train()

    def _due(self, phase: Phase, step: int) -> bool:
        """Whether the network is validated after so many steps of a phase: after every epoch and at its end."""
        return step % phase.epoch_steps(self.task.batch_size) == 0 or step == phase.steps

    def run(self, title: str, quiet: bool = False) -> Outcome:
        """Trains to the end or to the deadline; the network then holds its best weights, its last without validation.

        Raises:
            KeyboardInterrupt: interrupted, after the state has been saved.
        """
        self.model.train()
        batches = step_loader(self.task.batches(self.course), self.step, self.device)
        losses: list[Tensor] = []
        started = saved = time.monotonic()
        spent_before = self.seconds
        with tqdm(total=self.steps, initial=self.step, desc=title, unit="step", leave=False, disable=quiet) as bar:
            try:
                while self.step < self.steps and (self.step == 0 or time.monotonic() < self.deadline):
                    if self.stop_requested():
                        raise KeyboardInterrupt
                    phase, within = self.course.at(self.step)
                    for group in self.optimizer.param_groups:
                        group["lr"] = phase.learning_rate * one_cycle(within, phase.steps)
                    losses.append(train_step(self.model, self.optimizer, next(batches), self.device))
                    self.step += 1
                    self.seconds = spent_before + time.monotonic() - started
                    bar.update()
                    if self._due(phase, within + 1) and self.step < self.steps:
                        self._validate(phase, losses)
                        bar.set_postfix(auroc=f"{self.best_score[0]:.3f}")
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        self.save()
                        saved = time.monotonic()
            except KeyboardInterrupt:
                self.save()
                raise
            self._validate(self.course.at(self.step - 1)[0], losses)
        if self.best is not None:
            self.model.load_state_dict(self.best)
        return Outcome(validate(self.model, self.task), self._summary())

    def _summary(self) -> dict:
        done = {"steps": self.step, "planned_steps": self.steps, "phases": []}
        first = 0
        for phase in self.course.phases:
            steps = min(max(self.step - first, 0), phase.steps)
            first += phase.steps
            epochs = round(steps / phase.epoch_steps(self.task.batch_size), 2)
            pool = {"recordings": len(phase.pool.every), "mixed_in": len(phase.pool) - len(phase.pool.every)}
            done["phases"].append({"name": phase.name, "steps": steps, "epochs": epochs, **pool})
        done["seconds"] = round(self.seconds, 2)
        if self.best is not None:
            done |= {"valid_auroc": self.best_score[0], "valid_loss": -self.best_score[1]}
        return done


def seconds_per_step(model: nn.Module, task: Task) -> float:
    """Measured seconds of a training step, validation included, on a network that is thrown away afterwards."""
    timed_steps = 2
    device = next(model.parameters()).device
    course = task.course.scaled(timed_steps + 1)
    optimizer, batches = task.optimizer(model), step_loader(task.batches(course), 0, device)
    model.train()
    train_step(model, optimizer, next(batches), device)
    started = time.perf_counter()
    for batch in batches:
        float(train_step(model, optimizer, batch, device))
    per_step = (time.perf_counter() - started) / timed_steps
    some = task.valid[: 2 * VALIDATION_GROUP]
    started = time.perf_counter()
    validate(model, replace(task, valid=some))
    per_validation = (time.perf_counter() - started) / len(some) * len(task.valid)
    validations = sum(1 + phase.steps // phase.epoch_steps(task.batch_size) for phase in task.course.phases)
    return per_step + per_validation * validations / task.course.steps
