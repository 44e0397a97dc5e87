"""What the documents hold: blocks of code, the commands in them, headings and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: README, CONTRIBUTING and every page of the site, by their path from the root.
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))]
#: A line of a block that is a command. Other lines are what a command prints, or a drawing.
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:leadset|python|pip|make|docker|curl|torchrun)\b")
#: The scripts beside README.md, and the verbs that they call.
SCRIPTS = {
    "train_model.py": "train", "test_model.py": "predict", "evaluate_model.py": "evaluate",
    "extract_leads_wfdb.py": "extract",
}  # fmt: skip
_BLOCK = re.compile(r"^```[ \t]*(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code of a page; ``line`` is the number of its first line."""

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command of a page: its words, without the comment behind it."""

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {shlex.join(self.words)}"

    @property
    def verb(self) -> tuple[str, list[str], str] | None:
        """The verb that it runs, the verb's arguments and, where a script calls it, its name; None: it runs none."""
        words = [word for word in self.words if not re.match(r"[A-Z_]+=", word)]
        if words[0] == "leadset":
            return words[1], words[2:], ""
        for i, word in enumerate(words[:6]):
            if words[0] in ("python", "torchrun") and word in SCRIPTS:
                return SCRIPTS[word], words[i + 1 :], word
            if words[0] in ("python", "torchrun") and words[i : i + 2] == ["-m", "leadset"]:
                return words[i + 2], words[i + 3 :], ""
        return None


def read(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """The blocks of code of a page."""
    text = read(page)
    for found in _BLOCK.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 2, found[1], found[2])


def commands(page: str) -> Iterator[Command]:
    """The commands in the blocks of a page that name no language; a backslash continues a line."""
    for block in blocks(page):
        if block.language:
            continue
        lines = block.text.replace("\\\n", "\0\n").split("\n")
        for i, line in enumerate(lines):
            if _COMMAND.match(line):
                while line.endswith("\0"):
                    i += 1
                    line = line[:-1] + lines[i]
                yield Command(page, block.line + i, tuple(shlex.split(line, comments=True)))


def inline_commands(page: str) -> Iterator[tuple[str, str]]:
    """Verb, or script, and what follows it, of the commands in the prose and tables of a page."""
    prose = _BLOCK.sub("", read(page))
    for code in re.findall(r"`([^`]+)`", prose):
        words = re.sub(r"\s+", " ", code).removeprefix("python -m ").removeprefix("python ")
        found = re.match(r"(?:leadset |(?=\w+_model\.py|extract_leads_wfdb\.py))([\w.]+)(.*)", words)
        if found:
            yield found[1], found[2]


def options_in_prose(page: str) -> set[str]:
    """The options that stand alone in the prose of a page, such as ``--set``."""
    prose = _BLOCK.sub("", read(page))
    return {found for code in re.findall(r"`(-[^`]*)`", prose) for found in re.findall(r"--[a-z][\w-]*", code)}


def anchors(page: str) -> set[str]:
    """What a link may name behind ``#``: the headings of a page."""
    text = _BLOCK.sub("", read(page))
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in plain}


def links(page: str) -> list[str]:
    """The targets of the links and pictures of a page that lead to files."""
    text = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", read(page)))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]
