"""Training one network: AdamW, a schedule, best or last weights, resumable at any step, inside a deadline."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from leadset.models.prediction import device_of
from leadset.training.checkpoint import load_state, save_state
from leadset.training.distributed import agreed, each_tensor, is_leader, shared
from leadset.training.steps.batches import step_loader
from leadset.training.steps.curriculum import Phase
from leadset.training.task import NOT_MEASURED, Cost, TrainingTask, Validation

GRADIENT_NORM = 1.0
# A kill loses at most this many seconds of training.
SAVE_EVERY_S = 60.0
# Steps whose mean loss stands for the last ones; steps that a measurement of costs takes after the first.
_LAST_STEPS, _TIMED_STEPS = 50, 2


def _forget(event: dict) -> None:
    """Logs nothing."""


def _never() -> bool:
    """Is never interrupted but by an exception."""
    return False


@dataclass(frozen=True)
class Deadline:
    """When a training must be over, and what is known of its costs.

    Attributes:
        at: `time.monotonic` value by which the training, with what follows its last step, is over; it is never over
            before its first step.
        cost: of the network, as expected.
        following: seconds, as expected, of what the run has to do after this training in any case. Where this training
            is slower than expected, these are taken to be so too, and it ends so much earlier.
    """

    at: float = math.inf
    cost: Cost = NOT_MEASURED
    following: float = 0.0


NO_DEADLINE = Deadline()


@dataclass(frozen=True)
class RunContext:
    """What surrounds the training of a network.

    Attributes:
        state_file: where the unfinished training is kept.
        title: of the progress bar.
        log: called with a dictionary now and then.
        stop_requested: asked before every step; true means that the run was interrupted.
        deadline: when it must be over.
        quiet: no progress bar.
    """

    state_file: Path
    title: str = "train"
    log: Callable[[dict], None] = _forget
    stop_requested: Callable[[], bool] = _never
    deadline: Deadline = NO_DEADLINE
    quiet: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a training went, and the steps of this call."""

    summary: dict[str, Any]
    steps: int


