"""The documents: their commands are ones that the parsers take, their links lead somewhere."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from functools import cache

import pytest
from documents import (
    PAGES,
    ROOT,
    SCRIPTS,
    Command,
    anchors,
    blocks,
    commands,
    inline_commands,
    links,
    options_in_prose,
    read,
)

from leadset.cli import list_verbs, make_parser
from leadset.config import load_config

COMMANDS = [command for page in PAGES for command in commands(page)]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


@cache
def options_of(verb: str) -> frozenset[str]:
    """The options of a verb and of its own verbs, as their help names them."""
    found, todo = set(), [make_parser(verb, verb)]
    while todo:
        for action in todo.pop()._actions:
            found |= set(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                todo += action.choices.values()
    return frozenset(found)


def test_commands_are_found() -> None:
    assert {command.verb[0] for command in COMMANDS if command.verb} >= {"predict", "train", "evaluate", "sheet"}
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.verb], ids=str)
def test_a_command_is_one_that_its_parser_takes(command: Command, capsys) -> None:
    verb, arguments, script = command.verb
    assert verb in list_verbs()
    assert not [word for word in arguments if re.search(r"^\[|\]$|…", word)], "a command, not its usage"
    try:
        make_parser(verb, verb, script).parse_args(arguments)
    except SystemExit:
        pytest.fail(f"{command}\n{capsys.readouterr().err}")


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.verb], ids=str)
def test_other_commands_name_what_is_there(command: Command) -> None:
    program, *words = command.words
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[0] in targets
    elif program == "pip":
        assert set(",".join(re.findall(r"\[(.*?)\]", " ".join(words))).split(",")) - {""} <= set(EXTRAS)
    elif program == "python" and words[0] == "-m":
        assert (ROOT / (words[1].replace(".", "/") + ".py")).is_file() or words[1] in ("pytest", "venv", "pip")
    elif program == "python":
        source = (ROOT / words[0]).read_text(encoding="utf-8")
        assert [word for word in words if word.startswith("--") and f'"{word}"' not in source] == []
    else:
        assert program in ("docker", "curl")


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_prose_are_verbs_with_such_options(page: str) -> None:
    for name, rest in inline_commands(page):
        verb = SCRIPTS.get(name, name)
        if verb in ("VERB", "NAME"):
            continue
        assert verb in list_verbs(), f"{page}: `{name}{rest}`"
        unknown = set(re.findall(r"(?<!\S)--[a-z][\w-]*", rest)) - options_of(verb)
        assert not unknown, f"{page}: `{name}{rest}` has {unknown}"


@pytest.mark.parametrize("page", PAGES)
def test_options_in_prose_are_options_of_some_verb_or_benchmark(page: str) -> None:
    known = {option for verb in list_verbs() for option in options_of(verb)} | {"--version", "--help"}
    for script in (ROOT / "benchmarks").glob("*.py"):
        known |= set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', script.read_text(encoding="utf-8")))
    assert options_in_prose(page) <= known


def test_configurations_of_the_pages_load(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("LEADSET_CONFIG", raising=False)
    texts = [block.text for page in PAGES for block in blocks(page) if block.language == "toml"]
    texts = [text for text in texts if "[[classes]]" not in text and "my_classes.toml" not in text]
    for text in texts:
        (tmp_path / "own.toml").write_text(text, encoding="utf-8")
        assert load_config(tmp_path / "own.toml", folder=None).files[1:] == (str(tmp_path / "own.toml"),)
    assert len(texts) > 1


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for target in links(page):
        file, _, anchor = target.partition("#")
        found = ((ROOT / page).parent / file).resolve() if file else ROOT / page
        assert found.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(found.relative_to(ROOT).as_posix()), f"{page}: {target}"


def words_of_messages() -> str:
    """The texts in the sources of the package, one a line; what is filled in is left out."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "leadset").rglob("*.py"))
    texts = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return "\n".join(text for text in texts if isinstance(text, str))


def test_messages_of_the_troubleshooting_page_are_those_of_the_kit() -> None:
    known, page = words_of_messages(), read("docs/troubleshooting.md")
    messages = [code for row in re.findall(r"^\| (.*?) \|", page, re.MULTILINE) for code in re.findall("`(.*?)`", row)]
    assert len(messages) > 40
    pieces = {message: re.split(r"…|\bfound\b|\bexpected\b|[,:;] ", message) for message in messages}
    assert {m: wrong for m, all_ in pieces.items() if (wrong := [p for p in all_ if p.strip(" :") not in known])} == {}


def test_the_page_of_benchmarks_names_each_script_and_table() -> None:
    named = set(re.findall(r"`(\w+\.(?:py|csv))`", read("benchmarks/README.md")))
    there = {path.name for kind in ("py", "csv") for path in (ROOT / "benchmarks").glob(f"*.{kind}")}
    assert named == there
