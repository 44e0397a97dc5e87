"""Importance of leads by ablation: how well networks rank the classes when they get some of the leads alone.

A universal network is cut to the leads; others get zeros in the leads that are left out, which is what they see of a
missing lead. Limb leads that follow from others are not derived here, so that every set is what its name says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

from leadset.entry.manifest import TrainedSet
from leadset.entry.prediction import Entry
from leadset.entry.preparing import PreparedInput
from leadset.leads import LEADS
from leadset.models.prediction import lead_rows
from leadset.scoring.intervals import Interval, bootstrap
from leadset.scoring.metrics import Ranking, macro

#: What is left of the twelve leads, by name.
STUDIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "all": (LEADS,),
    "one lead": tuple((lead,) for lead in LEADS),
    "without one lead": tuple(tuple(other for other in LEADS if other != lead) for lead in LEADS),
    "two leads": tuple(combinations(LEADS, 2)),
}
#: Columns of the table.
COLUMNS: tuple[str, ...] = (
    "study", "leads", "rank", "recordings", "classes", "auroc", "low", "high", "change", "change_low", "change_high",
)  # fmt: skip
#: A class needs so many recordings with it, and without it, to be ranked.
LEAST = 5
_RESAMPLED = 500


@dataclass(frozen=True)
class LeadScore:
    """Macro AUROC of answers on some of the leads.

    Attributes:
        study: one of `STUDIES`. leads: what the networks got.
        auroc: with its interval over recordings.
        change: to that on all leads, of the same resampled recordings.
        recordings, classes: how many it rests on.
    """

    study: str
    leads: tuple[str, ...]
    auroc: Interval
    change: Interval
    recordings: int
    classes: int


def lead_probabilities(
    entry: Entry, inputs: Sequence[PreparedInput], leads: Sequence[str], networks: Sequence[str] = ()
) -> np.ndarray:
    """Probabilities (n, k) of an entry's classifiers for recordings of which only some leads are used.

    Args:
        entry: a loaded entry, with an answer for twelve leads.
        inputs: prepared recordings, without errors.
        leads: the leads to use, in standard order.
        networks: architectures to ask; by default all classifiers of the entry.

    Raises:
        ValueError: none of the networks is a classifier of the entry.
    """
    trained = entry.trained_set(LEADS)
    some = [
        (member, weight) for member, weight in zip(trained.members, trained.ensemble.weights, strict=True)
        if member.detector is None and weight > 0 and (not networks or member.architecture in networks)
    ]  # fmt: skip
    if not some:
        there = ", ".join(member.architecture for member in trained.members)
        raise ValueError(f"{entry.folder}: found the networks {there}, expected classifiers out of {list(networks)}")
    cut = replace(trained, leads=tuple(leads)) if trained.universal else trained
    total = sum(weight for _, weight in some)
    return sum(
        weight / total * entry.predictor(cut, member)(
            [_used(one.input_of(member.spec), cut, leads) for one in inputs]
        ).probabilities
        for member, weight in some
    )  # fmt: skip


def _used(inputs: tuple, cut: TrainedSet, leads: Sequence[str]) -> tuple:
    """The input with zeros in the leads that the networks see and must not use."""
    others = [lead for lead in cut.leads if lead not in leads]
    if not others:
        return inputs
    samples, *more = inputs
    samples = samples.copy()
    samples[lead_rows(others)] = 0
    return samples, *more


def rank_leads(
    entry: Entry,
    inputs: Sequence[PreparedInput],
    labels: np.ndarray,
    studies: Sequence[str] = tuple(STUDIES),
    networks: Sequence[str] = (),
    progress: Callable[[int], object] = lambda _: None,
) -> Iterator[LeadScore]:
    """Scores of every lead set of some studies, that of all leads first.

    Args:
        entry, inputs, networks: as for `lead_probabilities`.
        labels: (n, k) bool.
        studies: some of `STUDIES`.
        progress: is told of each lead set that is done.

    Raises:
        ValueError: no class has enough recordings.
    """
    sets = [(study, leads) for study in dict.fromkeys(("all", *studies)) for leads in STUDIES[study]]
    answers = ((*one, lead_probabilities(entry, inputs, one[1], networks)) for one in sets)
    for score in rank_answers(labels, answers):
        yield score
        progress(1)


def rank_answers(
    labels: np.ndarray, answers: Iterable[tuple[str, tuple[str, ...], np.ndarray]]
) -> Iterator[LeadScore]:
    """Scores of answers on several lead sets about the same recordings.

    Args:
        labels: (n, k) bool.
        answers: study, leads and probabilities (n, k) of each; the first is what the others are compared with.

    Raises:
        ValueError: no class has enough recordings.
    """
    ranked = (labels.sum(axis=0) >= LEAST) & ((~labels).sum(axis=0) >= LEAST)
    if not ranked.any():
        raise ValueError(f"found no class with {LEAST} recordings that have it and {LEAST} that do not, expected some")
    labels, of_all = labels[:, ranked], None
    for study, leads, probabilities in answers:
        part = Ranking(labels, probabilities[:, ranked])
        if of_all is None:  # the same draws for every lead set
            of_all = cache(lambda counts, whole=part: _auroc(whole, np.frombuffer(counts, np.int64)))

        def score(counts: np.ndarray, part: Ranking = part, of_all: Callable[[bytes], float] = of_all) -> np.ndarray:
            auroc = _auroc(part, counts)
            return np.array([auroc, auroc - of_all(counts.astype(np.int64).tobytes())])

        both = bootstrap(score, len(labels), n=_RESAMPLED)
        found = [Interval(both.value[i], both.low[i], both.high[i]) for i in range(2)]
        yield LeadScore(study, leads, *found, len(labels), int(ranked.sum()))


def _auroc(ranking: Ranking, counts: np.ndarray) -> float:
    return macro(ranking.areas(counts)[0])


def table_rows(scores: Sequence[LeadScore]) -> Iterator[dict[str, Any]]:
    """Rows of the table: of each study by rank, which leads matter most first.

    Where one lead is left out, the one whose loss costs most is the first.
    """
    for study in dict.fromkeys(score.study for score in scores):
        some = [score for score in scores if score.study == study]
        sign = 1 if study == "without one lead" else -1
        for rank, one in enumerate(sorted(some, key=lambda score: sign * float(score.auroc.value)), 1):
            yield {
                "study": study, "leads": described(study, one.leads), "rank": rank, "recordings": one.recordings,
                "classes": one.classes, **_numbers(one.auroc, "auroc", "low", "high"),
                **_numbers(one.change, "change", "change_low", "change_high"),
            }  # fmt: skip


def described(study: str, leads: Sequence[str]) -> str:
    """A lead set as tables have it: the leads that are used, or of `without one lead` the one that is not."""
    if study == "without one lead":
        return next(lead for lead in LEADS if lead not in leads)
    return "12" if tuple(leads) == LEADS else "-".join(leads)


def _numbers(found: Interval, *names: str) -> dict[str, str]:
    numbers = (found.value, found.low, found.high)
    return {name: f"{float(value):.3f}" for name, value in zip(names, numbers, strict=True)}
