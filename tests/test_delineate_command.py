"""``python -m leadset delineate``: marks of recordings on disk as CSV, WFDB annotations and plots."""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np
import pytest

from leadset.cli import main
from leadset.commands._data import find_records
from leadset.waves import MARKS, delineate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings of the same name in two folders, two leads each, and a damaged one."""
    wfdb = pytest.importorskip("wfdb")
    t = np.arange(5000) / 500
    lead = sum(np.exp(-0.5 * ((t - at) / 0.012) ** 2) + 0.3 * np.exp(-0.5 * ((t - at - 0.28) / 0.04) ** 2)
               for at in np.arange(0.6, 9.5, 0.8))
    for group in ("a", "b"):
        (tmp_path / group).mkdir()
        wfdb.wrsamp("rec", fs=500, units=["mV", "mV"], sig_name=["I", "II"], fmt=["16", "16"],
                    p_signal=np.stack([lead, 0.7 * lead], axis=1), write_dir=str(tmp_path / group))
    (tmp_path / "b" / "broken.hea").write_text("broken 2 500 5000\n")
    return tmp_path


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_marks_annotations_and_plot(folder: Path, tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    pytest.importorskip("matplotlib")
    output = tmp_path / "out" / "marks.csv"
    assert main(["delineate", str(folder / "a" / "rec.hea"), "--plot", "-o", str(output)]) == 0
    rows = read_rows(output)
    assert [row["lead"] for row in rows[::12]] == ["I", "II", "all"]
    from leadset import read_recording

    recording = read_recording(folder / "a" / "rec.hea")
    expected = delineate(recording.signal, 500).marks[0, 3]
    for name, value in zip(MARKS, expected, strict=True):
        assert rows[3][name] == ("" if np.isnan(value) else f"{value:.1f}")
    annotation = wfdb.rdann(str(output.parent / "rec"), "pqrst")
    peaks = annotation.sample[(np.array(annotation.symbol) == "N") & (annotation.chan == 1)]
    np.testing.assert_allclose(peaks, 500 * np.arange(0.6, 9.5, 0.8), atol=2)
    assert sorted(set(annotation.symbol)) == ["(", ")", "N", "t"]
    assert (output.parent / "rec_marks.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in output.parent.iterdir()) == ["marks.csv", "rec.pqrst", "rec_marks.png"]


def test_measurements_are_a_row_for_each_recording_and_say_what_is_missing(folder: Path) -> None:
    table = folder / "intervals.csv"
    arguments = ["delineate", str(folder), "-o", str(folder / "marks.csv"), "--measurements", str(table)]
    assert main(arguments) == 1
    rows = read_rows(table)
    assert [row["recording"] for row in rows] == ["a_rec", "b_rec"]
    assert all(abs(float(row["rate"]) - 75) < 0.5 for row in rows), "beats 0.8 s apart"
    assert all(row["pr"] == "" and "PR: P in 0 of 12 beats" in row["missing"] for row in rows)
    assert all(100 < float(row["qt"]) < 600 and "QT:" not in row["missing"] for row in rows)


def test_a_table_names_recordings(folder: Path, capsys) -> None:
    table = folder / "own.csv"
    table.write_text("file,labels,age\na/rec,AF,61\nb/rec,NORM,62\n")
    assert main(["delineate", str(table), "-o", str(folder / "marks.csv"), "--method", "wavelet"]) == 0
    assert {row["recording"] for row in read_rows(folder / "marks.csv")} == {"a_rec", "b_rec"}
    records = find_records([str(table)], argparse.Namespace(task=None, data_option=[], fold=[]))
    assert [records.read(path).age for path in records.paths] == [61.0, 62.0]
    assert [recording.age for recording in records.inputs()] == [61.0, 62.0]


def test_folders_are_searched_equal_names_told_apart_and_damage_skipped(folder: Path, capsys) -> None:
    output = folder / "marks.csv"
    assert main(["delineate", str(folder), "-o", str(output), "--method", "wavelet"]) == 1
    assert {row["recording"] for row in read_rows(output)} == {"a_rec", "b_rec"}
    assert {path.name for path in folder.glob("*.pqrst")} == {"a_rec.pqrst", "b_rec.pqrst"}
    message = capsys.readouterr().err
    assert "broken.hea" in message
    assert "2 recordings delineated, 1 skipped" in message


def test_a_complex_cut_off_by_the_start_is_drawn(folder: Path, tmp_path: Path, capsys) -> None:
    wfdb = pytest.importorskip("wfdb")
    pytest.importorskip("matplotlib")
    lead = wfdb.rdrecord(str(folder / "a" / "rec")).p_signal[300 - 12 :]  # begins within a complex
    wfdb.wrsamp("cut", fs=500, units=["mV", "mV"], sig_name=["I", "II"], fmt=["16", "16"], p_signal=lead,
                write_dir=str(tmp_path))
    output = tmp_path / "out" / "marks.csv"
    assert main(["delineate", str(tmp_path / "cut"), "--plot", "-o", str(output)]) == 0
    first = read_rows(output)[0]
    assert first["QRSon"] == "" != first["R"]
    assert (output.parent / "cut_marks.png").read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()


@pytest.mark.parametrize("fails", ["save_sheet", "write_annotations"])
def test_what_cannot_be_made_beside_the_marks_costs_no_rows(folder: Path, capsys, monkeypatch, fails: str) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("cannot draw")

    monkeypatch.setattr(f"leadset.commands.delineate.{fails}", broken)
    output = folder / "marks.csv"
    assert main(["delineate", str(folder / "a"), str(folder / "b"), "--plot", "-o", str(output)]) == 1
    assert len(read_rows(output)) == 2 * 3 * 12
    message = capsys.readouterr().err
    assert message.count("RuntimeError: cannot draw") == 2
    assert "2 recordings delineated, 1 skipped" in message
    assert "2 recordings without annotations or picture" in message


def test_names_that_wfdb_would_not_write(folder: Path, capsys) -> None:
    wfdb = pytest.importorskip("wfdb")
    (folder / "a" / "rec.hea").rename(folder / "a" / "rec 1.5 \N{GREEK SMALL LETTER ALPHA}.hea")
    output = folder / "out" / "marks.csv"
    assert main(["delineate", str(folder / "a"), "-o", str(output)]) == 0
    assert "1 recordings delineated, 0 skipped" in capsys.readouterr().err
    annotation = wfdb.rdann(str(output.parent / "rec 1.5 \N{GREEK SMALL LETTER ALPHA}"), "pqrst")
    assert annotation.symbol.count("N") == 2 * 12


def test_an_output_that_cannot_be_written_is_no_fault_of_a_recording(folder: Path, capsys, monkeypatch) -> None:
    output = folder / "a_folder"
    output.mkdir()
    monkeypatch.setattr("leadset.commands.delineate.delineate", None)  # work that would be lost
    assert main(["delineate", str(folder), "-o", str(output)]) == 1
    assert capsys.readouterr().err == f"leadset delineate: {output}: a folder, expected a file to write\n"
    monkeypatch.undo()

    # Who reads a pipe, such as `head`, may have enough of it: the run ends, and nothing is said of recordings.
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as closed:
        monkeypatch.setattr("sys.stdout", closed)
        assert main(["delineate", str(folder / "a")]) == 1
    assert capsys.readouterr().err == ""


def test_marks_go_to_standard_output(folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert main(["delineate", "a/rec"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("recording,fs,lead,beat,Pon")
    assert len(lines) == 1 + 3 * 12
    assert sorted(folder.rglob("*")) == before


def test_a_missing_recording_is_named(tmp_path: Path, capsys) -> None:
    assert main(["delineate", str(tmp_path / "nothing.hea")]) == 1
    assert "nothing.hea" in capsys.readouterr().err


def test_what_reading_found_is_said(folder: Path, capsys) -> None:
    path = folder / "a" / "rec.hea"
    path.write_text(path.read_text().replace("/mV", "/NU"))
    assert main(["delineate", str(path)]) == 0
    assert f"{path}: unknown_unit (unit is not a voltage: taken as mV)" in capsys.readouterr().err
