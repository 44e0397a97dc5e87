"""Small reconstruction models and their inputs, for tests of anomalies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from leadset.anomaly.detector import TRANSFORM
from leadset.anomaly.reference import Reference
from leadset.models import create_model
from leadset.models.cross_restoration import CrossRestoration
from leadset.preprocess import InputSpec
from leadset.waves.beats import BEAT_FEATURES, Beats, record_length

#: Options of a network so small that a test can train it.
SMALL = {"width": 4, "latent": 6, "record_samples": 2400}
#: The input of a network of the published size.
SPEC = InputSpec(TRANSFORM, 4800, "range")


def network(leads: int = 2, **options: object) -> CrossRestoration:
    """An untrained network in evaluation mode, `SMALL` but for the options given; its weights are always the same."""
    torch.manual_seed(0)
    return create_model("cross_restoration", leads, **(SMALL | options)).eval()


def beats_at(r_peaks: Sequence[int], leads: int = 2) -> Beats:
    """Beats of which nothing is known but where they are."""
    features = np.full((leads, len(r_peaks), BEAT_FEATURES), np.nan, np.float32)
    return Beats(np.asarray(r_peaks, np.float32), features, np.full(record_length(leads), np.nan, np.float32))


def same_reference(one: Reference, other: Reference) -> bool:
    """Whether two references hold the same numbers."""
    first, second = one.arrays(), other.arrays()
    equal = all(np.array_equal(first[name], second[name]) for name in first)
    return equal and first.keys() == second.keys() and (one.n, one.part) == (other.n, other.part)
