"""Training examples of `leadset.waves.network` for ``train_waves.py``: where they come from and how they are varied.

They are excerpts of annotated recordings, of simulated ones, and of recordings without P waves, or beats made of
Gaussian bumps. `spoil` adds noise and artefacts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from annotated import SCORED, Annotated, noise_level

from leadset import read_recording
from leadset.recordings import find_recordings
from leadset.simulate import simulate
from leadset.waves import network
from leadset.waves.marks import Q, R
from leadset.waves.wavelet import GRID_RATE, transform

#: Length of a training example in seconds, in grid samples, and in cells of the heat maps.
SECONDS = 10.24
SAMPLES = int(SECONDS * GRID_RATE)
CELLS = SAMPLES // network.HEAT_CELL
#: Length of a simulated recording in seconds, and what is left out at either end, where beats are cut off.
SIMULATED_SECONDS, MARGIN = 14.0, 0.8
#: Share of examples under recorded noise, its kinds, and its signal-to-noise ratio in dB.
NOISY, NOISES, NOISE_DB = 0.3, {"em": 0.6, "ma": 0.25, "bw": 0.15}, (2.0, 20.0)
#: The stretch that covers a whole example.
EVERYWHERE = np.array([[0.0, SAMPLES]])
#: Atrial fibrillation and flutter (SNOMED CT).
FIBRILLATION = {"164889003", "164890007"}


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
    recordings = simulate(n, seed, SIMULATED_SECONDS, GRID_RATE, start=start)
    stretch = np.array([[MARGIN * GRID_RATE, (SIMULATED_SECONDS - MARGIN) * GRID_RATE]])
    examples = []
    for signal, marks in zip(recordings.signals, recordings.marks, strict=True):
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
        drawn: dict[str, np.ndarray] = {}
        for wave, parts in waves.items():
            for amplitude, offset, sd in parts:
                for at in beats + offset:
                    low, high = np.searchsorted(t, (at - 5 * sd, at + 5 * sd))
                    signal[lead, low:high] += amplitude * np.exp(-0.5 * ((t[low:high] - at) / sd) ** 2)
            peak = max(parts, key=lambda part: abs(part[0]))[1]
            drawn[f"{wave} onset"] = (beats + min(o - 2.5 * s for _, o, s in parts)) * GRID_RATE
            drawn[f"{'R' if wave == 'QRS' else wave} peak"] = (beats + peak) * GRID_RATE
            drawn[f"{wave} end"] = (beats + max(o + 2.5 * s for _, o, s in parts)) * GRID_RATE
        marks.append({name: drawn.get(name, np.zeros(0)) for name in network.HEAT})
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
