"""`simulate`: recordings out of a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from leadset.simulate.conditions import CONDITIONS
from leadset.simulate.device import DEVICES, Device
from leadset.simulate.draws import Draws
from leadset.simulate.heart import draw_hearts
from leadset.simulate.leadfield import ELECTRODE_WEIGHTS, lead_vectors, twelve_leads
from leadset.simulate.marks import beat_marks, fit_durations
from leadset.simulate.mixture import NAMES, draw_codes, draw_diagnoses, parse_labels
from leadset.simulate.noise import draw_levels, electrode_noise
from leadset.simulate.render import heart_vector
from leadset.simulate.rhythm import LEAD_IN, LEAD_OUT, draw_beats

_BATCH = 32  # recordings at a time: more leave the processor's cache
_SHORTEST, _LONGEST = 2.0, 3600.0  # seconds
_SLOWEST, _FASTEST = 100, 2000  # samples a second


@dataclass(frozen=True)
class Simulated:
    """Simulated recordings.

    Attributes:
        signals: (n, 12, samples) in mV, leads in standard order.
        rate: samples a second.
        codes: SNOMED CT codes of each recording.
        ages: years (n,).
        sexes: ``"Male"`` or ``"Female"`` of each recording.
        marks: of each recording (12, beats, 13) in samples, NaN = missing, in the order of `leadset.delineate`; empty
            where marks were not asked for.
    """

    signals: np.ndarray
    rate: float
    codes: list[tuple[str, ...]]
    ages: np.ndarray
    sexes: list[str]
    marks: list[np.ndarray]


def simulate(
    n: int,
    seed: int = 0,
    seconds: float = 10.0,
    rate: float = 500,
    labels: str | Iterable[str] | Mapping[str, float] | None = None,
    *,
    start: int = 0,
    noise: float = 1.0,
    marks: bool = True,
    dtype: type = np.float32,
) -> Simulated:
    """Recordings ``start`` to ``start + n - 1`` of a seed; each depends on nothing but the seed and its own index.

    Args:
        n: how many.
        seed: of the data set.
        seconds: length, 2 s to an hour.
        rate: samples a second, 100 to 2000.
        labels: main diagnoses to draw from, as abbreviations (``"AF,NSR"`` or a sequence) or with weights; None for
            the default mixture. Every recording also carries the label of its rhythm.
        start: index of the first.
        noise: factor on the level of all noise; 0 for the heart alone.
        marks: whether fiducial marks are wanted.
        dtype: of the signals; with ``float64`` what is rounded afterwards does not depend on the machine.

    Raises:
        ValueError: n below 1, a length or rate outside its limits, an unknown label.
    """
    if n < 1:
        raise ValueError(f"cannot simulate {n} recordings: expected at least 1")
    if not 0 <= noise < np.inf:
        raise ValueError(f"cannot simulate noise {noise} times as strong: expected a number from zero")
    weights = parse_labels(labels)
    end = start + n
    batches = [range(first, min(first + _BATCH, end)) for first in range(start, end, _BATCH)]
    parts = [simulate_indices(batch, seed, seconds, rate, weights, noise, marks, dtype) for batch in batches]
    return Simulated(
        signals=np.concatenate([part.signals for part in parts]),
        rate=rate,
        codes=[codes for part in parts for codes in part.codes],
        ages=np.concatenate([part.ages for part in parts]),
        sexes=[sex for part in parts for sex in part.sexes],
        marks=[mark for part in parts for mark in part.marks],
    )


def simulate_indices(
    indices: Sequence[int],
    seed: int,
    seconds: float,
    rate: float,
    weights: Mapping[str, float],
    noise: float = 1.0,
    marks: bool = False,
    dtype: type = np.float32,
) -> Simulated:
    """Recordings of given indices in one batch; arguments as of `simulate`, labels as `parse_labels` returns them."""
    check_limits(seconds, rate)
    draws = Draws(seed, indices)
    present, main = draw_diagnoses(draws, weights)
    codes = draw_codes(draws, present)
    age, female = _draw_persons(draws, main)
    heart = draw_hearts(draws, age, female)
    for column, condition in enumerate(CONDITIONS.values()):
        condition.change(heart, present[:, column], draws)
    vectors = lead_vectors(draws)
    offsets = fit_durations(heart, vectors)
    beats = draw_beats(draws, heart, seconds)

    skipped, samples = round(LEAD_IN * rate), round(seconds * rate)
    padded = next_fast_len(skipped + samples + round(LEAD_OUT * rate), real=True)
    devices = draw_devices(seed, indices)
    response = np.stack([device.response(np.fft.rfftfreq(padded, 1 / rate)) for device in devices])
    vector = heart_vector(draws, heart, beats, padded, rate, dtype)
    vector = np.fft.irfft(np.fft.rfft(vector) * response[:, None].astype(dtype), padded)
    levels = draw_levels(draws, np.array([device.mains for device in devices]), noise)
    electrodes = electrode_noise(draws, levels, padded, rate, response, dtype)
    inside = slice(skipped, skipped + samples)
    recorded = vectors.astype(dtype) @ vector[..., inside] + ELECTRODE_WEIGHTS.astype(dtype) @ electrodes[..., inside]
    return Simulated(
        signals=twelve_leads(recorded),
        rate=rate,
        codes=codes,
        ages=age,
        sexes=["Female" if x else "Male" for x in female],
        marks=beat_marks(heart, beats, offsets, seconds, rate) if marks else [],
    )


def check_limits(seconds: float, rate: float) -> None:
    """Raises a ValueError for a length (s) or a rate (Hz) that cannot be simulated."""
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"cannot simulate {seconds} s: expected {_SHORTEST:g} to {_LONGEST:g} s")
    if not _SLOWEST <= rate <= _FASTEST:
        raise ValueError(f"cannot simulate {rate} samples a second: expected {_SLOWEST} to {_FASTEST}")


def draw_devices(seed: int, indices: Sequence[int]) -> list[Device]:
    """The recorder of each recording; known without simulating it."""
    choice = Draws(seed, indices, purpose=1).choice(np.array([device.share for device in DEVICES]))
    return [DEVICES[i] for i in choice]


def _draw_persons(draws: Draws, main: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Age in whole years and sex, the age as the main diagnosis has it."""
    mean = np.array([CONDITIONS[name].mean_age for name in NAMES])[main]
    age = np.rint(np.clip(mean + 16 * draws.normal(), 12, 95))
    return age, draws.flags(0.47)
