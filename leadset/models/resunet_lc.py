"""ResUNet-LC: residual U-shaped blocks on the leads × time image, and a lead combiner."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leadset.models.layers.options import one_of
from leadset.models.layers.stem import Stem
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform

DEPTHS = (6, 5, 4, 3)
STEM_KERNEL = 15
#: Kernels of the blocks: leads and samples.
ROWS, TAPS = 3, 9
SLOPE = 0.01
#: The innermost layers of every block see 1/128 of the window.
MULTIPLE = 128
VARIANTS = ("resunet_lc", "res2d_lc", "res2d_maxpool", "res1d_maxpool")


def conv_norm(f_in: int, f_out: int, rows: int, taps: int, stride: int = 1) -> nn.Sequential:
    """Bias-free convolution over ``rows`` leads and ``taps`` samples, norm, LeakyReLU."""
    conv = nn.Conv2d(f_in, f_out, (rows, taps), (1, stride), (rows // 2, taps // 2), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(f_out), nn.LeakyReLU(SLOPE, inplace=True))


def double_time(f_in: int, f_out: int) -> nn.Sequential:
    """Bias-free transposed convolution of stride 2 along time, norm, LeakyReLU."""
    padding = (ROWS // 2, TAPS // 2)
    conv = nn.ConvTranspose2d(f_in, f_out, (ROWS, TAPS), (1, 2), padding, output_padding=(0, 1), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(f_out), nn.LeakyReLU(SLOPE, inplace=True))


def halve_time(features: int) -> nn.Sequential:
    """Average of neighbouring samples, then a mixing of features."""
    return nn.Sequential(nn.AvgPool2d((1, 2)), nn.Conv2d(features, features, 1, bias=False))


class ResUBlock(nn.Module):
    """A U-Net of ``depth`` halvings along time around its own entry convolution; then time is halved.

    Args:
        features: numbers of features outside; half as many inside.
        depth: number of encoder and decoder steps.
    """

    def __init__(self, features: int, depth: int) -> None:
        super().__init__()
        inner = features // 2
        self.entry = conv_norm(features, features, ROWS, TAPS)
        self.encoder = nn.ModuleList(
            conv_norm(inner if k else features, inner, ROWS, TAPS, stride=2) for k in range(depth)
        )
        self.bottleneck = conv_norm(inner, inner, ROWS, TAPS)
        self.decoder = nn.ModuleList(double_time(2 * inner, inner if k < depth - 1 else features) for k in range(depth))
        self.down = halve_time(features)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f, l, t/2)."""
        entry = x = self.entry(x)
        skips = []
        for step in self.encoder:
            x = step(x)
            skips.append(x)
        x = self.bottleneck(x)
        for step in self.decoder:
            x = step(torch.cat([x, skips.pop()], 1))
        return self.down(x + entry)


class ResidualBlock(nn.Module):
    """Ablation of `ResUBlock`: two convolutions, the first of which halves time, beside a halving shortcut."""

    def __init__(self, features: int, rows: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv_norm(features, features, rows, TAPS, stride=2), conv_norm(features, features, rows, TAPS)
        )
        self.shortcut = halve_time(features)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f, l, t/2)."""
        return self.convs(x) + self.shortcut(x)


class LeadCombiner(nn.Module):
    """Mixes all leads twice, into features over time and, together with time, into features over channels; of each
    the maximum is kept.

    Departs from the released code: the second branch has leads · samples inputs. There both have as many, which fits a
    single window length.

    Args:
        features: features per lead and sample, and of each of the two results.
        leads, samples: size of the image.
    """

    def __init__(self, features: int, leads: int, samples: int) -> None:
        super().__init__()
        self.time_domain = self._branch(features * leads, features)
        self.channel_domain = self._branch(samples * leads, features)

    @staticmethod
    def _branch(f_in: int, f_out: int) -> nn.Sequential:
        # Dropout before a maximum shifts that maximum between training and test; kept as published.
        return nn.Sequential(
            nn.Conv1d(f_in, f_out, 1, bias=False), nn.BatchNorm1d(f_out), nn.LeakyReLU(SLOPE), nn.Dropout(0.5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, 2 f)."""
        over_time = self.time_domain(x.flatten(1, 2))  # (b, f·l, t)
        over_features = self.channel_domain(x.permute(0, 3, 2, 1).flatten(1, 2))  # (b, t·l, f)
        return torch.cat([over_time.amax(2), over_features.amax(2)], 1)


