"""``leadset explain`` and ``leadset leads``: files, resuming, bad recordings, sums over many of them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import leadset
from leadset.cli import main
from leadset.entry.manifest import Manifest
from leadset.explain import WAVES, checks, importance
from leadset.explain.background import recorded_normals
from leadset.explain.population import populations
from leadset.leads import LEADS
from leadset.recordings import Recording, find_recordings
from leadset.recordings.extract import extract_leads
from leadset.scoring.intervals import Interval
from leadset.simulate import simulate
from leadset.simulate.write import write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two simulated recordings of ten seconds."""
    path = tmp_path_factory.mktemp("recordings")
    list(write_dataset(path, 2, seed=5, labels="RBBB,NSR"))
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_recording_becomes_numbers_and_pictures_once(folder, tmp_path, capsys) -> None:
    header = sorted(folder.rglob("*.hea"))[0]
    name, arguments = header.stem, ["explain", str(header), "-o", str(tmp_path), "--classes", "RBBB"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "RBBB" in printed and "completeness error" in printed and "log odds: normal beats" in printed
    found = json.loads((tmp_path / f"{name}.json").read_text())
    one = found["classes"]["RBBB"]
    maps = np.load(tmp_path / f"{name}.npz")
    difference = one["log_odds"] - one["baseline_log_odds"]
    assert sum(one["steps"].values()) == pytest.approx(difference, abs=1e-4)
    assert maps["maps"][0].sum() == pytest.approx(difference, abs=0.01 * abs(difference) + 2e-3)
    assert np.sum(one["share"]) == pytest.approx(1, abs=1e-3) and one["completeness_error"] <= 0.01
    rows = table(tmp_path / f"{name}.csv")
    whole = {row["lead"]: row for row in rows if row["wave"] == "all"}
    assert sum(float(row["attribution"]) for row in whole.values()) == pytest.approx(maps["maps"][0].sum(), abs=1e-3)
    assert float(whole["V1"]["even"]) == pytest.approx(1 / 12, abs=1e-5)
    for picture in (f"{name}-RBBB.png", f"{name}-RBBB-parts.png"):
        assert (tmp_path / picture).stat().st_size > 20_000
    assert main(arguments) == 0
    assert "1 recordings were explained before" in capsys.readouterr().out


def test_a_long_recording_is_explained_where_networks_look_at_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.modules["leadset.preprocess.windows"], "MAX_TEST_WINDOWS", 2)  # 16 take longer
    list(write_dataset(tmp_path / "data", 1, seconds=60, fs=250, labels="AF"))
    header = tmp_path / "two.hea"
    extract_leads(find_recordings(tmp_path / "data")[0], header, ("II", "V1"))
    assert main(["explain", str(header), "-o", str(tmp_path), "--classes", "AF", "--no-pictures"]) == 0
    printed = capsys.readouterr().out
    assert "in 2 stretches" in printed and "they begin at 0:00:00, 0:00:49" in printed
    found = json.loads((tmp_path / f"{header.stem}.json").read_text())
    assert found["stretches"] == [[0, 11], [49, 60]] and found["rms_mv"][0][WAVES.index("QRS")] > 0.05
    maps = np.load(tmp_path / f"{header.stem}.npz")
    assert maps["maps"].shape == (1, 2, 22 * maps["rate"]) and 0.9 < maps["seen"].mean() < 1
    assert len(maps["wave"]) == len(maps["beat"]) == maps["maps"].shape[2]


def test_wrong_words_are_usage_errors_and_wrong_classes_messages(folder, tmp_path, capsys) -> None:
    for words in (["--check", str(folder)], [], [str(folder)], [str(folder), "-o", str(tmp_path), "--method", "lime"]):
        with pytest.raises(SystemExit):
            main(["explain", *words])
    assert main(["explain", str(folder), "-o", str(tmp_path), "--classes", "XYZ"]) == 1
    assert "found class 'XYZ', expected one of" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_explained_gets_a_sheet_that_says_so(folder, tmp_path, capsys) -> None:
    import wfdb

    noise = np.random.default_rng(0).normal(size=(5000, 12))
    wfdb.wrsamp("noise", 500, ["mV"] * 12, list(LEADS), noise, fmt=["16"] * 12, write_dir=str(tmp_path))
    (tmp_path / "broken.hea").write_text("broken 12 500 5000\n")
    files = [str(tmp_path / f"{name}.hea") for name in ("noise", "broken")]
    assert main(["explain", *files, "-o", str(tmp_path / "out")]) == 1
    message = capsys.readouterr()
    assert "0 of 2 recordings explained" in message.out and "broken.hea" in message.err
    assert "unanswered" in json.loads((tmp_path / "out" / "noise.json").read_text())["not_explained"]
    assert (tmp_path / "out" / "noise.png").stat().st_size > 20_000
    assert not (tmp_path / "out" / "broken.png").exists(), "there is nothing to draw"


