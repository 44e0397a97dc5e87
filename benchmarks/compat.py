"""The core part of the test suite with the oldest declared versions, and on other versions of Python.

    python benchmarks/compat.py FOLDER [--pythons python3.12 python3.13] [--output benchmarks/compat.csv]

Makes an environment for each below FOLDER, or takes the one that is there, with the core dependencies alone: of this
Python with the lowest versions that `pyproject.toml` allows, and of the others with those of `requirements.txt`.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from xml.etree import ElementTree

from tables import write_table

ROOT = Path(__file__).resolve().parents[1]
#: Reading, preparing, storing, delineating, predicting, scoring, writing weights; none needs an extra.
CORE = (
    "test_config", "test_entry", "test_headers", "test_leads", "test_preprocess", "test_reading", "test_resampling",
    "test_scoring", "test_scoring_files", "test_store", "test_waves", "test_weights",
)  # fmt: skip
SHOWN = ("torch", "numpy", "scipy", "wfdb", "scikit-learn")
COLUMNS = ("versions", "python", *SHOWN, "passed", "skipped", "failed")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def oldest() -> dict[str, str]:
    """The lowest versions of the core dependencies, by name."""
    return dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", item).groups() for item in PROJECT["dependencies"])


def pinned() -> dict[str, str]:
    """Those of `requirements.txt`."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {name: pins[name] for name in oldest()}


def environment(folder: Path, python: str, versions: dict[str, str]) -> Path:
    """The interpreter of an environment, which is made if missing."""
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        wanted = [f"{name}=={version}" for name, version in versions.items()]
        subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *wanted, "pytest"], check=True)
    return interpreter


def tested(name: str, interpreter: Path) -> dict[str, str]:
    """The row of an environment."""
    code = (
        "import json, platform, sys; from importlib.metadata import version\n"
        "print(json.dumps([platform.python_version(), *map(version, sys.argv[1:])]))"
    )
    shown = subprocess.run([str(interpreter), "-c", code, *SHOWN], check=True, capture_output=True, text=True)
    versions = dict(zip(("python", *SHOWN), re.findall(r'"([^"]*)"', shown.stdout), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        files = [str(ROOT / "tests" / f"{file}.py") for file in CORE]
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [str(interpreter), "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
        subprocess.run(command, cwd=ROOT, env=variables)
        suite = ElementTree.parse(report).getroot().find("testsuite")
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    skipped = int(suite.get("skipped"))
    passed = int(suite.get("tests")) - failed - skipped
    return {"versions": name, **versions, "passed": str(passed), "skipped": str(skipped), "failed": str(failed)}


def main() -> int:
    """Writes the table; returns 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pythons", nargs="*", default=["python3.12", "python3.13"])
    parser.add_argument("--without-oldest", action="store_true", help="the other versions of Python alone")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    plan = [] if arguments.without_oldest else [("oldest", sys.executable, oldest())]
    plan += [(Path(python).name, python, pinned()) for python in arguments.pythons]
    rows: list[dict[str, str]] = []
    if arguments.output.exists():
        with open(arguments.output, newline="") as file:
            rows = list(csv.DictReader(file))
    for name, python, versions in plan:
        row = tested(name, environment(arguments.folder / name, python, versions))
        rows = [old for old in rows if old["versions"] != name] + [row]
        write_table(arguments.output, COLUMNS, rows)
    return int(any(row["failed"] != "0" for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
