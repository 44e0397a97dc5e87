"""Recordings of one patient stay on one side of a split, in whatever form they come."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.signal import resample_poly

from leadset.classes import label_space
from leadset.leads import LEADS
from leadset.preprocess import Transform
from leadset.recordings import parse_header
from leadset.recordings.writer import write_recording
from leadset.simulate import simulate
from leadset.store.groups import patient_groups, related_groups
from leadset.store.packed import build_store
from leadset.training.data import Preparation, Split, load_training_data

N, GAIN = 12, 1000.0


def write(path, signal, fs, comments=()):
    lines = [f"{path.stem} 12 {fs} {signal.shape[1]}"]
    lines += [f"{path.stem}.mat 16+24 {GAIN:g}/mV 16 0 0 0 0 {lead}" for lead in LEADS]
    header = parse_header("\n".join([*lines, "# Dx: 426783006", *(f"# {comment}" for comment in comments)]), path)
    write_recording(path, header, np.rint(np.asarray(signal) * GAIN).astype(np.int16))


@pytest.fixture(scope="module")
def signals():
    return simulate(N, seed=3, fs=500).signals


@pytest.fixture
def both_rates(tmp_path, signals):
    """Each recording at 500 and at 100 Hz, in folders as PTB-XL has them."""
    for i, signal in enumerate(signals):
        write(tmp_path / f"records500/{i:05d}_hr.hea", signal, 500)
        write(tmp_path / f"records100/{i:05d}_lr.hea", resample_poly(signal, 1, 5, axis=1), 100)
    return tmp_path


def test_related_groups_join_through_any_key():
    groups = related_groups(["a", "b", "a", "c", "d"], [None, "p", None, "p", None])
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]
    assert len(set(groups)) == 3


def test_a_recording_at_two_rates_is_on_one_side_of_the_split(both_rates, tmp_path):
    space = label_space("challenge2021")
    preparation = Preparation([Transform(250)], tmp_path / "cache", workers=1)
    data = load_training_data(both_rates, space, preparation, Split(0.3, seed=0))
    data.write_split(tmp_path / "split.csv")
    with open(tmp_path / "split.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    by_group = {}
    for row in rows:
        by_group.setdefault(row["group"], []).append(row)
    assert {len(group) for group in by_group.values()} == {2}
    for one, other in by_group.values():
        assert one["recording"][:5] == other["recording"][:5]
        assert one["part"] == other["part"]


def test_groups_follow_patients_of_headers_and_of_tables(tmp_path, signals):
    for i, signal in enumerate(signals[:6]):
        patient = [f"<subject_id>: {i % 2}"] if i < 4 else []
        write(tmp_path / f"r{i}.hea", signal, 500, patient)
    (tmp_path / "patients.csv").write_text("record,patient_id\nr4,7\nr5,7.0\n")
    store = build_store(sorted(tmp_path.glob("*.hea")), Transform(100), tmp_path / "cache", 1, progress=False)
    groups = patient_groups(store, tmp_path)
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]
    assert groups[4] == groups[5]
    assert len(set(groups)) == 3
