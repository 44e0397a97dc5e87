"""Integrated and expected gradients, with as many steps as completeness asks for. Needs the extra ``explain``.

Sources: Sundararajan, Taly, Yan: Axiomatic attribution for deep networks. ICML 2017. Erion, Janizek, Sturmfels,
Lundberg, Lee: Improving performance of deep learning models with axiomatic attribution priors and expected gradients.
Nature Machine Intelligence 3:620-631, 2021. The paths are integrated by Captum with Gauss-Legendre nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from leadset.explain.target import Target

#: Attributions may miss the difference of the log odds by this share of it, and in any case by so much; stretches of
#: the path are halved until they do not, or until there are so many nodes.
TOLERANCE, NEGLIGIBLE, MOST_NODES = 0.01, 1e-3, 2048
#: Stretches that paths have at first, taken together, and nodes on each.
_STRETCHES, _NODES = 16, 4
#: Share of the summed errors that the stretches have which are halved next.
_WORST = 0.8
#: Windows that go through the networks at a time.
_WINDOWS = 64


@dataclass(frozen=True)
class Attribution:
    """What each input adds to the log odds of a class.

    Attributes:
        parts: in the order and the shapes (w, …) of the target's inputs.
        baseline, log_odds: of the class, at the baseline and of the recording.
        nodes: evaluations of the gradient.
    """

    parts: tuple[np.ndarray, ...]
    baseline: float
    log_odds: float
    nodes: int

    @property
    def completeness_error(self) -> float:
        """Distance of the sum of attributions from the difference of the log odds, as a share of that difference."""
        difference = self.log_odds - self.baseline
        return abs(difference - self.total) / max(abs(difference), NEGLIGIBLE / TOLERANCE)

    @property
    def total(self) -> float:
        """Sum of all attributions."""
        return float(sum(part.sum() for part in self.parts))


def path_gradients(target: Target, k: int, baselines: Sequence[Tensor]) -> Attribution:
    """Gradients of a class along straight paths from baselines to the recording, averaged over the baselines.

    Networks with rectifiers have gradients that jump along the path, mostly where the signal is still faint.
    Attributions of any stretch of a path have to sum to the difference of the log odds at its ends; the stretches that
    miss this most are halved.

    Args:
        target: of the recording.
        k: index of the class.
        baselines: (n, w, …) for each input of the target. One of them makes integrated gradients, several normal
            recordings make expected gradients, whose expectation over the path is an integral here, not a draw.
    """
    n = len(baselines[0])
    log_odds, base = float(target.log_odds()[0, k]), float(target.log_odds(baselines)[:, k].mean())
    tolerance = max(TOLERANCE * abs(log_odds - base), NEGLIGIBLE)
    per_path = max(_STRETCHES // n, 2)
    edges = np.linspace(0, 1, per_path + 1) ** 2  # denser where the signal is faint
    waiting = [(path, a, b) for path in range(n) for a, b in pairwise(edges)]
    parts = [np.zeros(tuple(tensor.shape[1:])) for tensor in target.tensors]
    kept: list[tuple[tuple[int, float, float], float, list[np.ndarray]]] = []
    nodes = 0
    while True:
        kept += _stretches(target, k, baselines, waiting)
        nodes += _NODES * len(waiting)
        errors = np.array([error for _, error, _ in kept])
        if abs(errors.sum()) / n <= tolerance or nodes >= MOST_NODES:
            break
        order = np.argsort(-np.abs(errors))
        worst = order[: 1 + int(np.searchsorted(np.abs(errors[order]).cumsum(), _WORST * np.abs(errors).sum()))]
        waiting = [half for i in worst for half in _halves(*kept[i][0])]
        kept = [stretch for i, stretch in enumerate(kept) if i not in set(worst.tolist())]
    for _, _, found in kept:
        for part, values in zip(parts, found, strict=True):
            part += values / n
    return Attribution(tuple(parts), base, log_odds, nodes)


def _halves(path: int, a: float, b: float) -> tuple[tuple[int, float, float], tuple[int, float, float]]:
    return (path, a, (a + b) / 2), (path, (a + b) / 2, b)


def _stretches(
    target: Target, k: int, baselines: Sequence[Tensor], stretches: Sequence[tuple[int, float, float]]
) -> Iterator[tuple[tuple[int, float, float], float, list[np.ndarray]]]:
    """Each stretch (number of the baseline, where it begins and ends on the path), its error and its attributions."""
    from leadset.explain.extra import captum_attr

    method = captum_attr().IntegratedGradients(target)
    size = max(1, _WINDOWS // (_NODES * target.windows))
    for first in range(0, len(stretches), size):
        some = stretches[first : first + size]
        ends = [
            tuple(_on_paths(x, baseline, some, end) for x, baseline in zip(target.tensors, baselines, strict=True))
            for end in (1, 2)
        ]
        differences = target.log_odds(ends[1])[:, k] - target.log_odds(ends[0])[:, k]
        with torch.backends.cudnn.flags(enabled=False):  # recurrent layers give no gradients there in evaluation mode
            parts = method.attribute(ends[1], ends[0], target=k, n_steps=_NODES, method="gausslegendre")
        # What is missing (NaN) is so at the baseline too, and adds nothing.
        parts = [part.nan_to_num(0.0).double().cpu().numpy() for part in parts]
        for i, stretch in enumerate(some):
            found = [part[i] for part in parts]
            yield stretch, float(differences[i] - sum(part.sum() for part in found)), found


def _on_paths(x: Tensor, baselines: Tensor, stretches: Sequence[tuple[int, float, float]], end: int) -> Tensor:
    """Where stretches begin (``end`` is 1) or end (2) between their baselines (n, w, …) and ``x`` (1, w, …)."""
    at = x.new_tensor([stretch[end] for stretch in stretches]).view(-1, *[1] * (x.ndim - 1))
    base = baselines[[stretch[0] for stretch in stretches]]
    return base + at * (x - base)
