"""``leadset study NAME [DATA OUT]``: repeat a published study, with its recipe and with the kit's.

Without DATA it says what the study is and where its data set is to be had. It writes OUT/study.html and OUT/study.csv,
the paper's table beside ours, and everything that `leadset crossval` and `leadset report` write.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from leadset.commands.train import add_choices, chosen_config

# Stand-ins: simulated recordings, and the share of them that is tested on.
_RECORDINGS, _SHARE = 240, 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    from leadset.studies.study import list_studies

    parser.add_argument("name", choices=list_studies(), metavar="NAME", help=f"one of {', '.join(list_studies())}")
    parser.add_argument("data", nargs="?", metavar="DATA", help="folder of the data set as published")
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", help="folder for results")
    parser.add_argument(
        "--simulated", metavar="OUT", type=Path,
        help="in place of DATA and OUT: run on simulated stand-ins, and say so in all results",
    )  # fmt: skip
    parser.add_argument(
        "--ablations", metavar="NAMES", help="variants of the network to add, with commas between; all: every one"
    )
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="folds at a time (default: one per core)")
    add_choices(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the study; returns the exit status."""
    from leadset.studies.study import KIT, PUBLISHED, compare, list_studies, study_entrants

    study = list_studies()[arguments.name]
    out = arguments.simulated or arguments.out
    if out is None:
        print(f"{study.title}\n{study.citation}\nData set: {study.fetch}")
        print(f"Ablations: {', '.join(study.ablations)}")
        print(f"Then: leadset study {study.name} FOLDER OUT; or try it with --simulated OUT")
        return 1 if arguments.data else 0
    if arguments.simulated and arguments.data:
        arguments.call.usage_error(f"found DATA {arguments.data} beside --simulated, expected one of them")
    if arguments.jobs is not None and arguments.jobs < 1:
        arguments.call.usage_error(f"found --jobs {arguments.jobs}, expected 1 or more")
    from leadset.recordings.importers import open_dataset
    from leadset.studies.crossval import cross_validate
    from leadset.studies.entrants import without_real_weights
    from leadset.studies.protocols import create_protocol
    from leadset.studies.report import write_report
    from leadset.studies.results import read_results

    configs = {
        recipe: without_real_weights(chosen_config(arguments, study.settings(recipe))) for recipe in (PUBLISHED, KIT)
    }
    names = arguments.ablations.split(",") if arguments.ablations else []
    entrants = study_entrants(study, configs, study.ablations if names == ["all"] else names)
    kit = configs[KIT]
    if arguments.simulated:
        data = open_dataset(_stand_ins(out, kit.seed))
        protocol = create_protocol("holdout", share=_SHARE, seed=kit.seed)
    else:
        data = open_dataset(f"{study.data}:{arguments.data}", study.task or None)
        print(data.summary())
        choices = {"test": (), "valid": (), **study.protocol}
        protocol = create_protocol(
            choices.pop("name"), folds=kit.folds, seed=kit.seed, **{key: tuple(value) for key, value in choices.items()}
        )
    cross_validate(data, out, protocol, entrants, arguments.jobs)
    write_report(out)
    print(f"Done: {compare(study, read_results(out), out, bool(arguments.simulated))}")
    return 0


def _stand_ins(out: Path, seed: int) -> Path:
    """Simulated recordings in the folder, written where they are not there yet."""
    from tqdm import tqdm

    from leadset.simulate.write import write_dataset
    from leadset.studies.study import STAND_IN

    folder = out / STAND_IN
    if len(list(folder.glob("*.hea"))) < _RECORDINGS:
        for _ in tqdm(write_dataset(folder, _RECORDINGS, seed), "simulate", _RECORDINGS, leave=False):
            pass
    return folder
