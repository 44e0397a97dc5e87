"""Training batches as a function of the step number: any step can be drawn again, so a run resumes where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from leadset.models.extra_inputs import RecordingContext, extra_inputs, missing_inputs
from leadset.models.prediction import lead_rows
from leadset.preprocess import InputSpec, cut_window, signal_start
from leadset.store.packed import Store
from leadset.training.steps.curriculum import Curriculum

# Augmentation that keeps Einthoven's relations: one gain for all leads, and a little white noise in units of the SD of
# the window.
GAIN_SD = 0.1
NOISE_SHARE = 0.02
#: Processes that make the batches of one training on a GPU.
GPU_LOADERS = 4


class Batch(NamedTuple):
    """Windows (b, l, t), mask (b, t) or None where nothing is padded, labels (b, k) float32 (NaN: unknown).

    ``extra`` holds the extra inputs of the network by the names of its arguments (`leadset.models.extra_inputs`).
    """

    windows: Tensor
    mask: Tensor | None
    labels: Tensor
    extra: dict[str, Tensor]


class StepBatches(Dataset):
    """Map from step to `Batch`, a function of the seed and the step alone.

    Args:
        store: prepared recordings.
        curriculum: which of them to train on, and for how many steps.
        labels: (len(store), k) 1, 0, or NaN where unknown.
        leads: lead set.
        spec: the network's input.
        batch_size: recordings per batch; the last batch of an epoch is filled from the next epoch.
        seed: of permutations, crops and augmentation.
        contexts: of the recordings of the store, for a network with extra inputs.
        draw_rows: of the leads that a recording keeps, while its others are zero; None: it keeps all.
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
        contexts: Sequence[RecordingContext] = (),
        draw_rows: Callable[[np.random.Generator], list[int]] | None = None,
    ) -> None:
        self.contexts, self.draw_rows = contexts, draw_rows
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
        extra = missing_inputs(self.spec, len(self.rows), len(members))
        for i, member in enumerate(members):
            samples, statistics = self.store[member]
            rows, shown = self.rows, slice(None)
            if self.draw_rows is not None:
                rows = shown = self.draw_rows(rng)
                windows[i] = 0
            start = signal_start(samples, statistics, rows, self.spec, rng)
            windows[i, shown], masks[i] = cut_window(samples, statistics, rows, start, self.spec)
            if extra:
                for name, values in extra_inputs(self.contexts[member], start, self.spec, len(self.rows)).items():
                    extra[name][i] = values
        sd = windows.std(axis=(1, 2), keepdims=True)
        noise = NOISE_SHARE * sd * rng.standard_normal(windows.shape, dtype=np.float32)
        windows += noise if self.draw_rows is None else noise * windows.any(axis=2, keepdims=True)
        windows *= np.exp(GAIN_SD * rng.standard_normal((len(members), 1, 1), dtype=np.float32))
        mask = None
        if not masks.all():
            windows *= masks[:, None]
            mask = torch.from_numpy(masks)
        tensors = {name: torch.from_numpy(values) for name, values in extra.items()}
        return Batch(torch.from_numpy(windows), mask, torch.from_numpy(self.labels[members]), tensors)


def step_loader(batches: Dataset, first_step: int, device: torch.device) -> Iterator[NamedTuple]:
    """Batches from ``first_step`` on, made in worker processes where a GPU would otherwise wait for them."""
    on_gpu = device.type == "cuda"
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first_step, len(batches)),
        num_workers=GPU_LOADERS if on_gpu else 0,
        pin_memory=on_gpu,
        # Of its own: the loader would otherwise take a draw from the one that dropout continues after a resumption.
        generator=torch.Generator(),
        # Forked workers would inherit the state of this process's threads.
        multiprocessing_context="forkserver" if on_gpu else None,
    )
    return iter(loader)
