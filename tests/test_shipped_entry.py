"""The entry that ships: it answers without training, on any leads, with calibrated probabilities."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

import leadset
from leadset.challenge import run_model
from leadset.classes import label_space
from leadset.cli import main
from leadset.config import default_config
from leadset.entry import network_inputs
from leadset.entry.calibration import Calibration
from leadset.entry.detectors import has_detector
from leadset.entry.ensemble import Ensemble
from leadset.leads import LEADS
from leadset.models.shipped import FOLDER
from leadset.recordings import Recording, find_recordings, read_recording, reader
from leadset.simulate import simulate
from leadset.simulate.write import write_dataset
from leadset.studies.entrants import Given
from leadset.training.decision.calibration import fit_calibration
from leadset.waves import measure

SPACE = label_space("challenge2021")


@pytest.fixture(scope="module")
def entry():
    return leadset.load_entry()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings")
    list(write_dataset(path, 3, seed=6))
    return path


def recording(leads=LEADS, label="AF", seed=1):
    signal = simulate(1, seed=seed, fs=500, labels=label).signals[0]
    return Recording(signal[[LEADS.index(lead) for lead in leads]], 500, tuple(leads), name="simulated")


def test_it_knows_diagnoses_without_training(entry):
    for label, name in (("AF", "AF"), ("STach", "STach"), ("SB", "SB"), ("LBBB", "LBBB")):
        found = [entry.predict(recording(label=label, seed=seed)).labels for seed in range(6)]
        assert np.mean([labels[SPACE.abbreviations.index(name)] for labels in found]) >= 0.8, name


def test_an_answer_names_its_classes(entry):
    answer = entry.predict(recording())
    assert answer.classes == SPACE.abbreviations and answer.decided
    assert set(answer.decided) == {SPACE.abbreviations[k] for k in np.flatnonzero(answer.labels)}
    assert list(answer.by_class.values()) == sorted(answer.probabilities.tolist(), reverse=True)
    assert answer.by_class["AF"] == answer.probabilities[SPACE.abbreviations.index("AF")]
    assert entry.predict("nowhere.hea").by_class.keys() == set(SPACE.abbreviations)


@pytest.mark.parametrize("leads", [LEADS, ("I", "II")])
def test_a_network_on_its_own_takes_what_the_entry_gives_it(entry, leads):
    one, trained = recording(leads), entry.trained_set(leads)
    prepared = entry.prepare(one)
    for member in trained.members:
        predictor = entry.predictor(trained, member)
        inputs = network_inputs(predictor.model.eval(), one)
        assert inputs["x"].shape[1:] == (len(leads), member.spec.samples) and predictor.model.leads == leads
        with torch.inference_mode():
            probabilities = predictor.model(**inputs).sigmoid().mean(0).numpy()
        expected = predictor([prepared.input_of(member.spec)]).probabilities[0]
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_detector_that_ships_looks_where_the_entry_has_none(entry):
    pytest.importorskip("pydantic")
    from leadset.serve.answers import anomaly

    assert not has_detector(entry, LEADS)
    found = anomaly(entry, recording(label="PVC"))
    assert found.detector == "shipped" and len(found.map) == 12 and found.above["score"] > 50


@pytest.mark.parametrize("leads", [("II", "V5"), ("V1",), ("I", "II", "V5"), ("aVR", "V2", "V6")])
def test_networks_are_cut_to_whatever_leads_there_are(entry, leads):
    answer = entry.predict(recording(leads))
    assert not answer.failed
    assert not any(flag.startswith("zero_lead") for flag in answer.flags)
    used = entry.trained_set(leads).leads
    assert set(leads) <= set(used)


def test_of_lead_sets_that_are_equally_near_the_larger_decides(entry):
    sets = {trained.leads: trained for trained in entry.manifest.sets}
    found = entry.trained_set(("I", "V2"))  # one lead from that of lead I, and from that of I, II and V2
    assert found.leads == ("I", "V2") and found.ensemble is sets["I", "II", "V2"].ensemble


def test_a_dead_lead_is_not_asked(entry):
    one = recording()
    dead = one.signal.copy()
    dead[LEADS.index("V3")] = 0.5
    without = [i for i, lead in enumerate(LEADS) if lead != "V3"]
    left_out = replace(one, signal=one.signal[without], leads=tuple(LEADS[i] for i in without))
    answer = entry.predict(replace(one, signal=dead))
    assert "flat:V3" in answer.flags
    np.testing.assert_array_equal(answer.probabilities, entry.predict(left_out).probabilities)


def test_the_organisers_call_works_with_it(entry, folder):
    header = find_recordings(folder)[0]
    from leadset.recordings import read_header, read_raw

    raw = read_raw(read_header(header), header.parent)
    _, labels, probabilities = run_model(entry, header.read_text(), raw)
    np.testing.assert_array_equal(probabilities, entry.predict(header).probabilities)
    assert labels.any()


def test_what_it_was_fitted_on_is_written_down(entry):
    provenance = entry.manifest.provenance
    assert provenance["data"]["recordings"] > 200
    assert set(provenance["scores"]) == {"12", "6", "4", "3", "2", "1"}
    for trained in entry.manifest.sets:
        assert trained.ensemble.calibration is not None
        assert trained.universal
    assert "CC BY 4.0" in (FOLDER / "entry.md").read_text()


def test_predict_shows_a_person_what_was_decided(folder, capsys):
    headers = [str(path) for path in find_recordings(folder)]
    assert main(["predict", *headers[:2]]) == 0
    shown = capsys.readouterr().out
    assert shown.count("  * ") >= 2
    assert "%" in shown


def test_predict_writes_tables(folder, tmp_path, entry, capsys):
    target = tmp_path / "answers.csv"
    assert main(["predict", str(folder), "--csv", str(target), "--json", str(tmp_path / "answers.json")]) == 0
    rows = list(csv.DictReader(target.open()))
    values = json.loads((tmp_path / "answers.json").read_text())
    headers = find_recordings(folder)
    assert [row["recording"] for row in rows] == [value["recording"] for value in values] == [h.stem for h in headers]
    answer = entry.predict(read_recording(headers[0]))
    assert float(rows[0]["p_AF"]) == pytest.approx(answer.probabilities[SPACE.abbreviations.index("AF")], abs=1e-6)
    assert values[0]["labels"] == [n for n, label in zip(SPACE.abbreviations, answer.labels, strict=True) if label]


def test_a_bad_recording_ends_nothing(folder, tmp_path, capsys):
    (tmp_path / "bad.hea").write_text("no header at all\n")
    good = str(find_recordings(folder)[0])
    assert main(["predict", str(tmp_path / "bad.hea"), good]) == 0
    shown = capsys.readouterr().out
    assert "bad: unanswered" in shown
    assert "  * " in shown
    assert main(["predict", "--strict", str(tmp_path / "bad.hea"), good]) == 1


def test_what_is_no_recording_is_no_reason_to_end(entry):
    (answer,) = entry.predict([None])
    assert answer.failed and "NoneType" in answer.flags[-1]
    with pytest.raises(TypeError, match=r"found an array \(12, 5000\), expected a path or leadset.Recording"):
        entry.predict(np.zeros((12, 5000)))


def test_predict_tells_recordings_of_one_name_apart(tmp_path, capsys):
    for place in ("a", "b", "a/deep"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "r1.hea").write_text("no header at all\n")
    (tmp_path / "b" / "r2.hea").write_text("no header at all\n")
    files = ["--csv", str(tmp_path / "answers.csv"), "--json", str(tmp_path / "answers.json")]
    assert main(["predict", str(tmp_path), *files]) == 0
    names = ["deep_r1", "a_r1", "b_r1", "r2"]
    assert [row["recording"] for row in csv.DictReader((tmp_path / "answers.csv").open())] == names
    assert [one["recording"] for one in json.loads((tmp_path / "answers.json").read_text())] == names
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == names


def test_predict_reads_each_recording_once(folder, tmp_path, monkeypatch):
    """And measures the one that it answered, with one among them that cannot be read."""
    names, assemble = [], reader.assemble
    monkeypatch.setattr(reader, "assemble", lambda header, *rest: names.append(header.name) or assemble(header, *rest))
    headers = find_recordings(folder)
    (tmp_path / "bad.hea").write_text("no header at all\n")
    paths = [headers[0], tmp_path / "bad.hea", *headers[1:]]
    assert main(["predict", *map(str, paths), "--json", str(tmp_path / "answers.json")]) == 0
    assert sorted(names) == sorted(path.stem for path in headers)
    values = json.loads((tmp_path / "answers.json").read_text())
    assert [value["recording"] for value in values] == [path.stem for path in paths]
    for path, value in zip(paths, values, strict=True):
        if path.stem == "bad":
            assert value["measurements"] is None
            continue
        one = read_recording(path)
        expected = measure(one.signal, one.fs, one.leads, age=one.age, sex=one.sex).plain()
        assert value["measurements"] == json.loads(json.dumps(expected))


def test_predict_says_what_is_suspected_of_electrodes(tmp_path, capsys):
    """Right and left arm exchanged: lead I upside down, II and III as well as aVR and aVL exchanged."""
    from leadset.recordings import parse_header
    from leadset.recordings.writer import write_recording

    signal = recording(label="NSR", seed=3).signal
    exchanged = signal[[0, 2, 1, 4, 3, *range(5, 12)]] * np.array([-1] + [1] * 11)[:, None]
    lines = ["A1 12 500 5000", *(f"A1.mat 16+24 1000/mV 16 0 0 0 0 {lead}" for lead in LEADS)]
    write_recording(tmp_path / "A1.hea", parse_header("\n".join(lines)), np.rint(exchanged * 1000).astype(np.int16))
    assert main(["predict", str(tmp_path / "A1.hea"), "--json", "-"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    assert value["quality"]["suspected"] == ["exchanged:RA-LA"]
    assert main(["predict", str(tmp_path / "A1.hea")]) == 0
    assert "suspected: exchanged:RA-LA (two electrodes" in capsys.readouterr().out


def test_a_word_stands_for_what_ships_unless_a_folder_has_that_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "shipped", str(folder), "outputs"]) == 0
    assert len(list((tmp_path / "outputs").glob("*.csv"))) == 3
    assert leadset.load_entry("shipped").folder == Given.named("shipped", default_config()).entry == FOLDER
    (tmp_path / "shipped").mkdir()
    assert Given.named("shipped", default_config()).entry == Path("shipped")
    with pytest.raises(FileNotFoundError, match=r"shipped/entry\.json: no such file"):
        leadset.load_entry("shipped")


def test_a_recording_that_is_not_there_is_an_error(tmp_path, capsys):
    assert main(["predict", str(tmp_path / "model"), str(tmp_path)]) == 1
    assert "model: no such file or folder, expected a recording" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--per-model"], ["--details"]])
def test_options_of_the_other_form_are_refused(folder, wrong):
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(folder), *wrong])
    assert stop.value.code == 2


def test_calibration_undoes_what_was_done_to_probabilities():
    rng = np.random.default_rng(0)
    true_logits = rng.uniform(-5, 2, (4000, 3))
    targets = (rng.random(true_logits.shape) < expit(true_logits)).astype(float)
    targets[:200, 1] = np.nan
    distorted = expit(2.5 * true_logits + [1.0, -1.0, 0.0])
    fitted = fit_calibration(distorted, targets, {"part": "test"})
    np.testing.assert_allclose(logit(fitted(distorted)), true_logits, atol=0.6)
    again = Calibration.from_json(fitted.to_json())
    np.testing.assert_array_equal(again(distorted), fitted(distorted))


def test_calibration_with_few_positives_stays_near_that_of_all():
    rng = np.random.default_rng(1)
    scores = rng.normal(-2, 2, (300, 5))
    targets = (rng.random(scores.shape) < expit(scores)).astype(float)
    targets[:, 4] = 0
    targets[int(np.argmin(scores[:, 4])), 4] = 1  # one positive, where it is least expected
    fitted = fit_calibration(expit(scores), targets, {})
    assert 0.5 < fitted.slopes[4] / np.median(fitted.slopes[:4]) < 1.1


@pytest.mark.parametrize("change", [{"slopes": [1.0, -1.0]}, {"intercepts": [0.0, float("nan")]}, {"slopes": [1.0]}])
def test_damaged_calibrations_are_refused(change):
    values = {"slopes": [1.0, 2.0], "intercepts": [0.0, 0.0], "provenance": {}, **change}
    with pytest.raises(ValueError, match="calibration"):
        Calibration.from_json(values)


def test_entries_without_calibration_answer_as_before():
    from leadset.entry.decision import DecisionRule

    ensemble = Ensemble(np.array([0.5, 0.5]), DecisionRule(np.full(2, 0.5)))
    joint = ensemble.join([np.array([[0.2, 0.4]]), np.array([[0.4, 0.8]])])
    np.testing.assert_allclose(joint, [[0.3, 0.6]])
    values = ensemble.to_json()
    del values["calibration"]  # as entries were written before
    assert Ensemble.from_json(values, 2).calibration is None
