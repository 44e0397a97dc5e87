"""``python -m leadset VERB``: one command line; the Challenge's own scripts call the same verbs.

A verb is a file of `leadset.commands`. Only the module of the verb that is asked for is imported, so that ``--help``
stays fast: the list of verbs is read from the first lines of their docstrings.
"""

from __future__ import annotations

import argparse
import ast
import sys
from importlib import import_module
from pathlib import Path

_FOLDER = Path(__file__).parent / "commands"


def list_verbs() -> dict[str, str]:
    """Name and one line of help of each verb, without importing it."""
    files = sorted(file for file in _FOLDER.glob("*.py") if not file.stem.startswith("_"))
    return {file.stem: _summary(file) for file in files}


def _summary(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].partition(": ")[2].rstrip(".")


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; returns the exit status (0 done, 1 failed with a message, 2 wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    verbs = list_verbs()
    listing = "\n".join(f"  {verb:<12} {line}" for verb, line in verbs.items())
    parser = argparse.ArgumentParser(
        prog="leadset", description="ECG classification kit", epilog=f"verbs:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("verb", choices=verbs, metavar="verb", help="one of the verbs below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the verb; VERB --help lists them")
    chosen = parser.parse_args(argv)
    module = import_module(f"leadset.commands.{chosen.verb}")
    verb_parser = argparse.ArgumentParser(prog=f"leadset {chosen.verb}", description=verbs[chosen.verb])
    module.add_arguments(verb_parser)
    try:
        return module.run(verb_parser.parse_args(chosen.arguments))
    except (OSError, ValueError) as error:
        print(f"leadset {chosen.verb}: {error}", file=sys.stderr)
        return 1
