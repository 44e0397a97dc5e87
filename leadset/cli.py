"""``leadset VERB``, also ``python -m leadset VERB``: one command line, and what the scripts of the repository call.

A verb is a file of `leadset.commands`. Only the module of the verb that is asked for is imported, so that ``--help``
stays fast: what the list of verbs says is read from the text of the files.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import select
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import leadset

_FOLDER = Path(__file__).parent / "commands"
_WRONG_USAGE, _INTERRUPTED = 2, 130
#: Headings of the list of verbs, in their order; a verb's file names one as ``GROUP``.
GROUPS = (
    "train, predict, evaluate", "prepare data", "look at recordings and answers", "compare networks",
    "submit, share, serve",
)  # fmt: skip
#: What to begin with, and what it does.
FIRST = {
    "leadset predict data/A0001.hea": "the entry that ships answers, without training",
    "leadset train data model": "train an entry of your own on a folder of recordings",
    "leadset predict model heldout outputs": "let it answer recordings that it has not seen",
    "leadset evaluate heldout outputs": "score its answers as the Challenge does",
}


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


class Verb(NamedTuple):
    """What the list of verbs says of one.

    Attributes:
        summary: what it does, in a line.
        group: the heading below which it stands.
    """

    summary: str
    group: str


def list_verbs() -> dict[str, Verb]:
    """The verbs by name, without importing any of them."""
    files = sorted(file for file in _FOLDER.glob("*.py") if not file.stem.startswith("_"))
    return {file.stem: _read_verb(file) for file in files}


def _read_verb(file: Path) -> Verb:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    groups = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)
              and [ast.unparse(target) for target in node.targets] == ["GROUP"]]  # fmt: skip
    return Verb(_split(ast.get_docstring(tree) or "")[0], groups[0] if groups else "")


def _split(docstring: str) -> tuple[str, str, str]:
    """What a verb's docstring holds: the summary, more of it, and examples, a line each."""
    text, _, examples = docstring.partition("\n\nExamples:\n")
    first, _, more = text.partition("\n")
    return first.partition(": ")[2].rstrip("."), more.strip(), textwrap.dedent(examples).strip()


def _listing(verbs: dict[str, Verb]) -> str:
    """What to begin with, and the verbs below their headings."""
    wide = max(map(len, FIRST))
    lines = ["begin with:", *(f"  {command:<{wide}}  {what}" for command, what in FIRST.items())]
    for heading in dict.fromkeys([*GROUPS, *(verb.group for verb in verbs.values())]):
        own = {name: verb for name, verb in verbs.items() if verb.group == heading}
        lines += ["", f"{heading}:", *(f"  {name:<10} {verb.summary}" for name, verb in own.items())]
    return "\n".join([*lines, "", "leadset VERB --help says which arguments a verb takes, with examples."])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit status: 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted."""
    verbs = list_verbs()
    parser = argparse.ArgumentParser(
        prog="leadset", usage="leadset VERB [arguments]", epilog=_listing(verbs), add_help=False,
        description="ECG classification on any leads: train, predict, evaluate, look, compare, share.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    version = f"leadset {leadset.__version__}"
    parser.add_argument("--version", action="version", version=version, help=argparse.SUPPRESS)
    parser.add_argument("verb", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.verb is None:
        parser.print_help(sys.stderr)
        return _WRONG_USAGE
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
        status = module.run(parser.parse_args(argv))
        sys.stdout.flush()
        return status
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads(sys.stdout):
            # `head`, say, has enough of it; nothing is left to be written when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _nobody_reads(stream: TextIO) -> bool:
    """Whether a stream is a pipe that its reader has closed."""
    try:
        pipe = select.poll()
        pipe.register(stream.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in pipe.poll(0))
    except (OSError, ValueError, AttributeError):  # no file, or a system without `poll`
        return False


def make_parser(verb: str, name: str, program: str = "", folder: Path | None = None) -> argparse.ArgumentParser:
    """The parser of a verb's arguments; they are those of `run_verb`."""
    module = import_module(f"leadset.commands.{verb}")
    summary, more, examples = _split(module.__doc__ or "")
    examples = examples.replace(f"leadset {verb} ", f"{program or name} ")
    width = min(shutil.get_terminal_size().columns, 100) - 2
    paragraphs = [f"{summary[:1].upper()}{summary[1:]}.", *more.split("\n\n")]
    parser = argparse.ArgumentParser(
        prog=program or name, description="\n\n".join(textwrap.fill(text, width) for text in paragraphs if text),
        epilog="examples:\n" + textwrap.indent(examples, "  ") if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(call=Call(name, folder or Path(), parser.error))
    module.add_arguments(parser)
    return parser
