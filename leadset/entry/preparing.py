"""A recording on its way to the networks: read, prepared, delineated and assessed. PyTorch takes no part in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from leadset.leads import sort_leads, with_derived
from leadset.models.extra_inputs import RecordingContext, delineations
from leadset.preprocess import InputSpec, Prepared, Transform, prepare, preparing_flags, usable_leads
from leadset.recordings import Recording, read_recording
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
    name = recording.name if isinstance(recording, Recording) else Path(recording).stem
    try:
        if not isinstance(recording, Recording):
            recording = read_recording(recording, lead_names)
        usable = set(usable_leads(preparing_flags(recording.signal, recording.fs, recording.leads)))
        leads = tuple(lead for lead in sort_leads(recording.leads) if lead in usable)
        of_set, specs = wanted(leads)
        prepared = {
            transform: prepare(recording.signal, recording.fs, recording.leads, transform)
            for transform in {spec.transform for spec in specs}
        }
        kinds = {(spec.transform, reliable) for spec in specs for reliable in delineations(spec)}
        beats = _find_beats(prepared, kinds, of_set)
        signal = recording.signal, recording.fs, recording.leads
        assessed = assess(*signal) if quality else None
        unusable = unusable_because(*signal) if assessed is None else assessed.unusable_because
    except Exception as error:
        return PreparedInput(name, error=str(error) or type(error).__name__)
    zero = [f"zero_lead:{lead}" for lead in of_set if lead not in with_derived(leads)]
    flags = (*recording.flags, *next(iter(prepared.values())).flags, *zero)
    if unusable:
        return PreparedInput(recording.name, flags=flags, error=unusable, quality=assessed)
    return PreparedInput(recording.name, leads, prepared, beats, recording.age, recording.sex, flags, quality=assessed)


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
