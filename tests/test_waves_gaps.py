"""Delineation beside missing samples: near a peak, at the ends of a range, and of leads known for a part only."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_leads import METHODS, assert_ordered, synthetic

from leadset.waves import delineate
from leadset.waves.marks import QRSEND, QRSON, R


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 32.767, -32.768], ids=["nan", "inf", "top", "bottom"])
@pytest.mark.parametrize("offset", [-6, -1, 0, 1, 6])
def test_invalid_samples_near_a_peak_keep_the_beat(method: str, bad: float, offset: int) -> None:
    signal, r = synthetic(500, noise=0.01)
    clean = delineate(signal, 500, method)
    signal[np.rint(500 * r).astype(int) + offset] = bad
    found = delineate(signal, 500, method)
    assert found.present[0][:, [QRSON, R, QRSEND]].all()
    np.testing.assert_allclose(found.r_peaks, 500 * r, atol=4)
    assert found.flags[0] == {"missing samples"}
    assert found.quality[0] < clean.quality[0] - (0.2 if offset == 0 else 0.01)
    assert (found.beat_quality < clean.beat_quality).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_gap_that_begins_behind_a_peak_keeps_the_peak(method: str) -> None:
    signal, r = synthetic(500, noise=0.01)
    first = round(500 * r[4]) + 8  # 16 ms behind R, for 100 ms
    signal[first : first + 50] = np.nan
    found = delineate(signal, 500, method)
    np.testing.assert_allclose(found.r_peaks, 500 * r, atol=4)
    assert not found.present[0, 4, QRSEND]
    marks = found.marks[found.present]
    assert not ((marks >= first) & (marks < first + 50)).any()


@pytest.mark.parametrize("method", METHODS)
def test_leads_are_delineated_where_they_are_known(method: str) -> None:
    signal, r = synthetic(500, noise=0.01)
    scale = np.array([[1.0], [0.8], [0.7], [0.6], [0.5]])
    leads = scale * signal + 0.01 * np.random.default_rng(1).standard_normal((5, 5000))
    known = [slice(0, 5000), slice(0, 1250), slice(3000, 5000), slice(0, 0), slice(0, 3400)]
    for row, part in zip(leads, known, strict=True):
        gap = np.ones(5000, dtype=bool)
        gap[part] = False
        row[gap] = np.nan
    leads[4, 1200:2200] = np.nan  # a lead of two stretches
    found = delineate(leads, 500, method)
    np.testing.assert_allclose(found.r_peaks, 500 * r, atol=4)
    for lead, part in enumerate(known):
        inside = (500 * r > part.start + 60) & (500 * r < part.stop - 60)
        if lead == 4:
            inside &= (500 * r < 1140) | (500 * r > 2260)
        np.testing.assert_array_equal(found.present[lead, :, R], inside)
    assert_ordered(found.marks)
    assert found.quality[[0, 1, 2, 4]].min() > 0.8
    assert found.quality[3] == 0
    assert [("missing samples" in flags, "flat" in flags) for flags in found.flags] == [
        (False, False), (True, False), (True, False), (True, True), (True, False)]  # fmt: skip
    alone = delineate(leads[1, :1250], 500, method)
    assert found.present[1, :, R].sum() == len(alone.r_peaks)


@pytest.mark.parametrize("method", METHODS)
def test_a_paper_ecg_without_rhythm_strip_has_the_beats_of_all_columns(method: str) -> None:
    signal, r = synthetic(500, noise=0.01)
    leads = np.full((12, 5000), np.nan)
    for lead in range(12):
        column = slice(1250 * (lead // 3), 1250 * (lead // 3 + 1))
        leads[lead, column] = (1 - 0.1 * (lead % 3)) * signal[column]
    found = delineate(leads, 500, method)
    edges = np.abs(500 * r[:, None] - 1250 * np.arange(5)).min(axis=1)
    expected = 500 * r[edges > 60]  # complexes cut by a column's end may be missing
    assert len(r) >= len(found.r_peaks) >= len(expected)
    assert (np.abs(found.r_peaks[:, None] - expected).min(axis=0) <= 4).all()
    assert found.quality.min() > 0.8
