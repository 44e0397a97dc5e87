"""Standardisation of features with missing values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leadset.utils.whole_batch import over_whole_batch

#: Smallest SD that features are divided by (1 ms, 1 µV), and largest standardised value: a mark gone wrong must not
#: outweigh all others.
SMALLEST_SD, LARGEST = 1e-3, 5.0


class RunningStandardise(nn.Module):
    """Features (b, f, n) to zero mean and unit variance, missing values (NaN) to zero after that.

    Mean and variance are those of all values seen so far in training mode, kept as buffers: they come from training
    recordings alone, travel with the weights, and need no pass over the data beforehand. Unlike in batch
    normalisation, training and evaluation divide by the same numbers.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        for name in ("count", "mean", "scatter"):  # scatter: sum of squared distances from the mean
            self.register_buffer(name, torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, without NaN."""
        if self.training:
            self._learn(x.detach())
        sd = (self.scatter / self.count.clamp(min=1)).sqrt().clamp(min=SMALLEST_SD)
        return ((x - self.mean[:, None]) / sd[:, None]).clamp(-LARGEST, LARGEST).nan_to_num(0.0)

    def _learn(self, x: Tensor) -> None:
        """Joins the statistics of a batch to those so far (Chan, Golub and LeVeque, 1979)."""
        present = ~x.isnan()
        count = over_whole_batch(present.sum((0, 2)))
        mean = over_whole_batch(x.nan_to_num(0.0).sum((0, 2))) / count.clamp(min=1)
        scatter = over_whole_batch(((x - mean[:, None]).nan_to_num(0.0) ** 2).sum((0, 2)))
        total = self.count + count
        share, step = count / total.clamp(min=1), mean - self.mean
        self.scatter += scatter + step**2 * self.count * share
        self.mean += step * share
        self.count.copy_(total)
