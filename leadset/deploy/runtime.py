"""Answers of an exported entry by onnxruntime: no module here, nor any that it imports, needs PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from leadset.classes import LabelSpace, label_space
from leadset.deploy.about import KEY, About, Deciding
from leadset.entry.answer import Answer
from leadset.entry.decision import DecisionRule
from leadset.entry.preparing import PreparedInput, prepare_input
from leadset.leads import LEADS, lead_set_name, own_lead_names, sort_leads, with_derived
from leadset.models.extra_inputs import extra_inputs, extra_shapes, missing_inputs
from leadset.preprocess import InputSpec, cut_window, signal_windows
from leadset.recordings import Recording

SUFFIX = ".onnx"
_Set = TypeVar("_Set")


class Chosen(NamedTuple):
    """What answers for a recording.

    Attributes:
        about: the file that is asked.
        leads: those that its networks are given; others are zero.
        deciding: how they decide, where that is not how the file says.
        wanted: the lead set that was not exported and would have answered; empty where none.
    """

    about: About
    leads: tuple[str, ...]
    deciding: Deciding | None
    wanted: tuple[str, ...]


class OnnxEntry:
    """An exported entry, or one file of it.

    Args:
        path: as `leadset.deploy.export.export_entry` wrote it.
        threads: of onnxruntime; by default as many as it takes.
        lead_names: as for `leadset.recordings.read_recording`; these go before those that it was trained with.

    Raises:
        FileNotFoundError: no such file, or none in the folder.
        ValueError: a file that is no exported entry, or onnxruntime is missing.
    """

    def __init__(
        self, path: str | Path, threads: int | None = None, lead_names: Mapping[str, str] | None = None
    ) -> None:
        if find_spec("onnxruntime") is None:
            raise ValueError("found no onnxruntime, expected it: install leadset[onnx]")
        path = Path(path)
        files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            raise FileNotFoundError(f"{path}: no such file, or no {SUFFIX} file in it, expected an exported entry")
        #: Where the files are.
        self.folder = path if path.is_dir() else path.parent
        self._sessions = {}
        self.sets: dict[tuple[str, ...], About] = {}
        for file in files:
            session = _session(file, threads)
            about = _about(file, session)
            self._sessions[about.leads], self.sets[about.leads] = session, about
        first = next(iter(self.sets.values()))
        self._decisions = first.decisions()
        self.space: LabelSpace = label_space(first.label_space, self.folder)
        if any(about.classes != self.space.keys for about in self.sets.values()):
            raise ValueError(f"{path}: found other classes than label space {first.label_space} has")
        self.lead_names = {**first.lead_names, **own_lead_names(lead_names or {})}

    def trained_set(self, leads: Iterable[str]) -> Chosen:
        """What answers for recordings with these leads: as `leadset.entry.Entry.trained_set`, with what was exported.

        The very set if it was trained. Otherwise universal networks are given the leads that are there or follow from
        two limb leads, in the file that takes all of them and fewest others, which are zero; they decide as those of
        the nearest set. Others answer on the largest set whose leads are all there, or on the one that lacks fewest.
        """
        leads = sort_leads(leads)
        have = with_derived(leads) & set(LEADS)
        trained = self._decisions.keys() | self.sets.keys()
        universal = [about for about in self.sets.values() if about.universal]
        if not universal or not have:
            about = self.sets.get(leads) or _largest_there(self.sets, have)
            wanted = leads if leads in trained else _largest_there({own: own for own in trained}, have)
            return Chosen(about, about.leads, None, () if wanted == about.leads else wanted)
        shown = leads if leads in trained else sort_leads(have)
        decides = min(trained, key=lambda own: (own != shown, len(have ^ set(own)), -len(own)))
        about = min(universal, key=lambda about: (len(set(shown) - set(about.leads)), len(about.leads)))
        lacking = tuple(lead for lead in shown if lead not in about.leads)
        deciding = None if decides == about.leads or lacking else self._decisions.get(decides)
        return Chosen(about, tuple(lead for lead in shown if lead in about.leads), deciding, shown if lacking else ())

    def predict(
        self, recordings: Recording | str | Path | Iterable[Recording | str | Path]
    ) -> Answer | Iterator[Answer]:
        """As `leadset.entry.Entry.predict`."""
        if isinstance(recordings, (Recording, str, Path)):
            return self._answer(self.prepare(recordings))
        return self.answer(map(self.prepare, recordings))

    def prepare(self, recording: Recording | str | Path) -> PreparedInput:
        """As `leadset.entry.Entry.prepare`."""
        return prepare_input(recording, self.lead_names, self._wanted)

    def answer(self, inputs: Iterable[PreparedInput]) -> Iterator[Answer]:
        """Answers prepared recordings, in order."""
        return map(self._answer, inputs)

    def feeds(self, inputs: Iterable[PreparedInput]) -> Iterator[dict[str, np.ndarray]]:
        """What the networks are fed with, by name of the input, of each prepared recording that can be used."""
        for one in inputs:
            if one.prepared is not None:
                yield self._feed(one, self.trained_set(one.leads))

    def _feed(self, one: PreparedInput, chosen: Chosen) -> dict[str, np.ndarray]:
        feed = {
            f"{name}_{group}": value
            for group, spec in enumerate(chosen.about.inputs)
            for name, value in _inputs(one, chosen, spec).items()
        }
        given = {given.name for given in self._sessions[chosen.about.leads].get_inputs()}
        return {name: value for name, value in feed.items() if name in given}

    def _answer(self, one: PreparedInput) -> Answer:
        if one.prepared is None:
            return self._unanswered(one, one.error)
        chosen = self.trained_set(one.leads)
        about = chosen.about
        joint, decided, *own = self._sessions[about.leads].run(None, self._feed(one, chosen))
        if not np.isfinite(joint).all():
            return self._unanswered(one, "the networks gave no finite probability")
        thresholds = about.thresholds
        if chosen.deciding is not None:
            ensemble, thresholds = chosen.deciding
            joint = ensemble.join([p.astype(np.float64) for p in own])
            decided = ensemble.rule(joint)
        flags = (*one.flags, f"not_exported:{lead_set_name(chosen.wanted)}") if chosen.wanted else one.flags
        by_model = {
            name: (DecisionRule(np.array(thresholds[name]))(p.astype(np.float64))[0], p[0].astype(np.float64))
            for name, p in zip(about.networks, own, strict=True)
        }
        return Answer(one.name, self.space.keys, decided[0], joint[0].astype(np.float64), flags, by_model,
                      quality=one.quality, classes=self.space.abbreviations)  # fmt: skip

    def _wanted(self, leads: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[InputSpec, ...]]:
        chosen = self.trained_set(leads)
        by_lead = any(extra_shapes(spec, 1) != extra_shapes(spec, 2) for spec in chosen.about.inputs)
        return chosen.about.leads if by_lead else chosen.leads, chosen.about.inputs

    def _unanswered(self, one: PreparedInput, reason: str) -> Answer:
        about = next(iter(self.sets.values()))
        prior = np.array(about.prior)
        labels = np.arange(len(prior)) == prior.argmax()
        flags = (*one.flags, f"unanswered: {reason}")
        return Answer(one.name, self.space.keys, labels, prior, flags, dict.fromkeys(about.networks, (labels, prior)),
                      quality=one.quality, classes=self.space.abbreviations)  # fmt: skip


def _largest_there(sets: Mapping[tuple[str, ...], _Set], have: frozenset[str]) -> _Set:
    """That of the largest lead set whose leads are all there, or of the one that lacks fewest."""
    return sets[min(sets, key=lambda leads: (len(set(leads) - have), -len(leads)))]


def _inputs(one: PreparedInput, chosen: Chosen, spec: InputSpec) -> dict[str, np.ndarray]:
    """Windows (n, l, t), masks, extra inputs and shares (1, n) of one recording."""
    samples, statistics, context = one.input_of(spec)
    about = chosen.about
    # A universal network is one of the leads that are there: others take no part in the scaling, and are zero.
    given = [i for i, lead in enumerate(about.leads) if lead in chosen.leads]
    rows = [LEADS.index(about.leads[i]) for i in given]
    starts = signal_windows(samples, statistics, rows, spec)
    windows = np.zeros((len(starts), len(about.leads), spec.samples), np.float32)
    masks = np.ones((len(starts), spec.samples), bool)
    extra = missing_inputs(spec, len(about.leads), len(starts))
    for i, start in enumerate(starts):
        windows[i, given], masks[i] = cut_window(samples, statistics, rows, start, spec)
        for name, value in (extra_inputs(context, start, spec, len(about.leads)) if extra else {}).items():
            extra[name][i] = value
    share = np.full((1, len(starts)), 1 / len(starts), np.float32)
    return {"windows": windows, "mask": masks, "share": share, **extra}


def _session(file: Path, threads: int | None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        # Read here: a path would let the file name others beside it for its weights.
        return onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has errors of its own for what is wrong with a model
        raise ValueError(f"{file}: not an ONNX model that can be loaded: {error}") from error


def _about(file: Path, session: object) -> About:
    try:
        return About.from_text(session.get_modelmeta().custom_metadata_map.get(KEY, ""))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
