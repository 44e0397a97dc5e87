"""The tables of a report, as lists of plain rows: scores with paired intervals, classes, thresholds, sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leadset.entry.decision import DecisionRule
from leadset.scoring import ChallengeMetric, accuracy, bootstrap, f_measure, macro
from leadset.scoring.by_class import CLASS_SCORES, class_counts, hamming_loss
from leadset.scoring.intervals import Interval
from leadset.scoring.metrics import Ranking, areas
from leadset.studies.answers import Row
from leadset.studies.entrants import ENSEMBLE
from leadset.studies.results import Results
from leadset.training.decision.thresholds import fit_thresholds

#: A row of a table: its columns by name.
Line = dict[str, Any]
#: Scores with intervals and differences, by column.
COMPARED = ("challenge_metric", "auroc", "auroc_frequent", "auprc", "f1")
#: A class with fewer recordings than this is not among the frequent ones.
FREQUENT = 10
#: Resampled data sets of an interval, and their seed.
DRAWS, SEED = 1000, 2021
_FIXED = 0.5


def frequent(results: Results) -> np.ndarray:
    """Which classes (k,) have at least `FREQUENT` recordings, and as many without them."""
    counts = results.evidence.sum(axis=0)
    return (counts >= FREQUENT) & (len(results.evidence) - counts >= FREQUENT)


def reference(results: Results, leads: str) -> Row:
    """The row that others of its lead set are compared with: the ensemble, or else the one of the highest score."""
    rows, metric = results.of_leads(leads), ChallengeMetric(results.labels, results.space)
    ensembles = [row for row in rows if row.model.partition(" (")[0] == ENSEMBLE]
    return max(ensembles or rows, key=lambda row: metric(results.decided[row]))


def scores(results: Results, draws: int = DRAWS) -> list[Line]:
    """Every score of every row; those of `COMPARED` with 95 % intervals, and differences to `reference`.

    Intervals are percentiles over resampled patients, the same ones for all rows, so that differences are paired.
    """
    lines = []
    for leads in results.lead_sets:
        rows, best = results.of_leads(leads), reference(results, leads)
        values = _Compared(results, rows, rows.index(best))
        interval = bootstrap(values, len(results.labels), results.groups, draws, SEED)
        for i, row in enumerate(rows):
            line: Line = {"leads": row.leads, "model": row.model, "reference": row == best}
            for j, name in enumerate(COMPARED):
                for part, difference in ((0, ""), (1, "_difference")):
                    if part and row == best:
                        continue
                    numbers = (interval.value, interval.low, interval.high)
                    ends = [float(number[part, i, j]) for number in numbers]
                    line |= dict(zip((f"{name}{difference}{end}" for end in ("", "_low", "_high")), ends, strict=True))
            lines.append(line | _single_scores(results, row))
    return lines


def pairs(results: Results, draws: int = DRAWS) -> list[Line]:
    """What a model gains in one entry over another, such as a network by tuning, with paired 95 % intervals.

    Models are the same where their names are, but for the name of the entry behind them in brackets.
    """
    lines = []
    for leads in results.lead_sets:
        alike: dict[str, list[Row]] = {}
        for row in results.of_leads(leads):
            alike.setdefault(row.model.partition(" (")[0], []).append(row)
        for rows in alike.values():
            for i in range(1, len(rows)):
                compared = _Compared(results, rows[: i + 1], i)
                values = bootstrap(compared, len(results.labels), results.groups, draws, SEED)
                lines += [_gain(row, rows[i], values, j) for j, row in enumerate(rows[:i])]
    return lines


def _gain(row: Row, other: Row, interval: Interval, j: int) -> Line:
    line: Line = {"leads": row.leads, "model": row.model, "other": other.model}
    for score, name in enumerate(COMPARED):
        for end, numbers in (("", interval.value), ("_low", interval.low), ("_high", interval.high)):
            line[f"{name}_difference{end}"] = float(numbers[1, j, score])
    return line


class _Compared:
    """The scores of `COMPARED` of all rows for a resampled data set, and their differences to one row.

    Called with counts (n,) it gives (2, rows, scores).
    """

    def __init__(self, results: Results, rows: Sequence[Row], best: int) -> None:
        self.results, self.rows, self.best = results, rows, best
        self.often = frequent(results)
        self.metric = ChallengeMetric(results.labels, results.space)
        self.rewards = [self.metric.rewards(results.decided[row]) for row in rows]
        self.rankings = [Ranking(results.labels, results.probabilities[row]) for row in rows]
        self.often_ranked = [self._ranked_often(results.probabilities[row]) for row in rows]

    def _ranked_often(self, probabilities: np.ndarray) -> Ranking | None:
        if not self.often.any():
            return None
        return Ranking(self.results.evidence[:, self.often], probabilities[:, self.often])

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        values = np.array([self._of_row(i, counts) for i in range(len(self.rows))])
        return np.stack([values, values - values[self.best]])

    def _of_row(self, i: int, counts: np.ndarray) -> list[float]:
        auroc, auprc = map(macro, self.rankings[i].areas(counts))
        often = self.often_ranked[i]
        f1 = macro(f_measure(self.results.labels, self.results.decided[self.rows[i]], counts))
        challenge = self.metric.score(self.rewards[i], counts)
        return [challenge, auroc, np.nan if often is None else macro(often.areas(counts)[0]), auprc, f1]


def _single_scores(results: Results, row: Row) -> Line:
    """The scores without intervals: means over classes, accuracy, Hamming loss, calibration."""
    decided, p = results.decided[row], results.probabilities[row]
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
        auroc, auprc = areas(results.evidence, results.probabilities[row])
        counts = class_counts(results.evidence, results.decided[row])
        by_score = {name: score(counts) for name, score in CLASS_SCORES.items()}
        for k, diagnosis in enumerate(results.space.classes):
            line = {
                "leads": row.leads, "model": row.model, "class": diagnosis.abbreviation, "codes": diagnosis.key,
                "recordings": int(counted[k]), "auroc": float(auroc[k]), "auprc": float(auprc[k]),
            }  # fmt: skip
            line |= {name: float(values[k]) for name, values in by_score.items()}
            lines.append(line | {name: int(values[k]) for name, values in counts._asdict().items()})
    return lines


def thresholds(results: Results) -> list[Line]:
    """Every row decided by thresholds of its training part, by one half, and by an oracle that knows the labels."""
    metric, lines = ChallengeMetric(results.labels, results.space), []
    for row in results.rows:
        p = results.probabilities[row]
        ways = {
            "validation": results.decided[row],
            "fixed": DecisionRule(np.full(len(results.space), _FIXED))(p),
            "oracle": fit_thresholds(p, results.labels, results.space)(p),
        }
        line: Line = {"leads": row.leads, "model": row.model}
        for way, decided in ways.items():
            line |= {f"challenge_metric_{way}": metric(decided), f"f1_{way}": macro(f_measure(results.labels, decided))}
        lines.append(line)
    return lines


def by_part(results: Results, parts: np.ndarray) -> list[Line]:
    """Every row on the recordings of each value of ``parts`` (n,), such as their sources or folds."""
    lines = []
    for part in dict.fromkeys(sorted(parts.tolist(), key=lambda name: (len(name), name))):
        some = results.part(parts == part)
        metric = ChallengeMetric(some.labels, some.space)
        for row in some.rows:
            auroc, auprc = areas(some.labels, some.probabilities[row])
            lines.append({
                "part": part, "recordings": len(some.labels), "leads": row.leads, "model": row.model,
                "challenge_metric": metric(some.decided[row]), "auroc": macro(auroc), "auprc": macro(auprc),
                "f1": macro(f_measure(some.labels, some.decided[row])),
                "accuracy": accuracy(some.labels, some.decided[row]),
            })  # fmt: skip
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


def cooccurrence(results: Results) -> np.ndarray:
    """Number of recordings (k, k) that have both classes; on the diagonal those that have the class."""
    labels = results.evidence.astype(int)
    return labels.T @ labels
