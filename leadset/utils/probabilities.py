"""Log odds of probabilities that are kept a little away from 0 and 1, so that they are finite."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

#: The least probability that the log odds take at its word.
LEAST = 1e-6


def log_odds(probabilities: np.ndarray, least: float = LEAST) -> np.ndarray:
    """Of probabilities, clipped to ``least`` ... 1 - ``least``."""
    return logit(np.clip(probabilities, least, 1 - least))

