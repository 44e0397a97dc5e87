"""Diagnoses: label spaces with codes, equivalent codes, aliases and weights, and the text labels of old headers.

A label space is one TOML file. Those that ship lie in ``leadset/label_spaces`` and go by their name; any other goes by
its path. `docs/label_spaces.md` says what is in one.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

#: The label space whose classes the Challenge scores.
CHALLENGE = "challenge2021"

_FOLDER = Path(__file__).parent / "label_spaces"
_SUFFIX = ".toml"
# Under this name a label space from a file of its own is kept in a model folder.
_COPY = "label_space.toml"

# Labels of the 2018 release, which were text, as SNOMED CT codes (keys are case-folded).
TEXT_LABELS: dict[str, str] = {
    "normal": "426783006",
    "snr": "426783006",
    "nsr": "426783006",
    "af": "164889003",
    "i-avb": "270492004",
    "iavb": "270492004",
    "lbbb": "164909002",
    "rbbb": "59118001",
    "pac": "284470004",
    "pvc": "164884008",
    "std": "429622005",
    "ste": "164931005",
}

#: What headers write where they say nothing (case-folded).
UNKNOWN_WORDS = frozenset({
    *("", "nan", "unknown", "unknows", "none", "null", "nil", "na", "n/a", "n.a.", "?", "-"),
    *("not available", "not recorded", "not known", "undefined"),
})  # fmt: skip

# A code stands between the separators of a header's and an output file's lists.
_CODE = re.compile(r"[^\s,;|#](?:[^\r\n,;|]*[^\s,;|])?")


def canonical_code(label: str) -> str:
    """The code that a label stands for: a text label of the 2018 release is a SNOMED CT code, any other is itself."""
    return TEXT_LABELS.get(label.casefold(), label)


def is_number(code: str) -> bool:
    """Whether a code may be a SNOMED CT code; any other says something only to a label space that has it."""
    return code.isascii() and code.isdigit()


@dataclass(frozen=True)
class Diagnosis:
    """One class.

    Attributes:
        codes: those that count as it.
        abbreviation, name: short and full.
        aliases: further codes that are evidence of it in training, though the official score ignores them.
    """

    codes: tuple[str, ...]
    abbreviation: str
    name: str
    aliases: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Codes joined by ``|``, as in the weight table and in output files."""
        return "|".join(self.codes)


class Labelled(Protocol):
    """A recording: its codes, and the data set it came from (the name of its folder)."""

    codes: Sequence[str]
    source: str


