"""The task of each kind of network."""

from __future__ import annotations

from collections.abc import Callable

from leadset.training.task import TrainingTask
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.tasks.restoration import RestorationTask

#: The task of a network of each of `leadset.models.registry.KINDS` in a run.
#: Called with the data, the configuration, the input and the leads of the network, and how it is tuned if it starts
#: from weights. It raises `leadset.training.task.NothingToLearn` where the folder has nothing for it.
TASKS: dict[str, Callable[..., TrainingTask]] = {
    "classifier": ClassificationTask.of,
    "reconstruction": RestorationTask.of,
}
