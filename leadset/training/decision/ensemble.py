"""How the classifiers of a lead set answer together, fitted on validation recordings and chosen by cross-fitting.

What a detector adds to that is in `leadset.training.decision.evidence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from leadset.anomaly.head import cross_fit, fill_with_prior
from leadset.classes import LabelSpace
from leadset.entry.decision import DecisionRule, best_label_sets
from leadset.entry.ensemble import Ensemble
from leadset.scoring import ChallengeMetric, bootstrap, macro
from leadset.scoring.intervals import CountMetric
from leadset.scoring.metrics import Ranking
from leadset.training.decision.calibration import fit_calibration
from leadset.training.decision.thresholds import fit_thresholds
from leadset.training.steps.partial_labels import log_loss

# Pull of the weights towards equality, in recordings: a small validation set must not pick one member by chance.
_EQUALITY = 5.0
#: Parts of the validation recordings, each judged by what was fitted on the others.
FOLDS = 5
#: In the place of a fold: of recordings that are fitted to and that nothing is judged by.
UNJUDGED = -1
UNDECIDED = DecisionRule(np.empty(0))
#: What the provenance of a network's own rule has its calibration under.
CALIBRATION = "calibration"
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


class Known(NamedTuple):
    """What is fitted to: validation recordings, and others that weights answered which had not seen them.

    Attributes:
        networks: what each says.
        targets: of the same recordings.
        folds: (n,) number of the fold of each; `UNJUDGED` of the others.
    """

    networks: list[ValidationOutputs]
    targets: ValidationTargets
    folds: np.ndarray

    def validation(self) -> Known:
        """The validation recordings alone."""
        judged = self.folds != UNJUDGED
        networks = [ValidationOutputs(network.answers[judged], network.detects) for network in self.networks]
        return Known(networks, self.targets.part(judged), self.folds[judged])


def out_of_fold(network: ValidationOutputs, targets: ValidationTargets, folds: np.ndarray) -> np.ndarray:
    """Probabilities (n, k), of a detector by heads that were fitted on the other folds."""
    if not network.detects:
        return network.answers
    return fill_with_prior(cross_fit(network.answers, targets.values, targets.shares, folds), targets.shares)[:, 1:]


@dataclass(frozen=True)
class Choice:
    """How networks are to answer together; without cross-fitting, all of them by weights and thresholds.

    Attributes:
        alone: index of the one that answers alone; None: all, by weights.
        by_expected_score: whether the label set of highest expected Challenge score is decided, not that by thresholds.
        report: what cross-fitting found, as plain values.
    """

    alone: int | None = None
    by_expected_score: bool = False
    report: dict[str, Any] = field(default_factory=dict)


def fit_ensemble(
    probabilities: Sequence[np.ndarray], targets: ValidationTargets, space: LabelSpace, about: dict, choice: Choice
) -> Ensemble:
    """Fits weights, calibration and decision.

    Args:
        probabilities: (n, k) of each network, none of them by a head that was fitted on the same recording.
        targets: of the same recordings.
        space: the classes.
        about: provenance of what is fitted.
        choice: what to fit.
    """
    if choice.alone is None:
        weights = fit_weights(probabilities, targets.classes)
    else:
        weights = (np.arange(len(probabilities)) == choice.alone).astype(float)
    calibration = fit_calibration(Ensemble(weights, UNDECIDED).join(probabilities), targets.classes, about)
    joint = Ensemble(weights, UNDECIDED, calibration).join(probabilities)
    return Ensemble(weights, fit_rule(joint, targets.labels, space, about, choice), calibration)


def fit_rule(
    probabilities: np.ndarray, labels: np.ndarray, space: LabelSpace, about: dict, choice: Choice
) -> DecisionRule:
    """The decision rule of a choice, fitted to joint probabilities (n, k) and labels (n, k) bool."""
    rule = fit_thresholds(probabilities, labels, space, about)
    if not choice.by_expected_score:
        return rule
    rule = replace(rule, rewards=space.weights)
    reached = float(ChallengeMetric(labels, space)(rule(probabilities)))
    return replace(rule, provenance={**rule.provenance, "value": round(reached, 6), "decides": "expected score"})


def fit_own_rule(probabilities: np.ndarray, targets: ValidationTargets, space: LabelSpace, about: dict) -> DecisionRule:
    """The rule of a network alone: fitted to its calibrated probabilities (n, k), with thresholds for those before.

    The provenance has the calibration, by which whoever wants the network's probabilities calibrated can do so.
    """
    calibration = fit_calibration(probabilities, targets.classes, about)
    rule = fit_thresholds(calibration(probabilities), targets.labels, space, about)
    thresholds = np.clip(calibration.undone(rule.thresholds), _LEAST, 1 - _LEAST)
    return DecisionRule(thresholds, rule.provenance | {CALIBRATION: calibration.to_json()})


def choose(
    probabilities: Sequence[np.ndarray], targets: ValidationTargets, folds: np.ndarray, space: LabelSpace
) -> Choice:
    """Chooses between all networks and the best one, and between thresholds and the highest expected score.

    Each fold is answered by what was fitted on the others. The best network, by mean AUROC, answers alone where all of
    them together have a lower one and the 95 % interval of the difference (paired bootstrap) is below 0. The highest
    expected score decides where it earns more than thresholds and that interval is above 0: on few recordings the
    larger of two scores is mostly chance (`benchmarks/decisions.csv`).

    Args:
        probabilities, targets, space: as of `fit_ensemble`.
        folds: (n,) number of the fold of each recording, or `UNJUDGED`.
    """
    judged = folds != UNJUDGED
    if len(np.unique(folds[judged])) < 2:
        return Choice()
    joint, decisions = _cross_fitted(probabilities, targets, folds, space)
    metric = ChallengeMetric(targets.labels[judged], space)
    scores = {way: round(float(metric(decided)), 6) for way, decided in decisions.items()}
    by_score = _gain(metric, decisions["expected_score"], decisions["thresholds"])
    report: dict[str, Any] = {"challenge_metric": scores, "expected_score_gain": by_score}
    if len(probabilities) > 1:
        best, compared = _compare([p[judged] for p in probabilities], joint, targets.classes[judged] == 1)
        report |= compared
        if compared["gain"]["high"] < 0:
            alone = choose([probabilities[best]], targets, folds, space)
            return replace(alone, alone=best, report=report | {"alone": alone.report})
    return Choice(None, by_score["low"] > 0, report)


def gain_of_validation_alone(known: Known, probabilities: Sequence[np.ndarray], space: LabelSpace) -> dict[str, float]:
    """What thresholds earn more that are fitted to validation recordings alone, cross-fitted, with its interval.

    Args:
        known: what there is to fit to, with recordings that are `UNJUDGED`.
        probabilities: (n, k) of the networks that answer together.
        space: the classes.
    """
    judged = known.folds != UNJUDGED
    own = [p[judged] for p in probabilities], known.targets.part(judged), known.folds[judged]
    if len(np.unique(own[-1])) < 2:
        return {"value": 0.0, "low": 0.0, "high": 0.0}
    alone, together = (_cross_fitted(*rows, space)[1] for rows in (own, (probabilities, *known[1:])))
    metric = ChallengeMetric(known.targets.labels[judged], space)
    return _gain(metric, alone["thresholds"], together["thresholds"])


def _gain(metric: ChallengeMetric, some: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """What decisions (n, k) earn more than others, with the interval of the difference."""
    ours, theirs = metric.rewards(some), metric.rewards(others)
    return _interval(lambda counts: metric.score(ours, counts) - metric.score(theirs, counts), len(ours))


def _interval(gain: CountMetric, n: int) -> dict[str, float]:
    """A difference with its interval, as plain values."""
    found = bootstrap(gain, n)
    return {"value": float(found.value), "low": float(found.low), "high": float(found.high)}


def _cross_fitted(
    probabilities: Sequence[np.ndarray], targets: ValidationTargets, folds: np.ndarray, space: LabelSpace
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Weighted probabilities (n, k) before calibration, and decisions (n, k) by either way, of each fold by others.

    Of the recordings that are judged alone; the others are always fitted to.
    """
    judged = folds != UNJUDGED
    joint = np.zeros(targets.labels.shape)
    decisions = {way: np.zeros(targets.labels.shape, dtype=bool) for way in ("thresholds", "expected_score")}
    for fold in np.unique(folds[judged]):
        out = folds == fold
        fitted = fit_ensemble([p[~out] for p in probabilities], targets.part(~out), space, {}, Choice())
        asked = [p[out] for p in probabilities]
        joint[out] = replace(fitted, calibration=None).join(asked)
        calibrated = fitted.join(asked)
        decisions["thresholds"][out] = fitted.rule(calibrated)
        decisions["expected_score"][out] = best_label_sets(calibrated, space.weights)
    return joint[judged], {way: decided[judged] for way, decided in decisions.items()}


def _compare(
    probabilities: Sequence[np.ndarray], joint: np.ndarray, positive: np.ndarray
) -> tuple[int, dict[str, Any]]:
    """The best network by mean AUROC, and how all together compare with it."""
    together, *apart = (Ranking(positive, p) for p in (joint, *probabilities))
    once = np.ones(len(joint), dtype=np.int64)
    areas = [macro(ranking.areas(once)[0]) for ranking in apart]
    best = int(np.argmax(np.nan_to_num(areas)))

    def gain(counts: np.ndarray) -> float:
        return macro(together.areas(counts)[0]) - macro(apart[best].areas(counts)[0])

    return best, {"best": best, "best_auroc": float(areas[best]), "gain": _interval(gain, len(joint))}


def mean_log_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over recordings of the negative log-likelihood of all classes that are known."""
    return float(log_loss(targets, probabilities, _LEAST).sum(axis=1).mean())
