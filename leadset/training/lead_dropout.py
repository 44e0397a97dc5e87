"""Lead dropout of a network that is trained once and serves several lead sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.models.prediction import lead_rows
from leadset.training.universal import draw_rows

#: Share of the recordings that keep one of the lead sets; the others keep any leads, as when the network learnt.
SERVED_SHARE = 0.5


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
