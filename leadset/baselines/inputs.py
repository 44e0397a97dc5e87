"""What baselines look at: features of a prepared recording and its context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leadset.baselines import random_encoder
from leadset.baselines.random_encoder import random_features
from leadset.leads import LEADS
from leadset.models.extra_inputs import EXTRA_INPUTS, RecordingContext
from leadset.preprocess import InputSpec, Transform
from leadset.waves.beats import record_length
from leadset.waves.statistics import lead_statistics, statistic_names

#: Samples (12, t) int16, statistics (5, 12), context and lead names to features (d,).
Compute = Callable[[np.ndarray, np.ndarray, RecordingContext, Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class BaselineInput:
    """A set of features.

    Attributes:
        title: what they are.
        spec: how recordings are prepared for it, and what their context has to hold.
        length: number of features for so many leads.
        compute: their values; what is not finite is missing.
    """

    title: str
    spec: InputSpec
    length: Callable[[int], int]
    compute: Compute


def _signals(samples: np.ndarray, statistics: np.ndarray, leads: Sequence[str]) -> Iterator[np.ndarray]:
    """The leads (t,) in mV one after the other."""
    return (samples[row] * statistics[0, row] for row in map(LEADS.index, leads))


def _statistics(samples: np.ndarray, statistics: np.ndarray, _: RecordingContext, leads: Sequence[str]) -> np.ndarray:
    return lead_statistics(_signals(samples, statistics, leads))


def _pqrst(_: np.ndarray, __: np.ndarray, context: RecordingContext, ___: Sequence[str]) -> np.ndarray:
    return context.beats[False].record


def _rms(samples: np.ndarray, statistics: np.ndarray, context: RecordingContext, leads: Sequence[str]) -> np.ndarray:
    about = [EXTRA_INPUTS[name].value(context, True, range(0)) for name in ("age", "sex")]
    about = [np.where(value[1:], value[:1], np.nan) for value in about]  # missing, not zero
    return np.array([*np.concatenate(about), *(np.sqrt((x**2).mean()) for x in _signals(samples, statistics, leads))])


def _random(samples: np.ndarray, statistics: np.ndarray, _: RecordingContext, leads: Sequence[str]) -> np.ndarray:
    return random_features(samples, statistics, leads)


_TRANSFORM = Transform(500)
#: By name.
INPUTS: dict[str, BaselineInput] = {
    "statistics": BaselineInput(
        "statistics of leads and wavelet coefficients", InputSpec(_TRANSFORM),
        lambda leads: len(statistic_names("x" * leads)), _statistics,
    ),
    "pqrst": BaselineInput(
        "rhythm and waves", InputSpec(_TRANSFORM, extra={"record": True}), record_length, _pqrst
    ),
    "rms": BaselineInput(
        "age, sex, and the root mean square of each lead", InputSpec(_TRANSFORM, extra={"age": True, "sex": True}),
        lambda leads: 2 + leads, _rms,
    ),
    "random": BaselineInput("a network that has learned nothing", random_encoder.SPEC,
                            lambda _: random_encoder.FEATURES, _random),
}  # fmt: skip
