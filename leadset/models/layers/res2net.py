"""The convolutional encoder shared by STAR (per lead and patch) and MVMS-net (per view)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from leadset.models.layers.masking import masked_max, masked_mean
from leadset.models.layers.stem import Stem

STEM_KERNEL = 25
KERNEL = 15
#: Groups that a block's features are split into: three branches and a bypass.
SCALE = 4


class SplitBlock(nn.Module):
    """Residual block whose features go through three branches and a pooled bypass; halves time.

    After Res2Net (S. Gao et al., 2019), with an attention before the shortcut is added. As published the branches run
    in parallel; ``cascade`` feeds each with its predecessor's output as in Res2Net, for which the stride moves to the
    first 1 × 1 convolution so that lengths agree, and the bypass is then an identity.

    Args:
        inputs, outputs: numbers of features.
        attention: builds the attention module from the number of features.
        cascade: see above.
        halved: ``x`` has been halved already; only with ``cascade``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        attention: Callable[[int], nn.Module],
        cascade: bool = False,
        halved: bool = False,
    ) -> None:
        super().__init__()
        width = outputs * 26 // 64
        self.cascade, self.halved = cascade, halved
        stride = (1, 1) if cascade else (1, 2)
        # Activation before the norm here, after it everywhere else: the published order.
        self.expand = nn.Sequential(
            nn.Conv2d(inputs, SCALE * width, 1, bias=False), nn.Mish(), nn.BatchNorm2d(SCALE * width)
        )
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, (1, KERNEL), stride, (0, KERNEL // 2), bias=False),
                nn.BatchNorm2d(width),
                nn.Mish(),
            )
            for _ in range(SCALE - 1)
        )
        self.bypass = nn.Identity() if cascade else nn.AvgPool2d((1, 3), (1, 2), (0, 1))
        self.merge = nn.Sequential(nn.Conv2d(SCALE * width, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.attention = attention(outputs)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.activation = nn.Mish()

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, 1, t) to (b, f', 1, ⌈t/2⌉), or to (b, f', 1, t) where it has been halved."""
        # The stride of a 1 × 1 convolution, taken before it: oneDNN's strided kernel corrupts memory in its backward
        # pass for narrow tensors with features innermost (PyTorch 2.13 at 8 features, 3 recordings, 2 threads).
        halved = x if self.halved else x[..., ::2]
        *groups, bypass = self.expand(halved if self.cascade else x).chunk(SCALE, 1)
        outputs: list[Tensor] = []
        for branch, group in zip(self.branches, groups, strict=True):
            outputs.append(branch(group + outputs[-1] if self.cascade and outputs else group))
        out = self.merge(torch.cat([*outputs, self.bypass(bypass)], 1))
        return self.activation(self.attention(out) + self.shortcut(halved))


class TemporalEncoder(nn.Module):
    """Stem convolution, `SplitBlock`s, mean over time.

    With ``cascade`` the first block reads every other position of the stem alone, so that the stem computes no others.

    Args:
        channels: input channels l.
        widths: features of the stem, then of each block.
        attention: builds a block's attention from its number of features.
        cascade: see `SplitBlock`.
        peaks: gives the maximum over time behind the mean, and with it twice as many features.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        attention: Callable[[int], nn.Module],
        cascade: bool = False,
        peaks: bool = False,
    ) -> None:
        super().__init__()
        self.peaks, self.features = peaks, widths[-1] * (1 + peaks)
        self.stem = Stem(
            nn.Conv2d(channels, widths[0], (1, STEM_KERNEL), (1, 2) if cascade else 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.Mish(),
        )
        self.blocks = nn.Sequential(
            *(
                SplitBlock(f_in, f_out, attention, cascade, halved=cascade and i == 0)
                for i, (f_in, f_out) in enumerate(pairwise(widths))
            )
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features (b, f) of ``x`` (b, l, t), t ≥ 25.

        Mean and maximum run over the positions whose centre is a real sample by ``mask`` (b, t); the convolutions
        before see padding as the zeros it is made of.
        """
        x = self.blocks(self.stem(x.unsqueeze(2))).squeeze(2)
        if mask is not None:
            margin = STEM_KERNEL // 2
            mask = mask[:, margin : mask.shape[1] - margin : 2 ** len(self.blocks)]
        mean = masked_mean(x, mask)
        return torch.cat([mean, masked_max(x, mask)], 1) if self.peaks else mean
