"""Thresholds per class that maximise the Challenge metric on validation recordings."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from leadset.classes import LabelSpace
from leadset.entry.decision import DecisionRule
from leadset.scoring.search import ChallengeMetric
from leadset.utils.probabilities import log_odds

# Strength of the pull towards the pooled threshold, in positive recordings: a class with as many validation positives
# gets the mean (in log-odds) of its own optimum and the pooled one.
SHRINKAGE = 10.0
_SWEEPS = 5
_POOLED_GRID = np.linspace(0.02, 0.98, 97)
# No threshold is nearer to 0 or 1 than this.
_LEAST = 0.005


def _coordinate_ascent(metric: ChallengeMetric, p: np.ndarray, start: float) -> np.ndarray:
    """Best threshold of one class after the other, all others fixed, until nothing moves; (k,)."""
    thresholds = np.full(p.shape[1], start)
    decisions = p >= thresholds
    for _ in range(_SWEEPS):
        before = thresholds.copy()
        for k in range(p.shape[1]):
            cuts, scores = metric.sweep(decisions, k, p[:, k])
            best = int(np.argmax(scores))
            # Halfway to the next lower score: the cut must not sit on a validation recording.
            below = cuts[best + 1] if best + 1 < len(cuts) else 0.0
            thresholds[k] = np.clip((min(cuts[best], 1.0) + below) / 2, _LEAST, 1 - _LEAST)
            decisions[:, k] = p[:, k] >= thresholds[k]
        if np.array_equal(before, thresholds):
            break
    return thresholds


def fit_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, space: LabelSpace, provenance: dict | None = None
) -> DecisionRule:
    """Fits the decision rule on validation recordings.

    One pooled threshold first, then coordinate ascent by exact line searches per class, then each class is shrunk
    towards the pooled one by its number of positives: a threshold seen on three recordings is mostly chance.

    Args:
        probabilities: (n, k).
        labels: (n, k) bool.
        space: the classes and their weights.
        provenance: what to record beside the thresholds; the value reached is added to it.
    """
    labels = labels.astype(bool)
    metric = ChallengeMetric(labels, space)
    # Equal scores (too few recordings to tell) go to the threshold nearest to one half.
    pooled = max(
        _POOLED_GRID, key=lambda t: (metric(DecisionRule(np.full(len(space), t))(probabilities)), -abs(t - 0.5))
    )
    own = _coordinate_ascent(metric, probabilities, pooled)
    trust = labels.sum(axis=0) / (labels.sum(axis=0) + SHRINKAGE)
    mixed = trust * log_odds(own, _LEAST) + (1 - trust) * log_odds(np.full(len(space), pooled), _LEAST)
    rule = DecisionRule(expit(mixed))
    reached = metric(rule(probabilities))
    return DecisionRule(
        rule.thresholds,
        {
            **(provenance or {}),
            "objective": "challenge_metric",
            "value": round(float(reached), 6),
            "recordings": len(labels),
            "pooled_threshold": round(float(pooled), 6),
            "shrinkage": SHRINKAGE,
        },
    )
