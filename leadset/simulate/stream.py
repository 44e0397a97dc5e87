"""Endless fresh recordings to train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from leadset.simulate.generator import check_limits, simulate_indices
from leadset.simulate.mixture import parse_labels


class SimulatedStream:
    """Iterates over batches of simulated recordings that never repeat.

    Recordings are those of `leadset.simulate.simulate` with the same seed, taken in turn by ``shards`` streams, so that
    several processes see different ones and a run can go on where it stopped.

    Args:
        batch: recordings in a batch.
        seed: of the data set.
        seconds: length of each.
        fs: sampling rate in Hz.
        labels: as of `leadset.simulate.simulate`.
        noise: factor on the level of all noise.
        shard: which of the ``shards`` streams this is.
        shards: how many share the recordings.

    Attributes:
        position: number of the next batch; set it to go on from there.

    Raises:
        ValueError: as of `leadset.simulate.simulate`, or a batch or shard that cannot be.
    """

    def __init__(
        self,
        batch: int = 32,
        seed: int = 0,
        seconds: float = 10.0,
        fs: float = 500,
        labels: str | Iterable[str] | Mapping[str, float] | None = None,
        noise: float = 1.0,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        if batch < 1:
            raise ValueError(f"cannot simulate batches of {batch} recordings: expected at least 1")
        if not 0 <= shard < shards:
            raise ValueError(f"no shard {shard} of {shards}: expected 0 to {shards - 1}")
        check_limits(seconds, fs, noise)
        self.batch, self.seed, self.seconds, self.fs, self.noise = batch, seed, seconds, fs, noise
        self.weights = parse_labels(labels)
        self.shard, self.shards = shard, shards
        self.position = 0

    def __iter__(self) -> Iterator[tuple[np.ndarray, list[tuple[str, ...]]]]:
        return self

    def __next__(self) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """The next signals (batch, 12, samples) in mV, float32, and the codes of each recording."""
        first = (self.position * self.shards + self.shard) * self.batch
        made = simulate_indices(
            range(first, first + self.batch), self.seed, self.seconds, self.fs, self.weights, self.noise
        )
        self.position += 1
        return made.signals, made.codes
