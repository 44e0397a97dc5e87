"""Faster forms of layers, beside those of `leadset.models.layers` that read like the papers.

A fast form is a subclass with the same weights, the same names and the same function up to rounding; one test compares
each with its layer (tests/test_fast_layers.py), and each makes a preset of `leadset.toml` faster on a CPU.
`leadset.create_model` builds networks of them; whoever builds an architecture's class itself gets the published layers.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from leadset.models.layers.attention import ShuffleAttention
from leadset.models.layers.cross_attention import CrossAttention
from leadset.models.layers.diagonal_ssm import DiagonalSSM
from leadset.models.layers.fast.attention import FusedShuffleAttention
from leadset.models.layers.fast.cross_attention import SharedCrossAttention
from leadset.models.layers.fast.layout import ChannelsLastStem
from leadset.models.layers.fast.mish import BlockwiseMish
from leadset.models.layers.fast.state_space import SpectralSSM
from leadset.models.layers.stem import Stem

_Module = TypeVar("_Module", bound=nn.Module)

#: The fast form of each layer that has one.
FAST: dict[type[nn.Module], type[nn.Module]] = {
    nn.Mish: BlockwiseMish,
    ShuffleAttention: FusedShuffleAttention,
    CrossAttention: SharedCrossAttention,
    DiagonalSSM: SpectralSSM,
    Stem: ChannelsLastStem,
}


def use_fast_forms(model: _Module) -> _Module:
    """The same network, each of its layers in its fast form; weights are untouched."""
    return _exchange(model, FAST)


def use_published_forms(model: _Module) -> _Module:
    """The inverse of `use_fast_forms`."""
    return _exchange(model, {fast: published for published, fast in FAST.items()})


def _exchange(model: _Module, forms: dict[type[nn.Module], type[nn.Module]]) -> _Module:
    for module in model.modules():
        module.__class__ = forms.get(type(module), type(module))
    return model
