"""The rules of the house: who imports whom, how long files and functions are, and what public names must have.

What a registered thing must have is in `test_registered.py` and `test_models.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import SLOWEST_FILES

from leadset.models import list_models

ROOT = Path(__file__).parents[1]
PACKAGE = "leadset"
#: room: the rooms that it may import. A room is a module or a package directly inside `leadset`; `leadset` itself is
#: its ``__init__.py``. Nothing imports `cli`, `challenge` and `commands`, except ``__main__.py``, which starts `cli`.
MAY_IMPORT: dict[str, set[str]] = {
    "__main__": {"cli"},
    "leadset": {"classes", "leads"},
    "leads": set(),
    "classes": set(),
    "signals": set(),
    "utils": set(),
    "config": {"classes", "config_rules", "leads"},
    "config_rules": {"classes", "leads", "models"},
    "preprocess": {"leads", "signals", "utils"},
    "waves": {"leads", "signals", "utils"},
    "recordings": {"classes", "leads", "preprocess", "signals", "utils"},
    "simulate": {"classes", "leads", "recordings", "utils", "waves"},
    "scoring": {"classes", "leads", "recordings", "utils"},
    "models": {"classes", "leads", "preprocess", "signals", "utils", "waves"},
    "store": {"leads", "preprocess", "recordings", "simulate", "utils", "waves"},
    "anomaly": {"classes", "leads", "leadset", "models", "preprocess", "scoring", "signals", "store", "utils", "waves"},
    "plots": {"classes", "leads", "leadset", "recordings", "scoring", "signals", "utils", "waves"},
    "baselines": {"leads", "models", "preprocess", "utils", "waves"},
    "entry": {
        "anomaly", "baselines", "classes", "leads", "leadset", "models", "preprocess", "recordings", "scoring",
        "signals", "utils", "waves",
    },
    "adapters": {"recordings"},
    "deploy": {"classes", "entry", "leads", "models", "preprocess", "recordings", "scoring", "utils"},
    "training": {
        "anomaly", "baselines", "classes", "config", "config_rules", "entry", "leads", "leadset", "models",
        "preprocess", "recordings", "scoring", "signals", "simulate", "store", "utils", "waves",
    },
    "challenge": {"config", "entry", "recordings", "scoring", "training", "utils"},
    "studies": {
        "anomaly", "classes", "config", "config_rules", "entry", "leads", "leadset", "models", "plots", "preprocess",
        "recordings", "scoring", "simulate", "training", "utils",
    },
    "serve": {
        "anomaly", "config", "entry", "explain", "leads", "leadset", "plots", "recordings", "signals", "simulate",
        "utils", "waves",
    },
    "explain": {
        "classes", "entry", "leads", "models", "preprocess", "recordings", "scoring", "signals", "simulate", "utils",
        "waves",
    },
    "stress": {"leads", "leadset", "recordings", "scoring", "simulate", "studies", "utils"},
    "cli": {"leadset"},
    "commands": {
        "anomaly", "challenge", "classes", "config", "deploy", "entry", "explain", "leads", "leadset", "models",
        "plots", "preprocess", "recordings", "scoring", "serve", "signals", "simulate", "store", "stress", "studies",
        "training", "utils", "waves",
    },
}  # fmt: skip
MOST_LINES = {ast.Module: 400, ast.FunctionDef: 60, ast.AsyncFunctionDef: 60}


def files(*folders: str) -> list[Path]:
    """The modules below some folders of the repository, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


# --- Imports -------------------------------------------------------------------------------------------------------


def room_of(module: str) -> str:
    """The room of a module or name: ``leadset.waves.qrs`` is in ``waves``, ``leadset.__version__`` in ``leadset``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else PACKAGE


def imported_names(tree: ast.Module, module: str) -> Iterator[str]:
    """Modules and names of the package that a module imports, inside functions too; ``module`` resolves dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ([f"{PACKAGE}.{alias.name}" for alias in node.names] if source == PACKAGE else [source])


