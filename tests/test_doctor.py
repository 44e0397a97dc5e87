"""The audit of a folder: counts, oddities, repeats, and what will be skipped."""

from __future__ import annotations

import csv
import re
import tracemalloc

import joblib
import numpy as np
import pytest
from files_on_disk import header_text, make_counts, write_recording

from leadset.classes import label_space
from leadset.cli import main
from leadset.commands.doctor import report
from leadset.recordings import audit, find_recordings
from leadset.recordings.audit import audit_folder, audit_recording
from leadset.signals import FLAGS

SPACE = label_space("challenge2021")


@pytest.fixture
def folder(tmp_path):
    """Two sources with one fault of each kind."""
    root = tmp_path / "data"
    flat, gaps = make_counts(seed=1), make_counts(seed=2)
    flat[7] = 5
    gaps[8, :10] = -32768
    first, second = root / "training/alpha/g1", root / "training/beta/g2"
    sums = [int(row.sum()) % 65536 or 1 for row in make_counts()]
    write_recording(first, "A0001", checksums=sums)
    write_recording(first, "A0002", flat, comments=("# Age: 300", "# Dx: 59118001,713427006"), form="16x1+24")
    write_recording(first, "A0003", gaps, comments=("#Dx: 55827005",), checksums=[1] * 12)
    write_recording(first, "A0004")  # the signal of A0001
    write_recording(second, "A0001", make_counts(2, seed=3), comments=("#Dx: nonsense",), leads=("II", "V5"))
    write_recording(second, "B0001", make_counts(1, seed=4), leads=("ECG",))
    (write_recording(second, "B0002").with_suffix(".mat")).unlink()
    (write_recording(second, "B0003").with_suffix(".mat")).unlink()
    write_recording(second, "B0004", text="B0004 12 fast 1000\n")
    (second / "B0005.hea").write_bytes(bytes(range(256)))
    return root


def _rows(root):
    return {row.path: row for row in audit_folder(root, find_recordings(root), SPACE)}


def test_facts_of_each_recording(folder):
    rows = _rows(folder)
    clean = rows["training/alpha/g1/A0001.hea"]
    assert (clean.source, clean.dialect) == ("training/alpha", "2021")
    assert (clean.fs, clean.samples, clean.seconds) == (500, 1000, 2)
    assert (clean.scored, clean.labels, clean.flags, clean.error) == (("NSR",), "scored", (), "")
    flat = rows["training/alpha/g1/A0002.hea"]
    assert flat.scored == ("RBBB",)  # both codes of a pair are one class
    assert (flat.dialect, flat.flags) == ("current", ("age_implausible", "flat:V2"))
    gaps = rows["training/alpha/g1/A0003.hea"]
    assert (gaps.labels, gaps.scored, gaps.codes) == ("unscored", (), ("55827005",))
    assert gaps.flags == ("checksum_mismatch", "nonfinite:V3")
    reduced = rows["training/beta/g2/A0001.hea"]
    assert (reduced.labels, reduced.leads, reduced.flags[0]) == ("none", ("II", "V5"), "unknown_label")
    assert "missing:V1" in reduced.flags


def test_words_that_name_a_class_and_diagnoses_in_other_comments_are_reported(tmp_path):
    for i, comment in enumerate(("#Dx: Sinus Bradycardia", "#Dx: sb", "#Diagnosis: 426177001")):
        write_recording(tmp_path, f"A000{i}", make_counts(seed=i), comments=(comment,))
    text = report(audit_folder(tmp_path, find_recordings(tmp_path), SPACE), SPACE)
    for word in ("Sinus Bradycardia", "sb"):
        assert f"word '{word}', in 1 recordings, is the name of SB, but no code: it does not count, 426177001" in text
    assert re.search(r"^diagnoses_elsewhere +1 ", text, re.MULTILINE)


def test_repeats_are_marked(folder):
    rows = _rows(folder)
    copies = {path: row.duplicate_of for path, row in rows.items() if row.duplicate_of}
    assert copies == {"training/alpha/g1/A0004.hea": "training/alpha/g1/A0001.hea"}
    namesakes = {path: row.same_stem_as for path, row in rows.items() if row.same_stem_as}
    assert namesakes == {"training/beta/g2/A0001.hea": "training/alpha/g1/A0001.hea"}


def test_what_cannot_be_used_is_reported_and_ends_nothing(folder, monkeypatch):
    errors = {path.split("/")[-1]: row.error for path, row in _rows(folder).items() if row.error}
    assert set(errors) == {"B0001.hea", "B0002.hea", "B0003.hea", "B0004.hea", "B0005.hea"}
    assert "no usable lead: found ECG" in errors["B0001.hea"]
    assert "B0002.mat: found no such file" in errors["B0002.hea"]
    assert "B0004.hea, line 1: found sampling rate fast" in errors["B0004.hea"]

    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(audit, "preparing_flags", broken)
    row = audit_recording(folder / "training/alpha/g1/A0001.hea", folder, SPACE)
    assert row.error.endswith("A0001.hea: MemoryError")


