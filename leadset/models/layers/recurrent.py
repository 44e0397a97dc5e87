"""Recurrent layers over sequences of unequal length."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leadset.models.layers.options import one_of

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class LastStates(nn.Module):
    """A recurrent layer in each direction of time: (b, t, f) to their last states side by side (b, 2 · hidden).

    Sequences are padded at their end, and the padding reaches neither direction. They are not packed: packing would
    make a batch smaller from step to step, and a recording's answer depend on its batch mates in the last bit.

    Args:
        inputs: features per step.
        hidden: state size of a direction.
        cell: ``"gru"`` or ``"lstm"``.
    """

    def __init__(self, inputs: int, hidden: int, cell: str = "gru") -> None:
        super().__init__()
        layer = CELLS[one_of("cell", cell, CELLS)]
        self.onward = layer(inputs, hidden, batch_first=True)
        self.backward_ = layer(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """``lengths`` (b,), at least 1; None: nothing is padded."""
        if lengths is None:
            return torch.cat([self.onward(x)[0][:, -1], self.backward_(x.flip(1))[0][:, -1]], dim=1)
        last = lengths.view(-1, 1, 1) - 1
        backward = (last - torch.arange(x.shape[1], device=x.device).view(1, -1, 1)).clamp(min=0)
        states = self.onward(x)[0], self.backward_(x.gather(1, backward.expand_as(x)))[0]
        return torch.cat([s.gather(1, last.expand(-1, 1, s.shape[2])).squeeze(1) for s in states], dim=1)
