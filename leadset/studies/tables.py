"""The tables of a report, as lists of plain rows: scores with paired intervals, classes, thresholds, sources.

Where a model was trained with several seeds, its scores are means over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from leadset.entry.decision import DecisionRule
from leadset.scoring import ChallengeMetric, accuracy, f_measure, macro
from leadset.scoring.by_class import CLASS_SCORES, class_counts, confusion_shares, hamming_loss
from leadset.scoring.intervals import Interval
from leadset.scoring.metrics import areas
from leadset.studies.answers import Row, Said
from leadset.studies.compared import COMPARED, Comparison
from leadset.studies.entrants import ENSEMBLE
from leadset.studies.results import Results
from leadset.training.decision.thresholds import fit_thresholds

#: A row of a table: its columns by name.
Line = dict[str, Any]
_FIXED = 0.5


def reference(results: Results, leads: str) -> Row:
    """The row that others of its lead set are compared with: the ensemble, or else the one of the highest score."""
    rows, metric = results.of_leads(leads), ChallengeMetric(results.labels, results.space)
    ensembles = [row for row in rows if row.model.partition(" (")[0] == ENSEMBLE]
    return max(ensembles or rows, key=lambda row: np.mean([metric(said.decisions) for said in results.said[row]]))


def over_seeds(results: Results, row: Row, scored: Callable[[Said], Line]) -> Line:
    """The scores of a row, means over its seeds."""
    lines = [scored(said) for said in results.said[row]]
    return lines[0] if len(lines) == 1 else {name: np.mean([line[name] for line in lines]).item() for name in lines[0]}


def scores(results: Results, compared: Mapping[str, Comparison]) -> list[Line]:
    """Every score of every row; those of `COMPARED` with 95 % intervals, and differences to `reference`.

    Args:
        results: of a cross-validation.
        compared: by lead set, its rows.
    """
    lines = []
    for leads, comparison in compared.items():
        best = comparison.rows.index(reference(results, leads))
        values, differences = comparison.interval(), comparison.difference(best)
        deviation, with_best = comparison.deviation, comparison.with_best()
        for i, row in enumerate(comparison.rows):
            line: Line = {"leads": leads, "model": row.model, "reference": i == best, "seeds": len(results.said[row])}
            for j, name in enumerate(COMPARED):
                line |= _with_ends(name, values, i, j)
                line |= {f"{name}_sd": float(deviation[i, j]), f"{name}_with_best": bool(with_best[i, j])}
                if i != best:
                    line |= _with_ends(f"{name}_difference", differences, i, j)
            lines.append(line | over_seeds(results, row, lambda said: _single_scores(results, said)))
    return lines


def _with_ends(name: str, interval: Interval, i: int, j: int) -> Line:
    """A number of an interval of (rows, scores), and its ends."""
    numbers = (interval.value, interval.low, interval.high)
    return {f"{name}{end}": float(n[i, j]) for end, n in zip(("", "_low", "_high"), numbers, strict=True)}


def seeds(compared: Mapping[str, Comparison]) -> list[Line]:
    """The scores of `COMPARED` after training with each seed, of the rows that were trained with several."""
    return [
        {"leads": row.leads, "model": row.model, "seed": seed, **dict(zip(COMPARED, values, strict=True))}
        for comparison in compared.values()
        for row, numbers, runs in zip(comparison.rows, comparison.seeds, comparison.runs, strict=True)
        if len(numbers) > 1 for seed, values in zip(numbers, runs.tolist(), strict=True)
    ]  # fmt: skip


def pairs(compared: Mapping[str, Comparison]) -> list[Line]:
    """What a model gains in one entry over another, such as a network by tuning, with paired 95 % intervals.

    Models are the same where their names are, but for the name of the entry behind them in brackets.
    """
    lines = []
    for leads, comparison in compared.items():
        alike: dict[str, list[int]] = {}
        for i, row in enumerate(comparison.rows):
            alike.setdefault(row.model.partition(" (")[0], []).append(i)
        for same in alike.values():
            for place, other in list(enumerate(same))[1:]:
                gains = comparison.difference(other)
                for i in same[:place]:
                    names = {"model": comparison.rows[i].model, "other": comparison.rows[other].model}
                    line: Line = {"leads": leads, **names}
                    for j, name in enumerate(COMPARED):
                        line |= _with_ends(f"{name}_difference", gains, i, j)
                    lines.append(line)
    return lines


def _single_scores(results: Results, said: Said) -> Line:
    """The scores without intervals: means over classes, accuracy, Hamming loss, calibration."""
    p, decided = said
    counts = class_counts(results.labels, decided)
    means = {name: macro(score(counts)) for name, score in CLASS_SCORES.items() if name != "f1"}
    return {
        **means,
        "accuracy": accuracy(results.labels, decided),
        "hamming_loss": hamming_loss(results.labels, decided),
        "brier": float(((p - results.evidence) ** 2).mean()),
        "calibration_error": calibration_error(results.evidence, p),
        "recordings": len(results.labels),
    }


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over all pairs of recording and class (n, k), in bins of equal width."""
    of_bin = np.minimum((probabilities.ravel() * bins).astype(int), bins - 1)
    gaps = np.bincount(of_bin, labels.ravel() - probabilities.ravel(), minlength=bins)
    return float(np.abs(gaps).sum() / labels.size)


