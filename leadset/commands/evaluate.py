"""``leadset evaluate LABELS OUTPUTS [SCORES.csv [CLASS_SCORES.csv]]``: score a folder of outputs as the Challenge does.

Prints the scores if no file is named. Outputs are scored in the label space that has exactly their classes, out of the
data set's own and those that ship; else in the data set's, or the Challenge's. Those of another one need --label-space.

Examples:
    leadset evaluate heldout outputs
    leadset evaluate heldout outputs scores.csv class_scores.csv
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leadset import scoring
from leadset.commands._data import add_chosen_folds, add_task, open_named
from leadset.utils.files import write_atomically

GROUP = "train, predict, evaluate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.usage = "%(prog)s LABELS OUTPUTS [SCORES.csv [CLASS_SCORES.csv]] [options]"
    parser.add_argument("labels", metavar="LABELS", help="folder of headers with labels, or a data set (ptbxl:FOLDER)")
    parser.add_argument("outputs", metavar="OUTPUTS", help="folder of output files")
    parser.add_argument("scores", metavar="SCORES.csv", nargs="?", type=Path, help="write the scores there")
    parser.add_argument("class_scores", metavar="CLASS_SCORES.csv", nargs="?", type=Path, help="and by class there")
    parser.add_argument("--label-space", metavar="NAME",
                        help="name or TOML file (default: one that ships with the outputs' classes, or challenge2021)")
    add_task(parser)
    add_chosen_folds(parser)


def run(arguments: argparse.Namespace) -> int:
    """Scores; returns the exit status."""
    labels = open_named(arguments, arguments.labels) or arguments.labels
    scores = scoring.evaluate(labels, arguments.outputs, arguments.label_space)
    files = {
        arguments.scores: scoring.scores_text(scores),
        arguments.class_scores: scoring.class_scores_text(scores),
    }
    for path, text in files.items():
        if path is not None:
            with write_atomically(path) as file:
                file.write(text)
    for notice in scoring.notices(scores):
        print(f"{arguments.call.name}: {notice}", file=sys.stderr)
    if arguments.scores is None:
        print(scoring.scores_text(scores))
    return 0
