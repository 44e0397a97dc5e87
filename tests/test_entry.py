"""A trained entry: the calling convention, one path for training and prediction, bad input, hostile folders."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from files_on_disk import make_counts, write_recording
from organisers_driver import drive

import extract_leads_wfdb
import test_model
import train_model
from leadset import create_model, load_entry
from leadset.anomaly.features import feature_names
from leadset.anomaly.head import Head
from leadset.challenge import load_model, run_model
from leadset.classes import label_space
from leadset.entry import networks, parallel, prediction
from leadset.entry.decision import DecisionRule
from leadset.entry.ensemble import Ensemble, Evidence
from leadset.entry.manifest import Manifest, Member, TrainedSet
from leadset.entry.parallel import predict_all
from leadset.leads import LEAD_SETS, LEADS, resolve_leads
from leadset.models import model_entry
from leadset.models.cost import model_cost
from leadset.models.extra_inputs import EXTRA_INPUTS, extra_inputs, extra_shapes
from leadset.models.prediction import predict
from leadset.preprocess import InputSpec, Prepared, cut_window, prepare, window_starts
from leadset.recordings import Recording, find_recordings, read_recording
from leadset.scoring import evaluate
from leadset.simulate import simulate
from leadset.simulate.faults import swap_electrodes
from leadset.simulate.write import write_dataset
from leadset.store.beat_store import build_beats
from leadset.store.packed import build_store
from leadset.training.data import Contexts, beats_keys
from leadset.utils.weights import save_weights

SPACE = label_space("challenge2021")
N = 5  # more than a group of windows holds
OPTIONS = {
    "resnet34": {"width": 4, "rate": 100, "extra": ["age", "sex"]},
    "star": {"width": 16},
    "mvms_net": {"width": 8},
    "crnn_pqrst": {"width": 8, "rate": 100, "beat_pooling": "attention", "record_features": True},
    "cross_restoration": {"width": 4, "latent": 6},
    "cnn_heartmaasters": {"width": 4, "rate": 100},
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    list(write_dataset(folder, N, seed=4, seconds=12.0))
    return folder


def some_head(leads, rng):
    """A head that was fitted to nothing."""
    d, k = len(feature_names(leads)), 1 + len(SPACE)
    return Head(rng.normal(size=d), rng.uniform(0.5, 2, d), rng.normal(size=(k, d)), rng.normal(size=k))


@pytest.fixture(scope="module")
def entry_folder(tmp_path_factory):
    """An entry of untrained networks: six architectures on the lead sets 12, 3, 2 and II,V5."""
    folder = tmp_path_factory.mktemp("entry")
    rng = np.random.default_rng(0)
    prior = np.linspace(0.01, 0.3, len(SPACE))
    sets = []
    for leads in map(resolve_leads, (12, 3, 2, "II,V5")):
        members = []
        for name, options in OPTIONS.items():
            model = create_model(name, leads, **options)
            weights, head = f"{name}-{'-'.join(leads)}.safetensors", ""
            save_weights(folder / weights, model)
            if model_entry(name).kind == "reconstruction":
                head = f"head-{weights}"
                some_head(leads, rng).write(folder / head)
            rule = DecisionRule(rng.uniform(0.3, 0.7, len(SPACE)))
            macs = model_cost(name, leads, **options).macs
            members.append(Member(name, options, model.input_spec, weights, rule, {}, macs, head))
        rule = DecisionRule(np.full(len(SPACE), 0.5))
        alone = Ensemble(np.array([0.4, 0.3, 0.1, 0.1, 0.0, 0.1]), DecisionRule(np.full(len(SPACE), 0.4)))
        evidence = Evidence(np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.0]), prior, rule)
        sets.append(TrainedSet(leads, tuple(members), alone, evidence))
    Manifest(SPACE.name, SPACE.keys, prior, tuple(sets), {}).write(folder)
    return folder


def outputs_in(folder):
    return {path.name: path.read_text() for path in folder.glob("*.csv")}


def test_organisers_driver_and_batched_driver_write_the_same_files(entry_folder, simulated, tmp_path, two_threads):
    assert drive(entry_folder, simulated, tmp_path / "theirs") == 0
    assert test_model.main([str(entry_folder), str(simulated), str(tmp_path / "ours"), "--strict"]) == 0
    theirs, ours = outputs_in(tmp_path / "theirs"), outputs_in(tmp_path / "ours")
    assert len(ours) == N
    assert theirs == ours
    assert evaluate(simulated, tmp_path / "ours").n_recordings == N


def asking_models(leads: tuple[str, ...]) -> list[Member]:
    """A network of every kind of input: each transform, scaling and window, and every extra input."""
    asked = [*OPTIONS.items(), ("resnet34", {}), ("resnet34", {"window": "published"}), ("resunet_lc", {"width": 4})]
    rule, members = DecisionRule(np.full(len(SPACE), 0.5)), []
    for i, (name, options) in enumerate(asked):
        spec = create_model(name, leads, **options).input_spec
        members.append(Member(name, options, spec, f"{i}.safetensors", rule, {}, 1, f"head{i}.safetensors"))
    assert {name for member in members for name in member.spec.extra} == set(EXTRA_INPUTS)
    classifiers = {member.spec.transform for member in members if model_entry(member.architecture).kind == "classifier"}
    assert any(transform.filter != "none" for transform in classifiers)
    return members


def asked_through_run_model(
    folder: Path, members: Sequence[Member], paths: Sequence[Path], leads: tuple[str, ...], monkeypatch
) -> dict[tuple[str, str], tuple]:
    """What each network is asked with, by the name of its weights and header, in the organisers' calling convention."""
    asked: dict[tuple[str, str], tuple] = {}

    def load(_, member: Member, *others):
        def answer(inputs):
            asked[member.weights, str(path)] = inputs[0]
            return networks.NetworkOutputs(np.full((len(inputs), len(SPACE)), 0.5))

        return answer

    monkeypatch.setattr(prediction, "load_member", load)
    weights, rule = np.full(len(members), 1 / len(members)), DecisionRule(np.full(len(SPACE), 0.5))
    trained = TrainedSet(leads, tuple(members), Ensemble(weights, rule))
    Manifest(SPACE.name, SPACE.keys, np.full(len(SPACE), 0.1), (trained,), {}).write(folder)
    entry = load_model(str(folder), leads)
    for path in paths:
        run_model(entry, path.read_text(), scipy.io.loadmat(path.with_suffix(".mat"))["val"])
    return asked


