"""Features from the marks: values, units, missing ones, and their documentation."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from synthetic_leads import synthetic

from leadset.waves import BEAT_FEATURES, LEAD_FEATURES, MARKS, RECORD_FEATURES, delineate, extract_features


def test_beat_features_are_seconds_and_millivolts() -> None:
    signal, _ = synthetic(500)
    found = delineate(signal + 3.0, 500)
    features = extract_features(found, signal + 3.0, ["II"])
    assert features.beats.shape == (1, 12, 30)
    values = dict(zip([feature.name for feature in BEAT_FEATURES], features.beats[0, 5], strict=True))
    marks = dict(zip(MARKS, found.marks[0, 5] / 500, strict=True))
    assert values["rr_before"] == pytest.approx(0.8, abs=0.004)
    assert values["qrs_duration"] == pytest.approx(marks["QRSend"] - marks["QRSon"], abs=1e-5)
    assert values["pr_interval"] == pytest.approx(marks["QRSon"] - marks["Pon"], abs=1e-5)
    assert values["qtc"] == pytest.approx(values["qt_interval"] / 0.8 ** (1 / 3), abs=0.002)
    assert values["P1_time"] == pytest.approx(-0.170, abs=0.004)
    assert [values[f"{wave}_amplitude"] for wave in "pqrst"] == pytest.approx([0.12, -0.1, 1.0, -0.2, 0.3], abs=0.03)
    assert abs(values["st_level"]) < 0.02
    assert [values[f"{wave}_present"] for wave in "pqst"] == [1, 1, 1, 1]
    first = features.beats[0, 0, [feature.name for feature in BEAT_FEATURES].index("rr_before")]
    assert np.isnan(first)
    tensor = features.tensor(40)
    assert tensor.shape == (30, 40)
    np.testing.assert_array_equal(tensor[:, 5], features.beats[0, 5])
    assert np.isnan(tensor[:, 12:]).all()


def test_record_features() -> None:
    lead, _ = synthetic(500)
    signal = np.stack([lead * weight for weight in (0.5, 1.0, 0.5, -0.75, 0.0, 0.75)])
    names = ["I", "II", "III", "aVR", "aVL", "aVF"]
    features = extract_features(delineate(signal, 500), signal, names)
    record = dict(zip([feature.name for feature in RECORD_FEATURES], features.record, strict=True))
    assert record["heart_rate"] == pytest.approx(75, abs=0.3)
    assert record["beats"] == 12
    assert record["sdnn"] < 0.002
    assert record["p_absence"] == 0
    assert record["qrs_axis"] == pytest.approx(60, abs=3)  # equal in I and III: along II
    leads = dict(zip([feature.name for feature in LEAD_FEATURES], features.leads.T, strict=True))
    assert leads["r_amplitude"][:3] == pytest.approx([0.5, 1.0, 0.5], abs=0.03)
    assert np.isnan(leads["r_amplitude"][4])
    assert leads["quality"][4] == 0


def test_features_of_nothing_are_missing() -> None:
    signal = np.zeros((2, 5000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = extract_features(delineate(signal, 500), signal, ["I", "II"])
    assert features.beats.shape == (2, 0, 30)
    assert features.leads.shape == (2, len(LEAD_FEATURES))
    record = dict(zip([feature.name for feature in RECORD_FEATURES], features.record, strict=True))
    assert record.pop("beats") == 0
    assert record.pop("quality") == 0
    assert np.isnan(list(record.values())).all()


def test_features_refuse_what_does_not_belong_together() -> None:
    signal, _ = synthetic(500)
    with pytest.raises(ValueError, match="delineated"):
        extract_features(delineate(signal, 500), np.stack([signal, signal]))


def test_every_feature_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "wave_features.md").read_text()
    for table in (BEAT_FEATURES, LEAD_FEATURES, RECORD_FEATURES):
        for feature in table:
            assert f"| `{feature.name}` | {feature.unit} | {feature.definition} |" in text
