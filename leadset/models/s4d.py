"""S4D: a network of diagonal state space layers."""

from __future__ import annotations

from torch import Tensor, nn

from leadset.models.layers.diagonal_ssm import DiagonalSSM
from leadset.models.layers.masking import apply_mask, masked_mean
from leadset.models.layers.options import check_layers
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform


class ResidualLayer(nn.Module):
    """Batch normalisation, a state space layer and dropout beside a shortcut."""

    def __init__(self, width: int, states: int, bidirectional: bool, initialisation: str, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.layer = DiagonalSSM(width, states, bidirectional, initialisation, dropout)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Features (b, f, t) and mask (b, t) to features (b, f, t)."""
        return x + apply_mask(self.dropout(self.layer(apply_mask(self.norm(x), mask))), mask)


@register_model(
    "s4d",
    title="S4D",
    citation="A. Gu, A. Gupta, K. Goel, C. Ré: On the parameterization and initialization of diagonal state space "
    "models. NeurIPS, 2022; for ECGs T. Mehari, N. Strodthoff: Towards quantitative precision for ECG analysis. IEEE "
    "Journal of Biomedical and Health Informatics, 2023",
    after="Gu et al., NeurIPS 2022",
    url="https://arxiv.org/abs/2206.11893",
    reduced={"width": 16, "layers": 2, "states": 4, "samples": 200, "kernel": 3, "stride": 2},
)
class S4D(nn.Module):
    """A convolution that adds up the leads, state space layers with shortcuts, the mean over time, one linear layer.

    Departs from the papers: 10-s windows instead of 2.5-s ones, with padding masked; the step sizes start evenly spaced
    (in logarithm) instead of at random; step sizes and poles are learnt at a tenth of the learning rate.

    Padding: activations behind a recording's end are zero before and after every layer, and the mean leaves them out,
    so that a padded recording has the output of the unpadded one.

    Args:
        leads: lead names; only their number matters to the network.
        n_classes: number of logits.
        width: features (512 as published).
        layers: state space layers.
        states: poles per feature.
        bidirectional: layers filter backwards in time too.
        initialisation: ``"lin"`` (S4D-Lin) or ``"inv"`` (S4D-Inv).
        dropout: share of features that are dropped in and after every layer, each at all times.
        kernel, stride: of the convolution that adds up the leads (1 and 1 as published).
        samples: window length at 100 Hz; the weights do not depend on it.

    Raises:
        ValueError: an even kernel, a kernel shorter than its stride, or no window.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        n_classes: int,
        *,
        width: int = 512,
        layers: int = 4,
        states: int = 8,
        bidirectional: bool = True,
        initialisation: str = "lin",
        dropout: float = 0.2,
        kernel: int = 1,
        stride: int = 1,
        samples: int = 1000,
    ) -> None:
        super().__init__()
        if stride < 1 or kernel < stride or kernel % 2 == 0:
            raise ValueError(f"kernel={kernel} with stride={stride}: expected an odd kernel that is no shorter")
        check_layers("layers", layers)
        self.input_spec = InputSpec(Transform(rate=100), samples)
        self.stride = stride
        self.stem = nn.Conv1d(len(leads), width, kernel, stride, kernel // 2, bias=False)
        self.lead_axes = {"stem.weight": 1}
        self.norm = nn.BatchNorm1d(width)
        self.layers = nn.ModuleList(
            ResidualLayer(width, states, bidirectional, initialisation, dropout) for _ in range(layers)
        )
        self.fc = nn.Linear(width, n_classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Signals (b, l, t) in mV and mask (b, t) to logits (b, k)."""
        mask = None if mask is None else mask[:, :: self.stride]
        x = apply_mask(self.norm(self.stem(x)), mask)
        for layer in self.layers:
            x = layer(x, mask)
        return self.fc(masked_mean(x, mask))
