"""Which model ranks first: mean ranks over blocks (data sets, folds, classes), and whether they differ beyond chance.

Friedman's test asks whether any models differ; then Wilcoxon's signed-rank test of every pair, with Holm's correction,
asks which. Sources: Demšar, *Statistical comparisons of classifiers over multiple data sets*, JMLR 7, 2006; Benavoli,
Corani & Mangili, *Should we really use post-hoc tests based on mean-ranks?*, JMLR 17, 2016, for pairs in place of
Nemenyi's test, in which a pair's result depends on the other models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import ceil, log2
from typing import NamedTuple

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, wilcoxon

from leadset.studies.compared import FREQUENT
from leadset.studies.tables import Line

#: A test rejects below this.
LEVEL = 0.05
#: The score whose ranks come first.
MAIN_SCORE = "auroc"
#: What blocks are, in words, and the scores by which models are ranked in them.
DATA_SETS, FOLDS, CLASSES = "data sets", "folds", "classes"
_SCORES = {
    DATA_SETS: (MAIN_SCORE, "challenge_metric"), FOLDS: (MAIN_SCORE, "challenge_metric"), CLASSES: (MAIN_SCORE, "f1"),
}  # fmt: skip


class Ranking(NamedTuple):
    """Models ranked in each block, 1 for the best.

    Attributes:
        leads: the lead set.
        blocks: what they are.
        score: by which models are ranked.
        models: (m,) by mean rank, the best first.
        mean_ranks: (m,).
        n: number of blocks.
        needed: number of blocks below which no pair can be told apart, however clearly one wins each.
        friedman: p-value that no models differ; NaN where nothing is tested, or two models alone are.
        p: (m, m) of pairs, after Holm; NaN where nothing is tested.
    """

    leads: str
    blocks: str
    score: str
    models: tuple[str, ...]
    mean_ranks: np.ndarray
    n: int
    needed: int
    friedman: float
    p: np.ndarray

    @property
    def tested(self) -> bool:
        """Whether there are tests: enough blocks, and none of folds, whose training parts overlap."""
        return bool(np.isfinite(self.p).any())

    def groups(self) -> list[tuple[int, int]]:
        """First and last place of each longest run of models of which no two are told apart."""
        runs: list[tuple[int, int]] = []
        for first in range(len(self.models)):
            last = first
            while last + 1 < len(self.models) and (self.p[first : last + 1, last + 1] >= LEVEL).all():
                last += 1
            if last > first and (not runs or last > runs[-1][1]):
                runs.append((first, last))
        return runs


def rankings(made: Mapping[str, Sequence[Line]]) -> list[Ranking]:
    """The rankings of each lead set with two models or more.

    Args:
        made: the tables of a report by name: ``sources``, ``folds`` and ``classes``, in which seeds are averaged.
            Classes count that have `FREQUENT` recordings; folds do where they are not the data sets.
    """
    parts = {DATA_SETS: made["sources"], FOLDS: made["folds"]}
    names = {kind: {line["part"] for line in lines} for kind, lines in parts.items()}
    if names[FOLDS] == names[DATA_SETS]:
        del parts[FOLDS]
    tables = [(kind, "part", lines) for kind, lines in parts.items()]
    tables.append((CLASSES, "class", [line for line in made["classes"] if line["recordings"] >= FREQUENT]))
    return [
        ranking for leads in dict.fromkeys(line["leads"] for line in made["sources"])
        for kind, key, lines in tables
        for ranking in _of_lead_set(leads, kind, key, [line for line in lines if line["leads"] == leads])
    ]  # fmt: skip


def _of_lead_set(leads: str, kind: str, key: str, lines: Sequence[Line]) -> Iterator[Ranking]:
    models = tuple(dict.fromkeys(line["model"] for line in lines))
    for score in _SCORES[kind]:
        by_block: dict[str, dict[str, float]] = {}
        for line in lines:
            by_block.setdefault(line[key], {})[line["model"]] = line[score]
        values = np.array([[block[model] for model in models] for block in by_block.values()])
        values = values[np.isfinite(values).all(axis=1)] if len(values) else np.zeros((0, len(models)))
        if len(models) > 1 and len(values) > 1:
            yield _ranked(leads, kind, score, models, values)


def _ranked(leads: str, kind: str, score: str, models: tuple[str, ...], values: np.ndarray) -> Ranking:
    """A ranking by scores (blocks, models)."""
    n, m = values.shape
    ranks = rankdata(-values, axis=1).mean(axis=0)
    order = np.argsort(ranks, kind="stable")
    needed = blocks_needed(m)
    friedman, p = np.nan, np.full((m, m), np.nan)
    if kind != FOLDS and n >= needed:
        if m > 2 and (values != values[:, :1]).any():
            friedman = float(friedmanchisquare(*values.T).pvalue)
        p = pairwise(values[:, order])
    names = tuple(models[i] for i in order)
    return Ranking(leads, kind, score, names, ranks[order], n, needed, friedman, p)


def blocks_needed(models: int) -> int:
    """Blocks that it takes until a model which wins all of them is told apart from another one.

    The smallest p-value of the two-sided signed-rank test is 2 / 2^n; Holm multiplies it by the number of pairs.
    """
    pairs = models * (models - 1) // 2
    return ceil(1 + log2(pairs / LEVEL))


def pairwise(values: np.ndarray) -> np.ndarray:
    """p-values (m, m) of Wilcoxon's signed-rank test of all pairs of models, after Holm; NaN on the diagonal.

    Args:
        values: scores (n, m) of m models in n blocks.
    """
    pairs = list(combinations(range(values.shape[1]), 2))
    raw = np.array([_signed_rank(values[:, i] - values[:, j]) for i, j in pairs])
    p = np.full((values.shape[1],) * 2, np.nan)
    for (i, j), adjusted in zip(pairs, holm(raw), strict=True):
        p[i, j] = p[j, i] = adjusted
    return p


def _signed_rank(differences: np.ndarray) -> float:
    """Exact where sizes of differences differ; else by the normal distribution, as permutations would take seconds."""
    if not differences.any():
        return 1.0
    differ = differences.all() and len(np.unique(abs(differences))) == len(differences)
    return float(wilcoxon(differences, zero_method="zsplit", method="exact" if differ else "approx").pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (n,) corrected for their number (Holm, *Scandinavian Journal of Statistics* 6, 1979)."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def rank_lines(found: Sequence[Ranking]) -> list[Line]:
    """A line for each model of each ranking."""
    return [
        {
            "leads": one.leads, "blocks": one.blocks, "score": one.score, "n": one.n, "model": model,
            "mean_rank": float(one.mean_ranks[i]), "p_to_best": float(one.p[0, i]), "friedman_p": one.friedman,
        }
        for one in found for i, model in enumerate(one.models)
    ]  # fmt: skip


def pair_lines(found: Sequence[Ranking]) -> list[Line]:
    """A line for each pair of models that was tested."""
    return [
        {"leads": one.leads, "blocks": one.blocks, "score": one.score, "n": one.n, "model": one.models[i],
         "other": one.models[j], "p": float(one.p[i, j])}
        for one in found if one.tested for i, j in combinations(range(len(one.models)), 2)
    ]  # fmt: skip
