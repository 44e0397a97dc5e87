"""The heartMAASters networks, and the beats that reach one of them: counts, filter, masks, one path, stores."""

from __future__ import annotations

from pathlib import Path

import beat_branches
import numpy as np
import pytest
import scipy.io
import torch
from configurations import tiny_config
from files_on_disk import write_recording
from scipy.signal import freqz_sos, sos2tf
from sklearn.metrics import roc_auc_score
from torch import nn

from leadset import load_entry, waves
from leadset.classes import label_space
from leadset.leads import LEAD_SETS, LEADS, resolve_leads
from leadset.models import count_parameters, create_model
from leadset.models.layers.heartmaasters import RECEPTIVE_FIELD, length_after
from leadset.models.layers.recurrent import AttendedStates, LastStates, States
from leadset.models.layers.standardise import RunningStandardise
from leadset.preprocess import FILTERS, InputSpec, Transform, prepare
from leadset.recordings import find_recordings, read_recording, recording_from_parts
from leadset.simulate.write import write_dataset
from leadset.store import beat_store
from leadset.store.beat_store import build_beats
from leadset.store.packed import build_store
from leadset.training import run
from leadset.training.curriculum import Curriculum, Phase, Pool
from leadset.training.data import Contexts, load_training_data
from leadset.training.trainer import Task, Trainer, validate
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


def random_beats(batch, leads, n, beats=40):
    """Features of n beats, one value missing."""
    features = torch.full((batch, leads * BEAT_FEATURES, beats), torch.nan)
    features[:, :, :n] = torch.randn(batch, leads * BEAT_FEATURES, n)
    features[:, 3, 1] = torch.nan
    return features


# --- the published network -------------------------------------------------------------------------------------------

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


# --- the reconstruction ----------------------------------------------------------------------------------------------

PARTS = {
    "signal": (317_888, 316_928, 316_608, 316_448, 316_288),
    "signal.stages": (210_368, 209_408, 209_088, 208_928, 208_768),
    "signal.recurrent": (74_496,) * 5,
    "signal.dense": (33_024,) * 5,
    "beats": (337_024, 302_464, 290_944, 285_184, 279_424),
    "": (903_088, 867_568, 855_728, 849_808, 843_888),
}


def test_reconstruction_has_the_specified_parameters():
    models = [create_model("crnn_pqrst", leads) for leads in SIZES]
    for part, expected in PARTS.items():
        assert tuple(count_parameters(model.get_submodule(part)) for model in models) == expected, part
    assert count_parameters(models[0].head) + count_parameters(models[0].classifier) == 248_176


def test_options_change_the_count_by_what_they_add():
    count = count_parameters(create_model("crnn_pqrst"))
    signal_channels, beat_channels = 32 * (1 + 1 + 2 + 2 + 4 + 4 + 4), 32 * (4 * 2 + 3 * 4)
    assert count_parameters(create_model("crnn_pqrst", norm="batch")) - count == 2 * (signal_channels + beat_channels)
    assert count_parameters(create_model("crnn_pqrst", cell="lstm")) - count == 2 * (99_328 - 74_496)
    # A hidden layer of the attention, and a direction in it without bias, which the softmax would take away.
    assert count_parameters(create_model("crnn_pqrst", beat_pooling="attention")) - count == 128 * 64 + 64 + 64
    for leads in LEAD_SETS:
        told = 2 * (23 + 14 * leads)
        models = [create_model("crnn_pqrst", leads, record_features=also) for also in (True, False)]
        assert count_parameters(models[0]) - count_parameters(models[1]) == told * 256 + 256 + 256 * 300
    alone = [create_model("crnn_pqrst", branches=branch) for branch in ("signal", "beats")]
    assert [model.input_spec.extra for model in alone] == [{}, {"beats": 40}]
    assert create_model("crnn_pqrst", branches="signal", record_features=True).input_spec.extra == {"record": True}
    assert count_parameters(alone[0]) == 317_888 + 248_176 - 256 * 300


