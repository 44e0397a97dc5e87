"""Recordings in the formats of devices and archives: read sample for sample, found, converted, or refused by name."""

from __future__ import annotations

import binascii
import json
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from copy import deepcopy

import numpy as np
import pytest
import wfdb
from files_on_disk import write_recording
from vendor_files import UV_PER_COUNT, WRITERS

from leadset.cli import main
from leadset.leads import LEADS
from leadset.recordings import Layout, ReadError, find_recordings, list_formats, read_recording, survey
from leadset.recordings.formats import Format

LIBRARIES = ("ecgdatakit", "pydicom", "edfio")
each_file = pytest.mark.parametrize("name", WRITERS)


@pytest.fixture(autouse=True)
def libraries():
    for library in LIBRARIES:
        pytest.importorskip(library, reason="the formats extra is not installed")


def some_counts(n_leads: int = 12, n_samples: int = 5000) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.cumsum(rng.integers(-20, 21, (n_leads, n_samples)), axis=1).astype(np.int16)


def written(folder, name, counts, leads=LEADS, fs=500):
    WRITERS[name][0](folder / name, counts, leads, fs)
    return folder / name


def test_every_format_has_a_file_here():
    names = {WRITERS[name][0].__name__ for name in WRITERS}
    recognised = {"dicom", "edf", "muse", "aecg", "ishne", "mfer", "sierra", "scp", "csv", "npz", "bdf"}
    assert names == {f"write_{name}" for name in recognised}
    assert len(list_formats()) == len(recognised) - 2  # BDF is EDF's, CSV and NPZ are arrays


@each_file
def test_samples_rate_and_leads_are_those_that_were_written(tmp_path, name):
    for counts, leads, fs in ((some_counts(), LEADS, 500), (some_counts(2, 2500), ("II", "V5"), 250)):
        recording = read_recording(written(tmp_path, name, counts, leads, fs))
        assert (recording.fs, recording.leads, recording.flags) == (fs, leads, WRITERS[name][1])
        np.testing.assert_allclose(recording.signal, counts * (UV_PER_COUNT / 1000), rtol=3e-7, atol=1e-9)
        assert recording.signal.dtype == np.float32 and recording.name == name[0]


