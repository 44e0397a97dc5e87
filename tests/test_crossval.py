"""Cross-validation: what is held out leaves no trace in training, an interrupted run goes on, answers are complete."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from configurations import tiny_config
from safetensors.numpy import load_file

from leadset.classes import label_space
from leadset.cli import main
from leadset.config import default_config, load_config, parse_setting
from leadset.entry import load_entry
from leadset.leads import resolve_leads
from leadset.recordings import find_recordings, read_recording
from leadset.recordings.dataset import PATIENT_OF_TEST_FOLD, TEST_FOLD
from leadset.recordings.importers import open_dataset
from leadset.simulate.write import write_dataset
from leadset.studies import crossval as studies_crossval
from leadset.studies.answers import FoldAnswers, Row, collect, file_of
from leadset.studies.crossval import cross_validate
from leadset.studies.entrants import (
    Given,
    Setting,
    Trained,
    TrainedBaseline,
    Untuned,
    without_real_weights,
)
from leadset.studies.protocols import create_protocol
from leadset.studies.report import write_report
from leadset.studies.results import read_results
from leadset.training.run import train_entry

ROOT = Path(__file__).resolve().parents[1]
TINY = tiny_config(
    architectures=("resnet34",), lead_sets=(("I", "II"),),
    presets={"tiny": {"resnet34": {"width": 4, "rate": 100, "seconds": 5.0}}},
)  # fmt: skip
WIDE = replace(TINY, lead_sets=(resolve_leads(12), resolve_leads(2)))

UNTUNED = Untuned("untuned", "untuned", replace(WIDE, start=replace(WIDE.start, weights="simulated")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty simulated recordings of two sources."""
    root = tmp_path_factory.mktemp("data")
    list(write_dataset(root / "one", 12, seed=1))
    list(write_dataset(root / "two", 8, seed=2))
    return root


def test_a_run_with_recordings_held_out_is_that_of_a_folder_without_them(folder, tmp_path):
    held_out = [str(path) for path in find_recordings(folder)][3:8]
    train_entry(folder, tmp_path / "held", TINY, held_out)
    rest = tmp_path / "rest"
    shutil.copytree(folder, rest)
    for path in held_out:
        for file in (rest / path[len(str(folder)) + 1 :]).parent.glob(path.rpartition("/")[2][:-3] + "*"):
            file.unlink()
    train_entry(rest, tmp_path / "without", TINY)
    one, other = (load_file(tmp_path / name / "resnet34-2.safetensors") for name in ("held", "without"))
    assert all((one[name] == other[name]).all() for name in one)
    manifests = [load_entry(tmp_path / name).manifest for name in ("held", "without")]
    assert manifests[0].provenance["data"] == manifests[1].provenance["data"]
    assert (manifests[0].prior == manifests[1].prior).all()
    split, rest = ((tmp_path / name / "split.csv").read_text().splitlines() for name in ("held", "without"))
    assert (split[:16], len(rest)) == (rest, 16)
    assert split[16:] == [f"{Path(path).stem},,,,excluded,held out" for path in held_out]


def test_nothing_is_left_where_all_is_held_out(folder, tmp_path):
    with pytest.raises(ValueError, match="all of 20 recordings are held out"):
        train_entry(folder, tmp_path, TINY, [str(path) for path in find_recordings(folder)])


# --- cross-validation ----------------------------------------------------------------------------------------------


def test_rows_name_an_entry_once():
    assert Trained("resnet34", "resnet34", WIDE).row("resnet34", ("I", "II")) == Row("resnet34", "2")
    assert Trained("mine", "mine", WIDE).row("resnet34", ("I", "II")) == Row("resnet34 (mine)", "2")


