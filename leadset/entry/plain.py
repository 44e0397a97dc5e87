"""An answer as plain values: what ``leadset predict --json`` writes and the API returns."""

from __future__ import annotations

from typing import Any

from leadset.classes import LabelSpace
from leadset.entry.answer import Answer
from leadset.waves import Quality


def plain_answer(answer: Answer, space: LabelSpace) -> dict[str, Any]:
    """An answer as JSON can hold it; classes go by their abbreviations.

    Args:
        answer: of `leadset.entry.Entry.predict`.
        space: its label space.
    """
    probabilities = [round(float(p), 6) for p in answer.probabilities]
    return {
        "recording": answer.name,
        "labels": [name for name, label in zip(space.abbreviations, answer.labels, strict=True) if label],
        "probabilities": dict(zip(space.abbreviations, probabilities, strict=True)),
        "abnormality": answer.abnormality,
        "answered": not answer.failed,
        "flags": list(answer.flags),
        "quality": answer.quality and plain_quality(answer.quality),
    }


def plain_quality(quality: Quality) -> dict[str, Any]:
    """The quality of a recording as JSON can hold it."""
    by_lead = [round(float(value), 4) for value in quality.by_lead]
    return {
        "overall": round(float(quality.overall), 4),
        "usable": bool(quality.usable),
        "leads": dict(zip(quality.leads, by_lead, strict=True)),
        "suspected": list(quality.suspicions),
    }
