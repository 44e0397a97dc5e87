"""Training a restoring network on normal recordings: seeded, resumable at any step, inside a time limit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from leadset.anomaly.arrays import Recordings
from leadset.anomaly.attributes import Targets, asymmetric_loss, attribute_loss
from leadset.anomaly.losses import restoration_loss
from leadset.anomaly.masks import MASKINGS
from leadset.models.cross_restoration import CrossRestoration, trend_of
from leadset.models.layers.options import one_of
from leadset.models.prediction import device_of
from leadset.training.batches import step_loader
from leadset.training.checkpoint import load_state, save_state
from leadset.training.tasks.restoration_batches import RestorationBatch, RestorationBatches
from leadset.training.trainer import GRADIENT_NORM, SAVE_EVERY_S, one_cycle


def published_schedule(step: float, steps: float) -> float:
    """Learning rate as a share of its peak: a cosine from 1 to 0, 0 itself after the last step only."""
    return (1 + math.cos(math.pi * step / steps)) / 2


#: Learning rate schedules by name: step and number of steps to a share of the peak.
SCHEDULES: dict[str, Callable[[float, float], float]] = {"one_cycle": one_cycle, "published": published_schedule}


@dataclass(frozen=True)
class FitSettings:
    """How a network is trained.

    Attributes:
        masking: a name out of `leadset.anomaly.masks.MASKINGS`.
        epochs: passes over the recordings (50 as published).
        steps: number of steps instead of passes; 0: as many as the passes take.
        minutes: time limit of the steps, 0 for none; the learning rate then falls as time runs out, so that the
            result depends on the machine's speed.
        batch_size: recordings per step (32 as published).
        learning_rate: at its peak (1e-4 as published).
        schedule: a name out of `SCHEDULES`.
        weight_decay: of AdamW (1e-5 as published).
        seed: of initial weights, batches, masks and dropout.
    """

    masking: str = "full"
    epochs: int = 50
    steps: int = 0
    minutes: float = 0.0
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "one_cycle"
    weight_decay: float = 1e-5
    seed: int = 668

    def __post_init__(self) -> None:
        one_of("masking", self.masking, MASKINGS)
        one_of("schedule", self.schedule, SCHEDULES)
        if min(self.epochs, self.batch_size) < 1 or min(self.steps, self.minutes) < 0 or not self.learning_rate > 0:
            raise ValueError(f"{self}: expected positive numbers of epochs, recordings and a positive learning rate")

    def planned_steps(self, n_recordings: int) -> int:
        """Steps without a time limit."""
        return self.steps or max(1, round(self.epochs * n_recordings / self.batch_size))


def train_step(
    model: CrossRestoration,
    optimizer: torch.optim.Optimizer,
    batch: RestorationBatch,
    device: torch.device,
    targets: Targets | None = None,
    labelled: RestorationBatch | None = None,
) -> torch.Tensor:
    """One gradient step; returns the loss of restoring (and of the attributes).

    Args:
        model: in training mode.
        optimizer: of its parameters.
        batch: normal recordings.
        device: where the network is.
        targets: of a network that reads off attributes and classes.
        labelled: recordings for its classes, which may be abnormal: nothing but the class head learns from them.
    """
    record, beat, hidden, hidden_beat = (tensor.to(device, non_blocking=True) for tensor in batch[:4])
    recorded = None if batch.recorded is None else batch.recorded.to(device, non_blocking=True)
    trend = trend_of(record, recorded)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        restoration = model(record * ~hidden.unsqueeze(1), beat * ~hidden_beat.unsqueeze(1), trend)
        loss = restoration_loss(restoration, record, beat, recorded)
        if targets is not None:
            loss = loss + attribute_loss(restoration.attributes, targets.attributes[batch.members].to(device))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if labelled is not None:
        wanted = targets.classes[labelled.members].to(device)
        asymmetric_loss(model.classify(*_latents(model, labelled, device)), wanted).backward()
    for part in model.learning_apart:
        nn.utils.clip_grad_norm_(part, GRADIENT_NORM)
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def _latents(model: CrossRestoration, batch: RestorationBatch, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Fused latents of whole recordings and latents of their trends; running statistics stay those of normal ones."""
    record, beat = batch.record.to(device), batch.beat.to(device)
    model.eval()
    recorded = None if batch.recorded is None else batch.recorded.to(device)
    latents = model.encode(record, beat, trend_of(record, recorded))
    fused, _ = model.cross_attention(latents.record, latents.beat)
    model.train()
    return fused, latents.trend


