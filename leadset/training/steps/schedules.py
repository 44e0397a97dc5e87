"""Learning rates as shares of their peak: functions of the step, a fraction between two steps, and of their number."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float, float], float]

# One-cycle: share of the steps in which the rate rises, and how far below its peak it starts and ends.
WARM_UP_SHARE = 0.2
START_DIVISOR, END_DIVISOR = 25.0, 1e4


def one_cycle(step: float, steps: float) -> float:
    """A rise and a fall (Smith and Topin, 2019, with cosine flanks)."""
    rise = max(1.0, WARM_UP_SHARE * steps)
    if step < rise:
        start = 1 / START_DIVISOR
        return start + (1 - start) * (1 - math.cos(math.pi * step / rise)) / 2
    fall = (step - rise) / max(1.0, steps - rise)
    return 1 / END_DIVISOR + (1 - 1 / END_DIVISOR) * (1 + math.cos(math.pi * fall)) / 2


def cosine(step: float, steps: float) -> float:
    """A cosine from 1 to 0, 0 itself after the last step only (as Jiang et al. 2023 train)."""
    return (1 + math.cos(math.pi * step / steps)) / 2


def halving(step: float, steps: float) -> float:
    """Halved after a sixth, a third and half of the steps: epochs 5, 10 and 15 of 30 (as STAR was trained)."""
    return 0.5 ** sum(step >= share * steps for share in (1 / 6, 1 / 3, 1 / 2))


def tenth(step: float, steps: float) -> float:
    """A tenth after two thirds of the steps: epoch 20 of 30 (as ResUNet-LC was trained)."""
    return 0.1 if step >= 2 / 3 * steps else 1.0


def constant(step: float, steps: float) -> float:
    """The same throughout."""
    return 1.0


#: By name: the schedules of classifiers.
CLASSIFIER_SCHEDULES: dict[str, Schedule] = {
    "one_cycle": one_cycle, "cosine": cosine, "halving": halving, "tenth": tenth, "constant": constant,
}  # fmt: skip
#: The schedules that `leadset anomaly fit` offers.
SCHEDULES: dict[str, Schedule] = {"one_cycle": one_cycle, "published": cosine}