@each_file
def test_real_recordings_survive_the_way_through_a_format(tmp_path, name, real_data):
    for source in ("ptb", "georgia", "cpsc_2018"):
        original = read_recording(find_recordings(real_data / "challenge/training" / source)[0])
        # Whole seconds, and of a length that one section of SCP-ECG holds.
        signal_mv = original.signal[:, : int(min(original.seconds, 30) // 1 * original.fs)]
        counts = np.round(signal_mv * (1000 / UV_PER_COUNT)).astype(np.int16)
        recording = read_recording(written(tmp_path, name, counts, original.leads, int(original.fs)))
        assert (recording.fs, recording.leads) == (original.fs, original.leads)
        np.testing.assert_allclose(recording.signal, signal_mv, atol=UV_PER_COUNT / 2000 + 1e-6)


def test_the_waveform_of_a_vendor():
    data = pytest.importorskip("pydicom.data")
    recording = read_recording(data.get_testdata_file("waveform_ecg.dcm"))
    assert (recording.fs, recording.leads, recording.signal.shape) == (1000, LEADS, (12, 10_000))
    assert (recording.age, recording.sex, recording.flags) == (42, "female", ())
    i, ii, iii = recording.signal[:3]
    np.testing.assert_allclose(i + iii, ii, atol=0.002)
    assert 0.3 < recording.signal.max() < 3


def test_age_and_sex_are_read(tmp_path):
    counts = some_counts()
    subjects = {name: read_recording(written(tmp_path, name, counts)) for name in ("c.dcm", "e.xml", "g.ecg", "j.csv")}
    assert [(r.age, r.sex) for r in subjects.values()] == [(61, "male"), (61, "male"), (None, "female"), (61, "female")]
    assert subjects["j.csv"].codes == ("426783006",) and subjects["c.dcm"].patient == "P7"


@pytest.mark.parametrize(("offset_ms", "joined"), [(0, True), (5000, True), (600_000, False)])
def test_waveform_groups_with_other_leads_are_one_recording(tmp_path, offset_ms, joined):
    """Some devices export six leads a group, at the same time or one after the other."""
    import pydicom

    counts, path = some_counts(), written(tmp_path, "c.dcm", some_counts())
    data = pydicom.dcmread(path)
    whole, parts = data.WaveformSequence[0], []
    for rows, offset in ((slice(0, 6), 0), (slice(6, 12), offset_ms)):
        part = deepcopy(whole)
        part.NumberOfWaveformChannels, part.MultiplexGroupTimeOffset = 6, offset
        part.ChannelDefinitionSequence = list(whole.ChannelDefinitionSequence)[rows]
        part["WaveformData"].value = counts[rows, :2500].T.astype("<i2").tobytes()
        part.NumberOfWaveformSamples = 2500
        parts.append(part)
    data.WaveformSequence, data.PatientID = parts, "ANONYMOUS"
    data.save_as(path, enforce_file_format=True)
    recording = read_recording(path)
    assert recording.leads == (LEADS if joined else LEADS[:6])
    assert (recording.flags, recording.patient) == (() if joined else ("first_of_several",), None)
    if joined:
        expected, start = np.full((12, 2500 + offset_ms // 2), np.nan), offset_ms // 2
        expected[:6, :2500], expected[6:, start:] = counts[:6, :2500], counts[6:, :2500]
        np.testing.assert_allclose(recording.signal, expected * 5e-3, atol=1e-6)


def with_starts(content: bytes, starts: list[int], n: int) -> bytes:
    """An SCP-ECG file whose leads of n samples begin at these samples, counted from 1."""
    at = struct.unpack_from("<I", content, 6 + 16 + 3 * 10 + 6)[0] - 1
    changed = bytearray(content)
    for i, start in enumerate(starts):
        struct.pack_into("<II", changed, at + 18 + 9 * i, start, start + n - 1)
    return bytes(changed)


def test_leads_that_begin_later_are_not_moved(tmp_path):
    counts, path = some_counts(2, 1000), tmp_path / "h.scp"
    content = written(tmp_path, "h.scp", counts, ("II", "V5"), 250).read_bytes()
    path.write_bytes(with_starts(content, [1, 751], 1000))
    recording, expected = read_recording(path), np.full((2, 1750), np.nan)
    expected[0, :1000], expected[1, 750:] = counts * 5e-3
    assert recording.flags == ("checksum_mismatch",)
    np.testing.assert_allclose(recording.signal, expected, atol=1e-6)
    path.write_bytes(with_starts(content, [1, 1 << 30], 1000))
    with pytest.raises(ReadError, match=r"h\.scp: found a lead \d+ samples behind another"):
        read_recording(path)


def test_a_stated_length_that_would_shift_leads_is_refused(tmp_path):
    path = written(tmp_path, "f.xml", some_counts())
    text = path.read_text()
    path.write_text(text.replace('durationperchannel="10000"', 'durationperchannel="5000"'))
    with pytest.raises(ReadError, match="60000 samples of 12 leads, expected 2500 of each, as its"):
        read_recording(path)
    path.write_text(text.replace('compressflag="False"', 'compressflag="True" compression="None"'))
    assert read_recording(path).signal.shape == (12, 5000)


def test_a_scale_that_is_no_number_is_not_one(tmp_path):
    path = written(tmp_path, "d.xml", some_counts())
    path.write_text(path.read_text().replace('scale value="5"', 'scale value="5,0"', 1))
    with pytest.raises(ReadError, match="found no number of uV a count in I, expected a scale"):
        read_recording(path)


@pytest.mark.parametrize(("sensitivity", "message"), [(None, r"I \(no unit\).*expected leads in volts"), (0, "scale")])
def test_a_waveform_without_sensitivity_is_refused(tmp_path, sensitivity, message):
    import pydicom

    data = pydicom.dcmread(path := written(tmp_path, "c.dcm", some_counts()))
    for channel in data.WaveformSequence[0].ChannelDefinitionSequence:
        if sensitivity is None:
            del channel.ChannelSensitivity
        else:
            channel.ChannelSensitivity = sensitivity
    data.save_as(path, enforce_file_format=True)
    with pytest.raises(ReadError, match=message):
        read_recording(path)


@pytest.mark.parametrize(("announced", "flags"), [(5000, ()), (6000, ("short_file",)), (60_000, ())])
def test_a_cut_holter_file_is_flagged(tmp_path, announced, flags):
    """The last counts the samples of all leads, as some writers do."""
    content = bytearray(written(tmp_path, "g.ecg", some_counts()).read_bytes())
    struct.pack_into("<i", content, 14, announced)
    struct.pack_into("<H", content, 8, binascii.crc_hqx(bytes(content[10:522]), 0xFFFF))
    (tmp_path / "g.ecg").write_bytes(content)
    assert read_recording(tmp_path / "g.ecg").flags == flags


def test_leads_are_not_left_out_for_the_channels_of_another_kind(tmp_path):
    import edfio

    counts, rng = some_counts(2), np.random.default_rng(0)
    signal = lambda row, fs, label: edfio.EdfSignal(row, fs, label=label, physical_dimension="uV")  # noqa: E731
    brain = [signal(rng.standard_normal(2000), 200, f"EEG C{i}") for i in range(6)]
    heart = [signal(row * 5.0, 500, f"ECG {lead}") for row, lead in zip(counts, ("I", "II"), strict=True)]
    edfio.Edf(brain + heart).write(tmp_path / "night.edf")
    recording = read_recording(tmp_path / "night.edf")
    assert (recording.leads, recording.fs, recording.flags) == (("I", "II"), 500, ("other_rate",))


def test_folders_are_searched(tmp_path, monkeypatch):
    for name in WRITERS:
        written(tmp_path, name, some_counts(2, 1000), ("I", "II"))
    found = survey(tmp_path)
    assert [path.name for path in found.headers] == list(WRITERS) and not found.others
    # A header goes before a file of its name, and an array that nothing describes is none.
    header = write_recording(tmp_path, "a")
    (tmp_path / "j.json").unlink()
    (tmp_path / "z.csv").write_text("age,sex\n61,F\n")
    found = survey(tmp_path)
    assert found.headers[0] == header
    assert {path.name: kind for path, kind in found.others.items()} == {
        "a.edf": "EDF beside a recording of its name", "j.csv": "CSV of leads",
    }  # fmt: skip
    monkeypatch.setattr(Format, "installed", property(lambda self: not self.library))
    with pytest.warns(UserWarning, match=r"DICOM waveform, which takes leadset\[formats\] \(1\)"):
        assert [path.name for path in find_recordings(tmp_path)] == ["a.hea", "k.npz"]
    with pytest.raises(ReadError, match=r"c\.dcm: found DICOM waveform, .* install leadset\[formats\]"):
        read_recording(tmp_path / "c.dcm")


def test_dicom_is_found_without_an_ending(tmp_path):
    """Discs name files `IM000001`, archives by numbers."""
    names = ["1.2.840.7", "1.2.840.8", "IM000001"]
    for name in names:
        written(tmp_path, "c.dcm", some_counts()).rename(tmp_path / name)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(500))
    (tmp_path / "README").write_text("no recording")
    (tmp_path / "notes.2").write_text("no recording")
    with pytest.warns(UserWarning, match=r"not read: DICOM \(1\)"):
        assert [path.name for path in find_recordings(tmp_path)] == names
    assert [read_recording(tmp_path / name).name for name in names] == names


@pytest.mark.parametrize(("said", "age"), [
    ({"PatientBirthDate": "19600301", "StudyDate": "20210301"}, 61.0), ({"PatientBirthDate": "19600301"}, None),
    ({"PatientBirthDate": "", "StudyDate": "20210301"}, None),
    ({"PatientBirthDate": "19600301", "AcquisitionDateTime": "20200301093000", "StudyDate": "20210301"}, 60.0),
])  # fmt: skip
def test_age_at_the_recording_follows_from_dates(tmp_path, said, age):
    from pydicom import dcmread

    path = written(tmp_path, "c.dcm", some_counts())
    data = dcmread(path)
    data.PatientAge = ""
    for key, value in said.items():
        setattr(data, key, value)
    data.save_as(path)
    assert read_recording(path).age == (age if age is None else pytest.approx(age, abs=0.1))


@each_file
def test_converted_they_are_wfdb(tmp_path, name, capsys):
    counts = some_counts()
    path = written(tmp_path, name, counts)
    assert main(["convert", str(path), str(tmp_path / "out")]) == 0
    assert "1 of 1 recordings written" in capsys.readouterr().out
    copy = wfdb.rdrecord(str(tmp_path / "out" / name[0]))
    assert copy.fs == 500 and copy.sig_name == list(LEADS)
    np.testing.assert_allclose(copy.p_signal.T * (1e-3 if copy.units[0] == "uV" else 1), counts * 0.005, atol=2e-4)
    again = read_recording(tmp_path / "out" / f"{name[0]}.hea")
    assert (again.age, again.sex) == (read_recording(path).age, read_recording(path).sex)


def test_converting_keeps_folders_and_reports_what_it_cannot_read(tmp_path, capsys):
    (tmp_path / "in/deep").mkdir(parents=True)
    written(tmp_path / "in/deep", "a.edf", some_counts())
    (tmp_path / "in/b.edf").write_bytes(b"0".ljust(300))
    np.savetxt(tmp_path / "table.csv", np.ones((800, 2)), delimiter=",")
    layout = ("--fs", "200", "--unit", "V", "--leads", "I,V1")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "table.csv"), str(tmp_path / "out"), *layout]) == 1
    out, error = capsys.readouterr()
    assert "2 of 3 recordings written" in out and "b.edf" in error
    table = read_recording(tmp_path / "out/table.hea")
    assert (table.fs, table.leads) == (200, ("I", "V1"))
    np.testing.assert_allclose(table.signal, 1000)
    assert (tmp_path / "out/deep/a.hea").is_file()


