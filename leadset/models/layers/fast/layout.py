"""Convolutions with features innermost in memory (`torch.channels_last`), which CPUs compute without reordering."""

from __future__ import annotations

import torch
from torch import Tensor

from leadset.models.layers.stem import Stem


class ChannelsLastStem(Stem):
    """`Stem` whose result, and with it that of every convolution behind it, has its features innermost."""

    def forward(self, x: Tensor) -> Tensor:
        """As `Stem`."""
        return super().forward(x.to(memory_format=torch.channels_last))
