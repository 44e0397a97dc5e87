"""Tuning universal networks on real recordings: what sources say, folds, resumption, and what ships."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from networks import REDUCED, settle

from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEADS
from leadset.models import create_model
from leadset.models.shipped import load_shipped, write_shipped
from leadset.preprocess import Transform
from leadset.simulate.write import write_dataset
from leadset.training.shipped import tuning
from leadset.training.shipped.real_sources import FOLDS, headers_of, load_real_data, targets_of
from leadset.training.shipped.tuning import (
    ALL,
    READOUTS,
    Job,
    Mixture,
    Tuning,
    out_of_fold,
    run,
    ship,
    simulated_bank,
    tune,
)

SPACE = label_space(CHALLENGE)
TINY = Tuning(steps=2, batch_size=8)


@dataclass(frozen=True)
class Stored:
    """What is asked of a recording of a store."""

    path: str
    name: str = ""
    source: str = "georgia"
    codes: tuple[str, ...] = ()


def _known(row: np.ndarray) -> dict[str, float]:
    return {name: value for name, value in zip(SPACE.abbreviations, row.tolist(), strict=True) if value == value}


# --- what sources say -----------------------------------------------------------------------------------------------


@pytest.fixture
def tables(tmp_path):
    for folder in ("ptbxl", "ludb/data", "af_2017"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ptbxl" / "ptbxl_database.csv").write_text(
        "ecg_id,filename_lr,scp_codes\n"
        "1,records100/1_lr,\"{'SR': 0.0, 'NDT': 100.0, 'LVOLT': 0.0}\"\n2,records100/2_lr,\"{'AFIB': 0.0}\"\n"
    )
    (tmp_path / "ludb" / "ludb.csv").write_text(
        "ID,Rhythms,Electric axis of the heart,Extrasystoles\n"
        '7,"Sinus bradycardia\n","Electric axis of the heart: left axis deviation","Ventricular extrasystole: PVC"\n'
    )
    (tmp_path / "af_2017" / "REFERENCE.csv").write_text("A1,N\nA2,A\nA3,O\nA4,~\n")
    return tmp_path


def test_sources_say_what_they_annotate(tables):
    files = ["ptbxl/1_lr", "ptbxl/2_lr", "ludb/data/7", "af_2017/A1", "af_2017/A2", "af_2017/A3"]
    recordings = [Stored(str(tables / file), file.rsplit("/", 1)[1]) for file in files]
    normal, fibrillating, slow, plain, af, other = map(_known, targets_of(tables, recordings, SPACE))
    assert {name for name, value in normal.items() if value} == {"NSR", "TAb"}
    assert {name for name, value in fibrillating.items() if value} == {"AF"}
    assert {name for name, value in slow.items() if value} == {"SB", "LAD", "PVC"}
    assert not {"LQRSV", "LAD", "RAD", "PRWP"} & set(normal)  # read from voltages
    assert not {"TAb", "TInv", "QAb", "LQT"} & set(slow)  # LUDB does not annotate them
    assert plain == {"NSR": 1, "AF": 0, "AFL": 0} and af["AF"] == 1 and af["NSR"] == 0 and other == {"AF": 0}


def test_headers_of_codes_count_as_the_label_space_says(tables):
    one = Stored(str(tables / "challenge/training/cpsc_2018/A1.hea"), source="cpsc_2018", codes=("164884008",))
    found = _known(targets_of(tables, [one], SPACE)[0])
    assert found["PVC"] == 1 and found["NSR"] == 0 and "SB" not in found  # never annotated in CPSC 2018


def test_noisy_recordings_and_missing_sources_are_left_out(tables):
    assert [path.name for path in headers_of(tables, "af_2017")] == ["A1.hea", "A2.hea", "A3.hea"]
    assert [path.name for path in headers_of(tables, "ptbxl")] == ["1_lr.hea", "2_lr.hea"]
    assert headers_of(tables, "challenge") == []


def test_a_folder_without_any_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found none of challenge, ptbxl, ludb, af_2017"):
        load_real_data(tmp_path, tmp_path / "work", [Transform(100)])


# --- tuning ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Fifteen recordings, of which one is there twice."""
    folder = tmp_path_factory.mktemp("data")
    training = folder / "challenge" / "training"
    headers = list(write_dataset(training, 15, seed=3))
    for file in headers[0].parent.glob(f"{headers[0].stem}.*"):
        copied = headers[0].parent / file.name.replace(headers[0].stem, "COPY")
        copied.write_bytes(file.read_bytes())
    header = headers[0].parent / "COPY.hea"
    header.write_text(header.read_text().replace(headers[0].stem, "COPY"))
    return folder, headers[0].stem


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    model = create_model("resnet34", **REDUCED["resnet34"])
    settle(model, x=torch.randn(16, 12, model.input_spec.samples))
    about = {"space": CHALLENGE, "recipe": {"seed": 1}, "recordings": 9, "core_hours": 0.1, "data": "simulation alone"}
    write_shipped(model, SPACE.keys, about, folder)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(tuning, "VARIANTS", {"tuned": TINY})
    monkeypatch.setattr(tuning, "BANK_GROUPS", 1)


