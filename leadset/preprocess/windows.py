"""Windows of a prepared recording: where they start, and the scaled samples with their mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadset.preprocess.scaling import SCALINGS
from leadset.preprocess.spec import InputSpec
from leadset.signals import MIN_SD_MV

# A window that would have no signal in any lead is drawn again so often in training.
_MAX_DRAWS = 16
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


def signal_windows(samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], spec: InputSpec) -> np.ndarray:
    """`window_starts` of a prepared recording, without those where none of the wanted leads has a signal.

    Args:
        samples, statistics, rows: as `cut_window`.
        spec: length of the windows.
    """
    starts = window_starts(samples.shape[1], spec)
    if len(starts) == 1:
        return starts
    there = [_has_signal(samples, statistics, rows, start, spec) for start in starts]
    return starts[there] if any(there) else starts


def signal_start(
    samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], spec: InputSpec, rng: np.random.Generator
) -> int:
    """`random_start` of a prepared recording, drawn again where none of the wanted leads has a signal."""
    n_samples = samples.shape[1]
    start = random_start(n_samples, spec, rng)
    if spec.window == "tail" or n_samples <= spec.samples:
        return start
    for _ in range(_MAX_DRAWS):
        if _has_signal(samples, statistics, rows, start, spec):
            break
        start = random_start(n_samples, spec, rng)
    return start


def _has_signal(samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], start: int, spec: InputSpec) -> bool:
    """Whether a lead changes in a window by more than a lead without a heartbeat does."""
    window = samples[list(rows), start : start + spec.samples]
    heights = window.max(axis=1).astype(np.int32) - window.min(axis=1)
    return bool((heights * statistics[0, list(rows)] > 2 * MIN_SD_MV).any())


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
