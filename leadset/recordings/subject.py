"""The comment lines of a header: age, sex, diagnoses, patient."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from leadset.classes import TEXT_LABELS, UNKNOWN_WORDS, canonical_code, is_number
from leadset.recordings.fields import PATIENT_FIELDS, known_patient, plain_name

# A note may follow the name: `Age (years)`.
_FIELD = re.compile(
    r"<?((?:[^\W\d]|[ .-]){1,60})>?(?:[(\[][^)\]]{0,60}[)\]]\s?)?[:=\N{FULLWIDTH COLON}](.*)"
)
#: Names of fields, as `plain_name` has them, in the languages of devices and their users.
_AGE_FIELDS = ("age", "ageyears", "ageyrs", "ageinyears", "ageatrecording", "ageatecg", "patientage", "agepatient",
               "subjectage", "alter", "âge", "edad", "idade", "età", "leeftijd", "возраст", "年龄")  # fmt: skip
# What stands behind an age; a field of its own goes before.
_SEX_WITH_AGE = "sexwithage"
_SEX_FIELDS = ("sex", "gender", "patientsex", "patientgender", "sexpatient", "subjectsex", "subjectgender",
               "geschlecht", "sexe", "sexo", "sesso", "geslacht", "пол", "性别", _SEX_WITH_AGE)  # fmt: skip
# Some headers go on with their codes on the next line.
_MORE_CODES = re.compile(r"[\s,;|]*[1-9]\d{5,17}(?:[\s,;|]+[1-9]\d{5,17})*[\s,;|]*", re.ASCII)
# Fields beside `Dx` that hold diagnoses in some data sets, in forms that cannot be read without a guess.
_ELSEWHERE = re.compile(
    r"<?(?:(?:dx|diagnos)\w*(?: codes?)?>?(?:\s*[:=]|\s)|(?:snomed|scp|labels?|class|classes|rhythm|interpretation|"
    r"statements?|findings?|conclusions?|annotations?|reason for admission|additional diagnos)[\w .-]{0,40}>?[:=])(.*)",
    re.IGNORECASE,
)
# Some headers put several fields on one line: `Age: 47  Sex: M`, `Age: 47, Sex: M`, `<age>: 47 <sex>: M`.
_NEXT_FIELD = re.compile(
    r"(?<=\S)\s{2,}(?=[A-Za-z]+:)|(?<=\S)\s+(?=<[a-z]{1,60}>)|"
    r"(?<=[^\s,;#:])[\s,;#]+(?=(?:age|sex|gender|[drhs]x)\s*[:=])",
    re.IGNORECASE,
)
# A field without its colon, `Age 60`, `<sex> M`, `Dx,426783006`, is one where its value can be nothing else.
_UNSIGNED = re.compile(r"<?([^\W\d_]{1,20})>?(?:[\s,;|]+|\s+[-–>]+\s+)([^\s,;|–>-].*)")
# The MIT-BIH Arrhythmia Database says age, sex, two numbers of its tapes and a playback speed: `69 M 1085 1629 x1`.
_MIT_BIH = re.compile(r"(?:(\d{1,3})|-1)\s+([MF])\s+(?:\d{1,6}|N/A)\s+(?:\d{1,6}|N/A)\s+x\d")
_NEXT_UNSIGNED = re.compile(r"[\s,;|]+(?=(?:age|sex|gender|dx)[\s,;|])", re.IGNORECASE)
# Comments that seem to say an age or a sex in another form.
_AGE_ELSEWHERE = re.compile(
    r"\bage\W{0,9}(?:[^\W\d]{1,9}\W{1,9}){0,2}\d|\b(?:birth|born|d\.?o\.?b\b)\D{0,20}\d|"
    r"\b\d{1,3}[\s-]{0,2}(?:years|yrs?|y|yo|y[./]o\.?)[\s,.-]{1,2}(?:old|m|f|male|female|man|woman)\b|"
    r"^\W*\d{1,3}\s+[MF]\b", re.IGNORECASE
)  # fmt: skip
_SEX_ELSEWHERE = re.compile(r".{0,20}\b(?:sex|gender)\b\W{1,9}(\w{1,20})\W*", re.IGNORECASE)
# Characters of an age and of a code with the words around it; what is longer is neither, and would stall the patterns.
_LONGEST, _LONGEST_UNSIGNED = 200, 2000
_AGE = re.compile(
    r"(?:[<>~≥≤=]+|over|about)?\s*([+-]?\d+(?:[.,]\d*)?)\s*(?:\+|(?:or|and) (?:older|over|more|above))?[\s-]*"
    r"([^\W\d_][^\W\d_/.]*(?:[/.][^\W\d_])?)?\.?(?:[\s-]*old)?"
)
# Months are an `m` right behind their number, as in DICOM (`006M`): `61 M` is a man, `61M` may be one, `6 M` too.
_MONTHS = re.compile(r"\d{3}m|(?:[0-2]?\d|3[0-6])m")
_AGE_AND_SEX = re.compile(
    r"(?!(?:[0-2]?\d|3[0-6])\s+m$)(\d{1,3}\s*(?:y|yo|y/o|yrs?|years?)?(?:[\s-]*old)?)\s*[,;/\s]\s*"
    r"(m|f|male|female|man|woman)", re.IGNORECASE,
)  # fmt: skip
# Tables that went through floating-point numbers write `164934002.0` or `1.64934002E8`.
_DECIMAL = re.compile(r"([0-9]+)\.0*")
# No code of SNOMED CT begins with a zero; tables of fixed width write one.
_PADDING = re.compile(r"0+(?=[1-9]\d{5})")
_POWER = re.compile(r"([0-9])\.([0-9]+)e\+?0*([0-9]{1,2})", re.IGNORECASE)
# What lists of programming languages leave about a label; `code |term|`, as SNOMED CT writes it.
_AROUND = "[]{}\"' \t\r\n\N{NO-BREAK SPACE}"
_TERM = re.compile(r"(?<=\d)\s*\|[^|\d]{0,200}\|\s*(?=[,;]|$)")
_LABEL_SEPARATOR = re.compile(
    r"[,;|\N{FULLWIDTH COMMA}\N{FULLWIDTH SEMICOLON}\N{IDEOGRAPHIC COMMA}\N{IDEOGRAPHIC FULL STOP}\N{ARABIC COMMA}]|"
    r"(?<=\d)\s+(?=\d)|(?<=\d{6})\s*[/+&]\s*(?=\d{6})"
)
# Words that deny what they stand beside, or say that it is past; a negative T wave is one.
_DENIAL = (
    r"\b(?:no|not|none|never|without|excl\w*|absen\w*|negativ\w*(?!\s+[tpuq]\b)|out|r/o|fals\w*|denie[sd]|histor\w*|"
    r"kein\w*|nicht|ohne|ausgeschl\w*|pas|sans|senza|sem|não|нет|без)\b|无|未见|排除"
)
# A code among words that do not deny it: `164889003 (AF)`, `SNOMED CT: 164889003`.
_AMONG_WORDS = re.compile(
    rf"(?!.*(?:{_DENIAL}))(?:[^\W\d_]\D*[:(=]\s*)?([1-9]\d{{5,17}})(?:\s*[:)(=-]\D*|\s\D*)?", re.IGNORECASE
)

_SEXES = {
    **dict.fromkeys(("m", "male", "man", "boy", "männlich", "mann", "homme", "masculin", "masculino", "hombre", "varón",
                     "maschio", "maschile", "uomo", "homem", "м", "муж", "мужской", "男"), "male"),
    **dict.fromkeys(("f", "fem", "female", "woman", "girl", "w", "weiblich", "frau", "femme", "féminin", "femenino",
                     "feminino", "mujer", "mulher", "femmina", "femminile", "donna", "vrouw", "ж", "жен", "женский",
                     "女"), "female"),
}  # fmt: skip
#: What stands for a sex that is not known, besides `UNKNOWN_WORDS`.
_NO_SEX = UNKNOWN_WORDS | {"u", "o", "other", "unspecified", "undetermined"}
_YEARS = {
    **dict.fromkeys(("", "y", "yr", "yrs", "year", "years", "yo", "y/o", "y.o", "a", "jahr", "jahre", "an", "ans",
                     "año", "años", "ano", "anos", "anni", "jaar", "år", "г", "год", "года", "лет", "岁"), 1.0),
    **dict.fromkeys(("m", "mo", "month", "months", "monat", "monate", "mois", "mes", "meses", "mesi", "мес",
                     "个月"), 1 / 12),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks", "woche", "wochen", "semaine", "semaines",
                     "semanas"), 7 / 365.25),
    **dict.fromkeys(("d", "day", "days", "tag", "tage", "jour", "jours", "días", "dias", "giorni", "天"), 1 / 365.25),
}  # fmt: skip
#: Years; older ages are damage.
OLDEST = 120.0


class Subject(NamedTuple):
    """What the comments say: age in years, sex, distinct codes in order (see `parse_codes`), patient, flags."""

    age: float | None
    sex: str | None
    codes: tuple[str, ...]
    patient: str | None
    flags: tuple[str, ...]


def parse_comments(comments: Iterable[str]) -> Subject:
    """Reads comments (without their ``#``) in any of the dialects; what is missing or unknown is None or empty."""
    comments = list(comments)
    values = comment_values(comments)
    age, age_flags = parse_age(next((values[key][0] for key in _AGE_FIELDS if key in values), ""))
    sex, sex_flags = parse_sex(next((values[key][0] for key in _SEX_FIELDS if key in values), ""))
    if sex and sex != parse_sex(values.get(_SEX_WITH_AGE, [sex])[0])[0]:  # `61 M` of a woman may be months
        age, age_flags = None, ("age_unreadable",)
    codes, code_flags = parse_codes(",".join(values.get("dx", ())))
    if not codes and any(map(_says_a_diagnosis, comments)):
        code_flags = (*code_flags, "diagnoses_elsewhere")
    age_said, sex_said = values.keys() & {*_AGE_FIELDS}, values.keys() & {*_SEX_FIELDS}
    if (not age_said and any(map(_AGE_ELSEWHERE.search, comments))) or (
        not sex_said and any(map(_says_a_sex, comments))
    ):
        age_flags = (*age_flags, "subject_elsewhere")
    patient = next((values[key][0] for key in values if key in PATIENT_FIELDS), "")
    return Subject(age, sex, codes, known_patient(patient), age_flags + sex_flags + code_flags)


def comments_of(age: float | None, sex: str | None, codes: Iterable[str]) -> tuple[str, ...]:
    """The comments (without their ``#``) that say what is known of these."""
    said = {"Age": "" if age is None else f"{age:g}", "Sex": (sex or "").capitalize(), "Dx": ",".join(codes)}
    return tuple(f"{key}: {value}" for key, value in said.items() if value)


def without_fields(comments: Iterable[str], age: bool, sex: bool, codes: bool) -> tuple[str, ...]:
    """Comments without those that say the age, the sex or the diagnoses."""
    gone = {*_AGE_FIELDS * age, *_SEX_FIELDS * sex, *("dx",) * codes}
    return tuple(comment for comment in comments if not gone & comment_values([comment]).keys())


def _says_a_diagnosis(comment: str) -> bool:
    """Whether a comment other than ``Dx`` seems to hold diagnoses, or one that says ``Dx`` without its colon."""
    said = _ELSEWHERE.match(comment.strip("# \t"))
    return said is not None and said[1].strip(_AROUND).casefold() not in UNKNOWN_WORDS


def comment_values(comments: Iterable[str]) -> dict[str, list[str]]:
    """What comments (without their ``#``) say of each field, by its `plain_name`, once for each time it is there.

    Codes alone belong to the field before them.
    """
    values: dict[str, list[str]] = {}
    last = ""
    for comment in comments:
        fields = [field for part in _NEXT_FIELD.split(comment.strip("# \t")) for field in _fields_of(part)]
        for last, value in fields:
            values.setdefault(last, []).append(value)
        if not fields and last and _MORE_CODES.fullmatch(comment):
            values[last].append(comment.strip())
    return values


def _fields_of(text: str) -> list[tuple[str, str]]:
    """Name and value of the fields that a piece of a comment is, with a colon or without; none of a remark."""
    if match := _MIT_BIH.fullmatch(text):
        return [("age", match[1] or ""), ("sex", match[2])]
    if match := _FIELD.match(text):
        field, value = plain_name(match[1]), match[2].strip()
        both = _AGE_AND_SEX.fullmatch(value) if field in _AGE_FIELDS else None
        return [(field, both[1]), (_SEX_WITH_AGE, both[2])] if both else [(field, value)]
    matches = [_UNSIGNED.fullmatch(part.strip()) for part in _NEXT_UNSIGNED.split(text[:_LONGEST_UNSIGNED])]
    fields = [(plain_name(match[1]), match[2].strip()) for match in matches if match]
    return fields if len(fields) == len(matches) and all(_is_value(*field) for field in fields) else []


def _is_value(field: str, text: str) -> bool:
    """Whether a text is an age, a sex or codes, and so what its field asks for."""
    if field in _AGE_FIELDS:
        return parse_age(text)[0] is not None
    if field in _SEX_FIELDS:
        return parse_sex(text)[0] is not None
    codes, flags = parse_codes(text)
    return field == "dx" and bool(codes) and not flags


def _says_a_sex(comment: str) -> bool:
    match = _SEX_ELSEWHERE.fullmatch(comment)
    return match is not None and match[1].casefold() not in UNKNOWN_WORDS


def parse_age(text: str) -> tuple[float | None, tuple[str, ...]]:
    """Age in years from ``74``, ``90+``, ``6 months`` and the like, with flags."""
    text = text.strip().casefold()
    if text in UNKNOWN_WORDS:
        return None, ()
    match = _AGE.fullmatch(text) if len(text) <= _LONGEST else None
    unit = (match[2] or "") if match else None
    if unit not in _YEARS or (unit == "m" and not _MONTHS.fullmatch(text)):
        return None, ("age_unreadable",)
    age = float(match[1].replace(",", ".")) * _YEARS[unit]
    if 0 <= age <= OLDEST:
        return age, ()
    return None, ("age_implausible",)


def parse_sex(text: str) -> tuple[str | None, tuple[str, ...]]:
    """``"female"``, ``"male"`` or None from words and letters, with flags."""
    text = text.strip(" .()").casefold()
    sex = _SEXES.get(text)
    return sex, () if sex or text in _NO_SEX else ("sex_unreadable",)


def parse_codes(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Distinct codes in order, with flags: SNOMED CT codes, text labels turned into them, and other words as they are.

    What a word means only a label space with such a code knows (`leadset.classes.LabelSpace`).
    """
    codes: dict[str, None] = {}
    flags = set()
    for label in _LABEL_SEPARATOR.split(_TERM.sub("", text.strip(_AROUND))):
        label = label.strip(_AROUND)
        if padding := _PADDING.match(label):
            label = label[padding.end() :]
        if label.strip("()").casefold() in UNKNOWN_WORDS:
            continue
        if not is_number(label):
            label = _code_in(label)
        codes[canonical_code(label)] = None
        if label.casefold() in TEXT_LABELS:
            flags.add("text_labels")
        elif not is_number(label):
            flags.add("unknown_label")
    return tuple(codes), tuple(sorted(flags))


def _code_in(label: str) -> str:
    """The code of a label that holds one in another form; the label itself where it does not."""
    if len(label) > _LONGEST:
        return label
    written = unicodedata.normalize("NFKC", label)
    if plain := _AMONG_WORDS.fullmatch(written):
        return plain[1]
    return without_decimals(written) or label


def without_decimals(text: str) -> str:
    """The digits of a whole number that a program wrote as ``164934002.0`` or ``1.64934002E8``; empty of anything else.

    A power of ten that has lost digits (``1.64934E8``) is none.
    """
    if decimal := _DECIMAL.fullmatch(text):
        return decimal[1]
    power = _POWER.fullmatch(text)
    return power[1] + power[2] if power and len(power[2]) == int(power[3]) else ""
