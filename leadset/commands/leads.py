"""``leadset leads DATA``: rank leads by how well an entry answers with one of them, without one, and with two.

The networks of the entry get the other leads as missing. With ``--retrain``, a network is tuned for each single lead
instead, and tested on recordings that it did not learn from; a run that was interrupted goes on.

Examples:
    leadset leads data -o which
    leadset leads data -o tuned --retrain
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from leadset.commands._data import add_data, open_data
from leadset.commands.train import setting
from leadset.utils.files import folder_to_write, write_atomically

GROUP = "look at recordings and answers"

if TYPE_CHECKING:
    from leadset.entry import Entry
    from leadset.entry.preparing import PreparedInput
    from leadset.explain.importance import LeadScore
    from leadset.recordings.dataset import DataSet

#: By name on the command line, the studies of `leadset.explain.importance`.
_STUDIES = {"one": "one lead", "without": "without one lead", "two": "two leads"}
_SHOWN = 12
#: What --retrain trains unless it is told, and the name of its results.
_NETWORK, _ENTRANT = "resnet34", "leads"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_data(parser)
    parser.add_argument("-o", "--output", type=folder_to_write, required=True, metavar="FOLDER",
                        help="folder for leads.csv and leads.png; of --retrain, for its entries and scores")
    parser.add_argument("--entry", metavar="MODEL", help="folder of a trained entry (default: the one that ships)")
    parser.add_argument("--models", type=lambda words: words.split(","), default=[], metavar="NAMES",
                        help="architectures of the entry to ask, with commas between (default: all classifiers)")
    parser.add_argument("--studies", type=lambda words: words.split(","), metavar="NAMES",
                        help="some of one (each lead alone), without (each left out), two (all pairs); default: all")
    parser.add_argument("--retrain", nargs="?", const=_NETWORK, metavar="NAME",
                        help=f"tune this architecture ({_NETWORK}) for each single lead, and for all twelve together")
    parser.add_argument("--protocol", metavar="NAME",
                        help="of --retrain: holdout (default), kfold, lodo or official, as of leadset crossval")
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="KEY=VALUE",
                        help="of --retrain: a key of the configuration, such as epochs=4; may be repeated")


def run(arguments: argparse.Namespace) -> int:
    """Ranks the leads; returns 0, or 1 where no recording can be used."""
    of_entry = [f"--{name}" for name in ("entry", "models", "studies") if getattr(arguments, name)]
    of_training = [f"--{name}" for name in ("protocol", "set") if getattr(arguments, name)]
    refused = of_entry if arguments.retrain else of_training
    if refused:
        arguments.call.usage_error(f"found {', '.join(refused)} {'with' if arguments.retrain else 'without'} --retrain")
    scores = _retrained(arguments) if arguments.retrain else _ablated(arguments)
    from leadset.explain.importance import table_rows

    rows = list(table_rows(scores))
    _write(rows, arguments.output / "leads.csv")
    _draw(scores, arguments.output / "leads.png")
    for study in dict.fromkeys(row["study"] for row in rows):
        print(f"{study}:")
        for row in [row for row in rows if row["study"] == study][:_SHOWN]:
            print(f"  {row['leads']:<8} AUROC {row['auroc']} [{row['low']}, {row['high']}], "
                  f"to all leads {row['change']} [{row['change_low']}, {row['change_high']}]")  # fmt: skip
    print(f"{scores[0].recordings} recordings, {scores[0].classes} classes: {arguments.output / 'leads.csv'}")
    return 0


def _ablated(arguments: argparse.Namespace) -> list[LeadScore]:
    chosen = arguments.studies or list(_STUDIES)
    unknown = sorted(set(chosen) - _STUDIES.keys())
    if unknown:
        arguments.call.usage_error(f"found --studies {','.join(unknown)}, expected some of {', '.join(_STUDIES)}")
    from leadset.config import load_lead_names
    from leadset.entry import load_entry
    from leadset.explain.importance import STUDIES, rank_leads

    entry = load_entry(arguments.entry, lead_names=load_lead_names(arguments.call.folder))
    inputs, labels = read_inputs(entry, open_data(arguments))
    studies = [_STUDIES[name] for name in chosen]
    with tqdm(total=1 + sum(len(STUDIES[study]) for study in studies), unit="lead set") as bar:
        return list(rank_leads(entry, inputs, labels, studies, arguments.models, bar.update))


def _retrained(arguments: argparse.Namespace) -> list[LeadScore]:
    """Scores of networks that were tuned for all leads and for each alone, on recordings held out."""
    from leadset.config import Setting, load_config
    from leadset.explain.importance import rank_answers
    from leadset.leads import LEADS, lead_set_name
    from leadset.studies.answers import Row
    from leadset.studies.crossval import cross_validate
    from leadset.studies.entrants import Trained, without_real_weights
    from leadset.studies.protocols import create_protocol
    from leadset.studies.results import read_results

    name, data = arguments.retrain, open_data(arguments)
    choices = {"architectures": [name], "lead_sets": ["12", *LEADS], "start.one_pass": False}
    settings = [Setting("--retrain", key, value) for key, value in choices.items()]
    config = without_real_weights(load_config(folder=arguments.call.folder, settings=[*settings, *arguments.set]))
    protocol = create_protocol(
        arguments.protocol or "holdout", folds=config.folds, share=config.test_share, seed=config.seed,
        test=data.test_folds, valid=(),
    )  # fmt: skip
    cross_validate(data, arguments.output, protocol, [Trained(_ENTRANT, "", config)])
    found = read_results(arguments.output)
    sets = [("all", LEADS), *(("one lead", (lead,)) for lead in LEADS)]
    answers = ((study, leads, found.probabilities[Row(name, lead_set_name(leads))]) for study, leads in sets)
    return list(rank_answers(found.evidence, answers))


def read_inputs(entry: Entry, data: DataSet) -> tuple[list[PreparedInput], np.ndarray]:
    """The recordings with twelve leads that the entry can judge, prepared, and their labels (n, k).

    Raises:
        ValueError: there is none.
    """
    from leadset.leads import LEADS, with_derived

    inputs, labels, reasons = [], [], []
    for path in tqdm(data.paths, unit="recording", leave=False):
        try:
            recording = replace(data.read(path, entry.lead_names), **data.by_path[str(path)].facts())
        except (OSError, ValueError) as error:
            reasons.append(f"{path}: {error}")
            continue
        one = entry.prepare(recording)
        if one.prepared is None or with_derived(one.leads) != set(LEADS):
            reasons.append(f"{path}: {one.error or 'it lacks leads, expected twelve with a signal'}")
            continue
        inputs.append(one)
        labels.append(entry.space.encode_for_training(recording.codes))
    for reason in reasons:
        tqdm.write(f"left out {reason}")
    if not inputs:
        raise ValueError(f"{data}: found no recording with twelve leads that can be judged, expected some")
    return inputs, np.array(labels)


def _write(rows: list[dict], path: Path) -> None:
    from leadset.explain.importance import COLUMNS

    with write_atomically(path) as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _draw(scores: list[LeadScore], path: Path) -> None:
    from leadset.explain.importance import described
    from leadset.plots.attributions import draw_ranking
    from leadset.plots.sheet import save_sheet

    for study in dict.fromkeys(score.study for score in scores if score.study != "all"):
        some = [score for score in scores if score.study == study]
        values, low, high = (np.array([getattr(s.auroc, name) for s in some]) for name in ("value", "low", "high"))
        figure = draw_ranking(
            f"Leads: {study}", [described(study, one.leads) for one in some], values, low, high,
            "macro AUROC, 95 % interval over recordings; dotted: all leads", float(scores[0].auroc.value),
        )  # fmt: skip
        save_sheet(figure, path.with_stem(f"{path.stem}-{study.replace(' ', '-')}"), dpi=110)

