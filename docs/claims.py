"""The numbers of the documents, each beside the cell of the table that it comes from.

    python docs/claims.py            # lists numbers that differ from their tables, and numbers without one
    python docs/claims.py --write    # writes the numbers of the tables into the documents

``claims.toml`` beside this file holds the claims: a fragment of a document in which ``{table; column=value; …; column;
format}`` stands for a number. The filters in between choose one row of the CSV file; ``column*1000`` changes the unit,
``column[1]`` takes the second of several numbers in a cell, and an underscore in the format separates thousands by a
space. ``rows`` of a claim gives names to tables with filters, and ``each`` repeats a claim with ``$0``, ``$1``, …
replaced. Where tables of a document look alike, ``below`` names words of the document: only the first fragment below
them is meant. A table may also be a TOML file, whose columns are dotted keys.
"""

from __future__ import annotations

import csv
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = Path(__file__).with_suffix(".toml")
NUMBER = r"[-−+]?\d+(?:[ ,]\d{3})*(?:\.\d+)?|–"
#: Between two words of a fragment: blanks, and the sign of a comment at the start of a line of a TOML file.
GAP = r"\s+(?:#\s+)?"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_COLUMN = re.compile(r"(?P<name>.*?)(?:\[(?P<index>\d)\])?(?:\*(?P<factor>-?[\d.]+))?")


@dataclass(frozen=True)
class Claim:
    """A fragment of a document with numbers.

    Attributes:
        document: path from the root of the repository.
        pattern: finds the fragment, one group a number.
        numbers: as they should be written.
        cells: which cells of which tables they are, for messages.
        below: finds the words below which the first fragment is meant; None: every fragment is.
    """

    document: str
    pattern: re.Pattern[str]
    numbers: tuple[str, ...]
    cells: tuple[str, ...]
    below: re.Pattern[str] | None = None

    def matches(self, text: str) -> list[re.Match[str]]:
        """Where the fragment stands in the text of its document."""
        if self.below is None:
            return list(self.pattern.finditer(text))
        anchor = self.below.search(text)
        match = self.pattern.search(text, anchor.end()) if anchor else None
        return [match] if match else []


@cache
def book() -> dict[str, Any]:
    """What ``claims.toml`` holds."""
    return tomllib.loads(CLAIMS.read_text(encoding="utf-8"))


