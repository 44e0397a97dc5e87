"""A trained entry: the model folder on disk, and its answers for one recording or many."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from leadset.anomaly.detector import Detector
from leadset.entry.answer import Answer, Embedding
from leadset.entry.decision import DecisionRule
from leadset.entry.manifest import Manifest, Member, TrainedSet
from leadset.entry.networks import NetworkOutputs, Predictor, is_small, load_member, load_member_detector
from leadset.entry.package import unpack
from leadset.entry.preparing import PreparedInput, failed_input, judge, prepare_input, prepare_unjudged
from leadset.leads import lead_set_name, own_lead_names, signed_lead, sort_leads, with_derived
from leadset.models.shipped import FOLDER
from leadset.preprocess import InputSpec
from leadset.recordings import Recording
from leadset.waves import Quality

# Recordings read ahead and answered together: enough to fill groups of windows, few enough to stay small in memory.
READ_AHEAD = 32
#: In the place of a model folder: what ships.
SHIPPED = "shipped"

T = TypeVar("T")


class Entry:
    """A loaded model folder; networks are loaded when a recording first needs them.

    Args:
        folder: as `train_model.py` wrote it.
        device: where to run; a GPU if there is one.
        readers: threads that read recordings ahead while the networks work.
        lead_names: as for `leadset.recordings.read_recording`; these go before those that it was trained with.
        every_network: ask networks that have no say in the answer too.
        quality: assess recordings (`Answer.quality`), instead of finding out only which can be used, which is faster.

    Raises:
        FileNotFoundError: there is no entry in the folder.
        ValueError: the entry is damaged or not of this kit, or a name stands for none of the twelve leads.
    """

    def __init__(
        self,
        folder: str | Path,
        device: str | torch.device | None = None,
        readers: int = 2,
        lead_names: Mapping[str, str] | None = None,
        every_network: bool = False,
        quality: bool = True,
    ) -> None:
        self.folder, self.readers = Path(folder), readers
        self.every_network, self.quality = every_network, quality
        self.manifest = Manifest.read(self.folder)
        self.lead_names = {**self.manifest.lead_names, **own_lead_names(lead_names or {})}
        self.space = self.manifest.space_in(self.folder)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        #: The temporary folder of a packed entry.
        self.unpacked: tempfile.TemporaryDirectory | None = None
        # Asked for now: a thread that PyTorch sees for the first time is told what another may have set for a while.
        self._threads = torch.get_num_threads()
        self._predictors: dict[tuple[tuple[str, ...], str], Predictor] = {}

    def trained_set(self, leads: Iterable[str]) -> TrainedSet:
        """The lead set that answers for recordings with these leads.

        The very set if it was trained. Otherwise universal networks are cut to the leads that are there or follow from
        two limb leads, and decide as those of the nearest set. Others answer on the largest trained set whose leads are
        all there, or on the one that lacks fewest: these leads are then zero, and the answer says so.
        """
        leads = sort_leads(leads)
        for trained in self.manifest.sets:
            if trained.leads == leads:
                return trained
        have = with_derived(leads)
        universal = [trained for trained in self.manifest.sets if trained.universal]
        if universal and have:
            nearest = min(universal, key=lambda t: (len(have ^ set(t.leads)), -len(t.leads)))
            return replace(nearest, leads=sort_leads(have))
        return min(self.manifest.sets, key=lambda t: (len(set(t.leads) - have), -len(t.leads)))

    def load(self, leads: Iterable[str]) -> None:
        """Loads the networks that recordings with these leads need, ahead of the first recording."""
        trained = self.trained_set(signed_lead(lead, self.lead_names)[0] for lead in leads)
        for member in self.asked(trained):
            self.predictor(trained, member)

    def asked(self, trained: TrainedSet) -> tuple[Member, ...]:
        """The networks of a lead set that are asked: those that have a say, and others if they are wanted."""
        return tuple(trained.members[i] for i in self._asked(trained))

    def _asked(self, trained: TrainedSet) -> list[int]:
        detects = [self.manifest.abnormality and member.detector is not None for member in trained.members]
        return np.flatnonzero(trained.asked | detects | self.every_network).tolist()

    def predictor(self, trained: TrainedSet, member: Member) -> Predictor:
        """A network of a lead set, loaded when it is first asked for."""
        key = trained.leads, member.weights
        if key not in self._predictors:
            self._predictors[key] = load_member(
                self.folder, member, trained.leads, self.manifest.prior, self.device, self._threads
            )
        return self._predictors[key]

    def network(self, trained: TrainedSet, member: Member) -> nn.Module:
        """The loaded classifier that a member of a lead set is."""
        return self.predictor(trained, member).model

    # --- answers ---------------------------------------------------------------------------------------------

    def predict(
        self, recordings: Recording | str | Path | Iterable[Recording | str | Path], beside: Executor | None = None
    ) -> Answer | Iterator[Answer]:
        """Answers one recording, or an iterable of them as an iterator in the same order.

        Recordings are read ahead while the networks work, and answered in groups; the answers are the same, to the
        bit, as one at a time. Nothing about a single recording raises: what cannot be read or judged is answered with
        the class shares of the training data and a flag.

        Args:
            recordings: `Recording` objects or paths of headers.
            beside: threads in which one `Recording` is judged and put to small networks at the same time, which takes
                as much work and less time; the answer is the same.

        Raises:
            TypeError: an array, which says neither its rate nor its leads.

        Example:
            >>> recording = leadset.Recording(signal_mv, fs=250, leads=("I", "II"), age=61, sex="female")
            >>> entry.predict(recording).by_class
        """
        if isinstance(recordings, np.ndarray):
            shape = recordings.shape
            raise TypeError(f"found an array {shape}, expected a path or leadset.Recording(signal_mv, fs, leads)")
        if isinstance(recordings, Recording) and beside is not None:
            return self._answer_beside(recordings, beside)
        if isinstance(recordings, (Recording, str, Path)):
            return next(self.answer([self.prepare(recordings)]))
        return self._stream(recordings, self.answer)

    def _answer_beside(self, recording: Recording, beside: Executor) -> Answer:
        judging = beside.submit(judge, recording, self.quality)
        try:
            one = prepare_unjudged(recording, self._wanted)
        except Exception as error:
            return self._unanswered(failed_input(recording.name, error))
        trained = self.trained_set(one.leads)
        small = [i for i in self._asked(trained) if is_small(trained.members[i])]
        small.sort(key=lambda i: -trained.members[i].macs)
        asked = {i: beside.submit(self._ask, trained, i, [one]) for i in small}
        outputs = {i: asked[i].result() if i in asked else self._ask(trained, i, [one]) for i in self._asked(trained)}
        try:
            one = one.judged(*judging.result())
        except Exception as error:
            one = failed_input(recording.name, error)
        return self._unanswered(one) if one.prepared is None else next(self._join(trained, [one], outputs))

    def embed(
        self, recordings: Recording | str | Path | Iterable[Recording | str | Path]
    ) -> Embedding | Iterator[Embedding]:
        """Feature vectors of one recording, or of an iterable of them as an iterator in the same order.

        Of a classifier they are the input of its last layer, averaged over windows; of a detector, what its head takes.
        Nothing about a single recording raises: one that cannot be judged has no vectors, and a flag that says why.

        Args:
            recordings: as for `predict`.

        Example:
            >>> entry.embed("data/A0001.hea").features["resnet34"].shape
        """
        if isinstance(recordings, (Recording, str, Path)):
            return next(self._embeddings([self.prepare(recordings)]))
        return self._stream(recordings, self._embeddings)

    def _embeddings(self, inputs: Sequence[PreparedInput]) -> Iterator[Embedding]:
        for one in inputs:
            if one.prepared is None:
                yield Embedding(one.name, one.leads, {}, (*one.flags, f"unanswered: {one.error}"))
                continue
            trained = self.trained_set(one.leads)
            features = {
                member.architecture: self.predictor(trained, member).features([one.input_of(member.spec)])[0]
                for member in trained.members
            }
            features = {name: vector.astype(np.float32) for name, vector in features.items()}
            yield Embedding(one.name, trained.leads, features, one.flags)

    def _stream(
        self,
        recordings: Iterable[Recording | str | Path],
        answers: Callable[[Sequence[PreparedInput]], Iterator[T]],
    ) -> Iterator[T]:
        groups = _batched(recordings)
        if not self.readers:
            for group in groups:
                yield from answers([self.prepare(recording) for recording in group])
            return
        with ThreadPoolExecutor(self.readers) as readers:
            coming = None
            for group in groups:
                reading = [readers.submit(self.prepare, recording) for recording in group]
                if coming is not None:
                    yield from answers([future.result() for future in coming])
                coming = reading
            if coming is not None:
                yield from answers([future.result() for future in coming])

    def prepare(self, recording: Recording | str | Path) -> PreparedInput:
        """A recording, or that of a header, as the networks take it; what is wrong with it is its ``error``."""
        return prepare_input(recording, self.lead_names, self._wanted, self.quality)

    def _wanted(self, leads: tuple[str, ...]) -> tuple[tuple[str, ...], list[InputSpec]]:
        trained = self.trained_set(leads)
        return trained.leads, [member.spec for member in self.asked(trained)]

    def answer(self, inputs: Sequence[PreparedInput]) -> Iterator[Answer]:
        """Answers prepared recordings together, in order."""
        answers: dict[int, Answer] = {}
        readable: dict[tuple[str, ...], list[int]] = {}
        for i, one in enumerate(inputs):
            if one.prepared is None:
                answers[i] = self._unanswered(one)
            else:
                readable.setdefault(self.trained_set(one.leads).leads, []).append(i)
        for leads, members in readable.items():
            group = [inputs[i] for i in members]
            answers.update(zip(members, self._predict_group(self.trained_set(leads), group), strict=True))
        for i in range(len(inputs)):
            yield answers[i]

    def _predict_group(self, trained: TrainedSet, inputs: Sequence[PreparedInput]) -> Iterator[Answer]:
        yield from self._join(trained, inputs, {i: self._ask(trained, i, inputs) for i in self._asked(trained)})

    def _ask(self, trained: TrainedSet, i: int, inputs: Sequence[PreparedInput]) -> NetworkOutputs:
        member = trained.members[i]
        return self.predictor(trained, member)([one.input_of(member.spec) for one in inputs])

    def _join(
        self, trained: TrainedSet, inputs: Sequence[PreparedInput], outputs: Mapping[int, NetworkOutputs]
    ) -> Iterator[Answer]:
        by_member = [outputs[i].probabilities if i in outputs else None for i in range(len(trained.members))]
        labels, joint = trained.answer(by_member)
        abnormality = next((o.abnormality for o in outputs.values() if o.abnormality is not None), None)
        for i, one in enumerate(inputs):
            if not np.isfinite(joint[i]).all():
                yield self.unanswered(one.name, "the networks gave no finite probability", one.flags, one.quality)
                continue
            by_model = {
                trained.members[m].architecture: (_decide(trained.members[m].rule, by_member[m][i]), by_member[m][i])
                for m in outputs
            }
            known = abnormality is not None and np.isfinite(abnormality[i])
            abnormal = float(abnormality[i]) if known else None
            yield Answer(one.name, self.space.keys, labels[i], joint[i], one.flags, by_model, abnormal, one.quality,
                         self.space.abbreviations)  # fmt: skip

    def detector(self, leads: Iterable[str]) -> Detector:
        """The anomaly detector that answers for recordings with these leads, with its reference if it has one.

        Raises:
            OSError, ValueError: no reconstruction model was trained on their lead set, or its files are damaged.
        """
        trained = self.trained_set(leads)
        for member in trained.members:
            if member.detector is not None:
                return load_member_detector(self.folder, member, trained.leads, len(self.space), self.device)
        trained_on = lead_set_name(trained.leads)
        raise ValueError(f"{self.folder}: no reconstruction model among the networks on {trained_on} leads")

    def unanswered(
        self, name: str, reason: str, flags: tuple[str, ...] = (), quality: Quality | None = None
    ) -> Answer:
        """The answer where nothing can be judged: class shares of the training data, the commonest class decided."""
        labels = np.zeros(len(self.space), dtype=bool)
        labels[int(np.argmax(self.manifest.prior))] = True
        prior = self.manifest.prior
        architectures = {member.architecture for trained in self.manifest.sets for member in self.asked(trained)}
        by_model = dict.fromkeys(architectures, (labels, prior))
        flags = (*flags, f"unanswered: {reason}")
        return Answer(name, self.space.keys, labels, prior, flags, by_model, None, quality, self.space.abbreviations)

    def _unanswered(self, one: PreparedInput) -> Answer:
        return self.unanswered(one.name, one.error, one.flags, one.quality)

    def __repr__(self) -> str:
        sets = ", ".join(lead_set_name(trained.leads) for trained in self.manifest.sets)
        return f"<Entry {self.folder} lead sets {sets}>"


def _decide(rule: DecisionRule, probabilities: np.ndarray) -> np.ndarray:
    return rule(probabilities[None])[0]


def _batched(items: Iterable) -> Iterator[tuple]:
    iterator = iter(items)
    while group := tuple(itertools.islice(iterator, READ_AHEAD)):
        yield group


def is_shipped(model: str | Path) -> bool:
    """Whether this is the word for what ships, and no folder or file of that name is there."""
    return str(model) == SHIPPED and not Path(model).exists()


def load_entry(
    model_dir: str | Path | None = None,
    device: str | torch.device | None = None,
    lead_names: Mapping[str, str] | None = None,
    every_network: bool = False,
    quality: bool = True,
) -> Entry:
    """Opens a model folder, or a file that `leadset pack` wrote, by default the entry that ships; see `Entry`.

    A packed entry is unpacked into a temporary folder, which is gone when the entry is.

    Args:
        model_dir: as `train_model.py` wrote it, or a packed entry; None or ``"shipped"``: the one that ships.
        device, lead_names, every_network, quality: as of `Entry`.

    Raises:
        FileNotFoundError: there is no entry.
        ValueError: it is damaged or not of this kit.

    Example:
        >>> entry = leadset.load_entry()
        >>> for answer in entry.predict(sorted(Path("data").rglob("*.hea"))):
        ...     print(answer.name, answer.decided)
    """
    if model_dir is None or is_shipped(model_dir):
        model_dir = FOLDER
    if not Path(model_dir).is_file():
        return Entry(model_dir, device, 2, lead_names, every_network, quality)
    folder = tempfile.TemporaryDirectory(prefix="leadset-")
    # Named like the file, so that messages about what was in it name it.
    inside = Path(folder.name) / Path(model_dir).name
    unpack(model_dir, inside)
    entry = Entry(inside, device, 2, lead_names, every_network, quality)
    entry.unpacked = folder
    return entry
