"""Layers shared by architectures, against their straightforward forms."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import settle
from straightforward import straightforward
from torch import nn

from leadset.models import create_model
from leadset.models.layers import lead_conv
from leadset.models.layers.attention import CoordinateAttention, ShuffleAttention
from leadset.models.layers.blockwise import BLOCK
from leadset.models.layers.folded import FoldedStack
from leadset.models.layers.kan import KANLinear, cubic_bases
from leadset.models.layers.lead_conv import (
    TAPS,
    LeadConv2d,
    LeadConvTranspose2d,
    lead_filter,
    minimal_pays,
    time_filter,
)
from leadset.models.layers.masking import masked_mean
from leadset.models.layers.mish import mish
from leadset.models.layers.res2net import TemporalEncoder


def assert_same_function(layer: nn.Module, *shape: int) -> None:
    """Outputs and all gradients of a layer and its straightforward form agree in double precision."""
    layer = layer.double()
    plain = straightforward(layer)
    forms = [[type(module) for module in form.modules()] for form in (layer, plain)]
    assert forms[0] != forms[1], "there is a straightforward form to compare with"
    results = []
    for form in (layer, plain):
        x = torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
        out = form(x)
        out.backward(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out))
        results.append({"output": out, "x": x.grad} | {name: p.grad for name, p in form.named_parameters()})
    for name, value in results[0].items():
        assert torch.allclose(value, results[1][name], atol=1e-9, rtol=1e-7), name


@pytest.mark.parametrize("groups", [8, 4])
def test_shuffle_attention(groups):
    layer = ShuffleAttention(64, groups)
    with torch.no_grad():
        layer.norm.weight.uniform_(0.5, 1.5)
        layer.norm.bias.uniform_(-1, 1)
    assert_same_function(layer, 3, 64, 1, 37)


def test_shuffle_attention_of_a_flat_line_is_finite():
    layer = ShuffleAttention(64)
    x = torch.zeros(2, 64, 1, 9, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.isfinite().all()


def test_shuffle_attention_refuses_channels_that_do_not_divide():
    with pytest.raises(ValueError, match="60 channels"):
        ShuffleAttention(60)


def test_coordinate_attention():
    assert_same_function(CoordinateAttention(32), 3, 32, 1, 37)


@pytest.mark.parametrize("grid", [3, 5])
def test_kan_linear(grid):
    layer = KANLinear(6, 4, grid)
    assert_same_function(layer, 50, 6)


def test_kan_bases_sum_to_one_inside_and_vanish_outside():
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(cubic_bases(x, 5).sum(-1), torch.ones_like(x))
    assert not cubic_bases(torch.tensor([-2.3, 2.3]), 5).any()


def test_kan_starts_as_small_splines():
    torch.manual_seed(0)
    layer = KANLinear(8, 16, 5)
    knots = torch.linspace(-1, 1, 6)
    values = cubic_bases(knots, 5) @ layer.spline.flatten(0, 1).T  # at the inner knots the noise itself
    assert 0.009 < values.abs().max() <= 0.01 + 1e-6
    assert layer.base.abs().max() <= 8**-0.5 and layer.scale.abs().max() <= 8**-0.5


def test_mish_values_and_gradients():
    for shape in ((3, 7), (5, 4, 1, BLOCK // 8)):  # within one block, over several
        x = (10 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))).double().requires_grad_()
        expected = F.mish(x)
        expected.sum().backward()
        gradient, x.grad = x.grad, None
        y = mish(x)
        y.sum().backward()
        torch.testing.assert_close(y, expected, atol=1e-13, rtol=1e-12)
        torch.testing.assert_close(x.grad, gradient, atol=1e-13, rtol=1e-12)
    extremes = torch.tensor([-1e4, -100.0, -30.0, 0.0, 30.0, 1e4, torch.nan])
    torch.testing.assert_close(mish(extremes), F.mish(extremes), equal_nan=True)
    small = torch.tensor([-15.0])  # relative accuracy where the value is small
    torch.testing.assert_close(mish(small), F.mish(small.double()).float(), atol=0, rtol=1e-5)


def test_mish_of_any_layout():
    x = torch.randn(4, 6, 1, 50).to(memory_format=torch.channels_last)
    for view in (x, x.squeeze(2).transpose(1, 2), x[:, ::2], x[..., 3:], torch.randn(())):
        torch.testing.assert_close(mish(view), F.mish(view))


@pytest.mark.parametrize("cascade", [False, True])
def test_encoder_averages_over_real_samples(cascade):
    torch.manual_seed(0)
    encoder = TemporalEncoder(2, (16, 16, 16), ShuffleAttention, cascade).eval()
    x, mask = torch.randn(1, 2, 100), torch.ones(1, 100, dtype=torch.bool)
    mask[:, 50:] = False
    positions = encoder.blocks(encoder.stem(x.unsqueeze(2))).squeeze(2)
    assert positions.shape == (1, 16, 19)
    # Position j looks at samples around 12 + 4 j: ten of them lie before sample 50.
    torch.testing.assert_close(encoder(x, mask), positions[..., :10].mean(-1))
    torch.testing.assert_close(encoder(x), masked_mean(positions, None))


@pytest.mark.parametrize(
    ("name", "options", "samples"),
    [
        ("mvms_net", {"width": 64}, 200),
        ("resunet_lc", {"width": 8}, 256),
        ("resunet_lc", {"width": 128}, 512),
        ("star", {}, 200),
    ],
)
def test_networks_equal_their_straightforward_form(name, options, samples):
    torch.manual_seed(0)
    model = create_model(name, 4, 5, samples=samples, **options)
    assert_same_function(settle(model, x=torch.randn(8, 4, samples)), 2, 4, samples)


@pytest.mark.parametrize("leads", [1, 2, 3, 4, 6, 7, 12, 15])
@pytest.mark.parametrize("build", [LeadConv2d, LeadConvTranspose2d, partial(LeadConv2d, stride=2)])
def test_minimal_filters_are_the_convolution(build, leads):
    """Over several parts of a batch, with a length that is no multiple of a frame."""
    layer = build(32, 32)
    x = torch.randn(5, 32, leads, 2 * (1024 // leads + 3), generator=torch.Generator().manual_seed(1))
    assert minimal_pays(x, layer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lead_conv, "_BLOCK", 1 << 17)
        assert_same_function(layer, *x.shape)


@pytest.mark.parametrize("taps", [5, TAPS])
def test_filters_along_time_take_few_products(taps):
    signal, kernel, results = time_filter(taps)
    x, w = np.random.default_rng(0).normal(size=signal.shape[1]), np.linspace(-1, 1, taps)
    np.testing.assert_allclose(results @ ((kernel @ w) * (signal @ x)), np.correlate(x, w), atol=1e-12)
    assert len(kernel) < 0.5 * taps * len(results)


@pytest.mark.parametrize("leads", [1, 2, 3, 4, 6, 12])
def test_filters_along_leads_take_few_products(leads):
    """Fewer than there are pairs of leads that meet in a kernel, from two leads on."""
    assert len(lead_filter(leads).signal) <= 3 * leads - 2 - (leads > 1)


@pytest.mark.parametrize("build", [LeadConv2d, LeadConvTranspose2d, partial(LeadConv2d, stride=2)])
@pytest.mark.parametrize("leads", [2, 3, 12])
def test_minimal_filters_keep_single_precision(build, leads):
    torch.manual_seed(0)
    layer, x = build(64, 64), torch.randn(2, 64, leads, 512)
    minimal, exact = layer(x), straightforward(layer).double()(x.double())
    assert (minimal - exact).abs().max() < 1e-5 * exact.abs().max()


def test_large_images_are_filtered_minimally_in_full_precision_only():
    layer, large = LeadConv2d(128, 128), torch.zeros(1, 128, 12, 128)
    assert minimal_pays(large, layer)
    assert not minimal_pays(large, LeadConv2d(128, 4))
    assert not minimal_pays(large[..., :8], layer)
    assert not minimal_pays(large.to("meta"), layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert not minimal_pays(large, layer)


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
