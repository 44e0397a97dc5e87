"""Sanity checks of attributions, on simulated recordings of which the truth is known. Each of them can fail.

Sources: Adebayo et al.: Sanity checks for saliency maps. NeurIPS 2018 (weights drawn anew). Samek et al.: Evaluating
the visualization of what a deep neural network has learned. IEEE TNNLS 28(11), 2017 (deletion). Zhang et al.: Top-down
neural attention by excitation backprop. ECCV 2016 (pointing game).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from leadset.entry.prediction import Entry
from leadset.explain.background import Background, simulated_normals
from leadset.explain.explanation import attribution_maps
from leadset.explain.occlusion import of_windows
from leadset.explain.target import Target, target_of
from leadset.leads import LEADS
from leadset.recordings import Recording
from leadset.scoring.intervals import Interval, bootstrap
from leadset.simulate import ANOMALIES, simulate, simulate_anomalies
from leadset.waves import Delineation, delineate

RATE, SECONDS, _SEED = 500, 10.0, 77
#: Is told how many recordings are done since the last call.
Progress = Callable[[int], object]
#: Columns of a table of checks.
COLUMNS = ("check", "method", "recordings", "value", "low", "high", "expected", "bound", "chance", "passed")
#: What each check asks for, as a bound on its value.
MOST_ALIKE, LEAST_POINTING, LEAST_BEATS = 0.5, 0.9, 0.7
#: Diagnoses of the recordings that maps are drawn of.
_LABELS = ("AF", "RBBB", "LBBB", "PVC", "IAVB", "STach")
#: Cells that are deleted together in seconds, shares of them that are deleted, and seconds by which a point may miss.
_CELL_S, _DELETED, _MISS_S = 0.1, (0.0, 0.02, 0.05, 0.1, 0.2, 0.3), 0.1
#: An anomaly counts as seen where it changes the log odds of some class by so much.
_SEEN = 1.0
#: The beat that is repeated: seconds from one to the next, a multiple of what all networks of the shipped entry stride.
_PERIOD_S, _ENDS = 0.96, 2


@dataclass(frozen=True)
class Check:
    """A result.

    Attributes:
        name: of the check. method: of attribution.
        value: with its interval over recordings.
        bound: what the value is held against; ``above``: whether it has to lie above it.
        chance: what a map without knowledge would give; NaN where there is no such number.
        recordings: how many it rests on.
    """

    name: str
    method: str
    value: Interval
    bound: float
    above: bool
    chance: float
    recordings: int

    @property
    def passed(self) -> bool:
        """Whether the value is on the right side of the bound; no value is none."""
        value = float(self.value.value)
        return value > self.bound if self.above else value < self.bound

    def row(self) -> dict[str, object]:
        """As a row of a table."""
        numbers = {"value": self.value.value, "low": self.value.low, "high": self.value.high, "chance": self.chance}
        return {
            "check": self.name, "method": self.method, "recordings": self.recordings,
            **{name: f"{float(number):.3f}" for name, number in numbers.items()},
            "expected": "above" if self.above else "below", "bound": f"{self.bound:g}",
            "passed": "yes" if self.passed else "no",
        }  # fmt: skip

    def __str__(self) -> str:
        sign = ">" if self.above else "<"
        chance = "" if np.isnan(self.chance) else f", chance {self.chance:.3f}"
        return (
            f"{'pass' if self.passed else 'FAIL'}  {self.name} ({self.method}): {self.value.value:.3f} "
            f"[{self.value.low:.3f}, {self.value.high:.3f}] over {self.recordings} recordings, "
            f"expected {sign} {self.bound:g}{chance}"
        )


def run_checks(
    entry: Entry, method: str, n: int, progress: Progress = lambda _: None, names: Sequence[str] = ()
) -> Iterator[Check]:
    """Checks of a method, on n recordings each.

    Args:
        entry: whose answers are explained; of recordings with twelve leads.
        method: one of `leadset.explain.METHODS`.
        n: recordings of each check.
        progress: is told of each recording that is done.
        names: some of `CHECKS`; by default all.
    """
    background = simulated_normals(entry, LEADS, SECONDS)
    for name in names or CHECKS:
        yield CHECKS[name](entry, method, n, background, progress)


@dataclass(frozen=True)
class _Case:
    """A recording whose class ``k`` is explained by a method."""

    recording: Recording
    target: Target
    k: int
    method: str
    background: Background

    def map_of(self, target: Target) -> np.ndarray:
        """The map (l, t) of the class, by the networks of a target of the same recording."""
        return attribution_maps(target, self.delineation, [self.k], self.method, self.background)[0]["map"]

    @cached_property
    def delineation(self) -> Delineation:
        """Of the recording."""
        return delineate(self.recording.signal, self.recording.fs)

    @cached_property
    def map(self) -> np.ndarray:
        """The map (l, t) of the class."""
        return self.map_of(self.target)


def _recordings(labels: str, n: int) -> list[Recording]:
    drawn = simulate(n, _SEED, SECONDS, RATE, labels, marks=False)
    return [Recording(signal, RATE, LEADS, f"{labels} {i}") for i, signal in enumerate(drawn.signals)]


@lru_cache(maxsize=1)  # two checks look at the same maps
def _mixed(entry: Entry, method: str, n: int, background: Background) -> list[_Case]:
    """Recordings of several diagnoses that the entry can judge, each with the class of its highest log odds."""
    cases = []
    by_label = [_recordings(label, -(-n // len(_LABELS))) for label in _LABELS]
    for recording in [one for group in zip(*by_label, strict=True) for one in group][:n]:
        prepared = entry.prepare(recording)
        if prepared.prepared is not None:
            target = target_of(entry, prepared)
            cases.append(_Case(recording, target, int(target.log_odds()[0].argmax()), method, background))
    return cases


# --- weights drawn anew --------------------------------------------------------------------------------------------


def _randomised(entry: Entry, method: str, n: int, background: Background, progress: Progress) -> Check:
    """Rank correlation of maps with those of networks whose weights have changed places."""
    alike = []
    for case in _mixed(entry, method, n, background):
        views = [replace(view, model=_shuffled(view.model, seed)) for seed, view in enumerate(case.target.views)]
        other = case.map_of(replace(case.target, views=tuple(views)))
        alike.append(abs(spearmanr(case.map.ravel(), other.ravel()).statistic))
        progress(1)
    return _check("weights drawn anew: rank correlation of the maps", method, alike, MOST_ALIKE, False, 0.0)


def _shuffled(model: nn.Module, seed: int) -> nn.Module:
    """The network with the weights of each of its tensors in another order."""
    other, generator = deepcopy(model), torch.Generator().manual_seed(_SEED + seed)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return other.eval()


# --- deletion ------------------------------------------------------------------------------------------------------


def _deletion(entry: Entry, method: str, n: int, background: Background, progress: Progress) -> Check:
    """Area between the curves of the log odds when random cells are deleted, and when those of the map are."""
    rng, areas = np.random.default_rng(_SEED), []
    for case in _mixed(entry, method, n, background):
        cells = _cells(case.map, case.map.shape[1] / SECONDS)
        orders = np.argsort(-cells, axis=None), rng.permutation(cells.size)
        first, by_chance = (_deletion_curve(case.target, case.k, order, case.map.shape) for order in orders)
        areas.append(np.trapezoid(by_chance - first, _DELETED) / _DELETED[-1])
        progress(1)
    name = "deletion: mean log odds that the map's cells take away beyond random ones"
    return _check(name, method, areas, 0.0, True, 0.0)


def _cells(heat: np.ndarray, rate: float) -> np.ndarray:
    """Sums (l, cells) of a map over stretches of a tenth of a second."""
    return np.add.reduceat(heat, np.arange(0, heat.shape[1], max(1, round(_CELL_S * rate))), axis=1)


def _deletion_curve(target: Target, k: int, order: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Log odds of a class when growing shares of the cells, in this order, are replaced by zeros."""
    n_cells = len(order) // shape[0]
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    place = np.arange(shape[1]) * n_cells // shape[1]
    ranks = rank.reshape(shape[0], n_cells)[:, place]
    values = []
    for share in _DELETED:
        kept = ranks >= share * len(order)
        tensors = []
        for view, x, extra in target.split(target.tensors):
            mask = torch.tensor(of_windows(target, view, kept, False), device=x.device)
            tensors += [x * mask, *extra]
        values.append(target.log_odds(tensors)[0, k])
    return np.array(values)


