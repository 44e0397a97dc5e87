"""Beats on their way to a network: cut, stored, one path for training and prediction, and trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from configurations import tiny_config
from files_on_disk import write_recording
from recordings_on_disk import recordings_in

from leadset import load_entry, waves
from leadset.classes import label_space
from leadset.leads import LEAD_SETS, LEADS, resolve_leads
from leadset.models import create_model
from leadset.preprocess import Transform, prepare
from leadset.recordings import find_recordings, read_recording, recording_from_parts
from leadset.simulate.write import write_dataset
from leadset.store import beat_store
from leadset.store.beat_store import build_beats
from leadset.store.packed import build_store
from leadset.training import run
from leadset.training.data import Contexts, Preparation, Split, load_training_data
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import RunContext, Trainer
from leadset.waves import beats as beats_module
from leadset.waves.beats import BEAT_FEATURES, Beats, cut_beats, find_beats, record_features, record_length

SMALL = {"width": 4, "rate": 100}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    list(write_dataset(folder, 24, seed=8, seconds=12.0))
    return folder


@pytest.fixture(scope="module")
def store(simulated, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return build_store(find_recordings(simulated), Transform(100), cache, n_jobs=1, progress=False)


def assert_same(one: Beats, other: Beats):
    np.testing.assert_array_equal(one.at, other.at)
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.record, other.record)


def test_there_is_room_for_the_features_of_the_delineator():
    assert len(waves.BEAT_FEATURES) == BEAT_FEATURES


def test_beats_of_a_window():
    at, record = np.array([10.0, 99.5, 100.0, 150, 199.9, 200.0], np.float32), np.zeros(51, np.float32)
    beats = Beats(at, np.arange(360.0).reshape(2, 6, 30), record)
    cut = cut_beats(beats, range(100, 200), 4)
    assert cut.shape == (60, 4)
    np.testing.assert_array_equal(cut.reshape(2, 30, 4)[1, :, :3].T, beats.features[1, 2:5])
    assert np.isnan(cut[:, 3]).all()
    assert np.isfinite(cut_beats(beats, range(300), 4)).all()
    nothing = Beats(np.empty(0, np.float32), np.empty((2, 0, 30), np.float32), record)
    assert np.isnan(cut_beats(nothing, range(300), 3)).all()


def test_features_of_a_recording_are_those_of_the_delineator_in_units_of_their_own_size(simulated):
    recording = read_recording(find_recordings(simulated)[0])
    for leads in (LEAD_SETS[12], LEAD_SETS[2], resolve_leads("II,V5")):
        signal = recording.signal[[recording.leads.index(lead) for lead in leads]]
        found = waves.extract_features(waves.delineate(signal, recording.fs, "wavelet"), signal, leads)
        record = record_features(found)
        assert record.dtype == np.float32 and record.shape == (record_length(len(leads)),)
        by_name = dict(zip((feature.name for feature in waves.RECORD_FEATURES), found.record, strict=True))
        np.testing.assert_array_equal(record[1:16], found.record[2:17])
        assert record[0] == pytest.approx(by_name["heart_rate"] / 60)
        np.testing.assert_array_equal(record[23:].reshape(len(leads), 14), found.leads)
        axes = np.degrees(np.arctan2(record[17:22:2], record[16:22:2]))
        np.testing.assert_allclose(axes, [by_name[f"{wave}_axis"] for wave in ("p", "qrs", "t")], rtol=1e-4)
        assert np.isfinite(axes[1]) == ("I" in leads)
        assert record[22] == by_name["quality"]


def test_beats_of_a_recording_are_where_the_simulator_put_them(simulated):
    rates = []
    for path in find_recordings(simulated)[:6]:
        recording = read_recording(path)
        prepared = prepare(recording.signal, recording.fs, recording.leads, Transform(250))
        beats = find_beats(prepared.samples, prepared.statistics, 250, LEADS)
        assert beats.features.shape == (12, len(beats.at), 30)
        assert (np.diff(beats.at) > 0).all()
        rates.append(len(beats.at))
    assert min(rates) >= 5


@pytest.mark.parametrize("size", [6, 3, 2])
def test_a_reduced_recording_has_the_beats_of_the_whole_one(simulated, size):
    """What a network of fewer leads learns from twelve-lead recordings is what it sees in those of its own leads."""
    leads = LEAD_SETS[size]
    for path in find_recordings(simulated)[:3]:
        recording = read_recording(path)
        rows = [recording.leads.index(lead) for lead in leads]
        both = (
            prepare(recording.signal, recording.fs, recording.leads, Transform(100)),
            prepare(recording.signal[rows], recording.fs, leads, Transform(100)),
        )
        assert_same(*(find_beats(p.samples, p.statistics, 100, leads) for p in both))


def test_stored_beats_are_those_of_a_recording_just_read(simulated, store, tmp_path):
    for leads in (LEAD_SETS[12], resolve_leads("II,V5")):
        stored = build_beats(store, leads, tmp_path, n_jobs=1, progress=False)
        assert len(stored) == len(store) == 24
        for i in range(0, len(store), 5):
            assert_same(stored[i], find_beats(*store[i], 100, leads))


def test_beats_are_computed_once_and_damaged_files_again(store, tmp_path, monkeypatch):
    leads = LEAD_SETS[2]
    first = build_beats(store, leads, tmp_path, n_jobs=1, progress=False)
    expected = [Beats(*map(np.array, (beats.at, beats.features, beats.record))) for beats in first]
    file = max(tmp_path.glob("*.f32"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-8])
    del first
    mended = build_beats(store, leads, tmp_path, n_jobs=1, progress=False)
    for i, beats in enumerate(expected):
        assert_same(mended[i], beats)
    monkeypatch.setattr(beat_store, "find_beats", lambda *arguments: pytest.fail("delineated again"))
    again = build_beats(store, leads, tmp_path, n_jobs=1, progress=False)
    assert_same(again[7], expected[7])
    left = again.without({store.recordings[2].path})
    assert len(left) == 23
    assert_same(left[2], expected[3])


def test_a_recording_that_cannot_be_delineated_is_listed(simulated, store, tmp_path, monkeypatch):
    real, calls = beats_module.find_beats, []

    def find(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise ArithmeticError("no wave like this")
        return real(*arguments)

    monkeypatch.setattr(beat_store, "find_beats", find)
    stored = build_beats(store, LEAD_SETS[2], tmp_path, n_jobs=1, progress=False)
    calls.clear()
    wanted = [(Transform(100), LEAD_SETS[2], True)]
    cache = tmp_path / "another"
    space = label_space("challenge2021")
    split = Split(0.2, seed=1)
    data = load_training_data(simulated, space, Preparation([Transform(100)], cache, wanted, workers=1), split)
    assert (data.counts()["found"], data.counts()["unreadable"]) == (24, 1)
    assert len(data.beats[wanted[0]]) == len(data.stores[Transform(100)]) == 23
    (failure,) = stored.failures
    assert failure.path == store.recordings[3].path
    assert "no wave like this" in failure.message
    assert len(stored[3].at) == 0
    assert np.isnan(stored[3].record).all()
    assert len(stored[4].at) > 0


@pytest.mark.parametrize("reliable", [True, False])
def test_recordings_without_a_beat_are_stored(tmp_path, reliable):
    for name in ("a", "b"):
        drift = np.linspace(0, 500, 2000).astype(np.int16)
        write_recording(tmp_path / "data", name, np.tile(drift, (12, 1)))
    store = build_store(find_recordings(tmp_path / "data"), Transform(100), tmp_path, n_jobs=1, progress=False)
    stored = build_beats(store, LEAD_SETS[2], tmp_path, n_jobs=1, progress=False, reliable=reliable)
    for i in range(2):
        assert not len(stored[i].at)
        assert_same(stored[i], find_beats(*store[i], 100, LEAD_SETS[2], reliable))


def test_recordings_have_the_same_beats_in_training_and_in_run_model(recorded, tmp_path):
    """Worker processes and the organisers' calling convention, to the bit; no recording fails to be delineated."""
    paths = recordings_in(recorded, few=12)
    store = build_store(paths, Transform(250), tmp_path, n_jobs=2, progress=False)
    stored = build_beats(store, LEAD_SETS[3], tmp_path, n_jobs=2, progress=False)
    assert not stored.failures
    for i, entry in enumerate(store.recordings):
        header = Path(entry.path).read_text()
        counts = scipy.io.loadmat(Path(entry.path).with_suffix(".mat"))["val"]
        recording = recording_from_parts(header, counts)
        prepared = prepare(recording.signal, recording.fs, recording.leads, Transform(250))
        assert_same(stored[i], find_beats(prepared.samples, prepared.statistics, 250, LEAD_SETS[3]))


