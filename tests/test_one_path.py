"""One path for training and prediction: the organisers' calling convention gives the same tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
from recordings_on_disk import recordings_in
from untrained_entry import OPTIONS, SPACE

from leadset import create_model
from leadset.challenge import load_model, run_model
from leadset.entry import networks, prediction
from leadset.entry.decision import DecisionRule
from leadset.entry.ensemble import Ensemble
from leadset.entry.manifest import Manifest, Member, TrainedSet
from leadset.leads import LEAD_SETS
from leadset.models import model_entry
from leadset.models.extra_inputs import EXTRA_INPUTS, extra_inputs, extra_shapes
from leadset.preprocess import cut_window, window_starts
from leadset.store.beat_store import build_beats
from leadset.store.packed import build_store
from leadset.training.data import Contexts, beats_keys


def asking_models(leads: tuple[str, ...]) -> list[Member]:
    """A network of every kind of input: each transform, scaling and window, and every extra input."""
    asked = [*OPTIONS.items(), ("resnet34", {}), ("resnet34", {"window": "published"}), ("resunet_lc", {"width": 4})]
    rule, members = DecisionRule(np.full(len(SPACE), 0.5)), []
    for i, (name, options) in enumerate(asked):
        spec = create_model(name, leads, **options).input_spec
        members.append(Member(name, options, spec, f"{i}.safetensors", rule, {}, 1, f"head{i}.safetensors"))
    assert {name for member in members for name in member.spec.extra} == set(EXTRA_INPUTS)
    classifiers = {member.spec.transform for member in members if model_entry(member.architecture).kind == "classifier"}
    assert any(transform.filter != "none" for transform in classifiers)
    return members


def asked_through_run_model(
    folder: Path, members: Sequence[Member], paths: Sequence[Path], leads: tuple[str, ...], monkeypatch
) -> dict[tuple[str, str], tuple]:
    """What each network is asked with, by the name of its weights and header, in the organisers' calling convention."""
    asked: dict[tuple[str, str], tuple] = {}

    def load(_, member: Member, *others):
        def answer(inputs):
            asked[member.weights, str(path)] = inputs[0]
            return networks.NetworkOutputs(np.full((len(inputs), len(SPACE)), 0.5))

        return answer

    monkeypatch.setattr(prediction, "load_member", load)
    weights, rule = np.full(len(members), 1 / len(members)), DecisionRule(np.full(len(SPACE), 0.5))
    trained = TrainedSet(leads, tuple(members), Ensemble(weights, rule))
    Manifest(SPACE.name, SPACE.keys, np.full(len(SPACE), 0.1), (trained,), {}).write(folder)
    entry = load_model(str(folder), leads)
    for path in paths:
        run_model(entry, path.read_text(), scipy.io.loadmat(path.with_suffix(".mat"))["val"])
    return asked


def assert_same_arrays(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_recording_is_one_tensor_in_training_and_in_run_model(recorded, tmp_path, monkeypatch):
    """Training and the organisers' calling convention give bit-identical windows and extra inputs, for every input that
    a model asks for; beats are those of two leads."""
    leads = LEAD_SETS[2]
    paths = recordings_in(recorded)
    members = asking_models(leads)
    keys = {key for member in members for key in beats_keys(member.spec, leads)}
    stores = {
        transform: build_store(paths, transform, tmp_path, n_jobs=1, progress=False)
        for transform in {member.spec.transform for member in members}
    }
    beats = {
        key: build_beats(stores[key[0]], leads, tmp_path, n_jobs=1, progress=False, reliable=key[2]) for key in keys
    }
    first = next(iter(stores.values())).recordings
    asked = asked_through_run_model(tmp_path, members, [Path(r.path) for r in first], leads, monkeypatch)
    assert len(asked) == len(members) * len(first)
    compared, known = 0, {"age": 0, "sex": 0}
    for member in members:
        spec, store = member.spec, stores[member.spec.transform]
        contexts = Contexts(store.recordings, {key[2]: beats[key] for key in beats_keys(spec, leads)})
        for i, stored in enumerate(store.recordings):
            samples, statistics, run_context = asked[member.weights, stored.path]
            context = contexts[i]
            if "reliable_beats" in spec.extra:
                kept, found = (of.beats[True] for of in (context, run_context))
                assert_same_arrays(*((one.at, one.features, one.record) for one in (kept, found)))
            for start in window_starts(stored.n_samples, spec):
                trained, run = (extra_inputs(of, start, spec, len(leads)) for of in (context, run_context))
                assert list(trained) == list(extra_shapes(spec, len(leads)))
                assert_same_arrays(trained.values(), run.values())
                for name in set(known) & set(trained):
                    known[name] += int(trained[name][1])
                rows = range(12)
                assert_same_arrays(
                    cut_window(*store[i], rows, start, spec), cut_window(samples, statistics, rows, start, spec)
                )
                compared += 1
    assert compared >= len(members) * len(first) >= len(members) * (len(paths) - 3)
    assert min(known.values()) > len(first) // 2
