"""The convolutional network of the heartMAASters entry to the Challenge 2021, as published."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from leadset.models.layers.heartmaasters import DROPOUT, NORMS, RECEPTIVE_FIELD, ConvStages, glorot, length_after
from leadset.models.layers.options import one_of
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform


@register_model(
    "cnn_heartmaasters",
    title="heartMAASters CNN",
    citation="heartMAASters: Multi-label classification on 12, 6, 4, 3 and 2 lead electrocardiography signals using "
    "convolutional recurrent neural networks. Computing in Cardiology 48, 2021, IEEE Xplore 9662725",
    after="Computing in Cardiology 2021",
    url="https://ieeexplore.ieee.org/document/9662725",
    reduced={"width": 4, "rate": 100, "seconds": 6},
)
class HeartMAASters(nn.Module):
    """The network of the entry's code: seven unpadded convolutions, their flattened output through two dense layers.

    Its paper describes a dual-branch recurrent network instead, which the code does not contain; see `crnn_pqrst`.
    Departs from the code: logits instead of probabilities; the 26 merged classes instead of every code found in the
    training headers; random windows in training and averaged ones at test instead of the first 10 s only. As
    published: millivolts without scaling, and padding of zeros without a mask (``mask`` is ignored).

    Args:
        leads: lead names; only their number matters to the network.
        n_classes: number of logits.
        width: channels of the first stage, 32 as published; everything else but the logits grows with it.
        rate: sampling rate of the input in Hz (500 as published).
        seconds: window length.
        filter: name of the filter (`leadset.preprocess.FILTERS`).
        norm: ``"none"`` as published, or ``"batch"`` after every convolution.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        n_classes: int,
        *,
        width: int = 32,
        rate: int = 500,
        seconds: float = 10.0,
        filter: str = "heartmaasters",
        norm: str = "none",
    ) -> None:
        super().__init__()
        samples = round(rate * seconds)
        if samples < RECEPTIVE_FIELD:
            raise ValueError(f"{seconds} s at {rate} Hz are {samples} samples: expected at least {RECEPTIVE_FIELD}")
        self.input_spec = InputSpec(Transform(rate, filter), samples)
        self.stages = ConvStages(len(leads), width, one_of("norm", norm, NORMS) == "batch")
        self.lead_axes = {"stages.0.weight": 1}
        self.dense1 = nn.Linear(4 * width * length_after(samples), 8 * width)
        self.dropout = nn.Dropout(DROPOUT)
        self.dense2 = nn.Linear(8 * width, 4 * width)
        self.classifier = nn.Linear(4 * width, n_classes)
        self.apply(glorot)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Signals (b, l, t) in mV to logits (b, k)."""
        x = self.stages(x).transpose(1, 2).flatten(1)  # time-major, as the weights of a Keras model have it
        x = self.dropout(F.relu(self.dense1(x)))
        return self.classifier(F.relu(self.dense2(x)))
