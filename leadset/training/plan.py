"""How many steps each network gets, so that a run ends inside its time limit with every network trained."""

from __future__ import annotations

import time
from dataclasses import dataclass

# Share of the limit that is kept back for thresholds, writing files, and steps slower than the measured ones.
RESERVE_SHARE = 0.08


@dataclass
class TimeLimit:
    """Seconds of a run, counted over interrupts: what an interrupted run has spent is not given again.

    Attributes:
        seconds: the whole limit.
        spent: seconds used by earlier parts of an interrupted run.
    """

    seconds: float
    spent: float = 0.0

    def __post_init__(self) -> None:
        self._started = time.monotonic()

    @property
    def used(self) -> float:
        """Seconds used so far, earlier parts included."""
        return self.spent + time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds left for training, the reserve set aside; never negative."""
        return max(0.0, self.seconds * (1 - RESERVE_SHARE) - self.used)


def affordable_steps(wanted: int, seconds_per_step: float, other_seconds: float, left: float) -> int:
    """Steps of the next network: all that are wanted, or the same share of them that all networks still to come get.

    Args:
        wanted: steps it would take without a limit.
        seconds_per_step: measured.
        other_seconds: what the networks after it would take without a limit.
        left: seconds left for it and for them.
    """
    own_seconds = wanted * seconds_per_step
    share = min(1.0, left / max(own_seconds + other_seconds, 1e-9))
    return max(1, int(wanted * share))


def deadline(left: float, own_seconds: float, other_seconds: float) -> float:
    """`time.monotonic` value at which a network must stop, even if its steps turn out slower than measured."""
    return time.monotonic() + left * own_seconds / max(own_seconds + other_seconds, 1e-9)