def imports() -> Iterator[tuple[str, str, str]]:
    """(room, room that it imports, which module imports what)."""
    for path in files(PACKAGE):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in imported_names(parse(path), module):
            own, other = room_of(module), room_of(name)
            if name.split(".")[0] == PACKAGE and own != other:
                yield own, other, f"{module} imports {name}"


def test_the_table_lists_the_rooms_that_there_are() -> None:
    there = {path.stem for path in (ROOT / PACKAGE).glob("*.py")} - {"__init__"} | {PACKAGE}
    there |= {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert there == MAY_IMPORT.keys(), "a room is new or gone: say in MAY_IMPORT what it may import"


def test_rooms_import_only_what_the_table_allows() -> None:
    wrong = [what for own, other, what in imports() if other not in MAY_IMPORT[own]]
    assert not wrong, "\n".join(["not allowed by MAY_IMPORT:", *wrong])


def test_no_rooms_import_each_other() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError, which names the rooms


@pytest.mark.parametrize("room", ["training", "entry"])
def test_training_and_entries_know_no_particular_classifier(room: str) -> None:
    particular = {f"{PACKAGE}.models.{name}" for name in list_models("classifier")}
    for path in files(f"{PACKAGE}/{room}"):
        named = set(imported_names(parse(path), "")) & particular
        assert not named, f"{path.relative_to(ROOT)} imports {', '.join(named)}"


# --- Lengths -------------------------------------------------------------------------------------------------------


def too_long(path: Path) -> Iterator[str]:
    """A module and its functions that are too long and do not say why in their docstrings."""
    tree = parse(path)
    for node in ast.walk(tree):
        most = MOST_LINES.get(type(node))
        if most is None:
            continue
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if not isinstance(node, ast.Module):
            lines = node.end_lineno - node.lineno + 1
        docstring = " ".join((ast.get_docstring(node) or "").split())
        if lines > most and f"Longer than {most} lines because" not in docstring:
            yield f"{path.relative_to(ROOT)}, {getattr(node, 'name', 'module')}: {lines} lines, at most {most}"


def test_modules_and_functions_are_short_or_say_why_not() -> None:
    paths = [*files(PACKAGE, "tests", "benchmarks"), *sorted(ROOT.glob("*.py"))]
    wrong = [line for path in paths for line in too_long(path)]
    hint = "split it, or give the reason in its docstring: 'Longer than ... lines because ...'"
    assert not wrong, "\n".join([*wrong, hint])


# --- Public names --------------------------------------------------------------------------------------------------


def undocumented(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, what it lacks) of public functions, classes and methods."""
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        lacks = [] if ast.get_docstring(node) else ["a docstring"]
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{node.name}.")
        else:
            given = node.args
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            untyped = [a.arg for a in arguments if a is not None and a.annotation is None]
            lacks += [f"a type of {name}" for name in untyped if name not in ("self", "cls")]
            lacks += [] if node.returns else ["a type of what it returns"]
        if lacks:
            yield prefix + node.name, ", ".join(lacks)


def test_public_names_have_docstrings_and_types() -> None:
    paths = files(PACKAGE)
    missing = [str(path.relative_to(ROOT)) for path in paths if not ast.get_docstring(parse(path))]
    assert not missing, f"modules without a docstring: {missing}"
    wrong = [
        f"{path.relative_to(ROOT)}: {name} lacks {lacks}"
        for path in paths
        for name, lacks in undocumented(parse(path).body)
    ]
    assert not wrong, "\n".join(wrong)


# --- Tests -----------------------------------------------------------------------------------------------------------


def test_the_slowest_files_are_there() -> None:
    missing = [name for name in SLOWEST_FILES if not (ROOT / "tests" / name).is_file()]
    assert not missing, f"SLOWEST_FILES of tests/conftest.py names {missing}"