# --- training --------------------------------------------------------------------------------------------------------


def test_standardisation_learns_from_training_recordings_alone(store, tmp_path):
    space, leads = label_space("challenge2021"), LEAD_SETS[2]
    labels = np.array([space.encode(recording.codes) for recording in store.recordings])
    model = create_model("crnn_pqrst", leads, len(space), **SMALL)
    beats = build_beats(store, leads, tmp_path, n_jobs=1, progress=False)
    course = Curriculum((Phase("real", Pool(np.arange(16)), 4, 1e-3),))
    contexts = Contexts(store.recordings, {False: beats})
    task = ClassificationTask(store, labels, course, np.arange(16, 24), leads, model.input_spec, 1, 8, 0.01, contexts)
    Trainer(model, task, 4, RunContext(tmp_path / "state.safetensors")).run()
    kept = model.beats.standardise.state_dict()
    batches = task.batches(task.curriculum)
    features = torch.cat([batches[step].extra["beats"] for step in range(4)])
    # The best of the two validations is kept: it followed two steps or all four.
    options = [(~features[: 8 * steps].isnan()).sum((0, 2)).float() for steps in (2, 4)]
    assert any(torch.equal(kept["count"], option) for option in options)
    before = {name: value.clone() for name, value in kept.items()}
    task.validate(model)
    assert all(torch.equal(before[name], value) for name, value in kept.items())


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"beat_pooling": "attention", "record_features": True},
        {"branches": "signal", "record_features": True},
    ],
)
def test_a_run_trains_both_networks_and_answers(simulated, tmp_path, more):
    config = tiny_config(
        lead_sets=(resolve_leads(2),),
        architectures=("cnn_heartmaasters", "crnn_pqrst"),
        batch_size=8,
        presets={"tiny": {"cnn_heartmaasters": SMALL, "crnn_pqrst": SMALL | more}},
    )
    manifest = run.train_entry(simulated, tmp_path, config)
    assert [bool(member.spec.extra) for member in manifest.sets[0].members] == [False, True]
    entry = load_entry(tmp_path)
    paths = find_recordings(simulated)[:5]
    together = list(entry.predict(paths))
    for path, answer in zip(paths, together, strict=True):
        assert not answer.failed
        np.testing.assert_array_equal(entry.predict(path).probabilities, answer.probabilities)
