"""Masks that follow a signal through strided convolutions, so that padding cannot leak into what was recorded.

A mask is (b, t) bool, true where a sample was recorded. Zeroing the activations of padded positions after every layer
makes a padded recording give the output of the unpadded one: what lies behind its end is then what a convolution's
own zero padding would have put there.
"""

from __future__ import annotations

import torch
from torch import Tensor


def downsample_mask(mask: Tensor | None) -> Tensor | None:
    """The mask (b, ceil(t/2)) after a stride-2 layer with odd kernel and "same" padding."""
    return None if mask is None else mask[:, ::2]


def apply_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """Features (b, f, t) with padded positions set to zero."""
    return x if mask is None else x * mask.unsqueeze(1)


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean (b, f) over the recorded positions of (b, f, t); zero where nothing was recorded."""
    if mask is None:
        return x.mean(-1)
    return apply_mask(x, mask).sum(-1) / mask.sum(-1, keepdim=True).clamp(min=1)


def masked_max(x: Tensor, mask: Tensor | None) -> Tensor:
    """Maximum (b, f) over the recorded positions of (b, f, t); zero where nothing was recorded."""
    if mask is None:
        return x.amax(-1)
    lowest = torch.finfo(x.dtype).min
    peak = x.masked_fill(~mask.unsqueeze(1), lowest).amax(-1)
    return torch.where(mask.any(-1, keepdim=True), peak, torch.zeros_like(peak))
