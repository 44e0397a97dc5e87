"""Copies as WFDB keep the names of their sources, and none replaces another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadset.cli import main
from leadset.recordings import read_recording
from leadset.recordings.convert import copies_of, wfdb_name


@pytest.mark.parametrize(
    ("sources", "copies"),
    [
        (("é.edf", "ü.edf"), ("_", "_-2")),
        (("a b.edf", "a_b.edf"), ("a_b-2", "a_b")),  # a name that can stay does
        (("x.1.edf", "x_1-2.edf", "x_1.edf"), ("x_1-3", "x_1-2", "x_1")),
        (("x.edf", "x.npy", "x.scp"), ("x", "x-2", "x-3")),
        (("in/x.edf", "more/x.edf"), ("x", "x-2")),
    ],
)
def test_every_source_has_a_copy_of_its_own(sources, copies):
    folders, names = dict.fromkeys(map(Path, sources), Path("out")), [Path(f"out/{copy}.hea") for copy in copies]
    for some in (folders, dict(reversed(folders.items()))):
        found = copies_of(some)
        assert [found[source] for source in folders] == names
    apart = {source: Path(str(i)) for i, source in enumerate(folders)}
    assert [copy.stem for copy in copies_of(apart).values()] == [wfdb_name(source.stem) for source in folders]


def test_names_that_wfdb_does_not_have_lose_no_recording(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"in/李四.npz": 300, "in/张三.npz": 200, "in/own.npz": 100}
    Path("in").mkdir()
    for name, fs in names.items():
        np.savez(name, signal=np.ones((2, 600)), fs=fs, unit="mV", leads=["I", "II"])
    said = ["in/张三.npz: written as out/__.hea", "in/李四.npz: written as out/__-2.hea"]
    for _ in range(2):
        assert main(["convert", "in", "in/own.npz", "out"]) == 0
        out, error = capsys.readouterr()
        assert "3 of 3 recordings written" in out and error.splitlines() == said
        rates = {path.stem: read_recording(path).fs for path in Path("out").glob("*.hea")}
        assert rates == {"__": 200, "__-2": 300, "own": 100}
