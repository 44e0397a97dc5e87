"""Learning to restore: windows and heartbeats, what is hidden of them, losses, training, and attributes beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reconstructions import SMALL, SPEC, network, same_reference
from scipy.signal import sosfreqz

from leadset.anomaly import Detector
from leadset.anomaly.attributes import Targets, asymmetric_loss, attribute_loss, attributes_of, in_units
from leadset.anomaly.detector import TRANSFORM
from leadset.anomaly.losses import mean_recorded, weighted_error
from leadset.anomaly.masks import scoring_masks, training_masks
from leadset.anomaly.windows import beats_within, centred_starts, cut_heartbeats, due_places, surrounded
from leadset.leads import LEADS
from leadset.models.cross_restoration import ATTRIBUTES, Restored
from leadset.preprocess import FILTERS, cut_window, prepare
from leadset.training import trainer as trainer_module
from leadset.training.detector import all_r_peaks, fit_detector, untrained_model
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.training.steps.schedules import SCHEDULES
from leadset.training.tasks.restoration import RestorationTask
from leadset.training.tasks.restoration_batches import MaskedBatches
from leadset.training.tasks.restoration_settings import RestorationSettings
from leadset.training.trainer import RunContext, Trainer
from leadset.waves.beats import find_r_peaks

# --- what is given ---------------------------------------------------------------------------------------------------


def test_filter_passes_one_to_twenty_five_hertz_without_a_shift():
    frequencies = [0.1, 1, 3, 5, 10, 25, 50]
    _, response = sosfreqz(FILTERS["restoration"](500), np.array(frequencies), fs=500)
    gain = dict(zip(frequencies, np.abs(response) ** 2, strict=True))  # forward and backward
    assert gain[1] == pytest.approx(0.5, abs=0.01) and gain[25] == pytest.approx(0.5, abs=0.01)
    assert min(gain[3], gain[5], gain[10]) > 0.97
    assert gain[50] < 0.06 and gain[0.1] < 1e-3
    bump = np.exp(-0.5 * ((np.arange(5000) - 2500) / 10) ** 2)
    found = prepare(np.tile(bump, (12, 1)), 500, LEADS, TRANSFORM).samples
    assert (found.argmax(axis=1) == 2500).all()


def test_ten_seconds_give_their_middle_and_other_lengths_are_covered():
    assert centred_starts(5000, SPEC).tolist() == [100]
    assert centred_starts(4800, SPEC).tolist() == [0]
    assert centred_starts(700, SPEC).tolist() == [0]
    starts = centred_starts(30 * 500, SPEC)
    assert starts[0] == 0 and starts[-1] == 30 * 500 - 4800 and (np.diff(starts) <= 4800).all()
    assert len(centred_starts(30 * 60 * 500, SPEC)) == 16


def test_heartbeats_are_scaled_by_lead_and_lie_around_the_r_peak(normals):
    samples, statistics = normals[0]
    window, _ = cut_window(samples, statistics, range(12), 100, SPEC)
    centres, real = beats_within(find_r_peaks(samples, statistics, range(12), 500), 100, 4800)
    beats = cut_heartbeats(window, centres)
    assert real and beats.shape == (len(centres), 12, 480)
    np.testing.assert_allclose(beats.min(axis=2), -1, atol=1e-6)
    np.testing.assert_allclose(beats.max(axis=2), 1, atol=1e-6)
    assert np.corrcoef(beats[1, 3], window[3, centres[1] - 140 : centres[1] + 340])[0, 1] > 0.9999
    assert not cut_heartbeats(np.full((2, 4800), 0.3, np.float32), np.array([500])).any()


def test_places_taken_for_heartbeats_cover_the_window():
    centres, real = beats_within(np.array([90, 4700]), 0, 4800)
    assert not real
    assert (centres - 140).tolist() == [480 * k for k in range(10)]
    assert beats_within(np.array([]), 0, 200)[0].tolist() == [140]


def test_places_where_heartbeats_were_due():
    regular = np.arange(200, 4800, 400)
    assert due_places(regular).tolist() == regular.tolist()
    assert due_places(np.delete(regular, 4)).tolist() == regular.tolist()
    assert due_places(np.delete(regular, [4, 5])).tolist() == regular.tolist()
    early = regular.copy()
    early[5] -= 150
    assert due_places(early).tolist() == regular.tolist(), "a premature beat and its compensation"
    assert due_places(np.sort([*regular, 1650])).tolist() == regular.tolist(), "a beat too many"
    assert due_places(np.array([5, 900])).tolist() == [5, 900]
    for places in ([140], [140, 900], [700, 1100, 1500], [500]):
        firsts = surrounded(np.array(places), 2400) - 140
        assert firsts[0] <= 0 and set(np.array(places) - 140) <= set(firsts) and (np.diff(firsts) > 0).all()


# --- what is hidden --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masking", ["full", "published"])
def test_training_masks_hide_thirty_percent(masking):
    firsts = set()
    for seed in range(200):
        masks = training_masks(masking, 3, 4800, 480, np.random.default_rng(seed))
        assert (masks.record.sum(axis=1) == 1440).all()
        patches = masks.record.reshape(3, 100, 48)
        assert (patches.all(axis=2) == patches.any(axis=2)).all(), "whole patches"
        assert (masks.beat.sum(axis=1) == 144).all()
        first = masks.beat.argmax(axis=1)
        assert all(row[f : f + 144].all() for row, f in zip(masks.beat, first, strict=True)), "one stretch"
        firsts |= set(first.tolist())
        if masking == "published":
            assert (masks.record == masks.record[0]).all() and (masks.beat == masks.beat[0]).all()
    assert min(firsts) >= (1 if masking == "published" else 0)
    assert max(firsts) <= (334 if masking == "published" else 336)
    if masking == "full":
        assert (masks.record[0] != masks.record[1]).any()
        assert {0, 336} <= firsts


def test_published_masks_at_test():
    record, beat = scoring_masks("published", 4800, 480)
    assert record.sum(axis=1).tolist() == [1440] * 3 and beat.sum(axis=1).tolist() == [100] * 3
    assert record.sum(axis=0).max() == 1 and record.any(axis=0).sum() == 4320
    assert [np.flatnonzero(row).max() for row in record] == [4687, 4735, 4783]
    assert np.flatnonzero(beat.any(axis=0)).tolist() == list(range(20, 220))


@pytest.mark.parametrize("samples", [4800, 2400, 992])
def test_full_masks_hide_everything_once(samples):
    record, beat = scoring_masks("full", samples, 480)
    assert (record.sum(axis=0) == 1).all() and beat.any(axis=0).all()
    assert (beat.sum(axis=1) == 144).all()
    assert not any(mask.any() for mask in scoring_masks("none", samples, 480))


def test_batches_are_functions_of_their_step(normals):
    beats = all_r_peaks(normals, LEADS, range(12), workers=1)
    curriculum = Curriculum((Phase("normal", Pool(np.arange(12)), 9, 1e-3),))
    batches = MaskedBatches(normals, beats, curriculum, leads=LEADS, spec=SPEC, masking="full", batch_size=4, seed=3)
    first, again = batches[2], batches[2]
    assert all(torch.equal(a, b) for a, b in zip(first[:4], again[:4], strict=True)) and first.recorded is None
    assert first.record.shape == (4, 12, 4800) and first.beat.shape == (4, 12, 480)
    assert not torch.equal(first.record, batches[3].record)
    assert first.record.abs().max() <= 1 + 1e-3


# --- training --------------------------------------------------------------------------------------------------------


def test_perfect_restoration_scores_zero_and_no_score_is_negative():
    x = torch.randn(2, 3, 50)
    assert not weighted_error(Restored(x, torch.randn(2, 1, 50)), x).any()
    assert (weighted_error(Restored(torch.randn(2, 3, 50), torch.randn(2, 1, 50)), x) >= 0).all()
    mask = torch.arange(50)[None] < torch.tensor([[50], [10]])
    expected = torch.cat([x[0].flatten(), x[1, :, :10].flatten()]).mean()
    torch.testing.assert_close(mean_recorded(x, mask), expected)


def test_published_learning_rate():
    rates = [1e-4 * SCHEDULES["published"](epoch, 50) for epoch in (1, 25, 50)]
    assert rates == pytest.approx([9.990e-5, 5.0e-5, 0.0], abs=5e-9)
    assert SCHEDULES["published"](49.999, 50) > 0


def settings(**changes):
    return RestorationSettings(**({"steps": 6, "batch_size": 4} | changes))


def test_training_lowers_the_loss(normals, tmp_path):
    beats = all_r_peaks(normals, LEADS[:2], range(12), workers=1)
    model = network(2)
    losses = []
    for steps in (1, 30):
        plan = settings(steps=steps, learning_rate=5e-3)
        task = RestorationTask(normals, beats, np.arange(12), model.leads, model.input_spec, plan)
        trained = Trainer(model, task, steps, RunContext(tmp_path / f"{steps}.safetensors")).run()
        losses.append(trained.summary["train_loss"])
    assert losses[1] < losses[0] - 0.5


def fitted(normals, train, held_out, folder, options=SMALL, plan=None, **more):
    """A detector on two leads."""
    plan = plan or settings()
    model = untrained_model(2, plan.seed, **options)
    return fit_detector(normals, train, held_out, model, folder, settings=plan, **more)


def test_an_interrupted_run_gives_the_same_detector(normals, tmp_path, monkeypatch):
    arguments = normals, np.arange(9), np.arange(9, 12)
    whole = fitted(*arguments, tmp_path / "whole")
    real_step, calls = trainer_module.train_step, []

    def step(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real_step(*arguments)

    monkeypatch.setattr(trainer_module, "train_step", step)
    with pytest.raises(KeyboardInterrupt):
        fitted(*arguments, tmp_path / "halves")
    monkeypatch.setattr(trainer_module, "train_step", real_step)
    assert list((tmp_path / "halves").glob("unfinished-*"))
    halves = fitted(*arguments, tmp_path / "halves")
    assert halves.training["steps"] == 6 and not list((tmp_path / "halves").glob("unfinished-*"))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, halves.model.state_dict()[name]), name
    assert same_reference(whole.reference, halves.reference)


def test_biases_and_normalisation_do_not_decay(normals, tmp_path):
    """As the configuration promises: a decay so strong that it would leave nothing of them leaves them."""
    model = untrained_model(2, 0, **SMALL)
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    plan = settings(learning_rate=1e-3, weight_decay=500.0, steps=4)
    fit_detector(normals, np.arange(12), np.arange(0), model, tmp_path, settings=plan)
    kept = [name for name, tensor in model.named_parameters() if tensor.ndim <= 1]
    assert len(kept) > 10
    for name, tensor in model.named_parameters():
        if name in kept:
            assert (tensor - before[name]).abs().max() < 0.02, name
        else:
            assert tensor.abs().max() < 0.6 * before[name].abs().max(), name


def test_a_run_of_another_plan_is_not_gone_on_with(normals, tmp_path):
    state, beats = tmp_path / "state.safetensors", all_r_peaks(normals, LEADS[:2], range(12), workers=1)
    model = network(2)
    task = RestorationTask(normals, beats, np.arange(12), model.leads, model.input_spec, settings())
    trainer = Trainer(model, task, 6, RunContext(state))
    trainer.step = 3
    trainer.save()
    assert Trainer(network(2), task, 6, RunContext(state)).step == 3
    assert Trainer(network(2), task, 7, RunContext(state)).step == 0


def test_time_limit_ends_the_run(normals, tmp_path):
    limited = settings(steps=100_000, minutes=0.01)
    detector = fitted(normals, np.arange(12), np.arange(0), tmp_path, plan=limited)
    assert 1 <= detector.training["steps"] < 100_000
    assert "too few" in detector.reference.part


def test_bad_settings_are_refused(normals, tmp_path):
    with pytest.raises(ValueError, match="masking is 'some'"):
        RestorationSettings(masking="some")
    with pytest.raises(ValueError, match="positive"):
        RestorationSettings(batch_size=0)
    with pytest.raises(ValueError, match="sinus rhythm"):
        fitted(normals, np.arange(0), np.arange(0), tmp_path)


# --- attributes and classes ------------------------------------------------------------------------------------------


def test_asymmetric_loss_is_the_published_one():
    wanted = torch.zeros(2, 116)
    wanted[:, :5] = 1
    assert float(asymmetric_loss(torch.zeros(2, 116), wanted)) == pytest.approx(5.449, abs=5e-4)
    logits = torch.tensor([[2.0, -1.0]], requires_grad=True)
    asymmetric_loss(logits, torch.tensor([[1.0, 0.0]])).backward()
    present, absent = torch.sigmoid(logits.detach())[0]
    expected = [-((1 - present) ** 10) * (1 - present), (absent - 0.05) ** 4 * absent * (1 - absent) / (1.05 - absent)]
    torch.testing.assert_close(logits.grad[0], torch.stack(expected), rtol=1e-4, atol=1e-9)
    assert not asymmetric_loss(torch.full((1, 1), -9.0), torch.zeros(1, 1)).any(), "rightly refused below the shift"


def test_unknown_attributes_have_no_say():
    found = torch.randn(3, 7, requires_grad=True)
    wanted = torch.zeros(3, 7)
    wanted[0, 2] = wanted[2] = torch.nan
    loss = attribute_loss(found, wanted)
    known = ~torch.isnan(wanted)
    torch.testing.assert_close(loss, found[known].square().mean())
    loss.backward()
    assert not found.grad[~known].any() and found.grad[known].all()
    assert not attribute_loss(found, torch.full((3, 7), torch.nan)).any()


def test_attributes_come_from_header_and_waves(normals):
    scaled = attributes_of(*normals[0], LEADS, 40.0, "male")
    found = dict(zip(ATTRIBUTES, in_units(scaled), strict=True))
    r_peaks = find_r_peaks(*normals[0], range(12), 500)
    assert found["age"] == pytest.approx(40, abs=1e-4) and found["sex"] == pytest.approx(1)
    assert found["rate"] == pytest.approx(30000 / np.median(np.diff(r_peaks)), rel=0.02)
    assert 0.06 < found["qrs_duration"] < found["pr_interval"] < found["qt_interval"] < 0.5
    unknown = attributes_of(np.zeros((12, 5000), np.int16), normals[0][1], LEADS, None, "unknown")
    assert np.isnan(unknown).all()


def test_reconstruction_model_learns_the_same_whatever_the_abnormal_recordings_are(normals, tmp_path):
    """Classes of abnormal recordings train the class head, and nothing else."""
    train, beats = np.arange(8), all_r_peaks(normals, LEADS[:2], range(12), workers=1)
    attributes = torch.zeros(12, 7)
    attributes[::3, 0] = torch.nan
    states = []
    for labelled in (np.arange(12), np.arange(4, 12)):
        classes = (torch.arange(12)[:, None] % 26 == torch.arange(26)).float()
        targets = Targets(attributes, classes, labelled, beats, tuple("abcdefghijklmnopqrstuvwxyz"))
        options = SMALL | {"attributes": True, "classes": 26}
        detector = fitted(normals, train, train[:0], tmp_path / str(len(labelled)), options, targets=targets)
        states.append(detector.model.state_dict())
    for name, tensor in states[0].items():
        if not name.startswith("class_head."):
            assert torch.equal(tensor, states[1][name]), name
    assert not torch.equal(states[0]["class_head.0.weight"], states[1]["class_head.0.weight"])
    found = Detector.load(tmp_path / "12").score_prepared(*normals[0])
    assert found.attributes.shape == (7,) and found.classes.shape == (26,) and np.isfinite(found.attributes).all()
    assert ((found.classes > 0) & (found.classes < 1)).all()
    with pytest.raises(ValueError, match="targets are to be given with it"):
        fitted(normals, train, train[:0], tmp_path / "none", options)