def build_optimizer(
    model: nn.Module, weight_decay: float, rates: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation gains are not decayed.

    Args:
        model: its parameters without a learning rate no longer require gradients.
        weight_decay: of the others.
        rates: as of `TrainingTask.rates`; each group of parameters keeps its own as ``"share"``.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        share = (rates or {}).get(name, 1.0)
        parameter.requires_grad_(parameter.requires_grad and share > 0)
        if parameter.requires_grad:
            groups.setdefault((share, parameter.ndim > 1), []).append(parameter)
    order = sorted(groups, key=lambda key: (-key[0], not key[1]))
    return torch.optim.AdamW(
        {"params": groups[key], "weight_decay": weight_decay if key[1] else 0.0, "share": key[0]} for key in order
    )


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with all its tensors on a device: named tuples and dictionaries of tensors, None stays None."""
    return each_tensor(lambda tensor: tensor.to(device, non_blocking=True), batch)


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, task: TrainingTask, batch: NamedTuple) -> Tensor:
    """One gradient step; returns the loss. bf16 autocast on a GPU."""
    device = device_of(model)
    batch = to_device(batch, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        loss = task.loss(model, batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for parameters in task.clipped_apart(model):
        nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
    optimizer.step()
    return loss.detach()


def _ratio(taken: float, expected: float) -> float:
    """How many times as long as expected something took; 0 where nothing was expected."""
    return taken / expected if expected else 0.0


class _Clock:
    """When a training must stop, so that what follows its last step ends by the deadline too.

    Costs were measured before; where steps or validations take longer, whatever follows is taken to do so as well.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.started = time.monotonic()
        self._longest_step, self._longest_validation, self._stepping, self._steps = 0.0, 0.0, 0.0, 0

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def allowed(self) -> float:
        """Seconds that the steps may take altogether."""
        cost = self.deadline.cost
        # What follows the last step validates twice: the last weights, then those that are kept.
        validating = 2 * self._longest_validation
        slower = max(1.0, _ratio(self._stepping, self._steps * cost.stepping), _ratio(validating, cost.end))
        end = max(cost.end * slower, validating) + (slower - 1) * self.deadline.following
        return self.deadline.at - end - self.started

    @property
    def is_over(self) -> bool:
        """Whether another step would end too late."""
        return self.passed + self._longest_step > self.allowed

    def count_step(self, seconds: float) -> None:
        """Learns how long a step took."""
        self._stepping, self._steps = self._stepping + seconds, self._steps + 1
        if self._steps > 1:  # the first one prepares much that the others find done
            self._longest_step = max(self._longest_step, seconds)

    def count_validation(self, seconds: float) -> None:
        """Learns how long a validation took."""
        self._longest_validation = max(self._longest_validation, seconds)


class Trainer:
    """Trains one network for a number of steps.

    Args:
        model: freshly built, already on its device.
        task: what it learns.
        steps: planned number of steps; the curriculum of the task is scaled to them. A state of another plan is not
            gone on with.
        context: what surrounds it.
    """

    def __init__(self, model: nn.Module, task: TrainingTask, steps: int, context: RunContext) -> None:
        self.model, self.task, self.steps, self.context = model, task, steps, context
        self.curriculum = task.curriculum.scaled(steps)
        self.optimizer = build_optimizer(model, task.weight_decay, task.rates(model))
        self.step, self.seconds, self.best = 0, 0.0, None
        self.best_validation = Validation((), {})
        self._last_losses: deque[Tensor] = deque(maxlen=_LAST_STEPS)
        restored = load_state(context.state_file, model, self.optimizer, steps)
        if restored is not None:
            self.best, progress = restored
            self.step, self.seconds = progress["step"], progress["seconds"]
            rank, values = progress["best_validation"]
            self.best_validation = Validation(tuple(rank), values)
        self._learning = shared(model)

    def save(self) -> None:
        """Writes the state from which the same training can go on."""
        if not is_leader():
            return
        progress = {
            "step": self.step, "steps": self.steps, "seconds": self.seconds,
            "best_validation": self.best_validation,
        }  # fmt: skip
        save_state(self.context.state_file, self.model, self.optimizer, self.best, progress)

    def run(self) -> Outcome:
        """Trains to the end or to the deadline; the network then holds its best weights, or its last.

        Raises:
            KeyboardInterrupt: interrupted, after the state has been saved.
        """
        self.task.train_mode(self.model)
        batches = step_loader(self.task.batches(self.curriculum), self.step, device_of(self.model))
        losses: list[Tensor] = []
        clock, first, before = _Clock(self.context.deadline), self.step, self.seconds
        saved = clock.started
        bar = tqdm(
            total=self.steps, initial=self.step, desc=self.context.title, unit="step", leave=False,
            disable=self.context.quiet or not is_leader(),
        )  # fmt: skip
        with bar:
            try:
                if self.step == 0 and self.task.validates_first:
                    self._report(self.curriculum.phases[0], losses, clock)
                while self.step < self.steps and (self.step == 0 or not agreed(clock.is_over)):
                    if agreed(self.context.stop_requested()):
                        raise KeyboardInterrupt
                    phase, within = self._step(batches, losses, clock, before)
                    self.seconds = before + clock.passed
                    bar.update()
                    if self._due(phase, within) and self.step < self.steps:
                        self._report(phase, losses, clock)
                        bar.set_postfix(self._shown(), refresh=False)
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        self.save()
                        saved = time.monotonic()
            except KeyboardInterrupt:
                self.save()
                raise
            self._report(self.curriculum.at(self.step - 1)[0], losses, clock)
        if self.best is not None:
            self.model.load_state_dict(self.best)
        self.model.eval()
        return Outcome(self._summary(), self.step - first)

    def _step(
        self, batches: Iterator[NamedTuple], losses: list[Tensor], clock: _Clock, before: float
    ) -> tuple[Phase, int]:
        """Does the next step; returns its phase and how many steps of that are done."""
        started = time.monotonic()
        position: float = self.step
        if not self.task.keeps_best:
            passed = agreed((before + clock.passed) / max(before + clock.allowed, 1e-9))
            position = max(self.step, min(passed, 1.0) * self.steps)
        phase, within = self.curriculum.at(min(position, math.nextafter(self.steps, 0)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * phase.learning_rate * self.task.schedule(within, phase.steps)
        loss = train_step(self._learning, self.optimizer, self.task, next(batches))
        losses.append(loss)
        self._last_losses.append(loss)
        phase, within = self.curriculum.at(self.step)
        self.step += 1
        clock.count_step(time.monotonic() - started)
        return phase, within + 1

    def _due(self, phase: Phase, step: int) -> bool:
        """Whether there is something to report after so many steps of a phase; there always is at its end."""
        return step % phase.report_steps(self.task.batch_size) == 0 or step == phase.steps

    def _report(self, phase: Phase, losses: list[Tensor], clock: _Clock) -> None:
        """Logs the loss since the last report; validates the network and keeps it if it is the best so far."""
        if not is_leader():
            losses.clear()
            return
        event = {"step": self.step, "steps": self.steps, "phase": phase.name}
        event["train_loss"] = float(torch.stack(losses).mean()) if losses else None
        losses.clear()
        started = time.monotonic()
        validation = self.task.validate(self.model)
        if validation is not None:
            clock.count_validation(time.monotonic() - started)
            if self.best is None or validation.rank > self.best_validation.rank:
                self.best_validation = validation
                self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            event |= validation.values
            self.task.train_mode(self.model)
        self.context.log(event)

    def _shown(self) -> dict[str, str]:
        """Beside the progress bar."""
        if self.best is not None:
            return {name: f"{value:.3f}" for name, value in self.best_validation.values.items()}
        return {"loss": f"{float(torch.stack(list(self._last_losses)).mean()):.3f}"}

    def _summary(self) -> dict[str, Any]:
        """How the training went, as plain values."""
        phases, first = [], 0
        for phase in self.curriculum.phases:
            steps = min(max(self.step - first, 0), phase.steps)
            first += phase.steps
            epochs = round(steps / phase.epoch_steps(self.task.batch_size), 2)
            pool = {"recordings": len(phase.pool.every), "mixed_in": len(phase.pool) - len(phase.pool.every)}
            phases.append({"name": phase.name, "steps": steps, "epochs": epochs, **pool})
        losses = [float(loss) for loss in self._last_losses]
        return {
            "steps": self.step,
            "planned_steps": self.steps,
            "phases": phases,
            "seconds": round(self.seconds, 2),
            "train_loss": float(np.mean(losses)) if losses else None,
            **self.task.describe(),
            **self.best_validation.values,
        }


def measure(model: nn.Module, task: TrainingTask, answers: float = 1) -> Cost:
    """What training a network costs.

    Args:
        model: of the architecture; thrown away afterwards.
        task: what it learns.
        answers: how often validation recordings are answered after the training.
    """
    device, curriculum = device_of(model), task.curriculum.scaled(1 + _TIMED_STEPS)
    optimizer = build_optimizer(model, task.weight_decay, task.rates(model))
    batches = step_loader(task.batches(curriculum), 0, device)
    task.train_mode(model)
    learning = shared(model)
    train_step(learning, optimizer, task, next(batches))
    started = time.perf_counter()
    for batch in batches:
        float(train_step(learning, optimizer, task, batch))
    per_step = (time.perf_counter() - started) / _TIMED_STEPS
    answering = measure_answering(model, task)
    if not task.keeps_best:
        return Cost(per_step, 0.0, answers * answering)
    phases = task.curriculum.phases
    validations = sum(phase.steps // phase.report_steps(task.batch_size) for phase in phases) + task.validates_first
    # At the end the last weights are validated, then the best ones answer.
    return Cost(per_step, answering * validations / task.curriculum.steps, (1 + answers) * answering)


def measure_answering(model: nn.Module, task: TrainingTask) -> float:
    """Seconds in which a network answers all validation recordings."""
    some = replace(task, valid=task.valid[: task.timed_recordings])
    started = time.perf_counter()
    some.outputs(model.eval(), quiet=True)
    return (time.perf_counter() - started) / len(some.valid) * len(task.valid)
