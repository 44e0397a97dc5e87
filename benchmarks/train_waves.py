"""Learns the weights of `leadset.waves.network` from annotated recordings and from drawn ones.

    python benchmarks/train_waves.py DATA OUTPUT.safetensors [--without FOLD --folds 4] [--steps 5000] [--seed 0]

DATA holds the folders ``ludb`` (marks of every wave) and ``mitdb`` (R peaks only); the QT Database is never learned
from. ``--without`` leaves out one fold of the recordings, for an honest score (see ``fold_of``); the weights shipped
with the package are learned from all of them. Beside the recordings a fifth of every batch is drawn: beats made of
Gaussian bumps whose limits are known. Noise of known kinds is added; no recorded noise is used.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from annotated import Annotated, read_ludb, read_mitdb
from safetensors.numpy import save_file
from torch import nn

from leadset.waves import network
from leadset.waves.envelope import measure
from leadset.waves.wavelet import GRID_RATE, transform

#: Seconds of a training example and rows (leads of all recordings) of a batch.
SECONDS, ROWS = 10.24, 48
SAMPLES = int(SECONDS * GRID_RATE)
CELLS = SAMPLES // network.HEAT_CELL
#: Numbers of leads of a batch and how often each is drawn.
LEADS, LEAD_ODDS = (1, 2, 3, 6, 12), (0.25, 0.3, 0.15, 0.1, 0.2)
#: Standard deviation of a mark's heat in grid samples (14 ms) and weight of the extents in the loss.
HEAT_SD, EXTENT_WEIGHT = 3.5, 0.3
R_PEAK = network.HEAT.index("R peak")
PEAK_LEARNING_RATE, WEIGHT_DECAY = 4e-3, 1e-4


@dataclass
class Example:
    """Leads on the grid with what is known of them: ``known`` (leads, channels, SAMPLES) masks the loss."""

    signal: np.ndarray
    marks: list[dict[str, np.ndarray]]
    known: list[dict[str, tuple[float, float]]]


def fold_of(name: str, folds: int) -> int:
    """Fold of a recording by its name; recordings numbered alike in two databases share one."""
    return int("".join(filter(str.isdigit, name))) % folds


def on_grid(recording: Annotated) -> Example:
    """A recording on the grid; its reference marks in grid samples."""
    grid = transform(recording.signal, recording.fs)
    leads = len(recording.signal)
    marks = [{name: grid.to_grid(at) for name, at in lead.items()} for lead in recording.marks]
    known = [{name: tuple(grid.to_grid(np.array(stretch))) for name in lead}
             for lead, stretch in zip(recording.marks, recording.stretches, strict=True)]
    if len(marks) == 1:
        marks, known = marks * leads, known * leads
    return Example(grid.signal, marks, known)


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
                for beat in beats:
                    signal[lead] += amplitude * np.exp(-0.5 * ((t - beat - offset) / sd) ** 2)
            peak = max(parts, key=lambda part: abs(part[0]))[1]
            found[f"{wave} onset"] = (beats + min(o - 2.5 * s for _, o, s in parts)) * GRID_RATE
            found[f"{'R' if wave == 'QRS' else wave} peak"] = (beats + peak) * GRID_RATE
            found[f"{wave} end"] = (beats + max(o + 2.5 * s for _, o, s in parts)) * GRID_RATE
        marks.append({name: found.get(name, np.zeros(0)) for name in network.HEAT})
        known.append({name: (0.0, float(SAMPLES)) for name in network.HEAT})
    return Example(signal, marks, known)


def excerpt(example: Example, rng: np.random.Generator, leads: int) -> Example:
    """A random excerpt of random leads, slightly stretched in time, some leads upside down."""
    chosen = rng.choice(len(example.signal), leads, replace=leads > len(example.signal))
    stretch = rng.uniform(0.85, 1.2)
    length = example.signal.shape[1]
    start = rng.uniform(0, max(length - SAMPLES / stretch, 0)) if length * stretch > SAMPLES else rng.uniform(
        length - SAMPLES / stretch, 0)
    at = start + np.arange(SAMPLES) / stretch
    signal = np.stack([np.interp(at, np.arange(length), example.signal[lead]) for lead in chosen])
    signal *= rng.choice([1, -1], size=(leads, 1), p=[0.85, 0.15])
    marks = [{name: (v - start) * stretch for name, v in example.marks[lead].items()} for lead in chosen]
    known = [{name: ((a - start) * stretch, (b - start) * stretch) for name, (a, b) in example.known[lead].items()}
             for lead in chosen]
    return Example(signal.astype(np.float32), marks, known)


def coloured(rng: np.random.Generator, leads: int, slope: float) -> np.ndarray:
    """(leads, SAMPLES) noise of unit SD whose power falls with frequency to the power of ``slope``."""
    frequency = np.maximum(np.fft.rfftfreq(SAMPLES, 1 / GRID_RATE), 0.3)
    spectrum = rng.standard_normal((leads, len(frequency))) + 1j * rng.standard_normal((leads, len(frequency)))
    noise = np.fft.irfft(spectrum * frequency ** (-slope / 2), SAMPLES)
    return noise / noise.std(axis=1, keepdims=True)


def spoil(example: Example, rng: np.random.Generator) -> None:
    """Adds noise, wander, hum, steps and electrode artefacts; some leads become nothing but noise, without marks."""
    signal, leads = example.signal, len(example.signal)
    size = np.maximum(np.percentile(signal, 99.5, axis=1) - np.percentile(signal, 0.5, axis=1), 0.05)[:, None]
    if rng.random() < 0.6:
        level = 10 ** rng.uniform(-2.5, -0.5, (leads, 1))
        signal += size * level * coloured(rng, leads, rng.uniform(0, 1.5))
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
        if rng.random() < 0.06:
            dead = rng.random()
            noise = coloured(rng, 1, rng.uniform(0, 3))[0] * 0.3
            signal[lead] = 0 if dead < 0.3 else noise
            example.marks[lead] = {name: np.zeros(0) for name in network.HEAT}
            example.known[lead] = {name: (0.0, float(SAMPLES)) for name in network.HEAT}


def _distance(position: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """From each position to the nearest of the sorted marks; infinite without marks."""
    fence = np.concatenate([[-np.inf], marks, [np.inf]])
    right = np.searchsorted(fence, position)
    return np.minimum(position - fence[right - 1], fence[right] - position)


def targets(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """Heat and extents (leads, CELLS, 12) and the weight of each in the loss."""
    leads = len(example.signal)
    centre = (np.arange(CELLS) + 0.5) * network.HEAT_CELL - 0.5
    channels = len(network.HEAT) + len(network.EXTENT)
    target = np.zeros((leads, CELLS, channels), dtype=np.float32)
    weight = np.zeros_like(target)
    for lead in range(leads):
        marks, known = example.marks[lead], example.known[lead]
        for channel, name in enumerate(network.HEAT):
            if name not in known:
                continue
            weight[lead, (centre >= known[name][0] - 2) & (centre <= known[name][1] + 2), channel] = 1
            nearest = _distance(centre, marks[name])
            target[lead, :, channel] = np.exp(-0.5 * (nearest / HEAT_SD) ** 2)
        for channel, wave in enumerate(network.EXTENT, len(network.HEAT)):
            if f"{wave} onset" not in known or len(marks[f"{wave} onset"]) != len(marks[f"{wave} end"]):
                continue
            weight[lead, :, channel] = EXTENT_WEIGHT * weight[lead, :, network.HEAT.index(f"{wave} end")]
            begun, over = (np.searchsorted(marks[f"{wave} {limit}"], centre) for limit in ("onset", "end"))
            target[lead, :, channel] = begun > over
    return target, weight


def batch(sources: list[list[Example]], rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Cells (b, leads, t, f), targets, weights and (b, leads) usable leads."""
    leads = int(rng.choice(LEADS, p=LEAD_ODDS))
    ludb, mitdb = sources
    parts = []
    for _ in range(ROWS // leads):
        kind = rng.random()
        if kind < 0.2:
            example = draw_beats(rng, leads)
        elif kind < 0.5 and leads <= 2:
            example = excerpt(mitdb[rng.integers(len(mitdb))], rng, leads)
        else:
            example = excerpt(ludb[rng.integers(len(ludb))], rng, leads)
        spoil(example, rng)
        scales = transform(example.signal, GRID_RATE).scales
        if rng.random() < 0.1:  # a recording of low rate has nothing on the finest scales
            scales[0] *= 0.1
        usable = np.ptp(example.signal, axis=1) > 0.02
        cells = network.make_cells(scales, measure(scales, usable))
        parts.append((cells, *targets(example), usable))
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True))


