"""``leadset describe DATA``: count what a data set holds: classes, patients, durations, sources, and what was left out.

Counts what labels, headers and tables say; `leadset doctor` looks at the signals too.

Examples:
    leadset describe data
    leadset describe ptbxl:FOLDER --task super --html ptbxl.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from leadset.classes import label_space
from leadset.commands._data import add_data
from leadset.config import load_label_space, load_lead_names
from leadset.recordings.dataset import counted, fold_order
from leadset.recordings.description import UNKNOWN, Description, describe
from leadset.recordings.importers import open_dataset

GROUP = "prepare data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_data(parser)
    parser.add_argument(
        "--label-space", metavar="NAME", help="classes to count (default: those of the data set, or as configured)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures of examples to this file")


def run(arguments: argparse.Namespace) -> int:
    """Counts and prints; returns the exit status."""
    data = open_dataset(arguments.data, arguments.task, **dict(arguments.data_option))
    space = data.label_space
    if arguments.label_space:
        space = label_space(arguments.label_space)
    elif space is None:
        space = load_label_space(arguments.call.folder)
    description = describe(data, space, load_lead_names(arguments.call.folder))
    print(report(description))
    if arguments.html:
        from leadset.plots.description import write_page

        write_page(description, arguments.html)
        print(f"\npage written to {arguments.html}")
    return 0


def report(description: Description) -> str:
    """The counts as text."""
    space, counts = description.space, description.counts
    width = max(map(len, space.abbreviations))
    lines = [description.data.summary(), "", f"{len(space)} classes of label space {space.name}"]
    classes = zip(space.abbreviations, counts, (d.name for d in space.classes), strict=True)
    lines += [f"  {name:<{width}} {count:>7}  {full if full != name else ''}".rstrip() for name, count, full in classes]
    each = ", ".join(f"{n} ({count})" for n, count in sorted(description.labels_each.items()))
    lines += ["", f"classes in a recording: {each}"]
    if description.other_codes:
        named = [f"{code} ({count})" for code, count in description.other_codes.most_common()]
        lines.append(f"{len(named)} codes are of no class: {', '.join(named)}")
    ages = {}
    for (years, _), count in description.ages.items():
        ages[years] = ages.get(years, 0) + count
    decades = sorted(ages, key=lambda name: (name == UNKNOWN, len(name), name))
    for title, values in (
        ("ages", {name: ages[name] for name in decades}), ("sexes", description.sexes),
        ("durations", description.durations), ("rates", description.rates), ("leads", description.leads),
        ("sources", description.sources),
        ("folds", {name: description.folds[name] for name in sorted(description.folds, key=fold_order)}),
    ):  # fmt: skip
        if values:
            lines.append(f"{title}: {', '.join(f'{name} ({count})' for name, count in values.items())}")
    lines += [f"cannot be read: {line}" for line in counted(description.unreadable)]
    lines += [description.told] if description.told else []
    return "\n".join(lines)
