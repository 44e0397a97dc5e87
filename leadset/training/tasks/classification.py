"""The task of a classifier: the classes of all training recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from leadset.config import Config
from leadset.models.prediction import predict
from leadset.preprocess import InputSpec
from leadset.scoring.metrics import auroc, macro
from leadset.store.beat_store import BeatStore
from leadset.store.packed import Store
from leadset.training.batches import Batch, StepBatches
from leadset.training.curriculum import Curriculum
from leadset.training.data import TrainingData
from leadset.training.pretraining import training_curriculum
from leadset.training.schedules import Schedule, one_cycle
from leadset.training.task import Outputs, Validation
from leadset.utils.probabilities import log_loss

VALIDATION_GROUP = 32
# The log loss of a validation takes probabilities beyond this for 0 and 1.
_LEAST = 1e-7


@dataclass(frozen=True)
class ClassificationTask:
    """What a classifier learns from; see `leadset.training.task.TrainingTask`.

    Attributes:
        store: prepared recordings, of the network's transform.
        labels: (len(store), k) bool.
        curriculum: what is learnt from when, with the steps that it takes without a time limit.
        valid: indices into the store; without any, the last weights are kept instead of the best.
        leads: lead set.
        spec: the network's input.
        seed: of batches, dropout and initial weights.
        batch_size, weight_decay: see the configuration.
        beats: of the recordings of the store, for a network that asks for them.
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
    beats: BeatStore | None = None
    schedule: ClassVar[Schedule] = staticmethod(one_cycle)
    timed_recordings: ClassVar[int] = 2 * VALIDATION_GROUP

    @classmethod
    def of(cls, data: TrainingData, config: Config, spec: InputSpec, leads: tuple[str, ...]) -> ClassificationTask:
        """The task of a network in a run."""
        return cls(
            store=data.stores[spec.transform],
            labels=data.labels,
            curriculum=training_curriculum(data, config),
            valid=data.valid,
            leads=leads,
            spec=spec,
            seed=config.seed,
            batch_size=config.batch_size,
            weight_decay=config.weight_decay,
            beats=data.beats_for(spec, leads),
        )

    @property
    def keeps_best(self) -> bool:
        """Whether there is anything to validate on."""
        return len(self.valid) > 0

    def input_of(self, i: int) -> tuple:
        """What `leadset.models.prediction.predict` takes for recording ``i`` of the store."""
        return self.store[i] if self.beats is None else (*self.store[i], self.beats[i])

    def batches(self, curriculum: Curriculum) -> StepBatches:
        """The training batches of a curriculum."""
        return StepBatches(
            self.store, curriculum, self.labels, leads=self.leads, spec=self.spec, batch_size=self.batch_size,
            seed=self.seed, beats=self.beats,
        )  # fmt: skip

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean binary cross-entropy."""
        logits = model(batch.windows, batch.mask, **batch.told)
        return F.binary_cross_entropy_with_logits(logits.float(), batch.labels)

    def clipped_apart(self, model: nn.Module) -> Iterable[Iterable[nn.Parameter]]:
        """All parameters together."""
        return (model.parameters(),)

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
        return Outputs(self.probabilities(model))

    def describe(self) -> dict[str, Any]:
        """The phases of the curriculum say all there is to say."""
        return {}


def validation_of(labels: np.ndarray, probabilities: np.ndarray) -> Validation:
    """Macro AUROC, 0 where it is not defined, and log loss of probabilities (n, k)."""
    area, loss = macro(auroc(labels, probabilities)), float(log_loss(labels, probabilities, _LEAST).mean())
    area = 0.0 if math.isnan(area) else round(area, 6)
    return Validation((area, -loss), {"valid_auroc": area, "valid_loss": loss})
