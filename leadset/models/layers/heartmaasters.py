"""The convolutional stages of the heartMAASters entry, which its published network and the reconstruction share."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

from torch import Tensor, nn

KERNELS = (5, 5, 5, 5, 5, 4, 4)
#: Channels of each stage in multiples of the first one's.
GROWTH = (1, 1, 2, 2, 4, 4, 4)
DROPOUT = 0.3
#: What may normalise between a convolution and its ReLU.
NORMS = ("none", "batch")
#: Stages whose pooling is followed by dropout.
_DROPPING = (4, 5)
#: Samples that one output of the last stage sees: fewer in a window leave nothing to pool.
RECEPTIVE_FIELD = 476

_Lengths = TypeVar("_Lengths", int, Tensor)


def glorot(module: nn.Module) -> None:
    """Glorot-uniform kernels and zero biases, for `nn.Module.apply`: how Keras draws a fresh network."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class ConvStages(nn.Sequential):
    """Seven times convolution without padding and ReLU, with halving by maximum between them: (b, l, t) to (b, f, t').

    Args:
        inputs: number of leads.
        width: channels of the first stage; the last has four times as many.
        batch_norm: normalise between convolution and ReLU.
    """

    def __init__(self, inputs: int, width: int, batch_norm: bool = False) -> None:
        layers: list[nn.Module] = []
        for stage, (f_in, f_out) in enumerate(pairwise((inputs, *(width * factor for factor in GROWTH)))):
            layers.append(nn.Conv1d(f_in, f_out, KERNELS[stage]))
            if batch_norm:
                layers.append(nn.BatchNorm1d(f_out))
            layers.append(nn.ReLU())
            if stage < len(KERNELS) - 1:
                layers.append(nn.MaxPool1d(2))
            if stage in _DROPPING:
                layers.append(nn.Dropout(DROPOUT))
        super().__init__(*layers)


def length_after(samples: _Lengths) -> _Lengths:
    """Outputs of `ConvStages` that see nothing but the first ``samples`` samples; at least 1 where it is a tensor."""
    for stage, kernel in enumerate(KERNELS):
        samples = samples - kernel + 1
        if stage < len(KERNELS) - 1:
            samples = samples // 2
    return samples.clamp(min=1) if isinstance(samples, Tensor) else samples
