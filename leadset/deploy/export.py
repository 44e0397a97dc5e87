"""The networks of a lead set as one ONNX model: from scaled windows to the decision of the ensemble."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leadset.deploy.about import KEY, About
from leadset.deploy.convolutions import raise_convolutions
from leadset.deploy.quantise import entry_in_8_bits
from leadset.deploy.runtime import SUFFIX
from leadset.deploy.transposed import replace_transposed
from leadset.entry.manifest import Member, TrainedSet
from leadset.entry.prediction import Entry
from leadset.leads import lead_set_name, resolve_leads
from leadset.models import list_models
from leadset.models.extra_inputs import missing_inputs
from leadset.preprocess import InputSpec
from leadset.recordings import Recording
from leadset.utils.files import write_atomically
from leadset.utils.probabilities import LEAST

# Windows and recordings of the example that is traced; any number of either can be asked later.
_WINDOWS, _RECORDINGS = 3, 2
_NO_CLASSES = "a reconstruction model: its scores are computed outside of the network, from the delineated beats"
_NO_NETWORK = "a classical model, which is no network"


# Rounds in which the label sets of highest expected score are found: two or three are enough for nearly all.
_ROUNDS = 8


class EntryGraph(nn.Module):
    """Classifiers with their ensemble: mean over windows, weighted sum, calibration, thresholds.

    Args:
        models: the networks.
        groups: of each network, which group of inputs it takes.
        extras: of each network, its extra inputs.
        trained: the lead set, without detectors.
    """

    def __init__(
        self, models: Sequence[nn.Module], groups: Sequence[int], extras: Sequence[Sequence[str]], trained: TrainedSet
    ) -> None:
        super().__init__()
        self.models, self.groups, self.extras = nn.ModuleList(models), list(groups), [list(e) for e in extras]
        self.weights = trained.ensemble.weights.tolist()
        rule, calibration = trained.ensemble.rule, trained.ensemble.calibration
        self.register_buffer("thresholds", torch.tensor(rule.thresholds, dtype=torch.float32))
        self.rewarded = rule.rewards is not None
        if rule.rewards is not None:
            self.register_buffer("rewards", torch.tensor(rule.rewards, dtype=torch.float32))
        self.calibrated = calibration is not None
        if calibration is not None:
            self.register_buffer("slopes", torch.tensor(calibration.slopes, dtype=torch.float32))
            self.register_buffer("intercepts", torch.tensor(calibration.intercepts, dtype=torch.float32))

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Inputs as `leadset.deploy.about.NOTES` says to joint probabilities, decisions, and each network's own."""
        own = []
        for model, group, extras in zip(self.models, self.groups, self.extras, strict=True):
            extra = {name: inputs[f"{name}_{group}"] for name in extras}
            logits = model(inputs[f"windows_{group}"], inputs[f"mask_{group}"], **extra)
            own.append(inputs[f"share_{group}"] @ torch.sigmoid(logits))
        joint = sum(weight * p for weight, p in zip(self.weights, own, strict=True))
        if self.calibrated:
            inside = joint.double().clamp(LEAST, 1 - LEAST)
            log_odds = (inside.log() - (1 - inside).log()).float()
            joint = torch.sigmoid(self.slopes * log_odds + self.intercepts)
        return joint, self._best_sets(joint) if self.rewarded else self._by_thresholds(joint), *own

    def _by_thresholds(self, joint: Tensor) -> Tensor:
        reached = joint >= self.thresholds
        nearest = (joint / self.thresholds).argmax(1, keepdim=True)
        classes = torch.arange(joint.shape[1], device=joint.device)
        return reached | (~reached.any(1, keepdim=True) & (classes == nearest))

    def _best_sets(self, joint: Tensor) -> Tensor:
        """As `leadset.entry.decision.best_label_sets`, in a fixed number of rounds."""
        earned, costs = joint @ self.rewards, 1 - joint
        size = joint.sum(1, keepdim=True).clamp(min=1.0)

        def ratios(decided: Tensor) -> Tensor:
            return (decided * earned).sum(1, keepdim=True) / (size + (decided * costs).sum(1, keepdim=True))

        best = (earned / (size + costs)).argmax(1, keepdim=True)
        decided = torch.arange(joint.shape[1], device=joint.device) == best
        for _ in range(_ROUNDS):
            candidates = earned > ratios(decided) * costs
            decided = torch.where(ratios(candidates) > ratios(decided), candidates, decided)
        return decided


