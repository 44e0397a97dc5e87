"""Weights of networks on disk: safetensors, written atomically and checked in one place when they are read.

Reading runs no code out of a file, and takes no more memory than the file does, whatever its header or the description
of the network claims. The metadata of a file hold a checksum of all else, so that a changed bit is noticed; files of
0.1.0 have none.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from leadset.utils.files import write_atomically

_CHECKSUM = "crc32"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file with a checksum, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = dict(metadata or {})
    with write_atomically(path, "wb") as file:
        file.write(save(tensors, metadata | {_CHECKSUM: _checksum(tensors, metadata)}))


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    crc = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        crc = zlib.crc32(f"{name} {_described(tensors[name])}".encode(), crc)
        crc = zlib.crc32(tensors[name].numpy().tobytes(), crc)
    return f"{crc:08x}"


def read_with_metadata(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file by name, and its metadata.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from None
    expected = metadata.pop(_CHECKSUM, None)
    if expected is not None and expected != (found := _checksum(tensors, metadata)):
        raise ValueError(f"{path}: found checksum {found}, expected {expected}: the file is damaged or was changed")
    return tensors, metadata


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name; errors as of `read_with_metadata`."""
    return read_with_metadata(path)[0]


def save_weights(path: Path, model: nn.Module) -> None:
    """Writes parameters and buffers of a network."""
    write_tensors(path, model.state_dict())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as `write_tensors` does; copies of them, as arrays may share memory and tensors of a file not."""
    write_tensors(path, {name: torch.from_numpy(np.array(values, order="C")) for name, values in arrays.items()})


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file as arrays; errors as of `read_with_metadata`."""
    return {name: tensor.numpy() for name, tensor in read_tensors(path).items()}


def check_weights(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Compares weights with those of a network, which may be on the meta device.

    Raises:
        ValueError: other names, shapes or number formats, or numbers that are not finite; the message begins with
            ``source`` and names the tensor.
    """
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            raise ValueError(f"{source}: {name} is missing, expected {_described(expected[name])}")
        if name not in expected:
            raise ValueError(f"{source}: found {name}, {_described(found[name])}, which the network does not have")
        if _described(found[name]) != _described(expected[name]):
            raise ValueError(f"{source}: {name} is {_described(found[name])}, expected {_described(expected[name])}")
        if not found[name].isfinite().all():
            raise ValueError(f"{source}: {name} holds NaN or infinity, expected finite numbers")


def _described(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"


def load_weights(path: Path, model: nn.Module) -> None:
    """Gives a network the weights of a file.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged, or holds other weights than the network has, as `check_weights` says.
    """
    tensors = read_tensors(path)
    check_weights(tensors, model.state_dict(), str(path))
    model.load_state_dict(tensors)


@contextmanager
def at_most(tensors: int) -> Iterator[None]:
    """Keeps this thread from building networks of more parameters than a file has tensors: not even their number
    that a description asks for is built.

    Raises:
        ValueError: there are more.
    """
    thread, built = threading.get_ident(), 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal built
        built += parameter is not None and threading.get_ident() == thread
        if built > 2 * tensors:  # what is replaced while it is built counts twice
            raise ValueError(f"found {tensors} tensors in the file of weights, expected more for what is described")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def load_network(path: Path, build: Callable[[], nn.Module]) -> nn.Module:
    """Builds a network that a description asks for, with the weights of a file.

    It is first built without memory and compared with the file: a description of a larger network takes none.

    Raises:
        OSError, ValueError: as `load_weights`.
    """
    tensors = read_tensors(path)
    with torch.device("meta"), at_most(len(tensors)):
        check_weights(tensors, build().state_dict(), str(path))
    model = build()
    model.load_state_dict(tensors)
    return model
