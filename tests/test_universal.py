"""Universal networks: targets, batches, resumption, cutting to lead sets, and the weights that ship."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from networks import REDUCED, settle
from safetensors.torch import load_file, save_file

from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEAD_SETS, LEADS, resolve_leads
from leadset.models import create_model, list_models
from leadset.models.lead_cut import cut_leads
from leadset.models.prediction import lead_rows
from leadset.models.shipped import FOLDER, SIMULATED, load_shipped, read_shipped, shipped_networks, write_shipped
from leadset.preprocess import InputSpec, Transform, cut_window, prepare
from leadset.simulate import simulate
from leadset.training.checkpoint import read_progress
from leadset.training.shipped.universal import (
    RATES,
    RECIPES,
    Recipe,
    ship,
    simulated_batch,
    train,
    trapezoid,
)
from leadset.training.steps.lead_dropout import draw_rows
from leadset.training.steps.source_labels import draw_targets

SPACE = label_space(CHALLENGE)
TINY = Recipe("resnet34", REDUCED["resnet34"], steps=4, batch_size=32)
#: Options with which an architecture serves every lead set: it is cut, or given zeros.
CUT = {
    "resnet34": {},
    "cnn_heartmaasters": {},
    "s4d": {},
    "mvms_net": {"student": True},
    "crnn_pqrst": {"branches": "signal", "norm": "batch"},
    "star": {"zero_leads": True},
    "resunet_lc": {"zero_leads": True},
}


# --- what is trained on ----------------------------------------------------------------------------------------------


def test_targets_are_what_sources_call_a_heart():
    rng = np.random.default_rng(0)

    def shares(*codes):
        drawn = np.mean([draw_targets(codes, SPACE, rng) for _ in range(2000)], axis=0)
        return {name: share for name, share in zip(SPACE.abbreviations, drawn.tolist(), strict=True) if share}

    near = partial(pytest.approx, abs=0.04)
    assert shares("426783006") == {"NSR": 1} and shares("426783006", "427393009") == {"NSR": 1, "SA": 1}
    assert shares("426783006", "39732003") == {"LAD": 1, "NSR": near(0.5)}
    assert shares("713426002", "164889003") == {"AF": 1, "IRBBB": 1, "RBBB": near(0.4)}
    assert shares("426177001", "164947007") == {"SB": 1, "LPR": 1, "NSR": near(0.1), "IAVB": near(0.5)}
    assert shares("164884008") == {"PVC": 1}
    assert shares("59931005") == {"TInv": 1, "TAb": near(0.3)} and shares("428750005") == {"TAb": near(0.4)}


def test_plain_steps_learn_what_is_simulated():
    recipe = replace(TINY, plain_steps=4)
    spec = recipe.untrained().input_spec
    plain, drawn = (simulated_batch(step, recipe, spec).labels.numpy() for step in (3, 4))
    expected = [simulate(32, recipe.seed, 2.0, 100, start=32 * step, marks=False).codes for step in (3, 4)]
    assert np.array_equal(plain, [SPACE.encode_for_training(codes) for codes in expected[0]])
    assert not np.array_equal(drawn, [SPACE.encode_for_training(codes) for codes in expected[1]])


def test_half_of_the_recordings_lose_leads_and_challenge_sets_are_among_what_is_left():
    rng = np.random.default_rng(0)
    drawn = [tuple(draw_rows(rng)) for _ in range(4000)]
    whole = tuple(range(12))
    assert np.mean([rows == whole for rows in drawn]) == pytest.approx(0.5, abs=0.03)
    reduced = [rows for rows in drawn if rows != whole]
    for size in (6, 4, 3, 2):
        assert np.mean([rows == tuple(lead_rows(LEAD_SETS[size])) for rows in reduced]) > 0.12
    assert np.mean([rows == (0,) for rows in reduced]) > 0.12
    assert {len(rows) for rows in reduced} == set(range(1, 12))
    assert all(list(rows) == sorted(set(rows)) for rows in drawn)


def test_a_batch_is_a_function_of_its_step_and_lacks_leads():
    spec = InputSpec(Transform(100), 1000)
    recipe = replace(TINY, batch_size=64)
    one, again, other = (simulated_batch(step, recipe, spec) for step in (7, 7, 8))
    assert torch.equal(one.windows, again.windows) and torch.equal(one.labels, again.labels)
    assert not torch.equal(one.windows, other.windows)
    assert one.windows.shape == (64, 12, 1000) and one.labels.shape == (64, len(SPACE))
    present = (one.windows != 0).any(-1).sum(1)
    assert 16 < (present < 12).sum() < 48 and present.min() >= 1


@pytest.mark.parametrize("rate", RATES[1:])
def test_low_rates_give_the_same_heart_after_preparation(rate):
    """Without noise, whose draws depend on the rate: windows at 100 Hz differ by a hundredth of their SD."""
    windows = []
    for simulated_at in (500, rate):
        made = simulate(24, 3, fs=simulated_at, noise=0, marks=False)
        prepared = [prepare(signal, simulated_at, LEADS, Transform(100)) for signal in made.signals]
        windows.append(np.stack([p.samples * p.statistics[0][:, None] for p in prepared]))
    difference = windows[1] - windows[0]
    assert np.median(difference.std(-1) / windows[0].std(-1)) < 0.01


# --- training --------------------------------------------------------------------------------------------------------


def test_learning_rate_does_not_depend_on_the_number_of_steps_until_it_falls():
    steps = np.arange(700)
    assert [trapezoid(step, 1000) for step in steps] == [trapezoid(step, 2000) for step in steps]
    rates = [trapezoid(step, 1000) for step in range(1000)]
    assert max(rates) == 1 and 0 < rates[0] < 0.01 and 0 < rates[-1] < 0.01
    assert all(b <= a for a, b in pairwise(rates[750:]))


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path):
    logged: list[str] = []
    assert train(TINY, tmp_path / "whole", logged.append) is not None
    assert train(TINY, tmp_path / "parts", logged.append, lambda step: step == 2) is None
    assert read_progress(tmp_path / "parts" / "resnet34.state")["step"] == 2
    assert train(TINY, tmp_path / "parts", logged.append) is not None
    whole, parts = (load_file(tmp_path / name / "resnet34.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not (tmp_path / "parts" / "resnet34.state").exists()
    start = TINY.untrained().state_dict()
    assert not torch.equal(whole["fc.weight"], start["fc.weight"])
    summary = json.loads((tmp_path / "parts" / "resnet34.json").read_text())
    assert summary["step"] == 4 and summary["core_seconds"] > 0
    ship(TINY, tmp_path / "parts", tmp_path)
    shipped = load_shipped("resnet34", folder=tmp_path)
    assert shipped.pretrained["recordings"] == 4 * 32 and shipped.pretrained["recipe"]["seed"] == TINY.seed
    torch.testing.assert_close(shipped.fc.weight.data, whole["fc.weight"], rtol=1e-3, atol=1e-5)


def test_a_state_of_another_recipe_is_refused(tmp_path):
    train(TINY, tmp_path, print, lambda step: step == 1)
    with pytest.raises(ValueError, match=r"resnet34\.state: found the run of recipe .*remove the file"):
        train(replace(TINY, learning_rate=1e-3), tmp_path)


@pytest.mark.parametrize(("change", "message"), [({"batch_size": 40}, "multiple of 32"), ({"steps": 0}, "steps=0")])
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


# --- cutting ---------------------------------------------------------------------------------------------------------


def _settled(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = create_model(name, 12, **REDUCED[name] | CUT[name])
    spec = model.input_spec
    return settle(model, x=torch.randn(16, 12, spec.samples) * torch.randint(0, 2, (16, 12, 1)))


@pytest.mark.parametrize("leads", [6, 4, 3, 2, "I", "II,V5"])
@pytest.mark.parametrize("name", CUT)
def test_cutting_equals_masking(name, leads):
    whole, names = _settled(name), resolve_leads(leads)
    cut = create_model(name, names, **REDUCED[name] | CUT[name]).eval()
    cut.load_state_dict(cut_leads(cut, whole.state_dict(), names))
    x = torch.zeros(4, 12, whole.input_spec.samples)
    rows = lead_rows(names)
    x[:, rows] = torch.randn(4, len(rows), x.shape[2])
    mask = torch.ones(4, x.shape[2], dtype=torch.bool)
    mask[2:, -x.shape[2] // 5 :] = False
    for m in (None, mask):
        x = x if m is None else x * m[:, None]
        with torch.no_grad():
            expected, found = whole(x, m), cut(x[:, rows], m)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert expected.std() > 1e-3


def test_every_classifier_serves_every_lead_set():
    assert sorted(CUT) == list_models("classifier")


def test_networks_with_inputs_of_each_lead_are_given_no_zeros():
    with pytest.raises(ValueError, match="found extra inputs that are computed by lead: beats, record"):
        create_model("crnn_pqrst", 2, zero_leads=True, record_features=True)
    model = create_model("star", 2, zero_leads=True, extra=["age"], **REDUCED["star"]).eval()
    assert model(torch.zeros(1, 2, model.input_spec.samples)).shape == (1, len(SPACE))


def test_cut_networks_see_the_windows_that_were_trained_on():
    """Scaling by recording looks at the leads that are left, in training and in the network of these leads alike."""
    signal = simulate(1, 5, marks=False).signals[0]
    spec = InputSpec(Transform(100), 1000, scaling="recording")
    prepared, rows = prepare(signal, 500, LEADS, spec.transform), lead_rows(LEAD_SETS[2])
    window, _ = cut_window(prepared.samples, prepared.statistics, rows, 0, spec)
    alone = prepare(signal[rows], 500, LEAD_SETS[2], spec.transform)
    expected, _ = cut_window(alone.samples, alone.statistics, rows, 0, spec)
    assert np.array_equal(window, expected)


@pytest.mark.parametrize("name", sorted(set(list_models("classifier")) - {"resnet34", "cnn_heartmaasters", "s4d"}))
def test_networks_that_zero_leads_speak_in_cannot_be_cut(name):
    model = create_model(name, 12, **REDUCED[name])
    with pytest.raises(ValueError, match="cannot be cut to I, II: expected all twelve leads"):
        cut_leads(model, model.state_dict(), ("I", "II"))
    tensors = model.state_dict()
    assert cut_leads(model, tensors, LEADS) is tensors


# --- weights that ship -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    write_shipped(_settled("resnet34"), SPACE.keys, {"seed": 7}, tmp_path)
    return tmp_path


def test_written_weights_are_read_again_in_half_precision(folder):
    original = _settled("resnet34").state_dict()
    model = load_shipped("resnet34", folder=folder)
    assert model.pretrained["seed"] == 7 and model.pretrained["new"] == []
    assert model.options == json.loads(json.dumps(REDUCED["resnet34"]))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, original[name], rtol=1e-3, atol=1e-4)
    assert load_file(folder / "resnet34.safetensors")["fc.weight"].dtype == torch.float16


def test_other_classes_keep_the_trunk_and_get_a_new_head(folder):
    model, old = load_shipped("resnet34", 2, 5, folder), load_shipped("resnet34", 2, folder=folder)
    assert model.pretrained["new"] == ["fc.weight", "fc.bias"] and model.fc.weight.shape[0] == 5
    assert torch.equal(model.conv1.weight, old.conv1.weight)
    assert torch.equal(model.stages[3][0].conv2.weight, old.stages[3][0].conv2.weight)


def test_options_come_from_the_file_and_others_are_refused(folder):
    model = load_shipped("resnet34", folder=folder, width=4, blocks=(1, 1, 1, 1), window="masked")
    assert model.conv1.out_channels == 4
    with pytest.raises(ValueError, match=r"resnet34\.safetensors: its network has width=4, found width=64"):
        load_shipped("resnet34", folder=folder, width=64)
    with pytest.raises(ValueError, match="its network has window='masked', found window='published'"):
        load_shipped("resnet34", folder=folder, window="published")
    with pytest.raises(ValueError, match=r"its network has extra=None, found extra=\['age'\]"):
        load_shipped("resnet34", folder=folder, extra=["age"])
    with pytest.raises(TypeError, match="no option 'depth'"):
        load_shipped("resnet34", folder=folder, depth=3)


def test_networks_without_shipped_weights_are_named(folder):
    with pytest.raises(ValueError, match="no weights ship for star: expected one of resnet34"):
        load_shipped("star", folder=folder)
    with pytest.raises(ValueError, match="no model 'resnet'"):
        load_shipped("resnet", folder=folder)


def _damaged(folder, change):
    path = folder / "resnet34.safetensors"
    tensors = load_file(path)
    _, metadata = read_shipped(path)
    change(tensors, metadata)
    save_file(tensors, path, {"leadset": json.dumps(metadata)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: t["fc.bias"].fill_(float("nan")), r"resnet34\.safetensors: found numbers in fc\.bias"),
        (lambda t, m: t.pop("fc.bias"), r"other tensors than the network has, among them fc\.bias"),
        (lambda t, m: t.update({"fc.bias": torch.zeros(3)}), r"found fc\.bias of shape \(3,\), expected \(26,\)"),
        (lambda t, m: t.update({"bn1.bias": torch.zeros(9)}), r"found bn1\.bias of shape \(9,\), expected \(4,\)"),
        (lambda t, m: m.update(format=9), "found format 9, expected 1"),
        (lambda t, m: m.update(network="star"), "found weights of star, expected resnet34"),
        (lambda t, m: m.pop("classes"), "found no classes in its metadata"),
        (lambda t, m: m.update(leads=["I", "II"]), "expected the twelve in standard order"),
        (lambda t, m: t.update({"conv1.weight": torch.zeros(4, 11, 15)}), r"conv1\.weight of shape \(4, 11, 15\)"),
    ],
)
def test_damaged_weights_are_refused(folder, change, message):
    _damaged(folder, change)
    with pytest.raises(ValueError, match=message):
        load_shipped("resnet34", 2, folder=folder)


def test_files_that_are_no_weights_are_refused(folder):
    path = folder / "resnet34.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"resnet34\.safetensors: no weights could be read"):
        load_shipped("resnet34", folder=folder)


def test_weights_beyond_half_precision_are_not_written(tmp_path):
    model = _settled("resnet34")
    model.bn1.running_var[0] = 1e6
    with pytest.raises(ValueError, match=r"bn1\.running_var: its largest number is 1e\+06"):
        write_shipped(model, SPACE.keys, {}, tmp_path)


@pytest.mark.parametrize("leads", [12, 6, 4, 3, 2, "I", "II,V5"])
@pytest.mark.parametrize("name", shipped_networks(kind="classifier"))
def test_shipped_networks_load_for_any_lead_set_and_have_a_card(name, leads):
    model = create_model(name, leads, pretrained=True).eval()
    assert model.pretrained["classes"] == list(SPACE.keys) and not model.pretrained["new"]
    rows = lead_rows(resolve_leads(leads))
    assert model(torch.zeros(1, len(rows), model.input_spec.samples)).isfinite().all()
    assert (FOLDER / f"{name}.md").is_file()


def test_every_recipe_ships_and_nothing_real_is_behind_the_second_set():
    assert shipped_networks(kind="classifier") == shipped_networks(SIMULATED, "classifier") == sorted(RECIPES)
    for name in RECIPES:
        model = create_model(name, 2, pretrained="simulated")
        assert model.pretrained["data"] == "simulation alone"
        assert model.pretrained["options"] == create_model(name, 2, pretrained=True).pretrained["options"]
        assert "real" not in model.pretrained


def test_other_sets_of_weights_are_refused():
    with pytest.raises(ValueError, match="pretrained='real': expected True, False or 'simulated'"):
        create_model("resnet34", pretrained="real")


def test_shipped_networks_know_simulated_hearts():
    """Atrial fibrillation against sinus rhythm on two leads, of recordings that no training has seen."""
    made = simulate(48, 991, labels={"AF": 1, "NSR": 1}, marks=False)
    fibrillates = np.array(["164889003" in codes for codes in made.codes])
    for name in shipped_networks(kind="classifier"):
        model = create_model(name, 2, pretrained=True).eval()
        spec, rows = model.input_spec, lead_rows(LEAD_SETS[2])
        prepared = [prepare(signal, 500, LEADS, spec.transform) for signal in made.signals]
        windows = np.stack([cut_window(p.samples, p.statistics, rows, 0, spec)[0] for p in prepared])
        with torch.no_grad():
            logits = model(torch.from_numpy(windows))[:, SPACE.abbreviations.index("AF")].numpy()
        right = (logits[fibrillates][:, None] > logits[~fibrillates]).mean()
        assert right > 0.95, name
