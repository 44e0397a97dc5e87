"""The stretches of a recording that networks look at: of a long one they see up to 16 windows, of a short one all.

What is explained, and every array of an explanation, covers these stretches, one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np

#: Windows nearer than so many seconds to one another, or to an end of the recording, are in one stretch with what is
#: between: as long as a usual recording, and longer than four beats of a slow heart.
NEAR_S = 10.0


@dataclass(frozen=True)
class Stretches:
    """Stretches of a recording.

    Attributes:
        limits: whole seconds (start, stop) of each, in order. The last stop may lie behind the end.
        duration: seconds of the recording.
    """

    limits: tuple[tuple[int, int], ...]
    duration: float

    @classmethod
    def whole(cls, duration: float) -> Stretches:
        """One stretch of all seconds."""
        return cls(((0, ceil(duration)),), duration)

    @classmethod
    def around(cls, windows: Iterable[tuple[float, float]], duration: float) -> Stretches:
        """Around windows, from second to second; with windows all over the recording one stretch from start to end."""
        ends = [(0.0, 0.0), *sorted(windows), (duration, duration)]
        joined: list[list[float]] = [list(ends[0])]
        for start, stop in ends[1:]:
            if start - joined[-1][1] < NEAR_S:
                joined[-1][1] = max(joined[-1][1], stop)
            else:
                joined.append([start, stop])
        limits = [(int(start), ceil(stop)) for start, stop in joined if stop > start]  # an end alone is none
        return cls(tuple(limits), duration)

    def __len__(self) -> int:
        return len(self.limits)

    def slices(self, rate: int, samples: int) -> list[slice]:
        """The samples of each stretch of a signal with so many samples, at a whole number of Hz."""
        return [slice(start * rate, min(stop * rate, samples)) for start, stop in self.limits]

    def joined(self, values: np.ndarray, rate: int) -> np.ndarray:
        """Values (…, t) of a whole recording at a rate in its stretches, one after another."""
        return np.concatenate([values[..., part] for part in self.slices(rate, values.shape[-1])], axis=-1)

    def cut(self, values: np.ndarray, rate: int, samples: int) -> Iterator[np.ndarray]:
        """Values (…, t) of all stretches, at the rate of a signal with so many samples, stretch by stretch."""
        lengths = [part.stop - part.start for part in self.slices(rate, samples)]
        edges = np.concatenate([[0], np.cumsum(lengths)])
        return (values[..., first:last] for first, last in pairwise(edges))

    def number(self, seconds: np.ndarray | float) -> np.ndarray:
        """The stretch in which a second lies, or behind which it comes; a second early is in time."""
        return np.searchsorted([start - 1.0 for start, _ in self.limits[1:]], seconds, side="right")
