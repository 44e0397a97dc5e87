"""Commands and Python of the documents are run as they stand, page by page, on a few simulated recordings."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tomllib
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from documents import PAGES, ROOT, Block, Command, blocks, commands
from test_datasets import ptbxl_row, write_ptbxl
from untrained_entry import write_untrained_entry
from vendor_files import write_aecg, write_dicom

from leadset.cli import run_script, run_verb
from leadset.leads import LEADS
from leadset.simulate.write import write_dataset

HERE = Path(__file__).parent
#: Commands that are not run here, and the test file that runs the verb, or why none does. Each fits some command.
NOT_RUN = {
    r"leadset (app|serve)\b": "test_browser.py",
    r"leadset explain\b": "test_explain_command.py",
    r"leadset leads\b": "test_explain_command.py",
    r"leadset (crossval|report)\b": "test_crossval.py",
    r"leadset study\b": "test_studies.py",
    r"leadset stress\b": "test_stress.py",
    r"torchrun\b": "test_distributed.py",
    r"leadset train .*scheduler=tcp": "test_store.py",
    r"leadset (export|predict .* --onnx)\b": "test_deploy.py",
    r"leadset anomaly\b": "test_anomaly_command.py",
    r"leadset baseline\b": "test_baselines.py",
    r"leadset (models|train|crossval) .*\bplain\b": "test_adding.py",
    r"leadset simulate OUT": "test_simulate.py",
}
#: Blocks of Python that are not run, by a word in them, and the test file that runs the same.
NOT_RUN_PYTHON = {
    "leadset.explain": "test_explain.py", "OnnxEntry": "test_deploy.py", "SimulatedStream": "test_simulate.py",
    "SignalMap": "test_sheet.py", "register_model": "test_adding.py",
}  # fmt: skip
#: A run of seconds: one network from weights that ship, one step.
CONFIGURATION = """
architectures = ["crnn_pqrst"]
lead_sets = ["2"]
epochs = 1
min_steps = 1
workers = 1
folds = 2
[start]
recordings = 0
fewest = 2
[pretrain]
below = 0
"""
#: Words of the documents that stand for something of the reader's.
STANDS_FOR = {"DATA": "data", "MODEL": "model", "OUT": "out", "RECORD": "data/A0001.hea", "FOLDER": "ptbxl"}


def rename(path: Path, name: str, folder: Path) -> None:
    """Moves a recording to another folder under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (path, path.with_suffix(".mat")):
        text = file.read_bytes().replace(path.stem.encode(), name.encode())
        (folder / file.name.replace(path.stem, name)).write_bytes(text)
        file.unlink()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """What the documents speak of: recordings, files of devices, arrays, a table, a data set, an entry, outputs."""
    folder = tmp_path_factory.mktemp("documents")
    headers = list(write_dataset(folder / "made", 10, seed=1, labels="NSR,AF,SB"))
    for i, path in enumerate(headers, start=1):
        rename(path, f"A{i:04d}", folder / "data" / ("" if i < 6 else "two"))
    shutil.rmtree(folder / "made")
    (folder / "LEADSET.toml").write_text(CONFIGURATION)
    counts = np.random.default_rng(0).integers(-200, 200, (12, 5000)).astype(np.int16)
    for file, write in (("ecg.dcm", write_dicom), ("hospital/ecg.dcm", write_dicom), ("ecg.xml", write_aecg)):
        (folder / file).parent.mkdir(exist_ok=True)
        write(folder / file, counts, LEADS, 500)
    (folder / "ecg").mkdir()
    np.savetxt(folder / "table.csv", counts[:3].T, fmt="%d", delimiter=",")
    np.save(folder / "x.npy", counts[:3] / 200)
    rows = []
    for i in range(12):
        np.save(folder / "ecg" / f"{i + 1:04d}.npy", np.random.default_rng(i).normal(size=(12, 5000)))
        part = ("train", "train", "valid", "test")[i % 4]
        rows.append({"path": f"ecg/{i + 1:04d}.npy", "dx": ("NORM", "AF")[i // 4 % 2], "fold": part, "part": part})
    (folder / "ecg" / "arrays.json").write_text(json.dumps({"fs": 500, "unit": "mV", "leads": LEADS}))
    with open(folder / "recordings.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    codes = ["{'SR': 0.0, 'NORM': 100.0}", "{'AFIB': 0.0, 'IMI': 100.0}"]
    write_ptbxl(folder / "ptbxl", [ptbxl_row(i, codes[i // 2 % 2], fold=8 + i % 3) for i in range(12)])
    (folder / "model").mkdir()
    write_untrained_entry(folder / "model")
    return folder


@pytest.fixture
def place(prepared, tmp_path, monkeypatch) -> Path:
    """A copy of it, which is the current folder."""
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LEADSET_CONFIG", str(folder / "LEADSET.toml"))
    return folder


def run_command(command: Command) -> None:
    verb, arguments, script = command.verb
    if verb == "simulate":
        shutil.rmtree(arguments[0], ignore_errors=True)
    words = [re.sub(r"\b[A-Z]+\b", lambda word: STANDS_FOR.get(word[0], word[0]), word) for word in arguments]
    status = run_script(verb, ROOT / script, words) if script else run_verb(verb, words, verb)
    assert status == 0, command


def run_python(block: Block, names: dict) -> None:
    exec(compile(block.text.replace("FOLDER", STANDS_FOR["FOLDER"]), f"{block.page}:{block.line}", "exec"), names)


def is_run(step: Command | Block) -> bool:
    """Whether a command or block of code is run here."""
    if isinstance(step, Block):
        return step.language == "python" and not any(word in step.text for word in NOT_RUN_PYTHON)
    text = " ".join(step.words).replace("python -m leadset", "leadset")
    return bool(step.verb) and not any(re.match(pattern, text) for pattern in NOT_RUN)


def steps(page: str) -> list[Command | Block]:
    """What is run of a page, in its order."""
    return sorted(filter(is_run, chain(commands(page), blocks(page))), key=lambda step: step.line)


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)])
def test_what_a_page_says_runs(page: str, place: Path) -> None:
    names: dict = {}
    for block in blocks(page):
        if block.language == "toml" and "[[classes]]" in block.text:
            (place / f"{tomllib.loads(block.text)['name']}.toml").write_text(block.text)
    for step in steps(page):
        run_python(step, names) if isinstance(step, Block) else run_command(step)


def test_what_is_not_run_here_is_in_the_documents_and_run_elsewhere() -> None:
    written = [" ".join(command.words).replace("python -m ", "") for page in PAGES for command in commands(page)]
    python = [block.text for page in PAGES for block in blocks(page) if block.language == "python"]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, text) for text in written)] == []
    assert [word for word in NOT_RUN_PYTHON if not any(word in text for text in python)] == []
    assert [file for file in (*NOT_RUN.values(), *NOT_RUN_PYTHON.values()) if not (HERE / file).is_file()] == []