# --- pointing game -------------------------------------------------------------------------------------------------


def _pointing(entry: Entry, method: str, n: int, background: Background, progress: Progress) -> Check:
    """Share of planted anomalies of all kinds that the strongest point of the map hits, in the right lead and time.

    Explained is the class whose log odds the anomaly changes most; where it changes none by much, there is nothing to
    be found, and another recording is drawn.
    """
    hits, chances = [], []
    for start in range(0, 20 * n, n):
        drawn = simulate_anomalies(n, _SEED, SECONDS, RATE, ANOMALIES, start=start)
        for with_it, without, mask in zip(drawn.signals, drawn.clean, drawn.masks, strict=True):
            pair = [Recording(signal, RATE, LEADS, "planted") for signal in (with_it, without)]
            prepared = [entry.prepare(one) for one in pair]
            if len(hits) == n or any(one.prepared is None for one in prepared) or not mask.any():
                continue
            targets = [target_of(entry, one) for one in prepared]
            change = targets[0].log_odds()[0] - targets[1].log_odds()[0]
            k = int(np.abs(change).argmax())
            if abs(change[k]) < _SEEN:
                continue
            heat = np.sign(change[k]) * _Case(pair[0], targets[0], k, method, background).map
            hit, chance = point(heat, mask, heat.shape[1] / SECONDS)
            hits.append(hit)
            chances.append(chance)
            progress(1)
        if len(hits) == n:
            break
    chance = float(np.mean(chances)) if chances else np.nan
    name = "planted anomaly of any kind: the map's strongest point hits it"
    return _check(name, method, hits, LEAST_POINTING, True, chance)


