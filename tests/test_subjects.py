"""What files of devices say of a person in other forms than their standards, and channels that are none of an ECG."""

from __future__ import annotations

import numpy as np
import pytest
from files_on_disk import make_counts
from vendor_files import write_dicom, write_muse

from leadset.leads import signed_lead
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


@pytest.mark.parametrize(
    ("name", "lead"),
    [("I-REF", "I"), ("ECG II-Ref", "II"), ("ECG LA-RA", "I"), ("LL-RA", "II"), ("EKG LF-LA", "III"),
     ("RA-LA", "RA-LA"), ("ECG1-ECG2", "ECG1-ECG2"), ("LA", "LA")],
)  # fmt: skip
def test_leads_named_by_their_electrodes(name, lead):
    assert signed_lead(name) == (lead, 1)
