"""Comments of headers: age, sex and diagnoses as people write them, read or flagged."""

from __future__ import annotations

import pytest
from files_on_disk import header_text

from leadset.recordings import parse_header


@pytest.mark.parametrize(
    ("text", "age", "flags"),
    [
        ("74", 74, ()),
        ("0", 0, ()),
        ("90+", 90, ()),
        (">89", 89, ()),
        ("56.5 years", 56.5, ()),
        ("56,5 Jahre", 56.5, ()),
        ("57-year-old", 57, ()),
        ("57 y/o", 57, ()),
        (">= 90", 90, ()),
        ("90 or older", 90, ()),
        ("n.a.", None, ()),
        ("30-39", None, ("age_unreadable",)),
        ("6 months", 0.5, ()),
        ("18M", 1.5, ()),
        ("NaN", None, ()),
        ("Unknown", None, ()),
        ("", None, ()),
        ("300", None, ("age_implausible",)),
        ("-1", None, ("age_implausible",)),
        ("old", None, ("age_unreadable",)),
    ],
)
def test_age(text, age, flags):
    header = parse_header(header_text(comments=(f"#Age: {text}",)))
    assert (header.age, header.flags) == (age, flags)


@pytest.mark.parametrize(
    ("text", "sex", "flags"),
    [("M", "male", ()), ("F", "female", ()), ("weiblich", "female", ()), ("man", "male", ()),
     ("other", None, ()), ("male", "male", ()), ("FEMALE", "female", ()), ("Unknown", None, ()),
     ("NaN", None, ()), ("", None, ()), ("1", None, ("sex_unreadable",)), ("Fem.", "female", ()), ("(M)", "male", ()),
     ("mujer", "female", ()), ("男", "male", ()), ("ж", "female", ()), ("H", None, ("sex_unreadable",))],
)  # fmt: skip
def test_sex(text, sex, flags):
    header = parse_header(header_text(comments=(f"# Sex: {text}",)))
    assert (header.sex, header.flags) == (sex, flags)


@pytest.mark.parametrize(
    ("line", "codes", "flags"),
    [
        ("#Dx: 59118001,426783006", ("59118001", "426783006"), ()),
        ("# Dx: 59118001 , 426783006 ", ("59118001", "426783006"), ()),
        ("#DX:59118001 426783006", ("59118001", "426783006"), ()),
        ("#dx: 284470004,251146004,284470004", ("284470004", "251146004"), ()),
        ("#Dx: 426177001,,164934002,", ("426177001", "164934002"), ()),
        ("#Dx: ,426177001;164934002.0", ("426177001", "164934002"), ()),
        ("#Dx: 164934002.5", ("164934002.5",), ("unknown_label",)),
        ("#Dx:", (), ()),
        ("#Dx: Unknown", (), ()),
        ("#Rx: 59118001", (), ()),
        ("#Dx: RBBB", ("59118001",), ("text_labels",)),
        ("#Dx: I-AVB,AF", ("270492004", "164889003"), ("text_labels",)),
        ("#Dx: SNR", ("426783006",), ("text_labels",)),
        ("#Dx: RBBB,59118001,nonsense", ("59118001", "nonsense"), ("text_labels", "unknown_label")),
        ("#Dx: ['59118001', '426783006']", ("59118001", "426783006"), ()),
        ("#Dx: {59118001/426783006}", ("59118001", "426783006"), ()),
        ("#Dx: 59118001\N{FULLWIDTH COMMA}426783006", ("59118001", "426783006"), ()),
        ("#Dx: 59118001 |Right bundle branch block|, 426783006 (NSR)", ("59118001", "426783006"), ()),
        ("#Dx: SNOMED:59118001; sinus rhythm (426783006)", ("59118001", "426783006"), ()),
        ("#Dx: no RBBB (59118001)", ("no RBBB (59118001)",), ("unknown_label",)),
        ("#Dx: 59118001 (ruled out)", ("59118001 (ruled out)",), ("unknown_label",)),
        *[(f"#Dx: {text}", (text,), ("unknown_label",)) for text in (
            "kein Flimmern (164889003)", "pas de FA: 164889003", "无房颤 (164889003)", "164889003 = false",
            "family history of AF (164889003)", "r/o AF (164889003)",
        )],
        ("#Dx: negative T wave (59931005); non-specific ST (55930002)", ("59931005", "55930002"), ()),
        ("#Dx：59118001、426783006。", ("59118001", "426783006"), ()),
        ("#Dx:\n# 59118001, 426783006", ("59118001", "426783006"), ()),
        ("#Dx: 59118001,\n#426783006\n#Rx: Unknown\n# 164889003", ("59118001", "426783006"), ()),
        ("#Dx: 1.64889003E8", ("164889003",), ()),
        ("#Dx: 1.64889E8", ("1.64889E8",), ("unknown_label",)),  # its last digits are lost
        ("#Dx: NORM, 1AVB;n/a", ("NORM", "1AVB"), ("unknown_label",)),
        *[(line, (), ("diagnoses_elsewhere",)) for line in (
            "#Diagnosis: 426783006", "#Dx AF", "# SNOMED-CT: 426783006", "#Labels: AF", "#<diagnoses> AF",
            "#Reason for admission: Myocardial infarction", "#scp_codes: {'AFIB': 0.0}", "#Dx: Unknown\n#Rhythm: AF",
        )],
        *[(line, (), ()) for line in ("#Diagnosis: unknown", "#Diagnose:", "#Rhythm strip")],
        ("#Dx: 426783006\n#Diagnosis: 164889003", ("426783006",), ()),
        ("#Dx 426783006", ("426783006",), ()),
        ("# <Dx> 426783006, 59118001", ("426783006", "59118001"), ()),
        ("#Dx no RBBB (59118001)", (), ("diagnoses_elsewhere",)),
    ],
)
def test_codes(line, codes, flags):
    header = parse_header(header_text(comments=(line,)))
    assert (header.codes, header.flags) == (codes, flags)