def point(heat: np.ndarray, mask: np.ndarray, rate: float) -> tuple[bool, float]:
    """Whether the strongest point of a map hits a mask, and the chance of a random point to do so.

    Args:
        heat: (l, t) map; it is smoothed over a tenth of a second.
        mask: (l, t') bool; a point may miss it by a tenth of a second, in its own lead.
        rate: of the map in Hz.
    """
    width = max(1, round(_MISS_S * rate))
    smooth = np.stack([np.convolve(row, np.ones(width) / width, mode="same") for row in heat])
    at = np.minimum((np.arange(heat.shape[1]) + 0.5) * mask.shape[1] / heat.shape[1], mask.shape[1] - 1).astype(int)
    near = np.stack([np.convolve(row, np.ones(2 * width + 1), mode="same") > 0 for row in mask[:, at].astype(float)])
    return bool(near.ravel()[smooth.argmax()]), float(near.mean())


# --- identical beats -----------------------------------------------------------------------------------------------


def _identical_beats(entry: Entry, method: str, n: int, background: Background, progress: Progress) -> Check:
    """Mean correlation of the maps of beats that are equal to the sample, those at the ends left out."""
    alike = []
    for i, recording in enumerate(_recordings("RBBB,LBBB,NSR", n)):
        r_peaks = delineate(recording.signal, RATE).r_peaks
        start = r_peaks[len(r_peaks) // 2] - 0.35 * RATE if len(r_peaks) else np.nan
        length = round(_PERIOD_S * RATE)
        if not 0 <= start <= recording.signal.shape[1] - length:
            continue
        repeated = _repeat(recording.signal[:, int(start) : int(start) + length], round(SECONDS * RATE))
        same = Recording(repeated, RATE, LEADS, f"repeated {i}")
        prepared = entry.prepare(same)
        if prepared.prepared is None:
            continue
        target = target_of(entry, prepared)
        heat = _Case(same, target, int(target.log_odds()[0].argmax()), method, background).map
        period = round(_PERIOD_S * heat.shape[1] / SECONDS)
        beats = [heat[:, b * period : (b + 1) * period].ravel() for b in range(heat.shape[1] // period)]
        table = np.corrcoef(beats[_ENDS:-_ENDS])
        alike.append(table[np.triu_indices_from(table, 1)].mean())
        progress(1)
    return _check("identical beats: correlation of their maps", method, alike, LEAST_BEATS, True, 0.0)


def _repeat(beat: np.ndarray, samples: int) -> np.ndarray:
    """A beat (l, t), its ends brought together by a line, repeated to so many samples."""
    ramp = np.linspace(0, 1, beat.shape[1])
    closed = beat - beat[:, :1] - ramp * (beat[:, -1:] - beat[:, :1])
    return np.tile(closed, (1, -(-samples // beat.shape[1])))[:, :samples].astype(np.float32)


def _check(name: str, method: str, values: list, bound: float, above: bool, chance: float) -> Check:
    if not values:
        return Check(name, method, Interval(np.nan, np.nan, np.nan), bound, above, chance, 0)
    array = np.array(values, float)
    found = bootstrap(lambda counts: float(counts @ array / counts.sum()), len(array))
    return Check(name, method, found, bound, above, chance, len(array))


#: By name: each takes entry, method, number of recordings, background, and progress.
CHECKS: dict[str, Callable[[Entry, str, int, Background, Progress], Check]] = {
    "weights": _randomised, "deletion": _deletion, "pointing": _pointing, "beats": _identical_beats,
}  # fmt: skip
