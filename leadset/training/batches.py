"""Training batches as a function of the step number: any step can be drawn again, so a run resumes where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from leadset.models.prediction import lead_rows
from leadset.preprocess import InputSpec, cut_window, random_start
from leadset.store.beat_store import BeatStore
from leadset.store.packed import Store
from leadset.training.curriculum import Curriculum
from leadset.waves.beats import tell, told_shapes

# Augmentation that keeps Einthoven's relations: one gain for all leads, and a little white noise in units of the SD of
# the window.
GAIN_SD = 0.1
NOISE_SHARE = 0.02


class Batch(NamedTuple):
    """Windows (b, l, t), mask (b, t) or None where nothing is padded, labels (b, k) float32.

    ``told`` is what the network asks for besides, by the name of its argument: see `leadset.waves.beats.told_shapes`.
    """

    windows: Tensor
    mask: Tensor | None
    labels: Tensor
    told: dict[str, Tensor]


class StepBatches(Dataset):
    """Map from step to `Batch`, a function of the seed and the step alone.

    Args:
        store: prepared recordings.
        curriculum: which of them to train on, and for how many steps.
        labels: (len(store), k) bool.
        leads: lead set.
        spec: the network's input.
        batch_size: recordings per batch; the last batch of an epoch is filled from the next epoch.
        seed: of permutations, crops and augmentation.
        beats: of the recordings of the store, for a network that asks for them.
    """

    def __init__(
        self,
        store: Store,
        curriculum: Curriculum,
        labels: np.ndarray,
        *,
        leads: Sequence[str],
        spec: InputSpec,
        batch_size: int,
        seed: int,
        beats: BeatStore | None = None,
    ) -> None:
        self.beats = beats
        self.store, self.curriculum, self.labels = store, curriculum, labels.astype(np.float32)
        self.rows, self.spec = lead_rows(leads), spec
        self.batch_size, self.seed = batch_size, seed

    def __len__(self) -> int:
        return self.curriculum.steps

    def _members(self, step: int) -> np.ndarray:
        phase, step = self.curriculum.at(step)
        return phase.pool.members(step, self.batch_size, self.seed)

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, 1, step])
        members = self._members(step)
        windows = np.empty((len(members), len(self.rows), self.spec.samples), dtype=np.float32)
        masks = np.empty((len(members), self.spec.samples), dtype=bool)
        shapes = told_shapes(self.spec, len(self.rows))
        told = {name: np.empty((len(members), *shape), np.float32) for name, shape in shapes.items()}
        for i, member in enumerate(members):
            samples, statistics = self.store[member]
            start = random_start(samples.shape[1], self.spec, rng)
            windows[i], masks[i] = cut_window(samples, statistics, self.rows, start, self.spec)
            if told:
                for name, values in tell(self.beats[member], start, self.spec).items():
                    told[name][i] = values
        sd = windows.std(axis=(1, 2), keepdims=True)
        windows += NOISE_SHARE * sd * rng.standard_normal(windows.shape, dtype=np.float32)
        windows *= np.exp(GAIN_SD * rng.standard_normal((len(members), 1, 1), dtype=np.float32))
        mask = None
        if not masks.all():
            windows *= masks[:, None]
            mask = torch.from_numpy(masks)
        more = {name: torch.from_numpy(values) for name, values in told.items()}
        return Batch(torch.from_numpy(windows), mask, torch.from_numpy(self.labels[members]), more)


def step_loader(batches: Dataset, first_step: int, device: torch.device) -> Iterator[NamedTuple]:
    """Batches from ``first_step`` on, made in worker processes where a GPU would otherwise wait for them."""
    on_gpu = device.type == "cuda"
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first_step, len(batches)),
        num_workers=4 if on_gpu else 0,
        pin_memory=on_gpu,
        # Of its own: the loader would otherwise take a draw from the one that dropout continues after a resumption.
        generator=torch.Generator(),
        # Forked workers would inherit the state of this process's threads.
        multiprocessing_context="forkserver" if on_gpu else None,
    )
    return iter(loader)