def test_only_choices_that_act_make_another_entrant():
    other = replace(WIDE, presets={}, epochs=WIDE.epochs + 1, serve=replace(WIDE.serve, waiting=1))
    assert TrainedBaseline("example", "", WIDE).provenance() == TrainedBaseline("example", "", other).provenance()
    served = replace(WIDE, serve=other.serve, folds=WIDE.folds + 1)
    assert Trained("entry", "", WIDE).provenance() == Trained("entry", "", served).provenance()
    assert Trained("entry", "", WIDE).provenance() != Trained("entry", "", other).provenance()
    for changed in ({"seed": WIDE.seed + 1}, {"validation_share": 0.3}, {"lead_sets": (("I",),)}):
        baseline = TrainedBaseline("example", "", replace(WIDE, **changed))
        assert baseline.provenance() != TrainedBaseline("example", "", WIDE).provenance()

KFOLD = create_protocol("kfold", folds=2, seed=0)


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    """Two folds of one network on two lead sets, and of the networks that ship."""
    out = tmp_path_factory.mktemp("out")
    cross_validate(folder, out, KFOLD, [Trained("entry", "", WIDE), UNTUNED], 1)
    return out


def test_every_recording_is_answered_once_by_every_row(folder, done):
    collected = collect(done, ["1", "2"], ["entry", "untuned"])
    models = [*UNTUNED.networks(), "ensemble"]
    rows = {Row("resnet34", leads) for leads in ("12", "2")}
    rows |= {Row(f"{model} (untuned)", leads) for model in models for leads in ("12", "2")}
    assert set(collected) == rows
    for together in collected.values():
        assert together.tested.tolist() == list(range(20))
        assert together.said.decisions.any(axis=1).all()
        assert (together.said.probabilities > 0).all()


