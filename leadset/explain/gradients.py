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
#: Number of a path, and where a stretch of it begins and ends, from 0 to 1.
Stretch = tuple[int, float, float]
#: Windows that go through the networks at a time.
_WINDOWS = 64


@dataclass(frozen=True)
class Attribution:
    """What each input adds to the log odds of a class.

    Attributes:
        parts: in the order and the shapes (w, …) of the target's inputs.
        steps: (n,) difference of the log odds along each path, times its weight.
        log_odds: of the class, of the recording.
        nodes: evaluations of the gradient.
    """

    parts: tuple[np.ndarray, ...]
    steps: np.ndarray
    log_odds: float
    nodes: int

    @property
    def baseline(self) -> float:
        """Log odds where the paths begin."""
        return self.log_odds - float(self.steps.sum())

    @property
    def completeness_error(self) -> float:
        """Distance of the sum of attributions from the difference of the log odds, as a share of that difference."""
        difference = float(self.steps.sum())
        return abs(difference - self.total) / max(abs(difference), NEGLIGIBLE / TOLERANCE)

    @property
    def total(self) -> float:
        """Sum of all attributions."""
        return float(sum(part.sum() for part in self.parts))


@dataclass(frozen=True)
class Paths:
    """Straight paths between inputs of a target.

    Attributes:
        starts, ends: (n, w, …) for each input of the target.
        weight: of each path. Paths from several baselines to the recording have 1 / n, pieces of one path 1.
    """

    starts: tuple[Tensor, ...]
    ends: tuple[Tensor, ...]
    weight: float

    def __len__(self) -> int:
        return len(self.starts[0])

    @classmethod
    def from_baselines(cls, target: Target, baselines: Sequence[Tensor]) -> Paths:
        """From each of n baselines (n, w, …) to the recording: one makes integrated gradients, several normal
        recordings make expected gradients, whose expectation over the path is an integral here, not a draw."""
        n = len(baselines[0])
        ends = tuple(tensor.expand(n, *tensor.shape[1:]) for tensor in target.tensors)
        return cls(tuple(baselines), ends, 1 / n)

    @classmethod
    def through(cls, target: Target, points: Sequence[Sequence[Tensor]]) -> Paths:
        """One path through points (1, w, …), the last of which leads to the recording."""
        places = list(zip(*points, strict=True))
        ends = [(*place[1:], own) for place, own in zip(places, target.tensors, strict=True)]
        return cls(tuple(map(torch.cat, places)), tuple(map(torch.cat, ends)), 1.0)

    def at(self, stretches: Sequence[Stretch], end: int) -> tuple[Tensor, ...]:
        """Where stretches begin (``end`` is 1) or end (2): inputs (stretches, w, …)."""
        paths = [stretch[0] for stretch in stretches]
        found = []
        for start, stop in zip(self.starts, self.ends, strict=True):
            at = start.new_tensor([stretch[end] for stretch in stretches]).view(-1, *[1] * (start.ndim - 1))
            found.append(start[paths] + at * (stop[paths] - start[paths]))
        return tuple(found)


def path_gradients(target: Target, k: int, paths: Paths) -> Attribution:
    """Gradients of a class along straight paths, summed with the weight of the paths.

    Networks with rectifiers have gradients that jump along the path, mostly where the signal is still faint.
    Attributions of any stretch of a path have to sum to the difference of the log odds at its ends; the stretches that
    miss this most are halved.

    Args:
        target: of the recording.
        k: index of the class.
        paths: to it.
    """
    n = len(paths)
    steps = paths.weight * (target.log_odds(paths.ends) - target.log_odds(paths.starts))[:, k]
    tolerance = max(TOLERANCE * abs(steps.sum()), NEGLIGIBLE)
    edges = np.linspace(0, 1, max(_STRETCHES // n, 2) + 1) ** 2  # denser where the signal is faint
    waiting = [(path, a, b) for path in range(n) for a, b in pairwise(edges)]
    parts = [np.zeros(tuple(tensor.shape[1:])) for tensor in target.tensors]
    kept: list[tuple[Stretch, float, list[np.ndarray]]] = []
    nodes = 0
    while True:
        kept += _attribute(target, k, paths, waiting)
        nodes += _NODES * len(waiting)
        errors = np.array([error for _, error, _ in kept])
        if abs(errors.sum()) * paths.weight <= tolerance or nodes >= MOST_NODES:
            break
        order = np.argsort(-np.abs(errors))
        worst = order[: 1 + int(np.searchsorted(np.abs(errors[order]).cumsum(), _WORST * np.abs(errors).sum()))]
        waiting = [half for i in worst for half in _halves(*kept[i][0])]
        kept = [stretch for i, stretch in enumerate(kept) if i not in set(worst.tolist())]
    for _, _, found in kept:
        for part, values in zip(parts, found, strict=True):
            part += values * paths.weight
    return Attribution(tuple(parts), steps, float(target.log_odds()[0, k]), nodes)


def _halves(path: int, a: float, b: float) -> tuple[Stretch, Stretch]:
    return (path, a, (a + b) / 2), (path, (a + b) / 2, b)


def _attribute(
    target: Target, k: int, paths: Paths, stretches: Sequence[Stretch]
) -> Iterator[tuple[Stretch, float, list[np.ndarray]]]:
    """Each stretch, its error and its attributions."""
    from leadset.explain.extra import captum_attr

    method = captum_attr().IntegratedGradients(target)
    size = max(1, _WINDOWS // (_NODES * target.windows))
    for first in range(0, len(stretches), size):
        some = stretches[first : first + size]
        starts, ends = paths.at(some, 1), paths.at(some, 2)
        differences = target.log_odds(ends)[:, k] - target.log_odds(starts)[:, k]
        with torch.backends.cudnn.flags(enabled=False):  # recurrent layers give no gradients there in evaluation mode
            parts = method.attribute(ends, starts, target=k, n_steps=_NODES, method="gausslegendre")
        # What is missing (NaN) is so at the baseline too, and adds nothing.
        parts = [part.nan_to_num(0.0).double().cpu().numpy() for part in parts]
        for i, stretch in enumerate(some):
            found = [part[i] for part in parts]
            yield stretch, float(differences[i] - sum(part.sum() for part in found)), found
