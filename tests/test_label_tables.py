"""Cells of tables of labels as programs and people write them; what may mean something else is said."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording

from leadset.classes import label_space, place_label_space
from leadset.preprocess import Transform
from leadset.recordings.importers import open_dataset
from leadset.recordings.patients import read_patient_tables
from leadset.training.data import Preparation, Split, load_training_data
from leadset.utils.text_encoding import GUESS


def opened(folder: Path, heading: str, *rows: str):
    """The data set of a table whose rows are of the files a, b and so on."""
    for i, _ in enumerate(rows):
        np.save(folder / f"{chr(97 + i)}.npy", np.zeros((2, 500)))
    lines = [heading, *(f"{chr(97 + i)}{row}" for i, row in enumerate(rows))]
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return open_dataset(folder / "t.csv")


def quoted(cell: str) -> str:
    """A cell as CSV has it."""
    return '"' + cell.replace('"', '""') + '"'


def parquet(folder: Path, cell: object) -> Path:
    """A table of one recording with this cell of labels."""
    pandas = pytest.importorskip("pandas")
    np.save(folder / "a.npy", np.zeros((2, 500)))
    pandas.DataFrame({"file": ["a"], "labels": [cell]}).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize(
    ("labels", "source", "unknown"), [("labels", "", 0), ("labels", "cpsc_2018", 19), ("none", "", 19)]
)
def test_labels_of_a_table_are_not_those_that_the_folder_is_known_for(tmp_path, labels, source, unknown):
    """The Challenge's label space says of the source ``cpsc_2018`` that it never annotates nineteen classes."""
    for folder in ("cpsc_2018", "mine"):
        write_recording(tmp_path / folder, "a", make_counts(seed=len(folder)))
    rows = [f"cpsc_2018/a,426783006,{source}", "mine/a,426783006,"]
    (tmp_path / "t.csv").write_text("\n".join(["file,labels,source", *rows]))
    options = {"labels": labels} | ({"space": "challenge2021"} if labels != "none" else {})
    data = open_dataset(tmp_path / "t.csv", **options)
    loaded = load_training_data(
        data, label_space("challenge2021"), Preparation([Transform(100)], tmp_path / "cache", workers=1), Split(0.5, 0)
    )
    first = [recording.path for recording in loaded.first.recordings].index(str(tmp_path / "cpsc_2018" / "a.hea"))
    assert np.isnan(loaded.targets[first]).sum() == unknown


@pytest.mark.parametrize(
    "cell",
    ["164889003;426783006", "164889003 426783006", "\"['164889003', '426783006']\"", '"[164889003, 426783006]"',
     "164889003、426783006", "164889003；426783006", "1.64889003E+08;426783006.0", "164889003|426783006"],
)  # fmt: skip
def test_several_codes_in_a_cell(tmp_path, cell):
    data = opened(tmp_path, "file,labels", f",{cell}", ",426783006")
    assert [item.codes for item in data.items] == [("164889003", "426783006"), ("426783006",)]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [*((cell, ["AF", "NORM"]) for cell in (
        "['AF', 'NORM']", '["AF", "NORM"]', "['AF' 'NORM']", "['AF'\n 'NORM']", "('AF', 'NORM')", "[AF, NORM]")),
     ("['NORM']", ["NORM"]), ("('NORM',)", ["NORM"]), ("['AF', None, nan]", ["AF"]),
     ("['Sinus rhythm, normal', 'AF; NORM']", ["AF; NORM", "Sinus rhythm, normal"]),
     ("['AF (slow)', 'AVB [I]']", ["AF (slow)", "AVB [I]"]), ("['Mobitz's type', 'AF']", ["AF", "Mobitz's type"]),
     ("""["Mobitz' type", 'a"b']""", ["Mobitz' type", 'a"b']), (r"""['a\'"', "f\u00fcr"]""", ["a'\"", "für"]),
     ("[8 9]", ["8", "9"]), ("[8. 9.]", ["8", "9"]), ("[0 1]", ["0", "1"])],
)  # fmt: skip
def test_words_of_lists(tmp_path, cell, labels):
    space = opened(tmp_path, "file,labels", f",{quoted(cell)}").label_space
    assert sorted(space.abbreviations) == sorted(labels)
    assert label_space(place_label_space(space, tmp_path)).abbreviations == space.abbreviations


@pytest.mark.parametrize(
    ("cell", "expected"),
    [*((cell, "labels with ; | or , between them, or a list") for cell in (
        "{'AF': 100.0}", "array(['AF', 'PVC'], dtype='<U3')", "Index(['AF'])", "[['AF', 'PVC']]", "(('AF', 'PVC'),)",
        "[np.str_('AF')]", "AF (slow, old)", "AF; dtype=object")),
     *((cell, "a column of 0 and 1 for each") for cell in (
         "[0, 1, 0]", "[0 1 0]", "[0. 1. 1.]", "['0', '1', '0']", "[ True False False]", "0;1;0"))],
)  # fmt: skip
def test_cells_that_are_no_labels_are_refused(tmp_path, cell, expected):
    with pytest.raises(ValueError, match=rf"t\.csv, line 2: found the labels .*expected .*{re.escape(expected)}"):
        opened(tmp_path, "file,labels", f",{quoted(cell)}", ",NORM")


