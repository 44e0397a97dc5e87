"""Storage formats mean what `wfdb` says, sample for sample; several rates, skew, segments, MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from files_on_disk import header_text, make_counts, mat4_bytes
from scipy.io import loadmat, savemat
from signal_files import LOWEST, assert_agrees_with_wfdb, encode, write_signals

from leadset.recordings import (
    ReadError,
    find_recordings,
    parse_header,
    read_header,
    read_raw,
    read_recording,
    recording_from_parts,
)
from leadset.recordings.storage import INVALID


def draw_record(folder: Path, form: int, rng: np.random.Generator) -> Path:
    """A random recording of one format."""
    n_signals = int(rng.integers(1, 5))
    per_frame = [int(rng.integers(1, 4)) if form != 61 else 1] * n_signals  # `wfdb` fails on others
    if form < 500 and form != 61 and rng.random() < 0.3:
        per_frame[-1] = int(rng.integers(1, 4))
    n_frames, offset = int(rng.integers(40, 200)), int(rng.choice([0, 24, 7]))
    # `wfdb` reads neither skewed FLAC, nor several skews in one file, nor (with a reason) skewed differences.
    skewed = form != 8 and form < 500 and rng.random() < 0.5
    skews = rng.integers(0, 2, n_signals) * (rng.integers(1, 6) if skewed else 0)
    reach = 20 if form == 8 else -LOWEST[form] - 1
    frames = rng.integers(-reach, reach, (n_frames, sum(per_frame)))
    if form != 8:
        frames[rng.random(frames.shape) < 0.05] = INVALID[form]
    write_signals(folder / "r.dat", form, frames, per_frame, offset)
    announced = n_frames if rng.random() < 0.8 or form > 500 or form in (212, 310, 311) else 0
    lines = [f"r {n_signals} 125 {announced or ''}".rstrip()]
    for per, skew in zip(per_frame, skews, strict=True):
        gain = f"{rng.choice([200, 1000.5, -40, 0.37])}({rng.integers(-50, 50)})/{rng.choice(['mV', 'uV', 'V'])}"
        lines.append(f"r.dat {form}x{per}:{skew}+{offset} {gain} 16 0 0 0 0 lead{len(lines)}")
    (folder / "r.hea").write_text("\n".join(lines) + "\n")
    return folder / "r.hea"


@pytest.mark.parametrize("form", sorted(INVALID))
def test_no_format_differs_from_wfdb(tmp_path, form):
    rng = np.random.default_rng(form)
    compared = sum(assert_agrees_with_wfdb(draw_record(tmp_path, form, rng)) for _ in range(40))
    assert compared > 60


def test_files_of_packed_samples_end_anywhere(tmp_path):
    for form in (212, 310, 311):
        for n in range(3, 10):
            frames = np.arange(n)[:, None] - 4
            write_signals(tmp_path / "r.dat", form, frames, [1], 0)
            (tmp_path / "r.hea").write_text(f"r 1 250 {n}\nr.dat {form} 1/mV 16 0 0 0 0 I\n")
            assert np.array_equal(read_raw(read_header(tmp_path / "r.hea"), tmp_path), frames.T), (form, n)


@pytest.mark.parametrize(("said", "first"), [("12 1024", 1024), ("12 1024 0", 0), ("12 1024 7", 7), ("12", 0)])
def test_differences_without_an_initial_value_begin_at_the_zero_of_the_converter(tmp_path, said, first):
    write_signals(tmp_path / "r.dat", 8, np.arange(5)[:, None], [1], 0)
    (tmp_path / "r.hea").write_text(f"r 1 250 5\nr.dat 8 200/mV {said}\n")
    assert read_raw(read_header(tmp_path / "r.hea"), tmp_path).tolist() == [[*range(first, first + 5)]]


def test_real_recordings_and_cases_agree_with_wfdb(real_data):
    folders = [real_data / name for name in ("mitdb", "qtdb", "ludb", "quirks")]
    cases = real_data.parent / "cases"
    folders += [cases / number for number in ("01", "02", "04", "05", "07", "27")] if cases.is_dir() else []
    compared = 0
    for path in (path for folder in folders for path in find_recordings(folder)):
        if not wfdb_reads(path):
            continue
        compared += assert_agrees_with_wfdb(path)
    assert compared > 1000


def wfdb_reads(path: Path) -> bool:
    """Whether `wfdb` reads a recording, and reads it right: it takes all MATLAB files for format 16."""
    try:
        wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False)
    except (ValueError, FileNotFoundError, IndexError):
        return False
    return True


# --- MATLAB files --------------------------------------------------------------------------------------------------


def write_offset_binary(folder: Path, form: int) -> tuple[Path, np.ndarray]:
    """A recording in a format of unsigned numbers, once as MATLAB file (``m``) and once as plain file (``p``)."""
    zero = -INVALID[form]
    counts = make_counts(2, 600).astype(int) % zero - zero // 2
    counts[1, 30:40] = INVALID[form]
    (folder / "p.dat").write_bytes(encode(form, counts.T, [1, 1]))
    savemat(folder / "m.mat", {"val": (counts + zero).astype(np.uint8 if form == 80 else np.uint16)}, format="4")
    for name, ending, start in (("p", "dat", 0), ("m", "mat", 24)):
        lines = [f"{name}.{ending} {form}+{start} 40(0)/mV 8 0 0 0 0 {lead}" for lead in ("I", "II")]
        (folder / f"{name}.hea").write_text("\n".join([f"{name} 2 500 600", *lines, ""]))
    return folder / "m.hea", counts


@pytest.mark.parametrize("form", [80, 160])
def test_the_header_says_what_numbers_of_a_matlab_file_mean(tmp_path, form):
    path, counts = write_offset_binary(tmp_path, form)
    assert np.array_equal(read_raw(read_header(path), tmp_path), counts)
    read, plain = read_recording(path).signal, read_recording(tmp_path / "p.hea").signal
    assert np.isnan(read[1, 30:40]).all()
    np.testing.assert_array_equal(read, plain)
    handed_over = loadmat(tmp_path / "m.mat")["val"]
    for matrix in (handed_over, handed_over.astype(float)):
        np.testing.assert_array_equal(recording_from_parts(path.read_text(), matrix).signal, plain)


def test_numbers_that_a_format_cannot_hold_are_refused(tmp_path):
    path, counts = write_offset_binary(tmp_path, 80)
    savemat(tmp_path / "m.mat", {"val": counts.astype(np.int16)})
    with pytest.raises(ReadError, match=r"m\.mat: found samples of -128 to .*, expected 0 to 255"):
        read_recording(path)


def test_matlab_files_with_skew_and_frames_are_read_like_others(tmp_path):
    counts = make_counts(3, 600)
    (tmp_path / "r.mat").write_bytes(mat4_bytes(counts))
    text = "r 2 250 600\nr.mat 16x2:0+24 1/mV 16 0 0 0 0 I\nr.mat 16x1+24 1/mmHg 16 0 0 0 0 ABP\n"
    (tmp_path / "r.hea").write_text(text)
    recording = read_recording(tmp_path / "r")
    assert (recording.fs, recording.leads, recording.flags) == (500, ("I",), ("other_rate",))
    np.testing.assert_array_equal(recording.signal[0], counts[:2].T.reshape(-1))
    np.testing.assert_array_equal(recording_from_parts(text, counts).signal, recording.signal)
    with pytest.raises(ReadError, match="2 rows of 600 samples, expected 3"):
        recording_from_parts(text, counts[:2])


def test_version_73_is_read_or_says_what_reads_it(tmp_path, monkeypatch):
    (tmp_path / "r.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "r.hea").write_text("r 1 500 600\nr.mat 16+24 1000/mV 16 0 0 0 0 I\n")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ReadError, match=r"version 7\.3.*h5py is not installed.*pip install leadset\[formats\]"):
        read_recording(tmp_path / "r")


def test_version_73_gives_the_same(tmp_path):
    h5py = pytest.importorskip("h5py")
    counts = make_counts(2, 600)
    with h5py.File(tmp_path / "r.mat", "w", userblock_size=512) as file:
        file["val"] = counts.T
    with open(tmp_path / "r.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(128))
    (tmp_path / "r.hea").write_text("r 2 500 600\nr.mat 16+24 1/mV 16 0 0 0 0 I\nr.mat 16+24 1/mV 16 0 0 0 0 II\n")
    np.testing.assert_array_equal(read_recording(tmp_path / "r").signal, counts)


def test_messages_name_the_variables_of_a_matlab_file(tmp_path):
    (tmp_path / "r.hea").write_text("r 1 500 600\nr.mat 16+24 1000/mV 16 0 0 0 0 I\n")
    savemat(tmp_path / "r.mat", {"ECG": {"sex": "Male", "age": 74, "data": np.zeros((12, 5))}, "fs": 500})
    with pytest.raises(ReadError, match=r"variables ECG \(1 x 1 struct of sex, age, data\), fs \(1 x 1 \w+\)"):
        read_recording(tmp_path / "r")


def test_fractions_where_counts_are_expected_are_flagged(tmp_path):
    values = np.linspace(-1, 1, 600)[None].repeat(2, axis=0)
    text = header_text("r", ("I", "II"), 600)
    assert recording_from_parts(text, values).flags == ("fractional_counts",)
    assert recording_from_parts(text, np.round(values * 1000)).flags == ()


# --- several samples per frame -------------------------------------------------------------------------------------


def test_leads_have_their_own_rate_and_other_signals_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(-900, 900, (700, 9))
    (tmp_path / "r.dat").write_bytes(encode(16, frames, [4, 4, 1]))
    (tmp_path / "r.hea").write_text(
        "r 3 62.5 700\nr.dat 16x4 1/mV 16 0 0 0 0 II\nr.dat 16x4 1/mV 16 0 0 0 0 V5\nr.dat 16x1 1/pm 16 0 0 0 0 Resp\n"
    )
    recording = read_recording(tmp_path / "r")
    assert (recording.fs, recording.leads, recording.flags) == (250, ("II", "V5"), ("other_rate",))
    np.testing.assert_array_equal(recording.signal, [frames[:, :4].reshape(-1), frames[:, 4:8].reshape(-1)])
    # One frame a second, as files that come from EDF have it.
    (tmp_path / "r.hea").write_text("r 1 1 25\nr.dat 16x250 1/mV 16 0 0 0 0 II\n")
    assert (read_recording(tmp_path / "r").fs, read_recording(tmp_path / "r").signal.shape) == (250, (1, 6250))


# --- FLAC ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [508, 516, 524])
def test_flac_of_constants_is_as_long_as_it_says(tmp_path, form):
    frames = np.zeros((200_000, 2), dtype=int)
    frames[5000:5500, 1] = INVALID[form]
    write_signals(tmp_path / "r.dat", form, frames, [1, 1], 0)
    assert (tmp_path / "r.dat").stat().st_size * 8 < frames.size
    for announced in (200_000, ""):
        (tmp_path / "r.hea").write_text(f"r 2 500 {announced}\n" + f"r.dat {form} 40/mV 8 0 0 0 0 I\n"
                                        f"r.dat {form} 40/mV 8 0 0 0 0 II\n")  # fmt: skip
        signal = read_recording(tmp_path / "r").signal
        assert signal.shape == (2, 200_000)
        assert np.array_equal(np.flatnonzero(np.isnan(signal[1])), np.arange(5000, 5500))


def test_flac_of_another_kind_is_refused(tmp_path):
    write_signals(tmp_path / "r.dat", 516, np.zeros((600, 2), dtype=int), [1, 1], 0)
    for form, leads, expected in ((508, 2, "FLAC of 2 channels and at most 8 bits"), (516, 1, "FLAC of 1 channels")):
        lines = [f"r.dat {form} 40/mV 8 0 0 0 0 V{i + 1}" for i in range(leads)]
        (tmp_path / "r.hea").write_text("\n".join([f"r {leads} 500 600", *lines, ""]))
        with pytest.raises(ReadError, match=expected):
            read_recording(tmp_path / "r")
    (tmp_path / "r.dat").write_bytes(bytes(3000))
    with pytest.raises(ReadError, match="cannot be decoded"):
        read_recording(tmp_path / "r")


# --- samples at the ends of the range ------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "missing"), [(1000, True), (4880, False)])
def test_no_heart_has_the_voltage_at_the_end_of_16_bits(gain, missing):
    counts = make_counts(2, 600)
    counts[1, 100:110], counts[1, 200:204] = 32767, -32767
    counts[0, 5] = 32766
    signal = recording_from_parts(header_text("r", ("I", "II"), 600, gain=f"{gain}/mV"), counts).signal
    expected = np.abs(counts.astype(int)) == 32767
    assert np.array_equal(np.isnan(signal), expected & missing)


# --- segments ------------------------------------------------------------------------------------------------------


@pytest.fixture
def segments(tmp_path):
    """Two segments with a gap between them, under a fixed and a variable layout; the second has a lead more."""
    first, second = make_counts(2, 600), make_counts(3, 700, seed=1)
    first[0, 5] = -32768
    (tmp_path / "a.dat").write_bytes(encode(16, first.T, [1, 1]))
    (tmp_path / "b.dat").write_bytes(encode(16, second.T, [1] * 3))
    line = "{0}.dat 16 1000(0)/mV 16 0 0 0 0 {1}"
    (tmp_path / "a.hea").write_text("\n".join(["a 2 500 600", *[line.format("a", lead) for lead in ("II", "V5")], ""]))
    leads = ("V5", "II", "aVR")
    (tmp_path / "b.hea").write_text("\n".join(["b 3 500 700", *[line.format("b", lead) for lead in leads], ""]))
    (tmp_path / "lay.hea").write_text("lay 3 500 0\n" + "".join(
        f"~ 0 1000(0)/mV 16 0 0 0 0 {lead}\n" for lead in ("II", "V5", "aVR")))
    (tmp_path / "r.hea").write_text("r/4 3 500 1400\nlay 0\na 600\n~ 100\nb 700\n# Age: 60\n# Dx: 426783006\n")
    expected = np.full((3, 1400), np.nan, dtype=np.float32)
    expected[:2, :600], expected[:, 700:] = first / 1000, second[[1, 0, 2]] / 1000
    expected[0, 5] = np.nan
    return tmp_path, expected


def test_segments_are_one_recording(segments):
    folder, expected = segments
    recording = read_recording(folder / "r.hea")
    assert (recording.name, recording.fs, recording.leads) == ("r", 500, ("II", "V5", "aVR"))
    assert (recording.age, recording.codes, recording.flags) == (60, ("426783006",), ())
    np.testing.assert_allclose(recording.signal, expected, rtol=1e-6)
    assert read_raw(read_header(folder / "r.hea"), folder).dtype == np.int16
    reference = wfdb.rdrecord(str(folder / "r"), m2s=True)
    assert tuple(reference.sig_name) == recording.leads
    np.testing.assert_allclose(recording.signal, reference.p_signal.T, rtol=1e-6)


def test_segments_say_what_the_recording_does_not(segments):
    folder, expected = segments
    with open(folder / "a.hea", "a") as file:
        file.write("#Age: 61\n#Sex: F\n#Dx: 426783006\n")
    path = folder / "r.hea"
    for own, age in (("", 61), ("# Produced by xform\n", 61), ("#Age: 50\n", 50)):
        path.write_text(f"r/4\t3 500\t1400\nlay\t0\na \t 600\n~\t100\nb\t700\n{own}")
        header = read_header(path)
        assert (header.age, header.sex, header.codes) == (age, "female", ("426783006",))
        assert find_recordings(folder) == [path]
        np.testing.assert_allclose(read_recording(path).signal, expected, rtol=1e-6)


def test_segments_are_not_counted_again(segments):
    folder, _ = segments
    (folder / "other.hea").write_text(header_text("other", ("I",), 600))
    assert [path.name for path in find_recordings(folder)] == ["other.hea", "r.hea"]


def test_segments_of_other_gains_and_formats_are_joined_in_millivolts(segments):
    folder, expected = segments
    text = (folder / "b.hea").read_text().replace("1000(0)/mV 16 0 0 0 0 II", "0.5(7)/uV 16 0 0 0 0 II")
    (folder / "b.hea").write_text(text)
    expected[0, 700:] = (expected[0, 700:] * 1000 - 7) / 500
    np.testing.assert_allclose(read_recording(folder / "r.hea").signal, expected, rtol=1e-5, atol=1e-6)
    counts = make_counts(3, 700, seed=1) * 100
    (folder / "b.dat").write_bytes(encode(24, counts.T.astype(int), [1] * 3))
    (folder / "b.hea").write_text(text.replace("dat 16", "dat 24").replace("0.5(7)/uV", "1000(0)/mV"))
    expected[:, 700:] = counts[[1, 0, 2]] / 1000
    np.testing.assert_allclose(read_recording(folder / "r.hea").signal, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r/3 3 500 1400\nlay 0\na 600\n", "found 2 segments, expected 3 as the record line says"),
        ("r/2 3 500 1400\nlay 0\na lot\n", "found segment 'a lot', expected a record name and its number of samples"),
        ("r/1 3 500 1400\n../a 600\n", "found segment '../a 600'"),
        ("r/1 3 500 1400\n~ 600\n", "found no segment that was recorded"),
        ("r/2 3 500 1400\na 600\n~ 999999999999\n", "hardly any of them recorded"),
        ("r/1 3 500 1400\nr 600\n", "found a multi-segment header"),
        ("r/1 2 500 900\na 900\n", "found 600 samples, expected 900 of this segment"),
        ("r/2 2 500 900\na 300\nc 600\n", "found segments of 250, 500 Hz, expected one rate"),
    ],
)
def test_damaged_segments_are_refused(segments, text, message):
    folder, _ = segments
    (folder / "c.hea").write_text("c 1 250 600\na.dat 16 1/mV 16 0 0 0 0 II\n")
    (folder / "r.hea").write_text(text)
    with pytest.raises(ReadError) as caught:
        read_recording(folder / "r.hea")
    assert message in str(caught.value)


def test_text_of_segments_alone_is_no_recording():
    with pytest.raises(ReadError, match="multi-segment header"):
        parse_header("r/2 2 500 900\na 300\nb 600\n")
