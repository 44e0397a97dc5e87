"""The page's languages: complete, with the same placeholders, and short enough for where they stand."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import leadset
from leadset.classes import CHALLENGE, label_space
from leadset.recordings import ReadError
from leadset.serve import texts
from leadset.serve.texts import FIRST, TABLES, list_languages, load_texts
from leadset.signals import QUALITY_FLAGS
from leadset.waves.measurements import Measurements, measure

FOLDER = Path(texts.__file__).parent
OTHERS = [code for code in list_languages() if code != FIRST]
#: Most characters of texts that stand where there is little room: tabs, buttons, columns of tables.
ROOM = {"_tab": 16, "download_": 28, "interactive": 14, "paper": 14, "threshold": 16, "decided": 12, "probability": 16,
        "value": 16, "reference": 24, "network": 16, "outside": 20}  # fmt: skip


def test_there_are_three_languages_and_one_is_written_from_right_to_left():
    assert list_languages() == ["en", "ar", "fr"]
    assert [load_texts(code).right_to_left for code in list_languages()] == [False, True, False]
    with pytest.raises(ValueError, match="expected one of en, ar, fr"):
        load_texts("de")


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("table", TABLES)
def test_every_language_has_every_text_with_its_placeholders(code, table):
    first, other = load_texts(FIRST).tables[table], load_texts(code).tables[table]
    assert first.keys() == other.keys()
    for key, text in first.items():
        assert sorted(re.findall(r"\{(\w+)\}", text)) == sorted(re.findall(r"\{(\w+)\}", other[key])), key


@pytest.mark.parametrize("code", OTHERS)
def test_texts_are_translated(code):
    """No text is left as in the first language but for what is the same in both."""
    first, other = load_texts(FIRST).tables, load_texts(code).tables
    same = [key for key, text in first["texts"].items() if text == other["texts"][key]]
    assert len(same) <= 1, same
    assert not [key for key, text in first["diagnoses"].items() if text == other["diagnoses"][key]]
    if load_texts(code).right_to_left:
        assert all(re.search("[\u0600-\u06ff]", text) for text in other["texts"].values())


@pytest.mark.parametrize("code", list_languages())
def test_diagnoses_measurements_and_flags_have_words(code):
    tables = load_texts(code).tables
    assert tables["diagnoses"].keys() == set(label_space(CHALLENGE).abbreviations)
    assert tables["quality"].keys() - {"other"} == QUALITY_FLAGS.keys() - {"unusable"}
    measured: Measurements = measure([[0.0] * 1000], 100, ["II"])
    assert tables["measurements"].keys() == {item.name for item in measured.items}


@pytest.mark.parametrize("code", list_languages())
def test_texts_fit_where_they_stand(code):
    for key, text in load_texts(code).tables["texts"].items():
        room = next((most for part, most in ROOM.items() if part in key), None)
        assert room is None or len(text) <= room, f"{key}: {text!r} has {len(text)} characters, expected {room}"
    assert all(len(text) <= 60 for text in load_texts(code).tables["diagnoses"].values())


def test_every_text_that_the_page_asks_for_is_there_and_asked_for():
    asked = set(re.findall(r'text\(\s*["\'](\w+)["\']', (FOLDER / "app.py").read_text()))
    asked |= {f"{name}_tab" for name in ("recording", "diagnoses", "measurements", "anomaly", "compare", "report")}
    asked |= {"quality_good", "quality_poor", "female", "male", "language"}
    assert asked == load_texts(FIRST).tables["texts"].keys()


@pytest.mark.parametrize("code", list_languages())
def test_it_says_that_it_is_no_medical_device(code):
    words = {"en": "Not a medical device", "fr": "pas un dispositif médical", "ar": "ليس جهازًا طبيًا"}
    assert words[code] in load_texts(code)("disclaimer")


def test_flags_in_words():
    text = load_texts(FIRST)
    assert text.quality(["exchanged:RA-LA"]) == ["Probably exchanged: RA-LA"]
    assert text.quality(["unusable: no heartbeat"]) == ["unusable: no heartbeat"]
    assert text.quality(["noise:V1", "flat:II", "noise:V2"])[0] == "V1, V2: probably of no use"
    assert text.diagnosis("MI", "myocardial infarction") == "myocardial infarction"


# Kept in step with `leadset.waves.assess` by tests/test_assessment.py.
REASONS = [
    "no samples", "every sample is missing", "no lead is known for 2 s", "sampling rate of 12 Hz",
    "amplitudes are far from an ECG's (SD 50 mV): the unit or gain is probably wrong", "every lead is flat or missing",
    "electrodes are off: 8 of 12 leads are flat or missing, the others show white noise",
    "no heartbeats in any lead, only hum of 50 Hz", "no heartbeats in any lead, only noise",
    "the networks gave no finite probability", "no usable lead: found X Y, expected some of I II V1",
]  # fmt: skip


@pytest.mark.parametrize("code", list_languages())
def test_reasons_are_said_in_the_language_of_the_page(code):
    text, first = load_texts(code), load_texts(FIRST)
    assert [first.reason(reason) for reason in REASONS] == REASONS
    said = [text.reason(reason) for reason in REASONS]
    assert len({*said}) == len(REASONS) and text.reason("another reason") == "another reason"
    if code != FIRST:
        words = re.compile(r"\b(?:no|of|the|only|are|noise|hum|every|lead|leads|show)\b")
        assert not [reason for reason in said if words.search(reason)]
    numbers = [re.findall(r"[\d.]+", reason) for reason in REASONS]
    assert [re.findall(r"[\d.]+", reason) for reason in said] == numbers


def test_why_a_file_cannot_be_read_is_framed_in_the_language_of_the_page():
    said = str(ReadError("A.hea", "gain x", "a gain of 1e-06 to 1e+12", 2))
    missing = str(ReadError("A.hea", "no other file", "the signal files that the header names: A.mat"))
    assert [load_texts(FIRST).reason(text) for text in (said, missing)] == [said, missing]
    french = load_texts("fr")
    assert french.reason(said) == "A.hea, ligne 2 : trouvé « gain x », attendu « a gain of 1e-06 to 1e+12 »"
    assert french.reason(missing) == (
        "A.hea : trouvé « aucun autre fichier », attendu « les fichiers de signal que l'en-tête nomme : A.mat »"
    )
    assert french.reason(str(ReadError("A.dat", "no such file", "x"))) == (
        "A.dat : trouvé « aucun fichier de ce nom », attendu « x »"
    )
    assert french.reason("found no file, expected a header (.hea) with its signal files, or one file").endswith(
        "attendu « un en-tête (.hea) avec ses fichiers de signal, ou un seul fichier »"
    )
    assert "السطر 2" in load_texts("ar").reason(said)


def test_files_of_languages_ship():
    packaged = tomllib.loads((Path(leadset.__file__).parents[1] / "pyproject.toml").read_text())
    assert "serve/languages/*" in packaged["tool"]["setuptools"]["package-data"]["leadset"]
