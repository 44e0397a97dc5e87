"""Attributions: what they sum to, where they lie, and that the checks of them can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import REDUCED, settle
from scipy.special import logit
from torch import nn

import leadset
from leadset import create_model
from leadset.explain import WAVES, UnexplainedError, checks, explain, find_segments
from leadset.explain.background import Background, normal_baselines, zero_baseline
from leadset.explain.explanation import ALL, attribution_maps, regrid
from leadset.explain.gradients import TOLERANCE, Paths, path_gradients
from leadset.explain.occlusion import occlude
from leadset.explain.target import Target, see, target_of
from leadset.explain.typical import find_typical_beat, regular_times, repeat_beat
from leadset.leads import LEADS
from leadset.models import list_models
from leadset.models.extra_inputs import RecordingContext, delineations
from leadset.preprocess import InputSpec, Transform, prepare
from leadset.recordings import Recording
from leadset.simulate import simulate
from leadset.waves import delineate
from leadset.waves.beats import find_beats

CLASSES = 3
#: The smallest forms of networks of which a thousand gradients take long.
SMALLER = REDUCED | {"resunet_lc": {"width": 4, "samples": 256}}


def recording_of(label: str = "RBBB", seconds: float = 10.0, seed: int = 3, leads: tuple = LEADS) -> Recording:
    """A simulated recording."""
    drawn = simulate(1, seed, seconds, 500, label)
    rows = [LEADS.index(lead) for lead in leads]
    return Recording(drawn.signals[0][rows], 500, leads, label, 60.0, "female")


def seen_by(model: nn.Module, recording: Recording) -> Target:
    """A recording as a network alone sees it."""
    transform = model.input_spec.transform
    prepared = prepare(recording.signal, recording.fs, recording.leads, transform)
    beats = {
        reliable: find_beats(prepared.samples, prepared.statistics, transform.rate, recording.leads, reliable)
        for reliable in delineations(model.input_spec)
    }
    inputs = prepared.samples, prepared.statistics, RecordingContext(recording.age, recording.sex, beats)
    view = see("network", model, inputs, recording.leads)
    return Target((view,), np.ones(CLASSES), np.zeros(CLASSES))


class Sums(nn.Module):
    """Logits that are weighted sums of the samples: what each sample adds is known."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.input_spec = InputSpec(Transform(100), weights.shape[-1])

    def forward(self, x, mask=None):
        return torch.einsum("blt,klt->bk", x, self.weights)


@pytest.fixture(scope="module")
def entry() -> leadset.entry.Entry:
    return leadset.load_entry()


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list_models("classifier"))
@pytest.mark.parametrize("several", [False, True], ids=["integrated", "expected"])
def test_attributions_of_every_architecture_sum_to_the_difference(name: str, several: bool) -> None:
    torch.manual_seed(0)
    options = SMALLER[name] | {"extra": ["age", "sex"]} | ({"record_features": True} if name == "crnn_pqrst" else {})
    model = create_model(name, LEADS, CLASSES, **options)
    seconds = max(2.0, model.input_spec.seconds)  # one window is enough
    normals = [replace(recording_of("NSR", seconds, seed), age=40.0, sex="male") for seed in (5, 6)]
    others = [seen_by(model.eval(), normal) for normal in normals]
    target = seen_by(model, recording_of(seconds=seconds))
    view = target.views[0]
    seen = [view, *(other.views[0] for other in others)]
    extra = {key: torch.cat([one.extra[key] for one in seen]) for key in view.extra}
    settle(model, x=torch.cat([one.windows for one in seen]), **extra)
    nn.init.normal_(model.term.weight)  # it is zero before training
    background = Background(tuple(others), {}, tuple(normals))
    baselines = normal_baselines(target, background) if several else zero_baseline(target, background)
    (found,) = path_gradients(target, [0], Paths.from_baselines(target, baselines))
    assert found.completeness_error <= TOLERANCE or abs(found.log_odds - found.baseline) < 0.1
    if len(view.starts) == 1:
        mask = None if view.masks.all() else view.masks
        assert found.log_odds == pytest.approx(float(model(view.windows, mask, **view.extra)[0, 0]), abs=1e-4)
    assert all(np.isfinite(part).all() for part in found.parts)
    assert np.abs(found.parts[-1]).sum() > 0, "age and sex take part"


