"""Masks, scores, training, detectors on disk, metrics, the authors' files and the verb, on small networks."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from anomaly_baselines import BASELINES
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from scipy.ndimage import gaussian_filter1d
from scipy.signal import sosfreqz

from leadset.anomaly import Detector, FitSettings, Scoring, fit_detector
from leadset.anomaly import fit as fit_module
from leadset.anomaly.arrays import ArrayRecordings, read_labels
from leadset.anomaly.attributes import (
    Targets,
    asymmetric_loss,
    attribute_loss,
    attributes_of,
    in_units,
)
from leadset.anomaly.batches import RestorationBatches
from leadset.anomaly.detector import TRANSFORM, all_r_peaks
from leadset.anomaly.features import (
    FAMILIES,
    LASTING,
    feature_group,
    feature_names,
    rhythm_features,
    roughness,
    wave_features,
)
from leadset.anomaly.fit import SCHEDULES, Fit
from leadset.anomaly.losses import mean_recorded, weighted_error
from leadset.anomaly.masks import test_masks, training_masks
from leadset.anomaly.metrics import detection_auc, dice, dice_threshold, localisation_auc
from leadset.anomaly.reference import Gaussian, Reference, fit_families, most_surprised
from leadset.anomaly.scores import WindowErrors, deviation_map, error_map, score_recording, smooth
from leadset.anomaly.windows import (
    NO_BEATS,
    beats_within,
    centred_starts,
    cut_heartbeats,
    due_places,
    surrounded,
)
from leadset.beats import BEAT_FEATURES, Beats, find_beats, find_r_peaks, record_length
from leadset.cli import main
from leadset.leads import LEADS
from leadset.models import create_model
from leadset.models.cross_restoration import ATTRIBUTES, Restored
from leadset.preprocess import FILTERS, InputSpec, Transform, cut_window, prepare
from leadset.recordings import find_recordings, read_recording
from leadset.simulate import simulate
from leadset.simulate.write import write_dataset
from leadset.waves import LEAD_FEATURES, RECORD_FEATURES, delineate, extract_features

SMALL = {"width": 4, "latent": 6, "record_samples": 2400}
SPEC = InputSpec(TRANSFORM, 4800, "range")


def network(leads=2, **options):
    torch.manual_seed(0)
    return create_model("cross_restoration", leads, **(SMALL | options)).eval()


def beats_at(r_peaks, leads=2):
    """Beats of which nothing is known but where they are."""
    features = np.full((leads, len(r_peaks), BEAT_FEATURES), np.nan, np.float32)
    return Beats(np.asarray(r_peaks, np.float32), features, np.full(record_length(leads), np.nan, np.float32))


@pytest.fixture(scope="module")
def normals():
    """Prepared normal recordings of 10 s."""
    signals = simulate(12, seed=5, labels="NSR", marks=False).signals
    prepared = [prepare(signal, 500, LEADS, TRANSFORM) for signal in signals]
    return [(p.samples, p.statistics) for p in prepared]


# --- preprocessing ---------------------------------------------------------------------------------------------------


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


# --- masks -----------------------------------------------------------------------------------------------------------


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
    record, beat = test_masks("published", 4800, 480)
    assert record.sum(axis=1).tolist() == [1440] * 3 and beat.sum(axis=1).tolist() == [100] * 3
    assert record.sum(axis=0).max() == 1 and record.any(axis=0).sum() == 4320
    assert [np.flatnonzero(row).max() for row in record] == [4687, 4735, 4783]
    assert np.flatnonzero(beat.any(axis=0)).tolist() == list(range(20, 220))


@pytest.mark.parametrize("samples", [4800, 2400, 992])
def test_full_masks_hide_everything_once(samples):
    record, beat = test_masks("full", samples, 480)
    assert (record.sum(axis=0) == 1).all() and beat.any(axis=0).all()
    assert (beat.sum(axis=1) == 144).all()
    assert not any(mask.any() for mask in test_masks("none", samples, 480))


def test_batches_are_functions_of_their_step(normals):
    beats = all_r_peaks(normals, LEADS, range(12), workers=1)
    batches = RestorationBatches(normals, beats, np.arange(12), LEADS, SPEC, "full", 4, 9, seed=3)
    first, again = batches[2], batches[2]
    assert all(torch.equal(a, b) for a, b in zip(first[:4], again[:4], strict=True)) and first.recorded is None
    assert first.record.shape == (4, 12, 4800) and first.beat.shape == (4, 12, 480)
    assert not torch.equal(first.record, batches[3].record)
    assert first.record.abs().max() <= 1 + 1e-3


# --- scores ----------------------------------------------------------------------------------------------------------


def test_perfect_restoration_scores_zero_and_no_score_is_negative():
    x = torch.randn(2, 3, 50)
    assert not weighted_error(Restored(x, torch.randn(2, 1, 50)), x).any()
    assert (weighted_error(Restored(torch.randn(2, 3, 50), torch.randn(2, 1, 50)), x) >= 0).all()
    mask = torch.arange(50)[None] < torch.tensor([[50], [10]])
    expected = torch.cat([x[0].flatten(), x[1, :, :10].flatten()]).mean()
    torch.testing.assert_close(mean_recorded(x, mask), expected)


def test_score_is_the_sum_of_its_parts_and_does_not_depend_on_other_recordings(normals):
    detector = Detector(network(12))
    found = detector.score_prepared(*normals[0])
    assert found.score == pytest.approx(sum(found.parts.values())) and min(found.parts.values()) > 0
    assert found.parts["record"] == pytest.approx(found.lead_errors[0].mean(), rel=1e-5)
    assert found.parts["beat"] == pytest.approx(found.beats.mean(), rel=1e-5)
    among = list(detector.score_all(normals, [3, 0, 7]))[1]
    assert among.score == found.score
    np.testing.assert_array_equal(among.map, found.map)


def test_map_is_that_of_the_published_size(normals):
    found = score_recording(network(12, record_samples=4800), *normals[0], Scoring())
    known = ~np.isnan(found.map)
    assert found.map.shape == (12, 5000) and known[:, 100:4900].all() and known.sum() == 12 * 4800
    assert found.peak == np.nanmax(found.deviation) and found.deviation.shape == (12, 5000)


def test_averaging_over_heartbeats_changes_nothing_for_one(normals):
    model = network(2)
    r_peaks = find_r_peaks(*normals[1], [0, 1], 500)
    one = r_peaks[(r_peaks > 400) & (r_peaks < 2000)][:1]
    short = normals[1][0][:, :2400], normals[1][1]
    mean = score_recording(model, *short, Scoring(), beats=beats_at(one))
    every = score_recording(model, *short, Scoring(pairing="published"), beats=beats_at(one))
    assert mean.score == pytest.approx(every.score, rel=1e-4)
    several = beats_at(r_peaks)
    both = [score_recording(model, *short, Scoring(pairing=p), beats=several).score for p in ("mean", "published")]
    assert both[0] == pytest.approx(both[1], rel=0.05), "near, though not the same"


def errors_of(samples, beats, rng=None):
    """Errors of two leads: zeros, ones in heartbeats; or random ones."""
    record, beat = (2, samples), (beats, 2, 480)
    shapes = (record, record, beat, (samples,), record, beat)
    if rng is not None:
        return WindowErrors(*(rng.random(shape).astype(np.float32) for shape in shapes))
    return WindowErrors(*(np.full(shape, shape[0] == beats, np.float32) for shape in shapes))


def test_overlapping_heartbeats_are_averaged_or_added():
    errors = errors_of(2400, 3)
    centres = np.array([500, 600, 1500])
    mean, added = (error_map(errors, centres, overlap, 2400) for overlap in ("mean", "published"))
    assert mean.max() == pytest.approx(1, abs=1e-3) and added.max() == pytest.approx(2, abs=1e-3)
    assert mean[:, 1600].tolist() == added[:, 1600].tolist() and not mean[:, 2200].any()


def test_padding_has_no_say():
    rng = np.random.default_rng(0)
    errors = errors_of(2400, 1, rng)
    changed = replace(errors, record=errors.record.copy())
    changed.record[:, 1500:] = 1e6
    np.testing.assert_array_equal(*(error_map(e, np.array([700]), "mean", 1500) for e in (errors, changed)))


@pytest.mark.parametrize("samples", [4800, 4799, 130, 7, 1])
def test_smoothing_is_that_of_a_gaussian_with_mirrored_ends(samples):
    values = np.random.default_rng(0).random((2, samples)) ** 20
    values[1, samples // 2 :] = 0
    for sd in (15, 25):
        expected = gaussian_filter1d(values, sd, axis=1, mode="reflect", truncate=4)
        np.testing.assert_allclose(smooth(values, sd), expected, rtol=1e-9, atol=1e-12)
        assert smooth(values, sd).min() >= 0 and not smooth(np.zeros((2, samples)), sd).any()


def heart(r_peaks, samples=4800):
    """A lead of 1-mV triangles at R peaks, and one of half their height, in mV."""
    distance = np.abs(np.arange(samples)[:, None] - np.asarray(r_peaks)).min(axis=1)
    triangles = np.maximum(1 - distance / 20, 0)
    return np.stack([triangles, -triangles / 2]).astype(np.float32)


def test_deviation_finds_the_heartbeat_that_is_unlike_the_others():
    r_peaks = np.arange(200, 4800, 400)
    assert deviation_map(heart(r_peaks), r_peaks[:-1]).max() < 1e-6
    signal = heart(r_peaks)
    signal[1, 1360:1380] += 0.3
    deviation = deviation_map(signal, r_peaks[:-1])
    assert abs(int(deviation[1].argmax()) - 1370) <= 1 and deviation[0].max() < 1e-6
    signal = heart(r_peaks)
    signal[0, :40] = signal[0, -40:] = 0.3  # before the first complete heartbeat and after the last one
    deviation = deviation_map(signal, r_peaks[:-1])
    assert min(deviation[0, 20], deviation[0, -20]) > 10 * deviation[0, 2000:2400].max()


def test_heartbeats_that_a_window_cuts_through_are_compared_where_they_are():
    r_peaks = np.array([30, *range(400, 2200, 300), 2330])  # first and last off the rhythm, and incomplete
    prepared = prepare(heart(r_peaks, 2400), 500, LEADS[:2], Transform(500))  # a filter would bend the ends
    found = score_recording(network(2), prepared.samples, prepared.statistics, Scoring(), beats=beats_at(r_peaks))
    middle = found.deviation[:, 500:1900].max()
    assert found.deviation[:, :60].max() < 2 * middle + 0.1 and found.deviation[:, -100:].max() < 2 * middle + 0.1


def test_deviation_sees_where_an_early_heartbeat_is_and_where_it_was_due():
    regular = np.arange(200, 4800, 400)
    early = regular.copy()
    early[5] -= 130
    deviation = deviation_map(heart(early), due_places(early)[:-1])[0]
    there, due = deviation[early[5]], deviation[regular[5]]
    assert min(there, due) > 5 * deviation[:1800].max() and there == pytest.approx(due, rel=0.05)
    missing = np.delete(regular, 5)
    deviation = deviation_map(heart(missing), due_places(missing)[:-1])[0]
    assert abs(int(deviation.argmax()) - regular[5]) <= 1


def test_deviation_is_nothing_where_heartbeats_are_few_or_flat():
    assert not deviation_map(heart([300], 700), np.array([300])).any()
    flat = deviation_map(np.zeros((2, 2400), np.float32), np.arange(200, 2000, 400))
    assert not flat.any()


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


def test_features_say_where_and_when(normals):
    detector, names = Detector(network(12)), list(feature_names(LEADS))
    assert len(set(names)) == len(names)
    samples, statistics = normals[0]
    before = detector.score_prepared(samples, statistics)
    r_peaks = before.r_peaks
    changed = samples.copy()  # half of the range more in the ST segment of one lead of the third heartbeat
    changed[6, r_peaks[2] + 45 : r_peaks[2] + 85] += 16000
    after = detector.score_prepared(changed, statistics)
    grown = after.features - before.features
    assert names[int(grown.argmax())].startswith("V1 ST") and names[int(grown.argmax())].endswith("odd")
    louder = detector.score_prepared(samples, 2 * statistics).features - before.features
    for name, difference in zip(names, louder, strict=True):
        if name.endswith("heights"):
            expected = (np.sqrt(2) - 1) * before.features[names.index(name)]
        else:
            expected = np.log(2) if name.endswith("amplitude") else 0
        # A direction that hardly is one gets clearer.
        assert difference == pytest.approx(expected, abs=0.1 if " in " in name else 0.02), name


def test_roughness_finds_noise_that_comes_and_goes():
    rng = np.random.default_rng(0)
    r_peaks = np.arange(200, 4800, 400)
    signal = heart(r_peaks) + 0.01 * rng.normal(size=(2, 4800)).astype(np.float32)
    quiet = roughness(signal, r_peaks)
    signal[1, 2010:2400] += 0.2 * rng.normal(size=390)
    noisy = roughness(signal, r_peaks)
    assert quiet.max() < 0.5 and noisy[0] == quiet[0]
    assert noisy[1] > quiet[1] + 2
    assert roughness(signal, np.delete(r_peaks, 5))[0] > quiet[0] + 0.3, "a complex that is not left out is rough"
    for few in (signal[:, :300], np.zeros((2, 4800))):
        assert not roughness(few, r_peaks[:1]).any()
    everywhere = np.arange(0, 4800, 50)
    assert not roughness(signal, everywhere).any(), "nothing lies between complexes"


def test_waves_are_those_of_the_delineation(normals):
    samples, statistics = normals[0]
    beats = find_beats(samples, statistics, 500, LEADS)
    found = dict(zip(feature_names(LEADS)[-158:], wave_features(beats, LEADS), strict=True))
    signal = samples * statistics[0][:, None]
    told = extract_features(delineate(signal, 500, "wavelet"), signal, LEADS)
    record = dict(zip((f.name for f in RECORD_FEATURES), told.record, strict=True))
    for name, tolerance in (("pr_interval", 0.02), ("qrs_duration", 0.03), ("qt_interval", 0.03)):
        assert found[f"waves {name}"] == pytest.approx(record[name], abs=tolerance)
    angle = np.degrees(np.arctan2(found["waves QRS in aVF"], found["waves QRS in I"]))
    assert angle == pytest.approx(record["qrs_axis"], abs=15)
    assert found["V5 r_amplitude heights"] ** 2 == pytest.approx(told.leads[10, 2], rel=1e-5)
    columns = {feature.name: i for i, feature in enumerate(LEAD_FEATURES)}
    for name in ("q_share", "t_inverted", "r_to_s"):
        expected = np.nan_to_num(told.leads[:, columns[name]])
        np.testing.assert_allclose([found[f"{lead} {name} shares"] for lead in LEADS], expected, atol=1e-6)
    assert found["V1 s_amplitude heights"] < 0 and found["waves p_share"] > 0.9
    nothing, unseen = (wave_features(beats_at(np.arange(n), 12), LEADS) for n in (0, 5))
    np.testing.assert_array_equal(nothing, unseen)
    assert np.isfinite(nothing).all() and not nothing[6:].any() and nothing[1] == pytest.approx(0.16)
    chest = find_beats(samples, statistics, 500, LEADS[6:])
    assert not wave_features(chest, LEADS[6:])[8:14].any(), "chest leads have no frontal axis"


def test_unreliable_beats_have_no_say(normals):
    rng = np.random.default_rng(0)
    noise = prepare(rng.normal(0, 0.3, (12, 5000)), 500, LEADS, TRANSFORM)
    told = noise.samples, noise.statistics, 500, LEADS
    assert len(find_beats(*told).at) and find_beats(*told, reliable=True).features.shape == (12, 0, BEAT_FEATURES)
    clean = [find_beats(*normals[0], 500, LEADS, reliable=reliable) for reliable in (False, True)]
    np.testing.assert_array_equal(clean[0].features, clean[1].features)
    np.testing.assert_array_equal(clean[1].r_peaks, find_r_peaks(*normals[0], range(12), 500))


def test_rhythm_is_regular_early_or_late():
    regular = rhythm_features(np.arange(0, 4800, 400))
    assert regular[0] == pytest.approx(np.log(0.8)) and regular[2:4].tolist() == [0, 0]
    early = np.arange(0, 4800, 400)
    early[5] -= 150
    assert rhythm_features(early)[2] == pytest.approx(np.log(250 / 400))
    assert rhythm_features(np.delete(early, [8, 9]))[3] == pytest.approx(np.log(3))
    assert (rhythm_features(early) - regular)[[1, 4]].min() > 1
    assert not rhythm_features(np.arange(3)).any()


BAD = {
    "flat": lambda x, rng: np.zeros_like(x),
    "constant": lambda x, rng: np.full_like(x, 1.5),
    "noise": lambda x, rng: rng.normal(0, 0.3, x.shape),
    "inverted": lambda x, rng: -x,
    "one flat lead": lambda x, rng: x * (np.arange(len(x)) != 1)[:, None],
    "missing samples": lambda x, rng: np.where(np.arange(x.shape[1]) % 1000 < 100, np.nan, x),
    "regular": lambda x, rng: np.tile(x[:, 1000:1400], 13)[:, :5000],
    "220 a minute": lambda x, rng: np.tile(x[:, 1000:1136], 37)[:, :5000],
    "one second": lambda x, rng: x[:, :500],
    "a blink": lambda x, rng: x[:, :20],
    "one sample": lambda x, rng: x[:, :1],
    "huge": lambda x, rng: 1e4 * x,
}


@pytest.mark.parametrize("leads", [12, 2])
@pytest.mark.parametrize("name", BAD)
def test_whatever_comes_has_a_finite_score(name, leads):
    signal = simulate(1, seed=8, labels="NSR", marks=False).signals[0]
    found = Detector(network(leads)).score(BAD[name](signal, np.random.default_rng(0)), 500, LEADS)
    assert np.isfinite(found.score) and np.isfinite(found.peak) and len(found.beats) >= 1
    assert np.isfinite(found.map[:, ~np.isnan(found.map[0])]).all() and np.isfinite(found.lead_errors).all()
    assert found.features.shape == (len(feature_names(LEADS[:leads])),) and np.isfinite(found.features).all()
    if name in ("flat", "constant", "noise", "a blink", "one sample"):
        assert NO_BEATS in found.flags
    if name in ("inverted", "one flat lead", "regular"):
        assert NO_BEATS not in found.flags


# --- training --------------------------------------------------------------------------------------------------------


def test_published_learning_rate():
    rates = [1e-4 * SCHEDULES["published"](epoch, 50) for epoch in (1, 25, 50)]
    assert rates == pytest.approx([9.990e-5, 5.0e-5, 0.0], abs=5e-9)
    assert SCHEDULES["published"](49.999, 50) > 0


def same(one, other):
    """Whether two references hold the same numbers."""
    first, second = one.arrays(), other.arrays()
    equal = all(np.array_equal(first[name], second[name]) for name in first)
    return equal and first.keys() == second.keys() and (one.n, one.part) == (other.n, other.part)


def settings(**changes):
    return FitSettings(**({"steps": 6, "batch_size": 4} | changes))


def test_training_lowers_the_loss(normals, tmp_path):
    beats = all_r_peaks(normals, LEADS[:2], range(12), workers=1)
    model = network(2)
    losses = []
    for steps in (1, 30):
        plan = settings(steps=steps, learning_rate=5e-3)
        fit = Fit(model.train(), normals, beats, np.arange(12), plan, tmp_path / f"{steps}.safetensors")
        losses.append(fit.run()["loss"])
    assert losses[1] < losses[0] - 0.5


def test_an_interrupted_run_gives_the_same_detector(normals, tmp_path, monkeypatch):
    train, held_out = np.arange(9), np.arange(9, 12)
    arguments = (normals, train, held_out, 2)
    whole = fit_detector(*arguments, tmp_path / "whole", settings(), SMALL)
    run = Fit.run

    def interrupted(fit, title=""):
        step_of = fit_module.train_step

        def step(*arguments):
            if fit.step == 3:
                raise KeyboardInterrupt
            return step_of(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(fit_module, "train_step", step)
            run(fit)

    monkeypatch.setattr(Fit, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_detector(*arguments, tmp_path / "halves", settings(), SMALL)
    monkeypatch.setattr(Fit, "run", run)
    assert list((tmp_path / "halves").glob("unfinished-*"))
    halves = fit_detector(*arguments, tmp_path / "halves", settings(), SMALL)
    assert halves.training["steps"] == 6 and not list((tmp_path / "halves").glob("unfinished-*"))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, halves.model.state_dict()[name]), name
    assert same(whole.reference, halves.reference)


def test_time_limit_ends_the_run(normals, tmp_path):
    limited = settings(steps=100_000, minutes=0.01)
    detector = fit_detector(normals, np.arange(12), np.arange(0), 2, tmp_path, limited, SMALL)
    assert 1 <= detector.training["steps"] < 100_000
    assert "too few" in detector.reference.part


def test_bad_settings_are_refused(normals, tmp_path):
    with pytest.raises(ValueError, match="masking is 'some'"):
        FitSettings(masking="some")
    with pytest.raises(ValueError, match="positive"):
        FitSettings(batch_size=0)
    with pytest.raises(ValueError, match="sinus rhythm"):
        fit_detector(normals, np.arange(0), np.arange(0), 2, tmp_path, settings(), SMALL)


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


def test_restorer_learns_the_same_whatever_the_abnormal_recordings_are(normals, tmp_path):
    """Classes of abnormal recordings train the class head, and nothing else."""
    train, beats = np.arange(8), all_r_peaks(normals, LEADS[:2], range(12), workers=1)
    attributes = torch.zeros(12, 7)
    attributes[::3, 0] = torch.nan
    states = []
    for labelled in (np.arange(12), np.arange(4, 12)):
        targets = Targets(attributes, (torch.arange(12)[:, None] % 26 == torch.arange(26)).float(), labelled, beats)
        options = SMALL | {"attributes": True}
        detector = fit_detector(normals, train, train[:0], 2, tmp_path / str(len(labelled)), settings(), options,
                                targets=targets)  # fmt: skip
        states.append(detector.model.state_dict())
    for name, tensor in states[0].items():
        if not name.startswith("class_head."):
            assert torch.equal(tensor, states[1][name]), name
    assert not torch.equal(states[0]["class_head.0.weight"], states[1]["class_head.0.weight"])
    found = Detector.load(tmp_path / "12").score_prepared(*normals[0])
    assert found.attributes.shape == (7,) and found.classes.shape == (26,) and np.isfinite(found.attributes).all()
    assert ((found.classes > 0) & (found.classes < 1)).all()
    with pytest.raises(ValueError, match="targets are to be given with it"):
        fit_detector(normals, train, train[:0], 2, tmp_path / "none", settings(), SMALL | {"attributes": True})


def test_verb_learns_attributes(array_folder, tmp_path, capsys):
    list(write_dataset(tmp_path / "data", 8, seed=4, labels={"NSR": 1, "AF": 1}))
    fit = ["anomaly", "fit", str(tmp_path / "data"), str(tmp_path / "model"), "--leads", "2", "--attributes", *FIT]
    assert main(fit) == 0
    output = ["-o", str(tmp_path / "s.csv")]
    assert main(["anomaly", "score", str(tmp_path / "model"), str(tmp_path / "data"), *output]) == 0
    row = next(csv.DictReader((tmp_path / "s.csv").open()))
    assert np.isfinite(float(row["age"])) and 0 < float(row["AF"]) < 1
    assert main(["anomaly", "fit", str(array_folder), str(tmp_path / "arrays"), "--attributes", *FIT]) == 1
    assert "headers" in capsys.readouterr().err


# --- detectors on disk -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(normals):
    """Scores of six normal recordings, as the reference of `detector` has them."""
    return list(Detector(network(2), Scoring("published")).score_all(normals, range(6)))


@pytest.fixture(scope="module")
def detector(scored):
    detector = Detector(network(2), Scoring("published"), training={"steps": 0})
    detector.reference = Reference.of(scored, "simulated", LEADS[:2])
    return detector


def test_saved_and_loaded_detector_scores_the_same(detector, normals, tmp_path):
    detector.save(tmp_path)
    files = ["detector.json", "detector.safetensors", "reference.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    loaded = Detector.load(tmp_path)
    assert loaded.scoring == detector.scoring and same(loaded.reference, detector.reference)
    first, second = (d.score_prepared(*normals[7]) for d in (detector, loaded))
    assert first.score == second.score and loaded.surprise(first) == detector.surprise(second)
    assert loaded.high_share(second) == detector.high_share(first)


def test_reference_gives_percentiles(detector, scored, normals, tmp_path):
    scores = sorted(found.score for found in scored)
    assert detector.reference.percentile("score", 0) == 0
    assert detector.reference.percentile("score", 1e9) == 100
    assert detector.reference.percentile("score", np.median(scores)) == pytest.approx(50, abs=1)
    with pytest.raises(ValueError, match="no reference"):
        Detector(network(2)).save(tmp_path)
    with pytest.raises(ValueError, match="no reference"):
        Detector(network(2)).high_share(detector.score_prepared(*normals[0]))


def spoil_reference(folder, name, change):
    file = folder / "reference.safetensors"
    arrays = load_arrays(file)
    arrays[name] = change(arrays[name])
    save_arrays({key: values.copy() for key, values in arrays.items() if values is not None}, file)


@pytest.mark.parametrize("spoil", [
    lambda folder: (folder / "detector.json").write_text("{"),
    lambda folder: (folder / "detector.json").write_text("[]"),
    lambda folder: (folder / "detector.json").write_text('{"format": 9, "architecture": "cross_restoration"}'),
    lambda folder: (folder / "detector.safetensors").write_bytes(b"\x80\x04K\x01."),
    lambda folder: (folder / "detector.json").write_text(
        (folder / "detector.json").read_text().replace('"width": 4', '"width": 8')
    ),
    lambda folder: (folder / "detector.json").write_text(
        (folder / "detector.json").read_text().replace('"width": 4', '"width": 4000000000')
    ),
    lambda folder: (folder / "detector.json").write_text(
        (folder / "detector.json").read_text().replace('"part"', '"point"')
    ),
    lambda folder: (folder / "reference.safetensors").write_bytes(b""),
    lambda folder: spoil_reference(folder, "precision.rhythm", lambda values: values[:-1]),
    lambda folder: spoil_reference(folder, "centre.signal odd", lambda values: values * np.nan),
    lambda folder: spoil_reference(folder, "high.map", lambda values: None),
])  # fmt: skip
def test_damaged_detectors_are_refused(detector, tmp_path, spoil):
    detector.save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match="detector"):
        Detector.load(tmp_path)


def test_distance_is_that_of_mahalanobis_and_survives_few_recordings():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    normal = rng.normal(size=(4000, 4)) @ mixing + 3
    gaussian = Gaussian.fit(normal)
    point = normal[:50].std(axis=0) + 3
    off = point - normal.mean(axis=0)
    expected = np.sqrt(off @ np.linalg.inv(np.cov(normal.T)) @ off / 4)
    assert gaussian.distance(point) == pytest.approx(expected, rel=0.03)
    assert np.mean([gaussian.distance(x) ** 2 for x in normal]) == pytest.approx(1, rel=0.03)
    few = rng.normal(size=(5, 40))
    few[:, 3] = 2.0  # never varies
    for features in (few, few[:1], few[[0, 0]]):
        gaussian = Gaussian.fit(features)
        assert np.isfinite(gaussian.precision).all()
        assert gaussian.distance(features[0] + 50) > gaussian.distance(features[0]) + 1


def test_groups_and_families_are_judged_each_by_itself():
    names = feature_names(LEADS)
    in_families = [group for groups in FAMILIES.values() for group in groups]
    assert len(in_families) == len(set(in_families)) and {feature_group(name) for name in names} == set(in_families)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, len(names)))
    families = fit_families(features, names)
    models = {name: group for family in families.values() for name, group in family.groups.items()}
    assert sorted(np.concatenate([model.columns for model in models.values()])) == list(range(len(names)))
    fresh = rng.normal(size=(40, len(names)))
    usual = [most_surprised(families, row) for row in fresh]
    assert np.median(usual) < 2
    for name, asked in (("rhythm jump", "rhythm"), ("V3 ST beat odd", "moment"), ("V5 roughness", "moment"),
                        ("waves qtc", "heartbeat"), ("V2 s_amplitude heights", "heartbeat")):  # fmt: skip
        changed = fresh[0].copy()
        changed[names.index(name)] += 40
        excess = {group: model.excess(changed) - model.excess(fresh[0]) for group, model in models.items()}
        assert {group for group, more in excess.items() if more > 0} == {feature_group(name)}
        surprise = {family: model.surprise(changed) for family, model in families.items()}
        assert max(surprise, key=surprise.get) == asked and most_surprised(families, changed) > max(usual)
        more = most_surprised(families, changed, LASTING) - most_surprised(families, fresh[0], LASTING)
        assert more == 0 if asked == "moment" else more > 1
    some = fit_families(features, names, only=["rhythm", "signal odd"])
    assert {name: list(family.groups) for name, family in some.items()} == {
        "moment": ["signal odd"], "rhythm": ["rhythm"],
    }  # fmt: skip
    alone = fit_families(features[:1], names)
    assert np.isfinite(most_surprised(alone, fresh[0]))


def test_families_take_equal_parts_in_false_alarms():
    """A family of many groups surprises in normal recordings as often as one of a single group."""
    names = feature_names(LEADS[:2])
    rng = np.random.default_rng(1)
    families = fit_families(rng.normal(size=(200, len(names))), names)
    fresh = rng.normal(size=(400, len(names)))
    found = np.array([[family.surprise(row) for family in families.values()] for row in fresh])
    assert np.abs(found.mean(axis=0)).max() < 0.25 and np.abs(found.std(axis=0) - 1).max() < 0.25


def test_surprise_is_larger_for_what_is_not_normal(normals):
    detector = Detector(network(12))
    with pytest.raises(ValueError, match="no reference"):
        detector.surprise(detector.score_prepared(*normals[0]))
    detector.reference = Reference.of(list(detector.score_all(normals, range(9))), "simulated", LEADS)
    usual = [detector.surprise(found) for found in detector.score_all(normals, range(9, 12))]
    samples, statistics = normals[9]
    changed = samples.copy()
    changed[:, 2000:2300] = 0  # a heartbeat is missing
    assert detector.surprise(detector.score_prepared(changed, statistics)) > max(usual)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_localisation_pools_all_points():
    masks = np.random.default_rng(0).random((3, 2, 400)) < 0.2
    assert localisation_auc(masks, masks.astype(float)) == 1.0
    assert localisation_auc(masks, np.full(masks.shape, 0.3)) == 0.5
    maps = masks + np.array([0, 10, 20])[:, None, None]
    assert localisation_auc(masks, maps) < 0.8, "one curve for all, not the mean of one for each"
    unknown = np.where(np.arange(400) < 100, np.nan, masks)
    assert localisation_auc(masks, unknown) == 1.0
    with pytest.raises(ValueError, match="expected that of its map"):
        localisation_auc(masks, maps[:, :1])


def test_detection_ignores_scale():
    rng = np.random.default_rng(1)
    abnormal, scores = rng.random(50) < 0.5, rng.random(50)
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    assert detection_auc(abnormal, scores) == detection_auc(abnormal, scaled)
    assert np.isnan(detection_auc(np.zeros(5, bool), scores[:5]))


def test_dice_and_its_threshold():
    masks = np.random.default_rng(0).random((2, 1, 1000)) < 0.2
    maps = masks + 0.1 * np.random.default_rng(1).random(masks.shape)
    threshold = dice_threshold(masks, maps)
    assert dice(masks, maps, threshold) > 0.97
    assert dice(masks, maps, -1) == pytest.approx(2 * masks.sum() / (masks.sum() + masks.size))
    assert dice(masks, maps, 9) == 0


# --- the authors' files and the verb ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def array_folder(tmp_path_factory):
    """Six recordings in the authors' files; half of those to be tested are abnormal."""
    folder = tmp_path_factory.mktemp("arrays")
    values = simulate(6, seed=9, labels="NSR", marks=False).signals.swapaxes(1, 2).astype(np.float64)
    np.save(folder / "train.npy", values)
    np.save(folder / "test.npy", values)
    np.save(folder / "label.npy", np.arange(6) % 2)
    np.save(folder / "benchmark_data.npy", values)
    np.save(folder / "benchmark_label.npy", (np.random.default_rng(0).random(values.shape) < 0.1).astype(int))
    return folder


