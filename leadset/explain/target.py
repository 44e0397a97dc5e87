"""What is explained: the joint log odds of an entry's classifiers for one recording, as gradients need it.

An entry's answer is a weighted sum of its networks' probabilities, each the mean over windows, and then calibrated in
log odds. The target computes the same from the windows of all networks together, without rounding to 0 or 1.

Shapes: n inputs side by side, w windows, l leads, t samples, k classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leadset.entry.networks import ClassifierPredictor
from leadset.entry.prediction import Entry
from leadset.entry.preparing import PreparedInput
from leadset.explain.stretches import Stretches
from leadset.models.extra_inputs import extra_inputs
from leadset.models.prediction import device_of, lead_rows
from leadset.preprocess import InputSpec, cut_window, signal_windows


@dataclass(frozen=True)
class View:
    """How one network sees a recording.

    Attributes:
        name: its architecture.
        model: in evaluation mode.
        weight: of its probabilities in the ensemble.
        leads, spec: its input.
        starts: (w,) first sample of each window, at its rate; negative where a window begins with padding.
        signal: (12, t) the prepared recording at its rate, in units of its own. statistics: of it, for scaling.
        windows: (w, l, t).
        masks: (w, t) bool, true where a sample was recorded.
        extra: extra inputs (w, …) by name.
    """

    name: str
    model: nn.Module
    weight: float
    leads: tuple[str, ...]
    spec: InputSpec
    starts: np.ndarray
    signal: np.ndarray
    statistics: np.ndarray
    windows: Tensor
    masks: Tensor
    extra: dict[str, Tensor]

    @property
    def samples(self) -> int:
        """Length of the prepared recording at its rate."""
        return self.signal.shape[1]

    def __call__(self, x: Tensor, *extra: Tensor) -> Tensor:
        """Windows (n, w, l, t) and extra inputs (n, w, …), in the order of ``extra``, to logits (n, w, k)."""
        n = len(x)
        mask = None if self.masks.all() else self.masks.expand(n, -1, -1).flatten(0, 1)
        named = {name: value.flatten(0, 1) for name, value in zip(self.extra, extra, strict=True)}
        return self.model(x.flatten(0, 1), mask, **named).unflatten(0, (n, len(self.starts)))

    def to_recording(self, of_windows: np.ndarray) -> np.ndarray:
        """Attributions (w, l, t) of windows, summed where these overlap, to the time of the recording (l, samples)."""
        total = np.zeros((of_windows.shape[1], self.samples))
        for start, values in zip(self.starts, of_windows, strict=True):
            first, last = max(start, 0), min(start + values.shape[1], self.samples)
            total[:, first:last] += values[:, first - start : last - start]
        return total

    def of_recording(self, values: np.ndarray, fill: float) -> np.ndarray:
        """Values (l, samples) of each sample of a recording, as its windows (w, l, t) have them; padding: ``fill``."""
        windows = np.full((len(self.starts), len(values), self.spec.samples), fill, dtype=values.dtype)
        for start, window in zip(self.starts, windows, strict=True):
            first, last = max(start, 0), min(start + self.spec.samples, self.samples)
            window[:, first - start : last - start] = values[:, first:last]
        return windows


def see(name: str, model: nn.Module, inputs: tuple, leads: Sequence[str], weight: float = 1.0) -> View:
    """A recording as a network sees it.

    Args:
        name: of its architecture.
        model: in evaluation mode; its weights will ask for no gradients any more.
        inputs: samples, statistics and context of the prepared recording (`PreparedInput.input_of`).
        leads: its leads.
        weight: in the ensemble.
    """
    samples, statistics, context = inputs
    spec, rows, device = model.input_spec, lead_rows(leads), device_of(model)
    starts = signal_windows(samples, statistics, rows, spec)
    cut = [cut_window(samples, statistics, rows, start, spec) for start in starts]
    extra = [extra_inputs(context, start, spec, len(rows)) for start in starts]
    return View(
        name, model.requires_grad_(False), weight, tuple(leads), spec, starts, np.asarray(samples), statistics,
        torch.tensor(np.stack([window for window, _ in cut]), device=device),
        torch.tensor(np.stack([mask for _, mask in cut]), device=device),
        {key: torch.tensor(np.stack([values[key] for values in extra]), device=device) for key in extra[0]},
    )  # fmt: skip


@dataclass(frozen=True)
class Target:
    """Joint log odds of networks for one recording.

    Attributes:
        views: the networks; their weights sum to one, or to less.
        slopes, intercepts: (k,) of the calibration.
    """

    views: tuple[View, ...]
    slopes: np.ndarray
    intercepts: np.ndarray

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The recording itself, as `__call__` takes it: of each view windows (1, w, l, t), then its extra inputs."""
        return tuple(tensor[None] for view in self.views for tensor in (view.windows, *view.extra.values()))

    @property
    def finest(self) -> View:
        """The network of the highest sampling rate, which is that of maps."""
        return max(self.views, key=lambda view: view.samples)

    @property
    def windows(self) -> int:
        """Windows that one call puts through networks, of all views."""
        return sum(len(view.starts) for view in self.views)

    @cached_property
    def stretches(self) -> Stretches:
        """What the networks look at, all together."""
        windows = [
            (max(start, 0) / rate, min(start + view.spec.samples, view.samples) / rate)
            for view in self.views for rate in [view.spec.transform.rate] for start in view.starts.tolist()
        ]  # fmt: skip
        return Stretches.around(windows, max(view.samples / view.spec.transform.rate for view in self.views))

    def split(self, tensors: Sequence[Tensor]) -> Iterator[tuple[View, Tensor, tuple[Tensor, ...]]]:
        """Of each view its windows and its extra inputs."""
        waiting = iter(tensors)
        for view in self.views:
            yield view, next(waiting), tuple(next(waiting) for _ in view.extra)

    def __call__(self, *tensors: Tensor) -> Tensor:
        """Log odds (n, k) of inputs (n, w, …)."""
        yes, no = [], []
        for view, x, extra in self.split(tensors):
            logits = view(x, *extra).double()
            share = np.log(view.weight / len(view.starts))
            yes.append(F.logsigmoid(logits) + share)
            no.append(F.logsigmoid(-logits) + share)
        missing = max(0.0, 1.0 - sum(view.weight for view in self.views))
        if missing > 0:
            no.append(torch.full_like(no[0][:, :1], float(np.log(missing))))
        joint = torch.cat(yes, 1).logsumexp(1) - torch.cat(no, 1).logsumexp(1)
        return joint * joint.new_tensor(self.slopes) + joint.new_tensor(self.intercepts)

    @torch.no_grad()
    def log_odds(self, tensors: Sequence[Tensor] | None = None) -> np.ndarray:
        """Log odds (n, k) as an array; by default (1, k) of the recording itself."""
        return self(*(self.tensors if tensors is None else tensors)).cpu().numpy()