@cache
def read_table(path: str) -> list[dict[str, str]]:
    """The rows of a CSV file, or the one row of a TOML file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return [dict(_flat(tomllib.loads(text)))] if path.endswith(".toml") else list(csv.DictReader(text.splitlines()))


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value)


def number_of(cell: str) -> str:
    """The number, as a document writes it, of a placeholder ``table; column=value; …; column; format``.

    Raises:
        ValueError: not exactly one row fits, or it has no such column.
    """
    table, *filters, column, form = (part.strip() for part in cell.split(";"))
    wanted = dict(item.split("=", 1) for item in filters)
    rows = [row for row in read_table(book()["tables"][table]["file"]) if wanted.items() <= row.items()]
    name, index, factor = _COLUMN.fullmatch(column).group("name", "index", "factor")
    if len(rows) != 1 or name not in rows[0]:
        raise ValueError(f"{{{cell}}}: found {len(rows)} rows with {wanted}, expected one with a column {name}")
    value = rows[0][name].split()[int(index)] if index else rows[0][name]
    written = format(float(value) * float(factor or 1), form)
    return written.replace("_", " ").replace("-", "−")


def fragment(text: str) -> str:
    """A regular expression for words of a document, whatever the line breaks between them."""
    return GAP.join(re.escape(word) for word in text.split()).replace("−", "[-−]")


def claims() -> Iterator[Claim]:
    """Every claim of ``claims.toml``, repetitions written out."""
    for entry in book()["claim"]:
        for values in entry.get("each", [[]]):
            yield _claim(entry, values)


def _claim(entry: dict[str, Any], values: list[str]) -> Claim:
    def filled(text: str) -> str:
        return re.sub(r"\$(\d)", lambda found: values[int(found[1])], text)

    parts, rows = _PLACEHOLDER.split(filled(entry["text"])), entry.get("rows", {})
    cells = []
    for placeholder in parts[1::2]:
        table, rest = placeholder.split(";", 1)
        cells.append(f"{filled(rows.get(table.strip(), table))};{rest}")
    # Words are joined after the placeholders are in: blanks beside a number are as flexible as others.
    words = "\x00".join(parts[::2]).strip()
    pattern = fragment(words).replace(re.escape("\x00"), f"({NUMBER})")
    # A number does not begin or end in the middle of another one.
    whole = re.compile(rf"(?<![\w.]){pattern}(?!\w|\.\d)")
    below = re.compile(fragment(entry["below"])) if "below" in entry else None
    return Claim(entry["document"], whole, tuple(map(number_of, cells)), tuple(cells), below)


def wrong_numbers(text: str, claim: Claim) -> list[str]:
    """What is wrong with a claim in the text of its document: a line a number, or one that says it is missing."""
    found = claim.matches(text)
    if not found:
        return [f"{claim.document}: found no text that fits {claim.pattern.pattern!r}"]
    return [
        f"{claim.document}: found {written} in {match[0]!r}, expected {number} from {cell}"
        for match in found
        for written, number, cell in zip(match.groups(), claim.numbers, claim.cells, strict=True)
        if written != number
    ]


def corrected(text: str, claim: Claim) -> str:
    """The document with the numbers of the table."""
    for match in reversed(claim.matches(text)):
        for group, number in reversed(list(enumerate(claim.numbers, start=1))):
            if match[group] != number:
                text = text[: match.start(group)] + number + text[match.end(group) :]
    return text


def _claimed(claim: Claim, text: str) -> Iterator[tuple[int, int]]:
    """Where the numbers of a claim stand, and those of its words that say which row of a table is meant."""
    filters = " ".join(cell.rsplit(";", 2)[0] for cell in claim.cells)
    named = set(re.findall(r"\d+(?:\.\d+)?", filters))
    for match in claim.matches(text):
        yield from (match.span(group) for group in range(1, len(claim.numbers) + 1))
        for word in re.finditer(NUMBER, match[0]):
            if re.sub("[ ,+−-]", "", word[0]) in named:
                yield match.start() + word.start(), match.start() + word.end()


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def given() -> Iterator[tuple[re.Pattern[str], list[str]]]:
    """What is no measurement, and the documents in which it may stand."""
    for entry in book()["given"]:
        listed = [name for name in documents() if any(fnmatch(name, pattern) for pattern in entry["documents"])]
        for item in entry.get("texts", []):
            yield re.compile(fragment(item)), listed
        for item in entry.get("patterns", []):
            yield re.compile(item.replace(" ", r"\s+"), re.MULTILINE | re.DOTALL), listed


def stale() -> list[str]:
    """What stands in ``given`` and in none of its documents."""
    read = cache(lambda name: (ROOT / name).read_text(encoding="utf-8"))
    return [pattern.pattern for pattern, listed in given() if not any(pattern.search(read(name)) for name in listed)]


def unclaimed(document: str, text: str) -> list[str]:
    """Numbers of a document that no claim and no entry of ``given`` covers, with the words around."""
    patterns = [pattern for pattern, listed in given() if document in listed]
    left = text
    if document.endswith(".toml"):
        left = re.sub(r"^[^#\n]+", _blank, left, flags=re.MULTILINE)
    # Claims and what is given stand anywhere in the whole text, in blocks of code, too.
    spans = [span for claim in claims() if claim.document == document for span in _claimed(claim, text)]
    for first, last in [*spans, *(match.span() for pattern in patterns for match in pattern.finditer(text))]:
        left = left[:first] + " " * (last - first) + left[last:]
    for pattern in book()["never_claims"].values():
        left = re.sub(pattern, _blank, left, flags=re.MULTILINE | re.DOTALL)
    return [
        " ".join(text[max(0, found.start() - 40) : found.end() + 30].split())
        for found in re.finditer(r"(?<![\w.])\d[\d.,]*(?![^\W\d])", left)
    ]


def documents() -> list[str]:
    """The documents and configurations whose numbers are to come from tables."""
    return ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
            "leadset/default.toml"]  # fmt: skip


def main() -> int:
    """Lists what is wrong, or writes the numbers of the tables; returns the exit status."""
    write, wrong = "--write" in sys.argv[1:], []
    for claim in claims():
        path = ROOT / claim.document
        text = path.read_text(encoding="utf-8")
        if write:
            path.write_text(corrected(text, claim), encoding="utf-8")
        wrong += wrong_numbers(path.read_text(encoding="utf-8"), claim)
    for document in documents():
        if document not in book()["not_yet_complete"]:
            numbers = unclaimed(document, (ROOT / document).read_text(encoding="utf-8"))
            wrong += [f"{document}: no table gives the number in '{words}'" for words in numbers]
    wrong += [f"{CLAIMS.name}: 'given' has what no document has: {item}" for item in stale()]
    print("\n".join(wrong) or f"{sum(len(claim.numbers) for claim in claims())} numbers, each as its table says")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
