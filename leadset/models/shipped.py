"""Weights that ship: ``pretrained/NAME.safetensors``, each with a card of the same name.

A file holds one universal network of twelve leads in half precision, from which the network of any lead set is cut, and
says in its metadata how the network is built, which classes it answers and how it was trained. ``pretrained/simulated``
holds the same networks as they were after simulated recordings alone.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leadset.leads import LEADS, resolve_leads
from leadset.models.lead_cut import cut_leads
from leadset.models.registry import LEARNING_OPTIONS, create_model, list_models, model_entry, model_options
from leadset.utils.weights import at_most, check_weights, read_with_metadata, write_tensors

FOLDER = Path(__file__).parent / "pretrained"
#: The same networks before they learned from anything real.
SIMULATED = FOLDER / "simulated"
FORMAT = 1
_KEY = "leadset"
#: What the metadata say at least: the network, its options, its classes by key, and the leads in the order of its
#: tensors.
_FIELDS = ("format", "network", "options", "classes", "leads")


def folder_of(pretrained: bool | str) -> Path:
    """Where the weights are that `create_model` is asked for: ``True``, or ``"simulated"``.

    Raises:
        ValueError: any other text.
    """
    if pretrained not in (True, "simulated"):
        raise ValueError(f"pretrained={pretrained!r}: expected True, False or 'simulated'")
    return FOLDER if pretrained is True else SIMULATED


def shipped_networks(folder: Path = FOLDER, kind: str | None = None) -> list[str]:
    """Names of the networks whose weights ship, sorted: all of them, or those of one kind (`list_models`)."""
    names = sorted(path.stem for path in folder.glob("*.safetensors"))
    return names if kind is None else [name for name in names if name in list_models(kind)]


def write_shipped(model: nn.Module, classes: Sequence[str], about: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Writes weights as they ship.

    Args:
        model: of twelve leads, made by `create_model`.
        classes: key of each logit.
        about: how it was trained, as plain values.
        folder: where to.

    Raises:
        ValueError: weights that are not finite in half precision.
    """
    tensors = {name: _halved(name, tensor.detach().cpu()) for name, tensor in model.state_dict().items()}
    metadata = {
        "format": FORMAT, "network": model.model_name, "options": model.options, "classes": list(classes),
        "leads": list(LEADS), **about,
    }  # fmt: skip
    path = folder / f"{model.model_name}.safetensors"
    write_tensors(path, tensors, {_KEY: json.dumps(metadata)})
    return path


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.contiguous()
    half = tensor.to(torch.float16).contiguous()
    if not half.isfinite().all():
        raise ValueError(f"{name}: its largest number is {tensor.abs().max():g}, expected finite ones up to 65504")
    return half


def read_shipped(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, as float32 where they are floating, and metadata of a file of `write_shipped`.

    Raises:
        ValueError: no such file, not one of these, of another format, or with numbers that are not finite.
    """
    try:
        tensors, texts = read_with_metadata(path)
        metadata = json.loads(texts.get(_KEY, "null"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no weights could be read ({error})") from error
    missing = [key for key in _FIELDS if not isinstance(metadata, dict) or key not in metadata]
    if missing:
        raise ValueError(f"{path}: found no {', '.join(missing)} in its metadata, expected weights that ship")
    if metadata["format"] != FORMAT:
        raise ValueError(f"{path}: found format {metadata['format']!r}, expected {FORMAT}")
    if metadata["leads"] != list(LEADS):
        raise ValueError(f"{path}: found leads {metadata['leads']}, expected the twelve in standard order")
    tensors = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: found numbers in {name} that are not finite")
    return tensors, metadata


def load_shipped(
    name: str,
    leads: int | str | Sequence[str] = 12,
    n_classes: int | None = None,
    folder: Path = FOLDER,
    **options: Any,
) -> nn.Module:
    """The network of a lead set with the weights that ship.

    Args:
        name: one of `shipped_networks`.
        leads: as of `create_model`; the network is cut to them.
        n_classes: logits; where it is not the number of the file's classes, the head is new and untrained.
        folder: of the files.
        options: of the architecture; they must be those of the file, which are taken where none is given. Those that
            change no weight, such as ``dropout``, are free.

    Returns:
        The network; ``pretrained`` holds the file's metadata and, under ``"new"``, the names of tensors that are not
        from it.

    Raises:
        ValueError: no weights ship for this network, an option is not the file's, the network cannot be cut to these
            leads, or the file is damaged or does not fit.
        TypeError: an option that the architecture does not have.
    """
    model_entry(name)
    known = shipped_networks(folder)
    if name not in known:
        raise ValueError(f"no weights ship for {name}: expected one of {', '.join(known) or 'none'}")
    path = folder / f"{name}.safetensors"
    tensors, metadata = read_shipped(path)
    if metadata["network"] != name:
        raise ValueError(f"{path}: found weights of {metadata['network']}, expected {name}")
    _check_options(path, name, metadata["options"], options)
    classes = len(metadata["classes"])
    if n_classes is None and model_entry(name).kind == "classifier":
        n_classes = classes
    model = create_model(name, leads, n_classes, **metadata["options"] | options)
    model.pretrained = metadata | {"new": _fill(path, model, cut_leads(model, tensors, resolve_leads(leads)), classes)}
    return model


def load_universal(path: Path, build: Callable[[], nn.Module], leads: Sequence[str]) -> nn.Module:
    """A network of some leads with the weights of a file of `write_shipped`, cut to them.

    Args:
        path: the file.
        build: makes the network, untrained.
        leads: its leads, in standard order.

    Raises:
        ValueError: as `read_shipped`; the network cannot be cut, or the weights are not its own.
    """
    tensors, _ = read_shipped(path)
    with torch.device("meta"), at_most(len(tensors)):
        described = build()
    # Cut outside of the block above: inside, what says which leads stay would have no memory either.
    cut = cut_leads(described, tensors, leads)
    check_weights(cut, described.state_dict(), str(path))
    model = build()
    model.load_state_dict(cut)
    return model


def _check_options(path: Path, name: str, own: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuses options that are neither the file's nor, where it names none, the architecture's defaults."""
    parameters = inspect.signature(model_entry(name).build).parameters
    for option, value in given.items():
        if option not in model_options(name):
            raise TypeError(f"{name} has no option {option!r}")
        if option in LEARNING_OPTIONS:
            continue
        default = parameters[option].default if option in parameters else None
        expected = own.get(option, default)
        if json.dumps(value) != json.dumps(expected):
            raise ValueError(f"{path}: its network has {option}={expected!r}, found {option}={value!r}")


def _fill(path: Path, model: nn.Module, tensors: dict[str, Tensor], classes: int) -> list[str]:
    """Loads tensors; those of a head with another number of classes stay as they are, and are named."""
    own = model.state_dict()
    if own.keys() != tensors.keys():
        strange = ", ".join(sorted(own.keys() ^ tensors.keys()))
        raise ValueError(f"{path}: found other tensors than the network has, among them {strange}")
    new = []
    for name, tensor in own.items():
        here, there = tuple(tensor.shape), tuple(tensors[name].shape)
        if here != there:
            if here[1:] != there[1:] or there[0] != classes:
                raise ValueError(f"{path}: found {name} of shape {there}, expected {here}")
            new.append(name)
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in new}, strict=False)
    return new