@pytest.mark.parametrize(
    ("cell", "codes"),
    [(["AF", "Sinus; x"], ("164889003", "Sinus x")), (np.array(["it's", "SB"]), ("it's", "SB")),
     (["a [b]", None], ("a [b]",)), ([426783006, 164889003], ("426783006", "164889003")),
     ([426783006.0], ("426783006",))],
)  # fmt: skip
def test_lists_in_parquet_are_labels_one_by_one(tmp_path, cell, codes):
    data = open_dataset(parquet(tmp_path, cell))
    assert data.items[0].codes == codes


def test_a_label_with_separators_may_be_the_normal_one(tmp_path):
    space = open_dataset(parquet(tmp_path, ["AF", "Sinus; x"]), normal="Sinus; x").label_space
    assert space.abbreviations[space.normal_index] == "Sinus; x"


@pytest.mark.parametrize("cell", [[0, 1, 0], [False, False, True], [["AF", "SB"]], {"AF": 1.0}])
def test_vectors_in_parquet_are_refused(tmp_path, cell):
    with pytest.raises(ValueError, match=r"t\.parquet, line 1: found the labels .*, expected"):
        open_dataset(parquet(tmp_path, cell))


@pytest.mark.parametrize("word", ["", "NULL", "nan", "None", "unknown", "-1", "anonymous"])
def test_words_for_no_patient_and_no_fold(tmp_path, word):
    fold = "" if word in ("-1", "anonymous") else word
    data = opened(tmp_path, "file,labels,patient,fold", f",AF,{word},1", f",AF,{word},{fold}", ",AF,7.0,2", ",AF,7,1.0")
    assert [(item.patient, item.fold) for item in data.items] == [("", "1"), ("", ""), ("7", "2"), ("7", "1")]
    tested = data.in_folds(["1"])
    assert [Path(path).stem for path in tested + data.of_patients_of(tested)] == ["a", "d", "c"]


@pytest.mark.parametrize("cell", ["XX+YY", "XX / YY", "XX&YY", "XX:YY", "XX YY", "XX and YY"])
def test_a_label_that_may_be_several_is_said(tmp_path, cell):
    data = opened(tmp_path, "file,labels", f",{cell}", ",XX", ",YY", ",NORM", ",no ZZ", ",A/B")
    (remark,) = [remark for remark in data.remarks if "is one class beside" in remark]
    assert repr(cell) in remark


def test_labels_of_another_case_are_said(tmp_path):
    remarks = opened(tmp_path, "file,labels", ",NORM", ",Norm", ",XX").remarks
    assert sum("differs from another in its case alone" in remark for remark in remarks) == 2


@pytest.mark.parametrize(
    ("column", "cell", "age"),
    [("age_months", "6", 0.5), ("Age (months)", "6", 0.5), ("age_days", "730.5", 2), ("age", "061Y", 61),
     ("age_months", "2 years", 2), ("age_in_years", "61", 61)],
)  # fmt: skip
def test_ages_have_the_unit_of_their_column(tmp_path, column, cell, age):
    np.save(tmp_path / "a.npy", np.zeros((2, 500)))
    (tmp_path / "t.csv").write_text(f"file,labels,{column}\na,AF,{cell}\n")
    data = open_dataset(tmp_path / "t.csv", age=column)
    assert data.items[0].age == pytest.approx(age, rel=1e-3)
    if "(" not in column:
        assert open_dataset(tmp_path / "t.csv").items == data.items


def test_columns_of_persons_that_are_not_read_are_said(tmp_path):
    remarks = opened(tmp_path, "file,labels,birth_date,Sex (0=m),stage", ",AF,1950-01-01,0,2").remarks
    said = [remark for remark in remarks if "is not read" in remark]
    assert [remark.split()[1] for remark in said] == ["birth_date", "Sex"]


def test_paths_of_windows(tmp_path):
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x" / "a.npy", np.zeros((2, 500)))
    (tmp_path / "t.csv").write_text("file,labels\nx\\a.npy,AF\n.\\x\\b,AF\n")
    data = open_dataset(tmp_path / "t.csv")
    assert [item.path for item in data.items] == [tmp_path / "x" / "a.npy"]
    assert [what for what, _ in data.left_out] == [".\\x\\b"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_as_spreadsheets_save_them(tmp_path, encoding, separator):
    """The first letter beyond ASCII is far behind the first lines."""
    rows = [["file", "labels", "sex", "patient"], *([f"r{i}", "AF", "f", f"p{i}"] for i in range(3000))]
    rows += [["größe", "AF", "männlich", "Jürgen"], ["last", "AF", "m", "Jörgen"]]
    for row in rows[-2:]:
        np.save(tmp_path / f"{row[0]}.npy", np.zeros((2, 500)))
    (tmp_path / "t.csv").write_text("\n".join(separator.join(row) for row in rows) + "\n", encoding=encoding)
    data = open_dataset(tmp_path / "t.csv")
    assert [(item.name, item.sex, item.patient) for item in data.items] == [
        ("größe", "male", "Jürgen"), ("last", "male", "Jörgen")
    ]  # fmt: skip
    guessed = encoding == "latin-1"
    assert (GUESS in data.remarks) == guessed, "a guess is said"
    with pytest.warns(UserWarning, match="t.csv: neither UTF-8 nor UTF-16") if guessed else nullcontext():
        found = read_patient_tables(tmp_path)
    assert len(found) == 3002 and {found["größe"], found["last"]} == {"Jürgen", "Jörgen"}
