"""Importers other than PTB-XL's, on files in the exact published layout and on real ones."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording
from scipy.io import savemat

from leadset.classes import label_space
from leadset.leads import LEADS
from leadset.preprocess import Transform
from leadset.recordings import ReadError, find_recordings, read_recording
from leadset.recordings.importers import open_dataset
from leadset.store.packed import build_store
from leadset.training.data import Preparation, Split, load_training_data

TRANSFORM = Transform(100)


def stems(left_out) -> dict[str, str]:
    return {Path(what).name: reason for what, reason in left_out}


def ecg(seconds: float = 10.0, n_leads: int = 12, fs: int = 500, seed: int = 0) -> np.ndarray:
    """Millivolts (leads, samples) of smooth noise."""
    noise = np.random.default_rng(seed).normal(size=(n_leads, int(seconds * fs)))
    return np.cumsum(noise, axis=1) / 100


# --- CPSC2018 ------------------------------------------------------------------------------------------------------


def write_struct(path: Path, signal: np.ndarray, sex: str = "Male", age: float = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"ECG": {"sex": sex, "age": age, "data": signal}})


def write_cpsc(folder: Path) -> Path:
    """Three training sets of structs, and the table, as the organisers published them."""
    signals = {"A0001": 1, "A0002": 2, "A0003": 3, "A0005": 5}
    for name, part in zip(signals, (1, 2, 3, 3), strict=True):
        write_struct(folder / f"TrainingSet{part}" / f"{name}.mat", ecg(seed=signals[name]), "Female", 74)
    lines = ["Recording,First_label,Second_label,Third_label", "A0001,5,,", "A0002,1,,", "A0003,2,5,7", "A0004,8,,"]
    (folder / "TrainingSet1" / "REFERENCE.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_cpsc2018_reads_structs_where_they_are(tmp_path):
    data = open_dataset(f"cpsc2018:{write_cpsc(tmp_path)}")
    assert [(i.name, label_space("cpsc2018").encode(i.codes).nonzero()[0].tolist()) for i in data.items] == [
        ("A0001", [4]), ("A0002", [0]), ("A0003", [1, 4, 6])
    ]  # fmt: skip
    assert stems(data.left_out) == {"A0004": "no file of this name", "A0005": "not in REFERENCE.csv"}
    assert "3 recordings (published: 6877)" in data.summary()
    recording = data.recording(data.items[0].path)
    assert (recording.fs, recording.leads, recording.age, recording.sex) == (500.0, LEADS, 74.0, "female")
    assert np.array_equal(recording.signal, ecg(seed=1).astype(np.float32))


def test_cpsc2018_structs_are_prepared_for_training(tmp_path):
    data = open_dataset(f"cpsc2018:{write_cpsc(tmp_path / 'data')}")
    split = Split(0.3, seed=0)
    loaded = load_training_data(data, data.label_space, Preparation([TRANSFORM], tmp_path / "cache", workers=1), split)
    assert [r.name for r in loaded.first.recordings] == ["A0001", "A0002", "A0003"]
    assert loaded.first.recordings[2].codes == ("164889003", "59118001", "164884008")
    assert loaded.first.recordings[0].n_samples == 1000 and loaded.first.recordings[0].source == "cpsc_2018"


def test_cpsc2018_in_the_form_of_the_challenge(tmp_path):
    write_recording(tmp_path / "g1", "A0001", comments=("#Age: 74", "#Sex: Female", "#Dx: 59118001"))
    data = open_dataset(f"cpsc2018:{tmp_path}")
    assert data.label_space is label_space("cpsc2018") and data.codes(data.items[0].path) == ("59118001",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"val": np.zeros((12, 100))}, r"A0001\.mat: found variables val .*expected a struct `ECG` of sex, age, data"),
        ({"ECG": {"sex": "Male", "age": 3}}, "expected a struct `ECG` of sex, age, data"),
        ({"ECG": {"data": np.zeros((8, 100))}}, r"found `data` of float64, shape \(8, 100\), expected numbers \(12"),
    ],
)
def test_cpsc2018_file_of_another_kind_is_named_and_does_not_end_a_run(tmp_path, content, message):
    folder = write_cpsc(tmp_path / "data")
    savemat(folder / "TrainingSet1" / "A0001.mat", content)
    data = open_dataset(f"cpsc2018:{folder}")
    with pytest.raises(ReadError, match=message):
        data.recording(data.items[0].path)
    store = build_store(data.paths, TRANSFORM, tmp_path / "cache", 1, False, read=data.read)
    assert [Path(failure.path).name for failure in store.failures] == ["A0001.mat"] and len(store) == 2


# --- Hefei ---------------------------------------------------------------------------------------------------------


def write_hefei_file(path: Path, seed: int = 0) -> np.ndarray:
    """A text file of eight leads; returns its numbers (samples, 8)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = np.round(ecg(10, 8, 500, seed).T * 200).astype(int)
    rows = [" ".join(map(str, row)) for row in counts.tolist()]
    path.write_text("\n".join(["I II V1 V2 V3 V4 V5 V6", *rows]) + "\n")
    return counts


