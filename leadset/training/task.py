"""What differs between trainings: a task says what a batch, a loss and a validation are; the trainer does the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from leadset.anomaly.reference import Reference
from leadset.training.steps.curriculum import Curriculum
from leadset.training.steps.schedules import Schedule


class Cost(NamedTuple):
    """What training a network takes.

    Attributes:
        stepping: seconds of a step.
        validating: a step's share of the seconds of all validations.
        end: seconds of what follows the last step.
        memory: bytes of the GPU at their most; 0 without one.
    """

    stepping: float = 0.0
    validating: float = 0.0
    end: float = 0.0
    memory: int = 0

    @property
    def step(self) -> float:
        """A step with its share of the validations."""
        return self.stepping + self.validating

    def scaled(self, factor: float) -> Cost:
        """The same where everything takes so many times as long."""
        return Cost(factor * self.stepping, factor * self.validating, factor * self.end, self.memory)


#: The cost of a network that was not measured.
NOT_MEASURED = Cost()


class Validation(NamedTuple):
    """How good a network is: ``rank`` is compared with that of earlier validations, ``values`` are logged."""

    rank: tuple[float, ...]
    values: dict[str, float]


@dataclass(frozen=True)
class Outputs:
    """What a trained network says of the validation recordings.

    Attributes:
        answers: (n_valid, ...) probabilities, or features of a reconstruction model.
        values: measures of them, for the summary.
        reference: of a reconstruction model, what normal ones among them score, if there are enough.
    """

    answers: np.ndarray
    values: dict[str, Any] = field(default_factory=dict)
    reference: Reference | None = None


class TrainingTask(Protocol):
    """What one network learns, and from what; a frozen dataclass.

    Attributes:
        curriculum: what is learnt from when, with the steps that it takes without a time limit.
        valid: indices of the validation recordings.
        batch_size: recordings per step.
        weight_decay: of AdamW, for everything but biases and normalisation.
        schedule: learning rate within a phase.
        timed_recordings: validation recordings that a measurement of costs takes.
    """

    curriculum: Curriculum
    valid: np.ndarray
    batch_size: int
    weight_decay: float
    schedule: Schedule
    timed_recordings: int

    @property
    def keeps_best(self) -> bool:
        """Whether the network is validated now and then and ends with its best weights.

        Otherwise it ends with its last; so its learning rate falls in time even where time runs out before the steps.
        """

    def batches(self, curriculum: Curriculum) -> Dataset:
        """Map from step to batch, a named tuple of tensors; each a function of the seed and the step alone."""

    def loss(self, model: nn.Module, batch: NamedTuple) -> Tensor:
        """The loss of a network in training mode; the batch is on its device."""

    def clipped_apart(self, model: nn.Module) -> Iterable[Iterable[nn.Parameter]]:
        """Parameters in groups; the gradient of each group is clipped by its own norm."""

    def rates(self, model: nn.Module) -> Mapping[str, float]:
        """Learning rates of parameters by name, as shares of the schedule's; 0: fixed. Others have all of it."""

    def train_mode(self, model: nn.Module) -> None:
        """Puts a network into the mode in which it learns."""

    @property
    def validates_first(self) -> bool:
        """Whether a network is validated before its first step too, and may end as it began."""

    def validate(self, model: nn.Module) -> Validation | None:
        """Validates a network, which is left in evaluation mode; None where the last weights are kept."""

    def outputs(self, model: nn.Module, quiet: bool) -> Outputs:
        """What a trained network says of the validation recordings."""

    def describe(self) -> dict[str, Any]:
        """What is learnt from, as plain values for the summary."""


@dataclass(frozen=True)
class Tuning:
    """How a network learns that starts from weights.

    Attributes:
        head: names of the tensors that make logits.
        trunk_rate: learning rate of all others, as a share of the head's; 0: they stay as they are, and so do the
            statistics of their normalisation.
        lead_sets: that the network, of twelve leads, is to be cut to; none: it is trained for its leads alone.
    """

    head: frozenset[str]
    trunk_rate: float
    lead_sets: tuple[tuple[str, ...], ...] = ()

    def rates(self, model: nn.Module) -> dict[str, float]:
        """`TrainingTask.rates` of such a network."""
        return {name: self.trunk_rate for name, _ in model.named_parameters() if name not in self.head}

    def train_mode(self, model: nn.Module) -> None:
        """`TrainingTask.train_mode` of such a network."""
        model.train(self.trunk_rate > 0)


class NothingToLearn(ValueError):
    """A folder has nothing for a kind of network to learn from, while others can."""
