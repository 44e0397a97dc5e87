"""Folders of detectors from anywhere, and recordings of any name: refused with a message, or told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording
from networks import REDUCED
from reconstructions import same_reference
from safetensors.numpy import load_file, save_file

from leadset.anomaly.detector import ARCHITECTURE, REFERENCE_FILE, WEIGHTS_FILE, Detector
from leadset.anomaly.reference import Reference
from leadset.cli import main
from leadset.leads import LEADS
from leadset.models import create_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An untrained detector on two leads, whose normal recordings are noise."""
    detector = Detector(create_model(ARCHITECTURE, 2, **REDUCED[ARCHITECTURE]))
    rng = np.random.default_rng(0)
    scores = [detector.score(rng.normal(size=(12, 5000)), 500, LEADS) for _ in range(3)]
    detector.reference = Reference.of(scores, "noise", detector.leads)
    detector.save(tmp_path / "detector")
    return tmp_path / "detector"


def double(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = arrays[name].astype(np.float64)


def not_finite(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = np.full_like(arrays[name], np.nan)


def nothing(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = np.zeros_like(arrays[name])


@pytest.mark.parametrize(("file", "part", "spoil"), [
    (WEIGHTS_FILE, "weight", double),
    (WEIGHTS_FILE, "running_var", not_finite),
    (REFERENCE_FILE, "quantiles.", not_finite),
    (REFERENCE_FILE, "spread.", nothing),
    (REFERENCE_FILE, "baseline.", nothing),
    (REFERENCE_FILE, "family.", nothing),
])  # fmt: skip
def test_altered_numbers_are_refused(folder: Path, file: str, part: str, spoil) -> None:
    assert Detector.load(folder).leads == ("I", "II")
    arrays = load_file(folder / file)
    name = next(name for name in arrays if part in name)
    spoil(arrays, name)
    save_file(arrays, folder / file)
    with pytest.raises(ValueError, match=f"{file}: .*{name}"):
        Detector.load(folder)


def test_a_number_of_recordings_that_is_none_is_refused(folder: Path) -> None:
    description = folder / "detector.json"
    description.write_text(description.read_text().replace('"n": 3', '"n": Infinity'))
    with pytest.raises(ValueError, match="not a description"):
        Detector.load(folder)


def test_detectors_of_the_first_format_are_read(folder: Path) -> None:
    """Their descriptions name no files, and their references other names of the same numbers."""
    now = Detector.load(folder)
    content = json.loads((folder / "detector.json").read_text())
    described = content.pop("detector")
    reference = {name: described["reference"][name] for name in ("n", "part")}
    content |= {"format": 1, "scoring": described["scoring"], "reference": reference}
    del content["weights"]
    (folder / "detector.json").write_text(json.dumps(content))
    arrays = load_file(folder / REFERENCE_FILE)
    before = {name.replace("baseline.", "usual.").replace(" outlier", " odd"): array for name, array in arrays.items()}
    assert before.keys() != arrays.keys()
    save_file(before, folder / REFERENCE_FILE)
    assert same_reference(Detector.load(folder).reference, now.reference)


def test_detectors_of_a_later_format_are_refused(folder: Path) -> None:
    description = folder / "detector.json"
    description.write_text(description.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(ValueError, match="format 3 of cross_restoration, expected format 1 or 2"):
        Detector.load(folder)


@pytest.mark.parametrize("name", ["../reference.safetensors", "reference.pkl", "/etc/passwd"])
def test_references_outside_the_folder_are_refused(folder: Path, name: str) -> None:
    description = folder / "detector.json"
    description.write_text(description.read_text().replace(REFERENCE_FILE, name))
    with pytest.raises(ValueError, match="inside the folder"):
        Detector.load(folder)


def test_names_that_differ_behind_a_dot_are_told_apart(folder: Path, tmp_path: Path) -> None:
    for i, name in enumerate(("A.1", "A.2")):
        path = write_recording(tmp_path, name, make_counts(n_samples=5000, seed=i))
        assert main(["anomaly", "localise", str(folder), str(path), "-o", str(tmp_path / "maps")]) == 0
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"A.1.csv", "A.1.npz", "A.2.csv", "A.2.npz"}