LABELS = """100001.txt\t58\tFEMALE\t窦性心律\tT波改变\t
100002.txt\t\t\t心房颤动
100003.txt\t40\tMALE\t正常ECG
100004.txt\t1\tMALE\t窦性心律
"""


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_hefei_second_round(tmp_path, encoding):
    (tmp_path / "hf_round2_train.txt").write_text(LABELS, encoding=encoding)
    (tmp_path / "hf_round2_arrythmia.txt").write_text("窦性心律\n", encoding=encoding)
    counts = [write_hefei_file(tmp_path / "hf_round2_train" / f"10000{i}.txt", i) for i in (1, 2, 3)]
    write_hefei_file(tmp_path / "hf_round2_testB" / "100004.txt")
    data = open_dataset(f"hefei:{tmp_path}")
    assert [(i.codes, i.age, i.sex) for i in data.items] == [
        (("窦性心律", "T波改变"), 58.0, "female"), (("心房颤动",), None, None)
    ]  # fmt: skip
    assert stems(data.left_out) == {"100003.txt": "no event of round2", "100004.txt": "no file of this name"}
    assert len(data.label_space) == 34 and "(published: 20036 in round2)" in data.summary()
    recording = data.recording(data.items[0].path)
    assert recording.leads == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6") and recording.fs == 500.0
    assert np.allclose(recording.signal, counts[0].T * 4.88e-3, atol=1e-6)


def test_hefei_limb_leads_follow_from_two(tmp_path):
    write_hefei_file(tmp_path / "hf_round2_train" / "100001.txt")
    (tmp_path / "hf_round2_train.txt").write_text(LABELS.splitlines()[0] + "\n")
    data = open_dataset(f"hefei:{tmp_path}")
    store = build_store(data.paths, Transform(500), tmp_path / "cache", 1, False, read=data.read)
    samples, statistics = store[0]
    i, ii, iii, avr, avl, avf = (samples * statistics[0, :, None])[:6]
    for lead, expected in ((iii, ii - i), (avr, -(i + ii) / 2), (avl, i - ii / 2), (avf, ii - i / 2)):
        assert np.abs(lead - expected).max() < 2e-3 * np.abs(expected).max()


