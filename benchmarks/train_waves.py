r"""Learns the weights of `leadset.waves.network`, from simulated recordings and then from annotated ones.

    python benchmarks/train_waves.py OUTPUT.safetensors [--steps 5000] [--seed 0]
    python benchmarks/train_waves.py OUTPUT.safetensors --data DATA --start EARLIER.safetensors \
        [--without FOLD --folds 2] [--steps 5000] [--seed 0]

Without DATA, all there is to learn from are recordings of `leadset.simulate` and beats made of Gaussian bumps, whose
marks are exact. DATA holds the folders ``ludb`` (marks of every wave), ``qtdb`` (the same for some thirty beats of each
recording), ``mitdb`` (R peaks only), ``af_2017`` and ``challenge`` (recordings of atrial fibrillation and flutter:
nothing in them is a P wave), and ``nstdb`` (recorded noise, of which the first half is used; the second is left for
``delineation.py``). ``--without`` leaves out one fold of the recordings, for an honest score (see ``fold_of``); the
weights shipped with the package are learned from all of them. A run that was interrupted, started again, goes on from
what it left in ``OUTPUT.state`` to the same weights.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from annotated import SCORED, Annotated, noise_level, read_ludb, read_mitdb, read_noise, read_qtdb
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.signal import resample_poly
from torch import nn

from leadset import read_recording
from leadset.recordings import find_recordings
from leadset.simulate import simulate
from leadset.waves import network
from leadset.waves.envelope import measure
from leadset.waves.learned import ABOUT
from leadset.waves.marks import Q, R
from leadset.waves.wavelet import GRID_RATE, transform

#: Seconds of a training example and rows (leads of all recordings) of a batch.
SECONDS, ROWS = 10.24, 48
SAMPLES = int(SECONDS * GRID_RATE)
CELLS = SAMPLES // network.HEAT_CELL
#: Numbers of leads of a batch and how often each is drawn.
LEADS, LEAD_ODDS = (1, 2, 3, 6, 12), (0.22, 0.33, 0.1, 0.12, 0.23)
#: Standard deviation of a mark's heat in grid samples (14 ms) and weight of the extents in the loss.
HEAT_SD, EXTENT_WEIGHT = 3.5, 0.3
#: Cells on either side of a mark that its heat reaches.
HEAT_REACH = 4
#: Weight in the loss of the distance of the heat's centroid from the mark, the cells on either side of the mark in
#: which the heat's maximum is sought, and the distance in cells from which it counts linearly.
PLACE_WEIGHT, PLACE_REACH, PLACE_LINEAR = 0.05, 6, 2.0
#: What a batch of one, two, or more leads is made of, as far as it is there.
ODDS: dict[int, dict[str, float]] = {
    1: {"drawn": 0.03, "simulated": 0.19, "mitdb": 0.18, "af single": 0.1, "qtdb": 0.16, "ludb": 0.34},
    2: {"drawn": 0.03, "simulated": 0.19, "mitdb": 0.2, "af several": 0.08, "qtdb": 0.22, "ludb": 0.28},
    3: {"drawn": 0.03, "simulated": 0.21, "af several": 0.08, "ludb": 0.68},
}
#: Simulated recordings that are there at a time, how many are replaced by new ones and after how many batches.
SIMULATED, RENEWED, RENEW_EVERY = 512, 64, 50
#: Their length and what at either end is not looked at, as beats cut off by it have no marks, in seconds.
SIMULATED_SECONDS, MARGIN = 14.0, 0.8
#: Share of examples under recorded noise, its kinds, and its signal-to-noise ratio in dB.
NOISY, NOISES, NOISE_DB = 0.3, {"em": 0.6, "ma": 0.25, "bw": 0.15}, (2.0, 20.0)
#: Standard deviation of the logarithm of the factor by which each scale is strengthened: no two machines filter alike.
TILT = 0.15
EVERYWHERE = np.array([[0.0, SAMPLES]])
#: Atrial fibrillation and flutter (SNOMED CT).
FIBRILLATION = {"164889003", "164890007"}
PEAK_LEARNING_RATE, LATER_LEARNING_RATE, WEIGHT_DECAY = 4e-3, 2e-3, 1e-4
#: Share of the steps in which the learning rate rises; then it falls to zero along a cosine.
WARM_UP = 0.15
#: Steps after which a run's state is written to disk.
SAVE_EVERY = 250


@dataclass
class Example:
    """Leads on the grid and what is known of them.

    Attributes:
        signal: (leads, samples) in mV.
        marks: per lead, heat map -> (m,) marks in grid samples, ascending.
        known: per lead, heat map -> (i, 2) stretches in which all its marks are known; maps left out are unknown.
        placed: whether marks lie where experts would have them.
    """

    signal: np.ndarray
    marks: list[dict[str, np.ndarray]]
    known: list[dict[str, np.ndarray]]
    placed: bool = True


def fold_of(name: str, folds: int) -> int:
    """Fold of a recording by its name; recordings numbered alike in two databases share one."""
    return int("".join(filter(str.isdigit, name))) % folds


def on_grid(recording: Annotated) -> Example:
    """A recording on the grid; its reference marks in grid samples, known outside the excluded stretches."""
    grid = transform(recording.signal, recording.fs)
    leads = len(recording.signal)
    marks = [{name: grid.to_grid(at) for name, at in lead.items()} for lead in recording.marks]
    fences = recording.excluded.ravel().tolist()
    known = [dict.fromkeys(lead, grid.to_grid(np.array([start, *fences, stop]).reshape(-1, 2)))
             for lead, (start, stop) in zip(recording.marks, recording.stretches, strict=True)]
    if len(marks) == 1:
        marks, known = marks * leads, known * leads
    return Example(grid.signal, marks, known)


def sparsely_marked(recording: Annotated) -> Example:
    """A recording of the QT Database: known are the beats that are marked, except for T onsets and R peaks.

    T onsets are mostly left out there, and the mark of a complex is not always its R peak.
    """
    example = on_grid(recording)
    marks = example.marks[0]
    before = [_last_before(marks["P onset"], at, 100) for at in marks["QRS onset"]]
    after = [-_last_before(-marks["T end"][::-1], -at, 200) for at in marks["QRS onset"]]
    stretches = np.array([(start - 20, stop + 20) for start, stop in zip(before, after, strict=True)])
    known = {name: stretches for name in network.HEAT if name not in ("T onset", "R peak")}
    return Example(example.signal, example.marks, [known] * len(example.signal))


def _last_before(marks: np.ndarray, at: float, reach: float) -> float:
    """The last of the sorted marks within ``reach`` before ``at``, or ``at`` itself."""
    i = np.searchsorted(marks, at)
    return float(marks[i - 1]) if i and at - marks[i - 1] <= reach else float(at)


def without_p(signal: np.ndarray, fs: float) -> Example:
    """A recording of which only is known that it has no P waves."""
    grid = transform(np.nan_to_num(signal), fs)
    whole = np.array([[0.0, grid.signal.shape[1]]])
    known = {name: whole for name in network.HEAT if name.startswith("P")}
    return Example(grid.signal, [{name: np.zeros(0) for name in known}] * len(signal), [known] * len(signal))


def read_fibrillation(data: Path) -> tuple[list[Example], list[Example]]:
    """Recordings of atrial fibrillation or flutter: single-lead and twelve-lead ones."""
    table = [line.split(",") for line in (data / "af_2017" / "REFERENCE.csv").read_text().split()]
    single = [read_recording(data / "af_2017" / name) for name, label in table if label == "A"]
    several = [r for r in map(read_recording, find_recordings(data / "challenge")) if FIBRILLATION & set(r.codes)]
    return tuple([without_p(r.signal, r.fs) for r in group] for group in (single, several))


def simulated(n: int, start: int, seed: int, unknown: Collection[str] = ()) -> list[Example]:
    """Recordings ``start`` to ``start + n - 1`` of the simulator without the ``unknown`` heat maps.

    A complex without R has its peak where Q, its lowest point, is.
    """
    found = simulate(n, seed, SIMULATED_SECONDS, GRID_RATE, start=start)
    stretch = np.array([[MARGIN * GRID_RATE, (SIMULATED_SECONDS - MARGIN) * GRID_RATE]])
    examples = []
    for signal, marks in zip(found.signals, found.marks, strict=True):
        marks[..., R] = np.where(np.isnan(marks[..., R]), marks[..., Q], marks[..., R])
        leads = [{name: np.sort(lead[~np.isnan(lead[:, column]), column]) for name, column in SCORED.items()}
                 for lead in marks]
        known = {name: stretch for name in network.HEAT if name not in unknown}
        examples.append(Example(signal, leads, [known] * len(leads), placed=False))
    return examples


def draw_beats(rng: np.random.Generator, leads: int) -> Example:
    """A recording of Gaussian bumps: a wave's limits lie 2.5 standard deviations from its outermost bump."""
    t = np.arange(SAMPLES) / GRID_RATE
    rr = rng.choice([rng.uniform(0.27, 0.5), rng.uniform(0.5, 1.1), rng.uniform(1.1, 2.2)], p=[0.2, 0.6, 0.2])
    spread = rng.choice([0, 0.03, 0.2], p=[0.5, 0.3, 0.2])
    beats = np.cumsum(rr * np.exp(spread * rng.standard_normal(int(SECONDS / rr * 2) + 2))) + rng.uniform(-rr, 0)
    beats = beats[beats < SECONDS + 0.5]
    has_p = rng.random() < 0.75 and rr > 0.38
    sd_p, sd_r = rng.uniform(0.012, 0.026), rng.uniform(0.008, 0.022)
    sd_t = min(rng.uniform(0.025, 0.06), rr / 12)
    at_p, at_t = -rng.uniform(0.11, 0.24) - 2.5 * sd_p * 0.5, min(rng.uniform(0.2, 0.36), 0.5 * rr) + sd_r
    at_p = max(at_p, -0.42 * rr)
    kind = rng.choice(["qRs", "R", "QS", "rS", "qR"])
    bumps = {"qRs": [(-0.1, -2.9, 0.7), (1, 0, 1), (-0.2, 3.1, 0.8)], "R": [(1, 0, 1)], "QS": [(-1, 0, 1.2)],
             "rS": [(0.25, -2.2, 0.7), (-1, 0.6, 1.1)], "qR": [(-0.25, -2.8, 0.8), (1, 0, 1)]}[kind]
    signal = np.zeros((leads, SAMPLES), dtype=np.float32)
    marks, known = [], []
    for lead in range(leads):
        size = rng.uniform(0.4, 1.6) * rng.choice([-1, 1], p=[0.2, 0.8])
        p, tw = rng.uniform(0.05, 0.2) * rng.choice([-1, 1], p=[0.2, 0.8]), rng.uniform(0.1, 0.5) * rng.choice([-1, 1])
        biphasic = rng.random() < 0.15
        waves = {"QRS": [(size * a, sd_r * b, sd_r * s) for a, b, s in bumps]}
        if has_p:
            waves["P"] = [(p, at_p, sd_p)]
        waves["T"] = [(tw, at_t, sd_t)]
        if biphasic:
            waves["T"] = [(tw, at_t, sd_t * 0.7), (-0.7 * tw, at_t + 2.2 * sd_t, sd_t * 0.7)]
        found: dict[str, np.ndarray] = {}
        for wave, parts in waves.items():
            for amplitude, offset, sd in parts:
                for at in beats + offset:
                    low, high = np.searchsorted(t, (at - 5 * sd, at + 5 * sd))
                    signal[lead, low:high] += amplitude * np.exp(-0.5 * ((t[low:high] - at) / sd) ** 2)
            peak = max(parts, key=lambda part: abs(part[0]))[1]
            found[f"{wave} onset"] = (beats + min(o - 2.5 * s for _, o, s in parts)) * GRID_RATE
            found[f"{'R' if wave == 'QRS' else wave} peak"] = (beats + peak) * GRID_RATE
            found[f"{wave} end"] = (beats + max(o + 2.5 * s for _, o, s in parts)) * GRID_RATE
        marks.append({name: found.get(name, np.zeros(0)) for name in network.HEAT})
        known.append(dict.fromkeys(network.HEAT, EVERYWHERE))
    return Example(signal, marks, known, placed=False)


