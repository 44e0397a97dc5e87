"""How the networks of a lead set answer together, fitted on validation recordings; what a detector adds to that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import softmax

from leadset.anomaly.head import cross_fit, fill_with_prior, fit_head
from leadset.classes import LabelSpace
from leadset.entry.decision import DecisionRule
from leadset.entry.ensemble import Ensemble, Evidence
from leadset.entry.manifest import TrainedSet
from leadset.scoring import ChallengeMetric, auroc, bootstrap, macro
from leadset.training.partial_labels import log_loss
from leadset.training.thresholds import fit_thresholds

# Pull of the weights towards equality, in recordings: a small validation set must not pick one member by chance.
_EQUALITY = 5.0
#: Parts of the validation recordings, each judged by what was fitted on the others.
FOLDS = 5
_UNDECIDED = DecisionRule(np.empty(0))
# The log loss takes probabilities beyond this for 0 and 1.
_LEAST = 1e-6


def fit_weights(probabilities: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Non-negative weights that sum to 1 and minimise the log loss of the weighted mean of the members.

    Args:
        probabilities: one (n, k) array per member.
        labels: (n, k) 1, 0, or NaN where unknown.
    """
    members = np.stack(probabilities)
    if len(members) == 1:
        return np.ones(1)

    def loss(z: np.ndarray) -> float:
        w = softmax(z)
        pull = _EQUALITY / len(labels) * np.log(w * len(w)).mean()
        return mean_log_loss(labels, np.tensordot(w, members, axes=1)) - pull

    return softmax(minimize(loss, np.zeros(len(members)), method="L-BFGS-B").x)


@dataclass(frozen=True)
class ValidationOutputs:
    """What a network says of validation recordings.

    Attributes:
        answers: (n, k) probabilities, or (n, d) features of a detector.
        detects: whether they are features, and a head is to be fitted to them.
    """

    answers: np.ndarray
    detects: bool


@dataclass(frozen=True)
class ValidationTargets:
    """What is known of validation recordings.

    Attributes:
        values: (n, 1 + k), whether they are anything but plain sinus rhythm, and what is learnt of their classes: 1,
            0, or NaN where unknown. What makes probabilities (weights, heads, the strength of evidence) is fitted to
            them.
        labels: (n, k) bool, those of the official score, which decisions are fitted to and judged by.
        shares: (1 + k,) of these values in the training recordings.
    """

    values: np.ndarray
    labels: np.ndarray
    shares: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The values (n, k) of the classes."""
        return self.values[:, 1:]

    def part(self, chosen: np.ndarray) -> ValidationTargets:
        """The same of some recordings."""
        return ValidationTargets(self.values[chosen], self.labels[chosen], self.shares)


def out_of_fold(network: ValidationOutputs, targets: ValidationTargets, folds: np.ndarray) -> np.ndarray:
    """Probabilities (n, k), of a detector by heads that were fitted on the other folds."""
    if not network.detects:
        return network.answers
    return fill_with_prior(cross_fit(network.answers, targets.values, targets.shares, folds), targets.shares)[:, 1:]


def fit_set(
    leads: tuple[str, ...],
    members: tuple,
    networks: Sequence[ValidationOutputs],
    probabilities: Sequence[np.ndarray],
    targets: ValidationTargets,
    fit_rule: Callable[[np.ndarray, np.ndarray], DecisionRule],
) -> TrainedSet:
    """Fits how networks answer together.

    Args:
        leads, members: of the `TrainedSet`.
        networks: in the order of the members.
        probabilities: (n, k) of each, none of them by a head that was fitted on the same recording.
        targets: of the same recordings.
        fit_rule: probabilities and labels to a decision rule.
    """

    detects = np.array([network.detects for network in networks])
    mixed = detects.any() and not detects.all()
    chosen = np.flatnonzero(~detects) if mixed else np.arange(len(networks))
    weights = np.zeros(len(networks))
    weights[chosen] = fit_weights([probabilities[i] for i in chosen], targets.classes)
    own = Ensemble(weights, _UNDECIDED).join(probabilities)
    ensemble = Ensemble(weights, fit_rule(own, targets.labels))
    if not mixed:
        return TrainedSet(leads, members, ensemble)
    evidence = _fit_evidence(own, probabilities, detects, targets)
    rule = fit_rule(evidence.join(own, probabilities), targets.labels)
    return TrainedSet(leads, members, ensemble, replace(evidence, rule=rule))


def mean_log_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over recordings of the negative log-likelihood of all classes that are known."""
    return float(log_loss(targets, probabilities, _LEAST).sum(axis=1).mean())


def _fit_evidence(
    own: np.ndarray, probabilities: Sequence[np.ndarray], detects: np.ndarray, targets: ValidationTargets
) -> Evidence:
    """The strength, one for all detectors and classes, at which the log loss is least; 1 takes them at their word."""

    def of(strength: float) -> Evidence:
        return Evidence(strength * detects, targets.shares[1:], _UNDECIDED)

    def loss(strength: float) -> float:
        return mean_log_loss(targets.classes, of(strength).join(own, probabilities))

    return of(float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").x))


def ablation(
    networks: Sequence[ValidationOutputs], targets: ValidationTargets, folds: np.ndarray, space: LabelSpace
) -> dict:
    """How well a lead set answers with its detector and without, as plain values.

    Weights, thresholds and head are fitted on all folds but one and judged on that one; within those, what weights and
    thresholds are fitted on comes from heads that were fitted on the other folds.
    """

    def fit_rule(probabilities: np.ndarray, labels: np.ndarray) -> DecisionRule:
        return fit_thresholds(probabilities, labels, space)

    decided = {way: np.zeros_like(targets.labels, dtype=bool) for way in ("with", "without")}
    judged = {way: np.zeros(targets.labels.shape) for way in decided}
    for fold in np.unique(folds):
        out = folds == fold
        others = targets.part(~out)
        rest = [ValidationOutputs(network.answers[~out], network.detects) for network in networks]
        fitted = [out_of_fold(network, others, folds[~out]) for network in rest]
        trained = fit_set((), (), networks, fitted, others, fit_rule)
        asked = [_answers(ours, others, all_.answers[out]) for ours, all_ in zip(rest, networks, strict=True)]
        decided["with"][out], judged["with"][out] = trained.answer(asked)
        decided["without"][out], judged["without"][out] = replace(trained, evidence=None).answer(asked)
    metric = ChallengeMetric(targets.labels, space)
    rewards = {way: metric.rewards(decisions) for way, decisions in decided.items()}

    def gain(counts: np.ndarray) -> float:
        return metric.score(rewards["with"], counts) - metric.score(rewards["without"], counts)

    interval = bootstrap(gain, len(folds))
    return {
        **{
            way: {"challenge_metric": metric(decided[way]), "auroc": macro(auroc(targets.labels, judged[way]))}
            for way in decided
        },
        "gain": {"value": interval.value, "low": interval.low, "high": interval.high},
        "recordings": len(folds),
        "folds": len(np.unique(folds)),
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