def test_authors_files_are_read_and_checked(array_folder, tmp_path):
    recordings = ArrayRecordings(array_folder / "test.npy")
    samples, statistics = recordings[2]
    assert len(recordings) == 6 and samples.shape == (12, 5000)
    original = np.load(array_folder / "test.npy")[2].T
    np.testing.assert_allclose(samples * statistics[0][:, None], original, atol=1e-3)
    window, _ = cut_window(samples, statistics, range(12), 0, InputSpec(TRANSFORM, 5000, "range"))
    np.testing.assert_allclose([window.min(axis=1), window.max(axis=1)], [[-1] * 12, [1] * 12], atol=1e-3)
    np.save(tmp_path / "short.npy", np.zeros((2, 4000, 12)))
    with pytest.raises(ValueError, match=r"\(2, 4000, 12\), expected \(n, 5000, 12\)"):
        ArrayRecordings(tmp_path / "short.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(ValueError, match="not a NumPy array of numbers"):
        ArrayRecordings(tmp_path / "objects.npy")
    with pytest.raises(ValueError, match="labels of shape"):
        read_labels(array_folder / "label.npy", 5)


FIT = ["--width", "4", "--steps", "2", "--batch-size", "2"]


def test_verb_on_authors_files(array_folder, tmp_path, capsys):
    assert main(["anomaly", "fit", str(array_folder), str(tmp_path / "model"), *FIT]) == 0
    assert main(["anomaly", "score", str(tmp_path / "model"), str(array_folder), "-o", str(tmp_path / "s.csv")]) == 0
    told = capsys.readouterr().out
    assert "detection AUC of 6 recordings: " in told
    assert all(f" by {name}" in told for name in ("surprise", "lasting surprise", "score"))
    assert "localisation AUC: " in told and "Dice: " in told
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert len(rows) == 12 and float(rows[0]["score"]) > 0 and "V6_beat" in rows[0]
    for row in rows:
        assert float(row["surprise_lasting"]) == max(float(row[f"surprise_{name}"]) for name in LASTING)
        assert float(row["surprise"]) == max(float(row[f"surprise_{name}"]) for name in FAMILIES)


def test_verb_on_recordings(tmp_path, capsys):
    data, model = tmp_path / "data", tmp_path / "model"
    list(write_dataset(data, 10, seed=4, labels={"NSR": 1, "AF": 1}))
    (next(data.rglob("*.hea")).parent / "broken.hea").write_text("no header")
    fit = ["anomaly", "fit", str(data), str(model), "--leads", "2", "--masking", "published", *FIT]
    assert main(fit) == 0
    assert json.loads((model / "detector.json").read_text())["scoring"]["masking"] == "published"
    assert not (model / "store").exists()
    assert main(["anomaly", "score", str(model), str(data), "-o", str(tmp_path / "s.csv")]) == 1, "one is broken"
    told = capsys.readouterr()
    assert "broken.hea" in told.err and "10 labelled recordings scored, 1 skipped" in told.out
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert len(rows) == 10
    for row in rows:
        total = sum(float(row[part]) for part in ("record", "beat", "trend"))
        assert float(row["score"]) == pytest.approx(total, rel=1e-4) and 0 <= float(row["score_percentile"]) <= 100
    path = next(p for p in find_recordings(data) if p.stem != "broken")
    assert main(["anomaly", "localise", str(model), str(path), "--plot", "-o", str(tmp_path / "maps")]) == 0
    found = np.load(tmp_path / "maps" / f"{path.stem}.npz")
    seconds = read_recording(path).signal.shape[1] / read_recording(path).fs
    assert found["deviation"].shape == found["map"].shape == (2, round(500 * seconds))
    assert found["leads"].tolist() == ["I", "II"]
    table = list(csv.reader((tmp_path / "maps" / f"{path.stem}.csv").open()))
    assert len(table) == 1 + found["map"].shape[1] and table[0] == ["seconds", "I", "II"]
    assert (tmp_path / "maps" / f"{path.stem}.png").read_bytes()[:4] == b"\x89PNG"


def test_verb_goes_on_from_given_weights(array_folder, tmp_path, capsys):
    fit, first, second = ["anomaly", "fit", str(array_folder)], tmp_path / "first", tmp_path / "second"
    assert main([*fit, str(first), "--leads", "2", *FIT]) == 0
    before = Detector.load(first).model.state_dict()
    small = ["--leads", "2", "--learning-rate", "1e-6", "--seed", "5", *FIT]
    assert main([*fit, str(second), "--start", str(first), *small]) == 0
    after = Detector.load(second).model.state_dict()
    moved = [float((after[name] - before[name]).abs().max()) for name in before if name.endswith("weight")]
    assert 0 < max(moved) < 1e-4, "two small steps from there"
    capsys.readouterr()
    assert main([*fit, str(second), "--start", str(first), *FIT]) == 1
    assert "expected I, II, III" in capsys.readouterr().err
    assert main([*fit, str(second), "--start", str(first), *small, "--width", "8"]) == 1
    assert "do not fit" in capsys.readouterr().err


def test_verb_names_what_is_wrong(tmp_path, capsys):
    assert main(["anomaly", "score", str(tmp_path), str(tmp_path), "-o", str(tmp_path / "s.csv")]) == 1
    assert "detector.json" in capsys.readouterr().err
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize("name", BASELINES)
def test_methods_compared_with_answer_for_every_recording(normals, name):
    method = BASELINES[name](SPEC)
    method.fit([method.observe(recording) for recording in normals])
    flat = prepare(np.zeros((12, 5000)), 500, LEADS, TRANSFORM)
    for recording in (normals[0], (flat.samples, flat.statistics)):
        found = method.judge(method.observe(recording))
        assert np.isfinite(list(found.statistics.values())).all()
        assert found.maps["map"].shape == (12, 5000) and np.isfinite(found.maps["map"][:, 100:4900]).all()


def test_real_recordings_have_finite_scores(real_data):
    detector = Detector(network(12, record_samples=4800))
    for path in find_recordings(real_data / "challenge")[::40]:
        recording = read_recording(path)
        found = detector.score(recording.signal, recording.fs, recording.leads)
        assert np.isfinite(found.score) and np.isfinite(found.peak)