@pytest.mark.parametrize(
    "bad",
    [
        {"cell": "rnn"},
        {"norm": "layer"},
        {"branches": "left"},
        {"beats": 0},
        {"rate": 40, "seconds": 20},
        {"beat_pooling": "mean"},
        {"branches": "signal", "beat_pooling": "attention"},
    ],
)
def test_options_that_do_not_fit_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        create_model("crnn_pqrst", **bad)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_last_states_are_those_of_a_packed_bidirectional_layer(cell):
    layer = LastStates(5, 7, cell)
    packed = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](5, 7, batch_first=True, bidirectional=True)
    weights = dict(layer.onward.state_dict())
    weights |= {f"{name}_reverse": weight for name, weight in layer.backward_.state_dict().items()}
    packed.load_state_dict(weights)
    x, lengths = torch.randn(4, 9, 5), torch.tensor([9, 1, 4, 6])
    sequence = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    states = packed(sequence)[1]
    states = states[0] if cell == "lstm" else states
    torch.testing.assert_close(layer(x, lengths), torch.cat([states[0], states[1]], 1))
    torch.testing.assert_close(layer(x[:1]), layer(x[:1], lengths[:1]))


def test_attended_states_are_weighted_by_what_they_say_and_padding_weighs_nothing():
    torch.manual_seed(0)
    layer = AttendedStates(5, 7)
    nn.init.normal_(layer.direction.weight, std=5)
    x, lengths = torch.randn(4, 9, 5), torch.tensor([9, 1, 4, 6])
    pooled = layer(x, lengths)
    for i, n in enumerate(lengths):
        states = States.forward(layer, x[i : i + 1, :n])[0]
        said = torch.tanh(states @ layer.hidden.weight.T + layer.hidden.bias) @ layer.direction.weight[0]
        weights = said.softmax(0)
        assert n == 1 or weights.max() > 1.5 / n, "some beats count for more"
        torch.testing.assert_close(pooled[i], weights @ states)
    torch.testing.assert_close(layer(x[:1]), pooled[:1])


def test_padding_does_not_reach_the_answer():
    """A masked short recording gives the answer of a network whose window is that short, whatever the padding is."""
    long, short = (create_model("crnn_pqrst", 2, 5, rate=100, seconds=s).eval() for s in (10, 7))
    short.load_state_dict(long.state_dict())
    x, features = torch.randn(3, 2, 1000), random_beats(3, 2, 8)
    mask = (torch.arange(1000) < 700).expand(3, -1)
    with torch.inference_mode():
        torch.testing.assert_close(long(x, mask, features), short(x[:, :, :700], None, features))


@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_absent_beats_do_not_reach_the_answer(pooling):
    model = create_model("crnn_pqrst", 2, 5, beat_pooling=pooling, **SMALL).train()
    x, features = torch.randn(2, 2, 1000), random_beats(2, 2, 8)
    model(x, beats=features)
    model.eval()
    shorter = create_model("crnn_pqrst", 2, 5, beats=8, beat_pooling=pooling, **SMALL).eval()
    shorter.load_state_dict(model.state_dict())
    with torch.inference_mode():
        told = model(x, beats=features)
        torch.testing.assert_close(told, shorter(x, beats=features[:, :, :8]))
        assert not torch.allclose(told, model(x, beats=features.roll(1, 0)))
        none = model(x, beats=torch.full_like(features, torch.nan))
        torch.testing.assert_close(none, model(x), rtol=0, atol=0)
        assert not torch.allclose(none, told)


@pytest.mark.parametrize("branches", ["both", "signal"])
def test_features_of_the_recording_reach_the_head_and_missing_ones_are_told_from_average_ones(branches):
    torch.manual_seed(0)
    model = create_model("crnn_pqrst", 2, 5, branches=branches, record_features=True, **SMALL).train()
    x, record = torch.randn(4, 2, 1000), torch.randn(4, record_length(2))
    model(x, record=record)
    model.eval()
    with torch.inference_mode():
        told, nothing = model(x, record=record), torch.full_like(record, torch.nan)
        torch.testing.assert_close(model(x), model(x, record=nothing), rtol=0, atol=0)
        average = model.record.standardise.mean.expand(4, -1)
        for other in (record.roll(1, 0), nothing, average):
            assert not torch.allclose(told, model(x, record=other))
        assert not torch.allclose(model(x, record=average), model(x, record=nothing))
        assert model(x[:1], record=record[:1] * torch.inf).isfinite().all()