def excerpt(example: Example, rng: np.random.Generator, leads: int) -> Example:
    """A random excerpt of random leads, slightly stretched in time, some leads upside down."""
    chosen = rng.choice(len(example.signal), leads, replace=leads > len(example.signal))
    stretch = np.clip(np.exp(0.18 * rng.standard_normal()), 0.65, 1.55)
    length = example.signal.shape[1]
    low, high = sorted((0, length - SAMPLES / stretch))
    if length > 20 * GRID_RATE:  # most of a long recording may be unmarked: aim at what is known
        aim = rng.choice(next(iter(example.known[chosen[0]].values())))
        start = np.clip(rng.uniform(*aim) - rng.uniform(0, SAMPLES), low, high)
    else:
        start = rng.uniform(low, high)
    at = start + np.arange(SAMPLES) / stretch
    signal = np.stack([np.interp(at, np.arange(length), example.signal[lead]) for lead in chosen])
    signal *= rng.choice([1, -1], size=(leads, 1), p=[0.85, 0.15])
    marks = [{name: (v - start) * stretch for name, v in example.marks[lead].items()} for lead in chosen]
    moved = {id(v): (v - start) * stretch for lead in chosen for v in example.known[lead].values()}
    known = [{name: moved[id(v)] for name, v in example.known[lead].items()} for lead in chosen]
    return Example(signal.astype(np.float32), marks, known, example.placed)


