"""Lead names of the user's own, from `leadset.toml` to the answers of a trained entry."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from configurations import tiny_config

from leadset.challenge import load_model, run_model
from leadset.cli import main
from leadset.entry import load_entry, parallel
from leadset.entry.manifest import Manifest
from leadset.entry.parallel import predict_all
from leadset.leads import LEADS
from leadset.recordings import find_recordings
from leadset.simulate.write import write_dataset
from leadset.training.run import train_entry

#: Lead I is upside down in the files of that name.
NAMES = {"canal 1": "-I", **{f"canal {i}": lead for i, lead in enumerate(LEADS[1:], 2)}}
TABLE = "[leads]\n" + "".join(f'"{name.title()}" = "{lead}"\n' for name, lead in NAMES.items())
PRESETS = {"tiny": {"resnet34": {"width": 4, "rate": 100}}}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """No configuration but that of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEADSET_CONFIG", raising=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """The same recordings with standard lead names, and with the user's own and lead I upside down."""
    usual, own = tmp_path_factory.mktemp("usual"), tmp_path_factory.mktemp("own")
    for folder in (usual, own):
        list(write_dataset(folder, 24, seed=5, seconds=10.0))
    for header in find_recordings(own):
        text = header.read_text()
        for name, lead in NAMES.items():
            text = re.sub(rf" {lead.strip('-')}$", f" {name.title()}", text, flags=re.MULTILINE)
        header.write_text(text)
        counts = scipy.io.loadmat(header.with_suffix(".mat"))["val"]
        counts[0] *= -1
        scipy.io.savemat(header.with_suffix(".mat"), {"val": counts}, format="4")
    return usual, own


@pytest.fixture(scope="module")
def entries(folders, tmp_path_factory) -> tuple[Path, Path]:
    """An entry that was trained on each of the folders."""
    made = []
    for data, leads in zip(folders, ({}, NAMES), strict=True):
        made.append(tmp_path_factory.mktemp("entry"))
        config = tiny_config(lead_sets=(LEADS,), architectures=("resnet34",), presets=PRESETS, leads=leads)
        train_entry(data, made[-1], config)
    return tuple(made)


def asked_through_run_model(entry: Path, header: Path) -> np.ndarray:
    """Probabilities of one recording, as the organisers' driver gets them."""
    model = load_model(entry, tuple(name.title() for name in NAMES))
    return run_model(model, header.read_text(), scipy.io.loadmat(header.with_suffix(".mat"))["val"])[2]


def test_an_entry_learns_and_answers_by_the_names_without_a_configuration(folders, entries, monkeypatch):
    (usual, own), (usual_entry, own_entry) = map(list, (map(find_recordings, folders), entries))
    kept, plain = Manifest.read(own_entry), Manifest.read(usual_entry)
    assert kept.lead_names == NAMES and plain.lead_names == {}
    assert kept.provenance["data"]["fingerprint"] == plain.provenance["data"]["fingerprint"]
    weights = [(entry / "resnet34-12.safetensors").read_bytes() for entry in entries]
    assert weights[0] == weights[1]
    expected = [answer.probabilities for answer in load_entry(usual_entry).predict(usual)]
    entry = load_entry(own_entry)
    np.testing.assert_array_equal([answer.probabilities for answer in entry.predict(own)], expected)
    np.testing.assert_array_equal([asked_through_run_model(own_entry, header) for header in own], expected)
    monkeypatch.setattr(entry, "predict", lambda headers: iter(headers))  # processes answer all
    np.testing.assert_array_equal([a.probabilities for a in predict_all(entry, own, 2)], expected)


def test_without_the_names_the_recordings_are_unanswered_and_nothing_is_learnt(folders, entries, tmp_path):
    answers = list(load_entry(entries[0]).predict(find_recordings(folders[1])))
    assert all(answer.failed for answer in answers)
    config = tiny_config(lead_sets=(LEADS,), architectures=("resnet34",), presets=PRESETS)
    with pytest.raises(ValueError, match="none of 24 recordings can be read"):
        train_entry(folders[1], tmp_path / "model", config)


def test_names_of_prediction_go_before_those_of_training(folders, entries, monkeypatch):
    own = find_recordings(folders[1])[:4]
    named = load_entry(entries[0], lead_names={name.upper(): lead for name, lead in NAMES.items()})
    expected = [answer.probabilities for answer in load_entry(entries[1]).predict(own)]
    monkeypatch.setattr(parallel, "_AT_A_TIME", 2)
    np.testing.assert_array_equal([a.probabilities for a in predict_all(named, own, 2)], expected)
    other = load_entry(entries[1], lead_names={"canal 1": "I"})
    assert other.lead_names["canal 1"] == "I" and other.lead_names["canal 2"] == "II"


@pytest.mark.parametrize("names", [{"canal 1": "V9"}, {"canal 1": 3}, ["canal 1"], {"canal 1": None}])
def test_an_entry_whose_names_stand_for_no_lead_is_refused(entries, tmp_path, names):
    values = json.loads((entries[0] / "entry.json").read_text())
    del values["lead_names"]  # as entries of 0.1.0
    (tmp_path / "entry.json").write_text(json.dumps(values))
    assert Manifest.read(tmp_path).lead_names == {}
    (tmp_path / "entry.json").write_text(json.dumps({**values, "lead_names": names}))
    with pytest.raises(ValueError, match=r"entry\.json: not an entry of this kit"):
        Manifest.read(tmp_path)


def test_verbs_read_recordings_by_the_configured_names(folders, entries):
    own = folders[1]
    record = str(find_recordings(own)[0])

    def read_by_verbs() -> list:
        main(["doctor", str(own), "-o", "audit.csv"])
        main(["delineate", record, "-o", "marks.csv"])
        main(["extract", "-i", str(own), "-o", "some", "-l", "II", "aVR"])
        main(["predict", record, "--entry", str(entries[0]), "--json", "answer.json"])
        with open("audit.csv", newline="") as audit, open("marks.csv", newline="") as marks:
            leads = [next(csv.DictReader(audit))["leads"], sorted({row["lead"] for row in csv.DictReader(marks)})]
        written = len(list(Path("some").rglob("*.hea"))) if Path("some").exists() else 0
        return [*leads, written, json.loads(Path("answer.json").read_text())[0]["answered"]]

    names, n = [name.title() for name in NAMES], len(find_recordings(own))
    assert read_by_verbs() == [" ".join(names), sorted([*names, "all"]), 0, False]
    Path("leadset.toml").write_text(TABLE)
    assert read_by_verbs() == [" ".join(LEADS), sorted([*LEADS, "all"]), n, True]


def test_anomaly_detectors_read_recordings_by_the_names(folders):
    record = str(find_recordings(folders[1])[0])
    fit = ["anomaly", "fit", str(folders[1]), "detector", "--width", "4", "--steps", "2", "--batch-size", "2"]
    assert main(fit) == 1
    Path("leadset.toml").write_text(TABLE)
    assert main(fit) == 0
    assert main(["anomaly", "localise", "detector", record]) == 0
    assert main(["anomaly", "score", "detector", str(folders[1]), "-o", "named.csv"]) == 0
    Path("leadset.toml").unlink()
    assert main(["anomaly", "score", "detector", str(folders[0]), "-o", "usual.csv"]) == 0
    assert Path("named.csv").read_text() == Path("usual.csv").read_text()
    assert main(["anomaly", "score", "detector", str(folders[1]), "-o", "unnamed.csv"]) == 1
