"""Every registered classifier on every lead set: the contract that training and entries rely on.

Networks of another kind have tests of their own; here they must have a citation, a card and a reduced size.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import REDUCED, settle
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from leadset.leads import LEAD_SETS, LEADS
from leadset.models import create_model, list_models, model_entry
from leadset.models.cost import cost_lines
from leadset.models.extra_inputs import extra_shapes
from leadset.preprocess import InputSpec, cut_window, prepare
from leadset.recordings import ReadError, find_recordings, read_recording
from leadset.utils.text_tables import markdown

REPOSITORY = Path(__file__).parents[1]

#: Further cases of the sweep: options by which an architecture gets other layers or other inputs.
VARIANTS: dict[str, tuple[str, dict]] = {
    "crnn_pqrst, attention and record": ("crnn_pqrst", {"beat_pooling": "attention", "record_features": True}),
    "crnn_pqrst, signal and record": ("crnn_pqrst", {"branches": "signal", "record_features": True}),
    "crnn_pqrst, points": ("crnn_pqrst", {"branches": "points"}),
    "crnn_pqrst, age and sex": ("crnn_pqrst", {"extra": ("age", "sex")}),
    "star, zero leads": ("star", {"zero_leads": True}),
    "resunet_lc, zero leads": ("resunet_lc", {"zero_leads": True}),
}

each_model = pytest.mark.parametrize("name", list_models())
each_classifier = pytest.mark.parametrize("name", list_models("classifier"))
each_case = pytest.mark.parametrize("name", [*list_models("classifier"), *VARIANTS])
each_lead_set = pytest.mark.parametrize("size", LEAD_SETS)


def fresh(name: str, leads: int = 12, seed: int = 0) -> nn.Module:
    """A reduced network of five classes, by the name of its architecture or that of a case of `VARIANTS`."""
    torch.manual_seed(seed)
    name, options = VARIANTS.get(name, (name, {}))
    classes = {"n_classes": 5} if model_entry(name).kind == "classifier" else {}
    return create_model(name, leads, **classes, **REDUCED.get(name, {}), **options)


def inputs_for(model: nn.Module, leads: int, batch: int = 3) -> dict[str, Tensor]:
    """Random arguments of the shapes that the classifier asks for."""
    generator = torch.Generator().manual_seed(1)
    spec = model.input_spec
    inputs = {"x": torch.randn(batch, leads, spec.samples, generator=generator)}
    for name, shape in extra_shapes(spec, leads).items():
        inputs[name] = torch.randn(batch, *shape, generator=generator)
    return inputs


def settled(name: str, leads: int = 12) -> nn.Module:
    """A reduced classifier in evaluation mode, with the norms of a trained one."""
    model = fresh(name, leads)
    return settle(model, **inputs_for(model, leads, 8))


def part(inputs: dict[str, Tensor], rows: slice) -> dict[str, Tensor]:
    """Some recordings of a batch."""
    return {name: value[rows] for name, value in inputs.items()}


@each_model
def test_registered_model_has_a_citation_and_a_card(name):
    entry = model_entry(name)
    assert entry.title
    assert any(part.strip(" .,:").isdigit() for part in entry.citation.split()), "a citation has at least a year"
    card = (REPOSITORY / entry.card).read_text(encoding="utf-8")
    assert card.startswith(f"# {entry.title}\n")


def test_no_card_is_left_over():
    assert sorted(path.stem for path in (REPOSITORY / "docs" / "models").glob("*.md")) == list_models()


@each_classifier
def test_card_states_the_computed_costs(name):
    card = (REPOSITORY / model_entry(name).card).read_text(encoding="utf-8")
    table = markdown(cost_lines(name))
    assert table in card, f"expected this table in the card:\n{table}"


@each_model
def test_fresh_models_of_one_seed_are_equal_and_initialised(name):
    first, second = fresh(name).state_dict(), fresh(name).state_dict()
    for path, value in first.items():
        assert torch.equal(value, second[path]), path
        assert value.isfinite().all(), path


@each_model
def test_unknown_options_are_refused(name):
    with pytest.raises(TypeError, match="no_such_option"):
        create_model(name, no_such_option=1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet34", {"window": "published", "seconds": 5}, "seconds=5 with window='published'"),
        ("star", {"bridge": True, "prior": "none"}, "bridge with prior='none'"),
        ("cross_restoration", {"classes": 116}, "classes=116 without attributes"),
    ],
)
def test_options_that_would_do_nothing_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        create_model(name, 12, **options)


@each_case
@each_lead_set
def test_forward_and_gradients(name, size):
    model = settled(name, size)
    assert isinstance(model.input_spec, InputSpec)
    logits = model(**inputs_for(model, size, 8))
    assert logits.shape == (8, 5) and logits.dtype == torch.float32 and logits.isfinite().all()
    (logits.square() + logits).sum().backward()
    missed = [path for path, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    if size == 1:  # a graph of one node has one edge, whose weight is 1 whatever it is learnt from
        missed = [path for path in missed if not path.startswith("edges.")]
    assert not missed, f"no gradient reaches {missed}"


@each_case
@each_lead_set
def test_evaluation_is_repeatable_and_independent_of_batch_mates(name, size):
    model = settled(name, size)
    inputs = inputs_for(model, size)
    with torch.inference_mode():
        together = model(**inputs)
        assert torch.equal(together, model(**inputs))
        assert together.std(0).min() > 0, "recordings are told apart"
        torch.testing.assert_close(model(**part(inputs, slice(1))), together[:1], atol=1e-5, rtol=1e-4)
        inputs["x"][1:] *= 10
        torch.testing.assert_close(model(**inputs)[:1], together[:1], atol=1e-5, rtol=1e-4)


@each_case
@each_lead_set
def test_saved_and_loaded_weights_give_equal_outputs(name, size, tmp_path):
    model = settled(name, size)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "weights.safetensors")
    loaded = fresh(name, size, seed=7).eval()
    loaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    inputs = inputs_for(model, size)
    with torch.inference_mode():
        assert torch.equal(loaded(**inputs), model(**inputs))


@each_case
def test_compiled_answers_equal_eager_ones(name):
    """Captured and lowered by `torch.compile`; generating code for the processor is left out, as it takes minutes."""
    model = settled(name, 3)
    inputs = inputs_for(model, 3)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad():
        wanted = model(**inputs)
        torch.testing.assert_close(compiled(**inputs), wanted, atol=1e-5 * wanted.abs().max().item(), rtol=1e-5)


@each_case
@each_lead_set
def test_single_flat_and_padded_windows_are_finite(name, size):
    model = settled(name, size)
    inputs = inputs_for(model, size, 1)
    x = inputs.pop("x")
    samples = x.shape[-1]
    mask, everything = torch.arange(samples)[None] < samples // 3, torch.ones(1, samples, dtype=torch.bool)
    with torch.inference_mode():
        torch.testing.assert_close(model(x, everything, **inputs), model(x, **inputs), atol=1e-5, rtol=1e-4)
        assert model(x * mask, mask, **inputs).isfinite().all()
        for flat in (torch.zeros_like(x), torch.full_like(x, 3.0)):
            assert model(flat).isfinite().all()
        assert model(torch.zeros_like(x), ~everything).isfinite().all()


@each_case
def test_training_lowers_the_loss(name):
    model = fresh(name, 2).train()
    inputs, target = inputs_for(model, 2, 4), torch.eye(5)[:4]
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        torch.manual_seed(3)  # the same dropout in every step
        loss = nn.functional.binary_cross_entropy_with_logits(model(**inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


#: Networks that see marks of beats alone, which these windows lack.
WITHOUT_SAMPLES = ("crnn_pqrst, points",)


@cache
def windows_of(folder: Path, spec: InputSpec) -> tuple[Tensor, Tensor]:
    """First windows (b, 12, t) and masks (b, t) of the readable recordings of the Challenge."""
    windows = []
    for path in find_recordings(folder / "challenge"):
        try:
            recording = read_recording(path)
        except ReadError:
            continue
        prepared = prepare(recording.signal, recording.fs, recording.leads, spec.transform)
        windows.append(cut_window(prepared.samples, prepared.statistics, range(len(LEADS)), 0, spec))
    x, masks = map(np.stack, zip(*windows, strict=True))
    return torch.from_numpy(x), torch.from_numpy(masks)


@each_case
def test_recordings_on_every_lead_set(name, recorded):
    x, masks = windows_of(recorded, fresh(name).input_spec)
    assert len(x) >= 5
    for size, leads in LEAD_SETS.items():
        model = settled(name, size)
        windows = x[:, [LEADS.index(lead) for lead in leads]]
        with torch.inference_mode():
            logits = model(windows, masks)
            assert logits.isfinite().all()
            assert logits.std(0).min() > 0 or name in WITHOUT_SAMPLES, "recordings are told apart"
            torch.testing.assert_close(model(windows[:1], masks[:1]), logits[:1], atol=1e-5, rtol=1e-4)


@each_case
def test_exported_to_onnx_it_answers_the_same(name, tmp_path):
    pytest.importorskip("onnxscript", reason="the onnx extra is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    model = settled(name, 3)
    inputs = inputs_for(model, 3)
    torch.onnx.export(model, (), kwargs=inputs, dynamo=True, verbose=False).save(tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {given.name: inputs[given.name].numpy() for given in session.get_inputs()})
    with torch.inference_mode():
        expected = model(**inputs)
    torch.testing.assert_close(torch.from_numpy(answer), expected, atol=1e-4, rtol=1e-4)
