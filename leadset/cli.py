"""``python -m leadset <verb>``: one command line for everything beside the Challenge's own scripts.

A verb is a module with ``add_arguments(parser)`` and ``run(arguments) -> int`` (the exit status); it is imported when
its verb is asked for, so that ``--help`` stays fast.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

#: verb: (module, one line of help)
VERBS: dict[str, tuple[str, str]] = {
    "anomaly": ("leadset.anomaly.command", "learn what is normal, score recordings, show where they are not"),
    "demo": ("leadset.demo", "train, answer and score on simulated recordings, with the Challenge's own commands"),
    "doctor": ("leadset.recordings.doctor", "audit a folder of recordings"),
    "delineate": ("leadset.waves.command", "mark P, QRS and T waves of recordings: CSV, WFDB annotations, plots"),
    "models": ("leadset.models.overview", "list the registered architectures"),
    "simulate": ("leadset.simulate.command", "write a folder of simulated recordings with labels"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; returns the exit status (0 done, 1 failed with a message, 2 wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    listing = "\n".join(f"  {verb:<12} {line}" for verb, (_, line) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="leadset", description="ECG classification kit", epilog=f"verbs:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="verb", help="one of the verbs below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the verb; VERB --help lists them")
    chosen = parser.parse_args(argv)
    module = import_module(VERBS[chosen.verb][0])
    verb_parser = argparse.ArgumentParser(prog=f"leadset {chosen.verb}", description=VERBS[chosen.verb][1])
    module.add_arguments(verb_parser)
    try:
        return module.run(verb_parser.parse_args(chosen.arguments))
    except (OSError, ValueError) as error:
        print(f"leadset {chosen.verb}: {error}", file=sys.stderr)
        return 1
