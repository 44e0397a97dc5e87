"""Tables as text: aligned for a terminal, or in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[object]]) -> str:
    """Aligned columns, whole numbers to the right; the first line is the heading."""
    numeric = [all(isinstance(value, int) for value in column[1:]) for column in zip(*lines, strict=True)]
    text = [[str(value) for value in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    return "\n".join(
        "  ".join(
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in text
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first line is the heading."""
    heading, *others = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([heading, "|---" * len(lines[0]) + "|", *others])
