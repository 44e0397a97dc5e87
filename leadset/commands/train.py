"""``leadset train DATA MODEL``: train every architecture on every lead set.

Stop it at any time: the same command goes on. `default.toml` of the package explains every key of the configuration;
`entry.json` of the entry keeps the values that were used.

Examples:
    leadset train data model
    leadset train data model --models resnet34 --leads 12,2 --epochs 2 --time-limit 10m
    leadset train ptbxl:FOLDER model --task super --valid-fold 9 --test-fold 10
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from leadset.commands._data import add_data, add_folds, chosen_folds, open_data
from leadset.config import Config, Setting, load_config, parse_setting
from leadset.utils.files import folder_to_write

GROUP = "train, predict, evaluate"

_HOURS = {"": 1.0, "h": 1.0, "m": 1 / 60, "s": 1 / 3600}


class _Option(NamedTuple):
    """An option that stands for a key of the configuration; ``for_all``: classical models too have a use for it."""

    flag: str
    key: str
    read: Any
    metavar: str
    help: str
    for_all: bool = False


def _names(words: str) -> list[str]:
    return [word.strip() for word in words.split(",")]


def hours(words: str) -> float:
    """``2``, ``2h``, ``30m`` or ``90s`` in hours."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([hms]?)", words.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"found {words!r}, expected hours (2, 1.5h), minutes (30m) or seconds (90s)")
    return float(match[1]) * _HOURS[match[2]]


_OPTIONS = (
    _Option("--models", "architectures", _names, "NAMES", "architectures, with commas between; all: every one"),
    _Option("--epochs", "epochs", int, "N", "passes over the training recordings, however few steps these are"),
    _Option("--batch-size", "batch_size", int, "N", "recordings per step"),
    _Option("--lr", "learning_rate", float, "RATE", "peak learning rate"),
    _Option("--seed", "seed", int, "N", "of split, weights, order and augmentation", for_all=True),
    _Option("--time-limit", "time_limit_hours", hours, "HOURS", "for the run; 30m and 90s are minutes and seconds"),
    _Option("--preset", "preset", str, "NAME", "sizes of the networks: auto, compact, published or demo"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_data(parser)
    parser.add_argument("model", type=folder_to_write, metavar="MODEL",
                        help="folder for the trained entry; an interrupted run in it goes on")
    add_folds(parser)
    add_choices(parser)


def add_choices(parser: argparse.ArgumentParser, networks: bool = True) -> None:
    """Options that stand for keys of the configuration, for every verb that trains networks or classical models."""
    group = parser.add_argument_group("training", "Each takes the place of a key of the configuration.")
    group.add_argument(
        "--leads", action="append", metavar="SETS",
        help="lead sets: sizes with commas between (12,2) or the names of one (II,V5); may be repeated",
    )  # fmt: skip
    for option in _OPTIONS:
        if networks or option.for_all:
            group.add_argument(option.flag, type=option.read, metavar=option.metavar, help=option.help)
    if networks:
        group.add_argument("--freeze", action="store_true", help="where networks start from weights, tune heads alone")
    group.add_argument(
        "--set", action="append", default=[], type=setting, metavar="KEY=VALUE",
        help="any other key of the configuration, such as pretrain.below=0; may be repeated",
    )  # fmt: skip
    group.add_argument("--config", type=Path, metavar="FILE", help="a TOML file that overrides the keys it names")


def run(arguments: argparse.Namespace) -> int:
    """Trains, with the other processes that ``torchrun`` started if it did; returns the exit status."""
    from leadset.training.distributed import together

    with together() as works_here:
        if works_here:
            _train(arguments)
    return 0


def _train(arguments: argparse.Namespace) -> None:
    config = chosen_config(arguments)
    data = open_data(arguments)
    held_out, validation = chosen_folds(data, arguments)
    from leadset.training.run import train_entry

    train_entry(data, arguments.model, config, held_out, validation)
    print(f"Done: the entry is in {arguments.model}. Next: leadset predict {arguments.model} HELDOUT OUTPUTS")


def chosen_config(arguments: argparse.Namespace, settings: Iterable[Setting] = ()) -> Config:
    """The configuration with what the options of `add_choices` say, and some settings where they say nothing else."""
    chosen = list(_settings(arguments))
    given = {setting.key for setting in chosen}
    return load_config(
        arguments.config, folder=arguments.call.folder, settings=[*(s for s in settings if s.key not in given), *chosen]
    )


def _settings(arguments: argparse.Namespace) -> Iterator[Setting]:
    """What the options say, by key."""
    if arguments.leads is not None:
        yield Setting("--leads", "lead_sets", [leads for words in arguments.leads for leads in lead_sets_of(words)])
    given = vars(arguments)
    if given.get("epochs") is not None and all(setting.key != "min_steps" for setting in arguments.set):
        yield Setting("--epochs", "min_steps", 1)  # so many passes, however few steps these are
    for option in _OPTIONS:
        value = given.get(option.flag.strip("-").replace("-", "_"))
        if value is not None:
            yield Setting(option.flag, option.key, value)
    if given.get("freeze"):
        yield Setting("--freeze", "start.freeze", True)
    yield from arguments.set


def lead_sets_of(words: str) -> list[str]:
    """Sizes with commas between are several lead sets; names with commas between are one."""
    parts = _names(words)
    return parts if all(part.isdigit() for part in parts) else [words]


def setting(words: str) -> Setting:
    """``KEY=VALUE`` of the command line."""
    try:
        return parse_setting(words)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
