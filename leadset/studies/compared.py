"""Scores of models beside one another, with intervals over both that vary: patients, and the seeds of training.

All seeds of a model answer the same patients. So patients and seeds are drawn apart from one another and crossed (Owen,
*The pigeonhole bootstrap*, Annals of Applied Statistics 1, 2007): a draw is the mean over the drawn seeds of the score
on the drawn patients. Of s seeds, s − 1 are drawn with replacement, as drawing s would give a variance that is too
small by 1/s (Rao & Wu, Journal of the American Statistical Association 83, 1988). Models with the same seeds get the
same draws, of patients and of seeds, so that their differences are paired in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from leadset.scoring import ChallengeMetric, f_measure, macro
from leadset.scoring.intervals import CountMetric, Interval, over, percentile_interval, resampled
from leadset.scoring.metrics import Ranking
from leadset.studies.answers import Row, Said
from leadset.studies.results import Results

#: Scores with intervals and differences, by column.
COMPARED = ("challenge_metric", "auroc", "auroc_frequent", "auprc", "f1")
#: A class with fewer recordings than this is not among the frequent ones.
FREQUENT = 10
#: Resampled data sets of an interval, and their seed.
DRAWS, SEED = 1000, 2021


def frequent(results: Results) -> np.ndarray:
    """Which classes (k,) have at least `FREQUENT` recordings, and as many without them."""
    counts = results.evidence.sum(axis=0)
    return (counts >= FREQUENT) & (len(results.evidence) - counts >= FREQUENT)


class Comparison(NamedTuple):
    """The scores of `COMPARED` of some rows.

    Attributes:
        rows: (r,).
        seeds: by row, the seeds of its runs.
        runs: by row, the scores (s, scores) after training with each seed.
        drawn: (draws, r, scores) on resampled data sets, of resampled seeds.
    """

    rows: list[Row]
    seeds: list[tuple[int, ...]]
    runs: list[np.ndarray]
    drawn: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """Scores (r, scores), means over seeds."""
        return np.array([run.mean(axis=0) for run in self.runs])

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviations (r, scores) over seeds; NaN for a single one."""
        return np.array([
            run.std(axis=0, ddof=1) if len(run) > 1 else np.full(len(COMPARED), np.nan) for run in self.runs
        ])  # fmt: skip

    def interval(self) -> Interval:
        """95 % intervals (r, scores)."""
        return percentile_interval(self.value, self.drawn)

    def difference(self, other: int) -> Interval:
        """Differences (r, scores) to one of the rows, with paired 95 % intervals."""
        value = self.value
        return percentile_interval(value - value[other], self.drawn - self.drawn[:, [other]])

    def with_best(self) -> np.ndarray:
        """Whether (r, scores) a row has the highest score, or one whose paired difference to that may be zero."""
        value = self.value
        beside = np.zeros(value.shape, dtype=bool)
        for score in np.flatnonzero(np.isfinite(value).any(axis=0)):
            best = int(np.nanargmax(value[:, score]))
            beside[:, score] = self.difference(best).high[:, score] >= 0
            beside[best, score] = True
        return beside


def compare(results: Results, rows: Sequence[Row], draws: int = DRAWS) -> Comparison:
    """The scores of some rows on the data set and on ``draws`` resampled ones."""
    scored = [[_Scored(results, said) for said in results.said[row]] for row in rows]
    seeds = [results.seeds[row] for row in rows]
    return Comparison(list(rows), seeds, *_on_data_and_drawn(results, scored, seeds, draws))


def over_seeds(results: Results, row: Row, metric: Callable[..., float], draws: int = DRAWS) -> Interval:
    """The mean over seeds of a metric of labels, decisions and probabilities, (n, k) each, with its 95 % interval."""
    runs = [over(metric, results.labels, said.decisions, said.probabilities) for said in results.said[row]]
    (value,), drawn = _on_data_and_drawn(results, [runs], [results.seeds[row]], draws)
    return percentile_interval(value.mean(), drawn[:, 0])


def _on_data_and_drawn(
    results: Results, scored: Sequence[Sequence[CountMetric]], seeds: Sequence[tuple[int, ...]], draws: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """By row, the scores (s, ...) of its runs; and the scores (draws, r, ...) on drawn patients, of drawn seeds."""

    def scores(counts: np.ndarray) -> list[np.ndarray]:
        return [np.array([run(counts) for run in runs]) for runs in scored]

    rng, drawn = np.random.default_rng([SEED, 1]), []
    for counts in resampled(len(results.labels), results.groups, draws, SEED):
        chosen = {some: _drawn_seeds(len(some), rng) for some in dict.fromkeys(seeds)}
        drawn.append([runs[chosen[some]].mean(axis=0) for runs, some in zip(scores(counts), seeds, strict=True)])
    return scores(np.ones(len(results.labels), dtype=np.int64)), np.array(drawn)


def _drawn_seeds(n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of seeds, one fewer than there are, but one at least."""
    return rng.integers(n, size=n - 1) if n > 1 else np.zeros(1, dtype=int)


class _Scored:
    """The scores of `COMPARED` of what one row said after one training; called with counts (n,)."""

    def __init__(self, results: Results, said: Said) -> None:
        self.labels, self.decided = results.labels, said.decisions
        self.metric, often = ChallengeMetric(results.labels, results.space), frequent(results)
        self.rewards = self.metric.rewards(said.decisions)
        self.ranking = Ranking(results.labels, said.probabilities)
        self.often = Ranking(results.evidence[:, often], said.probabilities[:, often]) if often.any() else None

    def __call__(self, counts: np.ndarray) -> list[float]:
        auroc, auprc = map(macro, self.ranking.areas(counts))
        often = np.nan if self.often is None else macro(self.often.areas(counts)[0])
        f1 = macro(f_measure(self.labels, self.decided, counts))
        return [self.metric.score(self.rewards, counts), auroc, often, auprc, f1]
