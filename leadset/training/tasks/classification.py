"""The task of a classifier: the classes of all training recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from leadset.config import Config
from leadset.models.extra_inputs import RecordingContext
from leadset.models.prediction import predict
from leadset.preprocess import InputSpec
from leadset.scoring.metrics import macro
from leadset.store.packed import Store
from leadset.training.data import TrainingData
from leadset.training.steps.batches import Batch, StepBatches
from leadset.training.steps.curriculum import Curriculum
from leadset.training.steps.lead_dropout import LeadDropout
from leadset.training.steps.losses import LOSSES, Loss
from leadset.training.steps.partial_labels import cross_entropy, known_auroc, log_loss, mean_of_known
from leadset.training.steps.pretraining import training_curriculum, tuning_curriculum
from leadset.training.steps.schedules import CLASSIFIER_SCHEDULES, Schedule, one_cycle
from leadset.training.task import Outputs, Tuning, Validation

VALIDATION_GROUP = 32
# The log loss of a validation takes probabilities beyond this for 0 and 1.
_LEAST = 1e-7


@dataclass(frozen=True)
class ClassificationTask:
    """What a classifier learns from; see `leadset.training.task.TrainingTask`.

    Attributes:
        store: prepared recordings, of the network's transform.
        labels: (len(store), k) float32, 1, 0, or NaN where unknown.
        curriculum: what is learnt from when, with the steps that it takes without a time limit.
        valid: indices into the store; without any, the last weights are kept instead of the best.
        leads: lead set.
        spec: the network's input.
        seed: of batches, dropout and initial weights.
        batch_size, weight_decay: see the configuration.
        contexts: of the recordings of the store, for a network with extra inputs.
        tuning: of a network that starts from weights; None of one that starts from nothing.
        of_targets: the loss (`leadset.training.steps.losses`).
        schedule: of the learning rate.
    """

    store: Store
    labels: np.ndarray
    curriculum: Curriculum
    valid: np.ndarray
    leads: tuple[str, ...]
    spec: InputSpec
    seed: int
    batch_size: int
    weight_decay: float
    contexts: Sequence[RecordingContext] = ()
    tuning: Tuning | None = None
    of_targets: Loss = cross_entropy
    schedule: Schedule = one_cycle
    timed_recordings: ClassVar[int] = 2 * VALIDATION_GROUP

    @classmethod
    def of(
        cls,
        data: TrainingData,
        config: Config,
        spec: InputSpec,
        leads: tuple[str, ...],
        tuning: Tuning | None = None,
    ) -> ClassificationTask:
        """The task of a network in a run; see `leadset.training.tasks.registry.TASKS`."""
        return cls(
            store=data.stores[spec.transform],
            labels=data.targets,
            curriculum=(tuning_curriculum if tuning else training_curriculum)(data, config),
            valid=data.valid,
            leads=leads,
            spec=spec,
            seed=config.seed,
            batch_size=config.batch_size,
            weight_decay=config.weight_decay,
            contexts=data.contexts_for(spec, leads),
            tuning=tuning,
            of_targets=LOSSES[config.loss],
            schedule=CLASSIFIER_SCHEDULES[config.schedule],
        )

    @property
    def keeps_best(self) -> bool:
        """Whether there is anything to validate on."""
        return len(self.valid) > 0

    def input_of(self, i: int) -> tuple:
        """What `leadset.models.prediction.predict` takes for recording ``i`` of the store."""
        return (*self.store[i], self.contexts[i]) if self.spec.extra else self.store[i]

    def batches(self, curriculum: Curriculum) -> StepBatches:
        """The training batches of a curriculum."""
        lead_sets = self.tuning.lead_sets if self.tuning else ()
        return StepBatches(
            self.store, curriculum, self.labels, leads=self.leads, spec=self.spec, batch_size=self.batch_size,
            seed=self.seed, contexts=self.contexts, draw_rows=LeadDropout(lead_sets) if lead_sets else None,
        )  # fmt: skip

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss of the targets that are known.

        Raises:
            ValueError: logits of another shape than the targets.
        """
        logits = model(batch.windows, batch.mask, **batch.extra)
        if logits.shape != batch.labels.shape:
            found, expected = tuple(logits.shape), tuple(batch.labels.shape)
            raise ValueError(f"found logits of shape {found}, expected {expected}")
        return self.of_targets(logits.float(), batch.labels)

    def clipped_apart(self, model: nn.Module) -> Iterable[Iterable[nn.Parameter]]:
        """All parameters together."""
        return (model.parameters(),)

    def rates(self, model: nn.Module) -> Mapping[str, float]:
        """All learn alike, unless the network is tuned."""
        return self.tuning.rates(model) if self.tuning else {}

    def train_mode(self, model: nn.Module) -> None:
        """Training mode; evaluation mode of a network that is frozen but for its head."""
        if self.tuning:
            self.tuning.train_mode(model)
        else:
            model.train()

    @property
    def validates_first(self) -> bool:
        """What starts from weights may be best as it is."""
        return self.tuning is not None and self.keeps_best

    def probabilities(self, model: nn.Module) -> np.ndarray:
        """Probabilities (n_valid, k) of the validation recordings; leaves the network in evaluation mode."""
        model.eval()
        recordings = (self.input_of(i) for i in self.valid)
        answers = list(predict(model, recordings, self.leads, self.spec, VALIDATION_GROUP))
        return np.array(answers).reshape(len(answers), self.labels.shape[1])

    def validate(self, model: nn.Module) -> Validation | None:
        """Macro AUROC and log loss; compared in this order, so that the loss decides where AUROC cannot."""
        if not self.keeps_best:
            return None
        return validation_of(self.labels[self.valid], self.probabilities(model))

    def outputs(self, model: nn.Module, quiet: bool) -> Outputs:
        """Probabilities of the validation recordings."""
        answers = self.probabilities(model)
        return Outputs(answers, validation_of(self.labels[self.valid], answers).values if self.keeps_best else {})

    def describe(self) -> dict[str, Any]:
        """The phases of the curriculum say all there is to say."""
        return {}


def validation_of(targets: np.ndarray, probabilities: np.ndarray) -> Validation:
    """Macro AUROC, 0 where it is not defined, and log loss of probabilities (n, k), where the target is known."""
    loss = mean_of_known(log_loss(targets, probabilities, _LEAST), targets)
    area = macro(known_auroc(targets, probabilities))
    area = 0.0 if math.isnan(area) else round(area, 6)
    return Validation((area, -loss), {"valid_auroc": area, "valid_loss": loss})
