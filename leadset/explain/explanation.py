"""Explanations: what an entry's answer about one recording rests on, in the time and the leads of the recording.

The map of a class is in the coordinates of the prepared signal: the leads of the lead set that answers, at the highest
sampling rate among its networks, after resampling and before a network's filter and scaling. Its unit is log odds: its
sum (with that of the extra inputs) is what separates the recording from the baseline. Of a long recording it covers the
stretches that networks look at, one after another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from leadset.classes import LabelSpace
from leadset.entry.answer import Answer
from leadset.entry.prediction import Entry
from leadset.entry.preparing import PreparedInput
from leadset.explain.answers import Answering, AnswerOcclusion, occlude_answers
from leadset.explain.background import Background, normal_baselines, simulated_normals, zero_baseline
from leadset.explain.gradients import Attribution, Paths, path_gradients
from leadset.explain.occlusion import Occlusion, occlude
from leadset.explain.segments import WAVES, Segments, find_segments
from leadset.explain.steps import STEPS, paths_by_typical_beat
from leadset.explain.stretches import Stretches
from leadset.explain.target import NoNetworksError, Target, View, target_of
from leadset.recordings import Recording, read_recording
from leadset.waves import Delineation, delineate
from leadset.waves.beats import beat_feature_names, lead_feature_names, record_feature_names

#: Methods by name.
METHODS: dict[str, str] = {
    "typical": "integrated gradients by way of the recording's typical beat", "eg": "expected gradients",
    "ig": "integrated gradients", "occlusion": "occlusion",
}  # fmt: skip
#: The method that passes the checks (benchmarks/explain.csv).
DEFAULT_METHOD = "typical"
#: What stands for all leads or all waves in tables.
ALL = "all"
_EVIDENCE = "a detector adds evidence to this answer, which the maps do not show"


class UnexplainedError(ValueError):
    """The entry cannot judge the recording, so that there is nothing to explain."""


@dataclass(frozen=True)
class ClassExplanation:
    """What one class rests on.

    Attributes:
        name: abbreviation of the class. probability: of the answer. decided: whether the answer has it.
        log_odds: of the classifiers together, calibrated. baseline: the same where nothing was recorded (of expected
            gradients: the mean over normal recordings; of occlusion: NaN).
        map: (l, t) attribution of each sample of the stretches in log odds.
        extra: attribution of each feature of the extra inputs by name.
        completeness_error: `Attribution.completeness_error`; NaN of occlusion, whose effects need not sum to anything.
        nodes: evaluations of the gradient; of occlusion, parts taken away.
        steps: what each of `leadset.explain.steps.STEPS` adds to the log odds; of the method ``typical`` alone.
        without: by (lead, wave), one of them `ALL`, by how much the log odds fall without it; of occlusion alone.
    """

    name: str
    probability: float
    decided: bool
    log_odds: float
    baseline: float
    map: np.ndarray
    extra: dict[str, float]
    completeness_error: float
    nodes: int
    steps: dict[str, float] = field(default_factory=dict)
    without: dict[tuple[str, str], float] = field(default_factory=dict)

    def shares(self, segments: Segments) -> np.ndarray:
        """(l, waves) share of the map's absolute sum in each lead and wave; zeros of a map that is zero."""
        return _by_wave(np.abs(self.map), segments) / max(np.abs(self.map).sum(), np.finfo(float).tiny)

    def sums(self, segments: Segments) -> np.ndarray:
        """(l, waves) sum of the map in each lead and wave, in log odds."""
        return _by_wave(self.map, segments)


@dataclass(frozen=True)
class Explanation:
    """What an answer about a recording rests on.

    Attributes:
        recording: as read. leads: of the maps. rate: of the maps in Hz.
        method: one of `METHODS`.
        classes: what was explained. answer: of the entry.
        samples: length of the recording at that rate.
        stretches: what the maps cover of the recording: all of it, unless networks look at a few windows of a long one.
        segments: parts of the beats of the stretches at the rate of the maps. delineation: of the recording.
        seen: (t,) bool, whether a window covers the sample of the stretches.
        notes: what a reader has to know.
        provenance: entry, networks and background, as plain values.
        seconds: time that it took.
    """

    recording: Recording
    leads: tuple[str, ...]
    rate: float
    method: str
    classes: tuple[ClassExplanation, ...]
    answer: Answer
    samples: int
    stretches: Stretches
    segments: Segments
    delineation: Delineation
    seen: np.ndarray
    notes: tuple[str, ...]
    provenance: dict[str, Any]
    seconds: float

    def maps_by_second(self, one: ClassExplanation) -> dict[int, np.ndarray]:
        """The map (l, t) of each stretch by the second at which it begins, that of the strongest first."""
        parts = list(self.stretches.cut(one.map, self.rate, self.samples))
        order = sorted(range(len(parts)), key=lambda i: -np.abs(parts[i]).sum())
        return {self.stretches.limits[i][0]: parts[i] for i in order}


