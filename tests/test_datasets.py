"""Data sets: what importers find and leave out, and that labels, folds and patients reach the training."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording

from leadset.classes import label_space, place_label_space
from leadset.cli import main
from leadset.entry.card import card_text
from leadset.preprocess import Transform
from leadset.recordings import find_recordings, read_recording
from leadset.recordings.importers import open_dataset
from leadset.training.data import (
    OF_VALIDATED_PATIENT,
    TRAIN,
    VALID,
    Preparation,
    Split,
    in_label_space_of,
    load_training_data,
)

STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior myocardial infarction,1.0,,,MI,IMI
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
PVC,ventricular premature complex,,1.0,,,
SR,sinus rhythm,,,1.0,,
AFIB,atrial fibrillation,,,1.0,,
"""
TRANSFORM = Transform(100)
SPLIT = Split(0.25, seed=0)
ENTRY = {"label_space": "ptbxl_super", "lead_sets": []}


def ptbxl_row(i: int, codes: str = "{'NORM': 100.0, 'SR': 0.0}", fold: int = 1, patient: str = "", **more) -> dict:
    files = {"filename_lr": f"records100/00000/{i:05d}_lr", "filename_hr": f"records500/00000/{i:05d}_hr"}
    row = {"ecg_id": i, "patient_id": patient or f"{1000 + i}.0", "age": "56.0", "sex": "1", "scp_codes": codes}
    return {**row, "strat_fold": fold, **files, **more}


