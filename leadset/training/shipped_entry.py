"""The entry that ships: universal networks, calibrated and with thresholds on recordings that they never saw.

    python -m leadset.training.shipped_entry DATA

Calibration, weights and thresholds are fitted on all recordings of DATA; the scores that are reported and written into
the entry come from folds: whatever answers a recording there was fitted on others, recordings of one heart together.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import leadset
from leadset.classes import label_space
from leadset.entry.decision import DecisionRule
from leadset.entry.ensemble import Ensemble
from leadset.entry.manifest import Manifest, Member, TrainedSet
from leadset.leads import LEAD_SETS, lead_set_name
from leadset.models.cost import model_cost
from leadset.models.prediction import predict
from leadset.models.shipped import FOLDER, load_shipped, shipped_networks
from leadset.scoring import ChallengeMetric, auroc, macro
from leadset.training.calibration import fit_calibration
from leadset.training.data import TrainingData, beats_keys, load_training_data
from leadset.training.ensemble import fit_weights
from leadset.training.thresholds import fit_thresholds

#: The shipped networks that answer together. MVMS-net is left out: with it the cross-fitted mean AUROC is lower on
#: every lead set (`benchmarks/shipped_entry.csv`).
NETWORKS = ("resnet34", "crnn_pqrst")
FOLDS, SEED = 5, 2021
#: A class with fewer positives than this in a data set has no AUROC worth reporting.
FEWEST = 10
_SPACE = "challenge2021"


def network_probabilities(data: TrainingData, name: str, leads: tuple[str, ...]) -> np.ndarray:
    """Probabilities (n, k) of a shipped network, cut to a lead set, for the recordings of a folder."""
    model = load_shipped(name, leads).eval()
    spec = model.input_spec
    store, contexts = data.stores[spec.transform], data.contexts_for(spec, leads)
    inputs = ((*store[i], contexts[i]) for i in range(len(store)))
    return np.stack(list(predict(model, inputs, leads, spec)))


def fit_ensemble(probabilities: list[np.ndarray], targets: np.ndarray, labels: np.ndarray, about: dict) -> Ensemble:
    """Weights, calibration and thresholds of networks that saw none of these recordings.

    Args:
        probabilities: (n, k) of each network.
        targets: (n, k) of training: 1, 0, or NaN where nobody knows.
        labels: (n, k) bool, official ones: thresholds are for the official metric.
        about: provenance.
    """
    space = label_space(_SPACE)
    weights = fit_weights(probabilities, targets) if len(probabilities) > 1 else np.ones(1)
    undecided = DecisionRule(np.full(len(space), 0.5))
    calibration = fit_calibration(Ensemble(weights, undecided).join(probabilities), targets, about)
    calibrated = Ensemble(weights, undecided, calibration).join(probabilities)
    return Ensemble(weights, fit_thresholds(calibrated, labels, space, about), calibration)


def cross_fitted(
    probabilities: list[np.ndarray], targets: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions (n, k) of each recording by an ensemble that was fitted on the other folds."""
    joint, decisions = np.zeros(labels.shape), np.zeros(labels.shape, dtype=bool)
    for fold in np.unique(folds):
        other, here = folds != fold, folds == fold
        ensemble = fit_ensemble([p[other] for p in probabilities], targets[other], labels[other], {})
        joint[here] = ensemble.join([p[here] for p in probabilities])
        decisions[here] = ensemble.rule(joint[here])
    return joint, decisions


def scores_of(joint: np.ndarray, decisions: np.ndarray, targets: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Challenge metric, and mean AUROC of the classes with at least `FEWEST` positives; aliases count for AUROC."""
    space, evidence = label_space(_SPACE), np.nan_to_num(targets).astype(bool)
    frequent = evidence.sum(axis=0) >= FEWEST
    areas = auroc(evidence[:, frequent], joint[:, frequent])
    return {
        "challenge_metric": round(float(ChallengeMetric(labels, space)(decisions)), 4),
        "auroc": round(float(macro(areas)), 4),
        "classes": [name for name, enough in zip(space.abbreviations, frequent, strict=True) if enough],
        "recordings": len(labels),
    }


def build(
    data_folder: Path, out: Path = FOLDER, networks: Sequence[str] = NETWORKS
) -> dict[str, dict[str, Any]]:
    """Writes `entry.json` beside the shipped weights; returns the cross-fitted scores by lead set.

    Raises:
        ValueError: no weights ship, or the folder has nothing to fit on.
    """
    lacking = sorted(set(networks) - set(shipped_networks(out)))
    if lacking:
        raise ValueError(f"{out}: found no weights of {', '.join(lacking)}, expected those of {', '.join(networks)}")
    space, sets = label_space(_SPACE), [leads for size, leads in sorted(LEAD_SETS.items(), reverse=True)]
    specs = {(name, leads): load_shipped(name, leads).input_spec for name in networks for leads in sets}
    with TemporaryDirectory() as cache:
        data = load_training_data(
            data_folder, [spec.transform for spec in specs.values()], Path(cache), space, validation_share=0.2,
            seed=SEED, beats=[key for (_, leads), spec in specs.items() for key in beats_keys(spec, leads)],
        )  # fmt: skip
        chosen = np.flatnonzero(data.part >= 0)
        targets, labels = data.targets[chosen], data.labels[chosen]
        folds = data.folds_of(chosen, FOLDS, SEED)
        about = {
            "data": Path(data_folder).name, "fingerprint": data.fingerprint, "recordings": len(chosen), "seed": SEED,
            "part": "all; reported scores are cross-fitted",
        }  # fmt: skip
        trained, reported = [], {}
        for leads in sets:
            by_network = [network_probabilities(data, name, leads)[chosen] for name in networks]
            answers = cross_fitted(by_network, targets, labels, folds)
            reported[lead_set_name(leads)] = scores_of(*answers, targets, labels)
            members = tuple(
                _member(name, leads, p, labels, about) for name, p in zip(networks, by_network, strict=True)
            )
            trained.append(TrainedSet(leads, members, fit_ensemble(by_network, targets, labels, about)))
    provenance = {
        "versions": {"leadset": leadset.__version__, "torch": torch.__version__, "numpy": np.__version__},
        "seed": SEED, "data": about, "scores": reported,
    }  # fmt: skip
    Manifest(_SPACE, space.keys, labels.mean(axis=0), tuple(trained), provenance).write(out)
    return reported


def _member(name: str, leads: tuple[str, ...], p: np.ndarray, labels: np.ndarray, about: dict) -> Member:
    model = load_shipped(name, leads)
    rule = fit_thresholds(p, labels, label_space(_SPACE), about)
    macs = model_cost(name, leads, **model.options).macs
    summary = {"weights": "universal", "steps": model.pretrained.get("steps")}
    return Member(name, model.options, model.input_spec, f"{name}.safetensors", rule, summary, macs, universal=True)


def main() -> None:
    """Fits the entry on a folder of recordings and prints its cross-fitted scores."""
    parser = argparse.ArgumentParser(prog="python -m leadset.training.shipped_entry", description="Fit the entry.")
    parser.add_argument("data", type=Path, help="recordings with labels, none of which the networks learned from")
    for leads, scores in build(parser.parse_args().data).items():
        print(f"{leads:>6} leads: AUROC {scores['auroc']:.3f}, Challenge metric {scores['challenge_metric']:.3f}")


if __name__ == "__main__":
    main()
