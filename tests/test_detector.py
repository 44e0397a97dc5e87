"""A detector in its folder, and what it knows of normal recordings: percentiles, distances, deviations."""

from __future__ import annotations

import numpy as np
import pytest
from reconstructions import network, same_reference
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays

from leadset.anomaly import Detector, Scoring
from leadset.anomaly.features import FAMILIES, LASTING, feature_group, feature_names
from leadset.anomaly.reference import Gaussian, Reference, fit_families, largest_deviation
from leadset.leads import LEADS

# --- on disk ---------------------------------------------------------------------------------------------------------


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
    assert loaded.scoring == detector.scoring and same_reference(loaded.reference, detector.reference)
    first, second = (d.score_prepared(*normals[7]) for d in (detector, loaded))
    assert first.score == second.score and loaded.deviation_score(first) == detector.deviation_score(second)
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
    lambda folder: spoil_reference(folder, "centre.signal outlier", lambda values: values * np.nan),
    lambda folder: spoil_reference(folder, "high.map", lambda values: None),
])  # fmt: skip
def test_damaged_detectors_are_refused(detector, tmp_path, spoil):
    detector.save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match="detector"):
        Detector.load(tmp_path)


# --- what is normal --------------------------------------------------------------------------------------------------


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
    ordinary = [largest_deviation(families, row) for row in fresh]
    assert np.median(ordinary) < 2
    for name, asked in (("rhythm jump", "rhythm"), ("V3 ST beat outlier", "moment"), ("V5 roughness", "moment"),
                        ("waves qtc", "heartbeat"), ("V2 s_amplitude heights", "heartbeat")):  # fmt: skip
        changed = fresh[0].copy()
        changed[names.index(name)] += 40
        excess = {group: model.excess(changed) - model.excess(fresh[0]) for group, model in models.items()}
        assert {group for group, more in excess.items() if more > 0} == {feature_group(name)}
        deviations = {family: model.deviation(changed) for family, model in families.items()}
        assert max(deviations, key=deviations.get) == asked and largest_deviation(families, changed) > max(ordinary)
        more = largest_deviation(families, changed, LASTING) - largest_deviation(families, fresh[0], LASTING)
        assert more == 0 if asked == "moment" else more > 1
    some = fit_families(features, names, only=["rhythm", "signal outlier"])
    assert {name: list(family.groups) for name, family in some.items()} == {
        "moment": ["signal outlier"], "rhythm": ["rhythm"],
    }  # fmt: skip
    alone = fit_families(features[:1], names)
    assert np.isfinite(largest_deviation(alone, fresh[0]))


def test_families_take_equal_parts_in_false_alarms():
    """A family of many groups deviates in normal recordings as often as one of a single group."""
    names = feature_names(LEADS[:2])
    rng = np.random.default_rng(1)
    families = fit_families(rng.normal(size=(200, len(names))), names)
    fresh = rng.normal(size=(400, len(names)))
    found = np.array([[family.deviation(row) for family in families.values()] for row in fresh])
    assert np.abs(found.mean(axis=0)).max() < 0.25 and np.abs(found.std(axis=0) - 1).max() < 0.25


def test_deviation_is_larger_for_what_is_not_normal(normals):
    detector = Detector(network(12))
    with pytest.raises(ValueError, match="no reference"):
        detector.deviation_score(detector.score_prepared(*normals[0]))
    detector.reference = Reference.of(list(detector.score_all(normals, range(9))), "simulated", LEADS)
    ordinary = [detector.deviation_score(found) for found in detector.score_all(normals, range(9, 12))]
    samples, statistics = normals[9]
    changed = samples.copy()
    changed[:, 2000:2300] = 0  # a heartbeat is missing
    assert detector.deviation_score(detector.score_prepared(changed, statistics)) > max(ordinary)
