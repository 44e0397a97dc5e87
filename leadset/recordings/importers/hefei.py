"""The Hefei competition of 2019 (HFHC): text files of eight leads, and lists of events in Chinese.

Hefei Hi-tech Cup ECG Human-Machine Intelligence Competition, Tianchi, 2019. A file has a line of lead names and then
one line for each sample at 500 Hz, in units of 4.88 µV. A line of a round's label file is the file's name, age, sex and
the events, with tabs between. III, aVR, aVL and aVF follow from I and II, as of any recording (`leadset.preprocess`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from leadset.classes import label_space
from leadset.leads import canonical_lead
from leadset.recordings.dataset import DataSet, Item, LeftOut
from leadset.recordings.errors import ReadError
from leadset.recordings.importers.registry import register_importer
from leadset.recordings.importers.tables import age_and_sex
from leadset.recordings.reader import Recording

_FS, _MV_PER_UNIT, _N_LEADS = 500.0, 0.00488, 8
# Of each round: its label files, in the order in which they are looked for.
_LABEL_FILES = {
    "round2": ("hf_round2_train.txt", "hf_round2_label.txt"),
    "round1": ("hf_round1_label.txt", "hf_round1_train.txt"),
}
_PUBLISHED = {"round2": 20_036, "round1": 24_106}
_ENCODINGS = ("utf-8-sig", "gbk")
# Largest file of samples that is read; a published one has some 150 kB.
_LARGEST = 1 << 26


@register_importer(
    "hefei",
    title="Hefei (HFHC)",
    citation="Hefei Hi-tech Cup ECG Human-Machine Intelligence Competition, Tianchi, 2019",
    licence="terms of the competition (Tianchi)",
    tasks={"round2": "hefei", "round1": "hefei_round1"},
)
def open_hefei(folder: Path, task: str) -> DataSet:
    """The training recordings of a round.

    Args:
        folder: with the label file, and below it the text files.
        task: ``round2`` (34 events) or ``round1`` (55).
    """
    space = label_space({"round2": "hefei", "round1": "hefei_round1"}[task])
    labels = next((folder / name for name in _LABEL_FILES[task] if (folder / name).is_file()), None)
    if labels is None:
        expected = " or ".join(_LABEL_FILES[task])
        raise FileNotFoundError(f"{folder}: no label file of {task}, expected {expected} in it")
    files: dict[str, Path] = {}
    left_out = []
    for path in sorted(folder.rglob("*.txt")):
        # Both rounds may lie in one folder, and their test parts beside them.
        if _is_of(task, path.relative_to(folder)) and path.parent != folder:
            files.setdefault(path.name, path)
    items, named = [], set()
    for line, (name, age_text, sex_text, *events) in _label_lines(labels):
        age, sex, _ = age_and_sex(age_text, sex_text)
        if name in named:
            left_out.append(LeftOut(name, f"named again in {labels.name}, line {line}"))
        elif name not in files:
            left_out.append(LeftOut(name, "no file of this name"))
        elif not space.encode(events).any():
            left_out.append(LeftOut(name, f"no event of {task}"))
        else:
            codes = tuple(dict.fromkeys(events))
            items.append(Item(files[name], codes, Path(name).stem, source="hefei", age=age, sex=sex))
        named.add(name)
    return DataSet(
        "hefei", folder, tuple(items), space, tuple(left_out), published={task: _PUBLISHED[task]}, read=read_text_leads
    )


def _is_of(task: str, path: Path) -> bool:
    """Whether a file may be a training recording of a round, by its folders' names."""
    folders = "/".join(path.parts[:-1]).casefold()
    others = [name for name in _LABEL_FILES if name != task]
    return not any(name in folders for name in (*others, "testa", "testb", "test_a", "test_b"))


def _label_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each line: file name, age, sex, events.

    Raises:
        ValueError: a line without three fields, or a text in another encoding.
    """
    content = path.read_bytes()
    for encoding in _ENCODINGS:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise ValueError(f"{path}: found a text in an unknown encoding, expected {' or '.join(_ENCODINGS)}")
    for line, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        name, *fields = [field.strip() for field in row.split("\t")]
        if len(fields) < 2:
            raise ValueError(f"{path}, line {line}: found {row!r}, expected name, age, sex and events between tabs")
        yield line, [name, *fields[:2], *filter(None, fields[2:])]


def read_text_leads(path: Path, lead_names: Mapping[str, str] | None = None) -> Recording:
    """Reads a text file of the competition: eight leads in millivolts, in file order.

    Raises:
        ReadError: no such file, or it is no table of whole numbers below lead names.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ReadError(path, f"more than {_LARGEST} bytes", "a text file of eight leads")
        heading, _, body = path.read_bytes().decode("ascii").partition("\n")
        leads = tuple(canonical_lead(name, lead_names) for name in heading.split())
        counts = np.array(body.split(), dtype=np.int32)
    except (OSError, ValueError, OverflowError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(path, str(error), "whole numbers in eight columns below lead names") from error
    if len(set(leads)) != _N_LEADS or counts.size == 0 or counts.size % _N_LEADS:
        raise ReadError(path, f"{counts.size} numbers below {heading.split()}", "eight columns below eight lead names")
    signal_mv = (counts.reshape(-1, _N_LEADS).T * _MV_PER_UNIT).astype(np.float32)
    return Recording(np.ascontiguousarray(signal_mv), _FS, leads, path.stem, path=path)