def test_many_recordings_are_summed_up(folder, tmp_path) -> None:
    arguments = ["explain", str(folder), "-o", str(tmp_path), "--population", "--classes", "RBBB", "--method", "eg"]
    assert main([*arguments, "--background", str(folder)]) in (0, 1)
    rows = table(tmp_path / "population.csv")
    read = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    mean = np.mean([np.array(one["classes"]["RBBB"]["share"]).sum(axis=1) for one in read], axis=0)
    found = {row["lead"]: float(row["share"]) for row in rows if row["wave"] == "all"}
    np.testing.assert_allclose([found[lead] for lead in LEADS], mean, atol=1e-3)
    assert all(float(row["low"]) <= float(row["share"]) <= float(row["high"]) for row in rows)
    assert read[0]["provenance"]["background"]["source"] == folder.name
    for picture in ("population.png", "population-RBBB-swarm.png", "population-RBBB-leads.png"):
        assert (tmp_path / picture).stat().st_size > 5_000


def test_populations_leave_out_other_leads_and_failures() -> None:
    def one(name: str, leads: list[str]) -> dict:
        values = np.full((len(leads), 2), 0.5 / len(leads)).tolist()
        answer = {"share": values, "attribution": values, "extra": {"age": 0.25}}
        return {"recording": name, "leads": leads, "waves": ["P", "QRS"], "time_shares": [0.25, 0.75],
                "rms_mv": values, "classes": {"AF": answer}}  # fmt: skip

    found = populations([one("a", ["I", "II"]), one("b", ["I", "II"]), one("c", ["I"]), {"not_explained": "noise"}])
    assert [population.recordings for population in found] == [("a", "b")]
    row = found[0].region(["I"], ["QRS"])
    assert (row["share"], row["even"], row["lead"]) == ("0.250", "0.375", "I")
    np.testing.assert_allclose(found[0].features()["age"][0], 0.25)
    assert populations([{"not_explained": "noise"}]) == []


def test_a_background_of_recordings_needs_normal_ones(tmp_path) -> None:
    list(write_dataset(tmp_path, 1, seed=1, labels="AF"))
    with pytest.raises(ValueError, match="found no recording whose only diagnosis is 426783006"):
        recorded_normals(leadset.load_entry(), LEADS, tmp_path)


def test_checks_are_printed_written_and_decide_the_status(tmp_path, monkeypatch, capsys) -> None:
    def some(entry, method, n, progress):
        yield checks.Check("good", method, Interval(0.95, 0.9, 1.0), 0.9, True, 0.1, n)
        yield checks.Check("bad", method, Interval(0.6, 0.5, 0.7), 0.5, False, 0.0, n)

    monkeypatch.setattr(checks, "run_checks", some)
    assert main(["explain", "--check", "--recordings", "3", "-o", str(tmp_path)]) == 1
    assert "1 of 2 checks passed" in capsys.readouterr().out
    assert [row["passed"] for row in table(tmp_path / "checks.csv")] == ["yes", "no"]


# --- leads -----------------------------------------------------------------------------------------------------------


def some_inputs(entry, n: int = 12) -> tuple[list, np.ndarray]:
    """Prepared recordings, half of them in atrial fibrillation, and their labels."""
    drawn = simulate(n, 9, 10.0, 500, "AF,NSR", marks=False)
    inputs = [entry.prepare(Recording(signal, 500, LEADS)) for signal in drawn.signals]
    return inputs, np.array([entry.space.encode(codes) for codes in drawn.codes])


