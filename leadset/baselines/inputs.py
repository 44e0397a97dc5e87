"""What baselines look at: features of a prepared recording and its context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from leadset.baselines.encoders import NETWORK, RANDOM_WEIGHTS, encoded, feature_count, input_of
from leadset.leads import LEADS
from leadset.models.extra_inputs import EXTRA_INPUTS, RecordingContext
from leadset.preprocess import InputSpec, Transform
from leadset.waves.beats import record_length
from leadset.waves.statistics import lead_statistics, statistic_names

#: Recordings, each of samples (12, t) int16, statistics (5, 12) and context, and lead names to features (d,) of each.
Compute = Callable[[Iterable[tuple], Sequence[str]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class BaselineInput:
    """A set of features.

    Attributes:
        title: what they are.
        spec: how recordings are prepared for it, and what their context has to hold.
        length: number of features on these leads.
        compute: their values; what is not finite is missing.
    """

    title: str
    spec: InputSpec
    length: Callable[[Sequence[str]], int]
    compute: Compute


def _one_by_one(compute: Callable[..., np.ndarray]) -> Compute:
    """Features of recordings from those of one: of samples, statistics, context and lead names."""
    return lambda inputs, leads: (compute(*one, leads) for one in inputs)


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


def encoder_input(network: str, weights: str) -> BaselineInput:
    """The last features of a network with some weights (`leadset.baselines.encoders`).

    Raises:
        ValueError: no such weights.
    """
    return BaselineInput(
        f"features of {network}, weights: {weights}", input_of(network, weights),
        lambda leads: feature_count(network, weights, tuple(leads)), partial(encoded, network, weights),
    )  # fmt: skip


_TRANSFORM = Transform(500)
#: By name.
INPUTS: dict[str, BaselineInput] = {
    "statistics": BaselineInput(
        "statistics of leads and wavelet coefficients", InputSpec(_TRANSFORM),
        lambda leads: len(statistic_names(leads)), _one_by_one(_statistics),
    ),
    "pqrst": BaselineInput(
        "rhythm and waves", InputSpec(_TRANSFORM, extra={"record": True}), lambda leads: record_length(len(leads)),
        _one_by_one(_pqrst),
    ),
    "rms": BaselineInput(
        "age, sex, and the root mean square of each lead", InputSpec(_TRANSFORM, extra={"age": True, "sex": True}),
        lambda leads: 2 + len(leads), _one_by_one(_rms),
    ),
    "random": encoder_input(NETWORK, RANDOM_WEIGHTS),
}  # fmt: skip
