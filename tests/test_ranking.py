"""Ranks of models and their tests: those of SciPy and of Demšar's worked example, and none of too few blocks."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, wilcoxon

from leadset.studies.page import Page
from leadset.studies.ranking import CLASSES, DATA_SETS, FOLDS, LEVEL, blocks_needed, holm, pairwise, rankings
from leadset.studies.report_ranking import add_ranking, ranks_table, verdict

# AUC of C4.5 and its variants on 14 data sets: table 6 of Demšar, JMLR 7, 2006. Its ranks have the third before the
# fourth on the last but one, where three digits do not tell them apart.
DEMSAR = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.97501, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip
TITLES = {"auroc": "AUROC", "challenge_metric": "Challenge metric", "f1": "F1"}


def lines_of(values, key, names="abcdefghijklmnop"):
    """Table lines of scores (blocks, models)."""
    return [
        {key: f"{key}{i}", "leads": "12", "model": names[j], "recordings": 50, "auroc": float(value),
         "challenge_metric": float(-value), "f1": float(value)}
        for i, row in enumerate(values) for j, value in enumerate(row)
    ]  # fmt: skip


def ranked(sources, folds=((0.5, 0.6),), by_class=((0.5, 0.6),)):
    in_folds = [line | {"part": f"fold {line['part']}"} for line in lines_of(folds, "part")]
    return rankings({
        "sources": lines_of(sources, "part"), "folds": in_folds, "classes": lines_of(by_class, "class"),
    })  # fmt: skip


def test_ranks_are_those_of_demsar():
    one = next(one for one in ranked(DEMSAR) if one.score == "auroc")
    assert (one.blocks, one.n, one.models) == (DATA_SETS, 14, ("d", "b", "c", "a"))
    assert one.mean_ranks == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert 12 * 14 / 20 * ((one.mean_ranks**2).sum() - 4 * 25 / 4) == pytest.approx(9.28, abs=0.01)
    assert one.friedman == friedmanchisquare(*DEMSAR.T).pvalue  # ties corrected for, which 9.28 is not
    other = next(one for one in ranked(DEMSAR) if one.score == "challenge_metric")
    assert other.models == ("a", "c", "b", "d"), "the sign of a score turns its ranks round"


def test_pairs_are_wilcoxons_with_holms_correction():
    values = np.random.default_rng(0).normal([0, 0.4, 2], 1, (15, 3))
    raw = [wilcoxon(values[:, i], values[:, j]).pvalue for i, j in ((0, 1), (0, 2), (1, 2))]
    p = pairwise(values)
    assert [p[0, 1], p[0, 2], p[1, 2]] == pytest.approx(holm(np.array(raw)).tolist())
    assert p[0, 1] == p[1, 0] and np.isnan(np.diag(p)).all()
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert pairwise(np.ones((8, 2)))[0, 1] == 1


@pytest.mark.parametrize("models", [2, 3, 5, 12])
def test_blocks_needed_are_the_fewest_in_which_a_clear_winner_is_told_apart(models):
    n = blocks_needed(models)
    pairs = models * (models - 1) // 2
    winner = np.linspace(1, 2, n)  # differences that differ, all of one sign
    assert wilcoxon(winner).pvalue * pairs <= LEVEL
    assert wilcoxon(winner[1:]).pvalue * pairs > LEVEL


def test_too_few_blocks_are_ranked_and_not_tested():
    few, enough = (next(iter(ranked(DEMSAR[:n, :2]))) for n in (5, 6))
    assert not few.tested and np.isnan(few.friedman) and few.mean_ranks.sum() == 3
    assert enough.tested
    assert "AUROC over 5 data sets: too few for a test; with fewer than 6" in verdict(few, TITLES)
    assert "too few" not in verdict(enough, TITLES)


def test_folds_are_never_tested_and_left_out_where_they_are_the_data_sets():
    by_kind = {one.blocks: one for one in ranked(DEMSAR, DEMSAR, DEMSAR)}
    assert by_kind[CLASSES].tested and not by_kind[FOLDS].tested
    same = rankings({"sources": lines_of(DEMSAR, "part"), "folds": lines_of(DEMSAR, "part"), "classes": []})
    assert {one.blocks for one in same} == {DATA_SETS}


def test_rare_classes_and_blocks_without_a_score_do_not_count():
    lines = lines_of(DEMSAR, "class")
    for line in lines:
        if line["class"] == "class0":
            line["recordings"] = 9
        if (line["class"], line["model"]) == ("class1", "b"):
            line["auroc"] = float("nan")
    found = {one.score: one for one in rankings({"sources": lines_of(DEMSAR, "part"), "folds": [], "classes": lines})
             if one.blocks == CLASSES}  # fmt: skip
    assert (found["auroc"].n, found["f1"].n) == (12, 13)
    assert not ranked(DEMSAR[:, :1]), "a single model has no rank"


def test_groups_are_the_longest_runs_that_are_not_told_apart():
    one = ranked(DEMSAR)[0]
    p = np.full((4, 4), 0.5)
    p[0, 3] = p[3, 0] = p[0, 2] = p[2, 0] = 0.01
    assert one._replace(p=p).groups() == [(0, 1), (1, 3)]
    assert one._replace(p=np.full((4, 4), 0.5)).groups() == [(0, 3)]
    assert one._replace(p=np.full((4, 4), 0.01)).groups() == []


def test_the_section_and_the_table_of_a_paper_show_ranks():
    values = np.linspace(0.5, 0.9, 10)[:, None] + np.array([0.0, 0.05, 0.051]) + np.linspace(0, 0.02, 30).reshape(10, 3)
    values[::2, 2] -= 0.01
    found = [one for one in ranked(values) if one.score == "auroc"]
    page = Page("x")
    add_ranking(page, found, TITLES)
    html = page.html()
    first = found[0].models[0]
    assert f"{first} is told apart from 1 of 2 other models" in html
    assert re.search(r"<td>a<td>3\.00<small>p 0\.00\d</small>", html.replace("</td>", ""))
    text = ranks_table(found, TITLES, "about")
    assert rf"{first} & \textbf{{{found[0].mean_ranks[0]:.2f}}} \\" in text
    assert text.count(r"\textsuperscript{$\dagger$}") == 1 and r"a & 3.00 \\" in text