@pytest.mark.parametrize(
    ("arguments", "few", "processes"), [([], 400, 1), ([], 0, -1), (["-j", "2"], 400, 2), (["-j", "-1"], 400, -1)]
)
def test_jobs_are_what_is_asked_for(folder, monkeypatch, arguments, few, processes):
    used = []
    monkeypatch.setattr(audit, "_FEW", few)
    monkeypatch.setattr(joblib, "Parallel", lambda n_jobs, return_as: used.append(n_jobs) or (lambda calls: iter(())))
    main(["doctor", str(folder), *arguments])
    assert used == [processes]


def test_processes_find_the_same(folder):
    paths = find_recordings(folder)
    assert audit_folder(folder, paths, SPACE, n_jobs=2) == audit_folder(folder, paths, SPACE)


@pytest.mark.parametrize("jobs", ["0", "-2", "many", "1.5"])
def test_jobs_that_are_none(folder, capsys, jobs):
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", str(folder), "-j", jobs])
    assert "expected a number of processes" in capsys.readouterr().err


def test_report(folder):
    text = report(list(_rows(folder).values()), SPACE)
    table = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert table["training/alpha"][1:3] == ["4", "0"]
    assert table["training/alpha"][-3:] == ["3", "1", "0"]
    assert table["training/beta"][1:3] == ["6", "5"]
    assert table["all"][1:3] == ["10", "5"]
    assert table["RBBB"][1] == "1"
    assert table["AF"][1] == "0"
    assert table["flat"][1:] == ["1", "a", "lead", "is", "constant"]
    assert table["age_implausible"][2:] == FLAGS["age_implausible"].split()
    assert "2 codes are of no class: 55827005 (1), nonsense (1); 2 recordings have none but such codes" in text
    assert "training/alpha/g1/A0004.hea = training/alpha/g1/A0001.hea" in text
    assert "1 with the file name of another (answers have their folder, or their ending, in the name): " in text
    assert "5 of 10 recordings will be skipped:" in text
    # Reasons that differ in the record's name only are one line.
    assert "2 × found no such file, expected the signal of B0002: training/beta/g2/B0002.hea" in text
    assert "found sampling rate fast, expected 50 to 10000 Hz, line 1: training/beta/g2/B0004.hea" in text


def test_command_writes_one_line_per_recording(folder, tmp_path, capsys):
    output = tmp_path / "out" / "audit.csv"
    assert main(["doctor", str(folder), "-o", str(output)]) == 0
    assert f"10 lines written to {output}" in capsys.readouterr().out
    with open(output, newline="") as file:
        lines = {line["path"]: line for line in csv.DictReader(file)}
    assert len(lines) == 10
    line = lines["training/alpha/g1/A0002.hea"]
    assert (line["codes"], line["scored"], line["age"], line["fs"]) == ("59118001 713427006", "RBBB", "", "500.0")
    assert lines["training/beta/g2/B0002.hea"]["error"].endswith("expected the signal of B0002")


def test_classes_are_those_of_the_label_space(tmp_path, capsys, monkeypatch):
    for i, code in enumerate(("164884008", "164884008,55827005", "429622005", "426783006")):
        write_recording(tmp_path / "data", f"A{i}", make_counts(seed=i), comments=(f"#Dx: {code}",))
    assert main(["doctor", str(tmp_path / "data")]) == 0
    challenge = capsys.readouterr().out
    assert "26 classes of label space challenge2021" in challenge
    assert "code 164884008, in 2 recordings, is trained as PVC; scores take no notice of it" in challenge
    assert "2 codes are of no class" in challenge and "1 recordings have none but such codes" in challenge
    (tmp_path / "own.toml").write_text("label_space = 'cpsc2018'\n")
    monkeypatch.setenv("LEADSET_CONFIG", str(tmp_path / "own.toml"))
    assert main(["doctor", str(tmp_path / "data")]) == 0
    configured = capsys.readouterr().out
    monkeypatch.delenv("LEADSET_CONFIG")
    assert main(["doctor", str(tmp_path / "data"), "--label-space", "cpsc2018"]) == 0
    assert capsys.readouterr().out == configured
    counts = {line.split()[0]: line.split()[1] for line in configured.splitlines() if line}
    assert "9 classes of label space cpsc2018" in configured and "AFL" not in counts
    assert (counts["PVC"], counts["STD"], counts["SNR"]) == ("2", "1", "1")
    assert "counts as" not in configured
    assert main(["doctor", str(tmp_path / "data"), "--label-space", "icd"]) == 1
    assert "no label space 'icd': expected one of challenge2021, " in capsys.readouterr().err


