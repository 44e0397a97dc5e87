"""Samples and folders as they circulate: read alike, or refused with a message that says why."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
import wfdb
from files_on_disk import header_text, make_counts, mat4_bytes, write_recording
from recordings_on_disk import recordings_in
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

import leadset
from leadset.leads import LEADS, canonical_lead
from leadset.recordings import (
    ReadError,
    find_recordings,
    parse_header,
    read_header,
    read_raw,
    read_recording,
    recording_from_parts,
    signal_hash,
    to_millivolts,
)
from leadset.recordings.signals import checksum_mismatches

# --- samples -------------------------------------------------------------------------------------------------------


def test_recording_in_millivolts(tmp_path):
    counts = make_counts()
    recording = leadset.read_recording(write_recording(tmp_path, counts=counts, gain="4880(7)/mV"))
    assert recording.signal.dtype == np.float32
    assert recording.signal.flags.c_contiguous
    np.testing.assert_allclose(recording.signal, (counts.astype(float) - 7) / 4880, rtol=2e-7)
    assert (recording.name, recording.fs, recording.leads, recording.seconds) == ("A0001", 500, LEADS, 2)
    assert (recording.age, recording.sex, recording.codes, recording.flags) == (74, "male", ("426783006",), ())


@pytest.mark.parametrize("gain", ["1000/mV", "1000/mv", "1/uV", "1000000/V", ".001/nV"])
def test_units_are_scaled_to_millivolts(tmp_path, gain):
    counts = make_counts()
    signal = read_recording(write_recording(tmp_path, counts=counts, gain=gain)).signal
    np.testing.assert_allclose(signal, counts / 1000, rtol=2e-7)


def test_header_signal_file_and_stem_name_the_same_recording(tmp_path):
    path = write_recording(tmp_path, "A0001")
    write_recording(tmp_path, "A0001.5", make_counts(seed=1))
    first = read_recording(path)
    for other in (tmp_path / "A0001.mat", tmp_path / "A0001", str(path)):
        assert np.array_equal(read_recording(other).signal, first.signal)
    assert read_recording(tmp_path / "A0001").path == path
    assert not np.array_equal(read_recording(tmp_path / "A0001.5").signal, first.signal)
    with pytest.raises(ReadError, match=r"A0001\.7\.hea: found no such file, expected a header"):
        read_recording(tmp_path / "A0001.7")


def test_every_kind_of_mat_file_gives_the_same(tmp_path):
    counts = make_counts()
    expected = read_recording(write_recording(tmp_path, counts=counts))
    text = expected.path.read_text()
    variants = {
        "v4_double": ({"val": counts.astype(float)}, {"format": "4"}),
        "v5": ({"val": counts}, {}),
        "v5_compressed": ({"val": counts, "other": 3}, {"do_compression": True}),
        "v5_double": ({"val": counts.astype(float)}, {}),
        "v5_int32": ({"val": counts.astype(np.int32)}, {}),
    }
    for stem, (content, options) in variants.items():
        savemat(tmp_path / f"{stem}.mat", content, **options)
        (tmp_path / f"{stem}.hea").write_text(text.replace("A0001.mat", f"{stem}.mat"))
        assert np.array_equal(read_recording(tmp_path / stem).signal, expected.signal), stem
        # What the organisers' driver hands over is what scipy makes of the file, in whatever type.
        from_parts = recording_from_parts(text, loadmat(tmp_path / f"{stem}.mat")["val"])
        assert np.array_equal(from_parts.signal, expected.signal), stem
        assert signal_hash(read_raw(read_header(tmp_path / f"{stem}.hea"), tmp_path)) == signal_hash(counts)


def test_wide_and_fractional_counts_keep_their_precision():
    header = parse_header(header_text(leads=("I", "II"), form="32", gain="1e9(16777215)/mV"))
    counts = np.array([[16777216, 2**31 - 1, 0], [-(2**31), 5, 16777217]])
    expected = (counts - 16777215) / 1e9
    expected[1, 0] = np.nan  # the invalid sample of format 32
    for dtype in (np.int32, np.int64, np.float64):
        np.testing.assert_array_equal(to_millivolts(counts.astype(dtype), header), expected.astype(np.float32))
    header = parse_header(header_text(leads=("I",), form="32", gain="1(8388607)/mV"))
    assert to_millivolts(np.array([[16777217]]), header) == 8388610  # through float32 it would be one less
    fractions = np.array([[0.5, np.nan, np.inf], [1.25, -2.5, 0]])
    header = parse_header(header_text(leads=("I", "II"), gain="2/mV"))
    expected = np.array([[0.25, np.nan, np.nan], [0.625, -1.25, 0]], np.float32)  # no voltage is infinite
    np.testing.assert_array_equal(to_millivolts(fractions, header), expected)


def test_invalid_samples_become_nan(tmp_path):
    counts = make_counts()
    counts[3, 10:20] = -32768
    signal = read_recording(write_recording(tmp_path, counts=counts)).signal
    assert np.array_equal(np.isnan(signal), counts == -32768)


@pytest.mark.parametrize("fs", [100, 250, 257, 400, 500, 1000])
def test_one_second_and_every_rate(tmp_path, fs):
    path = write_recording(tmp_path, counts=make_counts(12, fs), record_line=f"A0001 12 {fs} {fs}")
    recording = read_recording(path)
    assert (recording.fs, recording.signal.shape, recording.flags) == (fs, (12, fs), ())


def test_thirty_minutes(tmp_path):
    counts = make_counts(12, 257 * 1800)
    path = write_recording(tmp_path, counts=counts, record_line=f"A0001 12 257 {counts.shape[1]}", gain="1/mV")
    assert np.array_equal(read_recording(path).signal, counts)


def test_leads_reordered_missing_extra_and_duplicate(tmp_path):
    counts = make_counts(5)
    path = write_recording(tmp_path, counts=counts, leads=("v1", "II", "X", "AVR", "V1"), gain="1/mV")
    recording = read_recording(path)
    assert recording.leads == ("V1", "II", "X", "aVR")
    assert np.array_equal(recording.signal, counts[:4])
    assert recording.flags == ("duplicate_lead",)
    assert read_header(path).leads == ("V1", "II", "X", "aVR", "V1")
    assert np.array_equal(recording_from_parts(path.read_text(), counts).signal, counts[:4])


def test_the_signal_of_another_recording_is_flagged(tmp_path):
    for name in ("A1", "A2"):
        (tmp_path / f"{name}.hea").write_text("A1 1 500 600\nA1.dat 16 1000/mV 16 0 0 0 0 I\n")
    np.arange(600, dtype="<i2").tofile(tmp_path / "A1.dat")
    assert [read_recording(tmp_path / f"{name}.hea").flags for name in ("A1", "A2")] == [(), ("signal_of_another",)]
    (tmp_path / "A1.hea").unlink()
    assert read_recording(tmp_path / "A2.hea").flags == ()


@pytest.mark.parametrize(
    ("stored", "flags"),
    [
        (lambda counts: counts.T.astype("<i2"), ()),
        (lambda counts: counts.T.astype(">i2"), ("other_start",)),
        (lambda counts: counts.astype("<i2"), ("other_start",)),  # a lead after the other
        (lambda counts: counts[::-1].T.astype("<i2"), ("other_start",)),
    ],
)
def test_samples_that_begin_otherwise_than_the_header_says_are_flagged(tmp_path, stored, flags):
    counts = make_counts(3, 1000)
    lines = [f"A.dat 16 200 12 0 {row[0]} 0 0 {lead}" for row, lead in zip(counts, ("I", "II", "V1"), strict=True)]
    (tmp_path / "A.hea").write_text("A 3 500 1000\n" + "\n".join(lines))
    (tmp_path / "A.dat").write_bytes(stored(counts).tobytes())
    assert read_recording(tmp_path / "A").flags == flags


def test_fewer_and_more_samples_than_announced(tmp_path):
    counts = make_counts(12, 1000)
    for n_samples, announced, flags in [(1000, 5000, ("short_file",)), (500, 5000, ("short_file",)),
                                        (1000, 999, ("long_file",)), (100, 100, ())]:  # fmt: skip
        path = write_recording(tmp_path, counts=counts[:, :n_samples], record_line=f"A0001 12 500 {announced}")
        recording = read_recording(path)
        assert (recording.signal.shape, recording.flags) == ((12, n_samples), flags)
        assert recording_from_parts(path.read_text(), counts[:, :n_samples]).flags == flags
    path = write_recording(tmp_path, counts=counts[:, :499], record_line="A0001 12 500 5000")
    for read in (lambda: read_recording(path), lambda: recording_from_parts(path.read_text(), counts[:, :499])):
        with pytest.raises(ReadError, match="found 499 samples, expected 5000, or at least one second"):
            read()


def test_truncated_mat_keeps_its_whole_samples(tmp_path):
    counts = make_counts(12, 1000)
    path = write_recording(tmp_path, counts=counts, gain="1/mV")
    (tmp_path / "A0001.mat").write_bytes(mat4_bytes(counts)[: 24 + 600 * 24 + 13])
    recording = read_recording(path)
    assert np.array_equal(recording.signal, counts[:, :600])
    assert recording.flags == ("short_file",)


def test_bytes_after_the_matrix_are_no_samples(tmp_path):
    counts = make_counts(12, 1000)
    path = write_recording(tmp_path, counts=counts, gain="1/mV")
    (tmp_path / "A0001.mat").write_bytes(mat4_bytes(counts) + mat4_bytes(counts))
    assert np.array_equal(read_recording(path).signal, counts)


def test_announced_sizes_reserve_no_memory(tmp_path):
    counts = make_counts(12, 1000)
    path = write_recording(tmp_path, counts=counts, record_line="A0001 12 500 999999999999999", gain="1/mV")
    content = bytearray(mat4_bytes(counts))
    content[8:12] = struct.pack("<i", 2**31 - 1)  # columns
    (tmp_path / "A0001.mat").write_bytes(content)
    assert np.array_equal(read_recording(path).signal, counts)
    text = header_text(form="80", file="A0001.dat", record_line="A0001 12 500 999999999999999")
    path.write_text(text)
    (tmp_path / "A0001.dat").write_bytes(bytes(1200))
    with pytest.raises(ReadError, match="found 100 samples, expected 999999999999999"):
        read_recording(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "0 bytes"),
        (b"\x1e\0\0\0", "4 bytes"),
        (mat4_bytes(make_counts(11)), "11 rows"),
        (mat4_bytes(make_counts(12))[:24], "no whole sample"),
        (mat4_bytes(make_counts(12))[:40], "no whole sample"),
        (b"this is not a MATLAB file at all, but a line of text", "no MATLAB file that can be read"),
        (struct.pack("<5i4s", 0, 12, 2**30, 0, 4, b"val\0") + bytes(96), "no MATLAB file that can be read"),
        (mat4_bytes(make_counts(12)).replace(b"val\0", b"ecg\0"), "variables ecg (12 x 1000 int16)"),
    ],
)
def test_damaged_mat_files_are_refused(tmp_path, content, found):
    path = write_recording(tmp_path)
    (tmp_path / "A0001.mat").write_bytes(content)
    with pytest.raises(ReadError) as caught:
        read_recording(path)
    assert caught.value.path == str(tmp_path / "A0001.mat")
    assert found in str(caught.value)


def test_sparse_matrix_is_refused(tmp_path):
    path = write_recording(tmp_path)
    savemat(tmp_path / "A0001.mat", {"val": csc_matrix(make_counts().astype(float))})
    with pytest.raises(ReadError, match=r"found variables val \(12 x 1000 sparse\), expected `val` of numbers"):
        read_recording(path)


def test_missing_and_irregular_signal_files_are_refused(tmp_path):
    path = write_recording(tmp_path)
    signal = tmp_path / "A0001.mat"
    signal.unlink()
    for make in (lambda: None, signal.mkdir):
        make()
        with pytest.raises(ReadError, match=r"A0001\.mat: found no such file, expected the signal of A0001"):
            read_recording(path)
    signal.rmdir()
    os.mkfifo(signal)  # opening it would wait for ever
    with pytest.raises(ReadError, match="found no such file"):
        read_recording(path)


def test_array_that_does_not_fit_its_header_is_refused():
    for raw in (make_counts(11), make_counts()[0], np.array([["a"] * 12]).T, np.zeros((12, 0), np.int16)):
        with pytest.raises(ReadError):
            recording_from_parts(header_text(), raw, "A0001")


@pytest.mark.parametrize(("fmt", "highest"), [("16", 30000), ("212", 2000), ("80", 120), ("24", 2**22), ("32", 2**30)])
def test_storage_formats_agree_with_wfdb(tmp_path, fmt, highest):
    counts = np.random.default_rng(0).integers(-highest, highest, (777, 3))
    counts[5] = {"16": -(2**15), "212": -(2**11), "80": -(2**7), "24": -(2**23), "32": -(2**31)}[fmt]
    wfdb.wrsamp("rec", fs=360, units=["mV", "uV", "mV"], sig_name=["I", "ii", "V5"], d_signal=counts, fmt=[fmt] * 3,
                adc_gain=[200.0, 1.5, 333.0], baseline=[0, 12, -7], write_dir=str(tmp_path))  # fmt: skip
    header = read_header(tmp_path / "rec.hea")
    raw = read_raw(header, tmp_path)
    assert np.array_equal(raw, counts.T)
    assert raw.dtype == (np.int32 if fmt in ("24", "32") else np.int16)
    assert checksum_mismatches(raw, header) == ()
    recording = read_recording(tmp_path / "rec.dat")
    assert recording.leads == ("I", "II", "V5")
    expected = wfdb.rdrecord(str(tmp_path / "rec")).p_signal.T * [[1], [1e-3], [1]]
    np.testing.assert_allclose(recording.signal, expected, rtol=3e-7)
    assert np.isnan(recording.signal[:, 5]).all()


def test_signals_in_several_files_and_big_endian(tmp_path):
    first, second = make_counts(2, 600), make_counts(1, 700, seed=1)
    first.T.astype("<i2").tofile(tmp_path / "A.dat")
    second.T.astype(">i2").tofile(tmp_path / "A.xyz")
    (tmp_path / "A.hea").write_text("A 3 500 600\nA.dat 16 1 16 0 0 0 0 I\nA.dat 16 1 16 0 0 0 0 II\nA.xyz 61 1\n")
    assert np.array_equal(read_recording(tmp_path / "A").signal, np.vstack([first, second[:, :600]]))
    (tmp_path / "B.hea").write_text("B 3 500 600\nA.dat 16 1 16 0 0 0 0 I\nA.xyz 61 1\nA.dat 16 1 16 0 0 0 0 II\n")
    with pytest.raises(ReadError, match="one block of signal lines for each file"):
        read_recording(tmp_path / "B")


@pytest.mark.parametrize("fmt", ["16", "24", "80"])
def test_rarer_formats_are_read_with_any_header_that_is_understood(tmp_path, fmt):
    counts, other = (make_counts(2, 600, seed) % 100 for seed in (0, 1))
    for name, samples in (("A", counts), ("other", other)):
        wfdb.wrsamp(name, fs=500, units=["mV"] * 2, sig_name=["I", "II"], d_signal=samples.T.astype(int), fmt=[fmt] * 2,
                    adc_gain=[1.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path))  # fmt: skip
    (tmp_path / "A.dat").rename(tmp_path / "\N{LATIN SMALL LETTER U WITH DIAERESIS}.dat")
    signal_lines = f"\n\N{LATIN SMALL LETTER U WITH DIAERESIS}.dat {fmt} 1/mV 16 0 0 0 0 I" * 2
    # A name that is another recording's, an extension, a date that wfdb takes for a syntax error, no length.
    for record_line in ("other 2 500 600", "A.dat 2 500 600", "A 2 500 600 10:20:30 12-May-2020", "A 2 500 0"):
        (tmp_path / "A 1.hea").write_text(record_line + signal_lines + "\n", encoding="utf-8")
        assert np.array_equal(read_raw(read_header(tmp_path / "A 1.hea"), tmp_path), counts), record_line


def test_uneven_file_of_unknown_length_is_refused(tmp_path):
    make_counts(1, 601).tofile(tmp_path / "A.dat")
    path = tmp_path / "A.hea"
    lines = "A.dat 16 1 16 0 0 0 0 I\nA.dat 16 1 16 0 0 0 0 II\n"
    path.write_text("A 2 250\n" + lines)
    with pytest.raises(ReadError, match="found 601 samples, expected a multiple of 2 leads"):
        read_recording(path)
    path.write_text("A 2 250 300\n" + lines)
    assert read_recording(path).signal.shape == (2, 300)


def test_format_that_nobody_reads_is_refused(tmp_path):
    path = write_recording(tmp_path, file="A0001.dat", form="999")
    (tmp_path / "A0001.dat").write_bytes(bytes(24000))
    with pytest.raises(ReadError, match="found format 999, expected 1000 samples of 12 leads in one of"):
        read_recording(path)


def test_signal_hash_depends_on_counts_alone():
    counts = make_counts()
    reference = signal_hash(counts)
    for same in (np.asfortranarray(counts), counts.astype(np.int32), counts.astype(float), counts.astype(">i2")):
        assert signal_hash(same) == reference
    other = counts.copy()
    other[5, 7] += 1
    assert len({reference, signal_hash(other), signal_hash(counts[:, :-1]), signal_hash(counts.reshape(24, -1)),
                signal_hash(counts[::-1]), signal_hash(counts.astype(np.int32) + 100_000)}) == 6  # fmt: skip


def test_checksums():
    counts = make_counts(2)
    sums = [int(row.sum()) % 65536 for row in counts]
    assert checksum_mismatches(counts, parse_header(header_text(leads=LEADS[:2], checksums=sums))) == ()
    sums[1] += 1
    assert checksum_mismatches(counts, parse_header(header_text(leads=LEADS[:2], checksums=sums))) == ("II",)


# --- whole recordings ----------------------------------------------------------------------------------------------

@pytest.fixture
def folder_of(request):
    """The folder of a source, of the real recordings or simulated."""
    return lambda source: request.getfixturevalue("simulated_data") / "challenge" if source == "simulated" else (
        request.getfixturevalue("real_data") / source
    )


@pytest.mark.parametrize(
    "source", ["simulated", "challenge", "quirks", "ludb", "mitdb", "qtdb", "af_2017", "quality_2011", "nstdb"]
)
def test_recordings_agree_with_wfdb(folder_of, source):
    compared = 0
    for path in find_recordings(folder_of(source)):
        try:
            reference = wfdb.rdrecord(str(path.with_suffix("")))
        except (ValueError, FileNotFoundError):
            continue
        recording = read_recording(path)
        header = read_header(path)
        to_mv = np.array([[signal.gain / signal.counts_per_mv] for signal in header.signals])
        expected = reference.p_signal.T * to_mv
        assert recording.signal.shape == expected.shape, path
        np.testing.assert_allclose(recording.signal, expected, rtol=3e-7, atol=1e-9, err_msg=str(path))
        assert recording.fs == reference.fs
        assert recording.leads == tuple(map(canonical_lead, reference.sig_name))
        assert checksum_mismatches(read_raw(header, path.parent), header) == (), path
        compared += 1
    assert compared >= {"simulated": 24, "challenge": 267, "quirks": 8, "ludb": 100, "af_2017": 1400}.get(source, 1)


def test_every_challenge_recording_is_the_same_from_files_and_from_parts(recorded):
    for path in recordings_in(recorded):
        if not path.with_suffix(".mat").exists():
            continue
        read = read_recording(path)
        handed_over = recording_from_parts(path.read_text(), loadmat(path.with_suffix(".mat"))["val"])
        assert np.array_equal(read.signal, handed_over.signal), path
        for name in ("name", "fs", "leads", "age", "sex", "codes", "flags"):
            assert getattr(read, name) == getattr(handed_over, name)
        assert read.flags in ((), ("text_labels",), ("record_name_extension",))


def test_quirks_are_read_or_refused_with_a_reason(real_data):
    outcomes = {}
    for path in find_recordings(real_data / "quirks"):
        try:
            recording = read_recording(path)
        except ReadError as error:
            outcomes[path.stem] = str(error)
        else:
            assert recording.codes, path
            outcomes[path.stem] = recording.codes
    assert outcomes["A0001"] == ("59118001",)
    assert outcomes["E00015"] == ("251146004", "284470004")
    assert sorted(stem for stem, outcome in outcomes.items() if isinstance(outcome, str)) == ["I0001", "I0002", "I0003"]
    assert all("found no such file, expected the signal of" in outcomes[stem] for stem in ("I0001", "I0002", "I0003"))
