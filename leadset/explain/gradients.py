"""Integrated and expected gradients, with as many steps as completeness asks for. Needs the extra ``explain``.

Sources: Sundararajan, Taly, Yan: Axiomatic attribution for deep networks. ICML 2017. Erion, Janizek, Sturmfels,
Lundberg, Lee: Improving performance of deep learning models with axiomatic attribution priors and expected gradients.
Nature Machine Intelligence 3:620-631, 2021. The paths are integrated by Captum with Gauss-Legendre nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
#: A stretch, its error and its attributions.
_Attributed = tuple[Stretch, float, list[np.ndarray]]
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


def path_gradients(target: Target, classes: Sequence[int], paths: Paths) -> list[Attribution]:
    """Gradients of classes along straight paths, summed with the weight of the paths.

    Networks with rectifiers have gradients that jump along the path, mostly where the signal is still faint.
    Attributions of any stretch of a path have to sum to the difference of the log odds at its ends; the stretches that
    miss this most are halved, for each class by itself. What classes ask of the same stretch shares its forward passes.

    Args:
        target: of the recording.
        classes: their indices.
        paths: to it.
    """
    n = len(paths)
    steps = paths.weight * (target.log_odds(paths.ends) - target.log_odds(paths.starts))
    own = target.log_odds()[0]
    edges = np.linspace(0, 1, max(_STRETCHES // n, 2) + 1) ** 2  # denser where the signal is faint
    first = [(path, a, b) for path in range(n) for a, b in pairwise(edges)]
    sums = {k: _ClassSum(max(TOLERANCE * abs(steps[:, k].sum()), NEGLIGIBLE), list(first)) for k in classes}
    along = _AlongPaths(target, paths)
    while waiting := {k: of.waiting for k, of in sums.items() if of.waiting}:
        for k, found in along.attribute(waiting).items():
            sums[k].add(found, paths.weight)
    found = []
    for k in classes:
        parts = [np.zeros(tuple(tensor.shape[1:])) for tensor in target.tensors]
        for _, _, values in sums[k].kept:
            for part, value in zip(parts, values, strict=True):
                part += value * paths.weight
        found.append(Attribution(tuple(parts), steps[:, k], float(own[k]), sums[k].nodes))
    return found


@dataclass
class _ClassSum:
    """The stretches of one class.

    Attributes:
        tolerance: what their sum may miss.
        waiting: stretches that are to be attributed next.
        kept: stretches, their errors and their attributions.
        nodes: evaluations of the gradient so far.
    """

    tolerance: float
    waiting: list[Stretch]
    kept: list[_Attributed] = field(default_factory=list)
    nodes: int = 0

    def add(self, found: Sequence[_Attributed], weight: float) -> None:
        """Takes what was waiting, and halves the worst of all while they miss too much."""
        self.kept += found
        self.nodes += _NODES * len(found)
        self.waiting = []
        errors = np.array([error for _, error, _ in self.kept])
        if abs(errors.sum()) * weight <= self.tolerance or self.nodes >= MOST_NODES:
            return
        order = np.argsort(-np.abs(errors))
        worst = order[: 1 + int(np.searchsorted(np.abs(errors[order]).cumsum(), _WORST * np.abs(errors).sum()))]
        self.waiting = [half for i in worst for half in _halves(*self.kept[i][0])]
        self.kept = [stretch for i, stretch in enumerate(self.kept) if i not in set(worst.tolist())]


def _halves(path: int, a: float, b: float) -> tuple[Stretch, Stretch]:
    return (path, a, (a + b) / 2), (path, (a + b) / 2, b)


class _AlongPaths:
    """Attributions of stretches of paths, and what is known of the log odds along them."""

    def __init__(self, target: Target, paths: Paths) -> None:
        self.target, self.paths = target, paths
        self._log_odds: dict[tuple[int, float], np.ndarray] = {}

    def attribute(self, wanted: Mapping[int, Sequence[Stretch]]) -> dict[int, list[_Attributed]]:
        """For each class the stretches that it wants, in the order of the stretches."""
        from leadset.explain.extra import captum_attr

        method = captum_attr().IntegratedGradients(self.target)
        classes: dict[Stretch, list[int]] = {}
        for k, stretches in wanted.items():
            for stretch in stretches:
                classes.setdefault(stretch, []).append(k)
        order = sorted(classes, key=classes.__getitem__)  # stretches of the same classes go together
        self._learn_log_odds(order)
        found: dict[int, list[_Attributed]] = {k: [] for k in wanted}
        size = max(1, _WINDOWS // (_NODES * self.target.windows))
        for first in range(0, len(order), size):
            some = order[first : first + size]
            starts, ends = self.paths.at(some, 1), self.paths.at(some, 2)
            method.gradient_func = _SharedForward()
            for k in sorted({k for stretch in some for k in classes[stretch]}):
                with torch.backends.cudnn.flags(enabled=False):  # recurrent layers give no gradients there otherwise
                    parts = method.attribute(ends, starts, target=k, n_steps=_NODES, method="gausslegendre")
                # What is missing (NaN) is so at the baseline too, and adds nothing.
                parts = [part.nan_to_num(0.0).double().cpu().numpy() for part in parts]
                for i, stretch in enumerate(some):
                    if k in classes[stretch]:
                        own = [part[i] for part in parts]
                        found[k].append((stretch, self._difference(stretch, k) - sum(map(np.sum, own)), own))
        return found

    def _learn_log_odds(self, stretches: Sequence[Stretch]) -> None:
        """Where the stretches begin and end, all classes at once."""
        points = dict.fromkeys((path, at) for path, *ends in stretches for at in ends)
        new = [point for point in points if point not in self._log_odds]
        size = max(1, _WINDOWS // self.target.windows)
        for first in range(0, len(new), size):
            some = new[first : first + size]
            values = self.target.log_odds(self.paths.at([(path, at, at) for path, at in some], 1))
            self._log_odds.update(zip(some, values, strict=True))

    def _difference(self, stretch: Stretch, k: int) -> float:
        path, a, b = stretch
        return float(self._log_odds[path, b][k] - self._log_odds[path, a][k])


class _SharedForward:
    """Gradients for Captum of one class after the other at the same inputs, which go through the networks once."""

    def __init__(self) -> None:
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: Tensor | None = None

    def __call__(
        self, forward_fn: Target, inputs: tuple[Tensor, ...], target_ind: int, additional_forward_args: None = None
    ) -> tuple[Tensor, ...]:
        """As `captum._utils.gradient.compute_gradients`."""
        with torch.enable_grad():
            if self._outputs is None:
                self._inputs, self._outputs = inputs, forward_fn(*inputs)
            return torch.autograd.grad(self._outputs[:, target_ind].sum(), self._inputs, retain_graph=True)
