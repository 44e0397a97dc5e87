"""A user's own table, CSV or Parquet: file and labels of each recording, perhaps patient, fold, age, sex, source."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from leadset.classes import UNKNOWN_WORDS, Diagnosis, LabelSpace, canonical_code, is_number, label_space
from leadset.recordings.dataset import DataSet, Item, LeftOut
from leadset.recordings.fields import PATIENT_FIELDS, known_patient, plain_name
from leadset.recordings.formats import list_formats
from leadset.recordings.importers.registry import register_importer
from leadset.recordings.importers.tables import age_and_sex, number, read_heading, read_rows, whole_number
from leadset.recordings.reader import header_path
from leadset.utils.text_encoding import GUESS, GUESSED, encoding_of

#: Column names, in small letters without blanks, hyphens and underscores, by what is in the column.
_COLUMNS: dict[str, frozenset[str]] = {
    "file": frozenset({"file", "filename", "path", "filepath", "record", "recording"}),
    "labels": frozenset({"labels", "label", "codes", "dx", "diagnosis", "diagnoses", "classes", "class"}),
    "patient": PATIENT_FIELDS,
    "fold": frozenset({"fold", "stratfold", "split"}),
    "age": frozenset({"age", "ageyears", "ageinyears", "agemonths", "ageinmonths", "agedays", "patientage"}),
    "sex": frozenset({"sex", "gender", "patientsex", "patientgender"}),
    "source": frozenset({"source", "dataset", "database"}),
}
#: What names of tables end in.
TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
_NEEDED = ("file", "labels")
# In the place of a column: there is none.
_NO_LABELS = "none"
_SEPARATORS = (";", "|", ",")
_WIDE = str.maketrans({"\N{FULLWIDTH SEMICOLON}": ";", "\N{FULLWIDTH COMMA}": ",", "\N{IDEOGRAPHIC COMMA}": ","})
# Codes need no sign between them.
_BETWEEN_CODES = re.compile(r"(?<=\d{6})\s+(?=\d{6})")
# Lists as Python, NumPy and JSON write them: words in quotes, with what is in them, and others without brackets.
_QUOTED = re.compile(r"""(?<=[\[(\s,;|])(['"])((?:\\.|[^\\])*?)\1(?=[\s,;|\])])""")
_LIST = re.compile(rf"[\[(](?>{_QUOTED.pattern}|[^\[\](){{}}])*[\])]")
_ESCAPE = re.compile(r"\\(?:x[\da-f]{2}|u[\da-f]{4}|[nrt'\"\\])", re.IGNORECASE)
# What only other forms of lists have outside of quotes; a bracket that stays open was cut.
_OTHER_LIST = re.compile(r"[\[\]{}]|dtype=|\([^)]*$")
_BETWEEN, _SEPARATED = re.compile(r"[\s,;|]+"), re.compile(r"\s*[,;|]\s*")
# What may be meant to stand between labels.
_PERHAPS, _BLANKS = re.compile(r"\s*[+/&:\\]\s*"), re.compile(r"\s+(?:and\s+)?")
# A unit in the name of a column of ages, and words of columns that say more of a person.
_AGE_UNIT = re.compile(r"months?|weeks?|days?", re.IGNORECASE)
_MORE = {"age": re.compile(r"(?:^|[^a-z])age(?:$|[^a-z])|birth|^dob$", re.IGNORECASE),
         "sex": re.compile(r"(?:^|[^a-z])(?:sex|gender)(?:$|[^a-z])", re.IGNORECASE)}  # fmt: skip
_NO_FILE = "no such file"
_TRUE, _FALSE = frozenset({"1", "1.0", "true", "yes"}), frozenset({"", "0", "0.0", "false", "no", "nan", "none"})
# Words of a vector of classes, and from how many on they cannot be labels: one is there twice.
_BITS, _VECTOR = (_TRUE | _FALSE) - UNKNOWN_WORDS, 3
# Labels that are taken for the normal class where none is named.
_NORMAL = frozenset({"norm", "normal", "nsr", "snr", "sr", "n", "sinus rhythm", "426783006"})


class _Columns(NamedTuple):
    """The table's own names of the columns; empty where there is none. Several labels are columns of 0 and 1."""

    file: str
    labels: tuple[str, ...]
    patient: str
    fold: str
    age: str
    sex: str
    source: str


def is_table(path: Path) -> bool:
    """Whether a file is a table with a column of files, and not, say, an array in CSV."""
    if not path.is_file() or path.suffix.casefold() not in TABLE_ENDINGS:
        return False
    if path.suffix.casefold() == ".parquet":
        return True
    try:
        names, _ = read_heading(path)
    except ValueError:  # no text
        return False
    return any(plain_name(name) in _COLUMNS["file"] for name in names)


@register_importer(
    "table",
    title="table of recordings",
    citation="the user's own table",
    licence="that of the recordings",
    more_options=_COLUMNS,
)
def open_table(
    path: Path, task: str, *, folder: str = "", space: str = "", normal: str = "", **columns: str
) -> DataSet:
    """The recordings that a table names.

    Args:
        path: CSV (with commas, semicolons or tabs) or Parquet (extra `tables`).
        task: none.
        folder: where the paths of the files start, itself a path from the table's folder; by default that folder.
        space: label space of the labels, a name or a file; by default the distinct labels are the classes.
        normal: the label of normal recordings; by default one with a usual name, or the most frequent.
        columns: names of its columns, by `_COLUMNS` what is in them; by default the usual ones. Labels in one column
            have ``;``, ``|`` or ``,`` between them, or are a list; several columns, with commas between, are classes
            with 1 where a recording has them. ``labels=none``: they are those of the headers, if there are any.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: it is no such table, lacks a column, or has a cell of something else than labels.
    """
    path = path.absolute()
    start = path.parent / folder
    rows, names = _open(path)
    own = _columns(path, rows, names, columns)
    if not own.labels and (space or normal):
        raise ValueError(f"{path}: found labels=none with {'space' if space else 'normal'}, which say what labels mean")
    items, left_out, remarks, words = _read_items(path, rows, own, start)
    remarks += _remarks_on_columns(names, own)
    if not _is_parquet(path) and encoding_of(path) == GUESSED:
        remarks.append(GUESS)
    if space:
        classes = label_space(space)
        items, strangers = _of_space(items, classes)
        left_out += strangers
    else:
        classes, remark = _own_space(path, items, _code(normal), words)
        remarks += remark
    common = Path(os.path.commonpath([item.path.parent for item in items])) if items else path.parent
    return DataSet("table", common, tuple(items), classes, tuple(left_out), tuple(remarks), title=path.name)


def _read_items(
    path: Path, rows: Iterable[tuple[int, Mapping[str, str]]], columns: _Columns, start: Path
) -> tuple[list[Item], list[LeftOut], list[str], dict[str, str]]:
    """The recordings that rows name, those that take no part, remarks, and the words for each code."""
    lines: dict[Path, tuple[int, tuple[str, ...]]] = {}
    items, left_out, unreadable, words = [], [], Counter(), {}
    for line, row in rows:
        what, found = row[columns.file], _labels(row, columns.labels, f"{path}, line {line}") if columns.labels else ()
        words = {**{_code(word): word for word in found}, **words}
        codes = tuple(dict.fromkeys(map(_code, found)))
        place = _place(start / what) or _place(start / what.replace("\\", "/")) if what else None
        years, known, flags = age_and_sex(_age(row.get(columns.age, ""), columns.age), row.get(columns.sex, ""))
        unreadable.update(flags)
        if place is None:
            left_out.append(LeftOut(what or f"line {line}", _NO_FILE if what else "no file is named"))
        elif place in lines:
            again = f"named again in line {line}: line {lines[place][0]} counts"
            left_out.append(LeftOut(what, again + ("" if lines[place][1] == codes else ", which has other labels")))
        elif columns.labels and not codes:
            left_out.append(LeftOut(what, "no label"))
        else:
            patient, fold = (whole_number(row.get(column)) for column in (columns.patient, columns.fold))
            about = known_patient(patient) or "", "" if fold.casefold() in UNKNOWN_WORDS else fold
            given = codes if columns.labels else None
            items.append(Item(place, given, what, *about, row.get(columns.source, ""), years, known))
            lines[place] = line, codes
    remarks = [f"{flag} in {count} rows" for flag, count in unreadable.items()] + _remarks_on_words(words.values())
    if any(one.reason == _NO_FILE for one in left_out):
        remarks.append(f"files are looked for from {start} on (--data-option folder=FOLDER names another folder)")
    return items, left_out, remarks, words


def _is_parquet(path: Path) -> bool:
    return path.suffix.casefold() == ".parquet"


def _open(path: Path) -> tuple[Iterator[tuple[int, Mapping[str, str]]], list[str]]:
    """Rows with their line numbers, and names of columns.

    Raises:
        ValueError: a Parquet file, and pandas is not installed.
    """
    if _is_parquet(path):
        try:
            import pandas
        except ImportError:
            raise ValueError(f"{path}: reading Parquet needs pandas: install leadset[tables]") from None
        try:
            frame = pandas.read_parquet(path)
        except Exception as error:  # pyarrow has many kinds of error for damaged files
            raise ValueError(f"{path}: found no Parquet file that can be read ({error}), expected a table") from error
        rows = frame.astype(object).where(frame.notna(), "").to_dict("records")
        names = [str(name) for name in frame.columns]
        return ((i, {str(k): _text(v) for k, v in row.items()}) for i, row in enumerate(rows, 1)), names
    names, delimiter = read_heading(path)
    return read_rows(path, (), delimiter), names


def _text(value: object) -> str:
    """A cell of a Parquet table as text, a list as Python writes it."""
    return str(value.tolist() if hasattr(value, "tolist") else value).strip()


def _columns(
    path: Path, rows: Iterable[tuple[int, Mapping[str, str]]], names: list[str], given: Mapping[str, str]
) -> _Columns:
    """Which column is what, by the names that are given and the usual ones; rows are read for a message alone.

    Raises:
        ValueError: a column that is named is not there, or none holds files or labels.
    """
    chosen = {}
    for kind, usual in _COLUMNS.items():
        named = given.get(kind, "")
        words = named.split(",") if kind == "labels" else [named]
        wanted = [word.strip() for word in words if word.strip()]
        if kind == "labels" and wanted == [_NO_LABELS] and _NO_LABELS not in names:
            chosen[kind] = ()
            continue
        for name in wanted:
            if name not in names:
                raise ValueError(f"{path}: found columns {', '.join(names)}, expected {name} ({kind}) among them")
        found = wanted or [name for name in names if plain_name(name) in usual][:1]
        if not found and kind in _NEEDED:
            listed, usually = ", ".join(names), ", ".join(sorted(usual))
            without = f", or {kind}={_NO_LABELS} to take them from the headers" if kind == "labels" else ""
            column = (kind == "labels" and ",".join(_columns_of_bits(rows, names))) or "COLUMN"
            raise ValueError(
                f"{path}: found columns {listed}, expected one for {kind} ({usually}), or --data-option {kind}={column}"
                f"{without}"
            )
        chosen[kind] = tuple(found) if kind == "labels" else "".join(found)
    return _Columns(**chosen)


def _columns_of_bits(rows: Iterable[tuple[int, Mapping[str, str]]], names: list[str]) -> list[str]:
    """Columns that are probably classes: of names that mean nothing else, with 0 or 1 in all rows."""
    known = frozenset().union(*_COLUMNS.values())
    table = [row for _, row in rows]
    strange = [name for name in names if plain_name(name) not in known]
    return [name for name in strange if all(row[name].casefold() in _BITS for row in table)] if table else []


def _labels(row: Mapping[str, str], columns: tuple[str, ...], where: str) -> tuple[str, ...]:
    if len(columns) > 1:
        for name in columns:
            if row[name].casefold() not in _TRUE | _FALSE:
                raise ValueError(f"{where}: found {name} = {row[name]!r}, expected 0 or 1")
        return tuple(name for name in columns if row[name].casefold() in _TRUE)
    text = row[columns[0]]
    quoted, others = _words(text)
    words = [word for word in map(whole_number, quoted + others) if word.casefold() not in UNKNOWN_WORDS]
    expected = ""
    if any(map(_OTHER_LIST.search, others)):
        expected = "labels with ; | or , between them, or a list of labels in quotes"
    elif len(words) >= _VECTOR and _BITS.issuperset(map(str.casefold, words)):
        expected = "names of labels, or a column of 0 and 1 for each"
    elif any("#" in word or len(word.splitlines()) > 1 for word in words):
        expected = "no '#' and one line, as output files need"
    if expected:
        raise ValueError(f"{where}: found the labels {text!r}, expected {expected}")
    return tuple(words)


def _words(text: str) -> tuple[list[str], list[str]]:
    """The words of a cell of labels: those that a list has in quotes, and the others."""
    quoted = []
    if _LIST.fullmatch(text):
        quoted = [_ESCAPE.sub(_unescaped, match[2]) for match in _QUOTED.finditer(text)]
        text = _QUOTED.sub(" ", text)[1:-1]
    text = text.translate(_WIDE)
    values = _BETWEEN.split(text)
    if all(number(value) is not None or value.casefold() in UNKNOWN_WORDS | _BITS for value in values):
        return quoted, values
    separator = next((s for s in _SEPARATORS if s in text), _SEPARATORS[0])
    return quoted, _BETWEEN_CODES.sub(separator, text).split(separator)


def _unescaped(escape: re.Match[str]) -> str:
    return escape[0].encode().decode("unicode_escape")


def _code(label: str) -> str:
    """The code of a label, without the separators that words of a list may hold and output files cannot."""
    return canonical_code(_SEPARATED.sub(" ", label).strip())


def _age(text: str, column: str) -> str:
    """An age with the unit that its column's name says, where it has none of its own."""
    unit = _AGE_UNIT.search(column)
    return f"{text} {unit[0]}" if unit and number(text) is not None else text


def _remarks_on_columns(names: list[str], own: _Columns) -> list[str]:
    """Columns that seem to say ages or sexes and are not read."""
    remarks = []
    for kind, words in _MORE.items():
        unread = [] if getattr(own, kind) else [name for name in names if words.search(name)]
        if unread:
            remarks.append(f"column {unread[0]} seems to hold {kind}, and is not read (--data-option {kind}=COLUMN)")
    return remarks


def _remarks_on_words(words: Iterable[str]) -> list[str]:
    """Labels that may be several, and those that differ in their case alone."""
    labels = {word for word in words if not is_number(word)}
    plain = Counter(word.casefold() for word in labels)
    remarks = []
    for word in sorted(labels):
        parts, words_in = ([part.casefold() for part in split.split(word)] for split in (_PERHAPS, _BLANKS))
        if (len(parts) > 1 and any(part in plain for part in parts)) or (
            len(words_in) > 1 and all(part in plain for part in words_in)
        ):
            remarks.append(f"label {word!r} is one class beside those it names: several have ; | or , between them")
        if plain[word.casefold()] > 1:
            remarks.append(f"label {word!r} differs from another in its case alone: they are two classes")
    return remarks


def _place(path: Path) -> Path | None:
    """The header of a recording, or its file, with or without its ending, of another kind; None where there is none."""
    if not path.name:
        return None
    header = header_path(path)
    if header.is_file() or path.is_file():
        return header if header.is_file() else path
    files = (path.with_name(path.name + ending) for form in list_formats() for ending in form.endings)
    return next((file for file in files if file.is_file()), None)


def _of_space(items: list[Item], space: LabelSpace) -> tuple[list[Item], list[LeftOut]]:
    """The recordings with a label that says something in a label space, and the others."""
    kept = [item for item in items if space.encode_for_training(item.codes).any() or any(map(is_number, item.codes))]
    gone = {item.path for item in items} - {item.path for item in kept}
    return kept, [LeftOut(i.name, f"no label is a class of {space.name}") for i in items if i.path in gone]


def _own_space(
    path: Path, items: list[Item], normal: str, words: Mapping[str, str]
) -> tuple[LabelSpace | None, list[str]]:
    """The distinct labels as classes, called by the words of the table, and what was guessed.

    Raises:
        ValueError: the normal label is none of them.
    """
    counts = Counter(code for item in items for code in item.codes or ())
    if not counts:
        return None, []
    if normal and normal not in counts:
        named = ", ".join(sorted(words[code] for code in counts))
        raise ValueError(f"{path}: found normal = {normal!r}, expected one of the labels {named}")
    guesses = [code for code in sorted(counts) if words[code].casefold() in _NORMAL] + [counts.most_common(1)[0][0]]
    remark = [] if len(counts) > 1 else ["every recording has the same label: there is nothing to tell apart"]
    remark += [] if normal else [f"the normal label is taken to be {words[guesses[0]]} (--data-option normal=LABEL)"]
    classes = tuple(Diagnosis((code,), words[code], words[code]) for code in sorted(counts, key=words.__getitem__))
    return LabelSpace(path.stem, "", classes, normal or guesses[0]), remark
