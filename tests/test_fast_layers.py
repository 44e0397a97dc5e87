"""Every fast form against the layer whose place it takes: equal outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from networks import settle
from torch import Tensor, nn

from leadset.models import create_model
from leadset.models.layers.attention import ShuffleAttention
from leadset.models.layers.cross_attention import CrossAttention
from leadset.models.layers.diagonal_ssm import DiagonalSSM
from leadset.models.layers.fast import FAST, use_fast_forms, use_published_forms
from leadset.models.layers.fast.folded import FoldedStack
from leadset.models.layers.fast.mish import BLOCK, BlockwiseMish
from leadset.models.layers.fast.state_space import transform_length
from leadset.models.layers.stem import Stem


def shuffle_attention(groups: int) -> nn.Module:
    layer = ShuffleAttention(64, groups)
    with torch.no_grad():
        layer.norm.weight.uniform_(0.5, 1.5)
        layer.norm.bias.uniform_(-1, 1)
    return layer


def stem() -> Stem:
    return Stem(nn.Conv2d(3, 8, (3, 15), (1, 2), bias=False), nn.BatchNorm2d(8), nn.LeakyReLU())


#: Layers that have a fast form, each with the shape of an input.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Mish within a block": (nn.Mish, (3, 7)),
    "Mish of several blocks": (nn.Mish, (5, 4, 1, BLOCK // 8)),
    "ShuffleAttention of 8 groups": (partial(shuffle_attention, 8), (3, 64, 1, 37)),
    "ShuffleAttention of 4 groups": (partial(shuffle_attention, 4), (3, 64, 1, 37)),
    "DiagonalSSM of both directions": (partial(DiagonalSSM, 4, 4, True, "lin", 0.0), (3, 4, 37)),
    "DiagonalSSM of one direction": (partial(DiagonalSSM, 4, 4, False, "inv", 0.0), (3, 4, 32)),
    "DiagonalSSM of one sample": (partial(DiagonalSSM, 4, 4, True, "lin", 0.0), (2, 4, 1)),
    "Stem": (stem, (3, 3, 4, 50)),
    "mvms_net": (lambda: network("mvms_net", 200, width=64), (2, 4, 200)),
    "resunet_lc": (lambda: network("resunet_lc", 256, width=8), (2, 4, 256)),
    "s4d": (lambda: network("s4d", 200, width=8, dropout=0.0), (2, 4, 200)),
    "star": (lambda: network("star", 200), (2, 4, 200)),
    "star, cascade": (lambda: network("star", 200, cascade=True), (2, 4, 200)),
}


def network(name: str, samples: int, **options) -> nn.Module:
    model = create_model(name, 4, 5, samples=samples, **options)
    return use_published_forms(settle(model, x=torch.randn(8, 4, samples)))


def outputs_and_gradients(layer: nn.Module, shape: tuple[int, ...]) -> dict[str, Tensor]:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    out = layer(x)
    out.backward(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out))
    return {"output": out.detach(), "x": x.grad} | {name: p.grad for name, p in layer.named_parameters()}


@pytest.mark.parametrize("case", LAYERS)
def test_outputs_and_all_gradients_are_those_of_the_layer(case):
    """In double precision, so that nothing but rounding may differ."""
    torch.manual_seed(0)
    build, shape = LAYERS[case]
    layer = build().double()
    fast = use_fast_forms(deepcopy(layer))
    assert [type(m) for m in fast.modules()] != [type(m) for m in layer.modules()], "there is a fast form"
    expected, found = outputs_and_gradients(layer, shape), outputs_and_gradients(fast, shape)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-9, rtol=1e-7), name


@pytest.mark.parametrize(("shortest", "length"), [(1, 1), (2, 2), (3, 3), (5, 6), (500, 512), (700, 768), (2000, 2048)])
def test_transforms_have_a_fast_length(shortest, length):
    assert transform_length(shortest) == length


@pytest.mark.parametrize("beats", [1, 5])
def test_a_recording_with_many_heartbeats_is_attended_to_as_with_each(beats):
    torch.manual_seed(0)
    layer = CrossAttention(6, 12).double().eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    record, beat = torch.randn(3, 6, 11).double(), torch.randn(beats, 3, 6, 1).double()
    expected, found = layer.mean_over_beats(record, beat), use_fast_forms(layer).mean_over_beats(record, beat)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)


def test_every_fast_form_is_compared():
    layers = [build() for build, _ in LAYERS.values()]
    compared = {type(module) for layer in layers for module in layer.modules()} | {CrossAttention}
    assert set(FAST) <= compared
    for published, fast in FAST.items():
        assert fast.__base__ is published


def test_networks_of_the_kit_are_fast_and_their_classes_as_published():
    for build, _ in LAYERS.values():
        assert not [module for module in build().modules() if type(module) in FAST.values()]
    assert [module for module in create_model("star", 2).modules() if type(module) in FAST.values()]
    assert not [module for module in create_model("star", 2).modules() if type(module) in FAST]


def test_mish_at_extremes_and_of_any_layout():
    mish = BlockwiseMish()
    extremes = torch.tensor([-1e4, -100.0, -30.0, 0.0, 30.0, 1e4, torch.nan])
    torch.testing.assert_close(mish(extremes), F.mish(extremes), equal_nan=True)
    small = torch.tensor([-15.0])  # relative accuracy where the value is small
    torch.testing.assert_close(mish(small), F.mish(small.double()).float(), atol=0, rtol=1e-5)
    x = torch.randn(4, 6, 1, 50).to(memory_format=torch.channels_last)
    for view in (x, x.squeeze(2).transpose(1, 2), x[:, ::2], x[..., 3:], torch.randn(())):
        torch.testing.assert_close(mish(view), F.mish(view))


# --- stacks for scoring, with normalisation folded into their weights ------------------------------------------------


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("samples", [1, 15, 20])
@pytest.mark.parametrize(
    "layer",
    [
        partial(nn.Conv1d, kernel_size=4, stride=2, padding=2),
        partial(nn.Conv1d, kernel_size=15, padding=14),
        partial(nn.Conv1d, kernel_size=15, padding=7),
        partial(nn.Conv1d, kernel_size=1),
        partial(nn.ConvTranspose1d, kernel_size=4, stride=2, padding=1),
        partial(nn.ConvTranspose1d, kernel_size=15),
        partial(nn.ConvTranspose1d, kernel_size=15, padding=3),
    ],
)
def test_folded_layers_answer_the_same(layer, samples, normalised):
    torch.manual_seed(0)
    stack = nn.Sequential(layer(6, 5, bias=False), nn.ReLU(inplace=True)).double().eval()
    if normalised:
        norm = nn.BatchNorm1d(5).double().eval()
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(values, 0.5, 2)
        stack.insert(1, norm)
    x = torch.randn(4, 6, samples).double()
    for parts in ((x,), (x[:, :3], x[:1, 3:])):
        together = torch.cat([part.expand(4, -1, -1) for part in parts], dim=1)
        answer = FoldedStack(stack, len(parts))(*parts)
        assert answer.is_contiguous()
        torch.testing.assert_close(answer, stack(together), atol=1e-12, rtol=1e-9)


def test_folded_layer_of_one_sample_out():
    torch.manual_seed(0)
    stack = nn.Sequential(nn.Conv1d(6, 5, 15, bias=False)).double()
    x = torch.randn(4, 6, 15).double()
    torch.testing.assert_close(FoldedStack(stack)(x), stack(x), atol=1e-12, rtol=1e-9)
