"""Lead dropout of networks that are trained once and serve several lead sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.leads import LEAD_SETS, LEADS
from leadset.models.prediction import lead_rows

#: Share of recordings that lose leads; of those, shares that keep a Challenge lead set, lead I alone, any others.
REDUCED_SHARE = 0.5
CHALLENGE_SET_SHARE, LEAD_I_SHARE = 0.6, 0.15
#: In a run, share of the recordings that keep one of its lead sets; the others keep any leads, as when the network
#: learnt.
SERVED_SHARE = 0.5


def draw_rows(rng: np.random.Generator) -> list[int]:
    """Rows of the leads that a training recording keeps: all twelve, a lead set, one lead, or any of them."""
    kind = rng.random() / REDUCED_SHARE
    if kind >= 1:
        return list(range(len(LEADS)))
    if kind < CHALLENGE_SET_SHARE:
        smaller = [leads for leads in LEAD_SETS.values() if 1 < len(leads) < len(LEADS)]
        return lead_rows(smaller[rng.integers(len(smaller))])
    if kind < CHALLENGE_SET_SHARE + LEAD_I_SHARE:
        return lead_rows(("I",))
    return sorted(rng.choice(len(LEADS), rng.integers(1, len(LEADS)), replace=False).tolist())


@dataclass(frozen=True)
class LeadDropout:
    """Draws which leads a training recording keeps; the others are zero.

    Attributes:
        lead_sets: those that the network is to serve.
    """

    lead_sets: tuple[tuple[str, ...], ...]

    def __call__(self, rng: np.random.Generator) -> list[int]:
        """Rows of the leads that stay."""
        if rng.random() < SERVED_SHARE:
            return lead_rows(self.lead_sets[rng.integers(len(self.lead_sets))])
        return draw_rows(rng)