def write_ptbxl(folder: Path, rows: list[dict], missing: tuple[str, ...] = ()) -> Path:
    """The published layout; ``missing`` are file stems that are not written."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scp_statements.csv").write_text(STATEMENTS)
    with open(folder / "ptbxl_database.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        for name, rate in ((row["filename_lr"], 100), (row["filename_hr"], 500)):
            stem = Path(name).name
            if stem not in missing:
                counts = make_counts(12, 10 * rate, seed=row["ecg_id"])
                line = f"{stem} 12 {rate} {10 * rate}"
                write_recording((folder / name).parent, stem, counts, record_line=line, comments=())
    return folder


@pytest.mark.parametrize(
    ("task", "codes"),
    [("super", {"MI", "NORM"}), ("sub", {"IMI", "NORM"}), ("rhythm", {"SR", "AFIB"}), ("form", {"PVC"}),
     ("diagnostic", {"IMI", "NORM"}), ("all", {"IMI", "PVC", "SR", "NORM", "AFIB"})],
)  # fmt: skip
def test_ptbxl_tasks_take_the_statements_that_are_of_them(tmp_path, task, codes):
    rows = [ptbxl_row(1), ptbxl_row(2, "{'IMI': 50.0, 'PVC': 100.0, 'AFIB': 0.0}", fold=2)]
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path, rows)}", task)
    assert {code for item in data.items for code in item.codes} == codes
    assert data.label_space is label_space(f"ptbxl_{task}")
    assert data.label_space.encode(codes).sum() == len(codes)
    assert len(data) + len(data.left_out) == 2
    with_one = {"form": 8978, "rhythm": 21030, "all": 21799}.get(task, 21388)
    assert data.published["1.0.3"] == with_one and f"{with_one} in 1.0.3" in data.summary()


def test_ptbxl_gives_patients_folds_ages_and_sexes(tmp_path):
    rows = [ptbxl_row(1, fold=10), ptbxl_row(2, age="300.0", sex="0", fold=2), ptbxl_row(3, age="", sex="", fold=1)]
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path, rows)}")
    assert [(i.patient, i.fold, i.age, i.sex) for i in data.items] == [
        ("1001", "10", 56.0, "female"), ("1002", "2", 90.0, "male"), ("1003", "1", None, None)
    ]  # fmt: skip
    assert data.official_folds == ("1", "2", "10")
    assert "1 ages above 89 years are hidden as 300: taken for 90" in data.remarks
    assert open_dataset(f"ptbxl:{tmp_path}", "all").published == {"1.0.1": 21837, "1.0.3": 21799}
    recording = data.recording(data.items[0].path)
    assert (recording.codes, recording.fs, recording.patient) == (("NORM",), 500.0, "1001")


@pytest.mark.parametrize(
    ("sex", "known", "odd"),
    [("male", "male", 0), ("Female", "female", 0), ("0.0", "male", 0), ("unknown", None, 0), ("2", None, 1)],
)
def test_ptbxl_sexes_may_be_words_and_what_is_none_is_said(tmp_path, sex, known, odd):
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path, [ptbxl_row(1, sex=sex)])}")
    assert data.items[0].sex == known
    assert ("1 sexes are neither female nor male: taken for unknown" in data.remarks) == odd


def test_classes_are_counted_beside_the_published_numbers(tmp_path):
    rows = [ptbxl_row(1), ptbxl_row(2), ptbxl_row(3, "{'NORM': 50.0, 'IMI': 50.0}")]
    folder = write_ptbxl(tmp_path, rows)
    summary = open_dataset(f"ptbxl:{folder}").summary()
    assert "by class: NORM 3 (published: 9528 in 1.0.1, 9514 in 1.0.3), MI 1 (published: 5486 in 1.0.1, 5469" in summary
    assert "by class" not in open_dataset(f"ptbxl:{folder}", "rhythm").summary()


def test_what_ptbxl_leaves_out_is_named_with_its_reason(tmp_path):
    rows = [
        ptbxl_row(1), ptbxl_row(2), ptbxl_row(3, "{'SR': 0.0}"), ptbxl_row(4, "{'NORM': "),
        ptbxl_row(5, "{'XYZ': 80.0}"), ptbxl_row(6),
    ]  # fmt: skip
    folder = write_ptbxl(tmp_path, rows, missing=("00002_lr", "00002_hr", "00006_hr"))
    data = open_dataset(f"ptbxl:{folder}")
    assert {Path(what).name: reason for what, reason in data.left_out} == {
        "00002_hr": "no file of 500 or 100 Hz",
        "00003_hr": "no statement of task super",
        "00004_hr": "scp_codes of ptbxl_database.csv cannot be read",
        "00005_hr": "no statement of task super",
    }
    summary = data.summary()
    assert "2 × no statement of task super: records500/00000/00003_hr, records500/00000/00005_hr" in summary
    assert "1 statements are not in scp_statements.csv, and so in no task: XYZ (1)" in summary
    assert "1 recordings are read at 100 Hz, as their files of 500 Hz are missing: 00006_lr" in summary


def test_folds_that_share_a_patient_and_classes_without_positives_are_named(tmp_path):
    rows = [ptbxl_row(i, patient="7.0", fold=i) for i in (1, 2)] + [ptbxl_row(3, "{'IMI': 1.0}", fold=2)]
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path, rows)}")
    assert any("1 patients have recordings in several folds: 7 (1, 2)" in remark for remark in data.remarks)
    assert "1 classes have no positive recording in some fold: MI (fold 1)" in data.remarks
    assert "3 classes have no positive recording: CD, HYP, STTC" in data.remarks


@pytest.mark.parametrize(
    ("given", "task", "options", "message"),
    [
        ("nothere:{}", None, {}, "found no importer 'nothere', expected one of .*ptbxl"),
        ("ptbxl:{}", "morphology", {}, "found task 'morphology', expected one of super, sub"),
        ("ptbxl:{}", None, {"rates": "100"}, "found the option 'rates', expected one of rate"),
        ("ptbxl:{}", None, {"rate": "250"}, "found rate '250', expected 500 or 100"),
        ("{}", "super", {}, "found task, expected none"),
        ("ptbxl:{}/gone", None, {}, "gone: no such file or folder, expected PTB-XL"),
        ("ptbxl:{}/records500", None, {}, r"statements\.csv: no such file, expected a table of the data set"),
    ],
)
def test_what_cannot_be_opened_says_what_was_expected(tmp_path, given, task, options, message):
    write_ptbxl(tmp_path, [ptbxl_row(1)])
    with pytest.raises((ValueError, OSError), match=message):
        open_dataset(given.format(tmp_path), task, **options)


def test_a_published_folder_that_is_named_without_its_importer_is_recognised(tmp_path):
    write_ptbxl(tmp_path, [ptbxl_row(1)])
    assert open_dataset(tmp_path).remarks == (f"this looks like PTB-XL, try ptbxl:{tmp_path}",)
    assert open_dataset(tmp_path / "records500").remarks == ()
    with pytest.raises(ValueError, match=f"found a table of PTB-XL, try ptbxl:{tmp_path}"):
        open_dataset(tmp_path / "ptbxl_database.csv")


def test_a_table_without_a_column_is_refused_by_name(tmp_path):
    folder = write_ptbxl(tmp_path, [ptbxl_row(1)])
    table = folder / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("strat_fold", "fold"))
    with pytest.raises(ValueError, match=r"ptbxl_database.csv, line 1: found columns .*, expected strat_fold too"):
        open_dataset(f"ptbxl:{folder}")


# --- training ------------------------------------------------------------------------------------------------------


def test_all_tasks_share_prepared_recordings_and_get_their_own_labels(tmp_path):
    codes = ["{'NORM': 1.0, 'SR': 0.0}", "{'IMI': 50.0, 'AFIB': 0.0}"]
    rows = [ptbxl_row(i, codes[i % 2], fold=i % 3 + 1) for i in range(8)]
    folder, cache = write_ptbxl(tmp_path / "data", rows), tmp_path / "cache"
    loaded = {}
    for task in ("super", "rhythm"):
        data = open_dataset(f"ptbxl:{folder}", task)
        loaded[task] = load_training_data(data, data.label_space, Preparation([TRANSFORM], cache, workers=1), SPLIT)
        files = sorted(path.name for path in cache.iterdir())
    assert sorted(path.name for path in cache.iterdir()) == files and len(files) == 2
    names = {task: np.array(data.space.abbreviations) for task, data in loaded.items()}
    assert [names["super"][row].tolist() for row in loaded["super"].labels] == [["NORM"], ["MI"]] * 4
    assert [names["rhythm"][row].tolist() for row in loaded["rhythm"].labels] == [["SR"], ["AFIB"]] * 4
    entry = loaded["super"].first.recordings[0]
    assert (entry.codes, entry.source, entry.patient, entry.age, entry.sex) == (
        ("NORM",), "ptb-xl", "1000", 56.0, "female"
    )  # fmt: skip
    assert loaded["super"].fingerprint != loaded["rhythm"].fingerprint


def test_a_plain_folder_is_what_it_was(tmp_path):
    for i in range(6):
        write_recording(tmp_path / "data" / "georgia" / "g1", f"A{i}", make_counts(seed=i))
    space = label_space("challenge2021")
    plain = load_training_data(tmp_path / "data", space, Preparation([TRANSFORM], tmp_path / "a", workers=1), SPLIT)
    opened = open_dataset(tmp_path / "data")
    data = load_training_data(opened, space, Preparation([TRANSFORM], tmp_path / "b", workers=1), SPLIT)
    assert opened.paths == find_recordings(tmp_path / "data") and opened.label_space is None
    assert plain.fingerprint == data.fingerprint and plain.part.tolist() == data.part.tolist()
    assert {r.source for r in data.first.recordings} == {"georgia"}
    assert data.first.recordings[0].codes == ("426783006",)


def test_given_validation_recordings_take_their_patients_out_of_the_training(tmp_path):
    rows = [ptbxl_row(i, fold=1 + (i >= 6), patient="9.0" if i in (0, 7) else "") for i in range(9)]
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path / 'data', rows)}")
    split = replace(SPLIT, validation=data.in_folds(["2"]))
    loaded = load_training_data(data, data.label_space, Preparation([TRANSFORM], tmp_path / "cache", workers=1), split)
    assert loaded.part.tolist() == [OF_VALIDATED_PATIENT, *[TRAIN] * 5, *[VALID] * 3]
    loaded.write_split(tmp_path / "split.csv")
    assert (tmp_path / "split.csv").read_text().count("excluded,another recording of the patient is validated on") == 1
    counts = loaded.counts()
    assert (counts["of_patients_validated_on"], counts["without_diagnosis"]) == (1, 0)
    data_line = card_text({**ENTRY, "provenance": {"data": counts}}, []).split("Recordings**: ")[1]
    assert "1 of patients validated on" in data_line and "without diagnosis" not in data_line
    with pytest.raises(ValueError, match="found fold '3', expected one of 1, 2"):
        data.in_folds(["3"])
    assert [Path(path).stem for path in data.of_patients_of(data.in_folds(["2"]))] == ["00000_hr"]


def test_what_is_left_out_is_in_the_split_file(tmp_path):
    rows = [ptbxl_row(1), ptbxl_row(2), ptbxl_row(3, "{'SR': 0.0}")]
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path / 'data', rows)}")
    loaded = load_training_data(data, data.label_space, Preparation([TRANSFORM], tmp_path / "cache", workers=1), SPLIT)
    loaded.write_split(tmp_path / "split.csv")
    assert loaded.counts()["left_out"] == 1
    assert "records500/00000/00003_hr,,,,excluded,no statement of task super" in (tmp_path / "split.csv").read_text()


def test_a_setting_of_another_label_space_is_refused(tmp_path):
    from leadset.config import Setting, load_config

    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path, [ptbxl_row(1)])}")
    assert in_label_space_of(data, load_config(folder=None), tmp_path).label_space == "ptbxl_super"
    other = load_config(folder=None, settings=[Setting("--set", "label_space", "cpsc2018")])
    with pytest.raises(ValueError, match=r"found label_space = 'cpsc2018', expected 'ptbxl_super'"):
        in_label_space_of(data, other, tmp_path)
    np.save(tmp_path / "a.npy", np.zeros((2, 500)))
    (tmp_path / "own.csv").write_text("file,labels\na.npy,AF\n")
    with pytest.raises(ValueError, match=r"expected 'own', of which .* \(--data-option space=cpsc2018 takes"):
        in_label_space_of(open_dataset(tmp_path / "own.csv"), other, tmp_path)
    chosen = open_dataset(tmp_path / "own.csv", space="cpsc2018")
    assert in_label_space_of(chosen, other, tmp_path).label_space == "cpsc2018"


def test_training_command_takes_task_and_folds(tmp_path, capsys):
    codes = ["{'SR': 0.0}", "{'AFIB': 0.0}"]
    rows = [ptbxl_row(i, codes[i % 2], fold=i % 3 + 1, patient="5.0" if i in (2, 3) else "") for i in range(18)]
    folder = write_ptbxl(tmp_path / "data", rows)
    options = "--task rhythm --valid-fold 2 --test-fold 3 --models resnet34 --leads 2 --epochs 1 --set min_steps=1"
    words = [*options.split(), "--set", "workers=1", "--set", "pretrain.below=0", "--set", "batch_size=4"]
    assert main(["train", f"ptbxl:{folder}", str(tmp_path / "model"), *words]) == 0
    printed = capsys.readouterr().out
    assert "PTB-XL: 18 recordings (published: 21030 in 1.0.3), 12 classes of ptbxl_rhythm" in printed
    assert "1 other recordings of patients of the test folds are left out of the training" in printed
    with open(tmp_path / "model" / "split.csv", newline="") as file:
        rows = [(Path(row["recording"]).name, row["part"], row["reason"]) for row in csv.DictReader(file)]
    held_out = ("excluded", "held out: test fold")
    wanted = {f"{i:05d}_hr": (("train", ""), ("validation", ""), held_out)[i % 3] for i in range(18)}
    wanted["00003_hr"] = ("excluded", "held out: another recording of the patient is in the test fold")
    assert sorted(rows) == sorted((name, *why) for name, why in wanted.items())


def test_real_ptbxl(real_data):
    expected = {"super": 569, "rhythm": 555, "form": 234, "all": 569, "sub": 569, "diagnostic": 569}
    for task, n in expected.items():
        data = open_dataset(f"ptbxl:{real_data / 'ptbxl'}", task)
        assert (len(data), len(data) + len(data.left_out)) == (n, 569)
        assert data.official_folds == tuple("123456789")
        assert not any("no class" in remark for remark in data.remarks)
    raw = open_dataset(f"ptbxl:{real_data / 'ptbxl_raw'}")
    assert len(raw) == 13 and raw.recording(raw.items[0].path).fs == 500.0


def test_a_label_space_without_a_file_is_written_and_read_again(tmp_path):
    from dataclasses import replace

    own = replace(label_space("ptbxl_sub"), name="mine", file=None)
    path = place_label_space(own, tmp_path)
    assert label_space(path) == own
    assert place_label_space(label_space("cpsc2018"), tmp_path) == "cpsc2018"
    shutil.rmtree(tmp_path)


def test_predict_evaluate_and_anomaly_take_a_data_set_and_its_folds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = ("{'NORM': 100.0}", "{'IMI': 80.0}")
    rows = [ptbxl_row(i, kinds[i % 2], fold=10 if i > 16 else 1) for i in range(1, 21)]
    name = f"ptbxl:{write_ptbxl(tmp_path / 'ptbxl', rows)}"
    words = f"baseline {name} model --task super --baselines example --leads 2 --test-fold 10".split()
    assert main([*words, "--set", "workers=1"]) == 0, capsys.readouterr().err
    chosen = ["--task", "super", "--fold", "10"]
    assert main(["predict", "model", name, "out", *chosen]) == 0
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == [f"000{i}_hr" for i in range(17, 21)]
    assert main(["evaluate", name, "out", "scores.csv", "classes.csv", *chosen]) == 0, capsys.readouterr().err
    scored = (tmp_path / "classes.csv").read_text().splitlines()
    assert "NORM" in scored[0] and "MI" in scored[0]
    assert main(["evaluate", name, "out", "--task", "rhythm", "--fold", "10"]) == 1
    assert main(["evaluate", name, "out", "--task", "super"]) == 1  # no output files of the other folds
    assert main(["predict", "model", name, "out", "--fold", "11"]) == 1
    assert "found fold '11', expected one of 1, 10" in capsys.readouterr().err
    fit = ["anomaly", "fit", name, "detector", "--width", "2", "--steps", "1", "--leads", "2"]
    assert main([*fit, *chosen[:2], "--fold", "1"]) == 0, capsys.readouterr().err
    assert "16 recordings, of which 8 with" in capsys.readouterr().out
    assert main(["anomaly", "score", "detector", name, "-o", "scores.csv", *chosen]) == 0
    assert "4 labelled recordings scored" in capsys.readouterr().out


def test_outputs_of_an_entry_of_own_classes_are_scored_in_them(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["file,labels"]
    for i in range(12):
        write_recording(tmp_path / "data", f"A{i}", make_counts(seed=i))
        lines.append(f"data/A{i},{('normal rhythm', 'atrial fib')[i % 2]}")
    Path("own.csv").write_text("\n".join(lines))
    words = "baseline own.csv model --baselines example --leads 2 --set workers=1"
    assert main(words.split()) == 0, capsys.readouterr().err
    assert main(["predict", "model", "own.csv", "out"]) == 0
    assert main(["evaluate", "own.csv", "out", "scores.csv", "classes.csv"]) == 0, capsys.readouterr().err
    assert Path("classes.csv").read_text().startswith("Classes,atrial fib,normal rhythm\n")
    assert "name of another recording" not in capsys.readouterr().err


@pytest.fixture
def own_table(tmp_path, monkeypatch):
    """A table whose columns have names of their own, of two recordings that a header says something else of."""
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "data", "A1", make_counts(seed=1))
    write_recording(tmp_path / "data/b", "A2", make_counts(seed=2))
    Path("own.csv").write_text("ecg,rhythm,part,age,sex\ndata/A1,AF;59118001,1,61,F\ndata/b/A2.mat,NSR,2,33,\n")
    columns = ("file=ecg", "labels=rhythm", "fold=part")
    return ["own.csv", *(word for column in columns for word in ("--data-option", column))]


def test_verbs_of_recordings_take_options_and_folds_of_data_sets(own_table, capsys):
    assert main(["delineate", *own_table, "--fold", "2"]) == 0
    assert "1 recordings delineated, 0 skipped" in capsys.readouterr().err
    assert main(["predict", *own_table, "--fold", "1", "--json", "-"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["recording"] == "data/A1"
    assert main(["predict", *own_table, "--fold", "3"]) == 1
    assert "found fold '3', expected one of 1, 2" in capsys.readouterr().err
    assert main(["predict", "own.csv", *own_table[1:3], "--data-option", "labels=none", "--json", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    for verb, option in (("sheet", "--task"), ("predict", "--fold"), ("embed", "--data-option")):
        more = ["-o", "x.npz"] if verb == "embed" else []
        assert main([verb, "data/A1.hea", option, "a=b", *more]) == 1
        assert f"found {option} without a data set, expected one" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["explain", "--check", "--fold", "1"])


def test_converted_recordings_of_a_table_say_what_it_says(own_table, tmp_path, capsys):
    convert = ["convert", own_table[0], "out", *own_table[1:]]
    assert main(convert) == 0, capsys.readouterr().err
    first, second = (read_recording(tmp_path / "out" / name) for name in ("A1.hea", "b/A2.hea"))
    assert (first.age, first.sex, first.codes) == (61, "female", ("164889003", "59118001"))
    assert (second.age, second.sex, second.codes) == (33, "male", ("426783006",))  # its header says the sex
    original = read_recording(tmp_path / "data/A1.hea")
    np.testing.assert_array_equal(first.signal, original.signal)
    assert main(["convert", "own.csv", "other"]) == 1
    assert "own.csv: found a first line of neither leads nor numbers" in capsys.readouterr().err


def test_files_that_an_importer_reads_are_converted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("train").mkdir()
    Path("hf_round2_label.txt").write_text("1.txt\t60\tMALE\t窦性心律\n", encoding="utf-8")
    rows = [" ".join(map(str, row)) for row in make_counts(8, 1000).T.tolist()]
    Path("train/1.txt").write_text("\n".join(["I II V1 V2 V3 V4 V5 V6", *rows]) + "\n")
    assert main(["convert", f"hefei:{tmp_path}", "out"]) == 0, capsys.readouterr().err
    copy, original = read_recording(next(Path("out").rglob("1.hea"))), open_dataset(f"hefei:{tmp_path}")
    original = original.recording(original.paths[0])
    assert (copy.age, copy.sex, copy.codes) == (original.age, original.sex, original.codes) != (None, None, ())
    np.testing.assert_allclose(copy.signal, original.signal, atol=2e-3 * np.abs(original.signal).max())
