"""`simulate`: recordings out of a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leadset.leads import LEADS
from leadset.simulate.device import DEVICES, Device
from leadset.simulate.draws import Draws
from leadset.simulate.leadfield import twelve_leads
from leadset.simulate.marks import beat_marks, lone_p_marks
from leadset.simulate.mixture import parse_labels
from leadset.simulate.scene import draw_scene

_BATCH = 32  # recordings at a time: more leave the processor's cache
_SHORTEST, _LONGEST = 2.0, 3600.0  # seconds
_LOWEST_FS, _HIGHEST_FS = 100, 2000  # Hz


@dataclass(frozen=True)
class Simulated:
    """Simulated recordings.

    Attributes:
        signals: (n, 12, samples) in mV, leads in standard order.
        fs: sampling rate in Hz.
        codes: SNOMED CT codes of each recording.
        ages: years (n,).
        sexes: ``"Male"`` or ``"Female"`` of each recording.
        marks: of each recording (12, beats, 13) in samples, NaN = missing, in the order of `leadset.delineate`.
        p_only: of each recording (12, p, 4) Pon P1 P2 Pend of P waves that no complex follows, else as ``marks``.
        noise: RMS in mV (n, 12) of what is not the heart. This and the marks are empty where they were not asked for.
    """

    signals: np.ndarray
    fs: float
    codes: list[tuple[str, ...]]
    ages: np.ndarray
    sexes: list[str]
    marks: list[np.ndarray]
    p_only: list[np.ndarray]
    noise: np.ndarray


def simulate(
    n: int,
    seed: int = 0,
    seconds: float = 10.0,
    fs: float = 500,
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
        fs: sampling rate in Hz, 100 to 2000.
        labels: main diagnoses to draw from, as abbreviations (``"AF,NSR"`` or a sequence) or with weights; None for
            the default mixture. Every recording also carries the label of its rhythm. Second- and third-degree AV block
            (``av_block.AV_BLOCKS``) are in no mixture, but can be named here.
        start: index of the first.
        noise: factor on the level of all noise; 0 for the heart alone.
        marks: whether fiducial marks and noise levels are wanted.
        dtype: of the signals; with ``float64`` what is rounded afterwards does not depend on the machine.

    Raises:
        ValueError: n below 1, a length or rate outside its limits, an unknown label.
    """
    if n < 1:
        raise ValueError(f"cannot simulate {n} recordings: expected at least 1")
    check_limits(seconds, fs, noise)
    weights = parse_labels(labels)
    end = start + n
    batches = [range(first, min(first + _BATCH, end)) for first in range(start, end, _BATCH)]
    parts = [simulate_indices(batch, seed, seconds, fs, weights, noise, marks, dtype) for batch in batches]
    return Simulated(
        signals=np.concatenate([part.signals for part in parts]),
        fs=fs,
        codes=[codes for part in parts for codes in part.codes],
        ages=np.concatenate([part.ages for part in parts]),
        sexes=[sex for part in parts for sex in part.sexes],
        marks=[mark for part in parts for mark in part.marks],
        p_only=[mark for part in parts for mark in part.p_only],
        noise=np.concatenate([part.noise for part in parts]),
    )


def simulate_indices(
    indices: Sequence[int],
    seed: int,
    seconds: float,
    fs: float,
    weights: Mapping[str, float],
    noise: float = 1.0,
    marks: bool = False,
    dtype: type = np.float32,
) -> Simulated:
    """Recordings of given indices in one batch; arguments as of `simulate`, labels as `parse_labels` returns them."""
    scene = draw_scene(Draws(seed, indices), draw_devices(seed, indices), seconds, fs, weights, noise, dtype)
    return Simulated(
        signals=twelve_leads(scene.recorded()),
        fs=fs,
        codes=scene.codes,
        ages=scene.heart.age,
        sexes=["Female" if x else "Male" for x in scene.heart.female],
        marks=beat_marks(scene.heart, scene.beats, scene.offsets, seconds, fs) if marks else [],
        p_only=lone_p_marks(scene.heart, scene.beats, scene.offsets, seconds, fs) if marks else [],
        noise=twelve_leads(scene.noise_leads).std(axis=-1) if marks else np.empty((0, len(LEADS))),
    )


def check_limits(seconds: float, fs: float, noise: float = 1.0) -> None:
    """Raises a ValueError for a length (s), a sampling rate (Hz) or a factor on the noise that cannot be simulated."""
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"cannot simulate {seconds} s: expected {_SHORTEST:g} to {_LONGEST:g} s")
    if not _LOWEST_FS <= fs <= _HIGHEST_FS:
        raise ValueError(f"cannot simulate a sampling rate of {fs} Hz: expected {_LOWEST_FS} to {_HIGHEST_FS} Hz")
    if not 0 <= noise < np.inf:
        raise ValueError(f"cannot simulate noise {noise} times as strong: expected a number from zero")


def draw_devices(seed: int, indices: Sequence[int]) -> list[Device]:
    """The recorder of each recording; known without simulating it."""
    choice = Draws(seed, indices, purpose=1).choice(np.array([device.share for device in DEVICES]))
    return [DEVICES[i] for i in choice]
