"""Cells of tables of labels as programs and people write them; what may mean something else is said."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from leadset.recordings.importers import open_dataset
from leadset.recordings.patients import read_patient_tables
from leadset.utils.text_encoding import GUESS


def opened(folder: Path, heading: str, *rows: str):
    """The data set of a table whose rows are of the files a, b and so on."""
    for i, _ in enumerate(rows):
        np.save(folder / f"{chr(97 + i)}.npy", np.zeros((2, 500)))
    lines = [heading, *(f"{chr(97 + i)}{row}" for i, row in enumerate(rows))]
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return open_dataset(folder / "t.csv")


@pytest.mark.parametrize(
    "cell",
    ["164889003;426783006", "164889003 426783006", "\"['164889003', '426783006']\"", '"[164889003, 426783006]"',
     "164889003、426783006", "164889003；426783006", "1.64889003E+08;426783006.0", "164889003|426783006"],
)  # fmt: skip
def test_several_codes_in_a_cell(tmp_path, cell):
    data = opened(tmp_path, "file,labels", f",{cell}", ",426783006")
    assert [item.codes for item in data.items] == [("164889003", "426783006"), ("426783006",)]


def test_words_in_lists_and_labels_with_likelihoods(tmp_path):
    data = opened(tmp_path, "file,labels", ",\"['AF', 'NORM']\"", ",['NORM']")
    assert data.label_space.abbreviations == ("AF", "NORM")
    with pytest.raises(ValueError, match=r"t\.csv, line 2: found the labels .*expected labels with ; \| or , between"):
        opened(tmp_path, "file,labels", ",{'AF': 100.0}", ",NORM")


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
