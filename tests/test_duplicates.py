"""Recordings of the same heartbeats, and of the same patient, in whatever form they come."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, resample_poly, sosfiltfilt

from leadset.recordings import duplicates, read_recording
from leadset.recordings.duplicates import comparable, correlation, heartbeats, same_recordings
from leadset.recordings.patients import find_patients, patient_of_folder
from leadset.recordings.subject import parse_comments
from leadset.simulate import simulate

N, FS = 24, 500


def at_100_hz(signal):
    return resample_poly(signal, 1, 5, axis=1), 100


def cut(signal):
    return signal[:, 1500:4800], FS


def filtered(signal):
    return sosfiltfilt(butter(2, (0.5, 40), "bandpass", fs=FS, output="sos"), signal, axis=1), FS


def other_gains(signal):
    return signal * np.linspace(0.3, 4, len(signal))[:, None], FS


def inverted(signal):
    return signal * np.where(np.arange(len(signal)) < 9, -1, 1)[:, None], FS


def rounded(signal):
    return np.round(signal * 25) / 25, FS


def all_at_once(signal):
    low, fs = at_100_hz(filtered(signal)[0][:, 1200:])
    return np.round(low / low.std(axis=1, keepdims=True) * 50) / 50, fs


def of_leads(*rows):
    """At 100 Hz, and nothing in the other leads."""

    def copy(signal):
        low, fs = at_100_hz(signal)
        return np.where(np.isin(np.arange(len(low)), rows)[:, None], low, np.nan), fs

    return copy


COPIES = (at_100_hz, cut, filtered, other_gains, inverted, rounded, all_at_once)


@pytest.fixture(scope="module")
def originals():
    return simulate(N, seed=11, fs=FS).signals


def pairs_among(recordings):
    compared = [comparable(signal, fs) for signal, fs in recordings]
    return same_recordings([heartbeats(one) for one in compared], compared.__getitem__)


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_whatever_happened_to_them(originals, copy):
    recordings = [(signal, FS) for signal in originals] + [copy(signal) for signal in originals]
    pairs = set(pairs_among(recordings))
    assert all(j == i + N for i, j in pairs)  # nobody else's
    # A slow heart leaves fewer than five beats in a cut.
    assert len(pairs) >= (N - 2 if copy in (cut, all_at_once) else N)


@pytest.mark.parametrize(("rows", "least"), [((1,), 20), ((6,), 20), ((0, 1), 22), ((1, 10), 22)])
def test_copies_of_one_or_two_leads_are_found(originals, rows, least):
    recordings = [(signal, FS) for signal in originals] + [of_leads(*rows)(signal) for signal in originals]
    pairs = set(pairs_among(recordings))
    assert all(j == i + N for i, j in pairs) and len(pairs) >= least


def test_of_many_copies_each_is_compared_once(originals):
    """The time that all pairs take grows with the square of their number."""
    compared = [comparable(np.roll(originals[k], 7 * i, axis=1), FS) for i in range(12) for k in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        correlations = []
        patch.setattr(duplicates, "correlation", lambda *a: correlations.append(1) or correlation(*a))
        pairs = same_recordings([heartbeats(one) for one in compared], compared.__getitem__)
    assert {j: i for i, j in pairs} == {i: i % 2 for i in range(2, 24)} and len(pairs) == 22
    assert len(correlations) <= 24


def test_different_hearts_are_different(originals):
    assert pairs_among([(signal, FS) for signal in originals]) == []


@pytest.mark.parametrize("signal", [np.zeros((12, 5000)), np.full((12, 5000), np.nan), np.zeros((12, 60))])
def test_a_recording_without_heartbeats_is_like_no_other(signal):
    assert pairs_among([(signal, FS), (signal, FS)]) == []


def test_recordings_have_no_false_duplicates(recorded):
    """E07509 and E07510 of Georgia are one recording under two names; no other pair is."""
    headers = sorted((recorded / "challenge").rglob("*.hea"))
    recordings = [read_recording(header) for header in headers]
    complete = [i for i, one in enumerate(recordings) if len(one.leads) == 12]
    pairs = pairs_among([(recordings[i].signal, recordings[i].fs) for i in complete])
    assert {tuple(recordings[complete[i]].name for i in pair) for pair in pairs} == (
        {("E07509", "E07510")} if any(header.stem == "E07509" for header in headers) else set()
    )


@pytest.mark.parametrize(
    "comment", ["<subject_id>: 10005", "Patient ID: 10005", "patient: 10005", "PatientID=10005", "Subject no: 10005.0"]
)
def test_patients_of_headers(comment):
    of_header = parse_comments([comment]).patient
    assert find_patients(".", [("a.hea", of_header)]) == ["10005"]


@pytest.mark.parametrize(
    ("path", "patient"),
    [
        ("ptb/patient001/s0010_re.hea", "patient001"),
        ("files/p1000/p10001725/s41420867/41420867.hea", "p10001725"),
        ("ptb/g1/S0001.hea", None),
        ("p100/a.hea", None),
        ("ecgid/Person_01/rec_1.hea", "person_01"),
        ("bids/sub-012/ses-1/ecg.hea", "sub-012"),
        ("sub-study/a.hea", None),
        ("all/patient007_rec2.hea", "patient007"),
        ("all/subset1_rec2.hea", None),
    ],
)
def test_patients_of_folders(path, patient):
    assert patient_of_folder(path) == patient


def test_patients_of_tables(tmp_path):
    (tmp_path / "ptbxl_database.csv").write_text(
        "ecg_id,patient_id,filename_lr,filename_hr\n"
        "1,15709.0,records100/00000/00001_lr,records500/00000/00001_hr\n"
        "2,,records100/00000/00002_lr,records500/00000/00002_hr\n"
    )
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    names = ["records100/00000/00001_lr.hea", "records500/00000/00001_hr.hea", "records100/00000/00002_lr.hea"]
    assert find_patients(tmp_path, [(tmp_path / name, None) for name in names]) == ["15709", "15709", None]


@pytest.mark.parametrize("above", [".", "p265891/data", "subject1/ecgs", "patient_2024"])
def test_folders_above_the_data_are_of_no_patient(tmp_path, above):
    folder = tmp_path / above
    paths = [folder / name for name in ("a.hea", "x/b.hea", "patient001/s0010_re.hea", "p1000/p10001725/s1/1.hea")]
    patients = [None, None, "patient001", "p10001725"]
    assert find_patients(folder, [(path, None) for path in paths]) == patients


def test_the_data_folder_may_be_given_from_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_patients("data", [(tmp_path / "data/patient001/a.hea", None)]) == ["patient001"]
    assert find_patients(tmp_path / "data", [("data/patient001/a.hea", None)]) == ["patient001"]


@pytest.mark.parametrize("name", ["x/a", "x/a.npy", "./x/a.hea", ".\\x\\a.DAT", "x/a.edf", "{folder}/x/a.dat"])
def test_names_of_files_in_tables_of_patients(tmp_path, name):
    (tmp_path / "patients.csv").write_text(f"file,patient_id\n{name.format(folder=tmp_path)},1\n")
    paths = [tmp_path / path for path in ("x/a.npy", "x/a.hea", "y/a.npy")]
    assert find_patients(tmp_path, [(path, None) for path in paths]) == ["1", "1", None]


def test_of_files_elsewhere_the_name_counts_unless_several_patients_have_it(tmp_path):
    rows = ["file,patient_id", "/old/a.npy,1", "C:\\old\\b.xml,2", "/old/1/c.npy,1", "/old/2/c.npy,2"]
    (tmp_path / "patients.csv").write_text("\n".join(rows))
    assert find_patients(tmp_path, [(tmp_path / f"{name}.npy", None) for name in "abc"]) == ["1", "2", None]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_patients_of_tables_with_other_separators(tmp_path, separator):
    rows = ["record,participant_id,note", 'a,7,"x, y"', "b,7,z"]
    (tmp_path / "people.csv").write_text("\n".join(row.replace(",", separator) for row in rows))
    assert find_patients(tmp_path, [(tmp_path / f"{name}.hea", None) for name in "abc"]) == ["7", "7", None]


def test_a_damaged_table_names_nobody(tmp_path):
    (tmp_path / "patients.csv").write_bytes(b"\xff\xfe\x00patient_id\x00\n")
    assert find_patients(tmp_path, [(tmp_path / "a.hea", None)]) == [None]


def test_a_table_that_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "patients.csv").mkdir()
    with pytest.warns(UserWarning, match=r"patients\.csv: patients are not known from this table"):
        assert find_patients(tmp_path, [(tmp_path / "a.hea", None)]) == [None]


def test_a_copy_is_named_once_with_its_first_recording(originals):
    one = originals[0]
    pairs = pairs_among([(one, FS), (one, FS), (one[:, :4000], FS)])
    assert pairs == [(0, 1), (0, 2)]
