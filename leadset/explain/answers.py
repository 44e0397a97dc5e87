"""Occlusion of recordings before they are answered, which explains every entry: baselines and exported ones too.

What is taken away is taken out of the prepared samples, and beats and features are found anew. A lead is replaced by
its mean, a wave in all beats by the straight lines through its ends. One wave of one beat is not taken away alone:
features of a recording, such as medians over its beats, do not change by it.

Shapes: l leads, t samples, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.special import logit

from leadset.classes import LabelSpace
from leadset.entry.answer import Answer
from leadset.entry.preparing import PreparedInput, with_samples
from leadset.explain.occlusion import at_samples, straightened
from leadset.explain.segments import WAVES, Segments
from leadset.models.prediction import lead_rows
from leadset.recordings import Recording

#: Probabilities are told from 0 and 1 by so much.
_LEAST = 1e-6
#: Recordings that are answered at a time, and the samples of a lead that they have at most, all together.
_TOGETHER, _MOST_SAMPLES = 16, 2**23


class Answering(Protocol):
    """What answers recordings: a `leadset.entry.Entry`, or a `leadset.deploy.runtime.OnnxEntry`."""

    folder: Path
    space: LabelSpace
    lead_names: dict[str, str]

    def prepare(self, recording: Recording | str | Path) -> PreparedInput:
        """A recording as it is answered."""

    def answer(self, inputs: Sequence[PreparedInput]) -> Iterator[Answer]:
        """Answers in order."""

    def trained_set(self, leads: Iterable[str]) -> Any:
        """The lead set that answers for recordings with these leads; its ``leads``."""


@dataclass(frozen=True)
class AnswerOcclusion:
    """By how much the log odds (…, k) of answers fall.

    Attributes:
        log_odds: (k,) of the recording itself.
        leads: (l, k) without a lead. waves: (waves, k) without a wave in all beats and leads.
        parts: (l, waves, k) without a wave in all beats of one lead; 0 where the recording has none.
    """

    log_odds: np.ndarray
    leads: np.ndarray
    waves: np.ndarray
    parts: np.ndarray


def occlude_answers(
    entry: Answering, one: PreparedInput, segments: Segments, progress: Callable[[int], object] = lambda _: None
) -> AnswerOcclusion:
    """Takes away each lead, each wave, and each wave of each lead.

    Args:
        entry: answers it. one: prepared, without an error. segments: of it.
        progress: is told how many parts have been taken away since the last call.
    """
    leads = entry.trained_set(one.leads).leads
    there = np.unique(segments.wave).tolist()
    parts: list[tuple[int | None, int | None]] = [(None, None)]
    parts += [(lead, None) for lead in range(len(leads))] + [(None, wave) for wave in there]
    parts += [(lead, wave) for lead in range(len(leads)) for wave in there]
    found = []
    together = max(1, min(_TOGETHER, _MOST_SAMPLES // len(segments.wave)))
    for first in range(0, len(parts), together):
        some = parts[first : first + together]
        answers = entry.answer([_without(one, segments, leads, *part) for part in some])
        found += [logit(np.clip(answer.probabilities, _LEAST, 1 - _LEAST)) for answer in answers]
        progress(len(some))
    effects = found[0] - np.array(found)
    waves, both = np.zeros((len(WAVES), len(found[0]))), np.zeros((len(leads), len(WAVES), len(found[0])))
    n = 1 + len(leads)
    waves[there] = effects[n : n + len(there)]
    both[:, there] = effects[n + len(there) :].reshape(len(leads), len(there), -1)
    return AnswerOcclusion(found[0], effects[1:n], waves, both)


def _without(
    one: PreparedInput, segments: Segments, leads: Sequence[str], lead: int | None, wave: int | None
) -> PreparedInput:
    """The recording without a lead, a wave, or a wave of a lead; None stands for all, and both for nothing at all."""
    if lead is None and wave is None:
        return one
    rows = lead_rows(leads if lead is None else [leads[lead]])
    changed = {}
    for transform, prepared in one.prepared.items():
        samples = prepared.samples.copy()
        if wave is None:
            samples[rows] = np.rint(samples[rows].mean(axis=1, keepdims=True))
        else:
            pieces, waves = (at_samples(of, samples.shape[1]) for of in (segments.piece, segments.wave))
            samples[rows] = np.where(waves == wave, np.rint(straightened(samples[rows], pieces)), samples[rows])
        changed[transform] = samples
    return with_samples(one, changed, tuple(leads))
