"""Checking the options of architectures."""

from __future__ import annotations

from collections.abc import Collection

#: Layers of one kind that a network may have; each is built, so that a number beyond all sense would take the memory.
MOST_LAYERS = 256


def check_layers(option: str, *numbers: int) -> None:
    """Checks how many layers an option asks for.

    Raises:
        ValueError: one of the numbers is below 1 or above `MOST_LAYERS`.
    """
    for number in numbers:
        if not 1 <= number <= MOST_LAYERS:
            raise ValueError(f"{option} is {number}: expected 1 to {MOST_LAYERS}")


def one_of(option: str, value: str, choices: Collection[str]) -> str:
    """``value`` if it is one of ``choices``.

    Raises:
        ValueError: it is not; the message lists them.
    """
    if value not in choices:
        raise ValueError(f"{option} is {value!r}: expected one of {', '.join(sorted(choices))}")
    return value
