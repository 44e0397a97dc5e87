"""Convolutions along time for evaluation: normalisation folded into weights, features innermost in memory.

Outputs are the same up to rounding, in less time on a CPU: nothing is copied from one memory layout to another between
two layers, and transposed convolutions of stride 1 are computed as plain ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _channels_last(x: Tensor) -> Tensor:
    """(b, c, t) as (b, c, 1, t) whose channels lie side by side; a convolution in one dimension would copy it back."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _by_time(x: Tensor) -> Tensor:
    """(b, c, 1, t) with channels last as the (b, t, c) that it is in memory."""
    return x.squeeze(2).transpose(1, 2)


class FoldedConvolution(nn.Module):
    """A convolution and the normalisation behind it, with copies of their weights.

    A transposed one of stride 1 becomes the plain one with its kernel reversed. With one sample in or out it is a
    matrix product.

    Args:
        layer: of one group, without bias, dilation and output padding.
        norm: what comes behind it.
        parts: how many tensors share its input channels, each as many.
    """

    def __init__(
        self, layer: nn.Conv1d | nn.ConvTranspose1d, norm: nn.BatchNorm1d | None = None, parts: int = 1
    ) -> None:
        super().__init__()
        (self.stride,), (self.padding,), (self.kernel,) = layer.stride, layer.padding, layer.kernel_size
        self.transposed = isinstance(layer, nn.ConvTranspose1d)
        weight, bias = layer.weight.detach(), None
        if norm is not None:
            scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
            weight = weight * (scale[:, None] if self.transposed else scale[:, None, None])
            bias = norm.bias.detach() - norm.running_mean * scale
        channels_in = 0 if self.transposed else 1
        if self.transposed and self.stride == 1:
            weight, channels_in = weight.flip(2).transpose(0, 1), 1
            self.transposed, self.padding = False, self.kernel - 1 - self.padding
        self.register_buffer("bias", bias)
        for i, part in enumerate(weight.chunk(parts, channels_in)):
            self.register_buffer(f"weight{i}", _channels_last(part).clone())

    def forward(self, *parts: Tensor) -> Tensor:
        """Parts (b, c, 1, t) with channels last, any of which may have a batch of one for all, to (b, o, 1, t')."""
        whole = self._answer(parts[0], self.weight0, self.bias)
        for i, part in enumerate(parts[1:], 1):
            whole = whole + self._answer(part, getattr(self, f"weight{i}"), None)
        return whole

    def _answer(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.transposed:
            return functional.conv_transpose2d(x, weight, bias, (1, self.stride), (0, self.padding))
        samples = x.shape[3]
        if samples == self.kernel and not self.padding:
            return functional.linear(_by_time(x).flatten(1), _by_time(weight).flatten(1), bias)[:, :, None, None]
        if samples == 1 and self.padding == self.kernel - 1:
            taps = functional.linear(x.flatten(1), _by_time(weight).flatten(0, 1)).unflatten(1, (-1, self.kernel))
            answer = taps.flip(2) if bias is None else taps.flip(2) + bias[:, None]
            return _channels_last(answer)
        return functional.conv2d(x, weight, bias, (1, self.stride), (0, self.padding))


class FoldedStack(nn.Module):
    """Convolutions, each with or without normalisation behind it, and activations, as in the stack that it replaces.

    Args:
        layers: the stack, in evaluation mode.
        parts: how many tensors share the input channels of the first, each as many.
    """

    def __init__(self, layers: nn.Sequential, parts: int = 1) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        for layer, behind in zip(layers, [*list(layers)[1:], None], strict=True):
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                norm = behind if isinstance(behind, nn.BatchNorm1d) else None
                self.steps.append(FoldedConvolution(layer, norm, 1 if len(self.steps) else parts))
            elif not isinstance(layer, nn.BatchNorm1d):
                self.steps.append(layer)

    def forward(self, *parts: Tensor) -> Tensor:
        """Parts (b, c, t), any of which may have a batch of one for all, to (b, o, t')."""
        first, *others = self.steps
        x = first(*map(_channels_last, parts))
        for step in others:
            x = step(x)
        return x.squeeze(2).contiguous()
