"""The wheel, installed outside the repository: all files, the same defaults, and the same results of every verb.

The demo runs simulate, train, extract, predict and evaluate, in processes of their own. Dependencies come from the
running environment, so that no network is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import leadset

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """
lead_sets = ["2"]
architectures = ["resnet34"]
preset = "tiny"
epochs = 1
min_steps = 3
batch_size = 8
workers = 1
presets.tiny.resnet34 = { width = 4, rate = 50, blocks = [1, 1, 1, 1] }
pretrain.below = 0
"""


def python(path: Path, folder: Path, *words: object) -> str:
    """What a command prints that runs in ``folder`` and finds the package on ``path``."""
    environment = {name: value for name, value in os.environ.items() if name != "LEADSET_CONFIG"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env={**environment, "PYTHONPATH": str(path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that the wheel is installed in; built from a copy, which leaves no files in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "leadset", source / "leadset", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def sides(installed, tmp_path_factory) -> dict[Path, Path]:
    """The package's place, in the repository and installed, and the folder where the demo ran with it."""
    ran = {}
    for name, path in (("repository", ROOT), ("installed", installed)):
        folder = tmp_path_factory.mktemp(name)
        (folder / "tiny.toml").write_text(CONFIG)
        python(path, folder, "-m", "leadset", "demo", "out", "-n", 32, "--tests", 8, "--config", "tiny.toml")
        ran[path] = folder
    return ran


def files_of(folder: Path) -> dict[str, Path]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path for path in paths}


def entry_of(path: Path) -> dict:
    """An entry without the seconds that its training took."""
    return json.loads(
        path.read_text(), object_hook=lambda table: {key: v for key, v in table.items() if key != "seconds"}
    )


def test_wheel_holds_every_file_of_the_package(installed):
    ours, theirs = files_of(ROOT / "leadset"), files_of(installed / "leadset")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].read_bytes() == theirs[name].read_bytes() for name in ours)
    assert python(installed, installed, "bin/leadset", "--version") == f"leadset {leadset.__version__}\n"


def test_defaults_are_the_same(sides):
    code = "import leadset, leadset.config; print(leadset.__file__); print(leadset.config.default_config())"
    (ours, our_values), (theirs, their_values) = (
        python(path, folder, "-c", code).split("\n", 1) for path, folder in sides.items()
    )
    assert [Path(file).parent.parent for file in (ours, theirs)] == list(sides)
    assert our_values.replace(str(Path(ours).parent), "") == their_values.replace(str(Path(theirs).parent), "")


def test_results_are_the_same(sides):
    ours, theirs = (files_of(folder / "out") for folder in sides.values())
    assert ours.keys() == theirs.keys()
    assert {"model/resnet34-2.safetensors", "scores_2_leads.csv", "class_scores_2_leads.csv"} <= ours.keys()
    assert sum(name.startswith("answers_2_leads/") for name in ours) == 16  # those of the entry and of its one network
    times = {name for name in ours if name.endswith((".png", ".jsonl"))} | {"model/entry.json"}
    different = [name for name in ours.keys() - times if ours[name].read_bytes() != theirs[name].read_bytes()]
    assert different == []
    ours, theirs = (entry_of(side["model/entry.json"]) for side in (ours, theirs))
    for entry in (ours, theirs):
        del entry["provenance"]["configuration"]["files"][0]  # the place of default.toml
    assert ours == theirs
    assert ours["provenance"]["configuration"]["files"] == ["tiny.toml"]


def test_doctor_reports_the_same(sides):
    ours, theirs = (python(path, folder, "-m", "leadset", "doctor", "out/test") for path, folder in sides.items())
    assert ours == theirs and "None of 8 recordings will be skipped." in ours
