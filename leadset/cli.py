"""``leadset VERB``, also ``python -m leadset VERB``: one command line, and what the scripts of the repository call.

A verb is a file of `leadset.commands`. Only the module of the verb that is asked for is imported, so that ``--help``
stays fast: the list of verbs is read from the first lines of their docstrings.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

import leadset

_FOLDER = Path(__file__).parent / "commands"
_INTERRUPTED = 130


class Call(NamedTuple):
    """What a verb may want to know besides its own arguments.

    Attributes:
        name: what messages call the verb.
        folder: where `leadset.toml` may lie.
        usage_error: to be called with what is wrong with the arguments taken together; ends the program.
    """

    name: str
    folder: Path
    usage_error: Callable[[str], NoReturn]


def list_verbs() -> dict[str, str]:
    """Name and one line of help of each verb, without importing it."""
    files = sorted(file for file in _FOLDER.glob("*.py") if not file.stem.startswith("_"))
    return {file.stem: _summary(file) for file in files}


def _summary(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].partition(": ")[2].rstrip(".")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit status: 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted."""
    verbs = list_verbs()
    listing = "\n".join(f"  {verb:<12} {line}" for verb, line in verbs.items())
    parser = argparse.ArgumentParser(
        prog="leadset", description="ECG classification kit", epilog=f"verbs:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"leadset {leadset.__version__}")
    parser.add_argument("verb", help="one of the verbs below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the verb; VERB --help lists them")
    chosen = parser.parse_args(argv)
    if chosen.verb not in verbs:
        near = get_close_matches(chosen.verb, verbs, n=1)
        expected = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(verbs)}"
        parser.error(f"found no verb {chosen.verb!r}; {expected}")
    return run_verb(chosen.verb, chosen.arguments, f"leadset {chosen.verb}")


def run_script(verb: str, script: str | Path, argv: Sequence[str] | None = None) -> int:
    """Runs the verb that a script of the repository stands for; returns the exit status, as `main` does.

    Args:
        verb: one of `list_verbs`.
        script: the script's path: its name stands in messages, and `leadset.toml` is looked for in its folder.
        argv: arguments of the verb; by default those of this process.
    """
    script = Path(script)
    return run_verb(verb, sys.argv[1:] if argv is None else argv, script.stem, script.name, script.resolve().parent)


def run_verb(verb: str, argv: Sequence[str], name: str, program: str = "", folder: Path | None = None) -> int:
    """Runs a verb under a name; returns the exit status, as `main` does.

    Among its arguments a verb finds ``call``, a `Call`.

    Args:
        verb: one of `list_verbs`.
        argv: its arguments.
        name: what messages call it.
        program: what its usage calls it; by default ``name``.
        folder: by default the current folder.
    """
    parser = make_parser(verb, name, program, folder)
    module = import_module(f"leadset.commands.{verb}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may be no text, or letters that the terminal does not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return module.run(parser.parse_args(argv))
    except (OSError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def make_parser(verb: str, name: str, program: str = "", folder: Path | None = None) -> argparse.ArgumentParser:
    """The parser of a verb's arguments; they are those of `run_verb`."""
    module = import_module(f"leadset.commands.{verb}")
    summary, _, more = (module.__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog=program or name, description=f"{summary.partition(': ')[2]} {more}")
    parser.set_defaults(call=Call(name, folder or Path(), parser.error))
    module.add_arguments(parser)
    return parser