def test_a_weighted_sum_is_attributed_exactly_with_windows_and_padding() -> None:
    weights = torch.randn(CLASSES, 12, 400, generator=torch.Generator().manual_seed(1))
    for seconds in (2.5, 9.0):  # shorter than the window of 4 s, and longer
        recording = recording_of(seconds=seconds)
        target = seen_by(Sums(weights), recording)
        (found,) = attribution_maps(target, delineate(recording.signal, recording.fs), [1], "ig", None)
        view = target.views[0]
        expected = np.zeros_like(found["map"])
        for start, window in zip(view.starts, view.windows.numpy(), strict=True):
            inside = window * weights[1].numpy()
            span = slice(start, min(start + 400, view.samples))
            expected[:, span] += inside[:, : span.stop - span.start]
        # With several windows the target is the log odds of the mean probability: each window has its share of it.
        if len(view.starts) == 1:
            np.testing.assert_allclose(found["map"], expected, atol=1e-3)
        assert found["map"].sum() == pytest.approx(found["log_odds"] - found["baseline"], rel=TOLERANCE, abs=2e-3)


def test_several_classes_share_their_forward_passes_and_are_what_each_is_alone() -> None:
    torch.manual_seed(0)
    calls = []
    model = create_model("resnet34", LEADS, CLASSES, **SMALLER["resnet34"]).eval()
    target = seen_by(model, recording_of(seconds=10.0))
    settle(model, x=target.views[0].windows)
    model.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    paths = Paths.from_baselines(target, zero_baseline(target, None))

    def windows(classes):
        calls.clear()
        return path_gradients(target, classes, paths), sum(calls)

    (one, other), together = windows([2, 0])
    (one_alone,), first = windows([2])
    (other_alone,), second = windows([0])
    assert first + second - together >= 0.8 * min(first, second)
    for found, alone in ((one, one_alone), (other, other_alone)):
        assert found.completeness_error <= TOLERANCE and found.nodes == alone.nodes
        np.testing.assert_allclose(found.parts[0], alone.parts[0], atol=1e-4 * np.abs(alone.parts[0]).max())


def test_gradients_are_those_of_captum() -> None:
    attr = pytest.importorskip("captum", reason="captum is not installed").attr
    torch.manual_seed(0)
    model = create_model("resnet34", LEADS, CLASSES, **SMALLER["resnet34"]).eval()
    target = seen_by(model, recording_of(seconds=10.0))
    settle(model, x=target.views[0].windows)
    told: list[int] = []
    (found,) = path_gradients(target, [1], Paths.from_baselines(target, zero_baseline(target, None)), told.append)
    assert len(told) > 1 and sum(told) == found.nodes, "progress is told"
    (theirs,) = attr.IntegratedGradients(target).attribute(target.tensors, target=1, n_steps=400)
    theirs = theirs[0].numpy()
    assert np.corrcoef(found.parts[0].ravel(), theirs.ravel())[0, 1] > 0.99
    assert found.parts[0].sum() == pytest.approx(theirs.sum(), rel=0.02)


def test_the_target_is_what_the_entry_answers(entry) -> None:
    for recording in (recording_of(seconds=4.0), recording_of("AF", 23.0), recording_of(leads=("I", "V2"))):
        prepared = entry.prepare(recording)
        answer = next(entry.answer([prepared]))
        np.testing.assert_allclose(target_of(entry, prepared).log_odds()[0], logit(answer.probabilities), atol=1e-3)


def test_sums_over_time_stay_when_maps_change_their_rate() -> None:
    values = np.random.default_rng(0).normal(size=(2, 1000))
    for samples in (500, 1250, 2000):
        changed = regrid(values, samples)
        half = samples // 2
        np.testing.assert_allclose(changed[:, :half].sum(1), values[:, :500].sum(1))
        np.testing.assert_allclose(changed.sum(1), values.sum(1))


# --- the typical beat ------------------------------------------------------------------------------------------------


def beats_at(times: np.ndarray, rate: float = 250, seconds: float = 10.0, odd: int = -1) -> np.ndarray:
    """Two leads of bell-shaped beats; that of number ``odd`` is upside down."""
    at = np.arange(round(rate * seconds)) / rate
    bells = [(-1 if i == odd else 1) * np.exp(-(((at - time) / 0.03) ** 2)) for i, time in enumerate(times)]
    return np.stack([np.sum(bells, axis=0), 2 * np.sum(bells, axis=0)])


