"""The entry that ships: universal networks, calibrated and with thresholds on recordings that they never saw.

    python -m leadset.training.shipped.entry DATA WORK [--scale SHARE] [--ship FOLDER]

WORK is where `leadset.training.shipped.tuning` worked: each recording of the Challenge in DATA is answered there by
networks that learned from the other four of five folds. Weights, calibration and thresholds are fitted to them.
The scores that are reported and written into the entry are cross-fitted besides: whatever answers a recording was
fitted on recordings of the other folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
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
from leadset.models.shipped import FOLDER, load_shipped, shipped_networks
from leadset.scoring import ChallengeMetric, auroc, macro
from leadset.training.decision.calibration import fit_calibration
from leadset.training.decision.ensemble import fit_weights
from leadset.training.decision.thresholds import fit_thresholds
from leadset.training.shipped.real_sources import FOLDS, load_real_data
from leadset.training.shipped.rehearsal import add_scale, check_target
from leadset.training.shipped.tuning import answers_of

#: The shipped networks that answer together: a fourth raises the cross-fitted mean AUROC of eleven classes on no set of
#: several leads (`benchmarks/shipped_entry.csv`).
NETWORKS = ("resnet34", "resunet_lc", "crnn_pqrst")
SEED = 2021
#: A class with fewer positives than this in a data set has no AUROC worth reporting.
FEWEST = 7
_SPACE = "challenge2021"


@dataclass(frozen=True)
class Answered:
    """Recordings of the Challenge with what networks say of them that learned from others.

    Attributes:
        names: of the recordings.
        targets: (n, k) of training: 1, 0, or NaN where nobody knows.
        labels: (n, k) bool, official ones.
        folds: (n,) fold of each.
        digest: of the signals.
        by_network: probabilities (n, k) by network and name of the lead set.
    """

    names: list[str]
    targets: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    digest: str
    by_network: dict[str, dict[str, np.ndarray]]


def load_answered(
    data_folder: Path, work: Path, networks: Sequence[str] = NETWORKS, folder: Path = FOLDER, scale: float = 1.0
) -> Answered:
    """The recordings of the Challenge in a data folder, with what the tuning in ``work`` answered.

    Args:
        data_folder, work, scale: as of `load_real_data`.
        networks: those that answered.
        folder: of their weights.

    Raises:
        OSError: a network was not asked there.
        ValueError: there are no such recordings.
    """
    space, transform = label_space(_SPACE), load_shipped(networks[0], folder=folder).input_spec.transform
    real = load_real_data(data_folder, work, [transform], scale)
    chosen = np.flatnonzero(real.sources == "challenge")
    recordings = [real.stores[transform].recordings[i] for i in chosen]
    names, by_network = [real.names[i] for i in chosen], {}
    for network in networks:
        known, by_set = answers_of(network, work)
        row = {name: i for i, name in enumerate(known)}
        rows = [row[name] for name in names]
        by_network[network] = {leads: values[rows].astype(float) for leads, values in by_set.items()}
    return Answered(
        names, real.targets[chosen], np.array([space.encode(recording.codes) for recording in recordings]),
        real.folds[chosen], blake2b("".join(r.digest for r in recordings).encode(), digest_size=16).hexdigest(),
        by_network,
    )  # fmt: skip


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


@dataclass(frozen=True)
class CrossFitted:
    """Answers (n, k) to recordings by an ensemble that was fitted on the other folds.

    Attributes:
        joint: weighted probabilities before calibration, by which recordings are ranked: the calibration of a class
            keeps their order, but those of five folds differ, and would mix it up.
        calibrated: probabilities.
        decisions: bool.
    """

    joint: np.ndarray
    calibrated: np.ndarray
    decisions: np.ndarray


def cross_fitted(
    probabilities: list[np.ndarray], targets: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> CrossFitted:
    """The answers to recordings (n,) of these folds."""
    joint, calibrated, decisions = np.zeros(labels.shape), np.zeros(labels.shape), np.zeros(labels.shape, dtype=bool)
    for fold in np.unique(folds):
        other, here = folds != fold, folds == fold
        ensemble = fit_ensemble([p[other] for p in probabilities], targets[other], labels[other], {})
        own = [p[here] for p in probabilities]
        joint[here] = replace(ensemble, calibration=None).join(own)
        calibrated[here] = ensemble.join(own)
        decisions[here] = ensemble.rule(calibrated[here])
    return CrossFitted(joint, calibrated, decisions)


def scores_of(answers: CrossFitted, targets: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Challenge metric, and AUROC of the classes with at least `FEWEST` positives; aliases count for AUROC.

    Its mean is None where no class has as many.
    """
    space, evidence = label_space(_SPACE), np.nan_to_num(targets).astype(bool)
    frequent = evidence.sum(axis=0) >= FEWEST
    areas = auroc(evidence, answers.joint)[frequent]
    names = [name for name, enough in zip(space.abbreviations, frequent, strict=True) if enough]
    return {
        "challenge_metric": round(float(ChallengeMetric(labels, space)(answers.decisions)), 4),
        "auroc": round(macro(areas), 4) if frequent.any() else None,
        "by_class": {name: round(float(area), 4) for name, area in zip(names, areas, strict=True)},
        "recordings": len(labels),
    }


