"""An entry of untrained networks, for tests of what entries answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leadset import create_model
from leadset.anomaly.features import feature_names
from leadset.anomaly.head import Head
from leadset.classes import label_space
from leadset.entry.decision import DecisionRule
from leadset.entry.ensemble import Ensemble, Evidence
from leadset.entry.manifest import Manifest, Member, TrainedSet
from leadset.leads import resolve_leads
from leadset.models import model_entry
from leadset.models.cost import model_cost
from leadset.utils.weights import save_weights

SPACE = label_space("challenge2021")


#: Options of the networks, by architecture.
OPTIONS = {
    "resnet34": {"width": 4, "rate": 100, "extra": ["age", "sex"]},
    "star": {"width": 16},
    "mvms_net": {"width": 8},
    "crnn_pqrst": {"width": 8, "rate": 100, "beat_pooling": "attention", "record_features": True},
    "cross_restoration": {"width": 4, "latent": 6},
    "cnn_heartmaasters": {"width": 4, "rate": 100},
}


def some_head(leads: tuple[str, ...], rng: np.random.Generator) -> Head:
    """A head that was fitted to nothing."""
    d, k = len(feature_names(leads)), 1 + len(SPACE)
    return Head(rng.normal(size=d), rng.uniform(0.5, 2, d), rng.normal(size=(k, d)), rng.normal(size=k))


def write_untrained_entry(folder: Path) -> None:
    """Writes an entry of untrained networks: six architectures on the lead sets 12, 3, 2 and II,V5."""
    rng = np.random.default_rng(0)
    prior = np.linspace(0.01, 0.3, len(SPACE))
    sets = []
    for leads in map(resolve_leads, (12, 3, 2, "II,V5")):
        members = []
        for name, options in OPTIONS.items():
            model = create_model(name, leads, **options)
            weights, head = f"{name}-{'-'.join(leads)}.safetensors", ""
            save_weights(folder / weights, model)
            if model_entry(name).kind == "reconstruction":
                head = f"head-{weights}"
                some_head(leads, rng).write(folder / head)
            rule = DecisionRule(rng.uniform(0.3, 0.7, len(SPACE)))
            macs = model_cost(name, leads, **options).macs
            members.append(Member(name, options, model.input_spec, weights, rule, {}, macs, head))
        rule = DecisionRule(np.full(len(SPACE), 0.5))
        alone = Ensemble(np.array([0.4, 0.3, 0.1, 0.1, 0.0, 0.1]), DecisionRule(np.full(len(SPACE), 0.4)))
        evidence = Evidence(np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.0]), prior, rule)
        sets.append(TrainedSet(leads, tuple(members), alone, evidence))
    Manifest(SPACE.name, SPACE.keys, prior, tuple(sets), {}).write(folder)
