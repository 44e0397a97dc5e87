"""Recordings with one local anomaly and the exact mask of it.

The same recording is made twice, with and without the anomaly; the mask is where the two differ by more than noise.
Outside of it they differ by less than 0.02 mV (what is left of waves and filters fading out), and all other beats and
all noise stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from leadset.simulate import loops
from leadset.simulate.draws import Draws
from leadset.simulate.generator import check_limits, draw_devices
from leadset.simulate.heart import CONDUCTED, P_ECTOPIC, VENTRICULAR, Heart, discordant_t, set_loops, vary
from leadset.simulate.leadfield import ELECTRODE_WEIGHTS, ELECTRODES, twelve_leads
from leadset.simulate.mixture import parse_labels
from leadset.simulate.rhythm import Beats
from leadset.simulate.scene import Scene, draw_scene

#: Kinds of anomaly. Those of the beat, then those of the electrodes.
ANOMALIES: tuple[str, ...] = (
    "ventricular beat", "atrial beat", "pause", "wide qrs", "st shift", "t inversion",
    "noise burst", "pop", "contact loss",
)  # fmt: skip

_CHANGED = 2  # the kind of QRS-T that anomalous conducted beats get
_BATCH = 32
_VISIBLE = 0.02  # mV by which samples must differ to be abnormal
_GAP = 0.06  # seconds that a lead may be back to normal within one anomaly


@dataclass(frozen=True)
class Anomalous:
    """Recordings with one anomaly each.

    Attributes:
        signals: (n, 12, samples) in mV.
        clean: the same recordings without the anomaly.
        masks: (n, 12, samples) bool, true where a lead shows it.
        kinds: which anomaly it is, out of `ANOMALIES`.
        codes: SNOMED CT codes of the recordings without it.
        fs: sampling rate in Hz.
    """

    signals: np.ndarray
    clean: np.ndarray
    masks: np.ndarray
    kinds: list[str]
    codes: list[tuple[str, ...]]
    fs: float


def simulate_anomalies(
    n: int,
    seed: int = 0,
    seconds: float = 10.0,
    fs: float = 500,
    kinds: Iterable[str] = ANOMALIES,
    labels: str | Iterable[str] | Mapping[str, float] = "NSR",
    *,
    start: int = 0,
    noise: float = 1.0,
) -> Anomalous:
    """Recordings ``start`` to ``start + n - 1`` of a seed, each with one anomaly out of ``kinds``.

    Args:
        n: how many.
        seed: of the data set.
        seconds: length, at least 4 s.
        fs: sampling rate in Hz.
        kinds: anomalies to choose from.
        labels: what the recordings have besides, as of `leadset.simulate.simulate`.
        start: index of the first.
        noise: factor on the level of all noise.

    Raises:
        ValueError: as of `leadset.simulate.simulate`, or an unknown kind.
    """
    kinds = tuple(kinds)
    if n < 1 or seconds < 4:
        raise ValueError(f"cannot simulate {n} recordings of {seconds} s: expected at least 1 of 4 s")
    if not kinds or set(kinds) - set(ANOMALIES):
        raise ValueError(f"unknown anomaly in {', '.join(kinds) or '(none)'}: expected some of {', '.join(ANOMALIES)}")
    check_limits(seconds, fs, noise)
    weights = parse_labels(labels)
    parts = []
    for first in range(start, start + n, _BATCH):
        indices = range(first, min(first + _BATCH, start + n))
        draws = Draws(seed, indices, purpose=3)
        kind = np.array(kinds)[draws.choice(np.ones(len(kinds)))]
        devices = draw_devices(seed, indices)
        changes = _draw_changes(draws)
        scene = draw_scene(
            Draws(seed, indices), devices, seconds, fs, weights, noise, np.float32,
            alter=lambda heart, kind=kind, changes=changes: _add_changed_kind(heart, kind, changes),
        )  # fmt: skip
        parts.append(_with_anomaly(draws, scene, kind, seconds))
    return Anomalous(
        signals=np.concatenate([p.signals for p in parts]),
        clean=np.concatenate([p.clean for p in parts]),
        masks=np.concatenate([p.masks for p in parts]),
        kinds=[k for p in parts for k in p.kinds],
        codes=[c for p in parts for c in p.codes],
        fs=fs,
    )


@dataclass(frozen=True)
class _Changes:
    """What anomalous conducted beats have of their own (n, …)."""

    wide_qrs: np.ndarray
    wide_t: np.ndarray
    duration: np.ndarray
    st: np.ndarray
    inversion: np.ndarray


def _draw_changes(draws: Draws) -> _Changes:
    wide = loops.rotate(vary(draws, loops.QRS_LBBB, 0.4), 20 * draws.normal(), "y")
    direction = draws.normal(3)
    size = draws.uniform(1, low=0.12, high=0.35)
    return _Changes(
        wide_qrs=wide,
        wide_t=discordant_t(draws, wide, 0.35),
        duration=draws.uniform(low=0.125, high=0.17),
        st=size * direction / np.linalg.norm(direction, axis=1, keepdims=True),
        inversion=draws.uniform(1, 1, low=-1.3, high=-0.6),
    )


def _add_changed_kind(heart: Heart, kind: np.ndarray, changes: _Changes) -> None:
    """Gives the hearts a third kind of QRS-T: the conducted one, with the anomaly of the recording."""
    for name in ("qrs", "t", "qrs_duration", "qtc"):
        values = getattr(heart, name)
        setattr(heart, name, np.concatenate([values, values[:, :1]], axis=1))
    wide, shifted, inverted = (kind == name for name in ("wide qrs", "st shift", "t inversion"))
    set_loops(heart.qrs, wide, _CHANGED, changes.wide_qrs)
    set_loops(heart.t, wide, _CHANGED, changes.wide_t)
    heart.qtc[wide, _CHANGED] += (changes.duration - heart.qrs_duration[:, CONDUCTED])[wide]
    heart.qrs_duration[wide, _CHANGED] = changes.duration[wide]
    segment = np.concatenate([np.broadcast_to([0.15, 0.22], (heart.n, 2)), changes.st], axis=1)
    heart.t[shifted, _CHANGED, 0] = segment[shifted]
    heart.t[inverted, _CHANGED, 1:, 2:] *= changes.inversion[inverted]


def _with_anomaly(draws: Draws, scene: Scene, kind: np.ndarray, seconds: float) -> Anomalous:
    beats = _change_beats(draws, scene, kind, seconds)
    extra, lost = _electrode_trouble(draws, kind, scene.samples, scene.fs, seconds)
    clean = twelve_leads(scene.recorded())
    change = twelve_leads(scene.heart_change(beats) + extra)
    signals, masks = clean + change, np.abs(change) > _VISIBLE
    for row, lead, span in lost:
        signals[row, lead, span] = signals[row, lead, span.start]  # the last value before contact was lost
        masks[row, lead, span] = True
    masks = _close_gaps(masks, round(_GAP * scene.fs))
    return Anomalous(signals, clean, masks, kind.tolist(), scene.codes, scene.fs)


def _change_beats(draws: Draws, scene: Scene, kind: np.ndarray, seconds: float) -> Beats:
    """The beats with the anomaly: one of them, or a run of up to five."""
    beats, rows = scene.beats, np.arange(scene.heart.n)
    conducted = beats.conducted & (beats.kind == CONDUCTED) & beats.used
    moment = draws.uniform(low=1.0, high=seconds - 1.6)
    distance = np.where(conducted, np.abs(beats.onset - moment[:, None]), np.inf)
    chosen = distance.argmin(axis=1)
    length = 1 + (draws.uniform() * 5).astype(int)
    earlier = draws.uniform(low=0.25, high=0.42)
    with_p = draws.flags(0.5)

    place = np.arange(beats.onset.shape[1])
    one = place == chosen[:, None]
    run = (place >= chosen[:, None]) & (place < (chosen + length)[:, None]) & conducted
    of = {name: (kind == name)[:, None] for name in ANOMALIES}
    before = beats.onset[rows, chosen] - beats.onset[rows, np.maximum(chosen - 1, 0)]
    shift = np.where(one & (of["ventricular beat"] | of["atrial beat"]), (earlier * before)[:, None], 0.0)
    p_onset = np.where(one & of["ventricular beat"], np.nan, beats.p_onset - shift)
    p_onset = np.where(one & of["pause"] & ~with_p[:, None], np.nan, p_onset)
    changed = run & (of["wide qrs"] | of["st shift"] | of["t inversion"])
    beat_kind = np.where(one & of["ventricular beat"], VENTRICULAR, np.where(changed, _CHANGED, beats.kind))
    qtc = np.take_along_axis(scene.heart.qtc, beats.kind, axis=1)
    return replace(
        beats,
        onset=beats.onset - shift,
        conducted=beats.conducted & ~(one & of["pause"]),
        kind=beat_kind,
        p_onset=p_onset,
        p_kind=np.where(one & of["atrial beat"], P_ECTOPIC, beats.p_kind),
        qt=beats.qt * np.take_along_axis(scene.heart.qtc, beat_kind, axis=1) / qtc,
    )


def _electrode_trouble(
    draws: Draws, kind: np.ndarray, samples: int, fs: float, seconds: float
) -> tuple[np.ndarray, list[tuple[int, int, slice]]]:
    """Noise added to the recorded leads (n, 8, samples), and the leads and times without contact."""
    n = len(kind)
    begin = draws.uniform(low=0.3, high=seconds - 2.3)
    length = draws.uniform(low=0.4, high=2.0)
    electrode = (draws.uniform() * len(ELECTRODES)).astype(int)
    height = 0.5 * np.exp(0.5 * draws.normal()) * np.where(draws.flags(0.5), 1, -1)
    decay = draws.uniform(low=0.05, high=0.4)
    strength = 0.12 * np.exp(0.5 * draws.normal())
    white = draws.normal(samples)
    lead = (draws.uniform() * 12).astype(int)
    time = np.arange(samples) / fs - begin[:, None]
    during = np.clip(np.minimum(time, length[:, None] - time) / 0.08, 0, 1)
    burst = strength[:, None] * during * white
    pop = height[:, None] * np.exp(-np.maximum(time, 0) / decay[:, None]) * (time >= 0)
    potential = np.zeros((n, len(ELECTRODES), samples), dtype=np.float32)
    added = burst * (kind == "noise burst")[:, None] + pop * (kind == "pop")[:, None]
    potential[np.arange(n), electrode] = added
    first, last = np.rint(begin * fs).astype(int), np.rint((begin + length) * fs).astype(int)
    lost = [(row, lead[row], slice(first[row], last[row])) for row in np.flatnonzero(kind == "contact loss")]
    return ELECTRODE_WEIGHTS.astype(np.float32) @ potential, lost


def _close_gaps(masks: np.ndarray, gap: int) -> np.ndarray:
    """Masks without holes of up to ``gap`` samples along the last axis."""
    place = np.arange(masks.shape[-1])
    last = np.maximum.accumulate(np.where(masks, place, -gap - 1), axis=-1)
    following = np.where(masks, place, place[-1] + gap + 1)[..., ::-1]
    following = np.minimum.accumulate(following, axis=-1)[..., ::-1]
    return masks | (following - last <= gap + 1)
