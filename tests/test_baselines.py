"""Baselines: the same answers as the libraries that fitted them, hostile files refused, and entries like any other."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pytest
import torch
from scipy.special import logit
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import nn

from leadset.baselines import encoders
from leadset.baselines.inputs import INPUTS
from leadset.baselines.learners import DEEPEST, Perceptron, Trees
from leadset.baselines.registry import BASELINES
from leadset.classes import label_space
from leadset.cli import main
from leadset.config import load_config
from leadset.entry import load_entry
from leadset.explain import WAVES, explain
from leadset.leads import LEADS
from leadset.models import create_model
from leadset.models.embedding import Embedder
from leadset.models.prediction import mean_features, predict
from leadset.models.shipped import FOLDER, SIMULATED, shipped_networks
from leadset.preprocess import prepare
from leadset.recordings import find_recordings, read_recording
from leadset.simulate.write import write_dataset
from leadset.studies.entrants import TrainedBaseline
from leadset.training.baselines import learners
from leadset.training.baselines.entries import train_baselines
from leadset.training.baselines.learners import FITS, fit_scaling

SEED = 7
#: Those with weights from simulation alone.
NETWORKS = shipped_networks(SIMULATED, "classifier")


@pytest.fixture(scope="module")
def problem():
    """Features (60, 9) with gaps and of unlike sizes, and targets (60, 4): unknown ones, and a class without any."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 9)) * 10.0 ** np.arange(-4, 5)
    targets = np.stack([features[:, 4] > 0, features[:, 0] + features[:, 1] > 0, rng.random(60) > 0.7], axis=1)
    targets = np.column_stack([targets, np.zeros(60)]).astype(float)
    targets[:5, 1] = np.nan
    features[rng.random(features.shape) < 0.1] = np.nan
    features[3, 2] = np.inf
    return features, targets


def scaled(features):
    filled, scaling = fit_scaling(features)
    return filled, (filled.astype(float) - scaling.mean) / scaling.scale


def known(targets, k):
    return ~np.isnan(targets[:, k])


def test_logistic_regression_answers_as_scikit_learn(problem):
    features, targets = problem
    answers = FITS["logistic"](features, targets, SEED)(features)
    _, x = scaled(features)
    for k in range(3):
        rows = known(targets, k)
        fitted = LogisticRegression(max_iter=1000, random_state=SEED).fit(x[rows], targets[rows, k])
        assert answers[:, k] == pytest.approx(fitted.predict_proba(x)[:, 1], abs=1e-6)
    assert (answers[:, 3] < 0.01).all()


def test_mlp_answers_as_scikit_learn(problem):
    features, targets = problem
    answers = FITS["mlp"](features, targets, SEED)(features)
    _, x = scaled(features)
    fitted = MLPClassifier((100, 50), max_iter=500, random_state=SEED).fit(x, np.nan_to_num(targets).astype(int))
    assert answers == pytest.approx(fitted.predict_proba(x), abs=1e-6)


@pytest.mark.parametrize("options", [{"n_estimators": 20, "max_depth": 10}, {"n_estimators": 3, "max_leaf_nodes": 9}])
def test_forests_answer_as_scikit_learn(problem, options):
    features, targets = problem
    learner = learners.fit_forest(features, targets, SEED, **options)
    new = np.random.default_rng(1).normal(size=(50, 9)) * 10.0 ** np.arange(-4, 5)
    filled, _ = fit_scaling(features)
    learner.check(9, 4)
    for k in range(3):
        rows = known(targets, k)
        forest = RandomForestClassifier(random_state=SEED, **options).fit(filled[rows], targets[rows, k])
        expected = forest.predict_proba(np.concatenate([filled, new.astype(np.float32)]))[:, 1]
        assert learner(np.concatenate([features, new]))[:, k] == pytest.approx(expected, abs=1e-6)


