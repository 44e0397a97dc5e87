"""Predicting and scoring folders in which nearly everything is wrong: no recording ends a run, each is counted."""

from __future__ import annotations

import os

import numpy as np
import pytest
from files_on_disk import header_text, make_counts, mat4_bytes, write_recording

from leadset.cli import run_script
from leadset.simulate import simulate

GOOD = ("good0", "good1")
pytestmark = pytest.mark.filterwarnings("ignore:.*not read")  # of the pipe


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small entry."""
    pytest.importorskip("ecgdatakit", reason="the formats extra is not installed")
    from fuzz_targets import TARGETS

    folder = tmp_path_factory.mktemp("model")
    for name, content in TARGETS["entry"].seeds()[0].items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def data(tmp_path):
    """Two good recordings among damaged ones, things that are no files, and names that are no text."""
    folder = tmp_path / "data"
    for name, signal in zip(GOOD, simulate(2, seed=8).signals, strict=True):
        write_recording(folder, name, np.rint(signal[:, :2000] * 1000).astype(np.int16))
    text = header_text("x", n_samples=1000)
    bad = {
        "empty": (b"", b""), "noise": (os.urandom(900), os.urandom(900)), "stump": (text.encode(), b"abc"),
        "zeros": (b"\0" * 4000, b"\0" * 4000), "flat": (text.encode(), mat4_bytes(np.zeros((12, 1000), np.int16))),
        "endless": (b"endless 12 500 999999999999\n" * 5000, b""), "outside": (b"x 1 500 9\n/etc/passwd 16\n", b""),
        "itself": (b"itself/1 1 500 1000\nitself 1000\n", b""),
    }  # fmt: skip
    for name, (header, signal) in bad.items():
        (folder / f"{name}.hea").write_bytes(header.replace(b"x.mat", f"{name}.mat".encode()))
        (folder / f"{name}.mat").write_bytes(signal)
    (folder / "alone.hea").write_text(text)
    (folder / "dangling.hea").symlink_to(folder / "nowhere")
    (folder / "round").symlink_to(folder)
    (folder / "folder.hea").mkdir()
    os.mkfifo(folder / "pipe.edf")
    os.mkfifo(folder / "pipe.hea")
    write_recording(folder, "text", make_counts(12, 1200)).rename(folder / "not\udcfftext.hea")
    (folder / "two\nlines.hea").write_bytes(b"neither name nor leads")
    return folder


def test_recordings_that_are_damaged_are_answered_and_counted(model, data, tmp_path, capfd):
    outputs = tmp_path / "outputs"
    assert run_script("predict", "test_model.py", [str(model), str(data), str(outputs), "--details"]) == 0
    said = capfd.readouterr()
    written = {path.stem for path in outputs.glob("*.csv")} - {"details"}
    headers = {path.stem for path in data.glob("*.hea") if not path.is_dir()}
    assert written == headers and {*GOOD, "noise", "dangling", "pipe", "not\udcfftext", "two\nlines"} <= written
    assert f"{len(written)} answers written to" in said.out
    failed = {line.split(":")[0].strip() for line in said.err.splitlines() if line.startswith("  ")}
    assert {"empty", "noise", "stump", "zeros", "endless", "outside", "alone", "dangling", "pipe"} <= failed
    assert not failed & set(GOOD)
    assert (outputs / "two\nlines.csv").read_text().startswith("#two lines\n")
    assert run_script("predict", "test_model.py", [str(model), str(data), str(outputs), "--strict"]) == 1
    # What one of them is damaged by changes no other's answer.
    clean = tmp_path / "clean"
    for name in GOOD:
        for ending in (".hea", ".mat"):
            clean.mkdir(exist_ok=True)
            (clean / f"{name}{ending}").write_bytes((data / f"{name}{ending}").read_bytes())
    run_script("predict", "test_model.py", [str(model), str(clean), str(tmp_path / "alone")])
    assert all((outputs / f"{n}.csv").read_bytes() == (tmp_path / "alone" / f"{n}.csv").read_bytes() for n in GOOD)


def test_outputs_that_are_damaged_are_scored_as_empty_and_counted(model, data, tmp_path, capfd):
    outputs = tmp_path / "outputs"
    run_script("predict", "test_model.py", [str(model), str(data), str(outputs)])
    capfd.readouterr()
    damage = {"stump": b"", "noise": os.urandom(500), "flat": b"#flat\n426783006\n1,1\n", "zeros": b"\0" * 100,
              "empty": b"\n\n\n", "alone": b"#x\n" + b"1," * 100_000}  # fmt: skip
    for name, content in damage.items():
        (outputs / f"{name}.csv").write_bytes(content)
    os.mkfifo(outputs / "more.csv")
    scores = tmp_path / "scores.csv"
    assert run_script("evaluate", "evaluate_model.py", [str(data), str(outputs), str(scores)]) == 0
    said = capfd.readouterr().err
    assert scores.read_text().startswith("AUROC") and f"{len(damage)} of " in said and "2 headers are no files" in said
    (outputs / "good1.csv").unlink()
    (outputs / "good1.csv").mkdir()
    assert run_script("evaluate", "evaluate_model.py", [str(data), str(outputs), str(scores)]) == 1
    assert "good1.hea: found no output file, expected" in capfd.readouterr().err
