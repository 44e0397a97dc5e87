"""What networks are trained for: classes, or to reconstruct normal recordings; one task for each kind of network."""

from __future__ import annotations

from collections.abc import Callable

from leadset.config import Config
from leadset.preprocess import InputSpec
from leadset.training.data import TrainingData
from leadset.training.task import TrainingTask
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.tasks.restoration import RestorationTask

#: The task of a network of each of `leadset.models.registry.KINDS` in a run.
#: It raises `leadset.training.task.NothingToLearn` where the folder has nothing for it.
TASKS: dict[str, Callable[[TrainingData, Config, InputSpec, tuple[str, ...]], TrainingTask]] = {
    "classifier": ClassificationTask.of,
    "reconstruction": RestorationTask.of,
}
