"""The baselines by name: which features, and which learner."""

from __future__ import annotations

from typing import NamedTuple

from leadset.baselines.inputs import INPUTS, BaselineInput
from leadset.baselines.learners import Perceptron, Trees


class Baseline(NamedTuple):
    """A baseline.

    Attributes:
        features: name of its input.
        learner: how it learns, one of `leadset.training.baselines.learners.FITS`.
        form: what it is once it is trained.
    """

    features: str
    learner: str
    form: type

    @property
    def input(self) -> BaselineInput:
        """What it looks at."""
        return INPUTS[self.features]


_FORMS = {"logistic": Perceptron, "mlp": Perceptron, "forest": Trees, "lightgbm": Trees}
#: By name: each learner on each set of features, the example of the Challenge's organisers, and a linear probe of a
#: network that has learned nothing.
BASELINES: dict[str, Baseline] = {
    f"{learner}_{features}": Baseline(features, learner, form)
    for features in ("statistics", "pqrst") for learner, form in _FORMS.items()
} | {
    "example": Baseline("rms", "example", Trees), "probe_random": Baseline("random", "logistic", Perceptron),
}  # fmt: skip
