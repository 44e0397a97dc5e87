"""Weights from anywhere are checked in one place: of entries, of detectors, of unfinished trainings."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import REDUCED
from safetensors.torch import load_file, save_file

from leadset import load_entry
from leadset.classes import label_space
from leadset.entry.decision import DecisionRule
from leadset.entry.ensemble import Ensemble
from leadset.entry.manifest import Manifest, Member, TrainedSet
from leadset.leads import LEAD_SETS
from leadset.models import create_model, create_network, list_models
from leadset.training.checkpoint import load_state, save_state
from leadset.training.trainer import build_optimizer
from leadset.utils.weights import load_network, load_weights, save_weights

SPACE = label_space("challenge2021")
SMALL = {"width": 4, "rate": 100}


def network(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return create_model("resnet34", 2, **(SMALL | options))


def change(path: Path, name: str, alter) -> None:
    tensors = load_file(path)
    tensors[name] = alter(tensors[name])
    save_file(tensors, path)


def spoil(tensor: torch.Tensor) -> torch.Tensor:
    spoilt = tensor.clone()
    spoilt.view(-1)[0] = torch.nan
    return spoilt


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """An entry of one untrained network."""
    model = network()
    save_weights(tmp_path / "resnet34.safetensors", model)
    rule = DecisionRule(np.full(len(SPACE), 0.5))
    member = Member("resnet34", SMALL, model.input_spec, "resnet34.safetensors", rule, {}, 1)
    trained = TrainedSet(LEAD_SETS[2], (member,), Ensemble(np.ones(1), rule))
    Manifest(SPACE.name, SPACE.keys, np.full(len(SPACE), 0.1), (trained,), {}).write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("ending", ["weight", "running_var"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_entry_whose_weights_are_not_finite_is_refused(entry, ending, value):
    load_entry(entry).load(LEAD_SETS[2])
    path = entry / "resnet34.safetensors"
    name = next(name for name in load_file(path) if name.endswith(ending))
    change(path, name, lambda tensor: torch.full_like(tensor, value))
    with pytest.raises(ValueError, match=f"resnet34.safetensors: {name} .*finite"):
        load_entry(entry).load(LEAD_SETS[2])


@pytest.mark.parametrize(("alter", "message"), [
    (lambda tensor: tensor.double(), "float64"),
    (lambda tensor: tensor[:-1].clone(), "expected"),
    (spoil, "finite"),
])  # fmt: skip
def test_altered_weights_are_named(tmp_path, alter, message):
    path, model = tmp_path / "w.safetensors", network()
    save_weights(path, model)
    name = next(name for name in model.state_dict() if name.endswith("weight"))
    change(path, name, alter)
    with pytest.raises(ValueError, match=f"w.safetensors: {name} .*{message}"):
        load_weights(path, model)


def test_missing_and_foreign_weights_are_named(tmp_path):
    path, model = tmp_path / "w.safetensors", network()
    tensors = dict(model.state_dict())
    first = next(iter(tensors))
    save_file({f"{name}x" if name == first else name: tensor for name, tensor in tensors.items()}, path)
    with pytest.raises(ValueError, match=first):
        load_weights(path, model)


def test_a_description_of_a_huge_network_takes_no_memory(tmp_path):
    """The network is compared with its file before it is built."""
    path = tmp_path / "w.safetensors"
    save_weights(path, network())
    with pytest.raises(ValueError, match="expected"):
        load_network(path, lambda: create_model("resnet34", 2, width=200_000, rate=100))


def test_a_header_that_promises_more_than_the_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        load_weights(path, network())


@pytest.mark.parametrize("name", list_models())
def test_every_network_comes_back_as_it_was_saved(tmp_path, name):
    def build() -> torch.nn.Module:
        return create_network(name, LEAD_SETS[2], len(SPACE), REDUCED[name])

    torch.manual_seed(1)
    model = build()
    save_weights(tmp_path / "w.safetensors", model)
    loaded = load_network(tmp_path / "w.safetensors", build)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key]), key


def spoilt_states():
    def drop(path: Path) -> None:
        tensors = load_file(path)
        tensors.pop("random")
        rewrite(path, tensors)

    def poison(path: Path) -> None:
        tensors = load_file(path)
        name = next(name for name in tensors if name.startswith("model.") and name.endswith("weight"))
        rewrite(path, tensors | {name: spoil(tensors[name])})

    def shrink(path: Path) -> None:
        tensors = load_file(path)
        name = next(name for name in tensors if name.startswith("best."))
        rewrite(path, tensors | {name: tensors[name].flatten()[:1].clone()})

    def rewrite(path: Path, tensors: dict) -> None:
        save_file(tensors, path, metadata={"progress": json.dumps({"step": 3, "steps": 9})})

    return [drop, poison, shrink, lambda path: path.write_bytes(path.read_bytes()[:-20])]


@pytest.mark.parametrize("damage", spoilt_states())
def test_damaged_states_change_nothing(tmp_path, damage):
    path, model = tmp_path / "s.safetensors", network()
    optimizer = build_optimizer(model, 0.01)
    best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_state(path, model, optimizer, best, {"step": 3, "steps": 9})
    whole = tmp_path / "whole.safetensors"
    shutil.copy(path, whole)
    assert load_state(whole, network(), optimizer, 9)[1]["step"] == 3
    assert load_state(whole, network(), optimizer, 10) is None, "another plan"
    damage(path)
    other = network()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    assert load_state(path, other, build_optimizer(other, 0.01), 9) is None
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in before.items())
