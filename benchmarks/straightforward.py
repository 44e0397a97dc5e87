"""The architectures as their descriptions read, layer by layer, for comparison with the kit's faster forms.

Same parameters, same function up to rounding: `straightforward` turns a model of the kit into this form.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadset.models.layers.attention import CoordinateAttention, ShuffleAttention
from leadset.models.layers.kan import KANLinear
from leadset.models.layers.lead_conv import LeadConv2d, LeadConvTranspose2d
from leadset.models.layers.masking import masked_mean
from leadset.models.layers.mish import Mish
from leadset.models.layers.res2net import SCALE, SplitBlock, TemporalEncoder
from leadset.models.resunet_lc import ResUNetLC


class PlainMish(Mish):
    """PyTorch's own Mish."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return F.mish(x)


class PlainShuffleAttention(ShuffleAttention):
    """Every intermediate signal built and every group folded into the batch."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, 1, t) to the same shape."""
        b, features, _, time = x.shape
        group = x.reshape(b * self.groups, -1, 1, time)
        mean, peak = group.mean(3).squeeze(2), group.amax(3).squeeze(2)
        gate = self.restore(self.reduce(mean).relu()) + self.restore(self.reduce(peak).relu())
        normed = self.norm(group * gate.sigmoid()[:, :, None, None])
        share = self.conv(group).mean((2, 3)).softmax(1)
        weight = (share[:, :, None, None] * normed).sum(1, keepdim=True)
        out = (group * weight.sigmoid()).reshape(b, features, 1, time)
        return out.reshape(b, 2, -1, 1, time).transpose(1, 2).reshape(b, features, 1, time)


class PlainCoordinateAttention(CoordinateAttention):
    """Mean token and time tokens concatenated before the shared layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, 1, t) to the same shape."""
        tokens = self.norm(self.reduce(torch.cat([x.mean(3, keepdim=True), x], 3)))
        tokens = tokens * F.relu6(tokens + 3) / 6
        token, time = tokens.split([1, x.shape[3]], 3)
        return x * self.channel_gate(token).sigmoid() * self.time_gate(time).sigmoid()


class PlainKANLinear(KANLinear):
    """Bases by the Cox–de Boor recursion."""

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


class PlainSplitBlock(SplitBlock):
    """The stride inside the shortcut's convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, 1, t) to (b, f', 1, ⌈t/2⌉), branches in parallel."""
        *groups, bypass = self.expand(x).chunk(SCALE, 1)
        branches = [branch(group) for branch, group in zip(self.branches, groups, strict=True)]
        out = self.attention(self.merge(torch.cat([*branches, self.bypass(bypass)], 1)))
        conv, norm = self.shortcut
        return self.activation(out + norm(F.conv2d(x, conv.weight, conv.bias, (1, 2))))


class PlainTemporalEncoder(TemporalEncoder):
    """Signals with time innermost in memory."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(b, c, t) to (b, f), without a mask."""
        return masked_mean(self.blocks(self.stem(x.unsqueeze(2).contiguous())).squeeze(2), None)


class PlainLeadConv2d(LeadConv2d):
    """PyTorch's own convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f', l, t / stride)."""
        return nn.Conv2d.forward(self, x)


class PlainLeadConvTranspose2d(LeadConvTranspose2d):
    """PyTorch's own transposed convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f', l, 2 t)."""
        return nn.ConvTranspose2d.forward(self, x)


class PlainResUNetLC(ResUNetLC):
    """Images with time innermost in memory."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(b, l, t) to (b, k)."""
        return self.classifier(self.pool(self.blocks(self.stem(x.unsqueeze(1 if self.leads_as_rows else 2)))))


PLAIN_FORMS: tuple[type[nn.Module], ...] = (
    PlainMish,
    PlainShuffleAttention,
    PlainCoordinateAttention,
    PlainKANLinear,
    PlainSplitBlock,
    PlainTemporalEncoder,
    PlainLeadConv2d,
    PlainLeadConvTranspose2d,
    PlainResUNetLC,
)


def straightforward(model: nn.Module) -> nn.Module:
    """A copy of ``model`` with every layer in its straightforward form; weights are equal, not shared."""
    plain = {form.__base__: form for form in PLAIN_FORMS}
    model = copy.deepcopy(model)
    for module in model.modules():
        module.__class__ = plain.get(type(module), type(module))
    return model
