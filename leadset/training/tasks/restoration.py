"""The task of a reconstruction model: normal recordings, masked; it answers with features of anomaly scores.

The last weights are the trained ones, so that nothing is chosen by what the model is tested on. A head that is fitted
afterwards makes probabilities of the features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from leadset.anomaly.arrays import Recordings
from leadset.anomaly.attributes import Targets
from leadset.anomaly.detector import Detector
from leadset.anomaly.features import feature_names, score_features
from leadset.anomaly.losses import class_loss, normal_loss
from leadset.anomaly.metrics import detection_auc
from leadset.anomaly.reference import Reference
from leadset.config import Config
from leadset.preprocess import InputSpec
from leadset.training.data import TrainingData
from leadset.training.normals import TOO_FEW, balanced_by_source
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.training.steps.pretraining import tuning_steps
from leadset.training.steps.schedules import SCHEDULES, Schedule
from leadset.training.task import NothingToLearn, Outputs, Tuning, Validation
from leadset.training.tasks.restoration_batches import MaskedBatches, RestorationBatch, RestorationBatches
from leadset.training.tasks.restoration_settings import RestorationSettings
from leadset.waves.beats import Beats

#: Normal validation recordings that the reference of an entry is made of at most: their maps are held in memory.
MOST_REFERENCE = 500


@dataclass(frozen=True)
class RestorationTask:
    """What a reconstruction model learns from; see `leadset.training.task.TrainingTask`.

    Attributes:
        recordings: prepared, of the network's transform.
        r_peaks: (beats,) of each recording that is learnt from.
        normal: indices of those to learn from, with repetitions where small sources are to count more.
        leads: lead set.
        spec: the network's input.
        settings: of the training.
        valid: indices of those that are scored for the head; without any there is nothing to answer.
        beats: reliable beats of each of these.
        abnormal: (n,) bool of the recordings.
        targets: of a network that reads off attributes and classes.
        reference_part: what the normal validation recordings are, for the provenance of the reference.
        simulated: how many of the recordings to learn from are simulated.
        tuning: of a network that starts from weights; None of one that starts from nothing.
        draw_rows: as of `MaskedBatches`.
    """

    recordings: Recordings
    r_peaks: Sequence[np.ndarray]
    normal: np.ndarray
    leads: tuple[str, ...]
    spec: InputSpec
    settings: RestorationSettings
    valid: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    beats: Sequence[Beats] = ()
    abnormal: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    targets: Targets | None = None
    reference_part: str = ""
    simulated: int = 0
    tuning: Tuning | None = None
    draw_rows: Callable[[np.random.Generator], list[int]] | None = None
    validates_first: ClassVar[bool] = False
    keeps_best: ClassVar[bool] = False
    timed_recordings: ClassVar[int] = 8

    @classmethod
    def of(
        cls,
        data: TrainingData,
        config: Config,
        spec: InputSpec,
        leads: tuple[str, ...],
        tuning: Tuning | None = None,
    ) -> RestorationTask:
        """The task of a network in a run; see `leadset.training.tasks.registry.TASKS`.

        Where real normal recordings are too few, simulated ones are learnt from beside them.

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
                f"{len(normal)} recordings to learn from have sinus rhythm as their only label, "
                f"expected at least {TOO_FEW}"
            )
        steps, rate = max(round(config.epochs * len(normal) / config.batch_size), config.min_steps), 1.0
        if tuning is not None:
            steps, rate = tuning_steps(steps, config), config.start.rate
        settings = RestorationSettings(
            steps=max(1, round(config.reconstruction_steps * steps)),
            batch_size=config.batch_size,
            learning_rate=rate * config.learning_rate,
            weight_decay=config.weight_decay,
            seed=config.seed,
        )
        beats = data.contexts_for(spec, leads).beats[True]
        return cls(
            recordings=store,
            r_peaks=_RPeaks(beats),
            normal=balanced_by_source(store, normal),
            leads=leads,
            spec=spec,
            settings=settings,
            valid=data.valid,
            beats=beats,
            abnormal=abnormal,
            reference_part=f"normal recordings of the {data.valid_name} part",
            simulated=len(np.intersect1d(normal, data.simulated)),
            tuning=tuning,
        )

    @property
    def batch_size(self) -> int:
        """Recordings per step."""
        return self.settings.batch_size

    @property
    def weight_decay(self) -> float:
        """Of AdamW, for everything but biases and normalisation."""
        return self.settings.weight_decay

    @property
    def schedule(self) -> Schedule:
        """Learning rate as a share of its peak."""
        return SCHEDULES[self.settings.schedule]

    @cached_property
    def curriculum(self) -> Curriculum:
        """One phase of normal recordings."""
        steps = self.settings.planned_steps(len(self.normal))
        return Curriculum((Phase("normal", Pool(self.normal), steps, self.settings.learning_rate),))

    def batches(self, curriculum: Curriculum) -> RestorationBatches:
        """The training batches of a curriculum."""
        settings = self.settings

        def masked(indices: Curriculum, r_peaks: Sequence[np.ndarray], **choices: Any) -> MaskedBatches:
            return MaskedBatches(
                self.recordings, r_peaks, indices, leads=self.leads, spec=self.spec, batch_size=settings.batch_size,
                seed=settings.seed, draw_rows=self.draw_rows, **choices,
            )  # fmt: skip

        targets = self.targets
        if targets is None:
            return RestorationBatches(masked(curriculum, self.r_peaks, masking=settings.masking), None)
        labelled = Curriculum((Phase("labelled", Pool(targets.labelled), curriculum.steps, 0.0),))
        return RestorationBatches(
            masked(curriculum, self.r_peaks, masking=settings.masking, targets=targets.attributes),
            masked(labelled, targets.r_peaks, masking="none", targets=targets.classes),
        )

    def loss(self, model: nn.Module, batch: RestorationBatch) -> Tensor:
        """Loss of the reconstruction, and of attributes and classes where the network reads them off."""
        loss = normal_loss(model, batch.normal)
        return loss if batch.labelled is None else loss + class_loss(model, batch.labelled)

    def clipped_apart(self, model: nn.Module) -> Iterable[Iterable[nn.Parameter]]:
        """The parameters of the reconstruction, and those of the class head."""
        return model.learning_apart

    def rates(self, model: nn.Module) -> Mapping[str, float]:
        """All parameters learn alike; they have no head, which is fitted afterwards."""
        return {}

    def train_mode(self, model: nn.Module) -> None:
        """Training mode."""
        model.train()

    def validate(self, model: nn.Module) -> Validation | None:
        """The last weights are kept."""
        return None

    def outputs(self, model: nn.Module, quiet: bool) -> Outputs:
        """Features (n_valid, d), the AUROC of detecting abnormal ones by the score, and what normal ones score."""
        if not len(self.valid):
            return Outputs(np.zeros((0, len(feature_names(self.leads)))))
        detector, abnormal = Detector(model), self.abnormal[self.valid]
        kept = _spread(np.flatnonzero(~abnormal), MOST_REFERENCE)
        features, scores, normal = [], [], []
        for i, recording in enumerate(tqdm(self.valid, "score", unit="rec", leave=False, disable=quiet)):
            score = detector.score_or_none(*self.recordings[recording], self.beats[recording])
            features.append(score_features(score, self.leads))
            scores.append(np.nan if score is None else score.score)
            if score is not None and i in kept:
                normal.append(score)
        reference = Reference.of(normal, self.reference_part, self.leads) if len(normal) >= TOO_FEW else None
        known = np.isfinite(scores)
        area = detection_auc(abnormal[known], np.array(scores)[known])
        values = {"valid_auroc": None if np.isnan(area) else round(area, 6)}
        return Outputs(np.stack(features), values, reference)

    def describe(self) -> dict[str, Any]:
        """Numbers of recordings, whatever their repetitions."""
        return {"recordings": len(np.unique(self.normal)), "simulated": self.simulated}


class _RPeaks(Sequence):
    """R peaks (n,) int of recordings by index, out of their beats."""

    def __init__(self, beats: Sequence[Beats]) -> None:
        self._beats = beats

    def __len__(self) -> int:
        return len(self._beats)

    def __getitem__(self, i: int) -> np.ndarray:
        return self._beats[i].r_peaks


def _spread(indices: np.ndarray, most: int) -> set[int]:
    """At most so many of these indices, evenly spread."""
    places = np.linspace(0, max(len(indices) - 1, 0), min(len(indices), most)).round().astype(int)
    return set(indices[places].tolist())