def _indices(entry: Answering, classes: str | Iterable[str] | None) -> list[int] | None:
    if classes is None:
        return None
    return [class_index(entry.space, name) for name in ([classes] if isinstance(classes, str) else classes)]


def explain(
    entry: Answering,
    recording: Recording | str | Path,
    classes: str | Iterable[str] | None = None,
    method: str | None = None,
    background: Background | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Explanation:
    """Explains an entry's answer about a recording.

    Args:
        entry: a loaded entry, or an exported one.
        recording: or the path of its header.
        classes: abbreviations or codes, or one of them; by default those that the entry decides.
        method: one of `METHODS`; by default `DEFAULT_METHOD`, or occlusion where no networks of PyTorch answer.
        background: normal recordings; by default simulated ones, where the method or an extra input needs them.
        progress: is told how many parts have been taken away since the last call, or at how many points of a path the
            gradient has been computed.

    Raises:
        OSError, ReadError: the file cannot be read.
        UnexplainedError: the entry cannot judge it.
        ValueError: an unknown method, one that needs gradients where there are none, or a class that the entry does
            not have.
    """
    began = time.monotonic()
    if method not in (None, *METHODS):
        raise ValueError(f"method {method!r}: expected one of {', '.join(METHODS)}")
    wanted = _indices(entry, classes)
    if not isinstance(recording, Recording):
        recording = read_recording(recording, entry.lead_names)
    prepared = entry.prepare(recording)
    answer = next(iter(entry.answer([prepared])))
    if answer.failed:
        raise UnexplainedError(f"{recording.name}: {answer.flags[-1]}")
    chosen = np.flatnonzero(answer.labels).tolist() if wanted is None else wanted
    target = _target(entry, prepared, method)
    method = method or (DEFAULT_METHOD if target else "occlusion")
    delineation = (prepared.quality and prepared.quality.delineation) or delineate(recording.signal, recording.fs)
    transforms = [target.finest.spec.transform] if target else prepared.prepared
    transform = max(transforms, key=lambda transform: transform.rate)
    samples = prepared.prepared[transform].samples.shape[1]
    stretches = target.stretches if target else Stretches.whole(samples / transform.rate)
    segments = find_segments(delineation, transform.rate, samples, stretches.slices(transform.rate, samples))
    if target is None:
        found = _by_occluded_answers(entry, prepared, segments, chosen, progress)
    else:
        background = background or _background(entry, prepared, target, method)
        found = attribution_maps(target, delineation, chosen, method, background, progress)
    seen = np.ones(len(segments.wave), bool) if target is None else _seen(target)
    named = [(entry.space.abbreviations[k], float(answer.probabilities[k]), bool(answer.labels[k])) for k in chosen]
    done = tuple(ClassExplanation(*of, **values) for of, values in zip(named, found, strict=True))
    notes = [*_looked_at(seen, samples, stretches), *_notes(answer, method, done, segments)]
    if target is not None and _has_evidence(entry, prepared):
        notes = [_EVIDENCE, *notes]
    return Explanation(
        recording, tuple(entry.trained_set(prepared.leads).leads), transform.rate, method, done, answer, samples,
        stretches, segments, delineation, seen, tuple(notes), _provenance(entry, target, background),
        time.monotonic() - began,
    )  # fmt: skip


def _seen(target: Target) -> np.ndarray:
    """(t,) whether a window of the finest network covers each sample of the stretches."""
    view = target.finest
    windows = view.to_recording(np.ones((len(view.starts), 1, view.spec.samples)))
    return target.stretches.joined(windows, view.spec.transform.rate)[0] > 0


def _target(entry: Answering, prepared: PreparedInput, method: str | None) -> Target | None:
    """What is explained; None where it has to be by the answers alone, and may."""
    try:
        return target_of(entry, prepared)
    except NoNetworksError:
        if method not in (None, "occlusion"):
            raise
        return None


def _background(entry: Entry, prepared: PreparedInput, target: Target, method: str) -> Background | None:
    """Simulated normal recordings, where the method or an extra input needs them."""
    if method not in ("typical", "eg") and not any(view.extra for view in target.views):
        return None
    return simulated_normals(entry, prepared.leads, max(10.0, *(view.spec.seconds for view in target.views)))


def _has_evidence(entry: Entry, prepared: PreparedInput) -> bool:
    return entry.trained_set(prepared.leads).evidence is not None


def class_index(space: LabelSpace, name: str) -> int:
    """Index of a class by its abbreviation (in any case) or one of its codes.

    Raises:
        ValueError: the entry does not have it.
    """
    by_name = {abbreviation.casefold(): k for k, abbreviation in enumerate(space.abbreviations)}
    k = by_name.get(name.strip().casefold(), space.index.get(name.strip()))
    if k is None:
        raise ValueError(f"found class {name!r}, expected one of {', '.join(space.abbreviations)}")
    return k


def regrid(values: np.ndarray, samples: int) -> np.ndarray:
    """Attributions (l, t) at another number of samples; sums over any stretch of time stay."""
    if values.shape[-1] == samples:
        return values
    sums = np.concatenate([np.zeros((len(values), 1)), values.cumsum(axis=1)], axis=1)
    before, after = np.linspace(0, 1, values.shape[1] + 1), np.linspace(0, 1, samples + 1)
    return np.diff([np.interp(after, before, row) for row in sums], axis=1)


def attribution_maps(
    target: Target, delineation: Delineation, classes: Sequence[int], method: str, background: Background | None,
    progress: Callable[[int], object] = lambda _: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """What a method finds of classes by index: the attributes of `ClassExplanation` that are not of the answer."""
    finest = target.finest
    if method == "occlusion":
        rate = finest.spec.transform.rate
        segments = find_segments(delineation, rate, finest.samples, target.stretches.slices(rate, finest.samples))
        return _by_occlusion(target, segments, classes, progress)
    paths = None
    if method == "typical":
        paths = paths_by_typical_beat(target, background, delineation.r_peaks / delineation.fs)
    steps = STEPS[-len(paths) :] if paths else ()
    if paths is None:
        zero = method == "ig"
        baselines = zero_baseline(target, background) if zero else normal_baselines(target, background)
        paths = Paths.from_baselines(target, baselines)
    return [_by_gradients(target, finest, found, steps) for found in path_gradients(target, classes, paths, progress)]


def _by_gradients(target: Target, finest: View, attribution: Attribution, steps: Sequence[str]) -> dict[str, Any]:
    parts = target.stretches.slices(finest.spec.transform.rate, finest.samples)
    totals, extra = [np.zeros((len(finest.leads), part.stop - part.start)) for part in parts], {}
    for view, of_windows, of_extra in target.split(attribution.parts):
        whole = view.to_recording(of_windows)
        for total, part in zip(totals, target.stretches.slices(view.spec.transform.rate, view.samples), strict=True):
            total += regrid(whole[:, part], total.shape[1])
        for name, values in zip(view.extra, of_extra, strict=True):
            summed = values.sum(axis=(0, *range(2, values.ndim)))
            for feature, value in _named(view, name, summed).items():
                extra[feature] = extra.get(feature, 0.0) + value
    return {
        "log_odds": attribution.log_odds, "baseline": attribution.baseline,
        "map": np.concatenate(totals, axis=1), "extra": extra,
        "completeness_error": attribution.completeness_error, "nodes": attribution.nodes,
        "steps": dict(zip(steps, attribution.steps.tolist(), strict=False)),
    }  # fmt: skip


def _by_occlusion(
    target: Target, segments: Segments, classes: Sequence[int], progress: Callable[[int], object]
) -> list[dict[str, Any]]:
    effects = occlude(target, segments, progress)
    leads, full = target.views[0].leads, target.log_odds()[0]
    length = np.bincount(segments.piece)
    places = [(view, name) for view in target.views for name in (None, *view.extra)]
    return [
        {
            "log_odds": float(full[k]), "baseline": np.nan,
            "map": (effects.pieces[..., k] / length)[:, segments.piece],
            "extra": _extra_effects(effects, places, k),
            "completeness_error": np.nan, "nodes": effects.pieces[..., k].size,
            "without": _without(effects, leads, k),
        }
        for k in classes
    ]  # fmt: skip


def _by_occluded_answers(
    entry: Answering, prepared: PreparedInput, segments: Segments, classes: Sequence[int],
    progress: Callable[[int], object],
) -> list[dict[str, Any]]:  # fmt: skip
    effects = occlude_answers(entry, prepared, segments, progress)
    leads = entry.trained_set(prepared.leads).leads
    length = np.maximum(np.bincount(segments.wave, minlength=len(WAVES)), 1)
    return [
        {
            "log_odds": float(effects.log_odds[k]), "baseline": np.nan,
            "map": (effects.parts[..., k] / length)[:, segments.wave], "extra": {}, "completeness_error": np.nan,
            "nodes": effects.parts[..., k].size, "without": _without(effects, leads, k),
        }
        for k in classes
    ]  # fmt: skip


def _without(effects: Occlusion | AnswerOcclusion, leads: Sequence[str], k: int) -> dict[tuple[str, str], float]:
    by_lead = {(lead, ALL): float(effects.leads[i, k]) for i, lead in enumerate(leads)}
    return by_lead | {(ALL, wave): float(effects.waves[i, k]) for i, wave in enumerate(WAVES)}


def _extra_effects(effects: Occlusion, places: Sequence[tuple[View, str | None]], k: int) -> dict[str, float]:
    extra: dict[str, float] = {}
    for place, values in effects.extra.items():
        view, name = places[place]
        for feature, value in _named(view, str(name), values[:, k]).items():
            extra[feature] = extra.get(feature, 0.0) + value
    return extra


def _named(view: View, name: str, values: np.ndarray) -> dict[str, float]:
    """Values of an extra input by the names of its features; the sum of one that has no named features."""
    features = {
        "record": [*record_feature_names(), *lead_feature_names(view.leads)], "beats": beat_feature_names(view.leads),
    }.get(name)  # fmt: skip
    if features is None:
        return {name: float(values.sum())}
    return {f"{name}: {feature}": float(value) for feature, value in zip(features, values, strict=True)}


def _by_wave(values: np.ndarray, segments: Segments) -> np.ndarray:
    return np.stack([np.bincount(segments.wave, row, minlength=len(WAVES)) for row in values])


def _looked_at(seen: np.ndarray, samples: int, stretches: Stretches) -> list[str]:
    """What the networks looked at, where that is not all of the recording."""
    share = seen.sum() / max(samples, 1)
    if len(seen) == samples and seen.all():
        return []
    if len(stretches) == 1 and len(seen) == samples:
        return [f"the networks looked at {share:.0%} of the recording; the maps are zero elsewhere"]
    starts = ", ".join(str(timedelta(seconds=start)) for start, _ in stretches.limits)
    return [
        f"the networks looked at {share:.2%} of the recording, in {len(stretches)} stretches, which the maps cover one "
        f"after another; they begin at {starts}"
    ]


def _notes(answer: Answer, method: str, done: Sequence[ClassExplanation], segments: Segments) -> list[str]:
    """What else a reader has to know about these maps."""
    notes = []
    if method == "typical" and any(not one.steps for one in done):
        notes.append("too few beats for a typical one: the maps are expected gradients from normal recordings")
    if (segments.beat < 0).all():
        notes.append("no beats were found, so that nothing is said by wave")
    zero = [flag.removeprefix("zero_lead:") for flag in answer.flags if flag.startswith("zero_lead:")]
    if zero:
        notes.append(f"the networks saw zeros in {', '.join(zero)}, which the recording lacks")
    notes += [
        f"{one.name}: the attributions miss {one.completeness_error:.1%} of the difference of the log odds"
        for one in done if one.completeness_error > 0.01
    ]  # fmt: skip
    notes += [
        f"{one.name} is not decided: its probability is {expit(one.log_odds):.1%}" for one in done if not one.decided
    ]
    return notes


def _provenance(entry: Answering, target: Target | None, background: Background | None) -> dict[str, Any]:
    return {
        "entry": entry.folder.name,
        "label_space": entry.space.name,
        "networks": [
            {"architecture": view.name, "weight": view.weight, "windows": len(view.starts)}
            for view in (target.views if target else ())
        ],
        "background": None if background is None else background.provenance,
    }
