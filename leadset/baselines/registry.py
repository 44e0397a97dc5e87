"""The baselines by name: which features, and which learner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leadset.baselines.encoders import digest
from leadset.baselines.inputs import INPUTS, BaselineInput, encoder_input
from leadset.baselines.learners import Perceptron, Trees
from leadset.models.shipped import SIMULATED, shipped_networks


@dataclass(frozen=True)
class Baseline:
    """A baseline.

    Attributes:
        features: name of its input.
        learner: how it learns, one of `leadset.training.baselines.learners.FITS`.
        form: what it is once it is trained.
    """

    features: str
    learner: str
    form: type

    def options(self, start: str) -> dict[str, Any]:
        """What its answers depend on besides its name.

        Args:
            start: the value ``start.weights`` of the configuration.
        """
        return {}

    def input(self, options: Mapping[str, Any]) -> BaselineInput:
        """What it looks at, by its options.

        Raises:
            ValueError: not its options, or those of another version.
        """
        if options:
            raise ValueError(f"found options {dict(options)}, expected none")
        return INPUTS[self.features]


@dataclass(frozen=True)
class Probe(Baseline):
    """A linear probe of the network `features`, with the weights that networks start from."""

    def options(self, start: str) -> dict[str, Any]:
        """See `Baseline.options`; raises a `ValueError` where these are no weights that ship."""
        return {"weights": start, "digest": digest(self.features, start)}

    def input(self, options: Mapping[str, Any]) -> BaselineInput:
        """See `Baseline.input`."""
        weights = str(options.get("weights"))
        found, expected = options.get("digest"), digest(self.features, weights)
        if found != expected:
            raise ValueError(f"found features of weights {found}, and this version has {expected}: train it again")
        return encoder_input(self.features, weights)


_FORMS = {"logistic": Perceptron, "mlp": Perceptron, "forest": Trees, "lightgbm": Trees}
#: By name: each learner on each set of features, the example of the Challenge's organisers, and linear probes of a
#: network that has learned nothing and of those that ship.
BASELINES: dict[str, Baseline] = {
    f"{learner}_{features}": Baseline(features, learner, form)
    for features in ("statistics", "pqrst") for learner, form in _FORMS.items()
} | {
    "example": Baseline("rms", "example", Trees), "probe_random": Baseline("random", "logistic", Perceptron),
} | {
    f"probe_{network}": Probe(network, "logistic", Perceptron)
    for network in shipped_networks(SIMULATED, "classifier")
}  # fmt: skip
