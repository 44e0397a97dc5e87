"""Training batches as a function of the step number, as `leadset.training.batches` makes them for classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from leadset.anomaly.arrays import Recordings
from leadset.anomaly.masks import training_masks
from leadset.anomaly.windows import beats_within, cut_heartbeats
from leadset.models.cross_restoration import BEAT_SAMPLES
from leadset.models.prediction import lead_rows
from leadset.preprocess import InputSpec, cut_window, signal_start
from leadset.training.curriculum import Pool


class RestorationBatch(NamedTuple):
    """Recordings (b, l, t) and one heartbeat of each (b, l, 480), what is hidden of both, what was recorded at all.

    ``members`` (b,) are the indices of the recordings.
    """

    record: Tensor
    beat: Tensor
    hidden: Tensor
    hidden_beat: Tensor
    recorded: Tensor | None
    members: Tensor


class RestorationBatches(Dataset):
    """Map from step to `RestorationBatch`, each a function of the seed and the step alone.

    Args:
        recordings: prepared.
        beats: R peaks of each recording, in its samples.
        indices: which recordings to draw from.
        leads: lead set.
        spec: the network's input.
        masking: a name out of `leadset.anomaly.masks.MASKINGS`.
        batch_size: recordings per batch.
        steps: number of steps altogether.
        seed: of permutations, windows, beats and masks.
    """

    def __init__(
        self,
        recordings: Recordings,
        beats: Sequence[np.ndarray],
        indices: np.ndarray,
        leads: Sequence[str],
        spec: InputSpec,
        masking: str,
        batch_size: int,
        steps: int,
        seed: int,
    ) -> None:
        self.recordings, self.beats, self.indices = recordings, beats, np.asarray(indices)
        self.rows, self.spec, self.masking = lead_rows(leads), spec, masking
        self.batch_size, self.steps, self.seed = batch_size, steps, seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> RestorationBatch:
        members = Pool(self.indices).members(step, self.batch_size, self.seed)
        rng = np.random.default_rng([self.seed, 1, step])
        n, time = len(members), self.spec.samples
        record = np.empty((n, len(self.rows), time), dtype=np.float32)
        recorded = np.empty((n, time), dtype=bool)
        beat = np.empty((n, len(self.rows), BEAT_SAMPLES), dtype=np.float32)
        for i, member in enumerate(members):
            samples, statistics = self.recordings[member]
            start = signal_start(samples, statistics, self.rows, self.spec, rng)
            record[i], recorded[i] = cut_window(samples, statistics, self.rows, start, self.spec)
            centres, _ = beats_within(self.beats[member], start, int(recorded[i].sum()))
            beat[i] = cut_heartbeats(record[i], rng.choice(centres, 1))[0]
        masks = training_masks(self.masking, n, time, BEAT_SAMPLES, rng)
        return RestorationBatch(
            torch.from_numpy(record),
            torch.from_numpy(beat),
            *(torch.from_numpy(mask.copy()) for mask in masks),
            None if recorded.all() else torch.from_numpy(recorded),
            torch.from_numpy(members),
        )
