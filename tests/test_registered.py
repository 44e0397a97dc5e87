"""What every registered thing must have, whoever adds it; `test_models.py` holds the same of architectures."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from leadset import cli
from leadset.classes import label_space, list_label_spaces
from leadset.cli import FIRST, GROUPS, list_verbs, main, make_parser
from leadset.recordings.importers import importer, list_importers

each_verb = pytest.mark.parametrize("verb", list_verbs())
each_importer = pytest.mark.parametrize("name", list_importers())
each_space = pytest.mark.parametrize("name", list_label_spaces())


@each_verb
def test_verb_says_in_its_first_line_how_it_is_called_and_what_it_does(verb):
    file = Path(cli.__file__).parent / "commands" / f"{verb}.py"
    first = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    assert re.fullmatch(rf"``leadset {verb}\b[^`]*``: \S.*", first), f"{file.name}: found {first!r}"


@each_verb
def test_verb_has_help_for_each_argument(verb, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    summary = list_verbs()[verb].summary
    assert f"usage: leadset {verb}" in shown and f"{summary[:1].upper()}{summary[1:]}." in shown


@each_verb
def test_verb_stands_below_a_heading_of_the_list(verb):
    assert list_verbs()[verb].group in GROUPS


@each_verb
def test_examples_of_a_verb_are_commands_that_its_parser_takes(verb, capsys):
    parser = make_parser(verb, f"leadset {verb}")
    title, *examples = (parser.epilog or "").split("\n")
    assert title == "examples:" and examples
    for example in examples:
        program, named, *arguments = shlex.split(example)
        assert (program, named) == ("leadset", verb)
        parser.parse_args(arguments)


def test_what_to_begin_with_is_what_parsers_take():
    for command in FIRST:
        _, verb, *arguments = shlex.split(command)
        make_parser(verb, verb).parse_args(arguments)


def test_the_list_of_verbs_has_each_verb_once_below_its_heading(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    starts = [shown.index(f"\n{heading}:\n") for heading in GROUPS] + [len(shown)]
    for heading, start, end in zip(GROUPS, starts, starts[1:], strict=False):
        own = [name for name, verb in list_verbs().items() if verb.group == heading]
        assert re.findall(r"^  (\w+) ", shown[start:end], re.MULTILINE) == own


def test_without_a_verb_the_list_is_shown(capsys):
    assert main([]) == 2
    assert "begin with:" in capsys.readouterr().err


@each_importer
def test_importer_names_its_source_and_licence(name):
    chosen = importer(name)
    assert chosen.name == name and chosen.title and chosen.licence
    assert re.search(r"\b(19|20)\d\d\b", chosen.citation) or name == "table", "a citation has at least a year"
    assert set(chosen.tasks.values()) <= set(list_label_spaces())
    assert all(count > 0 for count in chosen.published.values())


@each_space
def test_label_space_has_a_citation_and_distinct_classes(name):
    space = label_space(name)
    assert space.name == name
    assert re.search(r"\b(19|20)\d\d\b", space.citation), "a citation has at least a year"
    codes = [code for diagnosis in space.classes for code in diagnosis.codes]
    assert len(set(codes)) == len(codes) and len(set(space.abbreviations)) == len(space) > 0
    assert all(diagnosis.name for diagnosis in space.classes)
    assert space.normal in codes
    assert space.weights.shape == (len(space), len(space))
