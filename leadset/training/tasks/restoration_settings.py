"""How a reconstruction model is trained, without PyTorch: what a command line offers."""

from __future__ import annotations

from dataclasses import dataclass

from leadset.anomaly.masks import MASKINGS
from leadset.models.layers.options import one_of
from leadset.training.steps.schedules import SCHEDULES


@dataclass(frozen=True)
class RestorationSettings:
    """How a reconstruction model is trained.

    Attributes:
        masking: a name out of `leadset.anomaly.masks.MASKINGS`.
        epochs: passes over the recordings (50 as published).
        steps: number of steps instead of passes; 0: as many as the passes take.
        minutes: time limit of the steps, 0 for none; the learning rate then falls as time runs out, so that the
            result depends on the machine's speed.
        batch_size: recordings per step (32 as published).
        learning_rate: at its peak (1e-4 as published).
        schedule: a name out of `leadset.training.steps.schedules.SCHEDULES`.
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
