"""``leadset study NAME [DATA OUT]``: repeat a published study, with its recipe and with the kit's.

Without DATA it says what the study is and where its data set is to be had. It writes OUT/study.html and OUT/study.csv,
the paper's table beside ours; and everything that `leadset crossval` and `leadset report` write, or of an anomaly
detector the arrays of its authors and what `leadset anomaly fit` writes.

Examples:
    leadset study star-ptbxl
    leadset study star-ptbxl ptbxl out
    leadset study star-ptbxl --simulated out
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadset.commands.crossval import add_seeds
from leadset.commands.train import add_choices, chosen_config
from leadset.studies import study_names
from leadset.utils.files import folder_to_write

GROUP = "compare networks"

if TYPE_CHECKING:
    from leadset.studies.anomaly_study import AnomalyStudy
    from leadset.studies.study import Study

# Stand-ins: simulated recordings, and the share of them that is tested on.
_RECORDINGS, _SHARE = 240, 0.25
# Folder of the arrays that a detector learns from; options that are settings of its training, and those that are not.
_ARRAYS = "arrays"
_OF_DETECTORS = {"epochs": "epochs", "batch_size": "batch_size", "lr": "learning_rate", "seed": "seed"}
_NOT_OF_DETECTORS = {"models", "leads", "time_limit", "preset", "freeze", "config", "jobs", "seeds"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", choices=study_names(), metavar="NAME", help=f"one of {', '.join(study_names())}")
    parser.add_argument("data", nargs="?", metavar="DATA", help="folder of the data set as published")
    parser.add_argument("out", nargs="?", type=folder_to_write, metavar="OUT", help="folder for results")
    parser.add_argument(
        "--simulated", metavar="OUT", type=folder_to_write,
        help="in place of DATA and OUT: run on simulated stand-ins, and say so in all results",
    )  # fmt: skip
    parser.add_argument(
        "--ablations", metavar="NAMES", help="variants of the network to add, with commas between; all: every one"
    )
    add_seeds(parser)
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="folds at a time (default: one per core)")
    add_choices(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the study; returns the exit status."""
    from leadset.studies.anomaly_study import AnomalyStudy
    from leadset.studies.study import list_studies

    study = list_studies()[arguments.name]
    out = arguments.simulated or arguments.out
    if out is None and arguments.data:
        arguments.call.usage_error(f"found DATA {arguments.data} without OUT, expected both or --simulated OUT")
    if out is None:
        print(f"{study.title}\n{study.citation}\nData set: {study.fetch}")
        print(f"Ablations: {', '.join(study.ablations)}")
        print(f"Then: leadset study {study.name} FOLDER OUT; or try it with --simulated OUT")
        return 0
    if arguments.simulated and arguments.data:
        arguments.call.usage_error(f"found DATA {arguments.data} beside --simulated, expected one of them")
    if arguments.jobs is not None and arguments.jobs < 1:
        arguments.call.usage_error(f"found --jobs {arguments.jobs}, expected 1 or more")
    names = arguments.ablations.split(",") if arguments.ablations else []
    names = list(study.ablations) if names == ["all"] else names
    done = _detect if isinstance(study, AnomalyStudy) else _classify
    print(f"Done: {done(arguments, study, out, names)}")
    return 0


def _classify(arguments: argparse.Namespace, study: Study, out: Path, ablations: list[str]) -> Path:
    """Cross-validates both recipes and some ablations; the page of the comparison."""
    from leadset.recordings.importers import open_dataset
    from leadset.studies.comparison import KIT, PUBLISHED
    from leadset.studies.crossval import cross_validate
    from leadset.studies.entrants import without_real_weights
    from leadset.studies.protocols import create_protocol
    from leadset.studies.report import write_report
    from leadset.studies.results import read_results
    from leadset.studies.study import compare, study_entrants

    configs = {
        recipe: without_real_weights(chosen_config(arguments, study.settings(recipe))) for recipe in (PUBLISHED, KIT)
    }
    entrants, kit = study_entrants(study, configs, ablations), configs[KIT]
    if arguments.simulated:
        data = open_dataset(_stand_ins(out, kit.seed))
        protocol = create_protocol("holdout", share=_SHARE, seed=kit.seed)
    else:
        data = open_dataset(f"{study.data}:{arguments.data}", study.task or None)
        print(data.summary())
        choices = {"test": (), "valid": (), **study.protocol}
        name = choices.pop("name")
        folds = {key: tuple(value) for key, value in choices.items()}
        protocol = create_protocol(name, folds=kit.folds, share=kit.test_share, seed=kit.seed, **folds)
    cross_validate(data, out, protocol, entrants, arguments.jobs, arguments.seeds or ())
    write_report(out)
    return compare(study, read_results(out), out, bool(arguments.simulated))


def _detect(arguments: argparse.Namespace, study: AnomalyStudy, out: Path, ablations: list[str]) -> Path:
    """Writes the arrays, trains detectors by both recipes and some ablations; the page of the comparison."""
    from leadset.anomaly.arrays import has_arrays
    from leadset.recordings.importers import open_dataset
    from leadset.studies.anomaly_arrays import write_arrays, write_stand_ins
    from leadset.studies.anomaly_study import run_anomaly_study

    recipes = study.recipes(ablations, dict(_settings_of_detector(arguments)))
    arrays = out / _ARRAYS
    if arguments.simulated:
        write_stand_ins(arrays, recipes[next(iter(recipes))].settings.seed)
    elif has_arrays(Path(arguments.data)):
        arrays = Path(arguments.data)
    else:
        data = open_dataset(f"{study.data}:{arguments.data}", study.task or None)
        print(data.summary())
        write_arrays(data, arrays, study.test)
    return run_anomaly_study(study, arrays, out, recipes, bool(arguments.simulated))


def _settings_of_detector(arguments: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """What options say of the training of a detector; those that say nothing of it are refused."""
    given = {name: value for name, value in vars(arguments).items() if value not in (None, [], False)}
    for name in _NOT_OF_DETECTORS & given.keys():
        arguments.call.usage_error(f"found --{name.replace('_', '-')}, expected none: the study trains a detector")
    yield from ((key, given[name]) for name, key in _OF_DETECTORS.items() if name in given)
    yield from ((setting.key, setting.value) for setting in arguments.set)


def _stand_ins(out: Path, seed: int) -> Path:
    """Simulated recordings in the folder, written where they are not there yet."""
    from tqdm import tqdm

    from leadset.simulate.write import write_dataset
    from leadset.studies.comparison import STAND_IN

    folder = out / STAND_IN
    if len(list(folder.glob("*.hea"))) < _RECORDINGS:
        for _ in tqdm(write_dataset(folder, _RECORDINGS, seed), "simulate", _RECORDINGS, leave=False):
            pass
    return folder
