"""What is found in a folder: recordings, and files that look like some and are not read."""

from __future__ import annotations

import os

import pytest
from files_on_disk import make_counts, mat4_bytes, write_recording

from leadset.recordings import ReadError, find_recordings, formats, read_recording, survey


def test_recordings_are_found_in_nested_folders(tmp_path):
    for place in ("b/g2", "b/g1", "a", ".hidden", "c"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "A0001.hea").touch()
    (tmp_path / "b/g1/.B.hea").touch()
    (tmp_path / "b/g1/notes.txt").touch()
    (tmp_path / "c/loop").symlink_to(tmp_path)
    (tmp_path / "c/dangling").symlink_to(tmp_path / "nowhere")
    found = [path.relative_to(tmp_path).as_posix() for path in find_recordings(tmp_path)]
    assert found == ["a/A0001.hea", "b/g1/A0001.hea", "b/g2/A0001.hea", "c/A0001.hea"]
    assert find_recordings(str(tmp_path / "a")) == [tmp_path / "a/A0001.hea"]


def test_folders_without_recordings_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_recordings(tmp_path / "missing")
    with pytest.raises(ValueError, match="no recording in it or below"):
        find_recordings(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="a file, expected a folder"):
        find_recordings(tmp_path / "file")


FOREIGN = {
    "a.xml": (b"<?xml version='1.0'?>\n<RestingECG></RestingECG>", "GE MUSE XML"),
    "b.xml": (b'<AnnotatedECG xmlns="urn:hl7-org:v3"/>', "HL7 aECG"),
    "c.dcm": (bytes(128) + b"DICM", "DICOM"),
    "d.scp": (bytes(16) + b"SCPECG", "SCP-ECG"),
    "e.edf": (b"0".ljust(256), "EDF"),
    "f.csv": (b"I,II,V1\n0.1,0.2,0.3\n", "CSV of leads"),
    "g.ecg": (b"ISHNE1.0".ljust(100), "ISHNE"),
    "h.h5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "i.npy": (b"\x93NUMPY", "NumPy array"),
    "j.dat": (bytes(100), "signal file without a header"),
}


def test_files_that_are_not_read_are_named_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "list_formats", tuple)  # tests/test_vendor_formats.py has those that are read
    for name, (content, _) in FOREIGN.items():
        (tmp_path / name).write_bytes(content)
    not_read = r"expected \.hea files; not read: CSV of leads \(1\), DICOM \(1\), EDF \(1\), .*the first is .*a\."
    with pytest.raises(ValueError, match=not_read):
        find_recordings(tmp_path)
    path = write_recording(tmp_path)
    (tmp_path / "A0002.mat").write_bytes(mat4_bytes(make_counts()))
    for nothing in ("notes.xml", "table.csv", "A0001.atr"):
        (tmp_path / nothing).write_bytes(b"<notes/>,age,sex\n")
    found = survey(tmp_path)
    assert found.headers == [path]
    expected = {name: kind for name, (_, kind) in FOREIGN.items()} | {"A0002.mat": "MATLAB file without a header"}
    assert {path.name: kind for path, kind in found.others.items()} == expected
    with pytest.warns(UserWarning, match=r"not read: .*MATLAB file without a header \(1\)"):
        assert find_recordings(tmp_path) == [path]
    for name, kind in expected.items():
        with pytest.raises(ReadError, match=f"{name}: found {kind}.*, expected a header beside it, {name[:-4]}"):
            read_recording(tmp_path / name)


def test_empty_files_are_named_by_their_endings(tmp_path):
    endings = {ending for form in formats.list_formats() for ending in form.endings} - {".csv", ".tsv", ".txt", ".xml"}
    for ending in endings:
        (tmp_path / f"a{ending}").touch()
    others = {path.suffix: kind for path, kind in survey(tmp_path).others.items()}
    assert others.keys() == endings
    expected = {".mwf": "MFER", ".rec": "EDF", ".ishne": "ISHNE", ".dicom": "DICOM", ".scp": "SCP-ECG", ".edf": "EDF"}
    assert {ending: others[ending] for ending in expected} == expected


@pytest.mark.parametrize("file", ["signal.mat", "sig/A0001.mat", "sig/deep/signal.mat"])
def test_files_that_a_header_of_another_place_or_name_describes_are_no_strangers(tmp_path, file):
    path = write_recording(tmp_path, "A0001")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "A0001.mat").rename(tmp_path / file)
    path.write_text(path.read_text().replace("A0001.mat", file))
    assert read_recording(path).signal.shape == (12, 1000)
    assert (survey(tmp_path).headers, survey(tmp_path).others) == ([path], {})


def test_folders_that_cannot_be_looked_into_are_named(tmp_path, monkeypatch):
    path = write_recording(tmp_path / "open")
    closed = write_recording(tmp_path / "closed").parent
    scan = os.scandir

    def refuse(folder):
        if str(folder) == str(closed):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.warns(UserWarning, match="closed: Permission denied; what recordings it holds are left out"):
        assert find_recordings(tmp_path) == [path]
    with pytest.raises(PermissionError, match="closed"):
        find_recordings(closed)