class NoNetworksError(ValueError):
    """What answers is not made of networks alone, so that there are no gradients."""


def target_of(entry: Entry, prepared: PreparedInput) -> Target:
    """The joint log odds of an entry's classifiers for a recording that it prepared.

    Raises:
        NoNetworksError: none of what answers for these leads is a classifier with a weight, or a baseline is among it.
    """
    if not isinstance(entry, Entry):
        raise NoNetworksError(f"{entry.folder}: exported networks have no gradients; expected the method occlusion")
    trained = entry.trained_set(prepared.leads)
    views = []
    for member, weight in zip(trained.members, trained.ensemble.weights, strict=True):
        if member.detector is None and weight > 0:
            predictor = entry.predictor(trained, member)
            if not isinstance(predictor, ClassifierPredictor):
                raise NoNetworksError(
                    f"{entry.folder}: {member.architecture} has a part in its answers, and is no network; expected the "
                    "method occlusion"
                )
            inputs = prepared.input_of(member.spec)
            views.append(see(member.architecture, predictor.model, inputs, trained.leads, float(weight)))
    if not views:
        raise NoNetworksError(
            f"{entry.folder}: no classifier answers for {', '.join(trained.leads)}, expected one, or the method "
            "occlusion; `leadset anomaly localise` draws what an anomaly detector looks at"
        )
    calibration, k = trained.ensemble.calibration, len(entry.space)
    slopes, intercepts = (np.ones(k), np.zeros(k)) if calibration is None else (
        calibration.slopes, calibration.intercepts,
    )  # fmt: skip
    return Target(tuple(views), slopes, intercepts)
