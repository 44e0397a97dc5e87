"""Scores, maps and features of recordings, however bad these are, and how detection and localisation are measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from anomaly_baselines import BASELINES
from reconstructions import SPEC, beats_at, network
from scipy.ndimage import gaussian_filter1d

from leadset.anomaly import Detector, Scoring
from leadset.anomaly.detector import TRANSFORM
from leadset.anomaly.features import feature_names, rhythm_features, roughness, wave_features
from leadset.anomaly.metrics import detection_auc, dice, dice_threshold, localisation_auc
from leadset.anomaly.scoring import WindowErrors, deviation_map, error_map, score_recording, smooth
from leadset.anomaly.windows import NO_BEATS, due_places
from leadset.leads import LEADS
from leadset.preprocess import Transform, prepare
from leadset.recordings import find_recordings, read_recording
from leadset.simulate import simulate
from leadset.waves import LEAD_FEATURES, RECORD_FEATURES, delineate, extract_features
from leadset.waves.beats import BEAT_FEATURES, find_beats, find_r_peaks

# --- scores and maps -------------------------------------------------------------------------------------------------


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


# --- features --------------------------------------------------------------------------------------------------------


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
    assert names[int(grown.argmax())].startswith("V1 ST") and names[int(grown.argmax())].endswith("outlier")
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
    features = extract_features(delineate(signal, 500, "wavelet"), signal, LEADS)
    record = dict(zip((f.name for f in RECORD_FEATURES), features.record, strict=True))
    for name, tolerance in (("pr_interval", 0.02), ("qrs_duration", 0.03), ("qt_interval", 0.03)):
        assert found[f"waves {name}"] == pytest.approx(record[name], abs=tolerance)
    angle = np.degrees(np.arctan2(found["waves QRS in aVF"], found["waves QRS in I"]))
    assert angle == pytest.approx(record["qrs_axis"], abs=15)
    assert found["V5 r_amplitude heights"] ** 2 == pytest.approx(features.leads[10, 2], rel=1e-5)
    columns = {feature.name: i for i, feature in enumerate(LEAD_FEATURES)}
    for name in ("q_share", "t_inverted", "r_to_s"):
        expected = np.nan_to_num(features.leads[:, columns[name]])
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
    arguments = noise.samples, noise.statistics, 500, LEADS
    assert len(find_beats(*arguments).at)
    assert find_beats(*arguments, reliable=True).features.shape == (12, 0, BEAT_FEATURES)
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


# --- whatever comes --------------------------------------------------------------------------------------------------


BAD = {
    "drift": lambda x, rng: np.linspace(0, 1, x.shape[1]) + np.zeros_like(x),
    "noise": lambda x, rng: rng.normal(0, 0.3, x.shape),
    "inverted": lambda x, rng: -x,
    "one flat lead": lambda x, rng: x * (np.arange(len(x)) != 1)[:, None],
    "missing samples": lambda x, rng: np.where(np.arange(x.shape[1]) % 1000 < 100, np.nan, x),
    "regular": lambda x, rng: np.tile(x[:, 1000:1400], 13)[:, :5000],
    "220 a minute": lambda x, rng: np.tile(x[:, 1000:1136], 37)[:, :5000],
    "one second": lambda x, rng: x[:, :500],
    "a blink": lambda x, rng: x[:, :20],
    "two samples": lambda x, rng: x[:, :2],
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
    if name in ("drift", "noise", "a blink", "two samples"):
        assert NO_BEATS in found.flags
    if name in ("inverted", "one flat lead", "regular"):
        assert NO_BEATS not in found.flags


@pytest.mark.parametrize("value", [0, 1.5, np.nan])
def test_a_recording_without_a_signal_has_no_score(value):
    with pytest.raises(ValueError, match="no usable lead"):
        Detector(network(12)).score(np.full((12, 5000), value), 500, LEADS)


@pytest.mark.parametrize("name", BASELINES)
def test_methods_compared_with_answer_for_every_recording(normals, name):
    method = BASELINES[name](SPEC)
    method.fit([method.observe(recording) for recording in normals])
    drift = prepare(np.tile(np.linspace(0, 1, 5000), (12, 1)), 500, LEADS, TRANSFORM)
    for recording in (normals[0], (drift.samples, drift.statistics)):
        found = method.judge(method.observe(recording))
        assert np.isfinite(list(found.statistics.values())).all()
        assert found.maps["map"].shape == (12, 5000) and np.isfinite(found.maps["map"][:, 100:4900]).all()


def test_recordings_have_finite_scores(recorded):
    detector = Detector(network(12, record_samples=4800))
    for path in find_recordings(recorded / "challenge")[::8][:7]:
        recording = read_recording(path)
        found = detector.score(recording.signal, recording.fs, recording.leads)
        assert np.isfinite(found.score) and np.isfinite(found.peak)


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
    assert dice([np.array([[1, 0]])], [np.array([[0.5, 0.4]])], 0.5) == 0, "what equals the threshold is not above it"