class Fit:
    """Trains one network; the last weights are the trained ones, so that nothing is chosen by what it is tested on.

    Args:
        model: freshly built, already on its device.
        recordings: prepared, of the network's transform.
        beats: R peaks of each.
        indices: which recordings to learn from.
        settings: how.
        state_file: where the unfinished run is kept.
        stop_requested: asked before every step; true means that the run was interrupted.
        targets: of a network that reads off attributes and classes.
    """

    def __init__(
        self,
        model: CrossRestoration,
        recordings: Recordings,
        beats: Sequence[np.ndarray],
        indices: np.ndarray,
        settings: FitSettings,
        state_file: Path,
        stop_requested: Callable[[], bool] = lambda: False,
        targets: Targets | None = None,
    ) -> None:
        self.stop_requested, self.targets = stop_requested, targets
        self.model, self.settings, self.state_file = model, settings, state_file
        self.device = device_of(model)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.step, self.seconds, self.steps = 0, 0.0, settings.planned_steps(len(indices))

        def batches(beats: Sequence[np.ndarray], indices: np.ndarray, masking: str) -> RestorationBatches:
            return RestorationBatches(
                recordings, beats, indices, model.leads, model.input_spec, masking, settings.batch_size, self.steps,
                settings.seed,
            )  # fmt: skip

        self.batches = batches(beats, indices, settings.masking)
        self.labelled = None if targets is None else batches(targets.beats, targets.labelled, "none")
        restored = load_state(state_file, model, self.optimizer)
        if restored is not None:
            self.step, self.seconds = (restored[1][key] for key in ("step", "seconds"))

    @property
    def _progress(self) -> float:
        """Share of the run that is over, in steps or in time, whichever is further."""
        of_time = self.seconds / (60 * self.settings.minutes) if self.settings.minutes else 0.0
        return max(self.step / self.steps, of_time)

    def save(self) -> None:
        """Writes the state from which the same run can go on."""
        progress = {"step": self.step, "steps": self.steps, "seconds": self.seconds}
        save_state(self.state_file, self.model, self.optimizer, None, progress)

    def run(self, title: str = "restoration", quiet: bool = False) -> dict:
        """Trains to the end or to an interrupt; returns how it went, as plain values."""
        self.model.train()
        share = SCHEDULES[self.settings.schedule]
        batches = step_loader(self.batches, self.step, self.device)
        labelled = repeat(None) if self.labelled is None else step_loader(self.labelled, self.step, self.device)
        spent, started = self.seconds, time.monotonic()
        saved, losses = started, []
        with tqdm(total=self.steps, initial=self.step, desc=title, unit="step", leave=False, disable=quiet) as bar:
            try:
                while self._progress < 1:
                    if self.stop_requested():
                        raise KeyboardInterrupt
                    for group in self.optimizer.param_groups:
                        group["lr"] = self.settings.learning_rate * share(self._progress * self.steps, self.steps)
                    given = next(batches), self.device, self.targets, next(labelled)
                    losses.append(float(train_step(self.model, self.optimizer, *given)))
                    self.step += 1
                    self.seconds = spent + time.monotonic() - started
                    bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
                    bar.update()
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        self.save()
                        saved = time.monotonic()
            except KeyboardInterrupt:
                self.save()
                raise
        self.model.eval()
        loss = float(np.mean(losses[-50:])) if losses else None
        return {**asdict(self.settings), "steps": self.step, "seconds": round(self.seconds, 1), "loss": loss}
