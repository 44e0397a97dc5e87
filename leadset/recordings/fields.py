"""Names of fields and columns that say which recording and which patient, and what a patient's identifier may be."""

from __future__ import annotations

import re

from leadset.classes import UNKNOWN_WORDS

_PEOPLE = ("patient", "patienten", "pat", "subject", "studysubject", "participant", "person", "proband", "volunteer")
_NUMBERS = ("", "id", "identifier", "number", "num", "no", "nr", "nummer", "code")
#: Names of the field or column, as `plain_name` has them: ``Patient ID``, ``Pat.-Nr.``, ``subject_number``, ...
PATIENT_FIELDS = frozenset({
    *(who + number for who in _PEOPLE for number in _NUMBERS),
    *("idpatient", "idsubject", "pid", "mrn", "medicalrecordnumber"),
})  # fmt: skip
#: Names of columns that name the recording, as `plain_name` has them: a path or a file name, extension or not.
FILE_COLUMNS = frozenset({
    *("filename", "filenamelr", "filenamehr", "file", "path", "record", "recordname", "recording", "ecgid", "studyid"),
})  # fmt: skip
#: What files that were made anonymous say of every patient.
_ANONYMOUS = re.compile(r"anon(?:ym\w*)?|de-?identified|removed|redacted|hidden|xx+|0{4,}|-1|-9+|\*+", re.IGNORECASE)


def plain_name(text: str) -> str:
    """A field's or column's name in small letters, without blanks, full stops, hyphens and underscores."""
    return re.sub(r"[ ._<>-]", "", text).casefold()


def known_patient(text: str | None) -> str | None:
    """An identifier, None where it tells no patient from another; ``15709.0`` is a whole number."""
    text = (text or "").strip()
    if text.endswith(".0") and text[:-2].isdigit():
        text = text[:-2]
    return None if text.casefold() in UNKNOWN_WORDS or _ANONYMOUS.fullmatch(text) else text
