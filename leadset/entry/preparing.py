"""A recording on its way to the networks: read, prepared, delineated and assessed. PyTorch takes no part in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from leadset.leads import sort_leads, with_derived
from leadset.models.extra_inputs import RecordingContext, delineations
from leadset.preprocess import InputSpec, Prepared, Transform, check, usable_leads
from leadset.recordings import Recording, read_recording
from leadset.recordings.names import stem_of
from leadset.waves import Quality, assess
from leadset.waves.assessment import unusable_because
from leadset.waves.beats import Beats, find_beats


@dataclass
class PreparedInput:
    """A recording on its way: its prepared forms and what is known besides, or what is wrong with it."""

    name: str
    leads: tuple[str, ...] = ()
    prepared: dict[Transform, Prepared] | None = None
    beats: dict[tuple[Transform, bool], Beats] = field(default_factory=dict)
    age: float | None = None
    sex: str | None = None
    flags: tuple[str, ...] = ()
    error: str = ""
    quality: Quality | None = None

    def input_of(self, spec: InputSpec) -> tuple:
        """What a network with this input is asked with."""
        prepared = self.prepared[spec.transform]
        beats = {reliable: self.beats[spec.transform, reliable] for reliable in delineations(spec)}
        return prepared.samples, prepared.statistics, RecordingContext(self.age, self.sex, beats)

    def judged(self, quality: Quality | None, unusable: str) -> PreparedInput:
        """With what `judge` says of it: nothing is prepared of what cannot be used."""
        if unusable:
            return PreparedInput(self.name, flags=self.flags, error=unusable, quality=quality)
        return replace(self, quality=quality)


def prepare_input(
    recording: Recording | str | Path,
    lead_names: Mapping[str, str],
    wanted: Callable[[tuple[str, ...]], tuple[tuple[str, ...], Sequence[InputSpec]]],
    quality: bool = True,
) -> PreparedInput:
    """What networks are asked with about a recording; what is wrong with it is said and never raised.

    Args:
        recording: one, or its path.
        lead_names: as for `leadset.recordings.read_recording`.
        wanted: leads and inputs of the networks that answer for recordings with such leads.
        quality: say how good it is, instead of finding out only whether it can be used, which is faster.
    """
    name = recording.name if isinstance(recording, Recording) else str(recording)
    try:
        if not isinstance(recording, Recording):
            name = stem_of(recording)
            recording = read_recording(recording, lead_names)
        one = prepare_unjudged(recording, wanted)
        return one.judged(*judge(recording, quality))
    except Exception as error:
        return failed_input(name, error)


def failed_input(name: str, error: Exception) -> PreparedInput:
    """What is left of a recording that cannot be read, prepared or judged."""
    return PreparedInput(name, error=str(error) or type(error).__name__)


def prepare_unjudged(
    recording: Recording, wanted: Callable[[tuple[str, ...]], tuple[tuple[str, ...], Sequence[InputSpec]]]
) -> PreparedInput:
    """The same of a recording that was read, whether it can be used or not.

    Raises:
        ValueError: it cannot be prepared (`leadset.preprocess.prepare`).
    """
    checked = check(recording.signal, recording.fs, recording.leads)
    usable = set(usable_leads(checked.flags))
    leads = tuple(lead for lead in sort_leads(recording.leads) if lead in usable)
    of_set, specs = wanted(leads)
    prepared = {transform: checked.prepare(transform) for transform in {spec.transform for spec in specs}}
    kinds = {(spec.transform, reliable) for spec in specs for reliable in delineations(spec)}
    beats = _find_beats(prepared, kinds, of_set)
    zero = [f"zero_lead:{lead}" for lead in of_set if lead not in with_derived(leads)]
    flags = (*recording.flags, *checked.flags, *zero)
    return PreparedInput(recording.name, leads, prepared, beats, recording.age, recording.sex, flags)


def judge(recording: Recording, quality: bool) -> tuple[Quality | None, str]:
    """Its quality, if that is asked for, and why it cannot be used; empty where it can."""
    signal = recording.signal, recording.fs, recording.leads
    if not quality:
        return None, unusable_because(*signal)
    assessed = assess(*signal)
    return assessed, assessed.unusable_because


def _find_beats(
    prepared: Mapping[Transform, Prepared], kinds: Iterable[tuple[Transform, bool]], leads: tuple[str, ...]
) -> dict[tuple[Transform, bool], Beats]:
    found = {}
    for transform, reliable in kinds:
        one = prepared[transform]
        found[transform, reliable] = find_beats(one.samples, one.statistics, transform.rate, leads, reliable)
    return found


def with_samples(
    one: PreparedInput, samples: Mapping[Transform, np.ndarray], leads: tuple[str, ...]
) -> PreparedInput:
    """A prepared recording with other samples (12, t) int16, whose beats are looked for anew.

    Args:
        one: without an error.
        samples: of each of its transforms.
        leads: of the lead set that answers.
    """
    prepared = {transform: replace(one.prepared[transform], samples=values) for transform, values in samples.items()}
    return replace(one, prepared=prepared, beats=_find_beats(prepared, one.beats, leads))
