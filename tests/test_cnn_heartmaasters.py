"""The published heartMAASters network and its filter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import freqz_sos, sos2tf
from torch import nn

from leadset.models import count_parameters, create_model
from leadset.models.layers.heartmaasters import RECEPTIVE_FIELD, length_after
from leadset.preprocess import FILTERS, InputSpec, Transform

SIZES = (12, 6, 4, 3, 2)
PUBLISHED = {
    26: (2_573_402, 2_572_442, 2_572_122, 2_571_962, 2_571_802),
    30: (2_573_918, 2_572_958, 2_572_638, 2_572_478, 2_572_318),
    133: (2_587_205, 2_586_245, 2_585_925, 2_585_765, 2_585_605),
}


@pytest.mark.parametrize("n_classes", PUBLISHED)
def test_published_network_has_the_published_parameters(n_classes):
    counts = tuple(count_parameters(create_model("cnn_heartmaasters", leads, n_classes)) for leads in SIZES)
    assert counts == PUBLISHED[n_classes]


def test_published_network_has_the_published_layers():
    model = create_model("cnn_heartmaasters", 12).eval()
    convolutions = [layer for layer in model.stages if isinstance(layer, nn.Conv1d)]
    assert [count_parameters(layer) for layer in convolutions] == [1952, 5152, 10_304, 20_544, 41_088, 65_664, 65_664]
    assert [count_parameters(layer) for layer in (model.dense1, model.dense2)] == [2_326_784, 32_896]
    x, seen = torch.randn(1, 12, 5000), []
    for layer in model.stages:
        x = layer(x)
        if isinstance(layer, nn.Conv1d):
            seen.append(x.shape[-1])
    assert seen == [4996, 2494, 1243, 617, 304, 149, 71]
    assert model.input_spec == InputSpec(Transform(500, "heartmaasters"), 5000)


def test_published_network_is_flattened_time_first():
    """The dense weight of step t and channel c is number 128 t + c, so that weights of a Keras model fit."""
    model = create_model("cnn_heartmaasters", 2).eval()
    x = torch.randn(2, 2, 5000)
    handed = []
    model.dense1.register_forward_hook(lambda layer, args, out: handed.append(args[0]))
    model(x)
    stages = model.stages(x)
    t, c = 37, 90
    torch.testing.assert_close(handed[0][:, 128 * t + c], stages[:, c, t], rtol=0, atol=0)


def test_fresh_weights_are_glorot_uniform_with_zero_biases():
    model = create_model("cnn_heartmaasters", 12)
    for layer in model.modules():
        if isinstance(layer, (nn.Conv1d, nn.Linear)):
            assert not layer.bias.any()
            fans = layer.weight[0].numel() + layer.weight[:, 0].numel()
            bound = (6 / fans) ** 0.5
            assert 0.9 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_receptive_field_is_the_shortest_window():
    assert length_after(RECEPTIVE_FIELD) == 1
    assert length_after(RECEPTIVE_FIELD - 1) == 0
    for name in ("cnn_heartmaasters", "crnn_pqrst"):
        with pytest.raises(ValueError, match="expected at least 476"):
            create_model(name, rate=100, seconds=4.7)


# --- its filter ------------------------------------------------------------------------------------------------------


def two_passes(rate, sections=slice(None)):
    """Frequencies in Hz and the gain of two passes."""
    frequencies = np.geomspace(0.2, rate / 2 * 0.999, 100_000)
    _, response = freqz_sos(FILTERS["heartmaasters"](rate)[sections], frequencies, fs=rate)
    return frequencies, np.abs(response) ** 2


def test_published_filter_has_the_published_coefficients():
    *band, notch = FILTERS["heartmaasters"](500)
    numerator, denominator = sos2tf(np.array(band))
    published = (0.138829711, -0.326212137, 0.235941938, 0, -0.235941938, 0.326212137, -0.138829711)
    np.testing.assert_allclose(numerator, published, atol=1e-8)
    published = (1, -4.13688105, 7.14597984, -6.73218794, 3.69648032, -1.09584669, 0.12245581)
    np.testing.assert_allclose(denominator, published, atol=1e-8)
    np.testing.assert_allclose(notch, (1, -1.618034, 1, 1, -1.456231, 0.81), atol=1e-6)


def test_published_filter_passes_what_was_measured():
    frequencies, gain = two_passes(500, slice(3))
    passed = frequencies[20 * np.log10(gain) > -3]
    np.testing.assert_allclose((passed[0], passed[-1]), (0.857, 63.8), rtol=1e-3)
    stopped = np.interp((0.5, 100), frequencies, 20 * np.log10(gain))
    np.testing.assert_allclose(stopped, -40, atol=0.05)
    frequencies, gain = two_passes(500, slice(3, 4))
    np.testing.assert_allclose(
        np.interp((45, 50, 55, 40, 60, 1, 249), frequencies, gain), (0.32, 0, 0.32, 0.72, 0.72, 1.166, 1.23), atol=0.01
    )


@pytest.mark.parametrize("rate", [100, 125, 200, 250, 1000])
def test_published_filter_is_alike_at_other_rates(rate):
    frequencies, gain = two_passes(rate)
    assert np.interp(0.5, frequencies, gain) < 0.03
    assert 0.95 < np.interp(8, frequencies, gain) < 1.2
    assert rate < 125 or np.interp(50, frequencies, gain) < 1e-3
    assert rate < 250 or np.interp(100, frequencies, gain) < 0.03
    assert gain.max() < 1.5
