"""How many steps each network gets, so that a run ends inside its time limit with every network trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# Share of the limit that is kept back at least for what follows the training: thresholds, ensembles, writing files.
RESERVE_SHARE = 0.08
# Where that was measured to take longer, so many times what was measured is kept back.
MARGIN = 1.5
# Share of a GPU's free memory that trainings side by side may take, and bytes of it that each process holds beside its
# tensors: CUDA's own, and the kernels.
GPU_SHARE, GPU_PROCESS = 0.9, 2**30
# How much longer than planned a network may take before it must stop, in shares of its plan.
OVERRUN = 1.3


@dataclass
class Pace:
    """How many times as long as measured things take, learned from what is done; a faster machine is not relied on."""

    expected: float = 0.0
    taken: float = 0.0

    def add(self, expected: float, taken: float) -> None:
        """Learns from something that was expected to take some seconds."""
        self.expected, self.taken = self.expected + expected, self.taken + taken

    @property
    def slowdown(self) -> float:
        """At least 1."""
        return max(1.0, self.taken / self.expected) if self.expected else 1.0


@dataclass
class TimeLimit:
    """Seconds of a run, counted over interrupts: what an interrupted run has spent is not given again.

    Attributes:
        seconds: the whole limit.
        spent: seconds used by earlier parts of an interrupted run.
        finishing: seconds that what follows the training was measured to take.
        pace: how much longer than measured things take.
    """

    seconds: float
    spent: float = 0.0
    finishing: float = 0.0
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        self._started = time.monotonic()

    @property
    def used(self) -> float:
        """Seconds used so far, earlier parts included."""
        return self.spent + time.monotonic() - self._started

    @property
    def reserve(self) -> float:
        """Seconds kept back for what follows the training."""
        return max(RESERVE_SHARE * self.seconds, MARGIN * self.pace.slowdown * self.finishing)

    @property
    def left(self) -> float:
        """Seconds left for training, the reserve set aside; never negative."""
        return max(0.0, self.seconds - self.reserve - self.used)


def that_fit(peaks: Sequence[int], free: int) -> int:
    """How many trainings a GPU holds side by side, whichever of them meet; at least one.

    Args:
        peaks: bytes that each takes at its most.
        free: bytes that nothing holds.
    """
    largest_first = np.sort(np.array(peaks, dtype=np.int64))[::-1] + GPU_PROCESS
    return max(1, int((np.cumsum(largest_first) <= GPU_SHARE * free).sum()))


def affordable(
    wanted: int, seconds_per_step: float, other_seconds: float, fixed_seconds: float, left: float
) -> tuple[int, float]:
    """Steps of the next network, and the seconds after which it must stop in any case.

    It gets all the steps that are wanted, or the same share of them that all networks still to come get. Where time is
    not short it may take whatever the others do not need; where it is, little more than planned.

    Args:
        wanted: steps it would take without a limit.
        seconds_per_step: as they are expected to take.
        other_seconds: what the steps of the networks after it would take without a limit.
        fixed_seconds: what does not shrink with the steps: the networks under way, and what follows the last step of
            this one and those after it.
        left: seconds left for all of it, summed over processes.
    """
    own_seconds, left = wanted * seconds_per_step, max(0.0, left - fixed_seconds)
    share = min(1.0, left / max(own_seconds + other_seconds, 1e-9))
    steps = max(1, int(wanted * share))
    return steps, max(OVERRUN * steps * seconds_per_step, left - share * other_seconds)