class GlobalMax(nn.Module):
    """Ablation of `LeadCombiner`: dropout and the maximum over leads and time."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f)."""
        return self.dropout(x).amax((2, 3))


@register_model(
    "resunet_lc",
    title="ResUNet-LC",
    citation="S. Hwang, J. Cha et al.: Multi-label abnormality classification from 12-lead ECG using a 2D residual "
    "U-Net. ICASSP 2024, IEEE Xplore 10448259",
    after="Hwang et al., ICASSP 2024",
    url="https://ieeexplore.ieee.org/document/10448259",
    reduced={"width": 8, "samples": 256},
)
class ResUNetLC(nn.Module):
    """ResUNet-LC: four residual U-shaped blocks on the image of leads × time, a lead combiner, one linear layer.

    Departs from the released code, which accepts one window length and twelve leads only: the size of the lead combiner
    follows from the input, and leads are found by name. A smaller ``width`` or ``samples`` is a preset of this kit, not
    of the paper.

    Padding: ``mask`` is ignored, as published: the lead combiner has a weight for every position in the window, and the
    zeros behind a short recording count in batch norms and maxima.

    Args:
        leads: lead names; kernels cover three neighbours in this order.
        n_classes: number of logits.
        width: features outside the blocks, 128 as published; half as many inside.
        samples: window length, a multiple of 128.
        rate: sampling rate of the input in Hz (500 as published).
        variant: ``"resunet_lc"``, or an ablation of the paper: ``"res2d_lc"`` (plain residual blocks),
            ``"res2d_maxpool"`` (and no lead combiner), ``"res1d_maxpool"`` (and leads as input channels). The two
            two-dimensional ablations crash as released.

    Raises:
        ValueError: window length or width that the network cannot be built for.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        n_classes: int,
        *,
        width: int = 128,
        samples: int = 4096,
        rate: int = 500,
        variant: str = "resunet_lc",
    ) -> None:
        super().__init__()
        if samples < MULTIPLE or samples % MULTIPLE:
            raise ValueError(f"samples is {samples}: expected a multiple of {MULTIPLE}, such as 4096 or 5120")
        if width < 2 or width % 2:
            raise ValueError(f"width is {width}: expected an even number")
        one_of("variant", variant, VARIANTS)
        self.input_spec = InputSpec(Transform(rate), samples=samples, scaling="lead")
        self.leads_as_rows = variant != "res1d_maxpool"
        rows = ROWS if self.leads_as_rows else 1
        self.stem = Stem(*conv_norm(1 if self.leads_as_rows else len(leads), width, rows, STEM_KERNEL, stride=2))
        self.blocks = nn.Sequential(
            *(ResUBlock(width, depth) if variant == "resunet_lc" else ResidualBlock(width, rows) for depth in DEPTHS)
        )
        combined = variant.endswith("lc")
        self.pool = LeadCombiner(width, len(leads), samples // 32) if combined else GlobalMax()
        self.classifier = nn.Linear(2 * width if combined else width, n_classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``x`` (b, l, t) to logits (b, k); ``mask`` (b, t) is accepted and ignored."""
        if x.shape[-1] != self.input_spec.samples:
            raise ValueError(f"window of {x.shape[-1]} samples: this network was built for {self.input_spec.samples}")
        x = x.unsqueeze(1 if self.leads_as_rows else 2)  # (b, 1, l, t) or (b, l, 1, t)
        return self.classifier(self.pool(self.blocks(self.stem(x))))