def test_command_without_anything_to_audit(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    cases = {"missing": "no such folder", "empty": "no recording in it or below", "file": "a file, expected a folder"}
    for name, message in cases.items():
        assert main(["doctor", str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err


def test_command_where_nothing_can_be_used(tmp_path, capsys):
    (tmp_path / "A.hea").write_text(header_text())
    assert main(["doctor", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "1 of 1 recordings will be skipped" in captured.out
    assert "none of 1 recordings can be used" in captured.err


def test_what_is_not_read_is_counted(tmp_path, capsys):
    write_recording(tmp_path)
    for name in ("A.h5", "B.h5"):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
    assert main(["doctor", str(tmp_path)]) == 0
    assert "2 files look like recordings and are not read:\n     2 × HDF5: A.h5, B.h5" in capsys.readouterr().out
    (tmp_path / "A0001.hea").unlink()
    assert main(["doctor", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "1 × MATLAB file without a header: A0001.mat" in captured.out
    assert "no recording in it or below" in captured.err


@pytest.mark.parametrize("gap", [0, 100_000])
def test_memory_stays_within_a_few_times_the_file(tmp_path, gap):
    counts = make_counts(2, 1_800_000)  # two hours of two leads at 250 Hz
    counts[0, 1000 : 1000 + gap] = -32768
    path = write_recording(tmp_path, counts=counts, leads=("V5", "II"), record_line="A0001 2 250 1800000")
    size = counts.nbytes
    del counts
    audit_recording(path, tmp_path, SPACE)
    tracemalloc.start()
    try:
        assert not audit_recording(path, tmp_path, SPACE).error
        assert tracemalloc.get_traced_memory()[1] < 10 * size
    finally:
        tracemalloc.stop()


def test_units_that_cannot_be_right_are_noticed(tmp_path):
    path = write_recording(tmp_path, gain="1000/V")
    row = audit_recording(path, tmp_path, SPACE)
    assert (row.source, row.flags) == (tmp_path.name, ("implausible_amplitude",))


def test_real_challenge_recordings(real_data):
    root = real_data / "challenge"
    rows = audit_folder(root, find_recordings(root), SPACE)
    assert [row.error for row in rows if row.error] == []
    assert not any("checksum_mismatch" in row.flags for row in rows)
    counts = {name: sum(name in row.scored for row in rows) for name in ("NSR", "STach", "SB", "PAC", "RBBB", "AF")}
    assert counts == {"NSR": 62, "STach": 29, "SB": 28, "PAC": 28, "RBBB": 27, "AF": 22}
    assert sum(bool(row.duplicate_of) for row in rows) >= 1
    assert all(np.isclose(row.seconds, row.samples / row.fs) and row.leads for row in rows)


def test_data_set_is_audited_with_the_labels_of_its_tables(tmp_path, capsys):
    for name in ("a", "b", "c"):
        write_recording(tmp_path / "files", name, make_counts(seed=ord(name)), comments=("#Dx: 10370003",))
    table = tmp_path / "own.csv"
    table.write_text("file,labels,patient,source\nfiles/a,AF,7,one\nfiles/b,NORM,7,two\nfiles/gone,AF,8,two\n")
    assert main(["doctor", str(table), "-o", str(tmp_path / "audit.csv")]) == 0
    shown = capsys.readouterr().out
    assert "left out: 1 × no such file: files/gone" in shown and "2 classes of label space own" in shown
    with open(tmp_path / "audit.csv", newline="") as file:
        columns = ("path", "source", "codes", "scored", "patient")
        rows = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    assert rows == [("a.hea", "one", "164889003", "AF", "7"), ("b.hea", "two", "NORM", "NORM", "7")]


def test_files_that_only_their_importer_reads_are_audited(tmp_path, capsys):
    (tmp_path / "train").mkdir()
    rows = [" ".join(map(str, row)) for row in make_counts(8, 5000).T.tolist()]
    (tmp_path / "train" / "1.txt").write_text("\n".join(["I II V1 V2 V3 V4 V5 V6", *rows]))
    (tmp_path / "train" / "2.txt").write_text("I II\n1 2\n")
    labels = "1.txt\t58\tMALE\t正常ECG\n2.txt\t58\tMALE\t正常ECG\n"
    (tmp_path / "hf_round1_label.txt").write_text(labels, encoding="utf-8")
    assert main(["doctor", f"hefei:{tmp_path}", "--task", "round1"]) == 0
    shown = capsys.readouterr().out
    assert "1 of 2 recordings will be skipped:" in shown and "train/2.txt" in shown
    assert re.search(r"^正常ECG +1  normal ECG$", shown, re.MULTILINE)
