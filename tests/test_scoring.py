"""The scores and their intervals: by hand on small cases, and against a plain implementation on random ones."""

from __future__ import annotations

import math

import numpy as np
import plain_scorer
import pytest
from sklearn.metrics import fbeta_score

from leadset import label_space, scoring
from leadset.classes import list_label_spaces
from leadset.scoring.by_class import CLASS_SCORES, class_counts
from leadset.scoring.metrics import Ranking, areas

CHALLENGE = label_space("challenge2021")
AF, AFL, NSR = (CHALLENGE.index[code] for code in ("164889003", "164890007", "426783006"))


def one_hot(*rows: tuple[int, ...]) -> np.ndarray:
    """Label matrix of the Challenge's classes from the positive classes of each recording."""
    matrix = np.zeros((len(rows), len(CHALLENGE)), dtype=bool)
    for i, classes in enumerate(rows):
        matrix[i, list(classes)] = True
    return matrix


def draw(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, decisions, scalars; ties where the seed is even, few positives where it is below 4.

    With more positives, some classes are all negative or all positive.
    """
    rng = np.random.default_rng(seed)
    labels = rng.random((n, k)) < (0.04 if seed < 4 else rng.choice([0, 0.1, 0.5, 1], k))
    decisions = rng.random((n, k)) < (0.02 if seed < 4 else 0.3)
    scalars = rng.random((n, k)) if seed % 2 else rng.integers(0, 5, (n, k)) / 5
    return labels, decisions, scalars


# --- values by hand ---------------------------------------------------------------------------------------------------


def test_areas_by_hand():
    labels = np.array([[1, 0, 1, 0]]).T
    scalars = np.array([[0.9, 0.8, 0.3, 0.1]]).T
    # One of the four pairs of a positive and a negative is in the wrong order; precision is 1 and 2/3 at the positives.
    assert scoring.auroc(labels, scalars) == [0.75]
    assert scoring.auprc(labels, scalars) == [0.5 * 1 + 0.5 * (2 / 3)]


def test_equal_scalars_say_nothing():
    labels = np.array([[1, 0, 0, 0]]).T
    auroc, auprc = areas(labels, np.full((4, 1), 0.3))
    assert (auroc, auprc) == ([0.5], [0.25])


@pytest.mark.parametrize(("label", "auroc", "auprc"), [(0, math.nan, math.nan), (1, math.nan, 1.0)])
def test_classes_of_one_kind_have_no_auroc(label: int, auroc: float, auprc: float):
    found = areas(np.full((3, 1), label), np.array([[0.1], [0.2], [0.3]]))
    np.testing.assert_equal(found, ([auroc], [auprc]))


def test_scalars_that_are_not_finite_count_as_zero():
    labels = np.array([[1, 0, 1, 0]]).T
    not_finite, zero = np.array([[0.9, math.inf, math.nan, 0.1]]).T, np.array([[0.9, 0, 0, 0.1]]).T
    assert scoring.auroc(labels, not_finite) == scoring.auroc(labels, zero)


def test_f_measure_and_accuracy_by_hand():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    decisions = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    np.testing.assert_equal(scoring.f_measure(labels, decisions), [2 / 3, 2 / 3, math.nan])
    assert scoring.accuracy(labels, decisions) == 1 / 3
    assert scoring.macro(np.array([math.nan, 0.25, 0.75])) == 0.5
    assert math.isnan(scoring.macro(np.array([math.nan])))


@pytest.mark.parametrize(
    ("labels", "decisions", "expected"),
    [
        ([(AF,)], [(AF,)], 1.0),
        ([(AF,)], [(NSR,)], 0.0),
        # Weights 1 and 0.5 over a union of two, against 0.25 over two for sinus rhythm.
        ([(AF,)], [(AF, AFL)], (0.75 - 0.125) / (1 - 0.125)),
        ([(AF,)], [()], (0 - 0.125) / (1 - 0.125)),
        # The labels themselves earn (1 + 0.5 + 0.5 + 1) / 2, sinus rhythm (0.25 + 0.25) / 3.
        ([(AF, AFL)], [(AF,)], (1.5 / 2 - 0.5 / 3) / (1.5 - 0.5 / 3)),
        # Sinus rhythm everywhere: nothing to be gained.
        ([(NSR,), (NSR,)], [(NSR,), (AF,)], 0.0),
        ([()], [(AF,)], 0.0),
    ],
)
def test_challenge_metric_by_hand(labels: list, decisions: list, expected: float):
    labels, decisions = one_hot(*labels), one_hot(*decisions)
    assert scoring.challenge_metric(labels, decisions, CHALLENGE) == pytest.approx(expected, abs=1e-12)
    assert scoring.ChallengeMetric(labels, CHALLENGE)(decisions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", list_label_spaces())
def test_every_label_space_scores_from_normal_to_right(name: str):
    space = label_space(name)
    labels = np.eye(len(space), dtype=bool)
    normal = np.zeros_like(labels)
    normal[:, space.normal_index] = True
    scores = scoring.score(labels, labels, labels.astype(float), space)
    assert (scores.auroc, scores.auprc, scores.accuracy, scores.f_measure, scores.challenge_metric) == (1, 1, 1, 1, 1)
    assert scoring.challenge_metric(labels, normal, space) == 0
    assert scoring.class_scores_text(scores).startswith("Classes," + "|".join(sorted(space.classes[0].codes)) + ",")


@pytest.mark.parametrize("shape", [(3,), (0, 26), (3, 25)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="expected"):
        scoring.score(np.zeros(shape), np.zeros(shape), np.zeros(shape), CHALLENGE)
    with pytest.raises(ValueError, match=r"\(4, 26\), expected that of the labels \(3, 26\)"):
        scoring.score(np.zeros((3, 26)), np.zeros((4, 26)), np.zeros((3, 26)), CHALLENGE)


# --- against the definition written as loops --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_scores_are_those_of_the_loops_to_the_last_bit(seed: int):
    labels, decisions, scalars = draw(int(np.random.default_rng(seed).integers(1, 60)), len(CHALLENGE), seed)
    scores = scoring.score(labels, decisions, scalars, CHALLENGE)
    five, by_class = plain_scorer.scores(labels, decisions, scalars, CHALLENGE.weights, CHALLENGE.normal_index)
    found = [scores.auroc, scores.auprc, scores.accuracy, scores.f_measure, scores.challenge_metric]
    np.testing.assert_array_equal(found, five)
    np.testing.assert_array_equal([scores.class_auroc, scores.class_auprc, scores.class_f_measure], by_class)


@pytest.mark.parametrize("seed", range(8))
def test_searching_finds_the_same_score(seed: int):
    labels, decisions, scalars = draw(200, len(CHALLENGE), seed)
    metric = scoring.ChallengeMetric(labels, CHALLENGE)
    assert metric(decisions) == pytest.approx(scoring.challenge_metric(labels, decisions, CHALLENGE), abs=1e-12)
    thresholds, scores = metric.sweep(decisions, 3, scalars[:, 3])
    assert thresholds.tolist() == [math.inf, *sorted(set(scalars[:, 3]), reverse=True)]
    for threshold, score in zip(thresholds, scores, strict=True):
        candidate = decisions.copy()
        candidate[:, 3] = scalars[:, 3] >= threshold
        assert score == pytest.approx(scoring.challenge_metric(labels, candidate, CHALLENGE), abs=1e-12)


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_counted_recordings_are_repeated_ones(seed: int):
    labels, decisions, scalars = draw(40, len(CHALLENGE), seed)
    counts = np.random.default_rng(seed).integers(0, 4, 40)
    twice = [np.repeat(array, counts, axis=0) for array in (labels, decisions, scalars)]
    np.testing.assert_allclose(Ranking(labels, scalars).areas(counts), areas(twice[0], twice[2]), rtol=1e-12)
    assert scoring.accuracy(labels, decisions, counts) == pytest.approx(scoring.accuracy(*twice[:2]))
    np.testing.assert_allclose(scoring.f_measure(labels, decisions, counts), scoring.f_measure(*twice[:2]))
    metric = scoring.ChallengeMetric(labels, CHALLENGE)
    expected = scoring.challenge_metric(*twice[:2], CHALLENGE)
    assert metric.score(metric.rewards(decisions), counts) == pytest.approx(expected, abs=1e-12)


def test_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).standard_normal(400)
    found = scoring.bootstrap(lambda counts: np.average(values, weights=counts), 400, n=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half), rel=0.1)
    narrow = scoring.bootstrap(lambda counts: np.average(values, weights=counts), 400, n=4000, level=0.5)
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6745 / 1.96 * half, rel=0.1)


def test_patients_are_drawn_whole_and_draws_follow_the_seed():
    patients = np.array(["a", "b", "a", "c", "c", "c", "d"])
    seen = []

    def remember(counts: np.ndarray) -> float:
        seen.append(counts)
        return float(counts[0])

    first = scoring.bootstrap(remember, 7, patients, n=50, seed=1)
    assert all(len({int(c) for c in counts[patients == p]}) == 1 for counts in seen for p in "abcd")
    assert all(sum(counts[patients == p][0] for p in "abcd") == 4 for counts in seen)
    assert len({counts.tobytes() for counts in seen}) > 10
    n_seen = len(seen)
    assert scoring.bootstrap(remember, 7, patients, n=50, seed=1) == first
    assert [c.tobytes() for c in seen[:n_seen]] == [c.tobytes() for c in seen[n_seen:]]
    scoring.bootstrap(remember, 7, patients, n=50, seed=2)
    assert [c.tobytes() for c in seen[:n_seen]] != [c.tobytes() for c in seen[2 * n_seen :]]


def test_grouped_interval_is_wider_where_patients_repeat():
    rng = np.random.default_rng(0)
    values, patients = np.repeat(rng.standard_normal(50), 8), np.repeat(np.arange(50), 8)

    def width(groups: np.ndarray | None) -> float:
        found = scoring.bootstrap(lambda counts: np.average(values, weights=counts), 400, groups)
        return found.high - found.low

    assert width(patients) > 2 * width(None)


def test_undefined_scores_are_left_out_of_an_interval():
    found = scoring.bootstrap(lambda counts: np.array([math.nan, math.nan if counts[0] else 2.0]), 5, n=20)
    np.testing.assert_equal([found.low, found.high], [[math.nan, 2.0]] * 2)


def test_intervals_of_the_scores():
    labels, _, scalars = draw(80, len(CHALLENGE), 5)
    decisions = labels ^ (np.random.default_rng(0).random(labels.shape) < 0.03)
    intervals = scoring.score_intervals(labels, decisions, scalars, CHALLENGE, n=60)
    scores = scoring.score(labels, decisions, scalars, CHALLENGE)
    for name, interval in intervals.items():
        assert interval.value == pytest.approx(getattr(scores, name))
        assert interval.low < interval.value < interval.high
    by_repeating = scoring.over(lambda y, p: scoring.macro(scoring.auroc(y, p)), labels, scalars)
    slow = scoring.bootstrap(by_repeating, 80, n=60)
    assert (slow.low, slow.high) == pytest.approx((intervals["auroc"].low, intervals["auroc"].high))


def test_wrong_bootstrap_arguments():
    with pytest.raises(ValueError, match="found 3 groups, expected one for each of 5 recordings"):
        scoring.bootstrap(np.mean, 5, groups=[1, 2, 3])
    with pytest.raises(ValueError, match="level"):
        scoring.bootstrap(np.mean, 5, level=95)


def test_scores_by_class_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, decided = rng.random((50, 4)) < 0.4, rng.random((50, 4)) < 0.5
    counts = class_counts(labels, decided)
    for name, beta in (("f1", 1), ("f2", 2)):
        expected = fbeta_score(labels, decided, beta=beta, average=None)
        np.testing.assert_allclose(CLASS_SCORES[name](counts), expected)
