"""How networks answer together: weights, calibration, the best one alone, and label sets of highest expected score."""

from __future__ import annotations

import json
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from leadset.classes import label_space
from leadset.deploy.export import EntryGraph
from leadset.entry.calibration import Calibration
from leadset.entry.decision import DecisionRule, best_label_sets
from leadset.entry.ensemble import Ensemble
from leadset.entry.manifest import TrainedSet
from leadset.scoring import ChallengeMetric, auroc, macro
from leadset.store.packed import StoredRecording
from leadset.training.decision.ensemble import (
    CALIBRATION,
    UNJUDGED,
    Choice,
    Known,
    ValidationOutputs,
    ValidationTargets,
    _cross_fitted,
    choose,
    fit_ensemble,
    fit_own_rule,
    gain_of_validation_alone,
)
from leadset.training.decision.evidence import adds_something
from leadset.training.normals import MOST_REPEATS, balanced_by_source

SPACE = label_space("challenge2021")
K = len(SPACE)


def made(n=150, seed=0, noise=1.0):
    """Labels of which each recording has at least one, and probabilities that are too low."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n, K)) < np.geomspace(0.02, 0.3, K)
    labels[~labels.any(axis=1), SPACE.normal_index] = True
    return labels, expit(3 * labels - 4 + noise * rng.normal(size=labels.shape))


def targets_of(labels):
    values = np.column_stack([~labels[:, SPACE.normal_index], labels]).astype(float)
    return ValidationTargets(values, labels, values.mean(axis=0))


def folds_of(labels):
    return np.arange(len(labels)) % 5


# --- decisions -------------------------------------------------------------------------------------------------------


def test_best_label_set_is_that_of_all_sets():
    rng = np.random.default_rng(3)
    rewards, p = np.eye(5) + 0.3 * rng.random((5, 5)), rng.random((40, 5)) ** 2
    sets = np.array([s for s in product([False, True], repeat=5) if any(s)])
    size = np.maximum(p.sum(axis=1), 1)[:, None]
    expected = ((p @ rewards) @ sets.T) / (size + (1 - p) @ sets.T)
    decided = best_label_sets(p, rewards)
    assert decided.any(axis=1).all()
    places = [int(np.flatnonzero((sets == row).all(axis=1))[0]) for row in decided]
    np.testing.assert_allclose(expected[np.arange(40), places], expected.max(axis=1), rtol=1e-9)


def test_label_sets_do_not_depend_on_the_other_recordings():
    _, p = made(60)
    together = best_label_sets(p, SPACE.weights)
    apart = np.concatenate([best_label_sets(row[None], SPACE.weights) for row in p])
    np.testing.assert_array_equal(together, apart)


def test_nothing_likely_still_gets_a_label():
    assert best_label_sets(np.zeros((2, K)), SPACE.weights).any(axis=1).all()


def test_sets_of_true_probabilities_are_worth_more_than_one_threshold():
    rng = np.random.default_rng(1)
    p = expit(rng.normal(-2.5, 1.5, (4000, K)))
    metric = ChallengeMetric(rng.random(p.shape) < p, SPACE)
    common = max(metric(DecisionRule(np.full(K, t))(p)) for t in np.linspace(0.05, 0.9, 18))
    assert metric(best_label_sets(p, SPACE.weights)) > common


def test_rule_with_rewards_is_kept_and_checked():
    rule = DecisionRule(np.full(K, 0.4), {"part": "validation"}, SPACE.weights)
    values = json.loads(json.dumps(rule.to_json()))
    _, p = made(30)
    again = DecisionRule.from_json(values)
    np.testing.assert_array_equal(again(p), rule(p))
    np.testing.assert_array_equal(again.near(p), DecisionRule(np.full(K, 0.4)).near(p))
    for wrong in ([[1.0]], [[float("nan")] * K] * K):
        with pytest.raises(ValueError, match="rewards"):
            DecisionRule.from_json(values | {"rewards": wrong})


def test_weights_beyond_one_are_refused():
    values = Ensemble(np.array([0.5, 0.5]), DecisionRule(np.full(K, 0.4))).to_json()
    assert Ensemble.from_json(values, 2).weights.tolist() == [0.5, 0.5]
    for wrong in ([0.5, 0.7], [-0.1, 0.5]):
        with pytest.raises(ValueError, match="expected shares of one"):
            Ensemble.from_json(values | {"weights": wrong}, 2)


def test_exported_sets_are_the_same():
    _, p = made(300)
    rule = DecisionRule(np.full(K, 0.4), {}, SPACE.weights)
    graph = EntryGraph([], [], [], TrainedSet((), (), Ensemble(np.ones(1), rule)))
    decided = graph._best_sets(torch.from_numpy(p).float()).numpy()
    assert (decided == best_label_sets(p, SPACE.weights)).all(axis=1).mean() > 0.99, "but for ties of single precision"


# --- together --------------------------------------------------------------------------------------------------------


def test_probabilities_are_calibrated():
    labels, p = made()
    ensemble = fit_ensemble([p], targets_of(labels), SPACE, {"part": "validation"}, Choice())
    assert ensemble.calibration.provenance == {"part": "validation"}
    unseen, low = made(seed=9)
    frequent = labels.mean(axis=0) > 0.05
    calibrated = ensemble.join([low])
    error = np.abs(calibrated.mean(axis=0) - unseen.mean(axis=0))[frequent].mean()
    assert error < 0.5 * np.abs(low.mean(axis=0) - unseen.mean(axis=0))[frequent].mean()
    again = Ensemble.from_json(json.loads(json.dumps(ensemble.to_json())), 1)
    np.testing.assert_array_equal(again.join([low]), calibrated)


def test_joint_answer_is_not_below_its_best_member_by_more_than_noise():
    """Many poor networks that agree with one another drag a good one down: it then answers alone."""
    for seed in range(3):
        labels, good = made(seed=seed, noise=0.8)
        _, chance = made(seed=seed + 50)
        rng = np.random.default_rng(seed)
        poor = [np.clip(expit(4 * rng.normal(size=good.shape)), 0, 1) for _ in range(3)] + [chance]
        targets, folds = targets_of(labels), folds_of(labels)
        choice = choose([good, *poor], targets, folds, SPACE)
        unseen, good_unseen = made(seed=seed + 100, noise=0.8)
        poor_unseen = [expit(4 * rng.normal(size=good.shape)) for _ in range(4)]
        ensemble = fit_ensemble([good, *poor], targets, SPACE, {}, choice)
        joint = ensemble.join([good_unseen, *poor_unseen])
        assert macro(auroc(unseen, joint)) > macro(auroc(unseen, good_unseen)) - 0.02


def test_best_network_answers_alone_where_the_others_make_it_worse(monkeypatch):
    labels, good = made(noise=0.5)
    rng = np.random.default_rng(5)
    poor = rng.random(good.shape)
    monkeypatch.setattr("leadset.training.decision.ensemble.fit_weights", lambda p, _: np.full(len(p), 1 / len(p)))
    choice = choose([poor, good], targets_of(labels), folds_of(labels), SPACE)
    assert choice.alone == 1 and choice.report["best"] == 1 and choice.report["gain"]["high"] < 0
    assert fit_ensemble([poor, good], targets_of(labels), SPACE, {}, choice).weights.tolist() == [0.0, 1.0]
    assert json.loads(json.dumps(choice.report)) == choice.report


def test_networks_that_help_one_another_answer_together():
    labels, first = made(noise=2.0)
    rng = np.random.default_rng(7)
    second = expit(3 * labels - 4 + 2 * rng.normal(size=labels.shape))
    choice = choose([first, second], targets_of(labels), folds_of(labels), SPACE)
    assert choice.alone is None and choice.report["gain"]["value"] > 0


def test_expected_score_decides_only_where_it_earns_more_beyond_noise(monkeypatch):
    labels, p = made()
    cases = (labels, ~labels, True), (~labels, labels, False), (labels, labels, False)
    for by_score, by_thresholds, expected in cases:
        ways = {"thresholds": by_thresholds.copy(), "expected_score": by_score.copy()}
        if by_score is by_thresholds:  # one recording of many differs: better, but by chance
            ways["thresholds"][0] = ~labels[0]
        monkeypatch.setattr("leadset.training.decision.ensemble._cross_fitted", lambda *_, ways=ways: (p, ways))
        choice = choose([p], targets_of(labels), folds_of(labels), SPACE)
        scores, gain = choice.report["challenge_metric"], choice.report["expected_score_gain"]
        assert gain["value"] == pytest.approx(scores["expected_score"] - scores["thresholds"], abs=1e-5)
        assert choice.by_expected_score is expected
    assert gain["value"] > 0
    rule = fit_ensemble([p], targets_of(labels), SPACE, {}, Choice(by_expected_score=True)).rule
    assert rule.rewards is not None and rule.provenance["decides"] == "expected score"


def test_one_fold_chooses_nothing():
    labels, p = made(4)
    assert choose([p], targets_of(labels), np.zeros(4, int), SPACE) == Choice()


def test_a_network_alone_decides_as_its_calibrated_probabilities_say():
    labels, p = made()
    targets = targets_of(labels)
    rule = fit_own_rule(p, targets, SPACE, {})
    calibration = Calibration.from_json(json.loads(json.dumps(rule.provenance))[CALIBRATION])
    calibrated = fit_ensemble([p], targets, SPACE, {}, Choice())
    np.testing.assert_allclose(calibration(p), calibrated.join([p]))
    sure = np.abs(calibration(p) - 0.5) > 0.4999
    np.testing.assert_allclose(calibration.undone(calibration(p))[~sure], p[~sure], atol=1e-6)
    assert sure.mean() < 0.5
    reached = (p >= rule.thresholds).any(axis=1)
    np.testing.assert_array_equal(rule(p)[reached], calibrated.rule(calibrated.join([p]))[reached])
    assert reached.mean() > 0.9 and not np.allclose(rule.thresholds, calibrated.rule.thresholds)


def joined(few, *, off):
    """Some validation recordings, and 400 that other weights answered, with log odds that are off by so much."""
    (labels, p), (more, before) = made(few), made(400, seed=3)
    before = expit(logit(before) + off)
    folds = np.append(folds_of(labels), np.full(len(more), UNJUDGED))
    network = ValidationOutputs(np.concatenate([p, before]), detects=False)
    return Known([network], targets_of(np.concatenate([labels, more])), folds)


def test_answers_of_other_weights_are_left_out_where_they_mislead_beyond_noise():
    for few, off, low in ((40, 0.0, False), (400, 8.0, True)):
        known = joined(few, off=off)
        gain = gain_of_validation_alone(known, [known.networks[0].answers], SPACE)
        assert (gain["low"] > 0) is low, (few, off, gain)
    alone = known.validation()
    assert len(alone.folds) == few and (alone.folds >= 0).all()
    assert alone.targets.labels.shape == alone.networks[0].answers.shape == (few, K)


def test_nothing_is_judged_by_recordings_that_are_only_fitted_to():
    known = joined(40, off=0.0)
    choice = choose([known.networks[0].answers], known.targets, known.folds, SPACE)
    _, decisions = _cross_fitted([known.networks[0].answers], known.targets, known.folds, SPACE)
    metric = ChallengeMetric(known.targets.labels[known.folds >= 0], SPACE)
    assert choice.report["challenge_metric"]["thresholds"] == pytest.approx(metric(decisions["thresholds"]), abs=1e-5)
    assert len(decisions["thresholds"]) == 40


def test_detector_has_a_say_only_with_a_gain_beyond_noise():
    for low, expected in ((0.01, True), (0.0, False), (-0.1, False)):
        assert adds_something({"gain": {"value": 0.1, "low": low, "high": 0.2}}) is expected


# --- normal recordings ------------------------------------------------------------------------------------------------


def test_small_sources_are_repeated_but_not_without_end():
    def stored(source):
        fields = (f"{source}/x.hea", 0, 5000, 500.0, (), None, None, None, (), "")
        return StoredRecording("x", *fields)

    recordings = SimpleNamespace(recordings=list(map(stored, ["big"] * 100 + ["half"] * 50 + ["tiny"] * 2)))
    drawn = balanced_by_source(recordings, np.arange(152))
    counts = np.bincount(drawn)
    assert (counts[:100] == 1).all() and (counts[100:150] == 2).all() and (counts[150:] == MOST_REPEATS).all()
