"""`helper_code.py`: the organisers' functions by name, on both dialects of header."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording

import helper_code
from leadset.leads import LEADS

OLD = """A0001 12 500 1000 12-May-2020 12:33:59
A0001.mat 16+24 1000/mV 16 0 28 -1716 0 II
A0001.mat 16+24 4880(7)/mV 16 0 7 2029 0 avr
A0001.mat 16+24 0/mV 16 -5 -21 3745 0 I
#Age: 74
#Sex: Male
#Dx: 59118001,AF,59118001
#Rx: Unknown
""".replace("A0001 12", "A0001 3", 1)
NEW = """A0001.mat 3 500 1000
A0001.mat 16x1+24 1000.0(0)/mv 16 0 28 -1716 0 II
A0001.mat 16x1+24 4880.0(7)/mV 16 0 7 2029 0 aVR
A0001.mat 16x1+24 200.0(-5)/mV 16 0 -21 3745 0 I
# Age: 74
# Sex: Male
# Dx: 59118001,164889003
# Rx: Unknown
"""


def test_every_function_of_the_contract_is_there():
    expected = {
        "is_number": "x", "is_integer": "x", "is_finite_number": "x", "sort_leads": "leads",
        "find_challenge_files": "data_directory", "load_header": "header_file",
        "load_recording": "recording_file header leads key", "choose_leads": "recording header leads",
        "get_recording_id": "header", "get_leads": "header", "get_age": "header", "get_sex": "header",
        "get_num_leads": "header", "get_frequency": "header", "get_num_samples": "header",
        "get_adc_gains": "header leads", "get_baselines": "header leads", "get_labels": "header",
        "save_outputs": "output_file recording_id classes labels probabilities", "load_outputs": "output_file",
    }  # fmt: skip
    found = {name: " ".join(inspect.signature(getattr(helper_code, name)).parameters) for name in expected}
    assert found == expected


@pytest.mark.parametrize("header", [OLD, NEW, NEW.replace("\n", "\r\n")], ids=["2021", "current", "crlf"])
def test_header_fields_in_both_dialects(header: str):
    assert helper_code.get_recording_id(header) == "A0001"
    assert helper_code.get_leads(header) == ("II", "aVR", "I")
    assert helper_code.get_num_leads(header) == 3
    assert helper_code.get_frequency(header) == 500
    assert helper_code.get_num_samples(header) == 1000
    assert helper_code.get_age(header) == 74
    assert helper_code.get_sex(header) == "Male"
    assert helper_code.get_labels(header) == ["59118001", "164889003"]
    leads = ["I", "AVR", "V6", "II"]
    assert helper_code.get_adc_gains(header, leads).tolist() == [200, 4880, 0, 1000]
    assert helper_code.get_baselines(header, leads).tolist() == [-5, 7, 0, 0]


def test_fields_that_are_not_there():
    header = "A0001 1 500\nA0001.mat 16+24 1000/mV 16 0 0 0 0 I\n#Age: NaN\n#Dx: \n"
    assert math.isnan(helper_code.get_age(header))
    assert helper_code.get_sex(header) is None
    assert helper_code.get_labels(header) == []
    assert helper_code.get_num_samples(header) is None


def test_choosing_leads_by_name():
    recording = np.arange(6, dtype=np.int16).reshape(3, 2)
    chosen = helper_code.choose_leads(recording, OLD, ("I", "V1", "aVR"))
    assert chosen.tolist() == [[4, 5], [0, 0], [2, 3]]
    assert chosen.dtype == np.int16


def test_of_a_lead_that_occurs_twice_the_first_counts():
    header = OLD.replace(" 0 avr\n", " 0 II\n")
    assert helper_code.choose_leads(np.array([[1], [2], [3]]), header, ("II",)) == [[1]]
    assert helper_code.get_adc_gains(header, ("II",)) == [1000]


def test_sorting_leads():
    assert helper_code.sort_leads(["V2", "X", "avf", "I", "II"]) == ("I", "II", "aVF", "V2", "X")


@pytest.mark.parametrize(
    ("x", "number", "integer", "finite"),
    [
        ("1", True, True, True), ("1.5", True, False, True), (" 2e3 ", True, True, True), ("nan", True, False, False),
        ("-inf", True, False, False), ("abc", False, False, False), ("", False, False, False),
        (None, False, False, False), (7, True, True, True), (np.float32(0.5), True, False, True),
    ],
)  # fmt: skip
def test_numbers(x: object, number: bool, integer: bool, finite: bool):
    found = helper_code.is_number(x), helper_code.is_integer(x), helper_code.is_finite_number(x)
    assert found == (number, integer, finite)


def test_finding_and_loading_recordings(tmp_path: Path):
    counts = make_counts(12, 50)
    header_file = write_recording(tmp_path / "source" / "g1", "A0002", counts)
    write_recording(tmp_path, "A0001", counts)
    (tmp_path / "A0003.hea").write_text(OLD)
    headers, recordings = helper_code.find_challenge_files(str(tmp_path))
    assert headers == [str(tmp_path / "A0001.hea"), str(header_file)]
    assert recordings == [str(tmp_path / "A0001.mat"), str(header_file.with_suffix(".mat"))]
    header = helper_code.load_header(headers[0])
    np.testing.assert_array_equal(helper_code.load_recording(recordings[0]), counts)
    some = helper_code.load_recording(recordings[0], header, ("V6", "I"))
    np.testing.assert_array_equal(some, counts[[11, 0]])


def test_headers_in_latin_1_are_text_too(tmp_path: Path):
    (tmp_path / "A.hea").write_bytes("A 1 500 10\r\nA.mat 16+24 1(0)/µV 16 0 0 0 0 I\r\n".encode("latin-1"))
    assert helper_code.load_header(str(tmp_path / "A.hea")) == "A 1 500 10\nA.mat 16+24 1(0)/µV 16 0 0 0 0 I\n"


def test_outputs_round_trip(tmp_path: Path):
    file = str(tmp_path / "A0001.csv")
    helper_code.save_outputs(file, "A0001", ("1", "2|3"), (1, 0), (0.75, 1 / 3))
    assert helper_code.load_outputs(file) == ("A0001", ("1", "2|3"), (1, 0), (0.75, 1 / 3))
    helper_code.save_outputs(file, "A0001", (), (), ())
    assert helper_code.load_outputs(file) == ("A0001", (), (), ())
    Path(file).write_text("#A0001\n1, 2\n1, x\n0.5,inf\n")
    _, classes, labels, probabilities = helper_code.load_outputs(file)
    assert classes == ("1", "2")
    np.testing.assert_equal((labels, probabilities), ((1, math.nan), (0.5, math.nan)))


def test_headers_say_what_wfdb_reads(recorded: Path):
    wfdb = pytest.importorskip("wfdb")
    headers, recordings = helper_code.find_challenge_files(str(recorded / "challenge"))
    assert len(headers) >= 24
    for header_file, recording_file in zip(headers[::9], recordings[::9], strict=True):
        expected = wfdb.rdheader(header_file.removesuffix(".hea"))
        header = helper_code.load_header(header_file)
        assert helper_code.get_leads(header) == tuple(expected.sig_name) == LEADS
        assert helper_code.get_adc_gains(header, LEADS).tolist() == expected.adc_gain
        assert helper_code.get_baselines(header, LEADS).tolist() == expected.baseline
        assert helper_code.get_frequency(header) == expected.fs
        shape = (helper_code.get_num_leads(header), helper_code.get_num_samples(header))
        assert helper_code.load_recording(recording_file).shape == shape == (expected.n_sig, expected.sig_len)
        comments = dict(comment.split(": ") for comment in expected.comments if ": " in comment)
        assert helper_code.get_labels(header) == comments["Dx"].split(",")
        assert helper_code.get_sex(header) == comments["Sex"]