def test_hefei_first_round_has_its_own_events(tmp_path):
    (tmp_path / "hf_round1_label.txt").write_text("1.txt\t58\tMALE\t正常ECG\t临界ECG\n", encoding="utf-8")
    write_hefei_file(tmp_path / "train" / "1.txt")
    data = open_dataset(f"hefei:{tmp_path}", "round1")
    assert data.items[0].codes == ("正常ECG", "临界ECG") and len(data.label_space) == 55
    with pytest.raises(FileNotFoundError, match=r"no label file of round2, expected hf_round2_train\.txt or"):
        open_dataset(f"hefei:{tmp_path}", "round2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 0 numbers below"), ("I II V1\n1 2 3\n", "found 3 numbers below"),
        ("I II V1 V2 V3 V4 V5 V6\n1 2 3\n", "found 3 numbers"),
        ("I II V1 V2 V3 V4 V5 V6\n1 2 3 4 5 6 7 x\n", r"1\.txt: found .*'x'.*expected whole numbers"),
        ("I II V1 V2 V3 V4 V5 V6\n1 2 3 4 5 6 7 99999999999\n", "expected whole numbers"),
    ],
)  # fmt: skip
def test_hefei_file_that_is_damaged(tmp_path, text, message):
    (tmp_path / "hf_round1_label.txt").write_text("1.txt\t58\tMALE\t正常ECG\n", encoding="utf-8")
    write_hefei_file(tmp_path / "train" / "1.txt")
    data = open_dataset(f"hefei:{tmp_path}", "round1")
    data.items[0].path.write_text(text)
    with pytest.raises(ReadError, match=message):
        data.recording(data.items[0].path)


# --- LUDB, Challenge 2017, Challenge 2021 --------------------------------------------------------------------------


def test_ludb(tmp_path):
    heading = "ID,Sex,Age,Rhythms,Electric axis of the heart"
    rows = ['1,"F\n","51\n","Sinus bradycardia\nWandering atrial pacemaker",x', "2,M,64,Sinus rhythm,x"]
    rows += ['3,M,>89,"Atrial flutter, typical",x']
    (tmp_path / "ludb.csv").write_text("\n".join([heading, *rows]) + "\n")
    for name in ("1", "3"):
        write_recording(tmp_path / "data", name, comments=())
    data = open_dataset(f"ludb:{tmp_path}")
    assert [(i.name, i.codes, i.age, i.sex) for i in data.items] == [
        ("1", ("Sinus bradycardia",), 51.0, "female"), ("3", ("Atrial flutter typical",), 89.0, "male")
    ]  # fmt: skip
    assert stems(data.left_out) == {"2": "no header and signal of this name"}
    assert "1 statements of the column Rhythms are no class: Wandering atrial pacemaker (1)" in data.remarks


def test_challenge_2017(tmp_path):
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,N\nA00002,~\nA00003,A\nA00004,X\nA00001,O\n")
    (tmp_path / "REFERENCE.csv").write_text("A00001,A\n")
    for name in ("A00001", "A00002", "A00004"):
        write_recording(tmp_path / "training2017", name, make_counts(1), leads=("ECG",), comments=())
    data = open_dataset(f"af_2017:{tmp_path}")
    assert [(i.name, i.codes) for i in data.items] == [("A00001", ("N",)), ("A00002", ("~",))]
    assert stems(data.left_out) == {
        "A00003": "no header and signal of this name", "A00004": "label 'X', which is none of N, A, O, ~",
        "A00001": "named twice",
    }  # fmt: skip


def test_challenge_2021_names_its_sources(tmp_path):
    for folder in ("georgia/g1", "WFDB_PTBXL", "mine/g2"):
        write_recording(tmp_path / folder, f"{folder[:1].upper()}0001")
    data = open_dataset(f"challenge:{tmp_path}")
    assert sorted(item.source for item in data.items) == ["", "georgia", "ptb-xl"]
    assert data.label_space is None and "georgia: 1 of 10344 recordings" in data.remarks
    assert "mine: 1 recordings in a folder of none of the sources" in data.remarks
    only = open_dataset(f"challenge:{tmp_path}", sources="georgia")
    assert len(only) == 1 and len(only.left_out) == 2 and only.published == {"": 10344}
    with pytest.raises(ValueError, match="found the source 'gorgia', expected some of cpsc_2018"):
        open_dataset(f"challenge:{tmp_path}", sources="gorgia")


