"""Layers shared by architectures, against their definitions."""

from __future__ import annotations

import pytest
import torch
from straightforward import RecursiveKANLinear, straightforward
from torch.nn import functional

from leadset.models.layers.attention import ShuffleAttention
from leadset.models.layers.fast.attention import FusedShuffleAttention
from leadset.models.layers.kan import KANLinear, cubic_bases
from leadset.models.layers.masking import masked_mean
from leadset.models.layers.res2net import TemporalEncoder


@pytest.mark.parametrize("form", [ShuffleAttention, FusedShuffleAttention])
def test_shuffle_attention_of_a_flat_line_is_finite(form):
    layer = form(64)
    x = torch.zeros(2, 64, 1, 9, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.isfinite().all()


def test_shuffle_attention_refuses_channels_that_do_not_divide():
    with pytest.raises(ValueError, match="60 channels"):
        ShuffleAttention(60)


@pytest.mark.parametrize("grid", [3, 5])
def test_kan_linear_is_that_of_the_cox_de_boor_recursion(grid):
    layer = KANLinear(6, 4, grid).double()
    x = torch.linspace(-2.5, 2.5, 300).double().view(50, 6)
    recursive = straightforward(layer)
    assert type(recursive) is RecursiveKANLinear
    torch.testing.assert_close(layer(x), recursive(x), atol=1e-12, rtol=1e-9)


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


def test_cascade_leaves_out_positions_of_the_stem_that_no_block_reads():
    torch.manual_seed(0)
    encoder, x = TemporalEncoder(2, (16, 16, 16), ShuffleAttention, cascade=True).eval(), torch.randn(3, 2, 100)
    stem, block, expected = encoder.stem, encoder.blocks[0], encoder(x)
    whole = stem[2](stem[1](functional.conv2d(x.unsqueeze(2), stem[0].weight)))
    torch.testing.assert_close(stem(x.unsqueeze(2)), whole[..., ::2])
    block.halved = False
    torch.testing.assert_close(encoder.blocks[1](block(whole)).squeeze(2).mean(-1), expected)


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
