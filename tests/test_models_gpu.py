"""The benchmark on a GPU goes its way on a CPU too, and ends in time."""

import csv

import models_gpu
import pytest


def table(path, *options):
    """The rows that the benchmark writes for a small network."""
    words = ["--device", "cpu", "--models", "resnet34", "--leads", "2", "--preset", "demo", "--recordings", "4"]
    assert models_gpu.main([*words, "--output", str(path), *options]) == 0
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames) == models_gpu.COLUMNS
        return list(reader)


def test_it_measures_and_extrapolates(tmp_path, monkeypatch):
    eager = [t for t in models_gpu.tasks_of(["resnet34"], [2], False) if t.form == models_gpu.EAGER]
    monkeypatch.setattr(models_gpu, "tasks_of", lambda *_: eager)  # compiling takes longer than all of this
    train, infer, real, total = table(tmp_path / "t.csv", "--seconds-each", "0.1")
    assert [row["note"] for row in (train, infer, real)] == ["", "", ""]
    assert train["best"] == infer["best"] == "eager" and float(train["times_eager"]) == 1
    rates = [float(row["recordings_per_s"]) for row in (train, infer, real)]
    assert abs(float(real["share"]) - rates[2] / rates[0]) < 0.01
    assert int(real["challenge_steps"]) == round(30 * 88_253 * 0.8 / 32)
    # The rate is written with one decimal, which matters where the machine is busy and the rate low.
    hours = pytest.approx(30 * 88_253 * 0.8 / rates[2] / 3600, rel=0.06 / rates[2], abs=0.01)
    assert float(real["challenge_hours"]) == hours
    assert total["challenge_hours"] == real["challenge_hours"] and total["note"].startswith("1 of 1")
    assert {row["device"] for row in (train, infer, real, total)} == {"cpu"}


def test_it_ends_in_time_and_names_what_did_not_fit(tmp_path):
    *rows, total = table(tmp_path / "t.csv", "--budget", "0.8", "--seconds-each", "60")
    assert len(rows) == 5 and {row["note"] for row in rows} == {"not measured: the time was up"}
    assert total["note"].startswith("0 of 1")