def export_entry(
    entry: Entry,
    folder: str | Path,
    lead_sets: Sequence[Sequence[str]] | None = None,
    int8: Sequence[Recording] = (),
    done: Callable[[Path, About], object] = lambda path, about: None,
) -> list[Path]:
    """Writes a file for each lead set, named like it.

    Detectors stay behind, and the classifiers then answer as the entry says that they do alone.

    Args:
        entry: any.
        folder: made if missing.
        lead_sets: those to be exported; by default all that were trained.
        int8: recordings by whose activations convolutions are scaled to 8 bits; without any they stay in float32.
        done: is told of each file.

    Raises:
        ValueError: a lead set that was not trained or has no classifier, no recording to scale by that can be used, or
            the extra ``onnx`` is not installed.
    """
    require("onnx", "onnxscript", "onnxruntime")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    space = entry.space.copy_to(folder)
    paths = []
    for leads in lead_sets or [trained.leads for trained in entry.manifest.sets]:
        asked = resolve_leads(leads)
        trained = entry.trained_set(asked)
        if not trained.universal and trained.leads != asked:
            named = ", ".join(lead_set_name(trained.leads) for trained in entry.manifest.sets)
            raise ValueError(f"found lead set {lead_set_name(asked)}, expected one of {named}")
        path = folder / f"{lead_set_name(trained.leads)}{SUFFIX}"
        about = _export(entry, trained, space, path, int8)
        paths.append(path)
        done(path, about)
    return paths


def require(*libraries: str) -> None:
    """Raises a `ValueError` that says what to install where a library is missing."""
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        raise ValueError(f"found no {missing[0]}, expected it: install leadset[onnx]")


def without_detectors(trained: TrainedSet) -> tuple[TrainedSet, dict[str, str]]:
    """The classifiers of a lead set, as they answer alone, and why the other networks are left out.

    Raises:
        ValueError: there is no classifier.
    """
    classifiers = list_models("classifier")
    kept = [i for i, member in enumerate(trained.members) if member.architecture in classifiers]
    if not kept:
        raise ValueError(f"no classifier on {lead_set_name(trained.leads)} leads, expected one to export")
    members = tuple(trained.members[i] for i in kept)
    ensemble = replace(trained.ensemble, weights=trained.ensemble.weights[kept])
    left_out = {
        member.architecture: _NO_CLASSES if member.detector else _NO_NETWORK
        for member in trained.members if member.architecture not in classifiers
    }  # fmt: skip
    return TrainedSet(trained.leads, members, ensemble), left_out


