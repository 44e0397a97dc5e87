"""Measurements: rate, intervals, QTc and axes against what was put in, and reference ranges by age and sex."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leadset.leads import LEADS
from leadset.recordings import read_recording
from leadset.simulate import simulate
from leadset.waves import QTC_FORMULAS, assess, delineate, measure, measurements
from leadset.waves.marks import PEND, PON, QRSEND, QRSON, TEND, R
from leadset.waves.reference import reference_ranges, sources


@pytest.fixture(scope="module")
def normal() -> tuple[np.ndarray, np.ndarray]:
    """A simulated recording in sinus rhythm (12, samples) and its exact marks (12, beats, 13)."""
    made = simulate(1, seed=3, labels="NSR", noise=0.2)
    return made.signals[0], made.marks[0]


def test_intervals_are_those_of_the_exact_marks(normal) -> None:
    signal, marks = normal
    found = measure(signal, 500, LEADS, age=50, sex="male")
    exact = {
        "pr": marks[:, :, QRSON] - marks[:, :, PON], "qrs": marks[:, :, QRSEND] - marks[:, :, QRSON],
        "qt": marks[:, :, TEND] - marks[:, :, QRSON],
    }  # fmt: skip
    for name, samples in exact.items():
        assert found[name].value == pytest.approx(np.nanmedian(samples) * 2, abs=25), name
        assert found[name].count > 5
        assert not found[name].reason
    r_peaks = np.nanmedian(marks[:, :, R], axis=0)
    assert found["rate"].value == pytest.approx(60 * 500 / np.diff(r_peaks).mean(), abs=1)
    assert found["sdnn"].value == pytest.approx(np.diff(r_peaks).std() * 2, abs=4)


def test_the_rate_is_that_of_the_mean_interval_and_not_across_a_gap(normal) -> None:
    signal, _ = normal
    whole = measure(signal, 500, LEADS)
    broken = signal.copy()
    broken[:, 2000:3500] = np.nan
    assert measure(broken, 500, LEADS)["rate"].value == pytest.approx(whole["rate"].value, rel=0.04)


def test_a_short_gap_between_beats_costs_no_interval(normal) -> None:
    signal, _ = normal
    peaks = delineate(signal, 500).r_peaks
    middle = round((peaks[3] + peaks[4]) / 2)
    broken = signal.copy()
    broken[:, middle : middle + 10] = np.nan
    assert measure(broken, 500, LEADS)["rate"].count == measure(signal, 500, LEADS)["rate"].count == len(peaks) - 1


def test_a_wave_that_few_beats_show_is_not_measured(normal) -> None:
    signal, _ = normal
    found = delineate(signal, 500)
    marks = found.marks.copy()
    marks[:, np.arange(marks.shape[1]) != 3, PON : PEND + 1] = np.nan
    pr = measure(signal, 500, LEADS, delineation=replace(found, marks=marks))["pr"]
    assert math.isnan(pr.value) and pr.reason == f"P in 1 of {marks.shape[1]} beats"


def test_qtc_follows_the_four_formulas() -> None:
    at_60 = {name: formula(0.4, 1.0) for name, formula in QTC_FORMULAS.items()}
    assert all(value == pytest.approx(0.4) for value in at_60.values())
    at_100 = {name: 1000 * formula(0.32, 0.6) for name, formula in QTC_FORMULAS.items()}
    expected = {"Bazett": 413.1, "Fridericia": 379.4, "Framingham": 381.6, "Hodges": 390.0}
    assert at_100 == pytest.approx(expected, abs=0.1)


def test_the_axis_turns_with_the_limb_leads(normal) -> None:
    signal, _ = normal
    first, second = signal[0], signal[1]
    turned = np.stack([-first, second - first])  # I upside down, III in the place of II: electrodes RA and LA exchanged
    before = measure(signal[:2], 500, ("I", "II"))["qrs_axis"].value
    after = measure(turned, 500, ("I", "II"))["qrs_axis"].value
    assert (after - (180 - before) + 180) % 360 == pytest.approx(180, abs=20)


def test_an_assessed_recording_is_not_delineated_again(normal, monkeypatch) -> None:
    signal, _ = normal
    expected = measure(signal, 500, LEADS, delineation=delineate(signal, 500)).plain()
    quality = assess(signal, 500, LEADS)
    monkeypatch.setattr(measurements, "delineate", None)
    assert measure(signal, 500, LEADS, quality=quality).plain() == expected
    assert measure(signal, 500, LEADS).plain() == expected


def test_what_cannot_be_measured_is_nan_with_a_reason() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, (12, 5000))
    unusable = measure(noise, 500, LEADS)
    assert all(math.isnan(item.value) and item.reason == "recording unusable" for item in unusable.items)
    made = simulate(1, seed=1, labels="AF")
    fibrillating = measure(made.signals[0], 500, LEADS)
    assert math.isnan(fibrillating["pr"].value)
    assert fibrillating["pr"].reason.startswith("P in ")
    single = measure(made.signals[0][:1], 500, ("I",))
    assert single["qrs_axis"].reason == "needs leads I and aVF or II"
    text = json.dumps(unusable.plain(), allow_nan=False)
    assert json.loads(text)["rate"]["value"] is None
    with pytest.raises(KeyError, match="expected one of rate, pr"):
        unusable["qtc"]


@pytest.mark.parametrize(
    ("age", "sex", "name", "limits"),
    [
        (50, "male", "pr", (113, 212)),
        (50, "male", "qtc_hodges", (391, 449)),
        (50, "female", "qtc_hodges", (391, 459)),
        (50, None, "qtc_hodges", (391, 459)), (None, None, "rate", (48, 98)), (4, "male", "rate", (73, 123)),
        (4, "female", "rate", (78, 124)), (4, None, "rate", (73, 124)), (0.1, "female", "qrs_axis", (39, 121)),
        (15.9, "male", "qrs", (78, 111)), (16, "male", "qrs", (69, 109)),
    ],
)  # fmt: skip
def test_ranges_by_age_and_sex(age: float | None, sex: str | None, name: str, limits: tuple[float, float]) -> None:
    band = reference_ranges(age, sex)[name]
    assert (band.low, band.high) == limits
    assert band.source in sources()


def test_no_range_below_the_youngest_children() -> None:
    assert reference_ranges(0.01, "male") == {}
    assert reference_ranges(4, "male").keys() == {"rate", "pr", "qrs", "qtc_bazett", "qrs_axis"}


def test_the_file_of_ranges_is_complete_and_in_order() -> None:
    table = tomllib.loads((Path(__file__).parents[1] / "leadset/waves/reference_ranges.toml").read_text())
    children = [band for band in table["bands"] if band["source"] == "rijnbeek_2001"]
    for sex in ("female", "male"):
        ends = [band["years"] for band in children if band["sex"] == sex]
        assert [a[1] for a in ends[:-1]] == [b[0] for b in ends[1:]]
        assert ends[-1][1] == 16
    for band in table["bands"]:
        assert set(band) <= {"source", "years", "sex", "limits"}
        assert all(low < high for low, high in band["limits"].values())
    assert {band["source"] for band in table["bands"]} == table["sources"].keys()


def test_status_compares_whole_units(normal) -> None:
    signal, _ = normal
    found = measure(signal, 500, LEADS, age=50, sex="male")
    assert {item.status for item in found.items} <= {"", "low", "high", "normal"}
    assert found["rate"].status == "normal"
    assert found["sdnn"].status == "" and found["sdnn"].limits == found["sdnn"].plain()["range"] == "no range"
    assert found["rate"].limits == "48 to 98"
    assert found.notes == ()
    assert measure(signal, 500, LEADS).notes == ("age unknown: adult ranges", "sex unknown: ranges of both")


def test_rate_and_intervals_of_annotated_recordings(real_data: Path) -> None:
    import wfdb

    if not (real_data / "ludb").is_dir():
        pytest.skip("no recordings of LUDB")
    errors: dict[str, list[float]] = {"rate": [], "pr": []}
    for path in sorted((real_data / "ludb").rglob("*.hea"))[:12]:
        annotation = wfdb.rdann(str(path.with_suffix("")), "ii")
        symbols, samples = np.array(annotation.symbol), annotation.sample
        recording = read_recording(path)
        found = measure(recording.signal, recording.fs, recording.leads)
        beats = np.flatnonzero(symbols == "N")
        first, last = samples[beats[0]], samples[beats[-1]]
        errors["rate"].append(found["rate"].value - 60 * 500 * (len(beats) - 1) / (last - first))
        onsets = [(samples[at - 1], samples[at - 4]) for at in beats if at >= 4 and symbols[at - 3] == "p"]
        if onsets and not math.isnan(found["pr"].value):
            errors["pr"].append(found["pr"].value - 2 * np.median(np.diff(np.array(onsets)[:, ::-1])))
    assert np.median(np.abs(errors["rate"])) < 1.5
    assert len(errors["pr"]) >= 6
    assert np.median(np.abs(errors["pr"])) < 12
