"""Where networks start from: weights that ship, those of an earlier run, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from leadset.classes import LabelSpace, label_space, list_label_spaces
from leadset.config_rules import NOTHING, SHIPPED, SIMULATED
from leadset.entry.manifest import FILE_NAME, Manifest, Member
from leadset.leads import LEADS
from leadset.models import create_network, model_entry
from leadset.models.layers.zero_leads import ZeroLeads
from leadset.models.lead_cut import cut_leads
from leadset.models.registry import same_options
from leadset.models.shipped import FOLDER, read_shipped, shipped_networks
from leadset.utils.weights import read_tensors

#: Below the weights that ship, or in their place: those that learned from simulation alone.
_SIMULATED_FOLDER = FOLDER / "simulated"
_SIMULATION_ALONE = "simulation alone"


class KnownClass(NamedTuple):
    """What a logit answers: codes of the class, and those that are evidence of it, aliases included; sorted."""

    codes: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Start:
    """Weights that a network starts from.

    Attributes:
        path: their file. digest: of its bytes.
        options: of their network.
        leads: that their tensors run over, in order.
        classes: by logit; none of a reconstruction model.
        about: what they are, in words.
        universal: whether the file is one as they ship (`leadset.models.shipped`).
    """

    path: Path
    digest: str
    options: dict[str, Any]
    leads: tuple[str, ...]
    classes: tuple[KnownClass, ...]
    about: str
    universal: bool = field(repr=False)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return read_shipped(self.path)[0] if self.universal else read_tensors(self.path)

    def has_options(self, architecture: str, options: dict[str, Any]) -> bool:
        """Whether a network with these options has such weights."""
        return same_options(architecture, self.options, options)

    def fits(self, leads: Sequence[str]) -> bool:
        """Whether a network of these leads can have the weights, cut or as they are."""
        return self.leads in (tuple(leads), LEADS)


class Starts:
    """The weights that the networks of a run may start from.

    Args:
        weights: the value ``start.weights`` of the configuration.

    Raises:
        ValueError: a folder without weights, or with damaged ones or those of another version.
    """

    def __init__(self, weights: str) -> None:
        self.weights = weights
        self._manifest: Manifest | None = None
        self._files: dict[str, Path] = {}
        if weights == SHIPPED:
            self._files = _files_in(FOLDER)
        elif weights == SIMULATED:
            alone = {n: p for n, p in _files_in(FOLDER).items() if read_shipped(p)[1].get("data") == _SIMULATION_ALONE}
            self._files = alone | (_files_in(_SIMULATED_FOLDER) if _SIMULATED_FOLDER.is_dir() else {})
        elif weights != NOTHING:
            self._open(Path(weights))

    def _open(self, folder: Path) -> None:
        if (folder / FILE_NAME).is_file():
            self._manifest = Manifest.read(folder)
        else:
            self._files = _files_in(folder)
            if not self._files:
                raise ValueError(f"{folder}: found neither {FILE_NAME} nor weights, expected a folder of either")

    @property
    def gives_options(self) -> bool:
        """Whether networks take the options of the weights, whatever the preset says: those of a folder do."""
        return self.weights not in (SHIPPED, SIMULATED, NOTHING)

    def find(self, architecture: str, leads: Sequence[str]) -> Start | None:
        """Weights for a network of these leads; None where there are none.

        Raises:
            ValueError: damaged weights, or those of another version.
        """
        start = self._of_entry(architecture, tuple(leads)) if self._manifest else self._of_file(architecture)
        return start if start is not None and start.fits(leads) else None

    def _of_file(self, architecture: str) -> Start | None:
        path = self._files.get(architecture)
        if path is None:
            return None
        _, metadata = read_shipped(path)
        if metadata["network"] != architecture:
            raise ValueError(f"{path}: found weights of {metadata['network']}, expected {architecture}")
        about = f"{self.weights} ({metadata['data']})" if "data" in metadata else self.weights
        return _start(path, metadata["options"], LEADS, _codes(metadata["classes"], metadata.get("space")), about, True)

    def _of_entry(self, architecture: str, leads: tuple[str, ...]) -> Start | None:
        folder = Path(self.weights)
        space = self._manifest.space_in(folder)
        members = [
            (LEADS if member.universal else trained.leads, member)
            for trained in self._manifest.sets for member in trained.members if member.architecture == architecture
        ]  # fmt: skip
        for wanted in (leads, LEADS):  # those of the very leads before those that are to be cut
            for there, member in members:
                if there == wanted:
                    return self._of_member(folder, member, there, space)
        return None

    def _of_member(self, folder: Path, member: Member, leads: tuple[str, ...], space: LabelSpace) -> Start:
        classes = _codes_of(space) if model_entry(member.architecture).kind == "classifier" else ()
        return _start(folder / member.weights, member.options, leads, classes, self.weights, member.universal)


@lru_cache
def simulated_start(architecture: str, leads: tuple[str, ...]) -> Start | None:
    """Weights from simulation alone for a network of these leads, which saw no real recording; None: there are none."""
    return Starts(SIMULATED).find(architecture, leads)


def _start(
    path: Path, options: dict, leads: tuple[str, ...], classes: tuple, about: str, universal: bool
) -> Start:
    try:
        digest = blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: no weights could be read ({error.strerror})") from None
    return Start(path, digest, options, leads, classes, about, universal)


def _files_in(folder: Path) -> dict[str, Path]:
    return {name: folder / f"{name}.safetensors" for name in shipped_networks(folder)}


def _codes_of(space: LabelSpace) -> tuple[KnownClass, ...]:
    return tuple(_known(d.codes, d.aliases) for d in space.classes)


def _known(codes: Sequence[str], aliases: Sequence[str] = ()) -> KnownClass:
    return KnownClass(tuple(sorted(codes)), tuple(sorted((*codes, *aliases))))


def _codes(keys: Sequence[str], space: str | None) -> tuple[KnownClass, ...]:
    """What the classes with these keys answer; a label space that ships knows their aliases too."""
    if space in list_label_spaces() and label_space(space).keys == tuple(keys):
        return _codes_of(label_space(space))
    return tuple(_known(key.split("|")) for key in keys)


def can_be_cut(network: nn.Module) -> bool:
    """Whether a network of some leads can have the weights of one of twelve (`leadset.models.lead_cut`)."""
    return hasattr(network, "lead_axes") or isinstance(network, ZeroLeads)


# --- from weights to a network ---------------------------------------------------------------------------------------


def class_axes(build: Callable[[int], nn.Module], n_classes: int) -> dict[str, int]:
    """The tensors of a network that run over classes, each with the axis; what makes logits, a head, is there.

    Args:
        build: makes the network for a number of classes.
        n_classes: its number.
    """
    with torch.device("meta"):
        here, more = (build(n).state_dict() for n in (n_classes, n_classes + 1))
    return {
        name: next(axis for axis, (a, b) in enumerate(zip(here[name].shape, more[name].shape, strict=True)) if a != b)
        for name in here
        if here[name].shape != more[name].shape
    }


def nearest_classes(space: LabelSpace, start: Start) -> dict[int, int]:
    """Index of the class of the weights that shares most codes with each class, for those that share any.

    A class that shares a code goes before one that shares a code only by an alias.
    """
    nearest = {}
    for i, (codes, evidence) in enumerate(_codes_of(space)):
        shared = [(_common(codes, known.codes), _common(evidence, known.evidence)) for known in start.classes]
        best = max(range(len(shared)), key=shared.__getitem__, default=None)
        if best is not None and any(shared[best]):
            nearest[i] = best
    return nearest


def _common(some: Sequence[str], others: Sequence[str]) -> int:
    return len(set(some) & set(others))


def started_network(
    architecture: str, leads: tuple[str, ...], space: LabelSpace, options: dict[str, Any], start: Start
) -> nn.Module:
    """A network with the weights that it starts from; rows of classes that these do not know keep their initial ones.

    Raises:
        ValueError: weights that are not those of such a network, or cannot be cut to these leads.
    """
    model = create_network(architecture, leads, len(space), options)
    tensors = start.tensors()
    if start.leads != leads:
        tensors = cut_leads(model, tensors, leads)
    axes = head_axes(architecture, leads, options, space)
    rows, own = nearest_classes(space, start), model.state_dict()
    same_classes = start.classes == _codes_of(space)
    for name in sorted(own.keys() | tensors.keys()):
        if name not in own or name not in tensors:
            raise ValueError(f"{start.path}: {name} is only in the {'file' if name in tensors else 'network'}")
        there, here = tensors[name], own[name]
        if name in axes and not same_classes:
            if there.shape[axes[name]] != len(start.classes):
                tensors[name] = here
                continue
            new, old = (torch.tensor(list(indices), dtype=torch.long) for indices in (rows.keys(), rows.values()))
            tensors[name] = here.index_copy(axes[name], new, there.index_select(axes[name], old).to(here.dtype))
        elif there.shape != here.shape:
            found, expected = tuple(there.shape), tuple(here.shape)
            raise ValueError(f"{start.path}: found {name} of shape {found}, expected {expected}")
    model.load_state_dict(tensors)
    return model


def head_axes(
    architecture: str, leads: tuple[str, ...], options: dict[str, Any], space: LabelSpace
) -> dict[str, int]:
    """`class_axes` of an architecture; none of a reconstruction model."""
    if model_entry(architecture).kind != "classifier":
        return {}
    return class_axes(lambda n: create_network(architecture, leads, n, options), len(space))