def test_boosted_trees_answer_as_lightgbm(problem):
    lightgbm = pytest.importorskip("lightgbm", reason="the baselines extra is not installed")
    features, targets = problem
    learner = FITS["lightgbm"](features, targets, SEED)
    learner.check(9, 4)
    filled, _ = fit_scaling(features)
    for k in range(3):
        rows = known(targets, k)
        fitted = lightgbm.LGBMClassifier(random_state=SEED, **learners._LIGHTGBM)
        fitted.fit(filled[rows], targets[rows, k])
        assert learner(features)[:, k] == pytest.approx(fitted.predict_proba(filled)[:, 1], abs=1e-6)
    assert learner(features)[:, :3].std(axis=0).min() > 0.1


@pytest.mark.parametrize("name", ["logistic", "mlp", "example"])
def test_answers_do_not_depend_on_what_is_beside_and_survive_the_file(problem, name, tmp_path):
    features, targets = problem
    learner = FITS[name](features, targets, SEED)
    learner.write(tmp_path / "a.safetensors")
    again = type(learner).read(tmp_path / "a.safetensors", 9, 4)
    together = learner(features)
    assert np.array_equal(np.concatenate([again(row[None]) for row in features]), together)
    assert ((together >= 0) & (together <= 1)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {"left": np.where(t.left >= 0, 0, t.left).astype(np.int32)}, "does not come after it"),
        (lambda t: {"feature": t.feature + np.int32(9)}, "feature has numbers beyond 0 to 8"),
        (lambda t: {"roots": t.roots + np.int32(10**6)}, "roots has numbers beyond"),
        (lambda t: {"classes": t.classes[::-1].copy()}, "not ordered by class"),
        (lambda t: {"value": t.value[:-1]}, "expected"),
        (lambda t: {"base": np.zeros(5)}, r"base is float64 \(5,\), expected float64 \(4,\)"),
        (lambda t: {"threshold": np.full_like(t.threshold, np.nan)}, "expected finite numbers"),
    ],
)
def test_hostile_trees_are_refused(problem, tmp_path, change, message):
    learner = FITS["example"](*problem, SEED)
    replace(learner, **change(learner)).write(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=message) as refused:
        Trees.read(tmp_path / "a.safetensors", 9, 4)
    assert str(tmp_path / "a.safetensors") in str(refused.value)


def test_a_bottomless_tree_is_refused(tmp_path):
    """Both children of a node are the next one: 2 to the power of its depth ways through it, and each is too long."""
    m = DEEPEST + 5
    child = np.append(np.arange(1, m), -1).astype(np.int32)
    zeros, nothing = np.zeros(m), np.zeros(m, np.int32)
    one = np.zeros(1, np.int32)
    trees = Trees(np.zeros(2), nothing, zeros, child, child, zeros, one, one, np.zeros(1), one)
    trees.write(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=f"a tree is deeper than {DEEPEST}"):
        Trees.read(tmp_path / "a.safetensors", 2, 1)


