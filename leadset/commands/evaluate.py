"""``leadset evaluate LABELS OUTPUTS [SCORES.csv [CLASS_SCORES.csv]]``: score a folder of outputs as the Challenge does.

Prints the scores if no file is named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leadset import scoring
from leadset.utils.files import write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.usage = "%(prog)s LABELS OUTPUTS [SCORES.csv [CLASS_SCORES.csv]] [--label-space NAME]"
    parser.add_argument("labels", metavar="LABELS", help="folder of headers with labels")
    parser.add_argument("outputs", metavar="OUTPUTS", help="folder of output files")
    parser.add_argument("scores", metavar="SCORES.csv", nargs="?", type=Path, help="write the scores there")
    parser.add_argument("class_scores", metavar="CLASS_SCORES.csv", nargs="?", type=Path, help="and by class there")
    parser.add_argument("--label-space", metavar="NAME", help="classes to score")


def run(arguments: argparse.Namespace) -> int:
    """Scores; returns the exit status."""
    space = () if arguments.label_space is None else (arguments.label_space,)
    scores = scoring.evaluate(arguments.labels, arguments.outputs, *space)
    files = {
        arguments.scores: scoring.scores_text(scores),
        arguments.class_scores: scoring.class_scores_text(scores),
    }
    for path, text in files.items():
        if path is not None:
            with write_atomically(path) as file:
                file.write(text)
    if scores.unanswered:
        found = f"{len(scores.unanswered)} of {scores.n_recordings} outputs are empty, have lines of unequal length or"
        found += f" name none of the classes, and count as none; the first is {scores.unanswered[0]}"
        print(f"{arguments.call.name}: {found}", file=sys.stderr)
    if arguments.scores is None:
        print(scoring.scores_text(scores))
    return 0
