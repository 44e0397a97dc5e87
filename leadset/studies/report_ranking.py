"""The sections of a report on what varies: seeds of training, and ranks over data sets, folds and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leadset.studies.compared import COMPARED, FREQUENT
from leadset.studies.latex import marked, tabular
from leadset.studies.page import Page, number
from leadset.studies.ranking import FOLDS, LEVEL, MAIN_SCORE, Ranking
from leadset.studies.results import Results
from leadset.studies.tables import Line

_RANKS_NOTE = (
    "Mean ranks, 1 for the best. Bold: the first. Dagger: not told apart from it by Wilcoxon's signed-rank test with "
    f"Holm's correction for all pairs, at {LEVEL}. Columns without tests have neither."
)


def add_seeds(page: Page, results: Results, lines: Sequence[Line], titles: Mapping[str, str]) -> None:
    """Mean and standard deviation over seeds, of the models that were trained with several.

    Args:
        page: of the report.
        results: of the cross-validation.
        lines: the table of scores.
        titles: of scores.
    """
    several = [line for line in lines if line["seeds"] > 1]
    if not several:
        return
    seeds = {(row.model, row.leads): ", ".join(map(str, some)) for row, some in results.seeds.items()}
    page.section("Seeds")
    page.text(
        "Trained with several seeds in the same folds. What varies is the drawn validation part, initial weights, "
        "order and augmentation; what is tested on does not. All scores of this page are means over seeds. Their "
        "intervals are over patients and seeds: each draw takes patients and, apart from them, one seed fewer than "
        "there are, with replacement; models with the same seeds get the same draws, so that differences are paired "
        "in both. The interval of a model with a single seed lacks what another training would change.",
        note=True,
    )
    page.table(["model", "leads", "seeds", *(titles[name] for name in COMPARED)], [
        [number(line["model"]), number(line["leads"]), seeds[line["model"], line["leads"]],
         *(f"{number(line[name])} ± {number(line[f'{name}_sd'])}" for name in COMPARED)]
        for line in several
    ])  # fmt: skip


def add_ranking(page: Page, found: Sequence[Ranking], titles: Mapping[str, str]) -> None:
    """Mean ranks of each lead set, with what tests say of them.

    Args:
        page: of the report.
        found: the rankings.
        titles: of scores.
    """
    if not found:
        return
    page.section("Ranking")
    page.text(
        "Mean rank of each model over data sets, folds and classes, 1 for the best. Friedman's test asks whether any "
        "models differ; Wilcoxon's signed-rank test of all pairs, with Holm's correction, asks which: beside a mean "
        "rank stands the p-value of the difference to the first model. Few data sets decide little; classes of the "
        f"same recordings depend on one another, so that their tests are too sure; only those with {FREQUENT} "
        "recordings count. Folds are not tested, as their training parts overlap. For the data at hand, the paired "
        "intervals of the scores are the better test.",
        note=True,
    )
    for leads in dict.fromkeys(one.leads for one in found):
        of_set = [one for one in found if one.leads == leads]
        page.heading(f"{leads} leads" if leads.isdigit() else leads)
        page.table(["model", *(_title(one, titles) for one in of_set)], [
            [number(model), *(_cell(one, model) for one in of_set)] for model in of_set[0].models
        ])  # fmt: skip
        page.text(" ".join(verdict(one, titles) for one in of_set if one.blocks != FOLDS))


def _title(one: Ranking, titles: Mapping[str, str]) -> str:
    return f"{titles[one.score]}, {one.n} {one.blocks}"


def _cell(one: Ranking, model: str) -> str:
    i = one.models.index(model)
    if not one.tested or i == 0:
        return f"{one.mean_ranks[i]:.2f}"
    p = one.p[0, i]
    return f"{one.mean_ranks[i]:.2f}<small>p {'&lt; 0.001' if p < 0.001 else f'{p:.3f}'}</small>"


def verdict(one: Ranking, titles: Mapping[str, str]) -> str:
    """What the tests say, in a sentence."""
    what = f"{titles[one.score]} over {one.n} {one.blocks}"
    if not one.tested:
        return (
            f"{what}: too few for a test; with fewer than {one.needed}, not even one of {len(one.models)} models that "
            "wins all of them could be told apart."
        )
    any_differ = f"Friedman p = {one.friedman:.2g}; " if np.isfinite(one.friedman) else ""
    worse = int((one.p[0, 1:] < LEVEL).sum())
    return f"{what}: {any_differ}{one.models[0]} is told apart from {worse} of {len(one.models) - 1} other models."


def drawn(found: Sequence[Ranking]) -> list[Ranking]:
    """The rankings that are drawn: those with tests by the main score."""
    return [one for one in found if one.tested and one.score == MAIN_SCORE]


def ranks_table(found: Sequence[Ranking], titles: Mapping[str, str], about: str) -> str:
    """The rankings of one lead set in LaTeX, a column each."""
    rows = [[model, *(_latex_cell(one, one.models.index(model)) for one in found)] for model in found[0].models]
    return tabular(["Model", *(_title(one, titles) for one in found)], rows, [about, _RANKS_NOTE])


def _latex_cell(one: Ranking, i: int) -> str:
    return marked(f"{one.mean_ranks[i]:.2f}", one.tested and i == 0, one.tested and bool(one.p[0, i] >= LEVEL))