def test_a_typical_beat_is_that_of_most_beats_and_repeats_them_exactly() -> None:
    times = 0.5 + 0.8 * np.arange(12)
    found = times + np.random.default_rng(0).uniform(-0.03, 0.03, 12)
    beat = find_typical_beat({0: beats_at(times, odd=4)}, 250, found)
    assert beat.interval == pytest.approx(0.8, abs=0.01)
    late = beat.times - np.delete(times, 4)
    np.testing.assert_allclose(late, late.mean(), atol=0.004)
    again = repeat_beat(beat, regular_times(beat, 10.0), 250, 2500)
    np.testing.assert_allclose(again[:, 100:-100], beats_at(times)[:, 100:-100], atol=0.1)


def test_a_regular_rhythm_leaves_out_premature_beats_and_fills_pauses() -> None:
    steady = 0.5 + 0.8 * np.arange(12)
    for times in (np.sort(np.r_[steady[:5], steady[4] + 0.45, steady[6:]]), np.delete(steady, 6)):
        regular = regular_times(find_typical_beat({0: beats_at(times)}, 250, times), 10.0)
        inside = regular[(regular > 0) & (regular < 9.6)]
        np.testing.assert_allclose(inside, steady, atol=0.01)
        assert regular[0] < -0.4 and regular[-1] > 10
    irregular = np.cumsum(np.random.default_rng(1).uniform(0.35, 1.3, 11))
    evenly = np.diff(regular_times(find_typical_beat({0: beats_at(irregular)}, 250, irregular), 10.0))
    np.testing.assert_allclose(evenly, np.diff(irregular).mean())


def test_too_few_beats_have_no_typical_one() -> None:
    assert find_typical_beat({0: beats_at(np.array([1.0, 2.0]))}, 250, np.array([1.0, 2.0])) is None


@pytest.mark.parametrize(("label", "step"), [("RBBB", "form"), ("PVC", "rhythm"), ("SB", "rate")])
def test_steps_say_what_a_class_rests_on(entry, label: str, step: str) -> None:
    (found,) = explain(entry, recording_of(label, seed=11), [label]).classes
    assert max(found.steps, key=found.steps.get) == step
    assert found.baseline + sum(found.steps.values()) == pytest.approx(found.log_odds, abs=1e-6)
    assert found.completeness_error <= TOLERANCE


def test_without_beats_the_typical_method_says_that_it_is_expected_gradients(entry) -> None:
    short = recording_of("SB", seconds=2.0)
    found = explain(entry, short, ["AF"])
    assert not found.classes[0].steps and "too few beats for a typical one" in " ".join(found.notes)
    same = explain(entry, short, ["AF"], "eg")
    np.testing.assert_array_equal(found.classes[0].map, same.classes[0].map)


# --- occlusion -------------------------------------------------------------------------------------------------------


def test_occlusion_takes_away_what_a_lead_and_a_wave_add() -> None:
    weights = torch.randn(CLASSES, 12, 1000, generator=torch.Generator().manual_seed(2))
    recording = recording_of()
    target = seen_by(Sums(weights), recording)
    segments = find_segments(delineate(recording.signal, recording.fs), 100, 1000)
    found = occlude(target, segments)
    products = (target.views[0].windows[0] * weights[0]).sum(-1).numpy()
    np.testing.assert_allclose(found.leads[:, 0], products, rtol=1e-3, atol=1e-3)
    by_wave = np.zeros(len(WAVES))
    for piece in range(found.pieces.shape[1]):
        by_wave[segments.wave[segments.piece == piece][0]] += found.pieces[:, piece, 0].sum()
    np.testing.assert_allclose(found.waves[:, 0], by_wave, rtol=1e-3, atol=1e-2)  # a sum: all at once is one by one


def test_occlusion_of_a_lead_is_the_answer_without_it(entry) -> None:
    recording = recording_of()
    explained = explain(entry, recording, "RBBB", "occlusion")
    one = explained.classes[0]
    prepared = entry.prepare(recording)
    target = target_of(entry, prepared)
    k = entry.space.abbreviations.index("RBBB")
    without = [x.clone() for x in target.tensors]
    for x in without:
        x[:, :, LEADS.index("V1")] = 0
    assert one.without["V1", ALL] == pytest.approx(one.log_odds - target.log_odds(without)[0, k], abs=1e-6)
    assert np.isnan(one.completeness_error) and explained.seconds > 0


# --- waves -----------------------------------------------------------------------------------------------------------


