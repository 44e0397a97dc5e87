"""Which label space output files answer in, and that they are not scored in another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from leadset.classes import CHALLENGE, LabelSpace, label_space, list_label_spaces
from leadset.scoring.outputs import Tables, classes_of, codes_of

# Classes that a message names before it says how many more there are.
_NAMED = 9


def space_of(tables: Tables, expected: LabelSpace | None, own: LabelSpace | None = None) -> LabelSpace:
    """The label space to score output files in.

    Args:
        tables: the files.
        expected: checked against the files; None: the space, out of that of the data set and those that ship, whose
            classes are those of the files. Else that of the data set, or the Challenge's, whose scorer takes files that
            lack classes.
        own: label space of the data set, if it has one.

    Raises:
        ValueError: the classes of a file are not those of the space, or files answer in several spaces; the message
            names the file, what was found and what was expected.
    """
    # By class line: the first file that has it, and the space whose classes are exactly its columns.
    exact = {columns: (path, _exact(columns, own)) for columns, path in tables.columns.items()}
    if expected is None:
        names = {space.name: space for _, space in exact.values() if space is not None}
        expected = next(iter(names.values())) if len(names) == 1 else own or label_space(CHALLENGE)
    shared = {columns: any(classes_of(column, expected) for column in columns) for columns in exact}
    for columns, (path, other) in exact.items():
        foreign = other is not None and other.keys != expected.keys
        partial = shared[columns] and not expected.partial_outputs and not _same_classes(columns, expected)
        if foreign or partial or not any(shared.values()):
            raise ValueError(f"{path}: found {_described(columns, other)}, expected {_expected(expected)}")
    return expected


def _exact(columns: Sequence[str], own: LabelSpace | None) -> LabelSpace | None:
    """The label space, the data set's own or one that ships, that has exactly the classes of these columns."""
    spaces = chain([own] if own else [], map(label_space, list_label_spaces()))
    return next((space for space in spaces if _same_classes(columns, space)), None)


def _same_classes(columns: Sequence[str], space: LabelSpace) -> bool:
    """Whether the columns are the classes, in any order."""
    return len(columns) == len(space) and set(map(codes_of, columns)) == set(map(codes_of, space.keys))


def _described(columns: Sequence[str], space: LabelSpace | None) -> str:
    owner = "" if space is None else f" of label space {space.name}"
    return f"the {len(columns)} classes{owner} {_few(columns)}"


def _expected(space: LabelSpace) -> str:
    return f"the {len(space)} classes of label space {space.name} {_few(space.keys)}; --label-space names another"


def _few(names: Iterable[str]) -> str:
    names = list(names)
    more = f", {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"({', '.join(names[:_NAMED])}{more})"
