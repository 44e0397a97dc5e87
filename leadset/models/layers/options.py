"""Checking the options of architectures."""

from __future__ import annotations

from collections.abc import Collection

#: Layers that an option may ask for, of all stages together (ResNet-152 has 50 blocks). Each takes some 50 ms to build,
#: before anything else of a configuration can be checked.
MOST_LAYERS = 64


def check_layers(option: str, *numbers: int) -> None:
    """Checks how many layers an option asks for.

    Raises:
        ValueError: one of the numbers is below 1, or all together are above `MOST_LAYERS`.
    """
    if not (all(number >= 1 for number in numbers) and sum(numbers) <= MOST_LAYERS):
        found, together = ", ".join(map(str, numbers)), ", together" if len(numbers) > 1 else ""
        raise ValueError(f"{option} is {found}: expected 1 to {MOST_LAYERS}{together}")


def one_of(option: str, value: str, choices: Collection[str]) -> str:
    """``value`` if it is one of ``choices``.

    Raises:
        ValueError: it is not; the message lists them.
    """
    if value not in choices:
        raise ValueError(f"{option} is {value!r}: expected one of {', '.join(sorted(choices))}")
    return value