def test_segments_follow_the_marks() -> None:
    drawn = simulate(1, 4, 10, 500, "NSR")
    delineation = delineate(drawn.signals[0], 500)
    segments = find_segments(delineation, 100, 1000)
    for beat, marks in enumerate(delineation.fused / 5):
        if 0 < marks[6] < 999:
            assert WAVES[segments.wave[round(marks[6])]] == "QRS" and segments.beat[round(marks[6])] == beat
    assert segments.time_shares().sum() == pytest.approx(1) and segments.is_wave("P").any()
    assert not segments.is_wave("no P")[100:].any(), "every whole beat of this recording has a P wave"
    lengths = np.bincount(segments.piece)
    assert lengths.min() > 0 and lengths.max() <= 50
    changes = np.flatnonzero(np.diff(segments.wave))
    assert (np.diff(segments.piece)[changes] == 1).all()


def test_a_beat_without_p_wave_has_a_region_where_it_would_be() -> None:
    delineation = delineate(simulate(1, 4, 10, 500, "NSR").signals[0], 500)
    marks = delineation.marks.copy()
    marks[:, 3, :4] = np.nan
    segments = find_segments(replace(delineation, marks=marks), 100, 1000)
    onset = int(np.ceil(delineation.fused[3, 4] / 5))
    assert segments.is_wave("no P").sum() == pytest.approx(20, abs=2) and segments.is_wave("no P")[onset - 1]


# --- bad input -------------------------------------------------------------------------------------------------------


def test_a_class_that_the_entry_does_not_have_is_named_beside_those_it_has(entry) -> None:
    with pytest.raises(ValueError, match=r"found class 'XYZ', expected one of .*RBBB"):
        explain(entry, recording_of(), ["XYZ"])
    with pytest.raises(ValueError, match="method 'lime': expected one of typical, eg, ig, occlusion"):
        explain(entry, recording_of(), method="lime")


def test_what_cannot_be_judged_is_not_explained(entry) -> None:
    recording = recording_of()
    noise = np.random.default_rng(0).normal(size=recording.signal.shape).astype(np.float32)
    with pytest.raises(UnexplainedError, match="unanswered"):
        explain(entry, replace(recording, signal=noise))


def test_short_strips_flat_and_missing_leads_are_explained_and_said(entry) -> None:
    signal = recording_of(seconds=4.0).signal.copy()
    signal[LEADS.index("V3")] = 0
    found = explain(entry, Recording(signal, 500, LEADS, "short"), ["RBBB"])
    assert "V3" not in found.leads and found.classes[0].map.shape == (11, 400)
    assert any("flat" in flag and "V3" in flag for flag in found.answer.flags)
    few = explain(entry, recording_of(leads=("II", "V5")), ["AF"])
    assert few.leads == ("II", "V5") and any("AF is not decided" in note for note in few.notes)
    assert np.abs(few.classes[0].map).sum() > 0


# --- the checks ------------------------------------------------------------------------------------------------------


def test_a_point_hits_a_mask_in_its_lead_and_time_alone() -> None:
    mask = np.zeros((12, 5000), bool)
    mask[6, 2000:2500] = True
    for lead, second, expected in ((6, 4.5, True), (6, 3.95, True), (6, 6.0, False), (5, 4.5, False)):
        heat = np.zeros((12, 1000))
        heat[lead, round(second * 100)] = 1
        hit, chance = checks.point(heat, mask, 100)
        assert hit is expected
        assert chance == pytest.approx(120 / 12000, abs=0.0002)


def test_the_checks_fail_for_maps_that_ignore_the_network(entry, monkeypatch) -> None:
    def amplitudes(target, delineation, classes, method, background):
        return [{"map": np.abs(target.views[0].windows[0].numpy())} for _ in classes]

    monkeypatch.setattr(checks, "attribution_maps", amplitudes)
    randomised, *others = checks.run_checks(entry, "ig", 4)
    assert float(randomised.value.value) == pytest.approx(1) and not randomised.passed
    assert "FAIL" in str(randomised) and len(others) == len(checks.CHECKS) - 1
    assert others[-1].passed, "amplitudes of equal beats are alike"


def test_networks_with_other_weights_have_other_weights() -> None:
    model = create_model("resnet34", 12, CLASSES, **REDUCED["resnet34"]).eval()
    other = checks._shuffled(model, 0)
    x = torch.randn(2, 12, model.input_spec.samples)
    assert not torch.allclose(model(x), other(x))
    assert torch.equal(model.conv1.weight.sort().values.flatten().sort().values,
                       other.conv1.weight.flatten().sort().values)  # fmt: skip
