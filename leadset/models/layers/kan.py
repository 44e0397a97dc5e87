"""Kolmogorov–Arnold linear layer: a learnable function of one variable on every edge.

Z. Liu et al., "KAN: Kolmogorov–Arnold Networks", 2024, in the form STAR uses: cubic splines on fixed uniform knots.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cubic_bases(x: Tensor, grid: int) -> Tensor:
    """The ``grid + 3`` cubic B-splines on uniform knots with ``grid`` cells over [−1, 1].

    They sum to 1 inside [−1, 1], fade over three cells on either side and are 0 beyond. On uniform knots the
    Cox–de Boor recursion has a closed form: with u the distance to a spline's centre in cells,
    B = ((2 − u)₊³ − 4 (1 − u)₊³) / 6.

    Args:
        x: any shape.

    Returns:
        Shape of ``x`` plus one dimension of ``grid + 3``.
    """
    cell = 2 / grid
    centres = torch.arange(grid + 3, dtype=x.dtype, device=x.device).sub_(1).mul_(cell).sub_(1)
    u = ((x.unsqueeze(-1) - centres) / cell).abs()
    return ((2 - u).relu().pow(3) - 4 * (1 - u).relu().pow(3)) / 6


class KANLinear(nn.Module):
    """y_o = Σ_i base[o,i] · SiLU(x_i) + Σ_i scale[o,i] · Σ_k spline[o,i,k] · B_k(x_i), without bias.

    Has in · out · (grid + 5) parameters. Outside the knots only the SiLU term acts.

    Args:
        inputs, outputs: feature widths.
        grid: number of spline cells over [−1, 1].
    """

    def __init__(self, inputs: int, outputs: int, grid: int = 5) -> None:
        super().__init__()
        self.grid = grid
        self.base = nn.Parameter(torch.empty(outputs, inputs))
        self.scale = nn.Parameter(torch.empty(outputs, inputs))
        self.spline = nn.Parameter(torch.empty(outputs, inputs, grid + 3))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Base and scale uniform in ±1/√in; splines through noise of ±0.05/grid at the inner knots (minimum norm)."""
        outputs, inputs = self.base.shape
        bound = 1 / math.sqrt(inputs)
        nn.init.uniform_(self.base, -bound, bound)
        nn.init.uniform_(self.scale, -bound, bound)
        knots = torch.linspace(-1, 1, self.grid + 1)
        noise = torch.empty(outputs, inputs, self.grid + 1).uniform_(-0.05 / self.grid, 0.05 / self.grid)
        self.spline.copy_(noise @ torch.linalg.pinv(cubic_bases(knots, self.grid)).T)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) to (…, out)."""
        spline = (self.spline * self.scale.unsqueeze(-1)).flatten(1)
        return F.linear(F.silu(x), self.base) + F.linear(cubic_bases(x, self.grid).flatten(-2), spline)
