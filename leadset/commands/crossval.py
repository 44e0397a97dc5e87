"""``leadset crossval DATA OUT``: train and test entries by a protocol, with thresholds from training parts alone.

A run that was interrupted goes on when it is started again. `leadset report OUT` makes a page of what OUT holds; other
models or baselines may be added to it later, under another --name.

Examples:
    leadset crossval data folds --models resnet34 --leads 12
    leadset crossval ptbxl:FOLDER folds --task super --protocol official
    leadset crossval data folds --models resnet34,star --seeds 2021,2022,2023
    leadset crossval data folds --entries mine,theirs --no-entry
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from leadset.commands._data import add_data, add_folds, open_data
from leadset.commands.train import add_choices, chosen_config
from leadset.config import Config, Setting, checked_value
from leadset.utils.files import folder_to_write

GROUP = "compare networks"

if TYPE_CHECKING:
    from leadset.studies.entrants import Entrant

# How the entry of --models is called in file names, if it is not named.
_NAME = "entry"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_data(parser)
    parser.add_argument("out", metavar="OUT", type=folder_to_write,
                        help="folder for results; an interrupted run in it goes on")
    parser.add_argument(
        "--protocol", default="kfold", metavar="NAME",
        help="kfold (default), lodo (each data set in turn), official (folds of the data set) or holdout",
    )  # fmt: skip
    add_folds(parser)
    add_choices(parser)
    parser.add_argument(
        "--baselines", type=lambda words: words.split(","), default=[], metavar="NAMES",
        help="baselines (docs/baselines.md) or models that take part each as an entry of its own, with commas between",
    )  # fmt: skip
    parser.add_argument(
        "--entries", type=_entries, default=[], metavar="FOLDERS",
        help="model folders that take part as they are, with commas between; shipped: the entry that ships",
    )  # fmt: skip
    parser.add_argument("--untuned", action="store_true", help="the networks that ship take part too, as they are")
    add_seeds(parser)
    parser.add_argument("--name", type=_name, metavar="NAME", help="of the entry that --models trains, for the report")
    parser.add_argument("--no-entry", action="store_true", help="train no entry: baselines, --entries, --untuned alone")
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="folds at a time (default: one per core)")


def add_seeds(parser: argparse.ArgumentParser) -> None:
    """The option of the seeds that are trained with; without it ``seeds`` is None."""
    parser.add_argument(
        "--seeds", type=_seeds, metavar="SEEDS",
        help="train once with each of these, with commas between, on the same folds, which are those of --seed"
        " (default: that one alone)",
    )  # fmt: skip


def _entries(words: str) -> list[str]:
    names = [Path(word).stem for word in words.split(",")]
    for name in names:
        _name(name)
        if names.count(name) > 1:
            raise argparse.ArgumentTypeError(f"found two entries named {name}, expected names that differ")
    return words.split(",")


def _seeds(words: str) -> list[int]:
    try:
        seeds = [checked_value(Setting("in it", "seed", int(word))) for word in words.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {words!r}, expected whole numbers with commas ({error})") from None
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"found {words!r}, expected seeds that differ")
    return seeds


def _name(words: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+", words):
        raise argparse.ArgumentTypeError(f"found {words!r}, expected letters, digits, dots, hyphens and underscores")
    return words


def run(arguments: argparse.Namespace) -> int:
    """Cross-validates; returns the exit status."""
    if (arguments.test_fold or arguments.valid_fold) and arguments.protocol != "official":
        arguments.call.usage_error(
            f"--test-fold and --valid-fold need --protocol official, found {arguments.protocol}"
        )
    if arguments.jobs is not None and arguments.jobs < 1:
        arguments.call.usage_error(f"found --jobs {arguments.jobs}, expected 1 or more")
    from leadset.studies.crossval import cross_validate
    from leadset.studies.entrants import without_real_weights
    from leadset.studies.protocols import create_protocol

    config = without_real_weights(chosen_config(arguments))
    data = open_data(arguments)
    protocol = create_protocol(
        arguments.protocol, folds=config.folds, share=config.test_share, seed=config.seed,
        test=tuple(arguments.test_fold) or data.test_folds, valid=tuple(arguments.valid_fold),
    )  # fmt: skip
    entrants = list(_entrants(arguments, config))
    if not entrants:
        arguments.call.usage_error("found --no-entry, expected --baselines, --entries or --untuned beside it")
    cross_validate(data, arguments.out, protocol, entrants, arguments.jobs, arguments.seeds or ())
    print(f"Done: leadset report {arguments.out} makes a page of it.")
    return 0


def _entrants(arguments: argparse.Namespace, config: Config) -> Iterator[Entrant]:
    from leadset.models import list_models
    from leadset.studies.entrants import Given, Trained, TrainedBaseline, Untuned
    from leadset.training.baselines.entries import BASELINES

    for entry in arguments.entries:
        yield Given.named(entry, config)
    if arguments.untuned:  # first, as it takes seconds
        yield Untuned("untuned", "untuned", config)
    if not arguments.no_entry:
        yield Trained(arguments.name or _NAME, arguments.name or "", config)
    for name in arguments.baselines:
        if name in BASELINES:
            yield TrainedBaseline(name, "", config)
        elif name in list_models():
            yield Trained(name, "", replace(config, architectures=(name,)))
        else:
            known = ", ".join([*BASELINES, *list_models()])
            raise ValueError(f"--baselines: found {name!r}, expected baselines or models out of {known}")
