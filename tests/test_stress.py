"""The stress test: entries that do as they must pass, and each fault is found by its check."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import stress as stress_of_both

from leadset.cli import main
from leadset.stress import suite
from leadset.stress.bench import DRIVERS, HELPER, ORGANISERS
from leadset.stress.checks import surroundings
from leadset.stress.process import run_program
from leadset.stress.recordings import HeaderText, copy_recording, simulate_flat
from leadset.stress.registry import list_checks
from leadset.stress.suite import check_entry, own_entry

ROOT = Path(__file__).parents[1]
# Answers with the class shares of the nearest of all training recordings, by the mean shape of their leads.
TEAM_CODE = """
import json, os
import numpy as np
from helper_code import find_challenge_files, get_labels, load_header, load_recording


def features(recording):
    x = scaled(recording)
    shape = np.sort(x, axis=1)[:, :: max(1, x.shape[1] // 20)][:, :20]
    steep = np.abs(x[:, 10:] - x[:, :-10])
    beats = (np.diff((steep > 0.5 * steep.max(1, keepdims=True)).astype(int), axis=1) > 0).sum(1)
    return np.concatenate([0.3 * shape.ravel(), np.repeat(np.median(beats) / 3, 10)])


def scaled(recording):
    return (recording - recording.mean(1, keepdims=True)) / (recording.std(1, keepdims=True) + 1e-9)


def training_code(data, model):
    headers, recordings = find_challenge_files(data)
    rows = [features(load_recording(file)).tolist() for file in recordings]
    labels = [get_labels(load_header(file)) for file in headers]
    with open(os.path.join(model, "model.json"), "w") as file:
        json.dump([rows, labels], file)


def load_model(model, leads):
    with open(os.path.join(model, "model.json")) as file:
        return json.load(file)


def run_model(model, header, recording):
    rows, labels = np.array(model[0]), model[1]
    classes = sorted({code for of_one in labels for code in of_one})
    x = features(recording)
    if len(x) != rows.shape[1]:
        x = np.zeros(rows.shape[1])
    near = np.argsort(((rows - x) ** 2).sum(1))[:9]
    shares = [float(np.mean([code in labels[i] for i in near])) for code in classes]
    return classes, [int(share > 0.5) for share in shares], shares
"""


def write_entry(folder: Path, *changes: tuple[str, str]) -> Path:
    """An entry in whose code some words are replaced."""
    folder.mkdir()
    code = TEAM_CODE
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    (folder / "team_code.py").write_text(code)
    for name in (*DRIVERS, HELPER):
        shutil.copy(ORGANISERS / name, folder)
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    simulate_flat(folder, 70, 8)
    return folder


def stress(tmp_path: Path, entry: Path, recordings: Path, only: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit status, and the rows of the table by check."""
    table = tmp_path / "stress.csv"
    words = ["stress", "--entry", entry, "--data", recordings, "--only", only, "--csv", table]
    status = main([str(word) for word in [*words, "--html", tmp_path / "stress.html"]])
    with open(table) as file:
        return status, {row["check"]: row for row in csv.DictReader(file)}


def test_an_entry_that_does_as_it_must_passes(tmp_path, recordings, capsys):
    only = "drivers,again,diagnoses_hidden,ages,no_signal,random_labels,other_folder,no_network,locales,paths"
    status, rows = stress(tmp_path, write_entry(tmp_path / "entry"), recordings, only)
    assert list(rows) == [check.name for check in list_checks(only.split(","))]
    assert {row["result"] for row in rows.values()} == {"pass"}, rows
    assert status == 0
    assert "11 pass" in capsys.readouterr().out
    assert float(rows["base"]["memory_mb"]) > 10 and float(rows["base"]["seconds"]) > 0
    assert rows["paths"]["remark"] == "same bytes as base"
    page = (tmp_path / "stress.html").read_text()
    assert "random_labels" in page and str(tmp_path / "entry") in page


@pytest.mark.parametrize(("only", "old", "new", "remark"), [
    ("ages", "x = features(recording)", "x = features(recording) * int(header.split('#Age: ')[1].split()[0])",
     "an empty answer"),
    ("no_signal", "    near =", "    x = x + (float('nan') if recording.std(1).min() == 0 else 0)\n"
     "    if np.isnan(x).any(): return classes, [0] * len(classes), [x[0]] * len(classes)\n    near =",
     "probabilities from nan to nan"),
    ("diagnoses_hidden", "[int(share > 0.5) for share in shares]", "[int(code in header) for code in classes]",
     "answers differ"),
    ("random_labels", "get_labels(load_header(file)) for file in headers", "[str(i % 2), '426783006']\n"
     "              for i in range(len(headers))", "base learnt too little"),
])  # fmt: skip
def test_what_is_wrong_is_found(tmp_path, recordings, only, old, new, remark):
    status, rows = stress(tmp_path, write_entry(tmp_path / "entry", (old, new)), recordings, only)
    row = rows["base"] if rows["base"]["result"] == "fail" else rows[only]
    assert row["result"] != "pass", row
    assert remark in row["remark"], row
    assert status == (row["result"] == "fail")


@pytest.mark.parametrize("allowed", [True, False], ids=["unshare", "module"])
def test_an_entry_that_needs_the_network_is_found(tmp_path, recordings, monkeypatch, allowed):
    """Whether this machine lets the network be taken away or not."""
    if not allowed:
        monkeypatch.setattr(surroundings, "_works", lambda *command: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"    import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 9).close()\n"
        entry = write_entry(tmp_path / "entry", ("    headers, recordings", f"{connect}    headers, recordings"))
        status, rows = stress(tmp_path, entry, recordings, "no_network")
    assert (status, rows["base"]["result"], rows["no_network"]["result"]) == (1, "pass", "fail")
    assert "train_model.py ended with status 1" in rows["no_network"]["remark"]
    assert ("no network in this test" in rows["no_network"]["remark"]) >= (not allowed)


def test_an_entry_that_minds_a_decimal_comma_is_found(tmp_path, recordings):
    minds = ("shares = [float(np.mean(", "shares = [float(__import__('locale').format_string('%.17g', np.mean(")
    tail = ("for i in near])) for code", "for i in near]))) for code")
    status, rows = stress(tmp_path, write_entry(tmp_path / "entry", minds, tail), recordings, "locales")
    if "none can be made" in rows["locales"]["remark"]:
        pytest.skip("no locale with a decimal comma here, and no localedef that makes one")
    assert (status, rows["base"]["result"], rows["locales"]["result"]) == (1, "pass", "fail"), rows
    assert "an empty answer" in rows["locales"]["remark"]


def test_an_entry_that_has_learnt_before_is_found_by_random_labels(tmp_path, recordings):
    """It learns from headers that lie elsewhere instead of those that it is given."""
    true = f"get_labels(load_header(os.path.join({str(recordings)!r}, os.path.basename(file)))) for file in headers"
    entry = write_entry(tmp_path / "entry", ("get_labels(load_header(file)) for file in headers", true))
    status, rows = stress(tmp_path, entry, recordings, "random_labels")
    assert (status, rows["random_labels"]["result"]) == (1, "fail")
    assert "by chance up to" in rows["random_labels"]["remark"]


def test_the_example_of_the_benchmark_is_an_entry(tmp_path, recordings):
    status, rows = stress(tmp_path, stress_of_both.assembled(tmp_path / "entry"), recordings, "base")
    assert (status, rows["base"]["result"]) == (0, "pass"), rows


def test_wrong_folders_are_refused(tmp_path, recordings, capsys):
    assert main(["stress", "--entry", str(tmp_path)]) == 1
    assert "train_model.py: no such file, expected an entry" in capsys.readouterr().err
    assert main(["stress", "--only", "dance"]) == 1
    assert "found no check 'dance', expected some of base" in capsys.readouterr().err
    assert main(["stress", "--work", str(recordings)]) == 1
    assert main(["stress", "--data", str(tmp_path)]) == 1
    assert "no recording in it" in capsys.readouterr().err


def test_list_names_every_check(capsys):
    assert main(["stress", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [c.name for c in list_checks()]


def test_the_kit_is_the_default_entry(tmp_path):
    folder, environment = own_entry(tmp_path)
    assert folder == ROOT
    assert Path(environment["LEADSET_CONFIG"]).is_file()


def test_an_installed_package_makes_an_entry_of_itself(tmp_path, monkeypatch):
    """Where there is no repository around the package."""
    monkeypatch.setattr(suite.leadset, "__file__", str(tmp_path / "site/leadset/__init__.py"))
    folder, environment = own_entry(tmp_path)
    assert folder == check_entry(tmp_path / "entry")
    code = "import team_code, helper_code; print(team_code.training_code.__module__)"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.strip() == "leadset.challenge"


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    ended = run_program([sys.executable, "-c", code], tmp_path, os.environ, 0.5, tmp_path / "log")
    assert ended.status < 0 and ended.seconds < 20


def test_headers_are_altered_in_both_dialects(tmp_path):
    for dialect, text in {"2021": "#Age: 74\n#Dx: 1,2\n", "today": "# Age: 74\n# Dx: 1,2\n"}.items():
        path = tmp_path / f"{dialect}.hea"
        path.write_text(f"{dialect}.mat 1 500 10\n{dialect}.mat 16+24 1000/mV 16 0 1 2 0 I\n{text}")
        path.with_suffix(".mat").write_bytes(b"")
        header = HeaderText.read(path)
        assert header.comment("Dx") == "1,2"
        assert header.with_comment("Age", "5").comment("Age") == "5"
        assert "Age" not in header.with_comment("Age", None).text
        assert "0/mV 16 0" in header.with_signal_field(2, "0/mV").text
        copy = copy_recording(path, tmp_path / "out", "B1")
        assert copy.read_text().startswith("B1 1 500") and "\nB1.mat 16+24" in copy.read_text()
