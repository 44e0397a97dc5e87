"""Cross-validation: what is held out leaves no trace in training, an interrupted run goes on, answers are complete."""

from __future__ import annotations

import csv
import shutil

import pytest
from configurations import tiny_config
from safetensors.numpy import load_file

from leadset.entry import load_entry
from leadset.recordings import find_recordings
from leadset.simulate.write import write_dataset
from leadset.training.run import train_entry

TINY = tiny_config(
    architectures=("resnet34",), lead_sets=(("I", "II"),),
    presets={"tiny": {"resnet34": {"width": 4, "rate": 100, "seconds": 5.0}}},
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty simulated recordings of two sources."""
    root = tmp_path_factory.mktemp("data")
    list(write_dataset(root / "one", 12, seed=1))
    list(write_dataset(root / "two", 8, seed=2))
    return root


def test_a_run_with_recordings_held_out_is_that_of_a_folder_without_them(folder, tmp_path):
    held_out = [str(path) for path in find_recordings(folder)][3:8]
    train_entry(folder, tmp_path / "held", TINY, held_out)
    rest = tmp_path / "rest"
    shutil.copytree(folder, rest)
    for path in held_out:
        for file in (rest / path[len(str(folder)) + 1 :]).parent.glob(path.rpartition("/")[2][:-3] + "*"):
            file.unlink()
    train_entry(rest, tmp_path / "without", TINY)
    one, other = (load_file(tmp_path / name / "resnet34-2.safetensors") for name in ("held", "without"))
    assert all((one[name] == other[name]).all() for name in one)
    manifests = [load_entry(tmp_path / name).manifest for name in ("held", "without")]
    assert manifests[0].provenance["data"] == manifests[1].provenance["data"]
    assert (manifests[0].prior == manifests[1].prior).all()
    assert (tmp_path / "held" / "split.csv").read_text() == (tmp_path / "without" / "split.csv").read_text()
    with open(tmp_path / "held" / "split.csv") as file:
        assert len(list(csv.DictReader(file))) == 15


def test_nothing_is_left_where_all_is_held_out(folder, tmp_path):
    with pytest.raises(ValueError, match="all of 20 recordings are held out"):
        train_entry(folder, tmp_path, TINY, [str(path) for path in find_recordings(folder)])