@pytest.mark.parametrize("name", ["c.dcm", "d.xml"])
def test_verbs_take_them(tmp_path, name, capsys):
    (tmp_path / "in").mkdir()
    main(["simulate", str(tmp_path / "sim"), "-n", "1"])
    original = read_recording(find_recordings(tmp_path / "sim")[0])
    counts = np.round(original.signal * 200).astype(np.int16)
    path = written(tmp_path / "in", name, counts, original.leads, int(original.fs))
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "in"), "--json", "-"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["recording"] == path.stem and answer["answered"]
    assert main(["doctor", str(tmp_path / "in")]) == 0
    assert main(["delineate", str(path)]) == 0
    assert f"\n{path.stem}," in capsys.readouterr().out
    assert main(["extract", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-l", "II", "V1"]) == 0
    part = read_recording(tmp_path / "out" / f"{path.stem}.hea")
    np.testing.assert_allclose(part.signal, read_recording(path).signal[[1, 6]], atol=1e-6)


def test_arrays_are_described_by_layout_or_file(tmp_path):
    counts = some_counts(3, 1000)
    path = tmp_path / "x.npy"
    np.save(path, counts.T)
    layout = Layout(360, "uV", ("I", "II", "V2"))
    recording = read_recording(path, layout=layout)
    np.testing.assert_allclose(recording.signal, counts / 1000, rtol=3e-7)
    assert (recording.fs, recording.leads) == (360, layout.leads)
    with pytest.raises(ReadError, match=r"without fs, unit, leads, expected x\.json or arrays\.json beside it"):
        read_recording(path)
    (tmp_path / "arrays.json").write_text('{"fs": 360, "unit": "uV", "leads": ["I", "II", "V2"]}')
    np.testing.assert_array_equal(read_recording(path).signal, recording.signal)
    (tmp_path / "x.json").write_text('{"rate": 360}')
    with pytest.raises(ReadError, match=r"x\.json: found key 'rate', expected keys out of fs, unit, leads"):
        read_recording(path)
    with pytest.raises(ReadError, match=r"found int16 of shape \(1000, 3\), expected numbers \(2, samples\)"):
        read_recording(path, layout=Layout(360, "uV", ("I", "II")))
    with pytest.raises(ReadError, match="expected leads in volts"):
        read_recording(path, layout=Layout(360, "kg", layout.leads))
    with pytest.raises(ReadError, match="found sampling rate 0"):
        read_recording(path, layout=Layout(0, "uV", layout.leads))


@each_file
def test_damaged_files_are_refused_by_name_in_bounded_memory(tmp_path, name):
    content = written(tmp_path, name, some_counts(3, 1000), ("I", "II", "V2")).read_bytes()
    rng = np.random.default_rng(0)
    damaged = [content[:size] for size in (0, 1, 40, 300, len(content) // 2, len(content) - 3)]
    for _ in range(25):
        spoilt = bytearray(content)
        for at in rng.integers(0, min(len(content), 1500), 4):
            spoilt[at] = rng.integers(256)
        damaged.append(bytes(spoilt))
    refused = 0
    path = tmp_path / name
    for spoilt in damaged:
        path.write_bytes(spoilt)
        tracemalloc.start()
        try:
            recording = read_recording(path)
            assert recording.signal.size and len(recording.leads) == len(recording.signal)
        except ReadError as error:
            refused += 1
            assert str(tmp_path) in str(error)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30 * len(content) + 20e6
    assert refused


@pytest.mark.parametrize("root", ["AnnotatedECG", "RestingECG", "restingecgdata"])
def test_xml_entities_are_refused(tmp_path, root):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    bomb = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
    for declared in (f'<!ENTITY e0 SYSTEM "{secret.as_uri()}">', f'<!ENTITY e0 "lol">{bomb}'):
        path = tmp_path / "x.xml"
        path.write_text(f'<?xml version="1.0"?><!DOCTYPE {root} [{declared}]><{root}><a>&e0;</a></{root}>')
        with pytest.raises(ReadError, match=r"x\.xml") as caught:
            read_recording(path)
        assert "secret" not in str(caught.value).replace(str(secret), "").replace("secret.txt", "")


def test_bombs_are_refused(tmp_path):
    bomb = zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED)
    with bomb, bomb.open("signal.npy", "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    with pytest.raises(ReadError, match="that unpack to 314572800, expected at most"):
        read_recording(tmp_path / "x.npz")
    path = written(tmp_path, "c.dcm", some_counts())
    content = path.read_bytes()
    deflated = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1)
    length = struct.pack("<H", len("1.2.840.10008.1.2.1.99"))
    deflated = deflated.replace(struct.pack("<H", 20) + b"1.2.840.10008.1.2.1.99", length + b"1.2.840.10008.1.2.1.99")
    assert deflated != content
    path.write_bytes(deflated)
    with pytest.raises(ReadError, match=r"c\.dcm"):
        read_recording(path)


def test_no_library_is_imported_before_it_is_needed():
    code = "import sys, leadset.recordings as r; r.list_formats(); sys.exit(bool({}.intersection(sys.modules)))"
    assert not subprocess.run([sys.executable, "-c", code.format(set(LIBRARIES))]).returncode
