"""A trained network at work: loaded from the model folder, it answers prepared recordings with classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from leadset.anomaly import answers
from leadset.anomaly.features import feature_names
from leadset.anomaly.head import Head, fill_with_prior
from leadset.entry.manifest import Member
from leadset.models import create_network, model_entry
from leadset.models.prediction import predict
from leadset.preprocess import InputSpec

#: Inputs as `leadset.entry` prepares them: samples, statistics and context, as `leadset.models.prediction` takes them.
Inputs = Sequence[tuple]


@dataclass(frozen=True)
class Told:
    """What a network says of n recordings: probabilities (n, k) and, of a detector, that of an anomaly (n,)."""

    probabilities: np.ndarray
    abnormality: np.ndarray | None = None


Predictor = Callable[[Inputs], Told]

#: Multiply-accumulates for one window below which a network is small: its threads would mostly wait for one another.
SMALL = 100_000_000


def is_small(member: Member) -> bool:
    """Whether one thread is enough."""
    return member.macs < SMALL


def threads_of(member: Member) -> int:
    """Threads that a network is asked on: always as many on one machine, as the last bit may depend on them."""
    return 1 if is_small(member) else torch.get_num_threads()


@contextmanager
def on_threads(n: int) -> Iterator[None]:
    """PyTorch on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Classifier:
    """Asks a classifier."""

    model: nn.Module
    leads: tuple[str, ...]
    spec: InputSpec
    threads: int

    def __call__(self, inputs: Inputs) -> Told:
        """Its probabilities."""
        with on_threads(self.threads):
            return Told(np.stack(list(predict(self.model, inputs, self.leads, self.spec))))


@dataclass(frozen=True)
class Detector:
    """Asks a restorer, whose score a head turns into classes; ``prior`` (k,) where a recording cannot be scored."""

    model: nn.Module
    head: Head
    prior: np.ndarray
    threads: int

    def __call__(self, inputs: Inputs) -> Told:
        """Probabilities of the head."""
        with on_threads(self.threads):
            scores = [answers.score(self.model, x, statistics, of.beats[True]) for x, statistics, of in inputs]
            found = [answers.features(score, self.model.leads) for score in scores]
        told = self.head(np.stack(found))
        return Told(fill_with_prior(told[:, 1:], self.prior), told[:, 0])


def load_member(
    folder: Path, member: Member, leads: tuple[str, ...], prior: np.ndarray, device: torch.device
) -> Predictor:
    """Loads a network; nothing in its files is run.

    Args:
        folder: the model folder.
        member: which.
        leads: its lead set.
        prior: (k,) shares of the classes.
        device: where it is to run.

    Raises:
        ValueError: a file that is missing, damaged or of something else.
    """
    path = folder / member.weights
    try:
        model = create_network(member.architecture, leads, len(prior), member.options)
        if model.input_spec != member.spec:
            raise ValueError(f"its input is {member.spec}, expected {model.input_spec}")
        model.load_state_dict(load_file(path))
        model = model.eval().to(device)
        if model_entry(member.architecture).kind == "classifier":
            return Classifier(model, leads, member.spec, threads_of(member))
        path = folder / member.head
        head = Head.read(path, len(feature_names(leads)), len(prior))
        return Detector(model.folded(), head, prior, threads_of(member))
    except Exception as error:  # networks meet senseless options with errors of many kinds
        raise ValueError(f"{path}: cannot be loaded as {member.architecture}: {error}") from error
