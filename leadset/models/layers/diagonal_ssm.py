"""A diagonal state space layer (S4D): every channel is filtered by the impulse response of a small linear system."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leadset.models.layers.options import one_of

#: Step sizes of the channels at the start, logarithmically spaced between these (`dt_min`, `dt_max` of the paper).
SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1
INITIALISATIONS: tuple[str, ...] = ("lin", "inv")
# Step sizes and poles are learnt as their start plus this times a weight that starts at zero. An optimiser that moves
# every weight at one rate so moves them at a tenth of it, and weight decay pulls them to their start, not to zero.
_SLOW = 0.1


def initial_frequencies(modes: int, initialisation: str) -> Tensor:
    """Imaginary parts (n,) of the poles: S4D-Lin, pi n; or S4D-Inv, N / pi (N / (2 n + 1) - 1) with N = 2 n_modes."""
    n, states = torch.arange(modes), 2 * modes
    return math.pi * n if initialisation == "lin" else states / math.pi * (states / (2 * n + 1) - 1)


class DiagonalKernel(nn.Module):
    """Impulse responses of diagonal systems x' = A x + u, y = 2 Re(C x), sampled by a zero-order hold.

    One of each conjugate pair of poles is kept. Numbers are real throughout: a decay, a cosine and a sine.

    Args:
        channels: number of systems.
        states: poles of each, conjugate ones included.
        directions: impulse responses per system, which share the poles.
        initialisation: one of `INITIALISATIONS`.
    """

    def __init__(self, channels: int, states: int, directions: int, initialisation: str) -> None:
        super().__init__()
        modes = states // 2
        low, high = math.log(SHORTEST_STEP), math.log(LONGEST_STEP)
        self.register_buffer("start_step", torch.linspace(low, high, channels), persistent=False)
        self.register_buffer("start_frequency", initial_frequencies(modes, initialisation), persistent=False)
        self.step = nn.Parameter(torch.zeros(channels))
        self.decay = nn.Parameter(torch.zeros(channels, modes))
        self.frequency = nn.Parameter(torch.zeros(channels, modes))
        self.output = nn.Parameter(torch.randn(directions, channels, modes, 2) * math.sqrt(0.5))

    def forward(self, length: int) -> Tensor:
        """Impulse responses (d, f, length)."""
        step = (self.start_step + _SLOW * self.step).exp()[:, None]
        real = -0.5 * (_SLOW * self.decay).exp()  # of A, always negative: the systems are stable
        imaginary = self.start_frequency + _SLOW * self.frequency
        # (exp(A step) - 1) / A, the zero-order hold of B = 1.
        grown = (real * step).exp()
        up, across = grown * (imaginary * step).cos() - 1, grown * (imaginary * step).sin()
        square = real.square() + imaginary.square()
        held = (up * real + across * imaginary) / square, (across * real - up * imaginary) / square
        weight = self.output[..., 0] * held[0] - self.output[..., 1] * held[1]
        turned = self.output[..., 0] * held[1] + self.output[..., 1] * held[0]
        time = step * torch.arange(length, device=step.device, dtype=step.dtype)  # (f, t)
        envelope = torch.exp(real[..., None] * time[:, None])
        angle = imaginary[..., None] * time[:, None]
        cosine, sine = envelope * angle.cos(), envelope * angle.sin()  # (f, n, t)
        return 2 * (torch.einsum("dfn,fnt->dft", weight, cosine) - torch.einsum("dfn,fnt->dft", turned, sine))


def wrapped(responses: Tensor, length: int) -> Tensor:
    """Impulse responses (d, f, t) as one (f, length) of a circle, on whose end the lags backwards are."""
    room = length - responses.shape[-1]
    response = F.pad(responses[0], (0, room))
    return response if len(responses) == 1 else response + F.pad(responses[1].flip(-1), (room, 0))


def long_convolution(x: Tensor, responses: Tensor) -> Tensor:
    """Channels (b, f, t), each filtered by its impulse responses (d, f, t).

    The first acts forwards in time, a second one backwards, from the sample after. By the Fourier transform; in a graph
    that is exported, as one convolution per channel, for which runtimes need no complex numbers.
    """
    length = x.shape[-1]
    if torch.compiler.is_exporting():
        lags = responses[0] if len(responses) == 1 else torch.cat([responses[1].flip(-1), responses[0]], dim=-1)
        padded = F.pad(x, (length - 1, 0 if len(responses) == 1 else length))
        return F.conv1d(padded, lags.flip(-1)[:, None], groups=x.shape[1])
    precise = torch.promote_types(x.dtype, torch.float32)
    response = wrapped(responses, 2 * length).to(precise)
    spectrum = torch.fft.rfft(x.to(precise), 2 * length) * torch.fft.rfft(response)
    return torch.fft.irfft(spectrum, 2 * length)[..., :length].to(x.dtype)


class DiagonalSSM(nn.Module):
    """Filtered channels and a direct path, GELU, dropout, and a gated linear unit that mixes channels.

    Args:
        channels: features in and out.
        states: poles per channel, an even number.
        bidirectional: filters backwards in time too.
        initialisation: of the poles.
        dropout: share of features that are dropped, each at all times (as in the authors' code).

    Raises:
        ValueError: an odd number of states, or no such initialisation.
    """

    def __init__(self, channels: int, states: int, bidirectional: bool, initialisation: str, dropout: float) -> None:
        super().__init__()
        if states < 2 or states % 2:
            raise ValueError(f"states is {states}: expected an even number from 2, as poles come in pairs")
        one_of("initialisation", initialisation, INITIALISATIONS)
        self.kernel = DiagonalKernel(channels, states, 2 if bidirectional else 1, initialisation)
        self.direct = nn.Parameter(torch.randn(channels))
        self.dropout = nn.Dropout1d(dropout)
        self.mix = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (b, f, t) to features (b, f, t); padding has to be zero."""
        return F.glu(self.mix(self.dropout(F.gelu(self.filtered(x)))), dim=1)

    def filtered(self, x: Tensor) -> Tensor:
        """Channels (b, f, t), each through its system and past it."""
        return long_convolution(x, self.kernel(x.shape[-1])) + self.direct[:, None] * x
