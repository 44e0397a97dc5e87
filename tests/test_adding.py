"""Adding one of each kind of thing: the files that `CONTRIBUTING.md` promises are enough, and none may lack.

Everything happens in copies of the repository, in which the suite's own checks run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import blocks
from files_on_disk import write_recording

from leadset.simulate.write import write_dataset

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("leadset", "tests", "docs", "benchmarks")

#: The architecture of the page that says how to add one.
(MODEL,) = (block.text for block in blocks("docs/adding-a-model.md") if block.language == "python")
SPACE = """
name = "NAME"
citation = "Example, A: Three rhythms. CITED"
normal = "426783006"
[[classes]]
codes = ["426783006"]
abbreviation = "NSR"
name = "sinus rhythm"
[[classes]]
codes = ["164889003"]
abbreviation = "AF"
name = "atrial fibrillation"
[[classes]]
codes = ["427084000"]
abbreviation = "STach"
name = "sinus tachycardia"
"""
VERB = '''"""``leadset greet NAME``: say good day.

Examples:
    leadset greet Ada
"""

import argparse

GROUP = "prepare data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("who", metavar="NAME", help="whom to greet")


def run(arguments: argparse.Namespace) -> int:
    """Greets; returns the exit status."""
    print(f"Good day, {arguments.who}.")
    return 0
'''

IMPORTER = '''"""Two rhythms, by the first letter of the files' names."""

from pathlib import Path

from leadset.classes import label_space
from leadset.recordings.dataset import DataSet, Item, LeftOut
from leadset.recordings.find import find_recordings
from leadset.recordings.importers.registry import register_importer

CODES = {"N": "426783006", "A": "164889003"}


@register_importer(
    "NAME", title="Rhythms", citation="Example, A: Two rhythms. CITED", licence="CC0", published={"": 40},
    tasks={"letters": "cpsc2018"},
)
def open_rhythms(folder: Path, task: str) -> DataSet:
    """The recordings whose names begin with a letter of the two."""
    paths = find_recordings(folder)
    items = tuple(Item(path, (CODES[path.stem[0]],)) for path in paths if path.stem[0] in CODES)
    left_out = tuple(LeftOut(path.name, "another letter") for path in paths if path.stem[0] not in CODES)
    return DataSet("NAME", folder, items, label_space("cpsc2018"), left_out)
'''

FORMAT = '''"""Two leads at 100 Hz in microvolts, a line for each sample."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leadset.recordings.formats.contents import Contents, Format, Layout


def _read(path: Path, layout: Layout | None, lead_names: Mapping[str, str] | None) -> Contents:
    counts = np.loadtxt(path, skiprows=1).T
    return Contents(counts, 100.0, ("I", "II"), ("uV", "uV"), (1.0, 1.0), (0.0, 0.0), age="47")


FORMAT = Format("two leads", (".two",), lambda path, start: start.startswith(b"TWO LEADS"), _read)
'''


def model_files(folder: Path, name: str, cited: str = "2026", card: bool = True) -> list[Path]:
    """Writes an architecture and its card, with the table of `leadset models NAME --markdown`; returns the files."""
    file = folder / "leadset" / "models" / f"{name}.py"
    file.write_text(MODEL.replace('"plain"', f'"{name}"').replace("2026", cited))
    if not card:
        return [file]
    page = folder / "docs" / "models" / f"{name}.md"
    page.write_text(f"# Plain\n\n{run(folder, '-m', 'leadset', 'models', name, '--markdown')}")
    return [file, page]


def space_files(folder: Path, name: str, cited: str = "2026") -> list[Path]:
    """Writes a label space; returns the files."""
    file = folder / "leadset" / "label_spaces" / f"{name}.toml"
    file.write_text(SPACE.replace("NAME", name).replace("CITED", cited))
    return [file]


def verb_files(folder: Path, name: str, text: str = VERB) -> list[Path]:
    """Writes a verb; returns the files."""
    file = folder / "leadset" / "commands" / f"{name}.py"
    file.write_text(text)
    return [file]


def format_files(folder: Path, name: str) -> list[Path]:
    """Writes a file format; returns the files."""
    file = folder / "leadset" / "recordings" / "formats" / f"{name}.py"
    file.write_text(FORMAT)
    return [file]


def importer_files(folder: Path, name: str, cited: str = "2026") -> list[Path]:
    """Writes an importer; returns the files."""
    file = folder / "leadset" / "recordings" / "importers" / f"{name}.py"
    file.write_text(IMPORTER.replace("NAME", name).replace("CITED", cited))
    return [file]


def command(folder: Path, *words: object) -> subprocess.CompletedProcess:
    """Runs Python in a copy of the repository, on its package."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True
    )