class Layers(nn.Module):
    """The network's layers in torch, with batch normalisation that is folded into the weights at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.ModuleDict()
        self.norm = nn.ModuleDict()
        for name, (inputs, outputs, taps) in network.LAYERS.items():
            self.convolution[name] = nn.Conv1d(inputs, outputs, taps, padding=taps // 2)
            if name != "head":
                self.norm[name] = nn.BatchNorm1d(outputs)
        nn.init.constant_(self.convolution["head"].bias, -3.0)

    def layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        b, leads, t, c = x.shape
        y = self.convolution[name](x.reshape(b * leads, t, c).transpose(1, 2))
        y = self.norm[name](y) if name in self.norm else y
        return y.transpose(1, 2).reshape(b, leads, t, -1)

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
            weights[f"{name}.weight"] = w.permute(2, 1, 0).reshape(-1, w.shape[0]).numpy().astype(np.float16)
            weights[f"{name}.bias"] = bias.numpy().astype(np.float16)
        return weights


def train(sources: list[list[Example]], steps: int, seed: int) -> Layers:
    """Learns for a number of batches under a one-cycle schedule."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Layers()
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.15)
    began, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        cells, target, weight, usable = batch(sources, rng)
        logit = model(cells, usable)[:, :, : target.shape[2]]
        loss = nn.functional.binary_cross_entropy_with_logits(logit, target, weight, reduction="sum")
        loss = loss / weight.sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % 250 == 0:
            print(f"{step} of {steps}: loss {total / 250:.5f}, {time.monotonic() - began:.0f} s", flush=True)
            total = 0.0
    return model.eval()


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--without", type=int, help="fold to leave out")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep = lambda name: args.without is None or fold_of(name, args.folds) != args.without  # noqa: E731
    sources = [[on_grid(r) for r in reader if keep(r.name)]
               for reader in (read_ludb(args.data / "ludb"), read_mitdb(args.data / "mitdb"))]
    print(f"learning from {len(sources[0])} recordings of LUDB and {len(sources[1])} of MIT-BIH")
    model = train(sources, args.steps, args.seed)
    partial = args.output.with_suffix(".partial")
    save_file(model.folded(), partial)
    os.replace(partial, args.output)


if __name__ == "__main__":
    main()
