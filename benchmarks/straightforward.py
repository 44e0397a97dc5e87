"""The architectures as their descriptions read, layer by layer, for comparison with the kit's faster forms.

Same parameters, same function up to rounding: `straightforward` turns a model of the kit into this form.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadset.models.layers.fast import use_published_forms
from leadset.models.layers.kan import KANLinear


class RecursiveKANLinear(KANLinear):
    """Bases by the Cox–de Boor recursion, of which the kit takes the closed form."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) to (…, out)."""
        cell = 2 / self.grid
        knots = torch.arange(-3, self.grid + 4, dtype=x.dtype, device=x.device) * cell - 1
        x_ = x.unsqueeze(-1)
        bases = ((x_ >= knots[:-1]) & (x_ < knots[1:])).to(x.dtype)
        for order in (1, 2, 3):
            rising = (x_ - knots[: -order - 1]) / (order * cell) * bases[..., :-1]
            falling = (knots[order + 1 :] - x_) / (order * cell) * bases[..., 1:]
            bases = rising + falling
        weight = (self.spline * self.scale.unsqueeze(-1)).flatten(1)
        return F.linear(F.silu(x), self.base) + F.linear(bases.flatten(-2), weight)


def straightforward(model: nn.Module) -> nn.Module:
    """A copy of ``model`` with every layer in its straightforward form; weights are equal, not shared."""
    model = use_published_forms(copy.deepcopy(model))
    for module in model.modules():
        if type(module) is KANLinear:
            module.__class__ = RecursiveKANLinear
    return model
