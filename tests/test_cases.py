"""Files as users report trouble with them, beside the real recordings where they are there: read right, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from leadset import delineate, read_recording
from leadset.preprocess import Transform, prepare
from leadset.recordings import ReadError, survey
from leadset.recordings.formats import Format

#: Case: flags of reading, and how many leads can be used.
READ = {
    "01/mat8": ((), 6), "02/even": ((), 2), "02/monitor": (("other_rate",), 2), "04/f508": ((), 6),
    "05/paper3": ((), 12), "05/nostrip3": ((), 12), "06/all/E04603": ((), 12), "06/commas/JS03287": ((), 12),
    "08/double_mv": (("fractional_counts",), 12), "08/microvolts": ((), 12), "08/mojibake": ((), 12),
    "08/none_unit": (("unknown_unit",), 12), "08/question": (("garbled_unit",), 12), "08/utf16": ((), 12),
    "08/uvlsb": ((), 12), "10/lay": ((), 2), "10/whole": ((), 2), "11/names/chest": ((), 12),
    "11/names/mdc": ((), 12), "11/names/dicom": ((), 12), "11/names/cabrera": ((), 12), "11/names/brazil": ((), 12),
    "11/names/dash": ((), 12), "11/names/l1": ((), 12), "11/names/rightleads": ((), 12), "24/flat_500Hz": ((), 11),
    "27/flac12": ((), 12),
}  # fmt: skip
REFUSED = {
    "06/merged/JS01052": "a record line 'JS01052 12 500 5000000/mV",
    "08/ECG_struct": r"variables ECG \(1 x 1 struct of sex, age, data\)",
    "08/ecgkey": r"variables ecg \(12 x 5000 int16\)",
    "08/transposed": "5000 rows of 12 samples",
}


@pytest.fixture(scope="module")
def cases(real_data):
    """Folder of the cases, beside that of the real recordings."""
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("there is no folder `cases` beside the real recordings")
    return folder


@pytest.mark.parametrize("name", READ)
def test_read_right(cases, name):
    recording = read_recording(cases / f"{name}.hea")
    flags, usable = READ[name]
    prepared = prepare(recording.signal, recording.fs, recording.leads, Transform())
    assert (recording.flags, len(prepared.usable_leads)) == (flags, usable)
    assert not {flag for flag in prepared.flags if flag.startswith(("clipped", "unknown"))}
    assert ("implausible_amplitude" in prepared.flags) == (name == "08/double_mv")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(cases, name):
    with pytest.raises(ReadError, match=REFUSED[name]):
        read_recording(cases / f"{name}.hea")


def test_samples(cases):
    plain = read_recording(cases / "01/plain.hea").signal
    np.testing.assert_array_equal(read_recording(cases / "01/mat8.hea").signal, plain)
    for name in ("even", "monitor"):
        recording = read_recording(cases / f"02/{name}.hea")
        np.testing.assert_allclose(recording.signal, np.load(cases / "02/truth.npy"), atol=6e-4)
        assert recording.fs == 250
    upright = read_recording(cases / "11/names/cabrera.hea")
    counts = np.fromfile(cases / "11/names/cabrera.mat", "<i2", offset=24).reshape(-1, 12)[:, 2]
    np.testing.assert_allclose(upright.signal[upright.leads.index("aVR")], counts / -1000, rtol=1e-6)
    assert read_recording(cases / "06/commas/JS03287.hea").codes == ("426177001", "164934002")


def test_beats_of_paper_are_those_of_the_whole_recording(cases):
    whole = delineate(read_recording(cases / "05/full3.hea").signal, 500)
    for name in ("paper3", "nostrip3"):
        assert len(delineate(read_recording(cases / f"05/{name}.hea").signal, 500).fused) == len(whole.fused)


def test_files_that_are_not_read_are_counted(cases, monkeypatch):
    monkeypatch.setattr(Format, "installed", property(lambda form: not form.library))
    assert len(survey(cases / "09/mixed").others) == 13
    assert len(survey(cases / "09/foreign").others) == 9
    assert [path.stem for path in survey(cases / "10").headers] == ["lay", "whole"]
