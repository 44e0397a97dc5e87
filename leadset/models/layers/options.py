"""Checking the options of architectures."""

from __future__ import annotations

from collections.abc import Collection


def one_of(option: str, value: str, choices: Collection[str]) -> str:
    """``value`` if it is one of ``choices``.

    Raises:
        ValueError: it is not; the message lists them.
    """
    if value not in choices:
        raise ValueError(f"{option} is {value!r}: expected one of {', '.join(sorted(choices))}")
    return value
