"""Training batches as a function of the step number, as `leadset.training.steps.batches` makes them for classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from leadset.anomaly.arrays import Recordings
from leadset.anomaly.losses import MaskedBatch
from leadset.anomaly.masks import training_masks
from leadset.anomaly.windows import BEAT_SAMPLES, beats_within, cut_heartbeats
from leadset.models.prediction import lead_rows
from leadset.preprocess import InputSpec, cut_window, signal_start
from leadset.training.steps.curriculum import Curriculum


class RestorationBatch(NamedTuple):
    """Normal recordings, masked, and recordings of any kind, unmasked, for the class head of a network that has one."""

    normal: MaskedBatch
    labelled: MaskedBatch | None


class MaskedBatches(Dataset):
    """Map from step to `MaskedBatch`, each a function of the seed and the step alone.

    Args:
        recordings: prepared.
        beats: R peaks of each recording, in its samples.
        curriculum: which recordings to draw from, and for how many steps.
        leads: lead set.
        spec: the network's input.
        masking: a name out of `leadset.anomaly.masks.MASKINGS`.
        batch_size: recordings per batch.
        seed: of permutations, windows, beats and masks.
        targets: (n, d) of the recordings, for what a network reads off its latents.
        draw_rows: of the twelve leads that a recording keeps, while its others are zero; None: it keeps all.
    """

    def __init__(
        self,
        recordings: Recordings,
        beats: Sequence[np.ndarray],
        curriculum: Curriculum,
        *,
        leads: Sequence[str],
        spec: InputSpec,
        masking: str,
        batch_size: int,
        seed: int,
        targets: Tensor | None = None,
        draw_rows: Callable[[np.random.Generator], list[int]] | None = None,
    ) -> None:
        self.recordings, self.beats, self.curriculum = recordings, beats, curriculum
        self.rows, self.spec, self.masking = lead_rows(leads), spec, masking
        self.batch_size, self.seed, self.targets = batch_size, seed, targets
        self.draw_rows = draw_rows

    def __len__(self) -> int:
        return self.curriculum.steps

    def __getitem__(self, step: int) -> MaskedBatch:
        phase, within = self.curriculum.at(step)
        members = phase.pool.members(within, self.batch_size, self.seed)
        rng = np.random.default_rng([self.seed, 1, step])
        n, time = len(members), self.spec.samples
        record = np.zeros((n, len(self.rows), time), dtype=np.float32)
        present = np.ones((n, len(self.rows)), dtype=bool)
        recorded = np.empty((n, time), dtype=bool)
        beat = np.empty((n, len(self.rows), BEAT_SAMPLES), dtype=np.float32)
        for i, member in enumerate(members):
            samples, statistics = self.recordings[member]
            rows, shown = self.rows, slice(None)
            if self.draw_rows is not None:
                rows = shown = self.draw_rows(rng)
                present[i] = np.isin(self.rows, rows)
            start = signal_start(samples, statistics, rows, self.spec, rng)
            record[i, shown], recorded[i] = cut_window(samples, statistics, rows, start, self.spec)
            centres, _ = beats_within(self.beats[member], start, int(recorded[i].sum()))
            beat[i] = cut_heartbeats(record[i], rng.choice(centres, 1))[0]
        masks = training_masks(self.masking, n, time, BEAT_SAMPLES, rng)
        return MaskedBatch(
            torch.from_numpy(record),
            torch.from_numpy(beat),
            *(torch.from_numpy(mask.copy()) for mask in masks),
            None if recorded.all() else torch.from_numpy(recorded),
            None if self.targets is None else self.targets[members],
            None if present.all() else torch.from_numpy(present),
        )


class RestorationBatches(Dataset):
    """Map from step to `RestorationBatch`."""

    def __init__(self, normal: MaskedBatches, labelled: MaskedBatches | None) -> None:
        self.normal, self.labelled = normal, labelled

    def __len__(self) -> int:
        return len(self.normal)

    def __getitem__(self, step: int) -> RestorationBatch:
        return RestorationBatch(self.normal[step], None if self.labelled is None else self.labelled[step])