@dataclass(frozen=True)
class Unannotated:
    """Classes (by abbreviation) that sources never annotate: their absence there says nothing."""

    sources: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class LabelSpace:
    """An ordered set of classes.

    Attributes:
        name: short. citation: where the classes come from.
        classes: in the order of all vectors of classes.
        normal: the code answered when nothing else is known.
        weight_file: table of rewards of the Challenge metric; without one they are the identity.
        unannotated: what which sources never annotate.
        partial_outputs: output files may lack classes, which then count as 0, and name others, which are ignored.
        file: where it was read from.
    """

    name: str
    citation: str
    classes: tuple[Diagnosis, ...]
    normal: str
    weight_file: Path | None = field(default=None, repr=False, compare=False)
    unannotated: tuple[Unannotated, ...] = ()
    partial_outputs: bool = False
    file: Path | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Class keys (codes joined by ``|``) in order."""
        return tuple(d.key for d in self.classes)

    @cached_property
    def abbreviations(self) -> tuple[str, ...]:
        """Short names in order."""
        return tuple(d.abbreviation for d in self.classes)

    @cached_property
    def index(self) -> dict[str, int]:
        """Class index of every code."""
        return {code: i for i, d in enumerate(self.classes) for code in d.codes}

    @cached_property
    def training_index(self) -> dict[str, int]:
        """Class index of every code and alias."""
        return {code: i for i, d in enumerate(self.classes) for code in (*d.codes, *d.aliases)}

    @property
    def normal_index(self) -> int:
        """Index of the class of ``normal``."""
        return self.index[self.normal]

    def encode(self, codes: Iterable[str]) -> np.ndarray:
        """Codes to a bool vector (k,) of official labels: a class is positive if any of its codes is there.

        Other codes, aliases among them, are ignored.
        """
        return self._encode(codes, self.index)

    def encode_for_training(self, codes: Iterable[str]) -> np.ndarray:
        """Codes to a bool vector (k,) of what to learn: as `encode`, but aliases count too."""
        return self._encode(codes, self.training_index)

    def _encode(self, codes: Iterable[str], index: Mapping[str, int]) -> np.ndarray:
        row = np.zeros(len(self), dtype=bool)
        row[[index[code] for code in map(canonical_code, codes) if code in index]] = True
        return row

    def annotated_by(self, source: str) -> np.ndarray:
        """Which classes (k,) bool a source annotates; all of them where nothing is known of the source."""
        absent = {name for group in self.unannotated if source in group.sources for name in group.classes}
        return np.array([name not in absent for name in self.abbreviations])

    def targets_for_training(self, recordings: Iterable[Labelled]) -> np.ndarray:
        """What to learn of recordings, (n, k) float32.

        1 by a code or alias of the class, NaN where the source does not annotate the class, 0 elsewhere.
        """
        recordings = list(recordings)
        present = np.array([self.encode_for_training(recording.codes) for recording in recordings])
        annotated = np.array([self.annotated_by(recording.source) for recording in recordings])
        return np.where(present | annotated, present, np.nan).astype(np.float32)

    def diagnoses(self, codes: Iterable[str]) -> tuple[str, ...]:
        """The codes that say something here: numbers, and the words among the codes and aliases of this space."""
        return tuple(c for c in map(canonical_code, codes) if is_number(c) or c in self.training_index)

    def is_plain_normal(self, codes: Iterable[str]) -> bool:
        """Whether the class of ``normal`` (sinus rhythm) is the only diagnosis."""
        diagnoses = self.diagnoses(codes)
        return bool(diagnoses) and set(diagnoses) <= set(self.classes[self.normal_index].codes)

    @cached_property
    def weights(self) -> np.ndarray:
        """Reward matrix (classes, classes) of the Challenge metric; the identity where a space defines none.

        Raises:
            OSError: no such file.
            ValueError: its columns are other classes.
        """
        if self.weight_file is None:
            return np.eye(len(self))
        with open(self.weight_file, newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header[1:]) != self.keys:
            raise ValueError(f"{self.weight_file}: its columns are not the classes of {self.name}")
        return np.array([[float(x) for x in row[1:]] for row in rows])

    def copy_to(self, folder: Path) -> str:
        """Makes the space known in a model folder, for `label_space`; returns what names it there.

        One that ships is known by its name. Any other is copied, with its weights.
        """
        if self.file is None or self.file.parent == _FOLDER:
            return self.name
        copies = [(self.file, _COPY)] + ([(self.weight_file, self.weight_file.name)] if self.weight_file else [])
        for file, name in copies:
            if file.resolve() != (folder / name).resolve():
                shutil.copyfile(file, folder / name)
        return _COPY


def place_label_space(space: LabelSpace, folder: Path) -> str:
    """What `label_space` finds a space by: its name, its file, or, where it has none, a file written to a folder."""
    if space.file is not None:
        return space.name if space.file.parent == _FOLDER else str(space.file)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _COPY
    path.write_text(_as_toml(space), encoding="utf-8")
    return str(path)


def _as_toml(space: LabelSpace) -> str:
    """The text of a file that is read as a space without weights and unannotated classes."""
    values = {"name": space.name, "citation": space.citation, "normal": space.normal}
    lines = [f"{key} = {_quoted(value)}" for key, value in values.items() if value]
    for d in space.classes:
        lines += ["", "[[classes]]", f"codes = [{', '.join(map(_quoted, d.codes))}]"]
        lines += [f"abbreviation = {_quoted(d.abbreviation)}", f"name = {_quoted(d.name)}"]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@cache
def list_label_spaces() -> tuple[str, ...]:
    """Names of the label spaces that ship."""
    return tuple(sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}")))


def label_space(name: str, folder: str | Path = ".") -> LabelSpace:
    """A label space by name, or by the path of its file.

    Args:
        name: one of `list_label_spaces`, or a path that ends in ``.toml``.
        folder: what a relative path starts from.

    Raises:
        ValueError: no such space, or a file that is none; the message says what was expected.
    """
    if name in list_label_spaces():
        return _shipped(name)
    if name.endswith(_SUFFIX):
        return _read(Path(folder) / name)
    raise ValueError(f"no label space {name!r}: expected one of {', '.join(list_label_spaces())}, or a {_SUFFIX} file")


@cache
def _shipped(name: str) -> LabelSpace:
    return _read(_FOLDER / f"{name}{_SUFFIX}")


def _read(path: Path) -> LabelSpace:
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ValueError(f"{path}: found {error.strerror}, expected the file of a label space") from None
    except (ValueError, RecursionError) as error:  # neither TOML nor text, or arrays in each other without end
        raise ValueError(f"{path}: found no TOML ({error}), expected the file of a label space") from None
    try:
        return _parse(table, path)
    except _WrongEntry as wrong:
        raise ValueError(f"{path}: {wrong}") from None


class _WrongEntry(ValueError):
    """An entry of the file of a label space that does not fit: ``key: found …, expected …``."""

    def __init__(self, key: str, found: object, expected: str) -> None:
        super().__init__(f"{key}: found {found!r}, expected {expected}")


# What may stand in the file, in a class, and in a group of classes that are not annotated: key to what is expected.
_TEXT, _TEXTS, _TABLES, _SWITCH = "a text", "a list of texts", "tables", "true or false"
_SPACE_KEYS = {
    "name": _TEXT, "citation": _TEXT, "normal": _TEXT, "classes": _TABLES,
    "weights": _TEXT, "unannotated": _TABLES, "partial_outputs": _SWITCH,
}  # fmt: skip
_CLASS_KEYS = {"codes": _TEXTS, "abbreviation": _TEXT, "name": _TEXT, "aliases": _TEXTS}
_GROUP_KEYS = {"sources": _TEXTS, "classes": _TEXTS}
_OPTIONAL = {"citation": "", "weights": None, "unannotated": [], "partial_outputs": False, "aliases": []}


def _parse(table: dict[str, Any], path: Path) -> LabelSpace:
    values = _entries(table, _SPACE_KEYS, "")
    classes = []
    for i, entry in enumerate(values["classes"], 1):
        own = _entries(entry, _CLASS_KEYS, f"class {i}: ")
        codes, aliases = (_codes(own[key], f"class {i}: {key}") for key in ("codes", "aliases"))
        if not codes:
            raise _WrongEntry(f"class {i}: codes", [], "one code at least")
        classes.append(Diagnosis(codes, own["abbreviation"], own["name"], aliases))
    for key, words in (
        ("codes and aliases", [code for d in classes for code in (*d.codes, *d.aliases)]),
        ("abbreviations", [d.abbreviation for d in classes]),
    ):
        for word, times in Counter(words).items():
            if times > 1:
                raise _WrongEntry(key, word, f"it once, not {times} times")
    normal = canonical_code(values["normal"])
    if not any(normal in d.codes for d in classes):
        raise _WrongEntry("normal", normal, "a code of one of the classes")
    groups = []
    for i, entry in enumerate(values["unannotated"], 1):
        group = Unannotated(*map(tuple, _entries(entry, _GROUP_KEYS, f"unannotated {i}: ").values()))
        for name in set(group.classes) - {d.abbreviation for d in classes}:
            raise _WrongEntry(f"unannotated {i}: classes", name, "the abbreviation of a class")
        groups.append(group)
    weights = None if values["weights"] is None else path.with_name(Path(values["weights"]).name)
    if weights is not None and not (weights.name == values["weights"] and weights.is_file()):
        raise _WrongEntry("weights", values["weights"], "the name of a file beside this one")
    return LabelSpace(
        values["name"], values["citation"], tuple(classes), normal, weights, tuple(groups),
        values["partial_outputs"], path,
    )  # fmt: skip


def _entries(table: object, keys: Mapping[str, str], where: str) -> dict[str, Any]:
    """The values of a table in the order of ``keys``, those that are missing and may be with their defaults."""
    if not isinstance(table, dict):
        raise _WrongEntry(where + "entry", table, "a table")
    for key in table.keys() - keys.keys():
        raise _WrongEntry(where + "key", key, f"one of {', '.join(keys)}")
    values = {}
    for key, expected in keys.items():
        value = values[key] = table.get(key, _OPTIONAL.get(key))
        if key not in table and key in _OPTIONAL:
            continue
        fits = {
            _TEXT: isinstance(value, str) and value.strip() != "",
            _TEXTS: isinstance(value, list) and all(isinstance(text, str) for text in value),
            _TABLES: isinstance(value, list) and len(value) > 0,
            _SWITCH: isinstance(value, bool),
        }
        if not fits[expected]:
            raise _WrongEntry(where + key, value, expected)
    return values


def _codes(texts: list[str], key: str) -> tuple[str, ...]:
    """Codes as headers are read to have them."""
    for text in texts:
        if not _CODE.fullmatch(text) or text.casefold() in UNKNOWN_WORDS:
            raise _WrongEntry(key, text, "a code without separators, and no word for unknown")
    return tuple(map(canonical_code, texts))