def test_other_files_are_refused(problem, tmp_path):
    FITS["logistic"](*problem, SEED).write(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="expected base, classes, feature"):
        Trees.read(tmp_path / "a.safetensors", 9, 4)
    with pytest.raises(ValueError, match=r"fill is float64 \(9,\), expected float64 \(8,\)"):
        Perceptron.read(tmp_path / "a.safetensors", 8, 4)
    (tmp_path / "b.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="not a safetensors file"):
        Trees.read(tmp_path / "b.safetensors", 9, 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baselines") / "data"
    list(write_dataset(folder, 30, seconds=5, fs=250))
    return folder


def test_a_baseline_is_an_entry_like_any_other(data, tmp_path, capsys):
    names = ["logistic_statistics", "logistic_pqrst", "example", "probe_random", "probe_crnn_pqrst"]
    command = ["baseline", str(data), str(tmp_path / "m"), "--baselines", ",".join(names), "--leads", "12,2"]
    assert main([*command, "--set", "workers=1"]) == 0
    assert "Challenge metric" in capsys.readouterr().out
    entry = load_entry(tmp_path / "m")
    paths = find_recordings(data)[:6]
    answers = list(entry.predict(paths))
    assert not any(answer.failed for answer in answers)
    assert all(set(answer.by_model) == set(names) for answer in answers)
    alone = [entry.predict(path) for path in paths]
    assert all(np.array_equal(a.probabilities, b.probabilities) for a, b in zip(answers, alone, strict=True))
    assert np.std([answer.probabilities for answer in answers], axis=0).max() > 0.05, "recordings are told apart"
    recording = read_recording(paths[0])
    two = replace(recording, signal=recording.signal[:2], leads=recording.leads[:2])
    assert entry.trained_set(two.leads).leads == ("I", "II") and not entry.predict(two).failed
    found = explain(entry, two, ["NSR"])
    (one,) = found.classes
    assert found.method == "occlusion" and found.leads == ("I", "II")
    assert {wave for lead, wave in one.without if lead == "all"} == set(WAVES)
    assert np.abs(one.map).max() > 0 and one.log_odds == pytest.approx(logit(one.probability))
    for lead in ("I", "II"):
        assert one.without[lead, "all"] != 0
    with pytest.raises(ValueError, match="is no network; expected the method occlusion"):
        explain(entry, two, ["NSR"], "ig")
    assert main(["predict", str(tmp_path / "m"), str(data), str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").rglob("*.csv"))) == 30


@pytest.mark.parametrize("words", ["--epochs 3", "--models star", "--lr 0.1", "--preset compact", "--freeze"])
def test_options_of_networks_are_refused(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["baseline", "data", "model", "--baselines", "example", *words.split()])
    assert f"unrecognized arguments: {words}" in capsys.readouterr().err


def test_training_twice_gives_the_same_bytes(data, tmp_path):
    config = replace(load_config(), lead_sets=(("I", "II"),), workers=1, cache=str(tmp_path / "store"))
    for folder in ("a", "b"):
        train_baselines(data, tmp_path / folder, ["example"], config)
    files = [(tmp_path / folder / "example-2.safetensors").read_bytes() for folder in ("a", "b")]
    assert files[0] == files[1]


def test_an_entry_that_is_replaced_is_named_and_leaves_no_file(data, tmp_path, capsys):
    (tmp_path / "mine.toml").write_bytes(label_space("cpsc2018").file.read_bytes())
    config = replace(load_config(), lead_sets=(("I", "II"),), workers=1, cache=str(tmp_path / "store"))
    train_baselines(data, tmp_path / "m", ["example"], replace(config, label_space=str(tmp_path / "mine.toml")))
    (tmp_path / "m" / "notes.txt").touch()
    assert "is replaced" not in capsys.readouterr().out
    train_baselines(data, tmp_path / "m", ["logistic_statistics"], config)
    assert re.search(r"m holds a finished entry of \d{4}-\d\d-\d\d \d\d:\d\d: it is replaced", capsys.readouterr().out)
    files = {path.name for path in (tmp_path / "m").iterdir()}
    assert files == {"README.md", "entry.json", "logistic_statistics-2.safetensors", "notes.txt", "split.csv"}
    assert (tmp_path / "mine.toml").is_file()


def test_names_of_baselines(data, tmp_path):
    assert len(BASELINES) == 10 + len(NETWORKS)
    assert {baseline.learner for baseline in BASELINES.values()} == set(FITS)
    with pytest.raises(ValueError, match="baseline 'oracle': expected some of logistic_statistics"):
        train_baselines(data, tmp_path / "m", ["oracle"])


def test_the_random_encoder_is_the_network_that_it_names_and_the_same_everywhere():
    model = create_model(encoders.NETWORK, ("I", "II"), 5, **encoders.OPTIONS)
    assert model.input_spec == INPUTS["random"].spec
    network = encoders.encoder(encoders.NETWORK, "random", ("I", "II")).model
    first = next(m for m in network.modules() if isinstance(m, nn.Conv1d))
    limit = (6 / (2 * first.kernel_size[0])) ** 0.5
    weights = first.weight.detach().numpy().ravel()
    bits = np.array(np.random.PCG64(2021).random_raw(2), dtype=np.uint64)
    assert np.allclose(weights[:2], limit * (2 * (bits / 2.0**64) - 1), atol=1e-6)
    assert abs(weights.mean()) < limit / 10 and np.abs(weights).max() <= limit


def test_the_random_encoder_tells_signals_apart_whatever_the_seed_of_torch():
    rng, found, looks_at = np.random.default_rng(0), [], INPUTS["random"]
    signals = rng.normal(size=(2, 12, 5000)).cumsum(axis=2) / 100
    for seed in (0, 1):
        torch.manual_seed(seed)
        encoders.encoder.cache_clear()
        prepared = [prepare(signal, 500, LEADS, looks_at.spec.transform) for signal in signals]
        found.append(list(looks_at.compute([(p.samples, p.statistics) for p in prepared], LEADS)))
    assert np.shape(found) == (2, 2, looks_at.length(LEADS)) and np.isfinite(found).all()
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0][0], found[0][1])


# --- probes of the weights that ship ---------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("leads", [LEADS, ("II",)])
def test_a_probe_looks_at_what_the_frozen_network_turns_into_logits(network, leads):
    looks_at = BASELINES[f"probe_{network}"].input(BASELINES[f"probe_{network}"].options("simulated"))
    model = create_model(network, leads, pretrained="simulated").eval()
    assert looks_at.spec == model.input_spec
    signals = np.random.default_rng(0).normal(size=(2, 12, 7000)).cumsum(axis=2) / 100
    prepared = [prepare(signal, 500, LEADS, looks_at.spec.transform) for signal in signals]
    inputs = [(p.samples, p.statistics) for p in prepared]
    found = list(looks_at.compute(inputs, leads))
    expected = list(predict(Embedder(model).eval(), inputs, leads, model.input_spec, finish=mean_features))
    assert np.array_equal(found, expected) and np.shape(found) == (2, looks_at.length(leads))
    assert not np.allclose(found[0], found[1])


def test_a_probe_takes_the_weights_that_networks_start_from_and_answers_with_no_others(data, tmp_path):
    config = replace(load_config(), lead_sets=(("I", "II"),), workers=1, cache=str(tmp_path / "store"))
    answers = []
    for weights in ("simulated", "shipped"):
        start = replace(config.start, weights=weights)
        train_baselines(data, tmp_path / weights, ["probe_resnet34"], replace(config, start=start))
        entry = load_entry(tmp_path / weights)
        (member,) = entry.manifest.sets[0].members
        file = {"simulated": SIMULATED, "shipped": FOLDER}[weights] / "resnet34.safetensors"
        assert member.options == {"weights": weights, "digest": blake2b(file.read_bytes(), digest_size=8).hexdigest()}
        answers.append(entry.predict(find_recordings(data)[0]).probabilities)
    assert not np.allclose(*answers)
    path = tmp_path / "simulated" / "entry.json"
    text = path.read_text()
    for change, message in (
        ("shipped", "found features of weights .* train it again"),
        ("elsewhere", "found weights 'elsewhere' for a probe of resnet34, expected shipped or simulated"),
    ):
        assert '"weights": "simulated"' in text
        path.write_text(text.replace('"weights": "simulated"', f'"weights": "{change}"'))
        with pytest.raises(ValueError, match=message):
            load_entry(tmp_path / "simulated").predict(find_recordings(data)[0])
    with pytest.raises(ValueError, match="found weights 'none' for a probe of resnet34, expected shipped or simulated"):
        train_baselines(data, tmp_path / "m", ["probe_resnet34"], replace(config, start=replace(start, weights="none")))


def test_a_probe_of_other_weights_is_another_entrant_and_other_baselines_ask_for_none():
    config = load_config()
    shipped, simulated = (
        TrainedBaseline("probe_s4d", "", replace(config, start=replace(config.start, weights=weights))).provenance()
        for weights in ("shipped", "simulated")
    )
    assert shipped["weights"] != simulated["weights"] and shipped["configuration"] == simulated["configuration"]
    assert TrainedBaseline("probe_s4d", "", config).with_seed(5).provenance()["weights"] == shipped["weights"]
    assert "weights" not in TrainedBaseline("probe_random", "", config).provenance()
