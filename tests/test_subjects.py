"""What files of devices say of a person in other forms than their standards, and channels that are none of an ECG."""

from __future__ import annotations

import numpy as np
import pytest
from files_on_disk import make_counts
from vendor_files import write_dicom, write_muse

from leadset.leads import signed_lead
from leadset.preprocess import check
from leadset.recordings import read_recording


@pytest.fixture(autouse=True)
def libraries():
    for library in ("ecgdatakit", "pydicom", "edfio"):
        pytest.importorskip(library, reason="the formats extra is not installed")


@pytest.mark.parametrize(
    ("age", "sex", "read", "flags"),
    [("61", "M", (61, "male"), ()), ("061Y", "f", (61, "female"), ()), ("", "O", (None, None), ()),
     ("006M", "x", (0.5, None), ("sex_unreadable",)),
     ("old", "M", (None, "male"), ("age_unreadable",))],
)  # fmt: skip
def test_what_dicom_says_of_a_person_in_other_forms_is_read_or_flagged(tmp_path, age, sex, read, flags):
    from pydicom import config, dcmread

    path = tmp_path / "a.dcm"
    write_dicom(path, make_counts(3, 1000), ("I", "II", "V2"), 500)
    data = dcmread(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
        patch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
        data.PatientAge, data.PatientSex = age, sex
        data.save_as(path)
    recording = read_recording(path)
    assert ((recording.age, recording.sex), recording.flags) == (read, flags)


def test_an_age_without_a_unit_is_flagged(tmp_path):
    path = tmp_path / "a.xml"
    write_muse(path, make_counts(3, 1000), ("I", "II", "V2"), 500)
    path.write_text(path.read_text().replace("<AgeUnits>YEARS</AgeUnits>", ""))
    assert (read_recording(path).age, read_recording(path).flags) == (None, ("age_unreadable",))


@pytest.mark.parametrize(("offsets", "flags"), [((0, 0, 0), ()), ((0, 0, 40), ("other_lead_times",))])
def test_leads_at_other_times_are_flagged(tmp_path, offsets, flags):
    path = tmp_path / "a.xml"
    write_muse(path, make_counts(3, 1000), ("I", "II", "V2"), 500)
    first, *leads = path.read_text().split("</LeadID>")
    parts = zip(offsets, leads, strict=True)
    path.write_text(first + "".join(f"</LeadID><LeadTimeOffset>{at}</LeadTimeOffset>{rest}" for at, rest in parts))
    assert read_recording(path).flags == flags


def test_channels_of_an_eeg_do_not_set_the_rate(tmp_path):
    import edfio

    counts = make_counts(1, 1000)[0]
    brain = [edfio.EdfSignal(np.sin(np.arange(400)), 200, label=f"EEG C{i}", physical_dimension="uV") for i in range(3)]
    heart = edfio.EdfSignal(counts.astype(float), 500, label="ECG", physical_dimension="uV")
    edfio.Edf([*brain, heart]).write(tmp_path / "a.edf")
    recording = read_recording(tmp_path / "a.edf")
    assert (recording.fs, recording.leads, recording.flags) == (500, ("ECG",), ("other_rate",))


def write_edf(path, labels, patient="", scale=None):
    """A file of these channels, all at 250 Hz; ``scale`` takes the place of the last one's physical range."""
    import edfio

    pairs = zip(make_counts(len(labels), 500).astype(float), labels, strict=True)
    signals = [edfio.EdfSignal(row, 250, label=name, physical_dimension="uV") for row, name in pairs]
    edfio.Edf(signals).write(path)
    content, n = bytearray(path.read_bytes()), len(labels)
    content[8:88], content[192:236] = patient.encode().ljust(80), b" " * 44
    if scale is not None:
        low, high = 256 + 104 * n + 8 * (n - 1), 256 + 112 * n + 8 * (n - 1)
        content[low : low + 8], content[high : high + 8] = (str(end).encode().ljust(8) for end in scale)
    path.write_bytes(content)
    return read_recording(path)


@pytest.mark.parametrize(
    ("labels", "leads"),
    [
        (("C3", "C4", "M1", "M2", "ECG"), ("EEG C3", "EEG C4", "M1", "M2", "ECG")),
        (("EEG Fpz-Cz", "C3", "II"), ("EEG Fpz-Cz", "EEG C3", "II")),
        (("C3:M2", "C4/A1", "C4 A1", "ECG"), ("EEG C3:M2", "EEG C4/A1", "EEG C4 A1", "ECG")),
        (("C3", "C4", "ECG"), ("EEG C3", "EEG C4", "ECG")),
        (("I", "II", "C1", "C6", "C7", "ECG"), ("I", "II", "V1", "V6", "C7", "ECG")),
        (("C1", "C2", "C3"), ("V1", "V2", "V3")),
        (("V3", "EEG Cz", "II"), ("V3", "EEG Cz", "II")),
    ],
)
def test_electrodes_on_the_head_are_no_chest_leads(tmp_path, labels, leads):
    assert write_edf(tmp_path / "a.edf", labels).leads == leads
    lines = [f"a.dat 16 1000/mV 16 0 0 0 0 {label}" for label in labels]
    (tmp_path / "b.hea").write_text("\n".join([f"b {len(labels)} 250 500", *lines, ""]))
    make_counts(len(labels), 500).T.astype("<i2").tofile(tmp_path / "a.dat")
    assert read_recording(tmp_path / "b.hea").leads == leads
    assert read_recording(tmp_path / "b.hea", {labels[0]: "aVR"}).leads[0] == "aVR"


@pytest.mark.parametrize(("beside", "understood"), [("M1", ("II",)), ("I", ("I", "II", "V3"))])
def test_nor_are_they_where_a_recording_comes_from_no_file(beside, understood):
    signal = np.cumsum(np.random.default_rng(0).normal(size=(3, 5000)), axis=1) / 100
    assert check(signal, 500, ("C3", "II", beside)).repaired.leads == understood


@pytest.mark.parametrize("scale", [(0, 0), (5, 5)])
def test_an_unused_channel_does_not_cost_the_others(tmp_path, scale):
    recording = write_edf(tmp_path / "a.edf", ("I", "II", "V9"), scale=scale)
    assert (recording.leads, recording.flags) == (("I", "II"), ("other_channel",))


@pytest.mark.parametrize(
    ("text", "patient"),
    [("female 33yr", None), ("Male, 61 years", None), ("61 M", None), ("Patient 12", "Patient 12"), ("P0012", "P0012"),
     ("P7 M 45", "P7"), ("P7 M 01-JAN-1950 name", "P7"), ("X X X X", None), ("", None)],
)  # fmt: skip
def test_free_text_of_a_plain_edf_makes_no_patient_of_many(tmp_path, text, patient):
    assert write_edf(tmp_path / "a.edf", ("I", "II"), text).patient == patient


@pytest.mark.parametrize(
    ("name", "lead"),
    [("I-REF", "I"), ("ECG II-Ref", "II"), ("ECG LA-RA", "I"), ("LL-RA", "II"), ("EKG LF-LA", "III"),
     ("RA-LA", "RA-LA"), ("ECG1-ECG2", "ECG1-ECG2"), ("LA", "LA")],
)  # fmt: skip
def test_leads_named_by_their_electrodes(name, lead):
    assert signed_lead(name) == (lead, 1)
