"""Integrated and expected gradients, with as many nodes as completeness asks for.

Sources: Sundararajan, Taly, Yan: Axiomatic attribution for deep networks. ICML 2017. Erion, Janizek, Sturmfels,
Lundberg, Lee: Improving performance of deep learning models with axiomatic attribution priors and expected gradients.
Nature Machine Intelligence 3:620-631, 2021.

Shapes: n paths or nodes, w windows, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from leadset.explain.target import Target

#: Attributions may miss the difference of the log odds by this share of it, and in any case by so much; stretches of
#: the path are halved until they do not, or until there are so many nodes.
TOLERANCE, NEGLIGIBLE, MOST_NODES = 0.01, 1e-3, 1024
#: Stretches that paths have at first, taken together, and the fewest of each: with fewer, errors may cancel by chance.
_STRETCHES, _FEWEST = 64, 16
#: Share of the summed errors that the stretches have which are halved next.
_WORST = 0.5
#: Windows that go through the networks at a time.
_WINDOWS = 32
#: Number of a path, and a place on it from 0 to 1.
Node = tuple[int, float]
#: Number of a path, and where a stretch of it begins and ends.
Stretch = tuple[int, float, float]


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

    def at(self, nodes: Sequence[Node]) -> tuple[Tensor, ...]:
        """Inputs (n, w, …) at nodes."""
        paths, found = [path for path, _ in nodes], []
        for start, end in zip(self.starts, self.ends, strict=True):
            at = start.new_tensor([at for _, at in nodes]).view(-1, *[1] * (start.ndim - 1))
            found.append(torch.lerp(start[paths], end[paths], at))
        return tuple(found)

    def steps(self, nodes: Sequence[Node]) -> Iterator[Tensor]:
        """From the start to the end of the path that each node lies on: (n, w, …) for each input."""
        paths = [path for path, _ in nodes]
        return (end[paths] - start[paths] for start, end in zip(self.starts, self.ends, strict=True))


def path_gradients(
    target: Target, classes: Sequence[int], paths: Paths, progress: Callable[[int], object] = lambda _: None
) -> list[Attribution]:
    """Gradients of classes along straight paths, summed by the trapezoidal rule and with the weight of the paths.

    Networks with rectifiers have gradients that jump along the path, mostly where the signal is still faint.
    Attributions of any stretch of a path have to sum to the difference of the log odds at its ends; the stretches that
    miss this most are halved, for each class by itself, and keep the nodes that they have. What classes ask of the same
    node shares its forward pass.

    Args:
        target: of the recording.
        classes: their indices.
        paths: to it.
        progress: is told at how many nodes the gradient has been computed since the last call.
    """
    n = len(paths)
    edges = np.linspace(0, 1, max(_STRETCHES // n, _FEWEST) + 1) ** 2  # denser where the signal is faint
    first = [(path, float(a), float(b)) for path in range(n) for a, b in pairwise(edges)]
    sums = {k: _ClassSum(k, paths.weight, list(first)) for k in classes}
    log_odds: dict[Node, np.ndarray] = {}
    wanted = {k: list(dict.fromkeys((path, at) for path, *ends in first for at in ends)) for k in classes}
    while any(wanted.values()):
        for nodes, values, products in _products(target, paths, wanted):
            log_odds.update(zip(nodes, values, strict=True))
            for k, own in products.items():
                sums[k].add(own)
            progress(len(nodes))
        wanted = {k: of.refined(log_odds) for k, of in sums.items()}
    steps = paths.weight * np.array([log_odds[path, 1.0] - log_odds[path, 0.0] for path in range(n)])
    own = log_odds[n - 1, 1.0]
    return [Attribution(of.parts(), steps[:, k], float(own[k]), len(of.slopes)) for k, of in sums.items()]


def _products(
    target: Target, paths: Paths, wanted: Mapping[int, Sequence[Node]]
) -> Iterator[tuple[list[Node], np.ndarray, dict[int, dict[Node, list[np.ndarray]]]]]:
    """Some nodes at a time: the log odds (n, k) there, and for each class, at the nodes that it wants, the gradient
    times the step of the path, (w, …) for each input."""
    classes: dict[Node, list[int]] = {}
    for k, nodes in wanted.items():
        for node in nodes:
            classes.setdefault(node, []).append(k)
    order = sorted(classes, key=classes.__getitem__)  # nodes of the same classes go together
    size = max(1, _WINDOWS // target.windows)
    for first in range(0, len(order), size):
        nodes = order[first : first + size]
        inputs = tuple(tensor.requires_grad_(True) for tensor in paths.at(nodes))
        steps = list(paths.steps(nodes))
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # recurrent layers have none there
            outputs, found = target(*inputs), {}
            for k in sorted({k for node in nodes for k in classes[node]}):
                gradients = torch.autograd.grad(outputs[:, k].sum(), inputs, retain_graph=True)
                # What is missing (NaN) is so at the baseline too, and adds nothing.
                both = zip(gradients, steps, strict=True)
                parts = [(gradient * step).nan_to_num(0.0).cpu().numpy() for gradient, step in both]
                found[k] = {node: [part[i] for part in parts] for i, node in enumerate(nodes) if k in classes[node]}
        yield nodes, outputs.detach().cpu().numpy(), found


@dataclass
class _ClassSum:
    """The stretches of paths that the attributions of class ``k`` are summed over.

    Attributes:
        weight: of a path.
        stretches: that make up all paths.
        products: gradient times step at each node, (w, …) for each input. slopes: their sums.
    """

    k: int
    weight: float
    stretches: list[Stretch]
    products: dict[Node, list[np.ndarray]] = field(default_factory=dict)
    slopes: dict[Node, float] = field(default_factory=dict)

    def add(self, products: Mapping[Node, list[np.ndarray]]) -> None:
        """Takes what was found at more nodes."""
        self.products.update(products)
        self.slopes.update((node, sum(float(part.sum(dtype=float)) for part in own)) for node, own in products.items())

    def refined(self, log_odds: Mapping[Node, np.ndarray]) -> list[Node]:
        """Halves the worst stretches if all together miss too much, and returns the nodes in their middle."""
        along = [[(path, at) for at in ends] for path, *ends in self.stretches]
        steps = np.array([log_odds[b][self.k] - log_odds[a][self.k] for a, b in along])
        sums = [(b[1] - a[1]) / 2 * (self.slopes[a] + self.slopes[b]) for a, b in along]
        errors = steps - sums
        tolerance = max(TOLERANCE * abs(steps.sum()) * self.weight, NEGLIGIBLE)
        if abs(errors.sum()) * self.weight <= tolerance or len(self.slopes) >= MOST_NODES:
            return []
        order = np.argsort(-np.abs(errors))
        worst = order[: 1 + int(np.searchsorted(np.abs(errors[order]).cumsum(), _WORST * np.abs(errors).sum()))]
        halved = [self.stretches[i] for i in worst]
        self.stretches = [stretch for i, stretch in enumerate(self.stretches) if i not in set(worst.tolist())]
        for path, a, b in halved:
            self.stretches += [(path, a, (a + b) / 2), (path, (a + b) / 2, b)]
        return [(path, (a + b) / 2) for path, a, b in halved]

    def parts(self) -> tuple[np.ndarray, ...]:
        """Attributions (w, …) of each input."""
        weights: dict[Node, float] = {}
        for path, a, b in self.stretches:
            for at in (a, b):
                weights[path, at] = weights.get((path, at), 0.0) + (b - a) / 2 * self.weight
        return tuple(
            sum(weights[node] * of.astype(float) for node, of in zip(self.products, same, strict=True))
            for same in zip(*self.products.values(), strict=True)
        )
