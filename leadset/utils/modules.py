"""Registries find what is added: they import every module of a package."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


@cache
def import_modules(package: str) -> tuple[ModuleType, ...]:
    """The modules directly inside a package, by its dotted name, imported; sorted by name, without packages in it.

    Raises:
        ValueError: one of them cannot be imported; the message names its file.
    """
    found = pkgutil.iter_modules(import_module(package).__path__)
    return tuple(_imported(f"{package}.{module.name}") for module in found if not module.ispkg)


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:  # whatever its author has written
        file = find_spec(name).origin
        raise ValueError(f"{file}: cannot be imported: {type(error).__name__}: {error}") from error
