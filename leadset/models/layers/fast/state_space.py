"""S4D's filters, with what PyTorch's Fourier transforms do twice done once."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leadset.models.layers.diagonal_ssm import DiagonalSSM, wrapped


def transform_length(shortest: int) -> int:
    """The next power of two, or three times one: transforms of 512 samples take two thirds of the time of 500."""
    power = 1 << (shortest - 1).bit_length()
    return min(length for length in (3 * power // 4, power) if length >= shortest)


class _Filtered(torch.autograd.Function):
    """Channels (b, f, t), each convolved on a circle with a response (f, n).

    The gradient of `torch.fft.rfft` is a complex transform of a spectrum that is half zeros; here it is a real one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, response: Tensor) -> Tensor:
        ctx.length = response.shape[-1]
        spectrum, transfer = torch.fft.rfft(x, ctx.length), torch.fft.rfft(response)
        y = torch.fft.irfft(spectrum * transfer, ctx.length)[..., : x.shape[-1]]
        ctx.save_for_backward(spectrum.conj_physical_(), transfer.conj_physical_())
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        spectrum, transfer = ctx.saved_tensors
        error = torch.fft.rfft(gradient, ctx.length)
        of_response = torch.fft.irfft((error * spectrum).sum(0), ctx.length)
        of_x = torch.fft.irfft(error.mul_(transfer), ctx.length)
        return of_x[..., : gradient.shape[-1]], of_response


class SpectralSSM(DiagonalSSM):
    """`DiagonalSSM` whose direct path is part of the impulse response, at a length that transforms fast.

    Once differentiable. A graph that is exported has the layer's own form.
    """

    def filtered(self, x: Tensor) -> Tensor:
        """Channels (b, f, t), each through its system and past it."""
        if torch.compiler.is_exporting():
            return super().filtered(x)
        length, precise = x.shape[-1], torch.promote_types(x.dtype, torch.float32)
        response = wrapped(self.kernel(length), transform_length(2 * length))
        response = response + F.pad(self.direct[:, None], (0, response.shape[-1] - 1))
        return _Filtered.apply(x.to(precise), response.to(precise)).to(x.dtype)
