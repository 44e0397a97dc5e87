"""Features of a network that has learned nothing: what a linear layer on them reaches is no merit of training.

The weights are drawn (He et al., ICCV 2015, uniform) from the bits of a PCG64 generator, which NumPy keeps the same in
all versions: a trained entry needs no more than its linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod, sqrt

import numpy as np
import torch
from torch import nn

from leadset.models import create_model
from leadset.models.embedding import Embedder
from leadset.models.prediction import mean_features, predict
from leadset.preprocess import InputSpec, Transform

#: The network, at the size of the weights that ship; what it looks at; the number of its features.
NETWORK, OPTIONS = "resnet34", {"width": 16, "rate": 100}
SPEC = InputSpec(Transform(100), 1000)
FEATURES = 256
SEED = 2021


@cache
def random_encoder(leads: tuple[str, ...]) -> Embedder:
    """The network on these leads, in evaluation mode."""
    model = create_model(NETWORK, leads, 1, **OPTIONS)
    bits = np.random.PCG64(SEED)
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            shape = tuple(module.weight.shape)
            limit = sqrt(6 / prod(shape[1:]))
            uniform = (bits.random_raw(prod(shape)) >> 11) * 2.0**-53
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy((limit * (2 * uniform - 1)).reshape(shape)))
    return Embedder(model).eval()


def random_features(samples: np.ndarray, statistics: np.ndarray, leads: Sequence[str]) -> np.ndarray:
    """Features (256,) of a prepared recording, the mean over its windows."""
    encoder = random_encoder(tuple(leads))
    return next(predict(encoder, [(samples, statistics)], leads, SPEC, finish=mean_features))
