"""Random numbers that belong to a recording: recording ``i`` of a seed is the same whatever it is simulated with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BLOCK = 512


class Draws:
    """One independent random stream per recording; every draw has the recordings as its first axis.

    A stream is keyed by (seed, index), so that a data set can be extended, split or batched without changing a byte.
    Code that draws must draw equally many numbers for every recording, whatever its diagnoses, and choose among them
    afterwards with ``np.where``.

    Args:
        seed: seed of the data set.
        indices: index of each recording in it (n,).
        purpose: separates streams of one recording that must not depend on each other.
    """

    def __init__(self, seed: int, indices: Sequence[int], purpose: int = 0) -> None:
        self.n = len(indices)
        self._key = seed, indices
        self._streams = [
            np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(int(i), purpose))))
            for i in indices
        ]
        # Small draws are served from blocks: a call per recording and parameter would dominate the run time.
        self._blocks = {"normal": np.empty((self.n, 0)), "uniform": np.empty((self.n, 0))}

    def apart(self, purpose: int) -> Draws:
        """Draws of the same recordings for another purpose, which change nothing in these."""
        return Draws(*self._key, purpose)

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers (n, *shape)."""
        return self._take("normal", shape, lambda stream, size: stream.standard_normal(size))

    def uniform(self, *shape: int, low: float | np.ndarray = 0.0, high: float | np.ndarray = 1.0) -> np.ndarray:
        """Uniform numbers (n, *shape) in [low, high)."""
        return low + (high - low) * self._take("uniform", shape, lambda stream, size: stream.random(size))

    def flags(self, probability: float | np.ndarray) -> np.ndarray:
        """Booleans (n,) that are true with the given probability."""
        return self.uniform() < probability

    def choice(self, weights: np.ndarray) -> np.ndarray:
        """One index a recording (n,) out of ``weights`` (k,) or (n, k), which need not sum to one."""
        cumulative = np.cumsum(np.broadcast_to(weights, (self.n, np.shape(weights)[-1])), axis=1)
        return (self.uniform(1) * cumulative[:, -1:] >= cumulative).sum(axis=1)

    def white_spectrum(self, channels: int, bins: int, dtype: np.dtype) -> np.ndarray:
        """Complex white spectra (n, channels, bins) with unit variance a bin; uniform parts suffice, as sums of many
        are normal in time."""
        parts = np.empty((self.n, channels, bins, 2), dtype=np.float32)  # the same numbers whatever the precision
        for row, stream in zip(parts, self._streams, strict=True):
            stream.random(dtype=np.float32, out=row)
        parts = parts.astype(dtype, copy=False)
        parts -= 0.5
        parts *= 6**0.5  # a uniform number of width one has variance 1/12, and there are two of them
        return parts.view(np.result_type(dtype, np.complex64))[..., 0]

    def _take(self, kind: str, shape: tuple[int, ...], draw) -> np.ndarray:
        size = int(np.prod(shape, dtype=int))
        if self._blocks[kind].shape[1] < size:
            fresh = np.stack([draw(stream, max(size, _BLOCK)) for stream in self._streams])
            self._blocks[kind] = np.concatenate([self._blocks[kind], fresh], axis=1)
        taken, self._blocks[kind] = self._blocks[kind][:, :size], self._blocks[kind][:, size:]
        return taken.reshape(self.n, *shape)
