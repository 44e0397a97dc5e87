"""Registries find what is added: they import every module of a package."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def import_modules(package: str) -> tuple[ModuleType, ...]:
    """The modules directly inside a package, by its dotted name, imported; sorted by name, without packages in it."""
    found = pkgutil.iter_modules(import_module(package).__path__)
    return tuple(import_module(f"{package}.{module.name}") for module in found if not module.ispkg)
