"""The texts of the page: one file a language in ``leadset/serve/languages``, all with the same keys."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "languages"
#: The language that others are complete against, and that the page starts in.
FIRST = "en"
#: Tables of a language's file that hold texts.
TABLES = ("texts", "measurements", "diagnoses", "quality", "reasons")
_PLACEHOLDER = re.compile(r"\\\{(\w+)\\\}")


@dataclass(frozen=True)
class Texts:
    """A language.

    Attributes:
        code: name of its file.
        name: what its speakers call it.
        right_to_left: whether it is written so.
        tables: texts by key, by table.
    """

    code: str
    name: str
    right_to_left: bool
    tables: dict[str, dict[str, str]]

    def __call__(self, key: str, **values: object) -> str:
        """A text of the page, its placeholders filled."""
        return self.tables["texts"][key].format(**values)

    def measurement(self, name: str, label: str) -> str:
        """What a measurement is called; ``label`` where there is no translation."""
        return self.tables["measurements"].get(name, label)

    def diagnosis(self, abbreviation: str, name: str) -> str:
        """What a class is called; ``name`` where its label space is one without translations."""
        return self.tables["diagnoses"].get(abbreviation, name)

    def quality(self, flags: Iterable[str]) -> list[str]:
        """Flags of `leadset.waves.Quality` in words, those of one kind in one sentence."""
        kinds: dict[str, list[str]] = {}
        for flag in flags:
            kind, _, lead = flag.partition(":")
            kind, lead = (kind, lead) if kind in self.tables["quality"] else ("other", flag)
            kinds.setdefault(kind, []).append(lead)
        texts = ((self.tables["quality"][kind], ", ".join(leads)) for kind, leads in kinds.items())
        return [text.format(lead=leads, flag=leads) for text, leads in texts]


    def reason(self, reason: str) -> str:
        """Why nothing can be said of a recording, or it cannot be read; what has no translation is as it was said."""
        for key, known in _reasons().items():
            if match := known.fullmatch(reason):
                parts = {name: self.reason(part) for name, part in match.groupdict().items()}
                return self.tables["reasons"][key].format(**parts)
        return reason


@cache
def _reasons() -> dict[str, re.Pattern[str]]:
    """The reasons in the language that the package says them in."""
    first = load_texts(FIRST).tables["reasons"]
    return {key: re.compile(_PLACEHOLDER.sub(r"(?P<\1>.+?)", re.escape(text))) for key, text in first.items()}


def list_languages() -> list[str]:
    """Codes of the languages, the first one at the head."""
    return sorted((path.stem for path in _FOLDER.glob("*.toml")), key=lambda code: (code != FIRST, code))


@cache
def load_texts(code: str) -> Texts:
    """The texts of a language.

    Raises:
        ValueError: there is no such language.
    """
    if code not in list_languages():
        raise ValueError(f"found language {code!r}, expected one of {', '.join(list_languages())}")
    content = tomllib.loads((_FOLDER / f"{code}.toml").read_text(encoding="utf-8"))
    return Texts(code, content["name"], content["direction"] == "rtl", {name: content[name] for name in TABLES})
