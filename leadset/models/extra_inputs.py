"""Extra inputs: what a model may ask for besides samples, by name, for training and prediction alike.

A model names its extra inputs, each with its option, in `InputSpec.extra`, and takes them as keyword arguments of the
same names. `EXTRA_INPUTS` says of each name what it needs, which shape it has and how it is computed from a
`RecordingContext`; training fills the context from the store, prediction from the recording, and both compute the
values here. An extra input is added by adding its class to this file.

Shapes: l leads, n beats of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from leadset.preprocess import InputSpec
from leadset.signals import LOWEST_RATE
from leadset.waves.beats import BEAT_FEATURES, Beats, cut_beats, record_length

if TYPE_CHECKING:
    from torch import Tensor

_CENTURY = 100.0
_SEX = {"male": 0.0, "female": 1.0}


@dataclass(frozen=True)
class RecordingContext:
    """What is known of a recording besides its samples.

    Attributes:
        age: in years; None where it is unknown.
        sex: ``"male"``, ``"female"``, or None where it is unknown.
        beats: beats of the lead set, of which there may be two kinds: False: all, True: the reliable ones alone.
    """

    age: float | None = None
    sex: str | None = None
    beats: Mapping[bool, Beats] = field(default_factory=dict)


class ExtraInput:
    """One extra input.

    Attributes:
        name: in `InputSpec.extra`, and of the argument of ``forward``.
        numbered: whether its option is a number (otherwise it is ``True``).
        beats: which of `RecordingContext.beats` it is computed from; None: of none.
        per_window: it is a tensor of each window; otherwise the model takes it from the context as it is.
        missing: the value that stands for what is missing.
    """

    name: str
    numbered: bool = False
    beats: bool | None = None
    per_window: bool = True
    missing: float = np.nan

    def shape(self, leads: int, option: int) -> tuple[int, ...]:
        """Shape of the value for one window."""
        raise NotImplementedError

    def value(self, context: RecordingContext, option: int, window: range) -> np.ndarray:
        """The value for the window of these samples."""
        raise NotImplementedError


class BeatFeatures(ExtraInput):
    """Features (30 · l, n) of the first n beats of a window, n being the option; NaN is missing."""

    name, numbered, beats = "beats", True, False

    def shape(self, leads: int, option: int) -> tuple[int, int]:
        """As `ExtraInput`."""
        return leads * BEAT_FEATURES, option

    def value(self, context: RecordingContext, option: int, window: range) -> np.ndarray:
        """As `ExtraInput`."""
        return cut_beats(context.beats[False], window, option)


class RecordFeatures(ExtraInput):
    """Features (23 + 14 · l,) of the recording as a whole (`leadset.waves.beats.record_features`); NaN is missing."""

    name, beats = "record", False

    def shape(self, leads: int, option: int) -> tuple[int]:
        """As `ExtraInput`."""
        return (record_length(leads),)

    def value(self, context: RecordingContext, option: int, window: range) -> np.ndarray:
        """As `ExtraInput`."""
        return context.beats[False].record


class ReliableBeats(ExtraInput):
    """All beats of the recording, or none where most of them seem to be noise; for models that cut their own windows.

    Such a model takes ``context.beats[True]``.
    """

    name, beats, per_window = "reliable_beats", True, False


class Age(ExtraInput):
    """Age (2,): centuries, and 1 where the age is known; zeros where it is not."""

    name, missing = "age", 0.0

    def shape(self, leads: int, option: int) -> tuple[int]:
        """As `ExtraInput`."""
        return (2,)

    def value(self, context: RecordingContext, option: int, window: range) -> np.ndarray:
        """As `ExtraInput`."""
        known = context.age is not None and np.isfinite(context.age)
        return np.array([context.age / _CENTURY, 1] if known else [0, 0], np.float32)


class Sex(ExtraInput):
    """Sex (2,): 1 for female, 0 for male, and 1 where the sex is known; zeros where it is not."""

    name, missing = "sex", 0.0

    def shape(self, leads: int, option: int) -> tuple[int]:
        """As `ExtraInput`."""
        return (2,)

    def value(self, context: RecordingContext, option: int, window: range) -> np.ndarray:
        """As `ExtraInput`."""
        return np.array([_SEX[context.sex], 1] if context.sex in _SEX else [0, 0], np.float32)


#: The registry, by name.
EXTRA_INPUTS: dict[str, ExtraInput] = {
    extra.name: extra for extra in (BeatFeatures(), RecordFeatures(), ReliableBeats(), Age(), Sex())
}


def check_extra_inputs(spec: InputSpec) -> None:
    """Checks names and options of a model's extra inputs.

    Raises:
        ValueError: no such extra input, an option of another kind, or a rate at which no beat can be delineated.
    """
    for name, option in spec.extra.items():
        if name not in EXTRA_INPUTS:
            raise ValueError(f"extra input {name!r}: expected one of {', '.join(EXTRA_INPUTS)}")
        is_number = isinstance(option, int) and not isinstance(option, bool) and option > 0
        if not (is_number if EXTRA_INPUTS[name].numbered else option is True):
            expected = "a number from 1" if EXTRA_INPUTS[name].numbered else "true"
            raise ValueError(f"option {option!r} of extra input {name!r}: expected {expected}")
    if delineations(spec) and spec.transform.rate < LOWEST_RATE:
        raise ValueError(f"rate={spec.transform.rate}: expected {LOWEST_RATE} Hz or more to delineate beats")


def delineations(spec: InputSpec) -> set[bool]:
    """Which of `RecordingContext.beats` a model with this input needs."""
    return {EXTRA_INPUTS[name].beats for name in spec.extra} - {None}


def extra_shapes(spec: InputSpec, leads: int) -> dict[str, tuple[int, ...]]:
    """Names of the arguments that a model with this input takes besides samples and mask: their shape for a window."""
    wanted = ((EXTRA_INPUTS[name], option) for name, option in spec.extra.items())
    return {extra.name: extra.shape(leads, option) for extra, option in wanted if extra.per_window}


def missing_inputs(spec: InputSpec, leads: int, windows: int) -> dict[str, np.ndarray]:
    """Extra inputs (b, …) float32 of so many windows of which nothing is known."""
    return {
        name: np.full((windows, *shape), EXTRA_INPUTS[name].missing, np.float32)
        for name, shape in extra_shapes(spec, leads).items()
    }


def given_or_missing(name: str, given: Tensor | None, spec: InputSpec, x: Tensor) -> Tensor:
    """An extra input as ``forward`` got it, or its missing value for windows ``x`` (b, l, t) where it got None."""
    if given is not None:
        return given
    return x.new_full((len(x), *extra_shapes(spec, x.shape[1])[name]), EXTRA_INPUTS[name].missing)


def extra_inputs(context: RecordingContext, start: int, spec: InputSpec, leads: int) -> dict[str, np.ndarray]:
    """Extra inputs of the window that begins at sample ``start``, as `extra_shapes` lists them."""
    window = range(start, start + spec.samples)
    return {
        name: EXTRA_INPUTS[name].value(context, spec.extra[name], window) for name in extra_shapes(spec, leads)
    }
