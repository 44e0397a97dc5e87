"""What a detector adds to the answer of the classifiers of a lead set, and whether that is worth asking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from leadset.anomaly.head import fill_with_prior, fit_head
from leadset.classes import LabelSpace
from leadset.entry.ensemble import Evidence
from leadset.entry.manifest import TrainedSet
from leadset.scoring import ChallengeMetric, auroc, bootstrap, macro
from leadset.training.decision.ensemble import (
    UNDECIDED,
    UNJUDGED,
    Choice,
    ValidationOutputs,
    ValidationTargets,
    fit_ensemble,
    fit_rule,
    mean_log_loss,
    out_of_fold,
)

_AS_USUAL = Choice()


def fit_set(
    leads: tuple[str, ...],
    members: tuple,
    networks: Sequence[ValidationOutputs],
    probabilities: Sequence[np.ndarray],
    targets: ValidationTargets,
    space: LabelSpace,
    about: dict | None = None,
    choice: Choice = _AS_USUAL,
) -> TrainedSet:
    """Fits how networks answer together.

    Args:
        leads, members: of the `TrainedSet`.
        networks: in the order of the members.
        probabilities: (n, k) of each, none of them by a head that was fitted on the same recording.
        targets: of the same recordings.
        space: the classes.
        about: provenance of what is fitted.
        choice: of `choose`, for the classifiers; the detectors, where there are no classifiers.
    """
    about = about or {}
    detects = np.array([network.detects for network in networks])
    asked = asked_first(networks)
    fitted = fit_ensemble([probabilities[i] for i in asked], targets, space, about, choice)
    weights = np.zeros(len(networks))
    weights[asked] = fitted.weights
    ensemble = replace(fitted, weights=weights)
    if len(asked) == len(networks):
        return TrainedSet(leads, members, ensemble)
    own = ensemble.join(probabilities)
    evidence = _fit_evidence(own, probabilities, detects, targets)
    rule = fit_rule(evidence.join(own, probabilities), targets.labels, space, about, choice)
    return TrainedSet(leads, members, ensemble, replace(evidence, rule=rule))


def asked_first(networks: Sequence[ValidationOutputs]) -> list[int]:
    """Which networks answer together: the classifiers; all, where there are none or nothing else."""
    classifiers = [i for i, network in enumerate(networks) if not network.detects]
    return classifiers or list(range(len(networks)))


def adds_something(ablated: dict) -> bool:
    """Whether a detector's gain is above 0 by its interval; otherwise it has no say in the answer."""
    return bool(ablated["gain"]["low"] > 0)


def _fit_evidence(
    own: np.ndarray, probabilities: Sequence[np.ndarray], detects: np.ndarray, targets: ValidationTargets
) -> Evidence:
    """The strength, one for all detectors and classes, at which the log loss is least; 1 takes them at their word."""

    def of(strength: float) -> Evidence:
        return Evidence(strength * detects, targets.shares[1:], UNDECIDED)

    def loss(strength: float) -> float:
        return mean_log_loss(targets.classes, of(strength).join(own, probabilities))

    return of(float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").x))


def ablation(
    networks: Sequence[ValidationOutputs],
    targets: ValidationTargets,
    folds: np.ndarray,
    space: LabelSpace,
    choice: Choice = _AS_USUAL,
) -> dict:
    """How well a lead set answers with its detector and without, as plain values.

    Weights, thresholds and head are fitted on all folds but one and judged on that one; within those, what weights and
    thresholds are fitted on comes from heads that were fitted on the other folds.
    """
    decided = {way: np.zeros_like(targets.labels, dtype=bool) for way in ("with", "without")}
    judged = {way: np.zeros(targets.labels.shape) for way in decided}
    counted = folds != UNJUDGED
    for fold in np.unique(folds[counted]):
        out = folds == fold
        others = targets.part(~out)
        rest = [ValidationOutputs(network.answers[~out], network.detects) for network in networks]
        fitted = [out_of_fold(network, others, folds[~out]) for network in rest]
        trained = fit_set((), (), networks, fitted, others, space, choice=choice)
        asked = [_answers(ours, others, all_.answers[out]) for ours, all_ in zip(rest, networks, strict=True)]
        decided["with"][out], judged["with"][out] = trained.answer(asked)
        decided["without"][out], judged["without"][out] = replace(trained, evidence=None).answer(asked)
    labels, metric = targets.labels[counted], ChallengeMetric(targets.labels[counted], space)
    decided, judged = ({way: values[counted] for way, values in found.items()} for found in (decided, judged))
    rewards = {way: metric.rewards(decisions) for way, decisions in decided.items()}

    def gain(counts: np.ndarray) -> float:
        return metric.score(rewards["with"], counts) - metric.score(rewards["without"], counts)

    interval = bootstrap(gain, len(labels))
    return {
        **{
            way: {"challenge_metric": metric(decided[way]), "auroc": macro(auroc(labels, judged[way]))}
            for way in decided
        },
        "gain": {"value": interval.value, "low": interval.low, "high": interval.high},
        "recordings": len(labels),
        "folds": len(np.unique(folds[counted])),
    }


def _answers(network: ValidationOutputs, targets: ValidationTargets, answers: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) of other recordings, of a detector by the head that these ones give."""
    if not network.detects:
        return answers
    return fill_with_prior(fit_head(network.answers, targets.values, targets.shares)(answers), targets.shares)[:, 1:]


def describe(ablated: dict) -> str:
    """An `ablation` in a line."""
    ways = (ablated["with"], ablated["without"])
    own, other = (f"{way['challenge_metric']:.3f} (AUROC {way['auroc']:.3f})" for way in ways)
    gain = ablated["gain"]
    interval = f"{gain['value']:+.3f}, 95 % {gain['low']:+.3f} to {gain['high']:+.3f}"
    return f"cross-fitted: {own} with the detector, {other} without; gain {interval}"