def build(
    data_folder: Path, work: Path, out: Path = FOLDER, networks: Sequence[str] = NETWORKS, scale: float = 1.0
) -> dict[str, dict[str, Any]]:
    """Writes `entry.json` beside the shipped weights; returns the cross-fitted scores by lead set.

    Raises:
        OSError, ValueError: no weights ship, or as `load_answered`.
    """
    lacking = sorted(set(networks) - set(shipped_networks(out)))
    if lacking:
        raise ValueError(f"{out}: found no weights of {', '.join(lacking)}, expected those of {', '.join(networks)}")
    answered, space = load_answered(data_folder, work, networks, out, scale), label_space(_SPACE)
    targets, labels = answered.targets, answered.labels
    about = {
        "data": "PhysioNet/CinC Challenge 2021", "fingerprint": answered.digest, "recordings": len(labels),
        "seed": SEED, "part": f"all, each answered by networks of the other {FOLDS - 1} folds",
    }  # fmt: skip
    trained, reported = [], {}
    for _, leads in sorted(LEAD_SETS.items(), reverse=True):
        name = lead_set_name(leads)
        by_network = [answered.by_network[network][name] for network in networks]
        reported[name] = scores_of(cross_fitted(by_network, targets, labels, answered.folds), targets, labels)
        members = tuple(_member(n, leads, p, labels, about, out) for n, p in zip(networks, by_network, strict=True))
        trained.append(TrainedSet(leads, members, fit_ensemble(by_network, targets, labels, about)))
    provenance = {
        "versions": {"leadset": leadset.__version__, "torch": torch.__version__, "numpy": np.__version__},
        "seed": SEED, "data": about, "scores": reported,
    }  # fmt: skip
    Manifest(_SPACE, space.keys, labels.mean(axis=0), tuple(trained), provenance).write(out)
    return reported


def _member(
    name: str, leads: tuple[str, ...], p: np.ndarray, labels: np.ndarray, about: dict[str, Any], folder: Path
) -> Member:
    model = load_shipped(name, leads, folder=folder)
    rule = fit_thresholds(p, labels, label_space(_SPACE), about)
    macs = model_cost(name, leads, **model.options).macs
    summary = {"weights": "universal", "steps": model.pretrained["recipe"]["steps"]}
    return Member(name, model.options, model.input_spec, f"{name}.safetensors", rule, summary, macs, universal=True)


def main() -> None:
    """Fits the entry on the recordings of the Challenge and prints its cross-fitted scores."""
    parser = argparse.ArgumentParser(prog="python -m leadset.training.shipped.entry", description="Fit the entry.")
    parser.add_argument("data", type=Path, help="folder as `leadset.training.shipped.real_sources` describes it")
    parser.add_argument("work", type=Path, help="where the networks were tuned")
    parser.add_argument("--ship", type=Path, metavar="FOLDER", default=FOLDER, help="of the weights, where it goes")
    add_scale(parser)
    arguments = parser.parse_args()
    check_target(arguments.ship, arguments.scale)
    for leads, scores in build(arguments.data, arguments.work, arguments.ship, scale=arguments.scale).items():
        print(f"{leads:>6} leads: AUROC {scores['auroc']}, Challenge metric {scores['challenge_metric']}")


if __name__ == "__main__":
    main()
