"""Compatibility: model folders of 0.1.0, the same answers again, and answers on another number of threads.

`benchmarks/compat.py` runs the core part of the suite with the oldest declared versions and on other Pythons.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from leadset.challenge import test_entry as answer_folder
from leadset.entry import load_entry
from leadset.entry.manifest import Manifest
from leadset.leads import LEADS
from leadset.recordings import find_recordings
from leadset.scoring.outputs import read_outputs
from leadset.simulate.write import write_dataset

#: A model folder that 0.1.0 wrote, recordings of two leads, and what 0.1.0 answered about them.
OLD = Path(__file__).parent / "fixtures" / "entry_0.1.0"
# Probabilities of one network, recording and machine, on another number of threads.
CLOSE = 1e-5


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("simulated")
    list(write_dataset(folder, 3, seed=2))
    return find_recordings(folder)


def test_a_model_folder_of_0_1_0_answers_as_it_did(tmp_path):
    assert Manifest.read(OLD / "model").provenance["versions"]["leadset"] == "0.1.0"
    report = answer_folder(OLD / "model", OLD / "data", tmp_path)
    assert (report.written, report.failures) == (2, [])
    space = load_entry(OLD / "model").space
    names = sorted(path.name for path in (OLD / "outputs").iterdir())
    old, new = (read_outputs([folder / name for name in names], space) for folder in (OLD / "outputs", tmp_path))
    np.testing.assert_array_equal(new.decisions, old.decisions)
    np.testing.assert_allclose(new.scalars, old.scalars, atol=1e-6)


def test_answers_are_the_same_bytes_again(tmp_path):
    for name in ("one", "two"):
        answer_folder(OLD / "model", OLD / "data", tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        with open(path) as file:
            assert len(list(csv.reader(file))) == 4


def test_answers_on_two_threads_are_close_to_those_on_one(simulated):
    """Sums are taken in another order, so that the last bits may differ."""
    entry = load_entry(device="cpu")
    trained = entry.trained_set(LEADS)
    inputs = [entry.prepare(path) for path in simulated]
    for member in entry.asked(trained):
        predictor = entry.predictor(trained, member)
        one, two = (
            replace(predictor, threads=threads)([one.input_of(member.spec) for one in inputs]).probabilities
            for threads in (1, 2)
        )
        np.testing.assert_allclose(two, one, atol=CLOSE)
    assert torch.get_num_threads() > 0
