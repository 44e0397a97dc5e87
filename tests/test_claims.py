"""The documents: every number stands in a table, every name of a module or file is one that there is."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import io
import re
import sys
import tokenize
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from test_structure import MAY_IMPORT

ROOT = Path(__file__).parents[1]


def load_claims() -> ModuleType:
    """`docs/claims.py`, which is a script beside the documents."""
    spec = importlib.util.spec_from_file_location("claims", ROOT / "docs" / "claims.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


claims = load_claims()
CLAIMS = list(claims.claims())
COMPLETE = [name for name in claims.documents() if name not in claims.book()["not_yet_complete"]]
CODE = [str(path.relative_to(ROOT)) for folder in ("leadset", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
PAGES = [*claims.documents(), "CONTRIBUTING.md", "CHANGELOG.md", *sorted(CODE)]


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", sorted({claim.document for claim in CLAIMS}))
def test_numbers_are_those_of_their_tables(document: str) -> None:
    text = read(document)
    wrong = [line for claim in CLAIMS if claim.document == document for line in claims.wrong_numbers(text, claim)]
    assert not wrong, "\n".join([*wrong, "python docs/claims.py --write takes the numbers of the tables"])


@pytest.mark.parametrize("document", sorted({claim.document for claim in CLAIMS}))
def test_an_altered_number_is_found_and_corrected(document: str) -> None:
    text = read(document)
    for claim in (claim for claim in CLAIMS if claim.document == document):
        match = claim.matches(text)[0]
        for group, number in enumerate(claim.numbers, start=1):
            altered = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), number)
            first, last = match.span(group)
            changed = text[:first] + altered + text[last:]
            assert any(f"found {altered} " in line for line in claims.wrong_numbers(changed, claim)), (claim, number)
            assert claims.corrected(changed, claim) == text


@pytest.mark.parametrize("document", COMPLETE)
def test_complete_documents_have_no_other_numbers(document: str) -> None:
    numbers = claims.unclaimed(document, read(document))
    hint = "add a claim to docs/claims.toml, or leave the number out"
    assert not numbers, "\n".join(["no table gives the numbers in", *numbers, hint])


def test_what_is_given_stands_in_its_documents() -> None:
    assert not claims.stale(), "take out of 'given' of docs/claims.toml what no document has"


def test_a_number_without_a_table_is_found() -> None:
    for document in COMPLETE:
        start = "# " if document.endswith(".toml") else ""
        numbers = claims.unclaimed(document, f"{read(document)}\n{start}It is 37.5 % faster.\n")
        assert any("37.5 % faster" in words for words in numbers), document


def test_documents_that_are_not_complete_are_documents() -> None:
    assert set(claims.book()["not_yet_complete"]) <= set(claims.documents())


@pytest.mark.parametrize("name", sorted(claims.book()["tables"]))
def test_a_table_is_used_and_written_by_a_script_that_is_there(name: str) -> None:
    table = claims.book()["tables"][name]
    assert (ROOT / table["file"]).is_file()
    assert table["file"].endswith(".toml") or (ROOT / table["script"]).is_file()
    assert any(cell.split(";")[0] == name for claim in CLAIMS for cell in claim.cells), f"no claim uses {name}"


# --- Names -----------------------------------------------------------------------------------------------------------


def is_there(dotted: str) -> bool:
    """Whether a dotted name below ``leadset`` is a module, or an attribute of one."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        name = ".".join(parts[:n])
        try:
            thing = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for part in parts[n:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@cache
def repository_files() -> frozenset[str]:
    return frozenset(
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in ("leadset", "tests", "benchmarks", "docs", ".")
        for path in (ROOT / folder).glob("*" if folder == "." else "**/*")
    )


def is_a_file(name: str) -> bool:
    """Whether a path from the root, or from any folder inside, is there, or one of an example."""
    example = "NAME" in name or Path(name).stem in ("plain", "test_x")
    return example or any(file.endswith(f"/{name}") for file in repository_files())


def prose(page: str) -> str:
    """A document, or the docstrings and comments of a module."""
    text = read(page)
    if not page.endswith(".py"):
        return text
    with_docstring = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, with_docstring)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join([*found, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_files_that_documents_name_are_there(page: str) -> None:
    text = prose(page)
    dotted = set(re.findall(r"\bleadset(?:\.[A-Za-z_]\w*)+", text)) - {"leadset.toml"}
    paths = set(re.findall(r"(?<![\w/.-])(?:leadset|tests|benchmarks|docs|models|layers)/[\w/.-]*\w", text))
    paths |= set(re.findall(r"`([\w/]+\.py)`", text))
    paths = {path for path in paths if Path(path).stem != Path(page).stem}  # what a benchmark writes
    missing = sorted({name for name in dotted if not is_there(name)} | {path for path in paths if not is_a_file(path)})
    assert not missing, f"{page} names what is not there: {missing}"


def test_the_table_of_rooms_is_the_one_that_is_held() -> None:
    (table,) = re.findall(r"<!-- rooms: .*? -->\n(.*?)<!-- /rooms -->", read("docs/architecture.md"), re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    written = {room.strip("`"): set(re.findall(r"\w+", imports)) for room, _, imports in rows}
    differ = sorted(room for room in written.keys() | MAY_IMPORT.keys() if written.get(room) != MAY_IMPORT.get(room))
    row = "docs/architecture.md, {}: expected imports {}"
    assert not differ, "\n".join(row.format(room, ", ".join(sorted(MAY_IMPORT.get(room, "gone")))) for room in differ)
