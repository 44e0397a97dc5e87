"""The network of signals and beats: counts, options, masks, features of beats and recordings."""

from __future__ import annotations

import beat_branches
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from leadset.leads import LEAD_SETS
from leadset.models import count_parameters, create_model
from leadset.models.layers.recurrent import AttendedStates, LastStates, States
from leadset.models.layers.standardise import RunningStandardise
from leadset.waves.beats import BEAT_FEATURES, record_length

SMALL = {"width": 4, "rate": 100}
SIZES = (12, 6, 4, 3, 2)
PARTS = {
    "signal": (317_888, 316_928, 316_608, 316_448, 316_288),
    "signal.stages": (210_368, 209_408, 209_088, 208_928, 208_768),
    "signal.recurrent": (74_496,) * 5,
    "signal.dense": (33_024,) * 5,
    "beats": (337_024, 302_464, 290_944, 285_184, 279_424),
    "": (903_088, 867_568, 855_728, 849_808, 843_888),
}


def random_beats(batch, leads, n, beats=40):
    """Features of n beats, one value missing."""
    features = torch.full((batch, leads * BEAT_FEATURES, beats), torch.nan)
    features[:, :, :n] = torch.randn(batch, leads * BEAT_FEATURES, n)
    features[:, 3, 1] = torch.nan
    return features


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
        n_inputs = 2 * (23 + 14 * leads)
        models = [create_model("crnn_pqrst", leads, record_features=also) for also in (True, False)]
        assert count_parameters(models[0]) - count_parameters(models[1]) == n_inputs * 256 + 256 + 256 * 300
    alone = [create_model("crnn_pqrst", branches=branch) for branch in ("signal", "beats")]
    assert [model.input_spec.extra for model in alone] == [{}, {"beats": 40}]
    assert create_model("crnn_pqrst", branches="signal", record_features=True).input_spec.extra == {"record": True}
    assert count_parameters(alone[0]) == 317_888 + 248_176 - 256 * 300
    # 16 of the 30 features of a lead and beat go to one branch, 14 to the other; a branch of all 30 has 337,024.
    points = create_model("crnn_pqrst", branches="points")
    sizes = [count_parameters(branch) for branch in (points.points, points.beats)]
    assert sizes == [337_024 - 3 * 64 * 12 * (30 - n) for n in (16, 14)]


def test_points_and_other_features_go_to_branches_of_their_own():
    model = create_model("crnn_pqrst", 2, 5, branches="points", width=8)
    x, beats = torch.zeros(1, 2, 5000), torch.rand(1, 60, 40, generator=torch.manual_seed(0))
    model(x, beats=beats)  # mean and deviation are learnt in training mode
    model.eval()
    seen = {"points": [], "beats": []}
    for name, values in seen.items():
        model.get_submodule(name).register_forward_hook(lambda _, __, out, values=values: values.append(out))
    with torch.inference_mode():
        for feature in (None, 0, 29, 12, 25):  # a time, a presence, an interval and a level, of the second lead
            other = beats.clone()
            if feature is not None:
                other[:, 30 + feature] += 0.5
            model(x, beats=other)
    changed = {name: [not torch.equal(values[0], other) for other in values[1:]] for name, values in seen.items()}
    assert changed == {"points": [True, True, False, False], "beats": [False, False, True, True]}


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
        output = model(x, beats=features)
        torch.testing.assert_close(output, shorter(x, beats=features[:, :, :8]))
        assert not torch.allclose(output, model(x, beats=features.roll(1, 0)))
        none = model(x, beats=torch.full_like(features, torch.nan))
        torch.testing.assert_close(none, model(x), rtol=0, atol=0)
        assert not torch.allclose(none, output)


@pytest.mark.parametrize("branches", ["both", "signal"])
def test_features_of_the_recording_reach_the_head_and_missing_ones_are_told_from_average_ones(branches):
    torch.manual_seed(0)
    model = create_model("crnn_pqrst", 2, 5, branches=branches, record_features=True, **SMALL).train()
    x, record = torch.randn(4, 2, 1000), torch.randn(4, record_length(2))
    model(x, record=record)
    model.eval()
    with torch.inference_mode():
        output, nothing = model(x, record=record), torch.full_like(record, torch.nan)
        torch.testing.assert_close(model(x), model(x, record=nothing), rtol=0, atol=0)
        average = model.record.standardise.mean.expand(4, -1)
        for other in (record.roll(1, 0), nothing, average):
            assert not torch.allclose(output, model(x, record=other))
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


def test_areas_of_the_benchmark_are_averaged_within_folds():
    rng = np.random.default_rng(0)
    labels, answers = rng.random((60, 3)) < 0.4, rng.random((2, 1, 60, 3))
    fold = rng.integers(beat_branches.FOLDS, size=60)
    labels[fold == 1, 2] = False  # a class that a fold has no positive of
    answers[1] += fold[:, None]  # how folds differ from each other is not judged
    counts = rng.integers(1, 3, 60)
    expected = []
    for (answer,) in answers:
        by_class = [
            np.mean([roc_auc_score(*(np.repeat(v[fold == f, k], counts[fold == f]) for v in (labels, answer)))
                     for f in range(beat_branches.FOLDS) if labels[fold == f, k].any()])
            for k in range(3)
        ]  # fmt: skip
        expected.append([np.mean(by_class)])
    areas = beat_branches.Areas(labels, answers, [fold])
    np.testing.assert_allclose(areas(counts), expected)
