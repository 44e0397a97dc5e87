"""PTB-XL as PhysioNet publishes it: `ptbxl_database.csv`, `scp_statements.csv`, `records500` and `records100`.

Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Sci Data 7, 154 (2020). The tasks are
those of Strodthoff et al., Deep Learning for ECG Analysis: Benchmarks and Insights from PTB-XL, IEEE J-BHI 25(5), 2021:
the likelihood of a statement is ignored.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from leadset.classes import label_space
from leadset.recordings.dataset import DataSet, Item, LeftOut, examples
from leadset.recordings.importers.registry import register_importer
from leadset.recordings.importers.tables import Files, number, plausible_age, read_rows, whole_number
from leadset.recordings.subject import parse_sex

_TABLE, _STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
_COLUMNS = ("ecg_id", "scp_codes", "strat_fold", "filename_lr", "filename_hr")
# Column of a rate's file names.
_FILES = {"500": "filename_hr", "100": "filename_lr"}
# The published table has numbers; copies of it have words.
_SEXES = {"0": "male", "1": "female"}
# Ages above 89 years are written as 300.
_HIDDEN_AGE, _OLDEST = 300.0, 90.0
_TASKS = {
    "super": "ptbxl_super", "sub": "ptbxl_sub", "diagnostic": "ptbxl_diagnostic", "form": "ptbxl_form",
    "rhythm": "ptbxl_rhythm", "all": "ptbxl_all",
}  # fmt: skip
# Recordings with a statement of each task, in release 1.0.3: Liu et al., Zero-Shot ECG Classification with Multimodal
# Learning and Test-time Clinical Knowledge Enhancement, ICML 2024. Diagnostic statements have a super- and a subclass.
_DIAGNOSTIC = {"1.0.3": 21_388}
_RECORDINGS = {
    "super": _DIAGNOSTIC, "sub": _DIAGNOSTIC, "diagnostic": _DIAGNOSTIC, "form": {"1.0.3": 8_978},
    "rhythm": {"1.0.3": 21_030}, "all": {"1.0.1": 21_837, "1.0.3": 21_799},
}  # fmt: skip
# Recordings of each superclass: the publication (1.0.1) and the page of the data set (1.0.3).
_SUPERCLASSES = {
    "1.0.1": {"NORM": 9528, "MI": 5486, "STTC": 5250, "CD": 4907, "HYP": 2655},
    "1.0.3": {"NORM": 9514, "MI": 5469, "STTC": 5235, "CD": 4898, "HYP": 2649},
}
# Longest text of statements that is looked at; the longest of PTB-XL has some 200 characters.
_LONGEST = 10_000


class _Chosen(NamedTuple):
    """A row with a file: its item, and the rate of that file."""

    item: Item
    rate: str


@register_importer(
    "ptbxl",
    title="PTB-XL",
    citation="Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Sci Data 7, 154 (2020)",
    licence="CC BY 4.0",
    published=_RECORDINGS["all"],
    tasks=_TASKS,
    classes={"super": _SUPERCLASSES},
    mark=_TABLE,
)
def open_ptbxl(folder: Path, task: str, *, rate: str = "") -> DataSet:
    """The recordings with a statement of a task.

    Args:
        folder: with the two tables.
        task: ``super`` (5 classes), ``sub`` (23), ``diagnostic`` (44), ``form`` (19), ``rhythm`` (12) or ``all`` (71).
        rate: ``500`` or ``100``: only files of this rate in Hz; by default those of 500 Hz, and where they are missing
            those of 100 Hz.
    """
    if rate and rate not in _FILES:
        raise ValueError(f"{folder}: found rate {rate!r}, expected {' or '.join(_FILES)}")
    classes = _classes(folder / _STATEMENTS, task)
    files, left_out, chosen, unknown, odd = Files(), [], [], Counter(), Counter()
    for line, row in read_rows(folder / _TABLE, _COLUMNS):
        statements = _statements(row["scp_codes"])
        rates = [rate] if rate else list(_FILES)
        found = [r for r in rates if files.complete(folder / f"{row[_FILES[r]]}.hea")]
        what = row[_FILES[found[0] if found else rates[0]]] or f"{_TABLE}, line {line}"
        if statements is None:
            left_out.append(LeftOut(what, f"scp_codes of {_TABLE} cannot be read"))
            continue
        unknown.update(statements - classes.keys())
        codes = tuple(sorted({code for name in statements for code in classes.get(name, ())}))
        if not found:
            left_out.append(LeftOut(what, f"no file of {' or '.join(rates)} Hz"))
        elif not codes:
            left_out.append(LeftOut(what, f"no statement of task {task}"))
        else:
            age, sex, remarks = _age_and_sex(row)
            odd.update(remarks)
            chosen.append(_Chosen(_item(row, folder / f"{what}.hea", codes, age, sex), found[0]))
    return DataSet(
        "ptbxl", folder, tuple(item for item, _ in chosen), label_space(_TASKS[task]), tuple(left_out),
        tuple(_remarks(chosen, unknown, odd)), test_folds=("10",),
        published=_RECORDINGS[task],
    )  # fmt: skip


def _item(
    row: Mapping[str, str], path: Path, codes: tuple[str, ...], age: float | None, sex: str | None
) -> Item:
    patient, fold = whole_number(row.get("patient_id")), whole_number(row["strat_fold"])
    return Item(path, codes, path.stem, patient, fold, "ptb-xl", age, sex)


def _age_and_sex(row: Mapping[str, str]) -> tuple[float | None, str | None, list[str]]:
    """Age in years, ``"female"`` or ``"male"``, and what is odd about them, as remarks have it behind a number."""
    said, sex = number(row.get("age")), row.get("sex", "")
    age = _OLDEST if said == _HIDDEN_AGE else plausible_age(row.get("age"))
    known, unreadable = parse_sex(_SEXES.get(whole_number(sex), sex))
    odd = {
        "ages above 89 years are hidden as 300: taken for 90": said == _HIDDEN_AGE,
        "ages are none of a person: taken for unknown": said is not None and age is None,
        "sexes are neither female nor male: taken for unknown": bool(unreadable),
    }
    return age, known, [remark for remark, is_so in odd.items() if is_so]


def _classes(path: Path, task: str) -> dict[str, tuple[str, ...]]:
    """Codes of a task's classes that each statement stands for, from the table of statements."""
    classes = {}
    for _, row in read_rows(path, ("", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")):
        statement, diagnostic = row[""], number(row["diagnostic"])
        wanted = {
            "super": row["diagnostic_class"] if diagnostic else "",
            "sub": row["diagnostic_subclass"] if diagnostic else "",
            "diagnostic": statement if diagnostic else "",
            "form": statement if number(row["form"]) else "",
            "rhythm": statement if number(row["rhythm"]) else "",
            "all": statement,
        }[task]
        classes[statement] = (wanted,) if wanted else ()
    return classes


def _statements(text: str) -> frozenset[str] | None:
    """The statements of ``{'NORM': 100.0, 'SR': 0.0}``; None where it cannot be read."""
    try:
        value = ast.literal_eval(text) if len(text) <= _LONGEST else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return frozenset(map(str, value)) if isinstance(value, dict) else None


def _remarks(chosen: list[_Chosen], unknown: Counter[str], odd: Counter[str]) -> Iterator[str]:
    if unknown:
        named = [f"{name} ({count})" for name, count in unknown.most_common()]
        yield f"{len(unknown)} statements are not in {_STATEMENTS}, and so in no task: {examples(named)}"
    yield from (f"{count} {remark}" for remark, count in sorted(odd.items()))
    rates = Counter(rate for _, rate in chosen)
    if len(rates) > 1:
        names = [item.name for item, rate in chosen if rate == "100"]
        yield f"{len(names)} recordings are read at 100 Hz, as their files of 500 Hz are missing: {examples(names)}"