def test_comments_of_other_data_sets():
    ludb = parse_header(header_text(comments=("#<age>: 44", "#<sex>: F", "#<diagnoses>:", "#Rhythm: Sinus.")))
    assert (ludb.age, ludb.sex, ludb.codes, ludb.dialect) == (44, "female", (), "wfdb")
    qtdb = parse_header(header_text(comments=("# Age: 47  Sex: M",)))
    assert (qtdb.age, qtdb.sex) == (47, "male")
    for comments in (("#Age: 47, Sex: M, Dx: 59118001",), ("#<age>: 47 <sex>: M <Dx>: 59118001",),
                     ("# Age (years): 47 Sex: M Dx: 59118001",), ("##Age: 47", "#Gender: male", "#Dx: 59118001")):
        one = parse_header(header_text(comments=comments))
        assert (one.age, one.sex, one.codes) == (47, "male", ("59118001",))
    for comments in (("#Alter: 47 Jahre", "#Geschlecht: m"), ("# Edad: 47", "# Sexo: hombre"),
                     ("#Âge: 47 ans", "#Sexe: M"), ("#年龄：47岁", "#性别：男"), ("#Возраст: 47 лет", "#Пол: м"),
                     ("#Age_years: 47", "#Sex: Male")):
        one = parse_header(header_text(comments=comments))
        assert (one.age, one.sex, one.flags) == (47, "male", ())
    for comment, patient in [("# Patient: anonymous", None), ("#PatientID: 000000", None), ("#PatientID: 120.0", "120"),
                             ("# Patient: 123", "123"), ("#Patient ID: p7", "p7"), ("#patient_id=9", "9"),
                             ("#Patient: Unknown", None), ("#Rx: 4", None), ("#Pat. ID: 7", "7"),
                             ("#Patient No.: 7", "7"), ("#Patienten-Nr: 7", "7"), ("#Study subject: 7", "7"),
                             ("#ID: 7", None)]:  # fmt: skip
        assert parse_header(header_text(comments=(comment,))).patient == patient


@pytest.mark.parametrize(
    ("text", "age", "sex", "flags"),
    [
        ("61 M", 61, "male", ()), ("61, F", 61, "female", ()), ("6, M", 6, "male", ()), ("61/M", 61, "male", ()),
        ("61 y/o female", 61, "female", ()), ("45 years old, male", 45, "male", ()),
        ("61 M\n#Sex: F", None, "female", ("age_unreadable",)),
        ("61 M\n#Sex: M", 61, "male", ()),
        ("61M", None, None, ("age_unreadable",)), ("6 M", None, None, ("age_unreadable",)),
        ("18M", 1.5, None, ()), ("061M", 61 / 12, None, ()), ("6 months", 0.5, None, ()),
    ],
)  # fmt: skip
def test_a_sex_behind_an_age_is_no_unit_of_it(text, age, sex, flags):
    header = parse_header(header_text(comments=(f"#Age: {text}",)))
    assert (header.age, header.sex, header.flags) == (age and pytest.approx(age), sex, flags)


@pytest.mark.parametrize(
    ("comments", "age", "sex"),
    [
        (("#Age 60", "# Sex M"), 60, "male"),
        (("# <age> 60 years", "#<sex>\tF"), 60, "female"),
        (("#Age 60, Sex: M",), 60, "male"),
        (("#Age 60 Sex M Dx 426783006",), 60, "male"),
        (("#Age - 60", "#Gender,female"), 60, "female"),
        (("#Patient age: 60", "#Patient sex: M"), 60, "male"),
        (("#69 M 1085 1629 x1", "# Aldomet, Inderal"), 69, "male"),
        (("# 23 F 2546 N/A x1",), 23, "female"),
        (("# -1 M 1629 1966 x2",), None, "male"),
        (("#Age unknown", "#Sex unknown", "#Sex and the city", "#Average 60", "#Rhythm strip"), None, None),
    ],
)
def test_age_and_sex_without_a_colon(comments, age, sex):
    header = parse_header(header_text(comments=comments))
    assert (header.age, header.sex, header.flags) == (age, sex, ())


@pytest.mark.parametrize(
    "comment",
    ["#Age 60 at onset", "#Age (y) 60", "#Age -5", "#Age range: 50-60", "#Sex 1", "#DOB: 1950-02-03",
     "#69 M 1085", "#A 60 year old, 60 years old man", "#60 y, M"],
)  # fmt: skip
def test_what_seems_to_be_an_age_or_a_sex_is_flagged(comment):
    header = parse_header(header_text(comments=(comment,)))
    assert (header.age, header.sex, header.flags) == (None, None, ("subject_elsewhere",))
    assert "subject_elsewhere" not in parse_header(header_text(comments=("#Age: 1", "#Sex: F", comment))).flags