def test_real_data_sets(real_data):
    ludb = open_dataset(f"ludb:{real_data / 'ludb'}")
    assert len(ludb) == 100 and len(ludb.left_out) == 100
    af = open_dataset(f"af_2017:{real_data / 'af_2017'}")
    counts = {code: sum(item.codes == (code,) for item in af.items) for code in "NAO~"}
    assert counts == {"N": 500, "A": 400, "O": 400, "~": 100} and not af.left_out
    challenge = open_dataset(f"challenge:{real_data / 'challenge'}")
    assert len(challenge) == 267 and "cpsc_2018: 103 of 6877 recordings" in challenge.remarks
    for data in (ludb, af, challenge):
        assert data.recording(data.items[0].path).signal.size


# --- a user's own table --------------------------------------------------------------------------------------------


def write_table(path: Path, rows: list[dict], delimiter: str = ",") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def three(tmp_path) -> Path:
    for name in ("a", "b", "c"):
        write_recording(tmp_path / "files", name, make_counts(seed=ord(name)), comments=("#Dx: 10370003",))
    return tmp_path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_table_gives_labels_patients_and_folds(three, delimiter):
    rows = [
        {"File Name": "files/a.hea", "Labels": "AF|PVC", "patient_id": "7.0", "fold": "1", "age": "60", "sex": "F"},
        {"File Name": "files/b", "Labels": "NORM", "patient_id": "8", "fold": "2", "age": "x", "sex": "m"},
        {"File Name": "files/c.mat", "Labels": "NORM", "patient_id": "7", "fold": "2", "age": "", "sex": ""},
    ]
    data = open_dataset(write_table(three / "own.csv", rows, delimiter))
    assert [(i.codes, i.patient, i.fold, i.age, i.sex) for i in data.items] == [
        (("164889003", "164884008"), "7", "1", 60.0, "female"), (("NORM",), "8", "2", None, "male"),
        (("NORM",), "7", "2", None, None),
    ]  # fmt: skip
    assert (data.label_space.abbreviations, data.label_space.normal) == (("AF", "NORM", "PVC"), "NORM")
    assert data.remarks[0] == "age_unreadable in 1 rows"
    assert data.remarks[1] == "the normal label is taken to be NORM (--data-option normal=LABEL)"
    assert "1 patients have recordings in several folds: 7 (1, 2)" in data.remarks
    assert data.recording(data.paths[0]).codes == ("164889003", "164884008")


def test_parquet_table(three):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": ["files/a", "files/b"], "dx": [["AF", "SB"], ["NORM"]], "age": [61.0, None]})
    frame.to_parquet(three / "own.parquet")
    data = open_dataset(three / "own.parquet")
    assert [(i.codes, i.age) for i in data.items] == [(("164889003", "SB"), 61.0), (("NORM",), None)]


def test_table_without_labels_takes_those_of_the_headers(three):
    table = three / "people.csv"
    rows = [f"files/{file.name},6{i}" for i, file in enumerate(find_recordings(three))]
    table.write_text("\n".join(["path,age", *rows]) + "\n")
    with pytest.raises(ValueError, match=r"expected one for labels .*, or labels=none to take them from the headers"):
        open_dataset(table)
    data = open_dataset(table, labels="none")
    recording, header = data.recording(data.paths[1]), read_recording(data.paths[1])
    assert (len(data), data.label_space, recording.age) == (3, None, 61)
    assert recording.codes == data.codes(data.paths[1]) == header.codes != ()
    with pytest.raises(ValueError, match="found labels=none with normal, which say what labels mean"):
        open_dataset(table, labels="none", normal="NORM")


def test_table_of_own_columns_and_of_classes_as_columns(three):
    rows = [{"where": "files/a", "AF": "1", "NORM": "0", "part": "x"}, {"where": "files/b", "AF": "0", "NORM": "1"}]
    table = write_table(three / "own.csv", rows)
    data = open_dataset(table, file="where", labels="AF,NORM", fold="part", normal="NORM")
    assert [i.codes for i in data.items] == [("164889003",), ("NORM",)] and data.official_folds == ("x",)
    rows[0]["AF"] = "maybe"
    with pytest.raises(ValueError, match=r"own\.csv, line 2: found AF = 'maybe', expected 0 or 1"):
        open_dataset(write_table(table, rows), file="where", labels="AF,NORM")


