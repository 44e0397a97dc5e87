"""Features of frozen networks, for linear probes: of those that ship, and of one that has learned nothing.

What a linear layer on the features of a random network reaches is no merit of training. The weights of that one are
drawn (He et al., ICCV 2015, uniform) from the bits of a PCG64 generator, which NumPy keeps the same in all versions. A
trained probe of weights that ship keeps their digest, as it answers with these alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from math import prod, sqrt
from pathlib import Path

import numpy as np
import torch
from torch import nn

from leadset.leads import LEADS
from leadset.models import create_model
from leadset.models.embedding import Embedder
from leadset.models.extra_inputs import missing_inputs
from leadset.models.prediction import mean_features, predict
from leadset.models.shipped import FOLDER, SIMULATED, load_shipped
from leadset.preprocess import InputSpec, Transform

#: Where the weights of a network are: those that ship, those of simulation alone, and those that are drawn.
SHIPPED_WEIGHTS, SIMULATED_WEIGHTS, RANDOM_WEIGHTS = "shipped", "simulated", "random"
_FOLDERS = {SHIPPED_WEIGHTS: FOLDER, SIMULATED_WEIGHTS: SIMULATED}
#: The random network, at the size of the weights that ship; what it looks at; the seed of its weights.
NETWORK, OPTIONS, SEED = "resnet34", {"width": 16, "rate": 100}, 2021
_RANDOM_SPEC = InputSpec(Transform(100), 1000)


def weights_file(network: str, weights: str) -> Path:
    """The file of the weights of a network.

    Raises:
        ValueError: no such weights.
    """
    if weights not in _FOLDERS:
        raise ValueError(f"found weights {weights!r} for a probe of {network}, expected {' or '.join(_FOLDERS)}")
    return _FOLDERS[weights] / f"{network}.safetensors"


@cache
def digest(network: str, weights: str) -> str:
    """Digest of the weights of a network; errors as in `weights_file`."""
    return blake2b(weights_file(network, weights).read_bytes(), digest_size=8).hexdigest()


@cache
def encoder(network: str, weights: str, leads: tuple[str, ...]) -> Embedder:
    """A network on these leads that gives its last features, in evaluation mode."""
    if weights != RANDOM_WEIGHTS:
        model = load_shipped(network, leads, folder=weights_file(network, weights).parent)
        return Embedder(model).eval()
    model = create_model(network, leads, 1, **OPTIONS)
    bits = np.random.PCG64(SEED)
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            shape = tuple(module.weight.shape)
            limit = sqrt(6 / prod(shape[1:]))
            uniform = (bits.random_raw(prod(shape)) >> 11) * 2.0**-53
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy((limit * (2 * uniform - 1)).reshape(shape)))
    return Embedder(model).eval()


@cache
def input_of(network: str, weights: str) -> InputSpec:
    """How recordings are prepared for a network."""
    if weights == RANDOM_WEIGHTS:
        return _RANDOM_SPEC
    return load_shipped(network, LEADS, folder=weights_file(network, weights).parent).input_spec


@cache
def feature_count(network: str, weights: str, leads: tuple[str, ...]) -> int:
    """Number of features of a network on these leads."""
    spec = input_of(network, weights)
    extra = {name: torch.from_numpy(values) for name, values in missing_inputs(spec, len(leads), 1).items()}
    with torch.inference_mode():
        return encoder(network, weights, leads)(torch.zeros(1, len(leads), spec.samples), None, **extra).shape[1]


def encoded(network: str, weights: str, inputs: Iterable[tuple], leads: Sequence[str]) -> Iterator[np.ndarray]:
    """Features (f,) of prepared recordings, the mean over the windows of each."""
    spec, leads = input_of(network, weights), tuple(leads)
    return predict(encoder(network, weights, leads), inputs, leads, spec, finish=mean_features)
