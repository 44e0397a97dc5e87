"""Windows of a prepared recording: where they start, and the scaled samples with their mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadset.preprocess.scaling import SCALINGS
from leadset.preprocess.spec import InputSpec

# Windows averaged at test, at most: a 30-min recording is sampled evenly.
MAX_TEST_WINDOWS = 16


def window_starts(n_samples: int, spec: InputSpec) -> np.ndarray:
    """First samples of the windows averaged at test: evenly spaced, together covering up to 16 window lengths."""
    if spec.window == "tail" or n_samples <= spec.samples:
        return np.array([n_samples - spec.samples if spec.window == "tail" else 0])
    count = min(-(-n_samples // spec.samples), MAX_TEST_WINDOWS)
    return np.linspace(0, n_samples - spec.samples, count).round().astype(int)


def random_start(n_samples: int, spec: InputSpec, rng: np.random.Generator) -> int:
    """First sample of a training window, uniform over all that fit."""
    if spec.window == "tail" or n_samples <= spec.samples:
        return int(window_starts(n_samples, spec)[0])
    return int(rng.integers(n_samples - spec.samples + 1))


def cut_window(
    samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], start: int, spec: InputSpec
) -> tuple[np.ndarray, np.ndarray]:
    """A scaled window of a prepared recording.

    Args:
        samples: (12, t) int16, in memory or mapped.
        statistics: (5, 12) as in `Prepared`.
        rows: indices of the wanted leads.
        start: first sample; may be negative (padding before the recording).
        spec: length and scaling.

    Returns:
        Window (l, spec.samples) float32 with zeros as padding, and mask (spec.samples,) bool.
    """
    rows = list(rows)
    first, last = max(start, 0), min(start + spec.samples, samples.shape[1])
    statistics = statistics[:, rows]
    gain, offset = SCALINGS[spec.scaling](statistics)
    window = np.zeros((len(rows), spec.samples), dtype=np.float32)
    inside = slice(first - start, last - start)
    window[:, inside] = samples[rows, first:last]
    window[:, inside] *= (statistics[0] * gain).astype(np.float32)[:, None]
    window[:, inside] += offset.astype(np.float32)[:, None]
    mask = np.zeros(spec.samples, dtype=bool)
    mask[inside] = True
    return window, mask
