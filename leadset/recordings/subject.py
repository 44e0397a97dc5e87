"""The comment lines of a header: age, sex, diagnoses, patient."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from leadset.classes import TEXT_LABELS, UNKNOWN_WORDS, canonical_code, is_number
from leadset.recordings.patients import PATIENT_FIELDS, plain_name

_FIELD = re.compile(r"<?([A-Za-z _-]+)>?[:=](.*)")
# Some headers put `Age: 47  Sex: M` on one line.
_NEXT_FIELD = re.compile(r"(?<=\S)\s{2,}(?=[A-Za-z]+:)")
_AGE = re.compile(r"[<>~]?\s*([+-]?\d+(?:\.\d*)?)\s*\+?\s*([a-z]*)\.?")
# Tables that went through floating-point numbers write `164934002.0`.
_DECIMAL = re.compile(r"([0-9]+)\.0*")
_LABEL_SEPARATOR = re.compile(r"[,;|]|(?<=\d)\s+(?=\d)")

_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female"}
_YEARS = {
    **dict.fromkeys(("", "y", "yr", "yrs", "year", "years"), 1.0),
    **dict.fromkeys(("m", "mo", "month", "months"), 1 / 12),
    **dict.fromkeys(("w", "week", "weeks"), 7 / 365.25),
    **dict.fromkeys(("d", "day", "days"), 1 / 365.25),
}
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
    values: dict[str, list[str]] = {}
    for comment in comments:
        for match in map(_FIELD.match, _NEXT_FIELD.split(comment.strip())):
            if match:
                values.setdefault(plain_name(match[1]), []).append(match[2].strip())
    age, age_flags = parse_age(values.get("age", [""])[0])
    sex, sex_flags = parse_sex(values.get("sex", [""])[0])
    codes, code_flags = parse_codes(",".join(values.get("dx", ())))
    patient = next((values[key][0] for key in values if key in PATIENT_FIELDS), "")
    return Subject(
        age, sex, codes, None if patient.casefold() in UNKNOWN_WORDS else patient, age_flags + sex_flags + code_flags
    )


def parse_age(text: str) -> tuple[float | None, tuple[str, ...]]:
    """Age in years from ``74``, ``90+``, ``6 months`` and the like, with flags."""
    text = text.strip().casefold()
    if text in UNKNOWN_WORDS:
        return None, ()
    match = _AGE.fullmatch(text)
    if match is None or match[2] not in _YEARS:
        return None, ("age_unreadable",)
    age = float(match[1]) * _YEARS[match[2]]
    if 0 <= age <= OLDEST:
        return age, ()
    return None, ("age_implausible",)


def parse_sex(text: str) -> tuple[str | None, tuple[str, ...]]:
    """``"female"``, ``"male"`` or None from words and letters, with flags."""
    text = text.casefold()
    sex = _SEXES.get(text)
    return sex, () if sex or text in UNKNOWN_WORDS else ("sex_unreadable",)


def parse_codes(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Distinct codes in order, with flags: SNOMED CT codes, text labels turned into them, and other words as they are.

    What a word means only a label space with such a code knows (`leadset.classes.LabelSpace`).
    """
    codes: dict[str, None] = {}
    flags = set()
    for label in map(str.strip, _LABEL_SEPARATOR.split(text)):
        if label.casefold() in UNKNOWN_WORDS:
            continue
        if decimal := _DECIMAL.fullmatch(label):
            label = decimal[1]
        codes[canonical_code(label)] = None
        if label.casefold() in TEXT_LABELS:
            flags.add("text_labels")
        elif not is_number(label):
            flags.add("unknown_label")
    return tuple(codes), tuple(sorted(flags))
