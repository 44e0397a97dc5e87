"""``leadset baseline DATA MODEL --baselines forest_statistics``: train classical models, as an entry like any other.

Examples:
    leadset baseline data model_of_trees --baselines forest_pqrst --leads 12,2
"""

from __future__ import annotations

import argparse

from leadset.commands._data import add_data, add_folds, chosen_folds, open_data
from leadset.commands.train import add_choices, chosen_config
from leadset.utils.files import folder_to_write

GROUP = "compare networks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_data(parser)
    parser.add_argument("model", type=folder_to_write, metavar="MODEL", help="folder for the trained entry")
    parser.add_argument("--baselines", type=lambda words: words.split(","), required=True, metavar="NAMES",
                        help="with commas between; several answer together: example, LEARNER_FEATURES of logistic, mlp,"
                             " forest or lightgbm and statistics or pqrst, or probe_NETWORK (docs/baselines.md)")
    add_folds(parser)
    add_choices(parser, networks=False)


def run(arguments: argparse.Namespace) -> int:
    """Trains; returns the exit status."""
    config = chosen_config(arguments)
    data = open_data(arguments)
    held_out, validation = chosen_folds(data, arguments)
    from leadset.training.baselines.entries import train_baselines

    train_baselines(data, arguments.model, arguments.baselines, config, held_out, validation)
    print(f"Done: the entry is in {arguments.model}. Next: leadset predict {arguments.model} HELDOUT OUTPUTS")
    return 0