def test_implausible_features_do_not_spoil_what_was_learnt():
    model = create_model("crnn_pqrst", 2, 5, record_features=True, **SMALL).train()
    features, record = random_beats(2, 2, 8), torch.randn(2, record_length(2))
    features[0, 5:8, 0] = record[0, 5:8] = torch.tensor([3e38, torch.inf, -torch.inf])
    assert model(torch.randn(2, 2, 1000), beats=features, record=record).isfinite().all()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert max(branch.standardise.scatter.max() for branch in (model.beats, model.record)) < 1e4


def test_standardisation_is_that_of_all_training_values():
    layer, rng = RunningStandardise(4), torch.Generator().manual_seed(0)
    x = 3 * torch.randn(30, 4, 6, generator=rng) + torch.tensor([1.0, -2.0, 100.0, 0.0])[:, None]
    x[torch.rand(x.shape, generator=rng) < 0.3] = torch.nan
    x[:, 3] = torch.nan
    for part in x.split([1, 10, 4, 15]):
        layer(part)
    kept = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.eval()
    out = layer(x)
    for row in range(3):
        seen = x[:, row][~x[:, row].isnan()]
        expected = ((x[:, row] - seen.mean()) / seen.std(correction=0)).clamp(-5, 5).nan_to_num(0)
        torch.testing.assert_close(out[:, row], expected, atol=1e-4, rtol=1e-4)
    assert not out[:, 3].any()
    assert all(torch.equal(value, kept[name]) for name, value in layer.state_dict().items())
    assert layer(torch.full((1, 4, 1), 1e9)).max() == 5


# --- beats on their way ----------------------------------------------------------------------------------------------


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
    data = load_training_data(simulated, [Transform(100)], cache, space, 0.2, seed=1, workers=1, beats=wanted)
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


def test_real_recordings_have_the_same_beats_in_training_and_in_run_model(real_data, tmp_path):
    """Worker processes and the organisers' calling convention, to the bit; no recording fails to be delineated."""
    paths = [*find_recordings(real_data / "challenge")[::12], *find_recordings(real_data / "quirks")]
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
    task = Task(store, labels, course, np.arange(16, 24), leads, model.input_spec, 1, 8, 0.01, contexts)
    Trainer(model, task, 4, tmp_path / "state.safetensors", lambda event: None).run("crnn")
    kept = model.beats.standardise.state_dict()
    batches = task.batches(task.course)
    told = torch.cat([batches[step].extra["beats"] for step in range(4)])
    # The best of the two validations is kept: it followed two steps or all four.
    options = [(~told[: 8 * steps].isnan()).sum((0, 2)).float() for steps in (2, 4)]
    assert any(torch.equal(kept["count"], option) for option in options)
    before = {name: value.clone() for name, value in kept.items()}
    validate(model, task)
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


# --- what is said of the branches ------------------------------------------------------------------------------------


def test_areas_of_the_benchmark_are_averaged_within_folds():
    rng = np.random.default_rng(0)
    labels, told = rng.random((60, 3)) < 0.4, rng.random((2, 1, 60, 3))
    fold = rng.integers(beat_branches.FOLDS, size=60)
    labels[fold == 1, 2] = False  # a class that a fold has no positive of
    told[1] += fold[:, None]  # how folds differ from each other is not judged
    counts = rng.integers(1, 3, 60)
    expected = []
    for (answer,) in told:
        by_class = [
            np.mean([roc_auc_score(*(np.repeat(v[fold == f, k], counts[fold == f]) for v in (labels, answer)))
                     for f in range(beat_branches.FOLDS) if labels[fold == f, k].any()])
            for k in range(3)
        ]  # fmt: skip
        expected.append([np.mean(by_class)])
    areas = beat_branches.Areas(labels, told, [fold])
    np.testing.assert_allclose(areas(counts), expected)
