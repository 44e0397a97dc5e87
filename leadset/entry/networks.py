"""A trained network at work: loaded from the model folder, it answers prepared recordings with classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from leadset.anomaly.detector import Detector, load_detector
from leadset.anomaly.features import feature_names, score_features
from leadset.anomaly.head import Head, fill_with_prior
from leadset.baselines.inputs import BaselineInput
from leadset.baselines.learners import Learner
from leadset.baselines.registry import BASELINES
from leadset.entry.manifest import Member
from leadset.models import create_network, model_entry
from leadset.models.embedding import Embedder
from leadset.models.prediction import mean_features, predict
from leadset.models.shipped import load_universal
from leadset.preprocess import InputSpec
from leadset.utils.weights import load_network

#: Inputs as `leadset.entry` prepares them: samples, statistics and context, as `leadset.models.prediction` takes them.
Inputs = Sequence[tuple]


@dataclass(frozen=True)
class NetworkOutputs:
    """What a network says of n recordings: probabilities (n, k) and, of a detector, that of an anomaly (n,)."""

    probabilities: np.ndarray
    abnormality: np.ndarray | None = None


#: Multiply-accumulates for one window below which a network is small: its threads would mostly wait for one another.
SMALL = 250_000_000


def is_small(member: Member) -> bool:
    """Whether one thread is enough."""
    return member.macs < SMALL


def threads_of(member: Member, most: int) -> int:
    """Threads that a network runs on, at most so many: always as many on one machine, as the last bit may depend on
    them."""
    return 1 if is_small(member) else most


@contextmanager
def on_threads(n: int) -> Iterator[None]:
    """PyTorch on so many threads."""
    before = torch.get_num_threads()
    if before == n:
        yield
        return
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class ClassifierPredictor:
    """Answers with a classifier."""

    model: nn.Module
    leads: tuple[str, ...]
    spec: InputSpec
    threads: int

    def __call__(self, inputs: Inputs) -> NetworkOutputs:
        """Its probabilities."""
        with on_threads(self.threads):
            return NetworkOutputs(np.stack(list(predict(self.model, inputs, self.leads, self.spec))))

    def features(self, inputs: Inputs) -> list[np.ndarray]:
        """Input (f,) of its last layer, averaged over the windows of each recording."""
        embedder = Embedder(self.model).eval()
        with on_threads(self.threads):
            return list(predict(embedder, inputs, self.leads, self.spec, finish=mean_features))


@dataclass(frozen=True)
class DetectorPredictor:
    """Answers with a detector, whose features a head turns into classes; ``prior`` (k,) where there is no score."""

    detector: Detector
    head: Head
    prior: np.ndarray
    threads: int

    def __call__(self, inputs: Inputs) -> NetworkOutputs:
        """Probabilities of the head."""
        probabilities = self.head(np.stack(self.features(inputs)))
        return NetworkOutputs(fill_with_prior(probabilities[:, 1:], self.prior), probabilities[:, 0])

    def features(self, inputs: Inputs) -> list[np.ndarray]:
        """What the head takes (f,), of each recording; NaN where it has no score."""
        with on_threads(self.threads):
            scores = [self.detector.score_or_none(x, statistics, of.beats[True]) for x, statistics, of in inputs]
        return [score_features(score, self.detector.leads) for score in scores]


@dataclass(frozen=True)
class BaselinePredictor:
    """Answers with a baseline, from features of the whole recording."""

    input: BaselineInput
    learner: Learner
    leads: tuple[str, ...]

    def __call__(self, inputs: Inputs) -> NetworkOutputs:
        """Its probabilities."""
        features = self.features(inputs)
        return NetworkOutputs(self.learner(np.array(features)))

    def features(self, inputs: Inputs) -> list[np.ndarray]:
        """Its features (f,) of each recording."""
        return list(map(np.asarray, self.input.compute(inputs, self.leads)))


Predictor = ClassifierPredictor | DetectorPredictor | BaselinePredictor


def _load_baseline(path: Path, member: Member, leads: tuple[str, ...], n_classes: int) -> BaselinePredictor:
    baseline = BASELINES[member.architecture]
    looks_at = baseline.input(member.options)
    if member.spec != looks_at.spec or member.detector is not None:
        raise ValueError(f"its input is {member.spec}, expected {looks_at.spec}")
    return BaselinePredictor(looks_at, baseline.form.read(path, looks_at.length(leads), n_classes), leads)


def load_member(
    folder: Path, member: Member, leads: tuple[str, ...], prior: np.ndarray, device: torch.device, threads: int
) -> Predictor:
    """Loads a network; nothing in its files is run.

    Args:
        folder: the model folder.
        member: which.
        leads: its lead set.
        prior: (k,) shares of the classes.
        device: where it is to run.
        threads: those of a network that is not small.

    Raises:
        ValueError: a file that is missing, damaged or of something else.
    """
    path = folder / member.weights
    try:
        if member.architecture in BASELINES:
            return _load_baseline(path, member, leads, len(prior))
        build = partial(_build, member, leads, len(prior))
        model = load_universal(path, build, leads) if member.universal else load_network(path, build)
        model = model.eval().to(device)
        if member.detector is None:
            return ClassifierPredictor(model, leads, member.spec, threads_of(member, threads))
        path = folder / member.head
        head = Head.read(path, len(feature_names(leads)), len(prior))
        return DetectorPredictor(Detector(model, member.detector.scoring), head, prior, threads_of(member, threads))
    except Exception as error:  # networks meet senseless options with errors of many kinds
        raise ValueError(f"{path}: cannot be loaded as {member.architecture}: {error}") from error


def _build(member: Member, leads: tuple[str, ...], n_classes: int) -> nn.Module:
    """The untrained network.

    Raises:
        ValueError: its input is not the one that the entry says.
    """
    if (member.detector is None) != (model_entry(member.architecture).kind == "classifier"):
        raise ValueError(f"it is a {model_entry(member.architecture).kind}, and the entry says otherwise")
    model = create_network(member.architecture, leads, n_classes, member.options)
    if model.input_spec != member.spec:
        raise ValueError(f"its input is {member.spec}, expected {model.input_spec}")
    return model


def load_member_detector(
    folder: Path, member: Member, leads: tuple[str, ...], n_classes: int, device: str | torch.device | None = None
) -> Detector:
    """The detector that a member of an entry is, with its reference.

    Raises:
        OSError, ValueError: as `leadset.anomaly.detector.load_detector`; it is no detector.
    """
    if member.detector is None:
        raise ValueError(f"{folder}: {member.architecture} is a classifier, expected a reconstruction model")
    build = partial(_build, member, leads, n_classes)
    return load_detector(folder, member.weights, build, member.detector, member.training, device)
