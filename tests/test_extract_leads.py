"""`extract_leads_wfdb.py`: copies with some leads, read back by wfdb and by the kit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from files_on_disk import make_counts, write_recording
from recordings_on_disk import recordings_in
from scipy.io import savemat

import extract_leads_wfdb
from leadset import read_recording
from leadset.leads import LEADS

CURRENT = {
    "form": "16x1+24", "gain": "1000.0(0)/mV", "comments": ("# Age: 74", "# Dx: 426783006", "# Note: kept: as it is"),
}  # fmt: skip
OLD = {
    "record_line": "A0001.mat 12 500 1000 12-May-2020 12:33:59", "comments": ("#Age: 74", "#Sex: Male", "#Dx: AF"),
}  # fmt: skip


def extract(source: Path, target: Path, *leads: str, key: str | None = None) -> int:
    """Runs the script; returns the exit status."""
    more = ["-k", key] if key else []
    return extract_leads_wfdb.main(["-i", str(source), "-o", str(target), "-l", *leads, *more])


@pytest.mark.parametrize("header", [CURRENT, OLD], ids=["current", "2021"])
def test_chosen_leads_are_copied_and_read_back(tmp_path: Path, header: dict):
    counts = make_counts()
    counts[10] = 32000  # its sum passes 16 bits
    source = write_recording(tmp_path / "in" / "g1", counts=counts, **header)
    assert extract(tmp_path / "in", tmp_path / "out", "v5", "AVR", "I") == 0
    copy = tmp_path / "out" / "g1" / "A0001.hea"
    assert copy.with_suffix(".mat").stat().st_size == 24 + 2 * 3 * 1000

    record = wfdb.rdrecord(str(copy.with_suffix("")), physical=False)
    np.testing.assert_array_equal(record.d_signal.T, counts[[10, 3, 0]])
    assert record.sig_name == ["V5", "aVR", "I"]
    assert record.init_value == counts[[10, 3, 0], 0].tolist()
    assert record.checksum == [int(np.int64(row.sum()).astype(np.int16)) for row in counts[[10, 3, 0]]]
    assert [line for line in copy.read_text().splitlines() if line.startswith("#")] == list(header["comments"])

    ours, original = read_recording(copy), read_recording(source)
    np.testing.assert_array_equal(ours.signal, original.signal[[10, 3, 0]])
    assert (ours.leads, ours.fs, ours.age, ours.codes) == (("V5", "aVR", "I"), 500, 74, original.codes)


@pytest.mark.parametrize("words", [("V5,avr,I",), ("V5,", "aVR", "I"), ("V5, AVR", "I")])
def test_leads_have_commas_or_blanks_between(tmp_path: Path, words: tuple[str, ...]):
    write_recording(tmp_path / "in", **CURRENT)
    assert extract(tmp_path / "in", tmp_path / "out", *words) == 0
    assert read_recording(tmp_path / "out" / "A0001.hea").leads == ("V5", "aVR", "I")


def test_a_comma_alone_is_no_lead(tmp_path: Path, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit, match="2"):
        extract(tmp_path, tmp_path / "out", ",")
    assert "found no lead, expected names such as I,II" in capsys.readouterr().err


def test_the_dialect_stays_and_the_date_becomes_readable(tmp_path: Path):
    write_recording(tmp_path / "in", **OLD)
    write_recording(tmp_path / "in", "B0001", **CURRENT)
    assert extract(tmp_path / "in", tmp_path / "out", "I", "II") == 0
    old, current = (tmp_path / "out" / f"{name}.hea" for name in ("A0001", "B0001"))
    assert old.read_text().startswith("A0001 2 500 1000 12:33:59 12/05/2020\nA0001.mat 16+24 1000/mV 16 0 ")
    assert current.read_text().startswith("B0001 2 500 1000\nB0001.mat 16x1+24 1000.0(0)/mV 16 0 ")
    assert wfdb.rdheader(str(old.with_suffix(""))).base_date.isoformat() == "2020-05-12"


def test_diagnoses_in_the_form_that_the_organisers_read_stay_in_it(tmp_path: Path):
    write_recording(tmp_path / "in", **CURRENT | {"comments": ("# Age: 74", "#Dx: 426783006")})
    assert extract(tmp_path / "in", tmp_path / "out", "I") == 0
    assert "\n#Dx: 426783006\n" in (tmp_path / "out" / "A0001.hea").read_text()


@pytest.mark.parametrize(
    ("record_line", "start"),
    [
        ("A0001 12 500 1000 12:33:59 01/02/2020", "12:33:59 01/02/2020"),
        ("A0001 12 500 1000 12:33:59", "12:33:59"),
        ("A0001 12 500 1000 3-Dec-2019 1:02:03", "1:02:03 03/12/2019"),
        ("A0001 12 500 1000 03-Xyz-2019 01:02:03", "01:02:03"),
        ("A0001 12 500 1000 12-May-2020", ""),
        ("A0001 12 500", ""),
    ],
)
def test_time_and_date(tmp_path: Path, record_line: str, start: str):
    write_recording(tmp_path / "in", record_line=record_line)
    assert extract(tmp_path / "in", tmp_path / "out", "II") == 0
    assert (tmp_path / "out" / "A0001.hea").read_text().splitlines()[0] == f"A0001 1 500 1000 {start}".strip()
    wfdb.rdheader(str(tmp_path / "out" / "A0001"))


@pytest.mark.parametrize("gain", ["4880/mV", "306000.5(-7)/uV", "0", "1e-3(12)/V", "200/mv"])
def test_gains_keep_their_meaning(tmp_path: Path, gain: str):
    source = write_recording(tmp_path / "in", gain=gain)
    assert extract(tmp_path / "in", tmp_path / "out", "II", "V6") == 0
    copy = tmp_path / "out" / "A0001.hea"
    np.testing.assert_array_equal(read_recording(copy).signal, read_recording(source).signal[[1, 11]])
    wfdb.rdrecord(str(copy.with_suffix("")))


def test_a_recording_that_lacks_a_lead_is_named_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_recording(tmp_path / "in", "A0001", make_counts(2))
    write_recording(tmp_path / "in", "A0002")
    (tmp_path / "in" / "A0003.hea").write_text("A0003 1 500 1000\nA0003.mat 16+24 1000/mV 16 0 0 0 0 I\n")
    assert extract(tmp_path / "in", tmp_path / "out", "I", "V2", "V3") == 1
    out, err = capsys.readouterr()
    assert "1 of 3 recordings" in out
    first, second = err.splitlines()
    assert "A0001.hea: found leads I II, expected V2 V3" in first and "A0003.hea: found leads I" in second
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["A0002.hea", "A0002.mat"]


def test_samples_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    path = write_recording(tmp_path / "in")
    savemat(path.with_suffix(".mat"), {"val": make_counts().astype(np.int32) * 1000}, format="4")
    assert extract(tmp_path / "in", tmp_path / "out", "I") == 1
    assert "found samples of type int32" in capsys.readouterr().err


def test_invalid_samples_stay_invalid(tmp_path: Path):
    counts = make_counts(2) // 2
    counts[0, 100:200] = -2048  # "no valid sample" in format 212, -2 mV in format 16
    (tmp_path / "in").mkdir()
    wfdb.wrsamp("A", fs=500, units=["mV"] * 2, sig_name=["I", "II"], d_signal=counts.T.astype(int), fmt=["212"] * 2,
                adc_gain=[1000.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path / "in"))  # fmt: skip
    assert extract(tmp_path / "in", tmp_path / "out", "II", "I") == 0
    copied = read_recording(tmp_path / "out" / "A.hea").signal[::-1]
    assert np.isnan(copied[0, 100:200]).all()
    np.testing.assert_array_equal(copied, read_recording(tmp_path / "in" / "A.hea").signal)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_recording(tmp_path / "in", "stump", make_counts(n_samples=499), record_line="stump 12 500 5000")
    named = write_recording(tmp_path / "in", "A0001")
    named.rename(named.with_name("A 1.hea"))
    assert extract(tmp_path / "in", tmp_path / "out", "I") == 1
    messages = capsys.readouterr().err
    assert "found 499 samples, expected 5000" in messages
    assert "found the record name 'A 1', expected one without blanks" in messages
    assert not (tmp_path / "out").exists()


def test_a_matrix_of_another_name(tmp_path: Path, capsys: pytest.CaptureFixture):
    counts = make_counts()
    path = write_recording(tmp_path / "in", counts=counts)
    savemat(path.with_suffix(".mat"), {"ecg": counts}, format="4")
    assert extract(tmp_path / "in", tmp_path / "out", "V1") == 1
    assert extract(tmp_path / "in", tmp_path / "out", "V1", key="val2") == 1
    assert "a matrix `val2`" in capsys.readouterr().err
    assert extract(tmp_path / "in", tmp_path / "out", "V1", key="ecg") == 0
    record = wfdb.rdrecord(str(tmp_path / "out" / "A0001"), physical=False)
    np.testing.assert_array_equal(record.d_signal.T, counts[[6]])


@pytest.mark.parametrize(
    ("target", "leads", "message"), [("out", ("I", "i"), "a lead is named twice"), ("in", ("I",), "never changed")]
)
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture, target: str, leads: tuple, message: str):
    write_recording(tmp_path / "in")
    before = (tmp_path / "in" / "A0001.hea").read_bytes()
    with pytest.raises(SystemExit, match="2"):
        extract(tmp_path / "in", tmp_path / target, *leads)
    assert message in capsys.readouterr().err
    assert (tmp_path / "in" / "A0001.hea").read_bytes() == before


def test_a_folder_without_recordings(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert extract(tmp_path, tmp_path / "out", "I") == 1
    assert "no recording" in capsys.readouterr().err


def test_recordings_are_read_back(recorded: Path, tmp_path: Path):
    for part in ("challenge", "quirks"):
        if (recorded / part).is_dir():
            failed = extract(recorded / part, tmp_path / part, "II", "V2", "aVL")
            assert failed == (part == "quirks")  # three of its headers have no signal
    copies = sorted(tmp_path.rglob("*.hea"))
    assert len(copies) == len(recordings_in(recorded)) - 3 * (recorded / "quirks").is_dir()
    rows = [LEADS.index(lead) for lead in ("II", "V2", "aVL")]
    for copy in copies:
        original = read_recording(recorded / copy.relative_to(tmp_path))
        ours, record = read_recording(copy), wfdb.rdrecord(str(copy.with_suffix("")))
        np.testing.assert_array_equal(ours.signal, original.signal[rows])
        np.testing.assert_allclose(record.p_signal.T, original.signal[rows], rtol=1e-6)
        assert (ours.codes, ours.age, ours.sex) == (original.codes, original.age, original.sex)


def test_every_form_of_samples_is_copied_as_it_is_read(tmp_path: Path, capsys):
    """Offset binary in a MATLAB file, a lead upside down, several samples a frame, segments with a gap."""
    folder = tmp_path / "in"
    folder.mkdir()
    values = make_counts(2, 600) % 256
    values[0, :5] = 0  # invalid
    savemat(folder / "a.mat", {"val": values.astype(np.uint8)}, format="4")
    line = "a.mat 80+24 40(0)/mV 8 0 0 0 0 "
    (folder / "a.hea").write_text(f"a 2 500 600\n{line}I\n{line}-aVR\n")
    frames = make_counts(1, 2400).reshape(600, 4)
    frames.astype("<i2").tofile(folder / "b.dat")
    lines = [f"b.dat 16x{n} 1000(0)/{unit} 16 0 0 0 0 {lead}" for n, unit, lead in ((2, "mV", "I"), (1, "pm", "Resp"))]
    (folder / "b.hea").write_text("\n".join(["b 3 250 600", *lines, lines[1].replace("Resp", "ABP"), ""]))
    for name in ("c1", "c2"):
        make_counts(1, 600).astype("<i2").tofile(folder / f"{name}.dat")
        (folder / f"{name}.hea").write_text(f"{name} 1 500 600\n{name}.dat 16 1000(0)/mV 16 0 0 0 0 I\n")
    (folder / "c.hea").write_text("c/3 1 500 1300\nc1 600\n~ 100\nc2 600\n")
    assert extract(folder, tmp_path / "out", "I") == 0
    assert f"{folder / 'b.hea'}: other_rate (signals of another rate" in capsys.readouterr().err
    for name in ("a", "b", "c"):
        copy, original = read_recording(tmp_path / "out" / name), read_recording(folder / name)
        assert (copy.fs, copy.leads) == (original.fs, ("I",))
        np.testing.assert_array_equal(copy.signal, original.signal[:1])
    assert extract(folder, tmp_path / "upside", "aVR") == 1
    copy, original = read_recording(tmp_path / "upside" / "a"), read_recording(folder / "a")
    np.testing.assert_array_equal(copy.signal, original.signal[1:])
    assert original.signal[1, 0] == -(int(values[1, 0]) - 128) / 40
