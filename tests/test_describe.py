"""``leadset describe``: its counts are those of the files, and the page stands alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording
from test_datasets import ptbxl_row, write_ptbxl

from leadset.classes import label_space
from leadset.cli import main
from leadset.recordings.description import decade, describe, duration_range
from leadset.recordings.importers import open_dataset


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four recordings of two sources: NSR, NSR with AF and a code of no class, none, and one that cannot be read."""
    labels = {"A1": "426783006", "A2": "426783006,164889003,10370003", "A3": "10370003"}
    for i, (name, codes) in enumerate(labels.items()):
        comments = (f"#Age: {35 + 30 * i}", f"#Sex: {'Male' if i else 'Female'}", f"#Dx: {codes}")
        folder = tmp_path / "data" / ("georgia/g1" if i else "ptb")
        write_recording(folder, name, make_counts(12, 500 * (i + 1), i), comments=comments)
    (tmp_path / "data" / "ptb" / "B1.hea").write_text("B1 12 five hundred\n")
    return tmp_path / "data"


def test_counts_are_those_of_the_headers(folder):
    space = label_space("cpsc2018")
    found = describe(open_dataset(folder), space)
    assert (found.recordings, dict(found.labels_each)) == (3, {1: 1, 2: 1, 0: 1})
    assert dict(zip(space.abbreviations, found.counts.tolist(), strict=True))["SNR"] == 2
    assert found.together[:2, :2].tolist() == [[2, 1], [1, 1]] and found.together.sum() == 5
    assert found.ages == {("30–39", "female"): 1, ("60–69", "male"): 1, ("90–99", "male"): 1}
    assert found.sources == {"ptb": 1, "georgia": 2} and found.rates == {"500 Hz": 3} and found.leads == {"12": 3}
    assert found.durations == {"0–5 s": 3} and found.other_codes == {"10370003": 2}
    assert [Path(what).name for what, _ in found.unreadable] == ["B1.hea"]


def test_what_a_data_set_says_counts_before_the_headers(tmp_path):
    rows = [ptbxl_row(1), ptbxl_row(2, "{'IMI': 1.0}", fold=2, age="71.0", sex="0"), ptbxl_row(3, "{'SR': 0.0}")]
    data = open_dataset(f"ptbxl:{write_ptbxl(tmp_path, rows)}")
    found = describe(data, data.label_space)
    assert dict(zip(data.label_space.abbreviations, found.counts.tolist(), strict=True)) == {
        "CD": 0, "HYP": 0, "MI": 1, "NORM": 1, "STTC": 0
    }  # fmt: skip
    assert found.ages == {("50–59", "female"): 1, ("70–79", "male"): 1} and found.folds == {"1": 1, "2": 1}
    assert {fold: counts.tolist() for fold, counts in found.by_fold.items()} == {
        "1": [0, 0, 0, 1, 0], "2": [0, 0, 1, 0, 0]
    }  # fmt: skip


def test_page_is_one_file_that_says_what_the_command_says(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["describe", str(folder), "--label-space", "cpsc2018", "--html", str(page)]) == 0
    printed, text = capsys.readouterr().out, page.read_text(encoding="utf-8")
    assert re.search(r"^  SNR +2  sinus rhythm$", printed, re.MULTILINE)
    assert "1 codes are of no class: 10370003 (2)" in printed
    unreadable = r"^cannot be read: 1 × line 1: found sampling rate five, expected .*: .*B1.hea$"
    assert re.search(unreadable, printed, re.MULTILINE)
    assert "<td>SNR</td><td>sinus rhythm</td><td class=n>2</td>" in text
    assert "1 codes are of no class: 10370003 (2)" in text and "B1.hea" in text and "A2, lead II" in text
    assert text.count("<svg") == 2 and not re.search(r"<script|<link|src=|@import|url\(", text)


def test_names_from_files_are_escaped(tmp_path):
    write_recording(tmp_path / "<b>x", "A1")
    page = tmp_path / "page.html"
    assert main(["describe", str(tmp_path), "--html", str(page)]) == 0
    assert "<b>x" not in page.read_text(encoding="utf-8") and "&lt;b&gt;x" in page.read_text(encoding="utf-8")


def test_a_recording_without_a_signal_file_is_named_on_the_page(folder, tmp_path):
    (folder / "georgia" / "g1" / "A2.mat").unlink()
    assert main(["describe", str(folder), "--html", str(tmp_path / "page.html")]) == 0
    assert "A2.mat: found no such file" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("age", "shown"), [(0.2, "0–9"), (39.9, "30–39"), (40, "40–49"), (None, "unknown")])
def test_decade(age, shown):
    assert decade(age) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(10, "9–11 s"), (5, "5–9 s"), (7200, "over 1800 s"), (None, "unknown")])
def test_duration(seconds, shown):
    assert duration_range(seconds) == shown


def test_real_recordings(real_data, tmp_path):
    found = describe(open_dataset(real_data / "challenge"), label_space("challenge2021"))
    assert found.recordings == 267 and not found.unreadable
    assert found.counts[found.space.normal_index] == 62 and np.array_equal(found.together, found.together.T)
    assert main(["describe", f"ptbxl:{real_data / 'ptbxl'}", "--task", "form", "--html", str(tmp_path / "p.html")]) == 0
    assert "no statement of task form" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_faults_that_differ_in_names_and_numbers_are_one_line(tmp_path, capsys):
    for i in range(3):
        np.save(tmp_path / f"{i:04}.npy", make_counts(12, 500, i) / 1000)
    (tmp_path / "table.csv").write_text("file,labels\n" + "".join(f"{i:04}.npy,NSR\n" for i in range(3)))
    assert main(["describe", str(tmp_path / "table.csv")]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("cannot be read")]
    assert line.startswith("cannot be read: 3 × found an array without") and "expected 0000.json or arrays.json" in line


def test_labels_count_where_no_array_can_be_read(tmp_path, capsys):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", make_counts(12, 500) / 1000)
    (tmp_path / "t.csv").write_text("file,labels,age,sex,fold\na.npy,AF,61,M,1\nb.npy,NORM;PVC,,F,2\n")
    assert main(["describe", str(tmp_path / "t.csv"), "--html", str(tmp_path / "page.html")]) == 0
    printed = capsys.readouterr().out
    for line in ("  AF         1", "  PVC        1", "ages: 60–69 (1), unknown (1)", "rates: unknown (2)"):
        assert line in printed
    told = "of 2 of 2 recordings only what t.csv says is counted: their files cannot be read"
    assert told in printed and told in (tmp_path / "page.html").read_text(encoding="utf-8")
    (line,) = [line for line in printed.splitlines() if line.startswith("cannot be read")]
    assert line.startswith("cannot be read: 2 × found an array without fs, unit, leads")
