"""S4D: impulse responses, filters, padding, options."""

from __future__ import annotations

import math
from unittest import mock

import pytest
import torch
from networks import settle

from leadset.models import create_model
from leadset.models.layers.diagonal_ssm import DiagonalKernel, initial_frequencies, long_convolution

LENGTH = 60


def moved_kernel(directions: int = 2, initialisation: str = "lin") -> DiagonalKernel:
    """Systems whose weights are all away from their start."""
    torch.manual_seed(0)
    kernel = DiagonalKernel(3, 8, directions, initialisation)
    with torch.no_grad():
        for weight in (kernel.step, kernel.decay, kernel.frequency):
            weight.normal_()
    return kernel


@pytest.mark.parametrize("initialisation", ["lin", "inv"])
def test_impulse_responses_are_those_of_the_zero_order_hold(initialisation):
    kernel = moved_kernel(initialisation=initialisation).double()
    step = (kernel.start_step + 0.1 * kernel.step).exp()[:, None]
    poles = torch.complex(-0.5 * (0.1 * kernel.decay).exp(), kernel.start_frequency + 0.1 * kernel.frequency)
    output = torch.view_as_complex(kernel.output)
    state = (torch.exp(poles * step) - 1) / poles  # an impulse of one step
    expected = []
    for _ in range(LENGTH):  # the recurrence
        expected.append(2 * (output * state).sum(-1).real)
        state = state * torch.exp(poles * step)
    torch.testing.assert_close(kernel(LENGTH), torch.stack(expected, dim=-1), atol=1e-10, rtol=1e-8)


def test_poles_start_where_the_paper_has_them():
    assert initial_frequencies(3, "lin").tolist() == pytest.approx([0, math.pi, 2 * math.pi])
    assert initial_frequencies(2, "inv").tolist() == pytest.approx([12 / math.pi, 4 / math.pi * (4 / 3 - 1)])


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("exporting", [False, True])
def test_filters_are_the_sums_that_they_stand_for(directions, exporting):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, LENGTH, generator=generator)
    responses = torch.randn(directions, 3, LENGTH, generator=generator)
    expected = torch.zeros_like(x)
    for t in range(LENGTH):
        for s in range(LENGTH):
            if s <= t:
                expected[..., t] += responses[0, :, t - s] * x[..., s]
            elif directions == 2:
                expected[..., t] += responses[1, :, s - t - 1] * x[..., s]
    with mock.patch("torch.compiler.is_exporting", return_value=exporting):
        torch.testing.assert_close(long_convolution(x, responses), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("stride", [1, 4])
def test_padding_changes_nothing(stride):
    torch.manual_seed(0)
    model = create_model("s4d", 3, 5, width=8, layers=3, samples=200, kernel=5, stride=stride)
    x = torch.randn(4, 3, 200)
    settle(model, x=x)
    mask = torch.arange(200)[None].expand(4, -1) < 120
    with torch.inference_mode():
        torch.testing.assert_close(model(x * mask[:, None], mask), model(x[..., :120]), atol=1e-5, rtol=1e-4)


def test_one_direction_looks_at_the_past_alone():
    torch.manual_seed(0)
    model = create_model("s4d", 1, 2, width=8, layers=2, samples=100, bidirectional=False)
    settle(model, x=torch.randn(8, 1, 100))
    seen = []
    model.layers[-1].register_forward_hook(lambda _, __, output: seen.append(output))
    x = torch.randn(1, 1, 100)
    with torch.inference_mode():
        model(x)
        model(x * (torch.arange(100) < 50))
    torch.testing.assert_close(seen[0][..., :50], seen[1][..., :50], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(seen[0][..., 50:], seen[1][..., 50:], atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"states": 3}, "states is 3: expected an even number"),
        ({"initialisation": "random"}, "initialisation is 'random': expected one of inv, lin"),
        ({"kernel": 4}, "kernel=4 with stride=1: expected an odd kernel"),
        ({"kernel": 3, "stride": 4}, "kernel=3 with stride=4"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("s4d", 2, 5, **options)