def test_a_row_with_another_diagnosis_has_none_of_the_classes(three):
    rows = [{"file": "files/a", "labels": "SR"}, {"file": "files/b", "labels": "111975006"}]
    data = open_dataset(write_table(three / "own.csv", rows), space="ptbxl_rhythm")
    assert [item.name for item in data.items] == ["files/a", "files/b"] and not data.left_out


def test_what_a_table_names_and_cannot_be_used_is_counted(three):
    rows = [("files/a", "SR"), ("files/gone", "SR"), ("files/b", ""), ("files/a.hea", "AFIB"), ("", "SR")]
    rows += [("files/c", "X")]
    table = write_table(three / "own.csv", [{"file": file, "labels": labels} for file, labels in rows])
    data = open_dataset(table, space="ptbxl_rhythm")
    assert [item.name for item in data.items] == ["files/a"]
    assert dict(data.left_out) == {
        "files/gone": "no such file", "files/b": "no label", "line 6": "no file is named",
        "files/a.hea": "named again in line 5: line 2 counts, which has other labels",
        "files/c": "no label is a class of ptbxl_rhythm",
    }  # fmt: skip


def test_a_table_elsewhere_of_files_without_endings_and_of_one_label(three):
    np.save(three / "files" / "d.npy", np.zeros((2, 5000)))
    (three / "tables").mkdir()
    table = write_table(three / "tables" / "own.csv", [{"file": name, "labels": "AF"} for name in ("a", "d", "gone")])
    with pytest.raises(ValueError, match=r"table:.*own\.csv: found no recording .*folder=FOLDER names another folder"):
        open_dataset(table)
    data = open_dataset(table, folder="../files")
    assert [path.name for path in data.paths] == ["a.hea", "d.npy"]
    with pytest.raises(ValueError, match=rf"table:{table}: found fold 'x', expected none"):
        data.in_folds(["x"])
    assert any("every recording has the same label" in remark for remark in data.remarks)


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"name": "files/a", "labels": "AF"}, {}, r"found columns name, labels, expected one for file .*file=COLUMN"),
        ({"file": "files/a", "AF": 1, "SB": 0, "rate": 61}, {}, r"--data-option labels=AF,SB, or labels=none"),
        ({"file": "files/a", "labels": "AF"}, {"fold": "part"}, r"expected part \(fold\) among them"),
        ({"file": "files/a", "labels": "AF"}, {"normal": "SB"}, "found normal = 'SB', expected one of the labels AF"),
        ({"file": "files/a", "labels": "A#F"}, {}, r"line 2: found the labels 'A#F', expected no '#'"),
        ({"file": "files/z", "labels": "AF"}, {}, r"own\.csv: found no .* 1 × no such file: files/z; .* from"),
    ],
)
def test_table_that_does_not_fit_is_refused(three, row, options, message):
    with pytest.raises(ValueError, match=message):
        open_dataset(write_table(three / "own.csv", [row]), **options)


def test_labels_of_a_table_take_the_place_of_the_headers(three):
    rows = [{"file": f"files/{name}", "labels": label} for name, label in (("a", "AF"), ("b", "NORM"), ("c", "NORM"))]
    data = open_dataset(write_table(three / "own.csv", rows))
    assert read_recording(data.paths[0]).codes == ("10370003",)
    split = Split(0.3, seed=0)
    loaded = load_training_data(data, data.label_space, Preparation([TRANSFORM], three / "cache", workers=1), split)
    assert [r.codes for r in loaded.first.recordings] == [("164889003",), ("NORM",), ("NORM",)]
    assert loaded.labels.tolist() == [[True, False], [False, True], [False, True]]
