"""Recurrent layers over sequences of unequal length."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leadset.models.layers.options import one_of

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class States(nn.Module):
    """A recurrent layer in each direction of time: (b, t, f) to its states side by side (b, t, 2 · hidden).

    Sequences are padded at their end, and the padding reaches neither direction; states of padded steps mean nothing.
    They are not packed: packing would make a batch smaller from step to step, and a recording's answer depend on its
    batch mates in the last bit.

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
        onward = self.onward(x)[0]
        if lengths is None:
            return torch.cat([onward, self.backward_(x.flip(1))[0].flip(1)], dim=2)
        steps = torch.arange(x.shape[1], device=x.device).view(1, -1, 1)
        mirrored = (lengths.view(-1, 1, 1) - 1 - steps).clamp(min=0)
        backward = self.backward_(x.gather(1, mirrored.expand_as(x)))[0]
        return torch.cat([onward, backward.gather(1, mirrored.expand_as(backward))], dim=2)


class LastStates(States):
    """The last state of each direction of time: (b, t, f) to (b, 2 · hidden)."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """As `States`."""
        onward, backward = super().forward(x, lengths).chunk(2, dim=2)
        if lengths is None:
            return torch.cat([onward[:, -1], backward[:, 0]], dim=1)
        last = (lengths.view(-1, 1, 1) - 1).expand(-1, 1, onward.shape[2])
        return torch.cat([onward.gather(1, last).squeeze(1), backward[:, 0]], dim=1)


class AttendedStates(States):
    """States of all steps, weighted by what a step says of itself: (b, t, f) to (b, 2 · hidden).

    After Z. Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016: the weights are a
    softmax over steps of a learned direction in a hidden layer.
    """

    def __init__(self, inputs: int, hidden: int, cell: str = "gru") -> None:
        super().__init__(inputs, hidden, cell)
        self.hidden = nn.Linear(2 * hidden, hidden)
        self.direction = nn.Linear(hidden, 1, bias=False)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """As `States`; padded steps weigh nothing."""
        states = super().forward(x, lengths)
        weight = self.direction(self.hidden(states).tanh()).squeeze(2)
        if lengths is not None:
            padded = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
            weight = weight.masked_fill(padded, -torch.inf)
        return (weight.softmax(1).unsqueeze(2) * states).sum(1)
