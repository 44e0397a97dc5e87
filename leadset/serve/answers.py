"""What the API returns: plain values with a schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

import leadset
from leadset.entry import Entry
from leadset.entry.detectors import detector_of, has_detector
from leadset.entry.prediction import SHIPPED
from leadset.explain import UnexplainedError, explain
from leadset.explain.report import plain_explanation
from leadset.recordings import Recording
from leadset.serve.problems import Problem
from leadset.waves import MARKS, delineate


class Prediction(BaseModel):
    """An answer of the entry, as ``leadset predict --json`` writes it."""

    model_config = ConfigDict(extra="allow")

    recording: str
    labels: list[str]
    probabilities: dict[str, float]
    abnormality: float | None
    answered: bool
    flags: list[str]
    quality: dict[str, Any] | None


class Marks(BaseModel):
    """Marks in samples of the upload, counted from 0: ``fused`` (beats, 13), ``by_lead`` (leads, beats, 13), ``p_only``
    (waves, 4) of P waves without a complex; ``names`` says what the 13 are."""

    recording: str
    fs: float
    leads: list[str]
    names: list[str]
    fused: list[list[float | None]]
    by_lead: list[list[list[float | None]]]
    p_only: list[list[float | None]]
    quality: list[float]
    flags: list[list[str]]


class Anomaly(BaseModel):
    """Scores of the detector: higher is farther from normal; ``above`` is the share in per cent of normal recordings
    with lower ones. ``map`` (leads, samples at ``map_fs``) says where, in units of normal recordings. ``detector``:
    that of the entry, or the one that ships, where the entry has none."""

    recording: str
    leads: list[str]
    score: float | None
    peak: float | None
    above: dict[str, float]
    map_fs: float
    map: list[list[float | None]]
    flags: list[str]
    detector: Literal["entry", "shipped"]


def delineated(recording: Recording) -> Marks:
    """The waves of a recording."""
    found = delineate(recording.signal, recording.fs)
    return Marks(
        recording=recording.name, fs=recording.fs, leads=list(recording.leads), names=list(MARKS),
        fused=plain_numbers(found.fused), by_lead=plain_numbers(found.marks), p_only=plain_numbers(found.p_only),
        quality=plain_numbers(found.quality, 3), flags=[sorted(flags) for flags in found.flags],
    )  # fmt: skip


def anomaly(entry: Entry, recording: Recording) -> Anomaly:
    """What the entry's detector, or where it has none the one that ships, says of a recording.

    Raises:
        Problem: it cannot be scored.
    """
    from leadset.anomaly.detector import TRANSFORM

    try:
        detector = detector_of(entry, recording.leads)
        score = detector.score(recording.signal, recording.fs, recording.leads)
    except ValueError as error:
        raise Problem(422, "unscorable", "The recording cannot be scored", str(error)) from None
    reference = detector.reference
    ranks = {} if reference is None else {
        name: round(float(reference.percentile(name, getattr(score, name))), 2) for name in ("score", "peak")
    }  # fmt: skip
    return Anomaly(
        recording=recording.name, leads=list(detector.leads), score=_number(score.score), peak=_number(score.peak),
        above=ranks, map_fs=TRANSFORM.rate, map=plain_numbers(score.deviation, 4), flags=list(score.flags),
        detector="entry" if has_detector(entry, recording.leads) else SHIPPED,
    )  # fmt: skip


def explained(entry: Entry, recording: Recording, classes: Sequence[str] | None, method: str | None) -> dict[str, Any]:
    """What an answer rests on: attribution and its share by lead and wave, for each class, and the maps.

    Raises:
        Problem: the recording cannot be judged, or the entry does not have a class.
    """
    try:
        explanation = explain(entry, recording, classes, method)
    except UnexplainedError as error:
        raise Problem(422, "unanswered", "The recording cannot be judged", str(error)) from None
    except ValueError as error:
        raise Problem(422, "unexplained", "The answer cannot be explained", str(error)) from None
    maps = {one.name: plain_numbers(one.map, 6) for one in explanation.classes}
    return plain_explanation(explanation, recording.name) | {"map_fs": float(explanation.rate), "maps": maps}


def described(entry: Entry) -> dict[str, Any]:
    """What an entry is."""
    manifest, space = entry.manifest, entry.space
    return {
        "version": leadset.__version__,
        "label_space": space.name,
        "classes": [
            {"key": key, "abbreviation": one.abbreviation, "name": one.name}
            for key, one in zip(space.keys, space.classes, strict=True)
        ],
        "lead_sets": [
            {
                "leads": list(trained.leads),
                "networks": [member.architecture for member in trained.members],
                "thresholds": dict(
                    zip(space.abbreviations, plain_numbers(trained.ensemble.rule.thresholds, 6), strict=True)
                ),
            }
            for trained in manifest.sets
        ],
        "scores": manifest.provenance.get("scores"),
        "intended_use": "research; not a medical device",
    }


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def plain_numbers(values: np.ndarray, digits: int = 2) -> list:
    """Nested lists of rounded numbers, None where there is none."""
    rounded = np.round(np.asarray(values, dtype=np.float64), digits)
    return np.where(np.isfinite(rounded), rounded.astype(object), None).tolist()