def _export(entry: Entry, trained: TrainedSet, space: str, path: Path, int8: Sequence[Recording]) -> About:
    classifiers, left_out = without_detectors(trained)
    specs = tuple(dict.fromkeys(_as_key(member) for member in classifiers.members))
    groups = [specs.index(_as_key(member)) for member in classifiers.members]
    inputs = [next(m.spec for m in classifiers.members if _as_key(m) == key) for key in specs]
    models = [entry.network(trained, member).cpu().float() for member in classifiers.members]
    names = [member.architecture for member in classifiers.members]
    extras = [list(missing_inputs(member.spec, len(trained.leads), 1)) for member in classifiers.members]
    graph = EntryGraph(models, groups, extras, classifiers).eval()
    example, moving = _example(inputs, len(trained.leads))
    manifest = entry.manifest
    about = About(
        trained.leads, tuple(inputs), tuple(names), space, manifest.classes,
        tuple(map(float, manifest.prior)),
        {member.architecture: tuple(map(float, member.rule.thresholds)) for member in classifiers.members},
        left_out, manifest.provenance, dict(entry.lead_names), trained.universal, tuple(_ensembles(entry)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as work:
        plain = Path(work) / "float.onnx"
        to_onnx(graph, {"inputs": example}, {"inputs": moving}, ["probabilities", "labels", *names], plain,
                {KEY: about.to_text()})  # fmt: skip
        source = plain
        if int8:
            entry.space.copy_to(plain.parent)
            source, about = entry_in_8_bits(plain, int8)
        with write_atomically(path, "wb") as file, open(source, "rb") as content:
            shutil.copyfileobj(content, file)
    return about


def _ensembles(entry: Entry) -> Iterator[dict[str, Any]]:
    """How classifiers answer together on each lead set that has some."""
    for trained in entry.manifest.sets:
        with suppress(ValueError):
            alone, _ = without_detectors(trained)
            names = [member.architecture for member in alone.members]
            thresholds = {member.architecture: member.rule.thresholds.tolist() for member in alone.members}
            own = {"leads": list(trained.leads), "networks": names, "thresholds": thresholds}
            yield own | alone.ensemble.to_json()


def _as_key(member: Member) -> str:
    return repr(member.spec.to_json())


def _example(inputs: Sequence[InputSpec], leads: int) -> tuple[dict[str, Tensor], dict[str, dict[int, Any]]]:
    """Inputs to trace with, and their axes that may have any length."""
    recordings = torch.export.Dim("recordings", min=1, max=1 << 16)
    example: dict[str, Tensor] = {}
    moving: dict[str, dict[int, Any]] = {}
    generator = torch.Generator().manual_seed(0)
    for group, spec in enumerate(inputs):
        windows = torch.export.Dim(f"windows_{group}", min=1, max=1 << 20)
        mask = torch.ones(_WINDOWS, spec.samples, dtype=torch.bool)
        mask[-1, spec.samples // 2 :] = False
        values = {
            "windows": torch.randn(_WINDOWS, leads, spec.samples, generator=generator), "mask": mask,
            **{name: torch.from_numpy(np.array(v)) for name, v in missing_inputs(spec, leads, _WINDOWS).items()},
        }  # fmt: skip
        example |= {f"{name}_{group}": value for name, value in values.items()}
        moving |= {f"{name}_{group}": {0: windows} for name in values}
        example[f"share_{group}"] = torch.full((_RECORDINGS, _WINDOWS), 1 / _WINDOWS)
        moving[f"share_{group}"] = {0: recordings, 1: windows}
    return example, moving


def to_onnx(
    model: nn.Module,
    arguments: Mapping[str, Any],
    dynamic: Mapping[str, Any],
    outputs: Sequence[str],
    path: Path,
    metadata: Mapping[str, str],
) -> None:
    """Writes a network as ONNX.

    Args:
        model: in evaluation mode.
        arguments: by name, to trace with; one may be a dictionary, whose keys become the names of inputs.
        dynamic: of each tensor, its axes of any length.
        outputs: names of what it returns.
        path: the file.
        metadata: goes into the file.
    """
    names = [key for value in arguments.values() for key in (value if isinstance(value, dict) else ())]
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the exporter tells of libraries that it does not need
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, (), kwargs=dict(arguments), dynamo=True, verbose=False, dynamic_shapes=dict(dynamic),
                input_names=names or None, output_names=list(outputs),
            )  # fmt: skip
    finally:
        logging.disable(before)
    program.model.metadata_props.update(metadata)
    written = program.model_proto
    raise_convolutions(written)
    replace_transposed(written)
    path.write_bytes(written.SerializeToString())