def classes(results: Results) -> list[Line]:
    """Every class of every row: its count and its scores, in the order of the label space."""
    counted = results.evidence.sum(axis=0)
    lines = []
    for row in results.rows:
        runs = [_by_class(results, said) for said in results.said[row]]
        for k, diagnosis in enumerate(results.space.classes):
            line = {
                "leads": row.leads, "model": row.model, "class": diagnosis.abbreviation, "codes": diagnosis.key,
                "recordings": int(counted[k]),
            }  # fmt: skip
            values = {name: np.array([run[name][k] for run in runs]) for name in runs[0]}
            lines.append(line | {name: (v[0] if len(v) == 1 else v.mean()).item() for name, v in values.items()})
    return lines


def _by_class(results: Results, said: Said) -> dict[str, np.ndarray]:
    """Scores and counts (k,) by name."""
    auroc, auprc = areas(results.evidence, said.probabilities)
    counts = class_counts(results.evidence, said.decisions)
    by_score = {name: score(counts) for name, score in CLASS_SCORES.items()}
    return {"auroc": auroc, "auprc": auprc, **by_score, **counts._asdict()}


def thresholds(results: Results) -> list[Line]:
    """Every row decided by thresholds of its training part, by one half, and by an oracle that knows the labels."""
    metric = ChallengeMetric(results.labels, results.space)

    def decided_by_all(said: Said) -> Line:
        ways = {
            "validation": said.decisions,
            "fixed": DecisionRule(np.full(len(results.space), _FIXED))(said.probabilities),
            "oracle": fit_thresholds(said.probabilities, results.labels, results.space)(said.probabilities),
        }
        line: Line = {}
        for way, decided in ways.items():
            line |= {f"challenge_metric_{way}": metric(decided), f"f1_{way}": macro(f_measure(results.labels, decided))}
        return line

    return [
        {"leads": row.leads, "model": row.model, **over_seeds(results, row, decided_by_all)} for row in results.rows
    ]


def by_part(results: Results, parts: np.ndarray) -> list[Line]:
    """Every row on the recordings of each value of ``parts`` (n,), such as their sources or folds."""
    lines = []
    for part in dict.fromkeys(sorted(parts.tolist(), key=lambda name: (len(name), name))):
        some = results.part(parts == part)
        metric = ChallengeMetric(some.labels, some.space)

        def scored(said: Said, some: Results = some, metric: ChallengeMetric = metric) -> Line:
            auroc, auprc = areas(some.labels, said.probabilities)
            return {
                "challenge_metric": metric(said.decisions), "auroc": macro(auroc), "auprc": macro(auprc),
                "f1": macro(f_measure(some.labels, said.decisions)), "accuracy": accuracy(some.labels, said.decisions),
            }  # fmt: skip

        for row in some.rows:
            line = {"part": part, "recordings": len(some.labels), "leads": row.leads, "model": row.model}
            lines.append(line | over_seeds(some, row, scored))
    return lines


def drops(results: Results, other: Results) -> list[Line]:
    """Rows that two cross-validations have, on each source: the score in the other one, in this one, the difference."""
    here, there = by_part(results, results.sources), by_part(other, other.sources)
    known = {(line["part"], line["leads"], line["model"]): line for line in there}
    lines = []
    for line in here:
        match = known.get((line["part"], line["leads"], line["model"]))
        if match is None:
            continue
        values = {key: line[key] for key in ("part", "recordings", "leads", "model")}
        for score in ("challenge_metric", "auroc"):
            own, was = line[score], match[score]
            values |= {score: own, f"{score}_other": was, f"{score}_difference": own - was}
        lines.append(values)
    return lines


def confusion(results: Results, row: Row) -> np.ndarray:
    """`confusion_shares` (k, k) of a row, means over its seeds."""
    return np.mean([confusion_shares(results.evidence, said.decisions) for said in results.said[row]], axis=0)


def cooccurrence(results: Results) -> np.ndarray:
    """Number of recordings (k, k) that have both classes; on the diagonal those that have the class."""
    labels = results.evidence.astype(int)
    return labels.T @ labels