def run(folder: Path, *words: object) -> str:
    """What such a command prints; it must succeed."""
    done = command(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checks(folder: Path, *names: str) -> dict[str, bool]:
    """Runs those of the suite's checks whose ids hold one of these names; whether each passed."""
    files = ("tests/test_models.py", "tests/test_registered.py", "tests/test_config.py", "tests/test_project.py")
    alone = ("-k", f"({' or '.join(names)} or readme or left_over or shipped_presets) and not onnx")
    shown = command(folder, "-m", "pytest", "-q", "-rA", "--no-header", "-p", "no:cacheprovider", *files, *alone).stdout
    found = re.findall(r"^(PASSED|FAILED|ERROR) tests/\w+\.py::(\S+)", shown, re.MULTILINE)
    assert found, shown
    return {name: outcome == "PASSED" for outcome, name in found}


def copy_of_repository(folder: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def added(tmp_path_factory) -> tuple[Path, dict[str, list[Path]]]:
    """A copy of the repository with one of each, and the files that this took."""
    folder = copy_of_repository(tmp_path_factory.mktemp("added"))
    files = {"a verb": verb_files(folder, "greet"), "a label space": space_files(folder, "rhythms")}
    files |= {"an importer": importer_files(folder, "letters"), "a file format": format_files(folder, "two_leads")}
    return folder, files | {"a model": model_files(folder, "plain")}


def test_contributing_promises_these_files(added):
    _, files = added
    promises = re.findall(r"^\| (an? [\w ]+) \| (\d) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {kind: int(number) for kind, number in promises} == {kind: len(paths) for kind, paths in files.items()}


def test_what_was_added_is_found_and_listed(added):
    folder, _ = added
    assert "[`plain`](docs/models/plain.md) | Plain: " in run(folder, "-m", "leadset", "models", "--markdown")
    listed = run(folder, "-m", "leadset", "--help")
    assert re.search(r"^  greet +say good day$", listed, re.MULTILINE)
    assert "usage: leadset greet [-h] NAME" in run(folder, "-m", "leadset", "greet", "--help")
    assert run(folder, "-m", "leadset", "greet", "Ada") == "Good day, Ada.\n"
    code = (
        "import leadset, torch; from leadset.classes import label_space; space = label_space('rhythms'); "
        "print(*space.abbreviations); model = leadset.create_model('plain', 'II,V5', len(space)); "
        "print(*model(torch.zeros(4, 2, 500)).shape)"
    )
    assert run(folder, "-c", code) == "NSR AF STach\n4 3\n"


def test_the_added_model_learns_the_added_label_space(added, tmp_path):
    folder, _ = added
    list(write_dataset(tmp_path / "data", 24, seed=3, seconds=6.0, labels={"NSR": 1, "AF": 1, "STach": 1}))
    options = "--models plain --leads 2 --epochs 1 --set min_steps=2 --set workers=1 --set pretrain.below=0"
    run(folder, "-m", "leadset", "train", tmp_path / "data", tmp_path / "model", *options.split(),
        "--set", "label_space=rhythms")  # fmt: skip
    run(folder, "-m", "leadset", "predict", tmp_path / "model", tmp_path / "data", tmp_path / "out", "--strict")
    entry = json.loads((tmp_path / "model" / "entry.json").read_text())
    assert (entry["label_space"], entry["lead_sets"][0]["members"][0]["architecture"]) == ("rhythms", "plain")
    first = next((tmp_path / "out").glob("*.csv")).read_text().splitlines()
    assert first[1].replace(" ", "") == "426783006,164889003,427084000"


def test_the_added_importer_opens_its_data_set(added, tmp_path):
    folder, _ = added
    for name in ("N1", "A1", "X1"):
        write_recording(tmp_path, name)
    shown = run(folder, "-m", "leadset", "describe", f"letters:{tmp_path}")
    assert "Rhythms: 2 recordings (published: 40), 9 classes of cpsc2018" in shown
    assert "left out: 1 × another letter: X1.hea" in shown and re.search(r"^  AF +1 ", shown, re.MULTILINE)


def test_the_added_format_is_found_and_read(added, tmp_path):
    folder, _ = added
    lines = [f"{i % 100} {-(i % 50)}" for i in range(1000)]
    (tmp_path / "a.two").write_text("\n".join(["TWO LEADS", *lines]) + "\n")
    code = (
        "from leadset.recordings import find_recordings, read_recording; "
        f"(path,) = find_recordings({str(tmp_path)!r}); r = read_recording(path); "
        "print(r.leads, r.fs, r.age, r.signal.shape, round(float(r.signal[0, 99]), 3))"
    )
    assert run(folder, "-c", code) == "('I', 'II') 100.0 47.0 (2, 1000) 0.099\n"


def test_suite_passes_with_what_was_added(added):
    folder, _ = added
    outcomes = checks(folder, "plain", "rhythms", "greet", "letters")
    assert all(outcomes.values()), [name for name, passed in outcomes.items() if not passed]
    assert sum("plain" in name for name in outcomes) > 20
    assert {"test_registered_model_has_a_citation_and_a_card[plain]", "test_card_states_the_computed_costs[plain]",
            "test_label_space_has_a_citation_and_distinct_classes[rhythms]",
            "test_verb_has_help_for_each_argument[greet]", "test_importer_names_its_source_and_licence[letters]",
            "test_no_card_is_left_over"} <= outcomes.keys()  # fmt: skip


def test_suite_fails_where_something_is_lacking(tmp_path):
    folder = copy_of_repository(tmp_path)
    model_files(folder, "nocard", card=False)
    model_files(folder, "undated", cited="")
    space_files(folder, "unsourced", cited="")
    importer_files(folder, "anonymous", cited="")
    verb_files(folder, "mute", VERB.replace("``leadset greet NAME``: say", "Says").replace("greet", "mute"))
    outcomes = checks(folder, "(nocard and card)", "(undated and card)", "unsourced", "mute", "anonymous")
    assert {name for name, passed in outcomes.items() if not passed} == {
        "test_registered_model_has_a_citation_and_a_card[nocard]",
        "test_card_states_the_computed_costs[nocard]",
        "test_no_card_is_left_over",
        "test_registered_model_has_a_citation_and_a_card[undated]",
        "test_label_space_has_a_citation_and_distinct_classes[unsourced]",
        "test_importer_names_its_source_and_licence[anonymous]",
        "test_verb_says_in_its_first_line_how_it_is_called_and_what_it_does[mute]",
    }


def test_model_without_a_test_case_is_refused(tmp_path):
    folder = copy_of_repository(tmp_path)
    (file,) = model_files(folder, "untested", card=False)
    file.write_text(file.read_text().replace(', reduced={"width": 4}', ""))
    done = command(folder, "-m", "leadset", "models")
    assert done.returncode == 1
    assert "missing 1 required keyword-only argument: 'reduced'" in done.stderr
