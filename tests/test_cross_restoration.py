"""The reconstruction model: its sizes, its parts against their definitions, and the contract of its kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import restorers
import torch
from networks import settle
from safetensors.torch import load_file, save_file

from leadset.anomaly.attributes import asymmetric_loss, attribute_loss
from leadset.anomaly.losses import restoration_loss
from leadset.leads import LEAD_SETS
from leadset.models import count_parameters, create_model, list_models, model_entry
from leadset.models.cost import model_costs
from leadset.models.cross_restoration import trend_of
from leadset.models.layers.cross_attention import UnbiasedLayerNorm
from leadset.models.layers.latent_heads import ClassHead
from leadset.preprocess import Transform

NAME = "cross_restoration"
CARD = Path(__file__).parents[1] / "docs" / "models" / f"{NAME}.md"
SMALL = restorers.SMALL | {"record_samples": 640}

each_lead_set = pytest.mark.parametrize("size", LEAD_SETS)


def small(size=12, **options):
    return restorers.network(size, **(SMALL | options))


def inputs(n_leads, samples=640, batch=2, seed=1):
    """Records, heartbeats and trends in -1 ... 1."""
    generator = torch.Generator().manual_seed(seed)
    record = 2 * torch.rand(batch, n_leads, samples, generator=generator) - 1
    beat = 2 * torch.rand(batch, n_leads, 480, generator=generator) - 1
    return record, beat, trend_of(record)


def tensors(restoration):
    return [*restoration.record, *restoration.beat, restoration.trend]


def test_reconstruction_models_are_kept_apart_from_classifiers():
    assert list_models("reconstruction") == [NAME]
    assert NAME not in list_models("classifier") and NAME in list_models()
    assert sorted(list_models("classifier") + list_models("reconstruction")) == list_models()
    assert model_entry(NAME).kind == "reconstruction"
    with pytest.raises(ValueError, match="n_classes"):
        create_model(NAME, 2, 26)
    with pytest.raises(ValueError, match="log_variance is 'narrow'"):
        create_model(NAME, 2, log_variance="narrow")
    with pytest.raises(ValueError, match="multiple of 32"):
        create_model(NAME, 2, record_samples=4801)
    with pytest.raises(TypeError, match="no_such_option"):
        create_model(NAME, 2, no_such_option=1)


def test_parameters_of_every_part_and_number_of_leads():
    with torch.device("meta"):
        model = create_model(NAME, 12)
        for n in (1, 2, 3, 4, 6, 8, 12):
            leads = model.leads[:n]
            assert count_parameters(create_model(NAME, leads)) == 7_076_563 + 768 * n
    parts = {name: count_parameters(part) for name, part in model.named_children()}
    assert parts == {
        "record_encoder": 1_083_776, "beat_encoder": 1_083_776, "trend_encoder": 1_083_776,
        "cross_attention": 10_200 + 100 + 38_087 + 150_288,
        "record_decoder": 1_083_968, "beat_decoder": 1_083_968, "trend_decoder": 1_467_840,
    }  # fmt: skip
    fusion = model.cross_attention
    assert [count_parameters(part) for part in (fusion.attention, fusion.norm, fusion.beat_mlp, fusion.record_mlp)] == [
        10_200, 100, 38_087, 150_288
    ]  # fmt: skip
    assert sum(buffer.numel() for buffer in model.buffers()) == 11_739
    assert sum(isinstance(part, torch.nn.BatchNorm1d) for part in model.modules()) == 27


def test_parameters_with_attributes_and_classes():
    with torch.device("meta"):
        model = create_model(NAME, 4, attributes=True, classes=116)
        assert count_parameters(model) == 26_456_030
        assert count_parameters(create_model(NAME, 12, attributes=True, classes=116)) == 26_462_174
        with pytest.raises(ValueError, match="found no number of classes"):
            create_model(NAME, 2, attributes=True)
        assert count_parameters(model.attribute_regressor) == 18_683_415
        assert count_parameters(model.class_head) == 692_980
        fused = torch.empty(3, 50, 136)
        assert model.regress(fused, fused).shape == (3, 7) and model.classify(fused, fused).shape == (3, 116)


def test_class_head_halves_time_three_times():
    head, x = ClassHead(12, 5).eval(), torch.randn(2, 12, 136)
    lengths = []
    for layer in head:
        x = layer(x)
        lengths += [x.shape[2]] if x.dim() == 3 and x.shape[2] not in lengths else []
    assert lengths == [136, 68, 34, 17, 1] and x.shape == (2, 5)


def test_attributes_shape_the_latents_and_classes_do_not():
    model = small(2, attributes=True, classes=3).train()
    record, beat, trend = inputs(2)
    restoration = model(record, beat, trend)
    attribute_loss(restoration.attributes, torch.ones(2, 7)).backward()
    assert model.record_encoder[0].weight.grad.any() and model.trend_encoder[0].weight.grad.any()
    model.zero_grad(set_to_none=True)
    latents = model.encode(record, beat, trend)
    fused, _ = model.cross_attention(latents.record, latents.beat)
    asymmetric_loss(model.classify(fused, latents.trend), torch.eye(3)[:2]).backward()
    moved = {path.split(".")[0] for path, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"class_head"}
    assert all(p.grad is not None for p in model.class_head.parameters())
    reconstruction, head = model.learning_apart
    assert len(head) == len(list(model.class_head.parameters()))
    assert len(reconstruction) + len(head) == len(list(model.parameters()))
    assert small(2)(record, beat, trend).attributes is None and len(small(2).learning_apart) == 1


def test_shapes_at_published_size():
    with torch.device("meta"):
        model = create_model(NAME, 12)
        record, beat, trend = torch.empty(3, 12, 4800), torch.empty(3, 12, 480), torch.empty(3, 12, 4800)
        latents = model.encode(record, beat, trend)
        restoration = model(record, beat, trend)
    assert [tuple(x.shape) for x in latents] == [(3, 50, 136), (3, 50, 1), (3, 50, 136)]
    assert [tuple(x.shape) for x in tensors(restoration)] == [
        (3, 12, 4800), (3, 1, 4800), (3, 12, 480), (3, 1, 480), (3, 12, 4800)
    ]  # fmt: skip
    assert model.cross_attention.attention.num_heads == 2
    assert model.input_spec.transform == Transform(500, "restoration")
    assert (model.input_spec.samples, model.input_spec.scaling) == (4800, "range")


def test_layer_sizes_of_encoder_and_decoder():
    with torch.device("meta"):
        model, x = create_model(NAME, 12).eval(), torch.empty(1, 12, 4800)
    shapes = []
    for layer in model.record_encoder:
        x = layer(x)
        shapes += [tuple(x.shape[1:])] if isinstance(layer, torch.nn.Conv1d) else []
    assert shapes == [(32, 2400), (64, 1200), (128, 600), (256, 300), (512, 150), (50, 136)]
    shapes = []
    for layer in model.record_decoder:
        x = layer(x)
        shapes += [tuple(x.shape[1:])] if isinstance(layer, torch.nn.ConvTranspose1d) else []
    assert shapes == [(512, 150), (256, 300), (128, 600), (64, 1200), (32, 2400), (13, 4800)]


@pytest.mark.parametrize(("log_variance", "low", "high"), [("published", -1, 1), ("wide", -6, 3)])
def test_ranges_of_signals_and_log_variance(log_variance, low, high):
    model = small(2, log_variance=log_variance)
    for parameter in model.parameters():
        parameter.data *= 3  # far from the start, where everything is near zero
    record, beat, trend = inputs(2)
    restoration = model(record, beat, trend)
    for restored in (restoration.record, restoration.beat):
        assert restored.signal.abs().max() <= 1
        assert restored.log_variance.min() >= low and restored.log_variance.max() <= high
        assert restored.log_variance.min() < (low + high) / 2 < restored.log_variance.max()
    assert restoration_loss(restoration, record, beat) > 2 * low


def test_trend_is_its_closed_form():
    record = torch.randn(3, 2, 200, generator=torch.Generator().manual_seed(5))
    x = record.numpy().astype(np.float64)
    difference = np.zeros_like(x)
    for n in range(5, 195):
        # a moving average of ten samples, then its first difference
        difference[..., n] = (x[..., n - 4 : n + 6].mean(-1)) - (x[..., n - 5 : n + 5].mean(-1))
    low, high = (f(difference, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    trend = trend_of(record).numpy()
    np.testing.assert_allclose(trend, 2 * (difference - low) / (high - low) - 1, atol=1e-6)
    np.testing.assert_allclose(trend.min(axis=(1, 2)), -1, atol=1e-6)
    np.testing.assert_allclose(trend.max(axis=(1, 2)), 1, atol=1e-6)
    at_zero = (2 * (0 - low) / (high - low) - 1)[..., 0]
    np.testing.assert_allclose(trend[..., :5], at_zero[..., None].repeat(5, -1).repeat(2, 1), atol=1e-6)


def test_trend_of_constant_and_padded_records():
    assert not trend_of(torch.full((2, 3, 100), 0.7)).any()
    record = torch.randn(1, 2, 300, generator=torch.Generator().manual_seed(2)) * 0.01 + 5
    mask = torch.arange(300)[None] < 200
    padded = trend_of(record * mask[:, None], mask)
    # The step down to the padding would be far greater than all the rest.
    torch.testing.assert_close(padded[..., :200], trend_of(record[..., :200]), atol=1e-4, rtol=0)


def test_layer_norm_is_unbiased_with_epsilon_outside_the_root():
    x = torch.randn(4, 7, 50, generator=torch.Generator().manual_seed(3))
    expected = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=1, keepdim=True).sqrt() + 1e-6)
    torch.testing.assert_close(UnbiasedLayerNorm(50)(x), expected)
    assert not torch.allclose(UnbiasedLayerNorm(50)(x), torch.nn.functional.layer_norm(x, (50,)), atol=1e-3)
    assert UnbiasedLayerNorm(50)(torch.ones(1, 50)).isfinite().all()


def test_attention_mixes_record_and_beat_both_ways():
    model = small(2)
    record, beat, _ = inputs(2)
    latents = model.encode(record, beat, trend_of(record))
    fused, fused_beat = model.cross_attention(latents.record, latents.beat)
    other, _ = model.cross_attention(latents.record, latents.beat + 1)
    _, other_beat = model.cross_attention(latents.record + torch.randn(latents.record.shape), latents.beat)
    assert not torch.allclose(fused, other) and not torch.allclose(fused_beat, other_beat)
    for mlp in (model.cross_attention.record_mlp, model.cross_attention.beat_mlp):
        for parameter in mlp.parameters():
            parameter.data.zero_()
    unmixed, unmixed_beat = model.cross_attention(latents.record, latents.beat)
    assert torch.equal(unmixed, latents.record) and torch.equal(unmixed_beat, latents.beat), "added to what was there"


@each_lead_set
def test_forward_and_gradients(size):
    model = small(size)
    record, beat, trend = inputs(size)
    restoration = model(record, beat, trend)
    assert all(x.isfinite().all() for x in tensors(restoration))
    restoration_loss(restoration, record, beat).backward()
    missed = [path for path, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missed, f"no gradient reaches {missed}"


@each_lead_set
def test_evaluation_is_repeatable_and_independent_of_batch_mates(size):
    model = small(size)
    given = inputs(size)
    with torch.inference_mode():
        together = tensors(model(*given))
        alone = tensors(model(*(x[:1] for x in given)))
        for a, b, c in zip(together, tensors(model(*given)), alone, strict=True):
            assert torch.equal(a, b)
            torch.testing.assert_close(a[:1], c, atol=1e-5, rtol=1e-4)


@each_lead_set
def test_folded_network_answers_the_same(size):
    given = inputs(size)
    model = settle(small(size), **dict(zip(("record", "beat", "trend"), given, strict=True)))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = model.folded()
    assert not any(isinstance(part, torch.nn.BatchNorm1d) for part in folded.record_encoder.modules())
    with torch.inference_mode():
        for a, b in zip(tensors(folded(*given)), tensors(model(*given)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
        latents = model.encode(*given)
        one_trend = model.decode_trend(latents.record, latents.trend[:1])
        torch.testing.assert_close(folded.decode_trend(latents.record, latents.trend[:1]), one_trend, atol=1e-5, rtol=0)
        expected = model.decode_trend(latents.record, latents.trend[:1].expand(2, -1, -1))
        torch.testing.assert_close(one_trend, expected, atol=0, rtol=0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    folded.record_encoder.steps[0].weight0.zero_()
    assert model.record_encoder[0].weight.all(), "weights of its own"


def test_mean_over_beats_is_that_of_every_pair():
    fusion = small(2).double().cross_attention
    generator = torch.Generator().manual_seed(4)
    # Far from zero, so that some heartbeats are attended to more than all else and others hardly.
    record, beats = (
        10 * torch.randn(*shape, generator=generator, dtype=torch.double) for shape in ((3, 6, 6), (5, 3, 6, 1))
    )
    with torch.no_grad():
        fused, fused_beats = fusion.mean_over_beats(record, beats)
        pairs = [fusion(record, beat) for beat in beats]
    torch.testing.assert_close(fused, torch.stack([pair[0] for pair in pairs]).mean(0), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(fused_beats, torch.stack([pair[1] for pair in pairs]), atol=1e-9, rtol=1e-9)
    assert not torch.allclose(pairs[0][0], pairs[1][0], rtol=1e-3)


@each_lead_set
def test_saved_and_loaded_weights_give_equal_outputs(size, tmp_path):
    model, given = small(size), inputs(size)
    model.train()(*given)  # moves the running statistics
    model.eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "weights.safetensors")
    torch.manual_seed(7)
    loaded = create_model(NAME, size, **SMALL).eval()
    loaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        for a, b in zip(tensors(loaded(*given)), tensors(model(*given)), strict=True):
            assert torch.equal(a, b)


def cost_rows():
    """Rows of the card: lead set, parameters, multiply-accumulates of one restoration in millions."""
    for leads, parameters, macs in model_costs(NAME):
        yield f"| {leads} | {parameters:,} | {macs / 1e6:,.1f} |"


def test_card_has_its_title_and_the_computed_costs():
    card = CARD.read_text(encoding="utf-8")
    assert card.startswith(f"# {model_entry(NAME).title}\n")
    for row in cost_rows():
        assert row in card, f"expected this row in the card: {row}"