def test_all_leads_give_the_entry_and_one_lead_its_cut_networks() -> None:
    entry = leadset.load_entry()
    inputs, _ = some_inputs(entry, 2)
    trained = entry.trained_set(LEADS)
    by_member = [entry.predictor(trained, member)([one.input_of(member.spec) for one in inputs]).probabilities
                 for member in trained.members]  # fmt: skip
    expected = sum(weight * p for weight, p in zip(trained.ensemble.weights, by_member, strict=True))
    np.testing.assert_allclose(importance.lead_probabilities(entry, inputs, LEADS), expected, rtol=1e-6)
    single = entry.trained_set(("I",))
    alone = entry.predictor(single, single.members[0])([one.input_of(single.members[0].spec) for one in inputs])
    found = importance.lead_probabilities(entry, inputs, ("I",), ["resnet34"])
    np.testing.assert_allclose(found, alone.probabilities)
    with pytest.raises(ValueError, match=r"found the networks resnet34, .*, expected classifiers out of \['star'\]"):
        importance.lead_probabilities(entry, inputs, LEADS, ["star"])


def test_leads_that_say_nothing_come_last(monkeypatch) -> None:
    """Lead V1 alone tells the classes apart here; every set with it is perfect, and without it a draw."""
    labels = np.zeros((40, 3), bool)
    labels[:20, 0] = True
    labels[:2, 1] = True  # too few to be ranked
    noise = np.random.default_rng(0).random((40, 3))
    answers = lambda entry, inputs, leads, networks: labels.astype(float) if "V1" in leads else noise  # noqa: E731
    monkeypatch.setattr(importance, "lead_probabilities", answers)
    rows = list(importance.table_rows(list(importance.rank_leads(None, [None] * 40, labels))))
    assert len(rows) == 1 + 12 + 12 + 66 and {row["classes"] for row in rows} == {1}
    first = {row["study"]: row for row in rows if row["rank"] == 1}
    assert first["one lead"]["leads"] == "V1" and "V1" in first["two leads"]["leads"]
    assert first["without one lead"]["leads"] == "V1" and float(first["without one lead"]["change_high"]) < 0
    assert float(first["one lead"]["auroc"]) == 1
    with pytest.raises(ValueError, match="found no class with 5 recordings"):
        list(importance.rank_leads(None, [None] * 3, labels[:3]))


def test_the_command_ranks_leads(tmp_path, capsys) -> None:
    list(write_dataset(tmp_path / "data", 14, seed=2, labels="AF,NSR"))
    words = ["leads", str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--models", "resnet34"]
    assert main([*words, "--studies", "one"]) == 0
    rows = table(tmp_path / "out" / "leads.csv")
    assert sorted(row["leads"] for row in rows) == sorted([*LEADS, "12"])
    assert (tmp_path / "out" / "leads-one-lead.png").stat().st_size > 5_000
    assert "one lead:" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words, "--studies", "three"])


def test_networks_are_tuned_for_each_lead_and_an_interrupted_run_goes_on(tmp_path, monkeypatch, capsys) -> None:
    list(write_dataset(tmp_path / "data", 16, seed=2, labels="AF,NSR"))
    choices = ["epochs=1", "min_steps=2", "batch_size=4", "pretrain.below=0", "workers=1", "folds=2", "preset=compact"]
    words = ["leads", str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--retrain", "--protocol", "kfold"]
    words += [word for choice in choices for word in ("--set", choice)]
    assert main(words) == 0
    before = (tmp_path / "out" / "leads.csv").read_bytes()
    rows = table(tmp_path / "out" / "leads.csv")
    assert {(row["study"], row["leads"]) for row in rows} == {("all", "12"), *(("one lead", lead) for lead in LEADS)}
    assert all(row["recordings"] == "16" and float(row["low"]) <= float(row["high"]) for row in rows)
    weights = Manifest.read(next((tmp_path / "out" / "folds").glob("leads-*"))).sets
    assert len(weights) == 13 and len({one.members[0].weights for one in weights}) == 13, "each has its own network"
    (tmp_path / "out" / "answers" / "leads-2.npz").unlink()
    monkeypatch.setattr("leadset.studies.entrants.train_entry", None)  # nothing is trained a second time
    assert main(words) == 0
    assert (tmp_path / "out" / "leads.csv").read_bytes() == before
    for refused in (["--retrain", "--studies", "one"], ["--set", "epochs=1"]):
        with pytest.raises(SystemExit):
            main([*words[:4], *refused])
    assert "found --set without --retrain" in capsys.readouterr().err