def test_an_entry_that_was_trained_elsewhere_takes_part_as_it_is(folder, done, tmp_path):
    """Here the one of the first fold: in that fold it answers as there, in others it knows the recordings."""
    given = Given("mine", "mine", WIDE, done / "folds" / "entry-1")
    out = tmp_path / "out"
    cross_validate(folder, out, KFOLD, [given], 1)
    there = FoldAnswers.read(file_of(done, "1", "entry")).by_row[Row("resnet34", "2")]
    here = FoldAnswers.read(file_of(out, "1", "mine")).by_row[Row("resnet34 (mine)", "2")]
    np.testing.assert_array_equal(here.probabilities, there.probabilities)
    np.testing.assert_array_equal(here.decisions, there.decisions)
    assert "as they are" in write_report(out, draws=2).read_text()
    other = replace(given, entry=done / "folds" / "entry-2")
    with pytest.raises(ValueError, match="digest"):
        cross_validate(folder, out, KFOLD, [other], 1)
    wider = replace(given, config=replace(WIDE, lead_sets=(resolve_leads(6),)))
    with pytest.raises(ValueError, match="found an entry for 12, 2 leads, expected one of 6"):
        wider.check(label_space("challenge2021"))
    with pytest.raises(ValueError, match="answers challenge2021, expected cpsc2018"):
        given.check(label_space("cpsc2018"))


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--entries", "nowhere"], "nowhere/entry.json: no such file, expected a model folder"),
     (["--baselines", "example,foo"], "--baselines: found 'foo', expected baselines or models out of logistic_stat")],
)  # fmt: skip
def test_who_is_not_there_is_said_before_anything_is_written(folder, tmp_path, capsys, words, message):
    assert main(["crossval", str(folder), str(tmp_path / "out"), "--no-entry", *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_an_entry_answers_is_what_its_folder_answers(folder, done):
    """The answers on two leads are those of the fold's own entry for a recording of two leads."""
    collected = collect(done, ["1", "2"], ["entry"])[Row("resnet34", "2")]
    with open(done / "folds.csv") as file:
        rows = list(csv.DictReader(file))
    for i in (0, 7, 19):
        entry = load_entry(done / "folds" / f"entry-{rows[i]['fold']}", "cpu")
        recording = read_recording(folder / rows[i]["recording"])
        chosen = [recording.leads.index(lead) for lead in ("I", "II")]
        answer = entry.predict(replace(recording, signal=recording.signal[chosen], leads=("I", "II")))
        assert np.allclose(answer.probabilities, collected.said.probabilities[i], atol=1e-6)
        assert (answer.labels == collected.said.decisions[i]).all()


def test_a_finished_run_is_not_repeated_and_a_lost_fold_is(folder, done, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    file_of(out, "2", "untuned").unlink()
    answered = []
    real = Untuned.answer
    monkeypatch.setattr(Untuned, "answer", lambda *given: answered.append(given[2].name) or real(*given))
    monkeypatch.setattr(Trained, "answer", lambda *given: pytest.fail("trained again"))
    cross_validate(folder, out, KFOLD, [Trained("entry", "", WIDE), UNTUNED], 1)
    assert answered == ["2"]
    one, other = (FoldAnswers.read(file_of(f, "2", "untuned")).by_row for f in (done, out))
    assert all((one[row].probabilities == other[row].probabilities).all() for row in one)


def test_another_protocol_data_set_or_entrant_of_the_name_is_refused(folder, done):
    with pytest.raises(ValueError, match=r"protocol\.folds = 2, expected protocol\.folds = 3"):
        cross_validate(folder, done, create_protocol("kfold", folds=3, seed=0), [Trained("entry", "", WIDE)], 1)
    with pytest.raises(ValueError, match=r"entry\.json: found an entrant with configuration\.epochs = 1, expected"):
        cross_validate(folder, done, KFOLD, [Trained("entry", "", replace(WIDE, epochs=2))], 1)
    with pytest.raises(ValueError, match=r"crossval\.json: found a cross-validation with data\.f"):
        cross_validate(folder / "one", done, KFOLD, [Trained("entry", "", WIDE)], 1)


def test_answers_of_networks_with_other_weights_are_not_taken_for_theirs(folder, done):
    """Weights that ship change with the version; what the old ones said is neither reused nor mixed in."""
    shipped = Untuned("untuned", "untuned", replace(WIDE, start=replace(WIDE.start, weights="shipped")))
    with pytest.raises(ValueError, match=r"untuned\.json: found an entrant with "):
        cross_validate(folder, done, KFOLD, [shipped], 1)
    simulated, real = UNTUNED.networks()["resnet34"], shipped.networks()["resnet34"]
    kept = [file.name for file in (done / "work").glob("untuned-resnet34-*")]
    assert kept and all(simulated.digest[:12] in name for name in kept)
    path = done / "untuned.json"
    text = path.read_text()
    try:
        path.write_text(text.replace(simulated.digest, real.digest))
        with pytest.raises(ValueError, match=r"found an entrant with weights\.resnet34 = "):
            cross_validate(folder, done, KFOLD, [UNTUNED], 1)
    finally:
        path.write_text(text)


def test_results_of_a_version_with_fewer_choices_can_be_gone_on_with(folder, done, tmp_path):
    shutil.copytree(done, tmp_path / "out")
    path = tmp_path / "out" / "entry.json"
    values = json.loads(path.read_text())
    del values["configuration"]["abnormality"]
    path.write_text(json.dumps(values))
    cross_validate(folder, tmp_path / "out", KFOLD, [Trained("entry", "", WIDE)], 1)
    with pytest.raises(ValueError, match=r"abnormality = None, expected .* another --name"):
        cross_validate(folder, tmp_path / "out", KFOLD, [Trained("entry", "", replace(WIDE, abnormality=True))], 1)


def test_labels_of_the_test_part_change_neither_thresholds_nor_answers(folder, tmp_path):
    """The test recordings get the labels of one another; what is learnt and answered stays the same to the bit."""
    setting = Setting(open_dataset(folder), tmp_path, *cohort_of(folder, tmp_path))
    (fold,) = create_protocol("holdout", share=0.4, seed=0).divide(setting.cohort)
    one = Trained("one", "", TINY).answer(setting, fold, 1)
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    tested = [changed / setting.cohort.paths[i][len(str(folder)) + 1 :] for i in fold.test]
    texts = [path.read_text() for path in tested]
    codes = [re.search(r"^# ?Dx: ?(.*)$", text, re.MULTILINE)[1] for text in texts]
    assert len(set(codes)) > 1
    for path, text, was, now in zip(tested, texts, codes, [*codes[1:], codes[0]], strict=True):
        path.write_text(text.replace(was, now))
    cohort, space = cohort_of(changed, tmp_path / "other")
    assert (cohort.labels[fold.test] != setting.cohort.labels[fold.test]).any()
    setting = Setting(open_dataset(changed), tmp_path / "other", cohort, space)
    other = Trained("one", "", TINY).answer(setting, fold, 1)
    row = Row("resnet34", "2")
    assert (one.by_row[row].probabilities == other.by_row[row].probabilities).all()
    assert (one.by_row[row].decisions == other.by_row[row].decisions).all()
    entries = (load_entry(out / "folds" / "one-test") for out in (tmp_path, tmp_path / "other"))
    thresholds = [entry.manifest.sets[0].ensemble.rule.thresholds for entry in entries]
    assert (thresholds[0] == thresholds[1]).all()


def test_the_untuned_fit_nothing_to_the_test_part(folder, done):
    setting = Setting(open_dataset(folder), done, *cohort_of(folder, done))
    fold = KFOLD.divide(setting.cohort)[0]
    labels = setting.cohort.labels.copy()
    labels[fold.test] = ~labels[fold.test]
    changed = replace(setting, cohort=replace(setting.cohort, labels=labels, targets=labels.astype(np.float32)))
    both = [UNTUNED.answer(s, fold, 1).by_row for s in (setting, changed)]
    for row in both[0]:
        assert (both[0][row].decisions == both[1][row].decisions).all()
        assert (both[0][row].probabilities == both[1][row].probabilities).all()


def test_a_killed_run_goes_on(folder, tmp_path):
    """Killed while a fold trains; started again, it ends with the answers of a run that was left alone."""
    words = [
        sys.executable, "-m", "leadset", "crossval", str(folder), "OUT", "--protocol", "holdout",
        "--models", "resnet34", "--leads", "2", "-j", "1", "--config", str(tmp_path / "tiny.toml"),
    ]  # fmt: skip
    (tmp_path / "tiny.toml").write_text(
        'preset = "tiny"\nepochs = 1\nmin_steps = 40\nbatch_size = 16\n'
        "pretrain.below = 0\n[presets.tiny]\nresnet34 = { width = 4, rate = 100, seconds = 5.0 }\n"
    )

    def run(out: str, stop: bool = False) -> None:
        process = subprocess.Popen([str(tmp_path / out) if w == "OUT" else w for w in words], cwd=ROOT)
        state = tmp_path / out / "folds" / "entry-test" / "work"
        while stop and process.poll() is None and not list(state.glob("costs-*.json")):
            time.sleep(0.05)
        if stop:
            process.kill()
        assert process.wait() == (-signal.SIGKILL if stop else 0)

    run("left_alone")
    run("killed", stop=True)
    assert not list((tmp_path / "killed" / "answers").glob("*"))
    run("killed")
    answers = [FoldAnswers.read(file_of(tmp_path / out, "test", "entry")) for out in ("left_alone", "killed")]
    (one,), (other,) = (a.by_row.values() for a in answers)
    assert (one.probabilities == other.probabilities).all()


def cohort_of(data, out):
    """The cohort of a folder, and its label space."""
    out.mkdir(exist_ok=True)
    plan = studies_crossval.plan(open_dataset(data), out, KFOLD, TINY)
    return plan.setting.cohort, plan.setting.space


def test_networks_start_from_simulation_alone_unless_other_weights_are_named(tmp_path):
    assert without_real_weights(default_config()).start.weights == "simulated"
    named = load_config(folder=None, settings=[parse_setting("start.weights=shipped")])
    assert without_real_weights(named).start.weights == "shipped"
    assert without_real_weights(TINY).start.weights == "none"


def test_a_copy_of_a_tested_recording_is_not_learnt_from(folder, tmp_path):
    """The same signal under another name, with another gain, in another data set."""
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(folder, data)
    original = find_recordings(data)[0]
    (data / "elsewhere").mkdir()
    for file in original.parent.glob(f"{original.stem}.*"):
        shutil.copyfile(file, data / "elsewhere" / f"copy{file.suffix}")
    header = data / "elsewhere" / "copy.hea"
    text = header.read_text().replace(original.stem, "copy")
    changed = re.sub(r"(\d+(?:\.\d+)?)(\(\S*\))?/mV", lambda m: f"{2 * float(m[1]):g}{m[2] or ''}/mV", text)
    assert changed != text
    header.write_text(changed)
    cohort, space = cohort_of(data, out)
    tested = cohort.paths.index(str(original))
    fold = next(fold for fold in create_protocol("lodo").divide(cohort) if tested in fold.test)
    assert [Path(cohort.paths[i]).stem for i in fold.related] == ["copy"]
    Trained("entry", "", TINY).answer(Setting(open_dataset(data), out, cohort, space), fold, 1)
    with open(out / "folds" / f"entry-{fold.name}" / "split.csv") as file:
        reasons = sorted((row["recording"], row["reason"]) for row in csv.DictReader(file))
    parts = {"": fold.train, TEST_FOLD: fold.test, PATIENT_OF_TEST_FOLD: fold.related}
    assert reasons == sorted((Path(cohort.paths[i]).stem, why) for why, part in parts.items() for i in part)


def test_seeds_change_the_training_and_not_the_folds(folder, tmp_path, monkeypatch):
    """Trained with one seed, then with two: the first is not repeated; each seed has answers and choices of its own."""
    small = replace(TINY, lead_sets=(("I", "II"),))
    entrants = [Trained("entry", "", small), TrainedBaseline("example", "", small)]
    cross_validate(folder, tmp_path, KFOLD, entrants, 1)
    folds = (tmp_path / "folds.csv").read_text()
    trained, real = [], Trained.answer
    monkeypatch.setattr(Trained, "answer", lambda *given: trained.append(given[0].name) or real(*given))
    cross_validate(folder, tmp_path, KFOLD, entrants, 1, [7, small.seed])
    assert trained == ["entry@7", "entry@7", "example@7", "example@7"]
    assert (tmp_path / "folds.csv").read_text() == folds
    for name, row in (("entry", Row("resnet34", "2")), ("example", Row("example", "2"))):
        one, other = (collect(tmp_path, ["1", "2"], [run])[row] for run in (name, f"{name}@7"))
        assert (one.tested == other.tested).all() and (one.fold == other.fold).all()
        assert (one.said.probabilities != other.said.probabilities).any()
        about = json.loads((tmp_path / f"{name}@7.json").read_text())["configuration"]
        assert about == json.loads((tmp_path / f"{name}.json").read_text())["configuration"] | {"seed": 7}
    alone = load_entry(tmp_path / "folds" / "entry@7-1").manifest
    assert alone.provenance["seed"] == 7
    assert read_results(tmp_path).seeds == {Row(m, "2"): (7, small.seed) for m in ("resnet34", "example")}


def test_another_seed_of_an_entrant_that_is_another_one_is_refused(folder, done, tmp_path):
    shutil.copytree(done, tmp_path / "out")
    other = Trained("entry", "", replace(WIDE, epochs=2))
    with pytest.raises(ValueError, match=r"entry\.json: found an entrant with configuration\.epochs = 1, expected"):
        cross_validate(folder, tmp_path / "out", KFOLD, [other], 1, [7])
    assert not (tmp_path / "out" / "entry@7.json").exists()
