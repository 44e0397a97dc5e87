"""ResUNet-LC: shapes, window lengths, lead order and the ablations."""

from __future__ import annotations

import pytest
import torch
from networks import settle
from torch import nn

from leadset.models import create_model
from leadset.models.cost import count_macs


def test_shapes_inside_the_published_network():
    with torch.device("meta"):
        model = create_model("resunet_lc").eval()
    shapes = {}
    watched = ["stem", *(f"blocks.{i}{part}" for i in range(4) for part in ("", ".bottleneck")), "pool"]
    for name in watched:
        hook = lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])})  # noqa: E731
        model.get_submodule(name).register_forward_hook(hook)
    assert model(torch.empty(2, 12, 4096, device="meta")).shape == (2, 26)
    assert shapes["stem"] == (128, 12, 2048)
    assert [shapes[f"blocks.{i}"] for i in range(4)] == [(128, 12, t) for t in (1024, 512, 256, 128)]
    assert {shapes[f"blocks.{i}.bottleneck"] for i in range(4)} == {(64, 12, 32)}
    assert shapes["pool"] == (256,)


def test_layers_of_the_published_network():
    with torch.device("meta"):
        model = create_model("resunet_lc")
    norms = {name for name, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    biased = {n for n, _ in model.named_parameters() if n.endswith("bias") and n.rpartition(".")[0] not in norms}
    assert biased == {"classifier.bias"}
    assert {m.negative_slope for m in model.modules() if isinstance(m, nn.LeakyReLU)} == {0.01}
    dropouts = {name: m.p for name, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert dropouts == {"pool.time_domain.3": 0.5, "pool.channel_domain.3": 0.5}
    assert sum(isinstance(m, nn.AvgPool2d) for m in model.modules()) == 4


@pytest.mark.parametrize(("leads", "giga"), [(12, 43.546), (6, 21.773), (4, 14.515), (3, 10.887), (2, 7.258)])
def test_cost_is_linear_in_the_leads(leads, giga):
    with torch.device("meta"):
        model = create_model("resunet_lc", leads)
    assert count_macs(model, leads) / 1e9 == pytest.approx(giga, abs=1e-3)


@pytest.mark.parametrize("samples", [128, 640, 1280, 2048])
def test_any_window_length_that_halves_evenly(samples):
    model = create_model("resunet_lc", 2, 5, width=4, samples=samples).eval()
    assert model(torch.randn(2, 2, samples)).shape == (2, 5)
    with pytest.raises(ValueError, match=f"window of {samples + 1} samples"):
        model(torch.randn(2, 2, samples + 1))


@pytest.mark.parametrize("samples", [0, 64, 4097, 5000])
def test_other_window_lengths_are_refused(samples):
    with pytest.raises(ValueError, match=f"samples is {samples}: expected a multiple of 128"):
        create_model("resunet_lc", samples=samples)


def test_odd_width_and_unknown_variant_are_refused():
    with pytest.raises(ValueError, match="even number"):
        create_model("resunet_lc", width=7)
    with pytest.raises(ValueError, match="res1d_maxpool"):
        create_model("resunet_lc", variant="unet")


@pytest.mark.parametrize("variant", ["resunet_lc", "res2d_lc", "res2d_maxpool", "res1d_maxpool"])
def test_variants_see_the_order_of_leads_and_learn(variant):
    torch.manual_seed(0)
    model = create_model("resunet_lc", 4, 5, width=8, samples=256, variant=variant)
    x = torch.randn(6, 4, 256)
    settle(model, x=x)
    logits = model(x)
    assert not torch.allclose(logits, model(x.flip(1)), atol=1e-4)
    logits.square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_untrained_loss_is_that_of_a_coin():
    torch.manual_seed(0)
    model = create_model("resunet_lc", 2, width=32, samples=512).train()
    loss = nn.functional.binary_cross_entropy_with_logits(model(torch.randn(4, 2, 512)), torch.zeros(4, 26))
    assert 0.5 < loss.item() < 1.2
