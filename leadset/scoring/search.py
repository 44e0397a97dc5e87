"""The Challenge metric for searching decisions: what does not depend on them is computed once.

`leadset.scoring.metrics.challenge_metric` defines the score; here it is the same to rounding.
"""

from __future__ import annotations

import numpy as np

from leadset.classes import LabelSpace
from leadset.scoring.metrics import as_matrix


class ChallengeMetric:
    """The Challenge metric of many decisions for one set of labels.

    A recording's reward is linear in its decisions but for the divisor: with the gain G = Y W of deciding each class,
    r = Σ G b / max(1, |y| + Σ (1 − y) b). One evaluation costs two passes over (n, k), a sweep of all thresholds of one
    class a few passes over (n,).

    Args:
        labels: (n, k) bool.
        space: its weights and its normal class.

    Raises:
        ValueError: ``labels`` are not (n, k) with the classes of ``space``.
    """

    def __init__(self, labels: np.ndarray, space: LabelSpace) -> None:
        labels = as_matrix(labels, len(space)).astype(bool)
        self._gain = labels @ space.weights
        self._surplus = (~labels).astype(float)
        self._n_labels = labels.sum(axis=1, dtype=float)
        normal = np.zeros_like(labels)
        normal[:, space.normal_index] = True
        self._correct, self._inactive = self.rewards(labels), self.rewards(normal)

    def rewards(self, decisions: np.ndarray) -> np.ndarray:
        """What each recording earns (n,) by decisions (n, k), before the score is scaled."""
        decisions = as_matrix(decisions, like=self._gain).astype(float)
        earned = np.einsum("nk,nk->n", self._gain, decisions)
        return earned / np.maximum(self._n_labels + np.einsum("nk,nk->n", self._surplus, decisions), 1.0)

    def __call__(self, decisions: np.ndarray) -> float:
        """The score of decisions (n, k)."""
        return self.score(self.rewards(decisions))

    def score(self, rewards: np.ndarray, counts: np.ndarray | None = None) -> float:
        """The score of rewards (n,), each recording counted ``counts`` (n,) times (None: once)."""
        observed, correct, inactive = (
            float(r.sum() if counts is None else counts @ r) for r in (rewards, self._correct, self._inactive)
        )
        return (observed - inactive) / (correct - inactive) if correct != inactive else 0.0

    def sweep(self, decisions: np.ndarray, k: int, scalars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The score for every threshold of one class, the decisions on the other classes left as they are.

        Args:
            decisions: (n, k) bool.
            k: index of the class.
            scalars: (n,), its scalar for each recording.

        Returns:
            The distinct scalars in descending order with infinity in front, and the score of deciding class ``k``
            where the scalar is at least that.
        """
        without = as_matrix(decisions, like=self._gain).astype(float)
        without[:, k] = 0.0
        earned = np.einsum("nk,nk->n", self._gain, without)
        union = self._n_labels + np.einsum("nk,nk->n", self._surplus, without)
        without_k = earned / np.maximum(union, 1.0)
        with_k = (earned + self._gain[:, k]) / (union + self._surplus[:, k])
        order = np.argsort(-np.asarray(scalars))
        ranked = np.asarray(scalars)[order]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        totals = without_k.sum() + np.append(0.0, np.cumsum((with_k - without_k)[order])[last])
        correct, inactive = self._correct.sum(), self._inactive.sum()
        scores = (totals - inactive) / (correct - inactive) if correct != inactive else np.zeros_like(totals)
        return np.append(np.inf, ranked[last]), scores