def coloured(rng: np.random.Generator, leads: int, slope: float) -> np.ndarray:
    """(leads, SAMPLES) noise of unit SD whose power falls with frequency to the power of ``slope``."""
    frequency = np.maximum(np.fft.rfftfreq(SAMPLES, 1 / GRID_RATE), 0.3)
    spectrum = rng.standard_normal((leads, len(frequency))) + 1j * rng.standard_normal((leads, len(frequency)))
    noise = np.fft.irfft(spectrum * frequency ** (-slope / 2), SAMPLES)
    return noise / noise.std(axis=1, keepdims=True)


def add_recorded(signal: np.ndarray, size: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> None:
    """Adds an excerpt of recorded noise (samples, 2) in place, each lead its own mixture of the channels."""
    start = rng.integers(len(noise) - SAMPLES)
    added = rng.standard_normal((len(signal), 2)) @ noise[start : start + SAMPLES].T
    added -= added.mean(axis=1, keepdims=True)
    signal += noise_level(size, rng.uniform(*NOISE_DB)) * added / added.std(axis=1, keepdims=True)


def spoil(example: Example, noises: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Adds noise, wander, hum, steps and electrode artefacts; some leads become nothing but noise, without marks."""
    signal, leads = example.signal, len(example.signal)
    size = np.maximum(np.percentile(signal, 99.5, axis=1) - np.percentile(signal, 0.5, axis=1), 0.05)[:, None]
    if noises and rng.random() < NOISY:
        add_recorded(signal, size, noises[rng.choice(list(NOISES), p=list(NOISES.values()))], rng)
    elif rng.random() < 0.6:
        level = 10 ** rng.uniform(-2.5, -0.5, (leads, 1))
        signal += size * level * coloured(rng, leads, rng.uniform(0, 2.5))
    if rng.random() < 0.3:
        signal += size * rng.uniform(0, 0.8, (leads, 1)) * coloured(rng, leads, 3.0)
    if rng.random() < 0.15:
        t = np.arange(SAMPLES) / GRID_RATE
        signal += size * rng.uniform(0, 0.15, (leads, 1)) * np.sin(2 * np.pi * rng.choice([50, 60]) * t)
    for lead in range(leads):
        if rng.random() < 0.15:  # a burst of muscle or electrode noise
            start, length = rng.integers(SAMPLES), rng.integers(50, 1000)
            part = signal[lead, start : start + length]
            part += size[lead] * rng.uniform(0.1, 1.5) * coloured(rng, 1, rng.uniform(0, 2.5))[0, : len(part)]
        for _ in range(rng.poisson(0.3)):  # a jump that decays, as when an electrode is pulled
            start = rng.integers(SAMPLES)
            tail = np.arange(SAMPLES - start) / GRID_RATE
            signal[lead, start:] += size[lead] * rng.normal(0, 1) * np.exp(-tail / rng.uniform(0.02, 1.0))
        for _ in range(rng.poisson(0.5)):  # a bump or a spike that no heart has made
            centre, sd = rng.uniform(0, SAMPLES), np.exp(rng.uniform(np.log(0.5), np.log(25)))
            shape = np.exp(-0.5 * ((np.arange(SAMPLES) - centre) / sd) ** 2)
            shape = np.gradient(shape) * sd if rng.random() < 0.5 else shape
            signal[lead] += size[lead] * rng.normal(0, 0.7) * shape
        if rng.random() < 0.07:
            signal[lead] = 0.3 * coloured(rng, 1, rng.uniform(0, 3))[0] if rng.random() < 0.7 else 0
            example.marks[lead] = {name: np.zeros(0) for name in network.HEAT}
            example.known[lead] = dict.fromkeys(network.HEAT, EVERYWHERE)


def targets(example: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heat and extents (leads, CELLS, 12), the weight of each in the loss, and the places of marks (leads, CELLS, 9).

    A place is the distance in cells of a mark from the centre of its cell; NaN where there is no mark.
    """
    heats, waves = len(network.HEAT), len(network.EXTENT)
    rows = list(zip(example.marks, example.known, strict=True))
    drawn = [marks.get(name, np.zeros(0)) for marks, _ in rows for name in network.HEAT]
    heat = _draw_heat(drawn)
    limits = [[marks.get(f"{wave} {limit}", np.zeros(0)) for marks, _ in rows for wave in network.EXTENT]
              for limit in ("onset", "end")]
    paired = [len(on) == len(end) for on, end in zip(*limits, strict=True)]
    extent = _count_before(limits[0]) > _count_before(limits[1])
    masks = {id(stretches): _within(stretches) for _, known in rows for stretches in known.values()}
    masks[id(None)] = np.zeros(CELLS, dtype=np.float32)
    sure = np.stack([masks[id(known.get(name))] for _, known in rows for name in network.HEAT])
    sure = sure.reshape(-1, heats, CELLS)
    ends = [network.HEAT.index(f"{wave} end") for wave in network.EXTENT]
    both = sure[:, ends] * EXTENT_WEIGHT * np.reshape(paired, (-1, waves, 1))
    target = np.concatenate([heat.reshape(-1, heats, CELLS), extent.reshape(-1, waves, CELLS)], axis=1)
    weight = np.concatenate([sure, both], axis=1)
    place = np.full(sure.shape, np.nan)
    if example.placed:
        place = np.where(sure > 0, _places(drawn).reshape(sure.shape), np.nan)
    return tuple(array.swapaxes(1, 2).astype(np.float32) for array in (target, weight, place))


def _draw_heat(marks: list[np.ndarray]) -> np.ndarray:
    """(rows, CELLS) a Gaussian at every mark of every row, the higher of two where they overlap."""
    heat = np.zeros(len(marks) * CELLS)
    row, at = np.repeat(np.arange(len(marks)), list(map(len, marks))), np.concatenate(marks)
    near = np.round(at / network.HEAT_CELL).astype(int)[:, None] + np.arange(-HEAT_REACH, HEAT_REACH + 1)
    height = np.exp(-0.5 * (((near + 0.5) * network.HEAT_CELL - 0.5 - at[:, None]) / HEAT_SD) ** 2)
    inside = (near >= 0) & (near < CELLS)
    np.maximum.at(heat, (row[:, None] * CELLS + near)[inside], height[inside])
    return heat.reshape(-1, CELLS)


def _places(marks: list[np.ndarray]) -> np.ndarray:
    """(rows, CELLS) distance in cells of each row's marks from the centre of the cell they lie in, else NaN."""
    place = np.full((len(marks), CELLS), np.nan)
    row, at = np.repeat(np.arange(len(marks)), list(map(len, marks))), np.concatenate(marks)
    at = (at + 0.5) / network.HEAT_CELL - 0.5
    cell = np.round(at).astype(int)
    inside = (cell >= PLACE_REACH) & (cell < CELLS - PLACE_REACH)
    place[row[inside], cell[inside]] = (at - cell)[inside]
    return place


def _count_before(marks: list[np.ndarray]) -> np.ndarray:
    """(rows, CELLS) number of each row's marks before the centre of each cell."""
    row, at = np.repeat(np.arange(len(marks)), list(map(len, marks))), np.concatenate(marks)
    cell = np.clip(np.ceil((at + 0.5) / network.HEAT_CELL - 0.5), 0, CELLS).astype(int)
    counts = np.bincount(row * (CELLS + 1) + cell, minlength=len(marks) * (CELLS + 1))
    return counts.reshape(-1, CELLS + 1).cumsum(axis=1)[:, :CELLS]


def _within(stretches: np.ndarray) -> np.ndarray:
    """(CELLS,) 1 in cells whose centre lies in one of the stretches (i, 2), give or take half a cell."""
    centre = (np.arange(CELLS) + 0.5) * network.HEAT_CELL - 0.5
    mask = np.zeros(CELLS, dtype=np.float32)
    for start, stop in np.searchsorted(centre, stretches + np.array([-2, 2])):
        mask[start:stop] = 1
    return mask


def batch(sources: dict[str, list[Example]], noises: dict[str, np.ndarray],
          rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Cells (b, leads, t, f), `targets`, and (b, leads) usable leads."""
    leads = int(rng.choice(LEADS, p=LEAD_ODDS))
    odds = {kind: share for kind, share in ODDS[min(leads, 3)].items() if kind == "drawn" or kind in sources}
    total = sum(odds.values())
    parts = []
    for _ in range(ROWS // leads):
        kind = rng.choice(list(odds), p=[share / total for share in odds.values()])
        if kind == "drawn":
            example = draw_beats(rng, leads)
        else:
            example = excerpt(sources[kind][rng.integers(len(sources[kind]))], rng, leads)
        spoil(example, noises, rng)
        scales = transform(example.signal, GRID_RATE).scales
        scales *= np.exp(TILT * rng.standard_normal((len(scales), 1, 1)))
        if rng.random() < 0.1:  # a recording of low rate has nothing on the finest scales
            scales[0] *= 0.1
        usable = np.ptp(example.signal, axis=1) > 0.02
        cells = network.make_cells(scales, measure(scales, usable))
        parts.append((cells, *targets(example), usable))
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True))


class Layers(nn.Module):
    """The network's layers in torch, with batch normalisation that is folded into the weights at the end.

    With ``start``, weights of an earlier run, learning goes on from there, without the normalisation folded into them.
    """

    def __init__(self, start: dict[str, np.ndarray] | None = None) -> None:
        super().__init__()
        self.convolution = nn.ModuleDict()
        self.norm = nn.ModuleDict()
        for name, (inputs, outputs, taps) in network.LAYERS.items():
            self.convolution[name] = nn.Conv1d(inputs, outputs, taps, padding=taps // 2)
            if name != "head" and start is None:
                self.norm[name] = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.convolution["head"].bias, -3.0)
        for name, (inputs, outputs, taps) in network.LAYERS.items() if start else ():
            weight = start[f"{name}.weight"].reshape(taps, inputs, outputs).transpose(2, 1, 0)
            self.convolution[name].weight.data = torch.from_numpy(weight.copy())
            self.convolution[name].bias.data = torch.from_numpy(start[f"{name}.bias"].copy())

    def layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        b, leads, t, c = x.shape
        image = x.reshape(b * leads, 1, t, c).permute(0, 3, 1, 2)  # channels last, for which convolutions are fastest
        convolution = self.convolution[name]
        weight, padding = convolution.weight[:, :, None], (0, convolution.padding[0])
        y = nn.functional.conv2d(image, weight, convolution.bias, padding=padding)
        y = self.norm[name](y) if name in self.norm else y
        return y.permute(0, 2, 3, 1).reshape(b, leads, t, -1)

    def forward(self, cells: torch.Tensor, usable: torch.Tensor) -> torch.Tensor:
        share = (usable / usable.sum(dim=1, keepdim=True).clamp(min=1)).to(cells.dtype)
        across = lambda x: torch.einsum("bl,bltc->btc", share, x)[:, None]  # noqa: E731
        return network.forward(cells, self.layer, torch.relu, across)

    def folded(self) -> dict[str, np.ndarray]:
        """Weights as `network.load_weights` wants them, normalisation included, in half precision."""
        weights = {}
        for name, convolution in self.convolution.items():
            w, bias = convolution.weight.detach(), convolution.bias.detach()
            if name in self.norm:
                norm = self.norm[name]
                gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
                w, bias = w * gain[:, None, None], (bias - norm.running_mean) * gain + norm.bias.detach()
            flat = w.permute(2, 1, 0).reshape(-1, w.shape[0]).numpy()
            weights[f"{name}.weight"] = np.ascontiguousarray(flat, dtype=np.float16)
            weights[f"{name}.bias"] = bias.numpy().astype(np.float16)
        return weights


def displacement(logit: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Mean loss of the distances between marks and the centroids of their heat, taken as the delineator takes them.

    Args:
        logit: (b, leads, CELLS, 12).
        place: (b, leads, CELLS, 9), see `targets`.
    """
    where = torch.nonzero(~torch.isnan(place), as_tuple=True)
    if not len(where[0]):
        return logit.new_zeros(())
    row, lead, cell, channel = (index[:, None] for index in where)
    offset = torch.arange(-PLACE_REACH, PLACE_REACH + 1)
    heat = torch.sigmoid(logit[row, lead, cell + offset, channel])
    highest = offset[heat.detach().argmax(dim=1)][:, None]
    heat = heat * ((offset - highest).abs() <= torch.tensor(ABOUT)[channel])
    centroid = (heat * offset).sum(dim=1) / heat.sum(dim=1).clamp(min=0.1)
    return nn.functional.smooth_l1_loss(centroid, place[where], beta=PLACE_LINEAR)


def learning_rate(peak: float, share: float) -> float:
    """Learning rate after a share of the steps."""
    if share < WARM_UP:
        return peak * share / WARM_UP
    return peak * 0.5 * (1 + np.cos(np.pi * (share - WARM_UP) / (1 - WARM_UP)))


def save_state(path: Path, model: Layers, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Writes what `load_state` needs to go on after a step."""
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    for i, moments in optimiser.state_dict()["state"].items():
        arrays.update({f"optimiser.{i}.{name}": array for name, array in moments.items()})
    write(path, {name: array.numpy() for name, array in arrays.items()}, {"step": str(step)})


def load_state(path: Path, model: Layers, optimiser: torch.optim.Optimizer) -> int:
    """Puts model and optimiser in the state of an interrupted run and returns its step."""
    with safe_open(path, "pt") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        step = int(file.metadata()["step"])
    model.load_state_dict({name.removeprefix("model."): array for name, array in arrays.items()
                           if name.startswith("model.")})
    state = optimiser.state_dict()
    state["state"] = {i: {name: arrays[f"optimiser.{i}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
                      for i in range(len(state["param_groups"][0]["params"]))}
    optimiser.load_state_dict(state)
    return step


def write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Writes arrays to a file that is whole or not there."""
    partial = path.with_suffix(".partial")
    save_file(arrays, partial, metadata)
    os.replace(partial, path)


def train(sources: dict[str, list[Example]], noises: dict[str, np.ndarray], steps: int, seed: int,
          start: Path | None, state: Path) -> Layers:
    """Learns for a number of batches, from the beginning or earlier weights; goes on from ``state`` if there is one.

    Where simulated waves begin and end differs less from lead to lead than where experts see them begin and end: with
    annotated recordings to learn from, nothing but peaks is learned from simulated ones.
    """
    torch.manual_seed(seed)
    model = Layers(network.load_weights(start) if start else None)
    rate = PEAK_LEARNING_RATE if start is None else LATER_LEARNING_RATE
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    done = load_state(state, model, optimiser) if state.exists() else 0
    unknown = [name for name in network.HEAT if not name.endswith("peak")] if sources else ()
    began, total, counted = time.monotonic(), 0.0, 0
    for step in range(done + 1, steps + 1):
        rng = np.random.default_rng((seed, step))
        if step % RENEW_EVERY == 1 or "simulated" not in sources:
            drawn = SIMULATED + (step - 1) // RENEW_EVERY * RENEWED
            fresh = RENEWED if "simulated" in sources else SIMULATED
            sources["simulated"] = [*sources.get("simulated", [])[fresh:],
                                    *simulated(fresh, drawn - fresh, seed, unknown)]
        cells, target, weight, place, usable = batch(sources, noises, rng)
        logit = model(cells, usable)[:, :, : target.shape[2]]
        loss = nn.functional.binary_cross_entropy_with_logits(logit, target, weight, reduction="sum")
        loss = loss / weight.sum().clamp(min=1) + PLACE_WEIGHT * displacement(logit, place)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(rate, step / steps)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        total, counted = total + loss.item(), counted + 1
        if step % SAVE_EVERY == 0:
            print(f"{step} of {steps}: loss {total / counted:.5f}, {time.monotonic() - began:.0f} s", flush=True)
            total, counted = 0.0, 0
            save_state(state, model, optimiser, step)
    return model.eval()


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, help="annotated recordings (default: none, learn from simulated ones)")
    parser.add_argument("--without", type=int, help="fold to leave out")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights of an earlier run to go on from")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sources, noises = {}, {}
    if args.data:
        keep = lambda name: args.without is None or fold_of(name, args.folds) != args.without  # noqa: E731
        readers = {"ludb": (read_ludb, on_grid), "qtdb": (read_qtdb, sparsely_marked), "mitdb": (read_mitdb, on_grid)}
        sources = {name: [prepare(r) for r in read(args.data / name) if keep(r.name)]
                   for name, (read, prepare) in readers.items()}
        sources["af single"], sources["af several"] = read_fibrillation(args.data)
        noises = {name: resample_poly(noise[: len(noise) // 2], 25, 36, axis=0)
                  for name, noise in read_noise(args.data / "nstdb").items()}
        print("learning from", {name: len(examples) for name, examples in sources.items()})
    state = args.output.with_suffix(".state")
    model = train(sources, noises, args.steps, args.seed, args.start, state)
    write(args.output, model.folded())
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
