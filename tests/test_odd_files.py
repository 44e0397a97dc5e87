"""Files that are read, but were read wrong or without a word: each kind as small as it is, with the right value."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from files_on_disk import make_counts
from signal_files import encode
from vendor_files import UV_PER_COUNT, edf_plus, mfer_frames, write_dicom, write_edf, write_ishne

from leadset.recordings import ReadError, parse_header, read_recording, survey
from leadset.recordings.subject import parse_codes

FS, N = 500, 1500
COUNTS = make_counts(3, N)
MILLIVOLTS = COUNTS * (UV_PER_COUNT / 1000)
LINE = "r.dat 16 1000(0)/mV 16 0 0 0 0 {}\n"


def write_wfdb(folder: Path, text: str, content: bytes = COUNTS.T.astype("<i2").tobytes()) -> Path:
    (folder / "r.hea").write_text(text)
    (folder / "r.dat").write_bytes(content)
    return folder / "r.hea"


def three_leads(line: str = LINE) -> str:
    return f"r 3 {FS} {N}\n" + "".join(line.format(lead) for lead in ("I", "II", "V1"))


# --- WFDB ----------------------------------------------------------------------------------------------------------


def test_an_offset_behind_the_end_of_a_file_is_an_error_that_names_it(tmp_path):
    path = write_wfdb(tmp_path, three_leads(LINE.replace(" 16 ", " 16+99999 ", 1)))
    with pytest.raises(ReadError, match=r"r\.dat: found no whole sample"):
        read_recording(path)


def test_a_compressed_signal_file_is_no_signal(tmp_path):
    path = write_wfdb(tmp_path, three_leads(), packed := gzip.compress(COUNTS.T.astype("<i2").tobytes()))
    with pytest.raises(ReadError, match=r"r\.dat: found a file compressed by gzip, expected 1500 samples of 3 leads"):
        read_recording(path)
    (tmp_path / "r.dat").rename(tmp_path / "r.dat.gz")
    with pytest.raises(ReadError, match=r"r\.dat: found only r\.dat\.gz, which is compressed"):
        read_recording(path)
    # The same first bytes, but samples.
    samples = packed[:3] + b"\xff" * (6 * N - 3)
    assert read_recording(write_wfdb(tmp_path, three_leads(), samples)).signal.shape == (3, N)


def test_files_that_cannot_be_read_as_they_are_are_named(tmp_path):
    for name in ("a.hea.gz", "a.dat.gz", "b.edf.gz", "table.csv.gz", "notes.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"content"))
    assert set(survey(tmp_path).others.items()) == {
        (tmp_path / name, "file compressed by gzip") for name in ("a.hea.gz", "a.dat.gz", "b.edf.gz")
    }
    (tmp_path / "c.csv").write_text("name of a patient\n0.1 0.2\n")
    with pytest.raises(ReadError, match=r"c\.csv: found a first line of neither leads nor numbers, with commas"):
        read_recording(tmp_path / "c.csv")


@pytest.mark.parametrize("unit", ["mmHg", "NU"])
def test_a_pressure_beside_leads_is_none(tmp_path, unit):
    text = three_leads().replace("/mV 16 0 0 0 0 II", f"/{unit} 16 0 0 0 0 ABP")
    recording = read_recording(write_wfdb(tmp_path, text))
    assert (recording.leads, recording.flags) == (("I", "V1"), ("other_channel",))
    np.testing.assert_allclose(recording.signal, COUNTS[[0, 2]] / 1000, rtol=1e-6)
    # Where no unit is a voltage, or the name is a lead's, the unit may be a word for counts.
    for header in (three_leads().replace("/mV", "/NU"), text.replace("ABP", "II")):
        recording = read_recording(write_wfdb(tmp_path, header))
        assert (recording.leads, recording.flags) == (("I", "II", "V1"), ("unknown_unit",))


def test_a_segment_of_a_pressure_alone_is_a_gap_of_the_leads(tmp_path):
    text = f"{{0}} 1 {FS} {N}\n{{0}}.dat 16 1000(0)/{{1}} 16 0 0 0 0 {{2}}\n"
    for row, (name, unit, lead) in enumerate((("a", "mV", "II"), ("b", "mmHg", "ABP"), ("c", "mV", "II"))):
        (tmp_path / f"{name}.hea").write_text(text.format(name, unit, lead))
        (tmp_path / f"{name}.dat").write_bytes(encode(16, COUNTS[row, :, None], [1]))
    (tmp_path / "r.hea").write_text(f"r/3 2 {FS} {3 * N}\na {N}\nb {N}\nc {N}\n")
    recording = read_recording(tmp_path / "r.hea")
    assert recording.leads == ("II",) and "other_channel" in recording.flags
    expected = np.concatenate([COUNTS[0] / 1000, np.full(N, np.nan), COUNTS[2] / 1000])
    np.testing.assert_allclose(recording.signal, expected[None], rtol=1e-6)
    for announced, flag in ((3 * N + 1, "short_file"), (3 * N - 1, "long_file"), ("", None)):
        (tmp_path / "r.hea").write_text(f"r/3 2 {FS} {announced}\na {N}\nb {N}\nc {N}\n")
        flags = read_recording(tmp_path / "r.hea").flags
        assert (flag in flags) if flag else not {"short_file", "long_file"} & set(flags)


def test_padded_leads_and_codes_are_understood():
    header = parse_header(f"r 2 {FS}\n" + LINE.format("V01") + LINE.format("c06") + "#Dx: 0426783006, 00164889003.0\n")
    assert (header.leads, header.codes, header.flags) == (("V1", "V6"), ("426783006", "164889003"), ())
    assert parse_codes("426783006,0426783006")[0] == ("426783006",)
    assert parse_codes("01,0")[0] == ("01", "0")  # codes of other label spaces


# --- Devices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["g.ecg", "c.dcm"])
def test_the_ends_of_16_bits_are_no_samples(tmp_path, name):
    pytest.importorskip({"g.ecg": "ecgdatakit", "c.dcm": "pydicom"}[name], reason="the formats extra is not installed")
    counts = COUNTS.copy()
    counts[1, 100:110], counts[2, 7] = -32768, 32767
    {"g.ecg": write_ishne, "c.dcm": write_dicom}[name](tmp_path / name, counts, ("I", "II", "V1"), FS)
    expected = np.where(np.abs(counts.astype(int)) >= 32767, np.nan, counts * (UV_PER_COUNT / 1000))
    np.testing.assert_allclose(read_recording(tmp_path / name).signal, expected, rtol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_rate_of_mfer_is_that_of_the_leads(tmp_path, order):
    pytest.importorskip("ecgdatakit", reason="the formats extra is not installed")
    volts = bytes([0, 0x100 - 6]) + struct.pack(f"{order}H", UV_PER_COUNT)
    pressure = bytes([1, 0]) + struct.pack(f"{order}H", 1)
    channels = [(143, 125, pressure), (1, FS, volts), (2, FS, volts)]
    (tmp_path / "i.mwf").write_bytes(mfer_frames(order, channels, [(b"", COUNTS)]))
    recording = read_recording(tmp_path / "i.mwf")
    assert (recording.fs, recording.leads, recording.flags) == (FS, ("I", "II"), ("other_channel",))
    np.testing.assert_allclose(recording.signal, MILLIVOLTS[1:], rtol=1e-6)


def test_a_gap_between_frames_of_mfer_is_one(tmp_path):
    pytest.importorskip("ecgdatakit", reason="the formats extra is not installed")
    volts = bytes([0, 0x100 - 6]) + struct.pack(">H", UV_PER_COUNT)
    channels, half = [(1, FS, volts), (2, FS, volts), (3, FS, volts)], N // 2
    parts = COUNTS[:, :half], COUNTS[:, half:]
    for begun, gap in ((half + 200, 200), (half, 0), (half - 100, 0), (1 << 30, 0)):
        pointer = bytes([0x07, 4]) + struct.pack(">I", begun)
        (tmp_path / "i.mwf").write_bytes(mfer_frames(">", channels, [(b"", parts[0]), (pointer, parts[1])]))
        recording = read_recording(tmp_path / "i.mwf")
        expected = [MILLIVOLTS[:, :half], np.full((3, gap), np.nan), MILLIVOLTS[:, half:]]
        np.testing.assert_allclose(recording.signal, np.concatenate(expected, axis=1), rtol=1e-6)
        assert recording.flags == (() if begun == half else ("not_by_standard",))
    other_scale = b"".join(bytes([0x3F, i, 6, 0x0C, 4, 0, 0x100 - 6]) + struct.pack(">H", 1) for i in range(3))
    (tmp_path / "i.mwf").write_bytes(mfer_frames(">", channels, [(b"", parts[0]), (other_scale, parts[1])]))
    recording = read_recording(tmp_path / "i.mwf")
    assert (recording.signal.shape[1], recording.flags) == (half, ("first_of_several",))


def test_more_samples_than_a_holter_file_announces_are_flagged(tmp_path):
    """As where its header is longer than it says, and is taken for samples."""
    pytest.importorskip("ecgdatakit", reason="the formats extra is not installed")
    write_ishne(path := tmp_path / "g.ecg", COUNTS, ("I", "II", "V1"), FS)
    content = path.read_bytes()
    path.write_bytes(content[:522] + b"comments" * 30 + content[522:])
    assert read_recording(path).flags == ("long_file",)


@pytest.mark.parametrize(("skews", "fields"), [((0, 3, 5), "ChannelSampleSkew"), ((0, 0.006, 0.01), "ChannelTimeSkew")])
def test_channels_of_dicom_that_begin_later_are_moved(tmp_path, skews, fields):
    pydicom = pytest.importorskip("pydicom", reason="the formats extra is not installed")
    write_dicom(path := tmp_path / "c.dcm", COUNTS, ("I", "II", "V1"), FS)
    data = pydicom.dcmread(path)
    for skew, channel in zip(skews, data.WaveformSequence[0].ChannelDefinitionSequence, strict=True):
        setattr(channel, fields, str(skew))
    data.save_as(path, enforce_file_format=True)
    expected = np.full((3, N + 5), np.nan)
    for row, start in enumerate((0, 3, 5)):
        expected[row, start : start + N] = MILLIVOLTS[row]
    np.testing.assert_allclose(read_recording(path).signal, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("stored", "is_found"),
    [
        ("1.2.840.10008.5.1.4.1.1.9.1.2", True),  # a general ECG
        ("1.2.840.10008.1.3.10", False),  # DICOMDIR
        ("1.2.840.10008.5.1.4.1.1.88.33", False),  # a structured report
        ("1.2.840.10008.5.1.4.1.1.104.1", False),  # an encapsulated PDF
    ],
)
def test_dicom_that_only_refers_to_a_waveform_is_none(tmp_path, stored, is_found):
    pydicom = pytest.importorskip("pydicom", reason="the formats extra is not installed")
    write_dicom(path := tmp_path / "c.dcm", COUNTS, ("I", "II", "V1"), FS)
    data = pydicom.dcmread(path)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = stored
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2"
    data.ReferencedInstanceSequence = [reference]
    data.save_as(path, enforce_file_format=True)
    assert b"1.2.840.10008.5.1.4.1.1.9." in path.read_bytes()[:4096]
    found = survey(tmp_path)
    assert (found.headers, found.others) == (([path], {}) if is_found else ([], {path: "DICOM"}))
    if not is_found:
        with pytest.raises(ReadError, match="found DICOM, which is not read"):
            read_recording(path)


# --- EDF -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def edf(tmp_path):
    pytest.importorskip("edfio", reason="the formats extra is not installed")
    return tmp_path / "a.edf"


@pytest.mark.parametrize(("begun", "gap"), [(1.0, 0), (1.8, 400), (1.002, 0), (0.998, 0)])
def test_interruptions_of_edf_are_gaps(edf, begun, gap):
    """A record that is begun within a sample of the end of the last one follows it."""
    edf.write_bytes(edf_plus(COUNTS, [0, 0.5, begun, begun + 0.5]))
    recording = read_recording(edf)
    expected = [MILLIVOLTS[:2, :500], np.full((2, gap), np.nan), MILLIVOLTS[:2, 500:1000]]
    np.testing.assert_allclose(recording.signal, np.concatenate(expected, axis=1), rtol=1e-6)
    assert (recording.fs, recording.leads, recording.age, recording.flags) == (FS, ("I", "II"), 61, ())


@pytest.mark.parametrize("begun", [0.75, 1e6])
def test_records_of_edf_that_do_not_follow_each_other_are_refused(edf, begun):
    edf.write_bytes(edf_plus(COUNTS, [0, 0.5, begun, begun + 0.5]))
    with pytest.raises(ReadError, match=r"a\.edf: found an interrupted recording \(EDF\+D\)"):
        read_recording(edf)


def test_records_that_edf_announces_are_counted(edf):
    write_edf(edf, COUNTS, ("I", "II", "V1"), FS)
    content = edf.read_bytes()
    for announced, flag in ((b"3", None), (b"-1", None), (b"9", "short_file"), (b"2", "long_file")):
        edf.write_bytes(content[:236] + announced.ljust(8) + content[244:])
        assert set(read_recording(edf).flags) & {"short_file", "long_file"} == ({flag} if flag else set())
