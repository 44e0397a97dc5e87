"""The repository itself: pins, layout, imports, and what the documents promise."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import pytest

import leadset
from leadset.cli import main
from leadset.models import list_models

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins():
    files = [ROOT / "requirements.txt", ROOT / "requirements-extras.txt"]
    lines = chain.from_iterable(file.read_text().splitlines() for file in files)
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def ranges():
    items = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    return [re.fullmatch(r"([\w-]+)>=([\d.]+)", item).groups() for item in items]


def as_numbers(text):
    return tuple(int(x) for x in re.findall(r"\d+", text.split("+")[0]))


@pytest.mark.parametrize(("name", "oldest"), ranges())
def test_pins_agree_with_ranges(name, oldest):
    pinned = pins().get(name)
    assert pinned is None or as_numbers(pinned) >= as_numbers(oldest)


def test_every_pin_is_declared_and_installed():
    declared = {name for name, _ in ranges()}
    assert set(pins()) <= declared
    assert {re.match(r"[\w-]+", item)[0] for item in PROJECT["dependencies"]} <= set(pins())
    for name, pinned in pins().items():
        assert version(name).split("+")[0] == pinned


@pytest.mark.parametrize(
    "name",
    [
        *("train_model.py", "test_model.py", "evaluate_model.py", "team_code.py", "helper_code.py"),
        *("extract_leads_wfdb.py", "requirements.txt", "requirements-extras.txt", "Dockerfile", "Makefile"),
        *("pyproject.toml", "README.md"),
        *("LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "leadset.toml", ".ci/run"),
    ],
)
def test_layout(name):
    assert (ROOT / name).is_file()


def test_import_is_light():
    """`import leadset` and its names need neither torch nor wfdb; the listed names are all there."""
    heavy = ("torch", "wfdb", "scipy", "matplotlib", "sklearn")
    code = f"import leadset, sys; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "[]"
    assert all(hasattr(leadset, name) for name in leadset.__all__)
    assert len(leadset.CLASSES) == 26
    with pytest.raises(AttributeError):
        leadset.nonsense  # noqa: B018


def test_dockerfile_has_the_fixed_lines_and_installs_before_the_code():
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[-3:] == ["RUN mkdir /physionet", "COPY ./ /physionet", "WORKDIR /physionet"]
    assert any("pip install" in line for line in lines[:-3])


def test_wrong_verbs_and_arguments_print_usage(capsys):
    for wrong in (["dance"], ["simulate"]):
        with pytest.raises(SystemExit) as stop:
            main(wrong)
        assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_citation_and_changelog_name_this_version():
    assert f"version: {leadset.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {leadset.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_models_are_listed_in_aligned_columns(capsys):
    assert main(["models"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_models()
    assert "](" not in "".join(lines), "no links in Markdown"
    assert all(line[head.index("Model") - 2 : head.index("Model")] == "  " for line in lines)


def test_readme_says_of_architectures_what_the_verb_says():
    """A model that is added need not be in the README; what stands there must be right."""
    from leadset.commands.models import overview
    from leadset.utils.text_tables import markdown

    readme = (ROOT / "README.md").read_text()
    (listed,) = re.findall(r"<!-- models: .*? -->\n(.*?)\n<!-- /models -->", readme, re.DOTALL)
    wrong = set(listed.strip().split("\n")) - set(markdown(overview(linked=True)).split("\n"))
    assert not wrong, "copy these rows from: leadset models --markdown"
    assert len(listed.strip().split("\n")) > 2