def assert_same_arrays(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_real_recording_is_one_tensor_in_training_and_in_run_model(real_data, tmp_path, monkeypatch):
    """Training and the organisers' calling convention give bit-identical windows and extra inputs, for every input that
    a model asks for; beats are those of two leads."""
    leads = LEAD_SETS[2]
    paths = find_recordings(real_data / "challenge") + find_recordings(real_data / "quirks")
    members = asking_models(leads)
    keys = {key for member in members for key in beats_keys(member.spec, leads)}
    stores = {
        transform: build_store(paths, transform, tmp_path, n_jobs=1, progress=False)
        for transform in {member.spec.transform for member in members}
    }
    beats = {
        key: build_beats(stores[key[0]], leads, tmp_path, n_jobs=1, progress=False, reliable=key[2]) for key in keys
    }
    first = next(iter(stores.values())).recordings
    asked = asked_through_run_model(tmp_path, members, [Path(r.path) for r in first], leads, monkeypatch)
    assert len(asked) == len(members) * len(first)
    compared, known = 0, {"age": 0, "sex": 0}
    for member in members:
        spec, store = member.spec, stores[member.spec.transform]
        contexts = Contexts(store.recordings, {key[2]: beats[key] for key in beats_keys(spec, leads)})
        for i, stored in enumerate(store.recordings):
            samples, statistics, run_context = asked[member.weights, stored.path]
            context = contexts[i]
            if "reliable_beats" in spec.extra:
                kept, found = (of.beats[True] for of in (context, run_context))
                assert_same_arrays(*((one.at, one.features, one.record) for one in (kept, found)))
            for start in window_starts(stored.n_samples, spec):
                trained, run = (extra_inputs(of, start, spec, len(leads)) for of in (context, run_context))
                assert list(trained) == list(extra_shapes(spec, len(leads)))
                assert_same_arrays(trained.values(), run.values())
                for name in set(known) & set(trained):
                    known[name] += int(trained[name][1])
                rows = range(12)
                assert_same_arrays(
                    cut_window(*store[i], rows, start, spec), cut_window(samples, statistics, rows, start, spec)
                )
                compared += 1
    assert compared > len(members) * 267
    assert min(known.values()) > 200


def test_real_recordings_through_the_organisers_driver(entry_folder, real_data, tmp_path):
    """Georgia (one dialect) and CPSC-Extra (the other), and the quirks, all answered; the two drivers agree."""
    folder = tmp_path / "data"
    for source in ("georgia", "cpsc_2018_extra"):
        for path in sorted((real_data / "challenge" / "training" / source / "g1").glob("*"))[:12]:
            folder.mkdir(exist_ok=True)
            shutil.copy(path, folder)
    for path in (real_data / "quirks").glob("*/*"):
        shutil.copy(path, folder)
    drive(entry_folder, folder, tmp_path / "theirs")
    assert test_model.main([str(entry_folder), str(folder), str(tmp_path / "ours")]) == 0
    theirs, ours = outputs_in(tmp_path / "theirs"), outputs_in(tmp_path / "ours")
    assert set(theirs) <= set(ours)
    unreadable = {"I0001.csv", "I0002.csv", "I0003.csv"}
    for name in set(theirs) - unreadable:
        # The record name in the first line is the drivers' own reading of odd headers; the answers must agree.
        assert theirs[name].splitlines()[1:] == ours[name].splitlines()[1:], name


@pytest.mark.parametrize("value", [0, 1.5, np.nan])
def test_a_recording_without_a_signal_is_unanswered(entry_folder, value):
    answer = load_entry(entry_folder).predict(Recording(np.full((12, 5000), value, np.float32), 500.0, LEADS, "flat"))
    assert answer.failed
    assert "no usable lead" in answer.flags[-1]


def test_group_size_does_not_change_an_answer(entry_folder, simulated):
    """One at a time, all at once, and in another order: the same bits."""
    entry = load_entry(entry_folder)
    paths = find_recordings(simulated)
    together = list(entry.predict(paths))
    alone = [entry.predict(path) for path in paths]
    backwards = list(entry.predict(paths[::-1]))[::-1]
    for a, b, c in zip(together, alone, backwards, strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
        np.testing.assert_array_equal(a.probabilities, c.probabilities)
        assert a.labels.any()
        assert (a.name, a.flags) == (b.name, b.flags)


def test_no_logit_is_too_large():
    class Certain(torch.nn.Linear):
        def forward(self, x, mask):
            return torch.tensor([[-2000.0, 0.0, 2000.0]]).repeat(len(x), 1)

    recording = np.zeros((12, 5000), np.int16), np.ones((5, 12), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = predict(Certain(1, 1), [recording], LEAD_SETS[12], InputSpec())
    np.testing.assert_allclose(found, [0, 0.5, 1], atol=1e-300)


def test_answers_of_processes_are_those_of_one(entry_folder, simulated, monkeypatch):
    entry, paths = load_entry(entry_folder), find_recordings(simulated)
    alone = list(entry.predict(paths))
    monkeypatch.setattr(parallel, "_AT_A_TIME", 2)
    monkeypatch.setattr(entry, "predict", lambda headers: iter(headers))  # of this process: must not be asked anything
    for a, b in zip(alone, predict_all(entry, paths, 2), strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
        assert (a.name, a.flags) == (b.name, b.flags)


def test_large_networks_are_asked_in_this_process(entry_folder, simulated, monkeypatch):
    monkeypatch.setattr(networks, "SMALL", 0)
    monkeypatch.setattr(parallel, "worker_pool", None)
    assert len(list(predict_all(load_entry(entry_folder), find_recordings(simulated), 2))) == N


def test_what_a_killed_process_leaves_is_answered(entry_folder, simulated, monkeypatch):
    class Killed:
        def map(self, ask, parts):
            yield ask(parts[0])
            raise BrokenProcessPool("killed")

    monkeypatch.setattr(parallel, "_AT_A_TIME", 2)
    monkeypatch.setattr(parallel, "worker_pool", lambda processes: nullcontext(Killed()))
    paths = find_recordings(simulated)
    found = predict_all(load_entry(entry_folder), paths, 2)
    assert [answer.name for answer in found] == [path.stem for path in paths]


def test_windows_of_a_long_recording_are_averaged(simulated):
    model = create_model("resnet34", 2, width=4, rate=100).eval()
    recording = read_recording(find_recordings(simulated)[0])
    prepared = prepare(recording.signal, recording.fs, recording.leads, model.input_spec.transform)
    starts = window_starts(prepared.samples.shape[1], model.input_spec)
    assert len(starts) == 2
    pieces = [
        Prepared(np.ascontiguousarray(prepared.samples[:, s : s + 1000]), prepared.statistics, ()) for s in starts
    ]
    together = next(predict(model, [(prepared.samples, prepared.statistics)], LEAD_SETS[2], model.input_spec))
    apart = list(predict(model, [(p.samples, p.statistics) for p in pieces], LEAD_SETS[2], model.input_spec))
    np.testing.assert_allclose(together, np.mean(apart, axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("leads", "expected"),
    [
        (LEAD_SETS[12], 12),
        (LEAD_SETS[2], 2),
        (("II", "I"), 2),
        (("V5", "II"), "II,V5"),
        (LEAD_SETS[6], 2),  # not trained here: the largest trained set inside it
        (LEAD_SETS[4], 3),
        (("aVR", "aVF"), 2),  # I and II follow from any two limb leads
        (("aVR", "aVF", "V5"), "II,V5"),
        (("V5",), "II,V5"),  # nothing fits: the set that lacks least
        ((), 2),
    ],
)
def test_lead_tuples_that_were_not_trained(entry_folder, leads, expected):
    entry = load_entry(entry_folder)
    trained = entry.trained_set(leads).leads
    assert len(trained) == len(resolve_leads(expected))
    if leads != ("aVR", "aVF", "V5"):  # two sets of two leads fit this one
        assert trained == resolve_leads(expected)


@pytest.mark.parametrize("size", LEAD_SETS)
def test_extracted_lead_sets_are_answered(entry_folder, simulated, tmp_path, size):
    arguments = ["-i", str(simulated), "-o", str(tmp_path / "data"), "-l", *LEAD_SETS[size]]
    assert extract_leads_wfdb.main(arguments) == 0
    assert test_model.main([str(entry_folder), str(tmp_path / "data"), str(tmp_path / "out"), "--strict"]) == 0
    assert len(outputs_in(tmp_path / "out")) == N


def test_answers_per_model_are_written_beside_the_joint_one(entry_folder, simulated, tmp_path):
    assert test_model.main([str(entry_folder), str(simulated), str(tmp_path), "--per-model"]) == 0
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(OPTIONS)
    assert all(len(outputs_in(tmp_path / name)) == N for name in OPTIONS)


def test_details_are_written_beside_the_same_answers(entry_folder, simulated, tmp_path):
    plain, detailed = tmp_path / "plain", tmp_path / "detailed"
    data = tmp_path / "data"
    shutil.copytree(simulated, data)
    write_recording(data, "BAD", make_counts(n_samples=2000), text="BAD 12 500 2000\n")
    assert test_model.main([str(entry_folder), str(data), str(plain)]) == 0
    assert test_model.main([str(entry_folder), str(data), str(detailed), "--details"]) == 0
    rows = {row["recording"]: row for row in csv.DictReader((detailed / "details.csv").open())}
    written = outputs_in(detailed)
    written.pop("details.csv")
    assert written == outputs_in(plain) and {f"{name}.csv" for name in rows} == written.keys()
    entry = load_entry(entry_folder)
    for path in find_recordings(simulated):
        answer = entry.predict(path)
        assert float(rows[path.stem]["abnormality"]) == answer.abnormality
        assert rows[path.stem]["flags"] == "; ".join(answer.flags)
        assert rows[path.stem]["quality"] == f"{answer.quality.overall:.3f}" and rows[path.stem]["usable"] == "1"
        assert rows[path.stem]["quality_flags"] == "; ".join(answer.quality.flags)
        assert rows[path.stem]["lead_quality"].count(";") == 11
    assert rows["BAD"]["abnormality"] == "" and rows["BAD"]["flags"].startswith("unanswered")
    assert rows["BAD"]["quality"] == rows["BAD"]["usable"] == ""
    assert evaluate(simulated, detailed).n_recordings == N
    write_recording(data, "details", make_counts(n_samples=2000))
    assert test_model.main([str(entry_folder), str(data), str(tmp_path / "other"), "--details"]) == 1


def test_exchanged_electrodes_are_answered_and_suspected(entry_folder, simulated):
    entry = load_entry(entry_folder)
    recording = read_recording(find_recordings(simulated)[0])
    assert recording.leads == LEAD_SETS[12]
    recording.signal = swap_electrodes(simulate(1, seed=2, labels="NSR", marks=False).signals[0], "RA", "LA")
    answer = entry.predict(recording)
    assert not answer.failed and answer.quality.suspicions == ("exchanged:RA-LA",)


def test_what_shows_no_heartbeats_is_unanswered_and_says_why(entry_folder, simulated):
    entry = load_entry(entry_folder)
    recording = read_recording(find_recordings(simulated)[0])
    recording.signal = 0.1 * np.random.default_rng(0).standard_normal((12, 5000)).astype(np.float32)
    answer = entry.predict(recording)
    assert answer.flags[-1] == "unanswered: no heartbeats in any lead, only white noise"
    assert np.array_equal(answer.probabilities, entry.manifest.prior) and answer.labels.any()
    assert not answer.quality.usable and answer.quality.overall == 0


# --- bad input -------------------------------------------------------------------------------------------------------


def test_run_model_always_answers(entry_folder):
    entry = load_model(str(entry_folder), LEAD_SETS[12])
    header = "X 2 500 20\nX.mat 16 1000/mV 16 0 0 0 0 I\nX.mat 16 1000/mV 16 0 0 0 0 II\n"
    cases = [
        ("", np.zeros((2, 20))),
        ("nonsense", make_counts(2, 20)),
        (header, np.zeros((0, 0))),
        (header, None),
        (header, make_counts(3, 2000)),
        (header, np.zeros((2, 2000), dtype=np.int16)),
        (header, np.full((2, 2000), np.nan)),
        (header, np.full((2, 2000), 1e300)),
        (header, np.full((2, 2000), -32768, dtype=np.int16)),
        (header.replace("1000/mV", "0/mV"), make_counts(2, 2000)),
        (header.replace(" II", " V9"), make_counts(2, 2000)),
        (header, make_counts(2, 1)),
    ]
    for text, counts in cases:
        codes, labels, probabilities = run_model(entry, text, counts)
        assert len(codes) == len(labels) == len(probabilities) == len(SPACE)
        assert np.isfinite(probabilities).all()
        assert labels.sum() >= 1


def test_failures_are_counted_named_and_strict(entry_folder, tmp_path, capsys):
    data = tmp_path / "data"
    counts = (1000 * simulate(1, seed=2, labels="NSR", marks=False).signals[0]).astype(np.int16)
    write_recording(data / "a", "GOOD", counts)
    write_recording(data / "a", "BAD", make_counts(n_samples=2000), text="BAD 12 500 2000\n")
    write_recording(data / "b", "GOOD", counts)
    assert test_model.main([str(entry_folder), str(data), str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "3 answers written; 1 recordings failed" in shown.out
    assert "BAD: unanswered" in shown.err
    assert test_model.main([str(entry_folder), str(data), str(tmp_path / "out"), "--strict"]) == 1
    # A stem that two folders hold is answered for both, and scored.
    assert {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.csv")} == {
        "BAD.csv", "a/GOOD.csv", "b/GOOD.csv",
    }  # fmt: skip
    assert evaluate(data, tmp_path / "out").n_recordings == 3


def test_wrong_command_lines(tmp_path, entry_folder, capsys):
    for script in (train_model, test_model):
        with pytest.raises(SystemExit) as stop:
            script.main([])
        assert stop.value.code == 2
        assert "usage" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert train_model.main([str(tmp_path / "nowhere"), str(tmp_path / "m")]) == 1
    assert train_model.main([str(tmp_path / "empty"), str(tmp_path / "m")]) == 1
    assert test_model.main([str(entry_folder), str(tmp_path / "empty"), str(tmp_path / "o")]) == 1
    assert test_model.main([str(tmp_path / "nowhere"), str(tmp_path / "empty"), str(tmp_path / "o")]) == 1
    messages = capsys.readouterr().err
    assert "no such folder" in messages
    assert "no recording" in messages
    assert "expected a model folder" in messages


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v.clear(),
        lambda v: v.update(format=99),
        lambda v: v.update(classes=v["classes"][::-1]),
        lambda v: v.update(lead_sets=[]),
        lambda v: v["lead_sets"][0]["members"][0].update(weights="../../etc/passwd.safetensors"),
        lambda v: v["lead_sets"][0]["members"][0].update(weights="model.pkl"),
        lambda v: v["lead_sets"][0]["members"][0].update(architecture="os.system"),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"width": 8}),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"evil": "yes"}),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(scaling="exec"),
        lambda v: v["lead_sets"][0]["members"][4].update(head="/etc/head.safetensors"),
        lambda v: v["lead_sets"][0]["members"][4].update(head="star-I-II.safetensors"),
        lambda v: v["lead_sets"][0]["members"][4].update(head=""),
        lambda v: v["lead_sets"][0]["ensemble"].update(weights=[1.0]),
        lambda v: v["lead_sets"][0]["evidence"].update(strengths=[1.0]),
        lambda v: v["lead_sets"][0]["evidence"].update(strengths=[0, 0, 0, 0, float("inf"), 0]),
        lambda v: v["lead_sets"][0]["evidence"]["shares"].pop(),
        lambda v: v["lead_sets"][0].update(evidence=[]),
        lambda v: v.update(label_space=["challenge2021"]),
        lambda v: v["prior"].pop(),
        lambda v: v["prior"].__setitem__(0, float("nan")),
        lambda v: v["prior"].__setitem__(0, 3.0),
        lambda v: v["lead_sets"][0]["ensemble"]["weights"].__setitem__(0, -1.0),
        lambda v: v["lead_sets"][0]["ensemble"]["weights"].__setitem__(0, 1e9),
        lambda v: v["lead_sets"][0]["ensemble"]["decision"]["thresholds"].pop(),
        lambda v: v["lead_sets"][0]["members"][0]["decision"]["thresholds"].__setitem__(0, None),
        lambda v: v["lead_sets"][0]["members"][0]["decision"]["thresholds"].__setitem__(0, 0),
        lambda v: v["lead_sets"][0]["members"][0].update(architecture=["resnet34"]),
        lambda v: v["lead_sets"][0]["members"][0].update(macs=float("inf")),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"width": 0, "rate": 100}),
        lambda v: v["lead_sets"][0]["members"][0].update(options={"width": 4, "rate": float("inf")}),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(samples=10**9),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(samples="5000"),
        lambda v: v["lead_sets"][0]["members"][0]["input"].update(extra={"record": True}),
        lambda v: v["lead_sets"][0]["members"][0]["input"]["transform"].update(rate=10**9),
        lambda v: v["lead_sets"][0]["members"][0]["input"]["transform"].update(rate=float("nan")),
    ],
)
def test_hostile_or_damaged_model_folders_are_refused(entry_folder, tmp_path, spoil):
    folder = tmp_path / "entry"
    shutil.copytree(entry_folder, folder)
    values = json.loads((folder / "entry.json").read_text())
    spoil(values)
    (folder / "entry.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="entry"):
        load_entry(folder).load(LEAD_SETS[12])


def test_deeply_nested_manifest_is_refused(tmp_path):
    (tmp_path / "entry.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="not an entry of this kit"):
        load_entry(tmp_path)


def test_damaged_weights_are_refused(entry_folder, tmp_path):
    folder = tmp_path / "entry"
    shutil.copytree(entry_folder, folder)
    weights = folder / Manifest.read(folder).sets[0].members[0].weights
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_entry(folder).load(LEAD_SETS[12])