def test_every_recording_is_answered_by_a_network_that_did_not_see_it(data, start, tmp_path, monkeypatch):
    folder, twice = data
    real, seen = load_real_data(folder, tmp_path, [Transform(100)]), []
    original = tuning.tune

    def watched(network, start, mixture):
        seen.append(set(np.concatenate(list(mixture.members.values())).tolist()))
        return original(network, start, mixture)

    monkeypatch.setattr(tuning, "tune", watched)
    folds = [*map(str, range(FOLDS)), ALL]
    jobs = list(run([Job("resnet34", "tuned", fold, readouts=READOUTS) for fold in folds], real, start, tmp_path))
    assert [job.fold for job in jobs] == ["0", "1", "2", "3", "4", ALL] and seen[-1] == set(range(16))
    for fold, members in enumerate(seen[:-1]):
        assert members == set(np.flatnonzero(real.folds != fold).tolist())
    first, copy = (next(i for i, name in enumerate(real.names) if name.endswith(end)) for end in (twice, "COPY"))
    assert real.folds[first] == real.folds[copy]
    with np.load(tmp_path / "resnet34-tuned.npz") as kept:
        assert kept["names"].tolist() == real.names
        for readout in READOUTS:
            assert np.isfinite(kept[f"{readout}/2"]).all() and kept[f"{readout}/12"].shape == (16, len(SPACE))
    seen.clear()
    assert len(list(run([Job("resnet34", "tuned", fold) for fold in ("0", ALL)], real, start, tmp_path))) == 2
    assert not seen, "what is there is not done again"
    path = ship("resnet34", "average", tmp_path, tmp_path)
    shipped = load_shipped("resnet34", 2, folder=path.parent).pretrained
    assert shipped["data"] == "simulation, then real recordings" and shipped["real"]["challenge"] == 16
    assert shipped["recipe"] == {"seed": 1} and shipped["tuning"]["steps"] == 2
    assert not json.dumps(shipped).count(str(folder))


def test_out_of_fold_answers_need_all_folds(data, start, tmp_path):
    real = load_real_data(data[0], tmp_path, [Transform(100)])
    list(run([Job("resnet34", "tuned", "2")], real, start, tmp_path))
    assert not (tmp_path / "resnet34-tuned.npz").exists()
    with pytest.raises(FileNotFoundError, match=f"{Job('resnet34', 'tuned', '0').stem}"):
        out_of_fold("resnet34", "tuned", real, tmp_path)


def test_batches_mix_sources_and_are_a_function_of_the_step(data, tmp_path):
    real = load_real_data(data[0], tmp_path, [Transform(100)])
    none = np.zeros(0, dtype=int)
    members = {"challenge": np.arange(16), "ptbxl": none, "ludb": none, "af_2017": np.array([3])}
    spec = create_model("resnet34", **REDUCED["resnet34"]).input_spec
    mixture = Mixture(real, members, simulated_bank(spec.transform), replace(TINY, batch_size=64), spec)
    one, again, other = mixture[4], mixture[4], mixture[5]
    assert torch.equal(one.windows, again.windows) and not torch.equal(one.windows, other.windows)
    assert one.windows.shape == (64, len(LEADS), spec.samples)
    alone = [i for i in range(32, 64) if not one.windows[i, 1:].any()]
    assert alone and any(torch.equal(one.labels[i], torch.from_numpy(real.targets[3])) for i in alone)


def test_readouts_lie_between_first_and_last_weights(data, start, tmp_path):
    real = load_real_data(data[0], tmp_path, [Transform(100)])
    members = dict.fromkeys(("ptbxl", "ludb", "af_2017"), np.zeros(0, int)) | {"challenge": np.arange(16)}
    first = load_shipped("resnet34", folder=start)
    mixture = Mixture(real, members, simulated_bank(first.input_spec.transform), TINY, first.input_spec)
    tuned, losses = tune("resnet34", start, mixture)
    assert len(losses) == 2 and np.isfinite(losses).all()
    before, last = first.state_dict()["fc.weight"], tuned["last"]["fc.weight"]
    assert not torch.equal(before, last)
    torch.testing.assert_close(tuned["half-way"]["fc.weight"], (before + last) / 2)
    away = (tuned["average"]["fc.weight"] - before).norm() / (last - before).norm()
    assert 0 < away < 1.01


def test_a_start_without_weights_is_an_error(data, start, tmp_path):
    shutil.copy(start / "resnet34.safetensors", tmp_path)
    real = load_real_data(data[0], tmp_path, [Transform(100)])
    with pytest.raises(ValueError, match="no weights ship for star: expected one of resnet34"):
        list(run([Job("star", "tuned", "0")], real, tmp_path, tmp_path))


def test_the_weights_that_ship_answer_and_others_where_they_are_asked(data, start, tmp_path):
    real = load_real_data(data[0], tmp_path, [Transform(100)])
    jobs = [Job("resnet34", "tuned", str(fold)) for fold in range(FOLDS)]
    list(run(jobs, real, start, tmp_path))
    assert {key.partition("/")[0] for key in out_of_fold("resnet34", "tuned", real, tmp_path)} == {"half-way"}
    more = [replace(job, readouts=READOUTS) for job in jobs]
    assert not any(job.is_done(tmp_path) for job in more), "their answers are not there"
    list(run(more[:1], real, start, tmp_path))
    assert more[0].is_done(tmp_path) and jobs[0].is_done(tmp_path)
    assert {key.partition("/")[0] for key in out_of_fold("resnet34", "tuned", real, tmp_path)} == {"half-way"}
