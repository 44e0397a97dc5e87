"""Bootstrap intervals over recordings or patients.

Source: Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13 (percentile intervals).
A resampled data set is written as how often each recording occurs, so that a metric sorts and multiplies once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leadset.classes import LabelSpace
from leadset.scoring import metrics
from leadset.scoring.search import ChallengeMetric

#: A score from how often each recording occurs, (n,) integers.
CountMetric = Callable[[np.ndarray], float | np.ndarray]


@dataclass(frozen=True)
class Interval:
    """A value with its interval, of the shape of the metric: numbers, or (k,) for a metric by class."""

    value: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def bootstrap(
    metric: CountMetric,
    n_recordings: int,
    groups: Sequence | np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a metric.

    Args:
        metric: called with counts (n_recordings,); `over` makes one of a metric of arrays.
        n_recordings: size of the data set.
        groups: (n_recordings,) patient of each recording: whole patients are drawn, not recordings.
        n: number of resampled data sets.
        seed: of the draws; the same for two metrics means the same data sets.
        level: share of the data sets inside the interval.

    Returns:
        The metric on the data set itself, and the percentiles over resampled ones; those in which the metric is NaN
        are left out, and all of them NaN means NaN.

    Raises:
        ValueError: ``groups`` of another length, ``n`` below 1, ``level`` outside 0 to 1.
    """
    if n < 1 or not 0 < level < 1:
        raise ValueError(f"found n = {n} and level = {level}, expected n of at least 1 and a level between 0 and 1")
    values = np.array([metric(counts) for counts in resampled(n_recordings, groups, n, seed)], dtype=float)
    return percentile_interval(metric(np.ones(n_recordings, dtype=np.int64)), values, level)


def percentile_interval(value: float | np.ndarray, values: np.ndarray, level: float = 0.95) -> Interval:
    """A value with the percentiles of those of resampled data sets, (n, ...); NaN among these are left out."""
    unknown = np.isnan(values).all(axis=0)
    tail = 50.0 * (1.0 - level)
    percentiles = np.nanpercentile(np.where(unknown, 0.0, values), [tail, 100.0 - tail], axis=0)
    low, high = np.where(unknown, np.nan, percentiles)
    return Interval(value, low[()], high[()])


def resampled(
    n_recordings: int, groups: Sequence | np.ndarray | None = None, n: int = 1000, seed: int = 0
) -> Iterator[np.ndarray]:
    """Counts (n_recordings,) of one resampled data set after the other; arguments and errors as in `bootstrap`."""
    rng = np.random.default_rng(seed)
    if groups is None:
        member, n_groups = np.arange(n_recordings), n_recordings
    else:
        if len(groups) != n_recordings:
            raise ValueError(f"found {len(groups)} groups, expected one for each of {n_recordings} recordings")
        patients, member = np.unique(np.asarray(groups), return_inverse=True)
        n_groups = len(patients)
    for _ in range(n):
        yield np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)[member]


def over(metric: Callable[..., float | np.ndarray], *arrays: np.ndarray) -> CountMetric:
    """A metric of arrays whose first axis is the recordings, such as one of scikit-learn, for `bootstrap`."""
    return lambda counts: metric(*(np.repeat(array, counts, axis=0) for array in arrays))


def score_intervals(
    labels: np.ndarray,
    decisions: np.ndarray,
    scalars: np.ndarray,
    space: LabelSpace,
    groups: Sequence | np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Intervals of the five scores of the Challenge, by their attribute name in `leadset.scoring.Scores`.

    A macro score of a resampled data set is the mean over the classes that have a value in it. Arguments and errors as
    in `bootstrap` and `leadset.scoring.score`.
    """
    ranking, challenge = metrics.Ranking(labels, scalars), ChallengeMetric(labels, space)
    rewards = challenge.rewards(decisions)

    def five_scores(counts: np.ndarray) -> np.ndarray:
        areas = map(metrics.macro, ranking.areas(counts))
        accuracy = metrics.accuracy(labels, decisions, counts)
        f_measure = metrics.macro(metrics.f_measure(labels, decisions, counts))
        return np.array([*areas, accuracy, f_measure, challenge.score(rewards, counts)])

    names = ("auroc", "auprc", "accuracy", "f_measure", "challenge_metric")
    five = bootstrap(five_scores, len(labels), groups, n, seed, level)
    rows = np.transpose([five.value, five.low, five.high]).tolist()
    return {name: Interval(*row) for name, row in zip(names, rows, strict=True)}
