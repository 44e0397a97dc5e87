"""``leadset doctor DATA``: check a folder of recordings: what is in it, what is odd about it, what training will skip.

Examples:
    leadset doctor data
    leadset doctor data -o audit.csv
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leadset.classes import LabelSpace, label_space
from leadset.commands._data import add_data, open_data
from leadset.config import load_label_space, load_lead_names
from leadset.leads import LEADS, lead_set_name
from leadset.recordings.errors import kind_of
from leadset.recordings.find import Found, survey
from leadset.signals import FLAGS, PREPARING_FLAGS
from leadset.utils.text_tables import aligned

if TYPE_CHECKING:
    from leadset.recordings.audit import Audit

GROUP = "prepare data"

_EXAMPLES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    add_data(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write one line per recording to this CSV file")
    parser.add_argument("--label-space", metavar="NAME", help="classes to count (default: as configured)")
    parser.add_argument(
        "-j", "--jobs", type=_processes, metavar="N",
        help="worker processes, -1: one per core (default: one for a few hundred recordings, one per core for more)",
    )  # fmt: skip


def _processes(words: str) -> int:
    if not re.fullmatch(r"-1|0*[1-9]\d*", words):
        raise argparse.ArgumentTypeError(f"found {words!r}, expected a number of processes, or -1 for one per core")
    return int(words)


def run(arguments: argparse.Namespace) -> int:
    """Audits the folder; returns 0, or 1 if not one recording can be used."""
    from leadset.recordings.audit import audit_folder, write_csv

    names, data = load_lead_names(arguments.call.folder), None
    named = arguments.label_space
    space = label_space(named) if named else load_label_space(arguments.call.folder)
    if Path(arguments.data).is_dir() and not (arguments.task or arguments.data_option):
        contents, folder = survey(arguments.data), arguments.data
    else:
        data = open_data(arguments)
        contents, folder = Found(data.paths), data.folder
        space = space if named or data.label_space is None else data.label_space
        print()
    rows = audit_folder(folder, contents.headers, space, arguments.jobs, names, data)
    print(report(rows, space, contents))
    if arguments.output:
        write_csv(rows, arguments.output)
        print(f"\n{len(rows)} lines written to {arguments.output}")
    if all(row.error for row in rows):
        none = f"none of {len(rows)} recordings can be used" if rows else "no recording in it or below"
        print(f"leadset doctor: {arguments.data}: {none}, expected .hea files with their signals", file=sys.stderr)
        return 1
    return 0


def report(rows: Sequence[Audit], space: LabelSpace, contents: Found | None = None) -> str:
    """The audit as text: sources, classes, other codes, oddities, repeats, what will be skipped, what is not read."""
    parts = [
        _sources(rows), _classes(rows, space), _other_codes(rows, space),
        _oddities(rows), _repeats(rows), _skipped(rows),
    ] if rows else []  # fmt: skip
    parts += [_others(contents)] if contents and contents.others else []
    return "\n\n".join(part for part in parts if part)


def _sources(rows: Sequence[Audit]) -> str:
    heading = "source recordings skipped dialect Hz leads seconds scored unscored unlabelled"
    lines = [tuple(heading.split())]
    sources = {row.source for row in rows}
    groups = [(source, [row for row in rows if row.source == source]) for source in sorted(sources)]
    for source, members in [*groups, ("all", rows)] if len(groups) > 1 else groups:
        labels = Counter(row.labels for row in members)
        lines.append((
            source, len(members), sum(bool(row.error) for row in members),
            _shares(row.dialect for row in members),
            _shares(f"{row.fs:g}" for row in members if row.fs),
            _shares(_lead_set(row) for row in members if row.leads),
            _range([row.seconds for row in members if row.seconds]),
            labels["scored"], labels["unscored"], labels["none"],
        ))
    return aligned(lines)


def _classes(rows: Sequence[Audit], space: LabelSpace) -> str:
    counts = Counter(name for row in rows for name in row.scored)
    lines = [("class", "recordings", "name")]
    lines += [(d.abbreviation, counts[d.abbreviation], d.name) for d in space.classes]
    return f"{len(space)} classes of label space {space.name}\n{aligned(lines)}"


def _other_codes(rows: Sequence[Audit], space: LabelSpace) -> str:
    """Codes that are aliases of a class, words that are the name of one, and codes of no class."""
    counts = Counter(code for row in rows for code in row.codes if code not in space.index)
    lines = [
        f"code {code}, in {counts[code]} recordings, is trained as {d.abbreviation}; scores take no notice of it"
        for d in space.classes for code in d.aliases if counts[code]
    ]  # fmt: skip
    unknown = [(code, n) for code, n in counts.most_common() if code not in space.training_index]
    named = {word.casefold(): d for d in space.classes for word in (d.abbreviation, d.name)}
    lines += [
        f"word {code!r}, in {n} recordings, is the name of {d.abbreviation}, but no code: it does not count, "
        f"{d.codes[0]} would"
        for code, n in unknown if (d := named.get(code.casefold()))
    ]  # fmt: skip
    if unknown:
        without = sum(not space.training_index.keys() & set(row.codes) for row in rows if row.codes)
        listed = _few([f"{code} ({n})" for code, n in unknown])
        lines.append(f"{len(unknown)} codes are of no class: {listed}; {without} recordings have none but such codes")
    return "\n".join(lines)


def _oddities(rows: Sequence[Audit]) -> str:
    counts = Counter(flag for row in rows for flag in {flag.partition(":")[0] for flag in row.flags})
    lines = [("flag", "recordings", "meaning")]
    lines += [(flag, count, {**FLAGS, **PREPARING_FLAGS}.get(flag, "")) for flag, count in counts.most_common()]
    return aligned(lines) if counts else ""


def _repeats(rows: Sequence[Audit]) -> str:
    copies = [f"{row.path} = {row.duplicate_of}" for row in rows if row.duplicate_of]
    patients = Counter(row.patient for row in rows if row.patient)
    namesakes = [f"{row.path} = {row.same_stem_as}" for row in rows if row.same_stem_as]
    lines = []
    if copies:
        lines.append(f"{len(copies)} with the heartbeats of another (a split keeps them together): {_few(copies)}")
    if patients:
        several = sum(count > 1 for count in patients.values())
        known = f"{patients.total()} recordings name their patient"
        lines.append(f"{known}: {len(patients)} patients, {several} of them with several recordings")
    if namesakes:
        told_apart = "answers have their folder, or their ending, in the name"
        lines.append(f"{len(namesakes)} with the file name of another ({told_apart}): {_few(namesakes)}")
    return "\n".join(lines)


def _skipped(rows: Sequence[Audit]) -> str:
    """Reasons that differ in names and numbers only are reported once, by the first of them."""
    reasons: dict[str, list[Audit]] = {}
    for row in rows:
        if row.error:
            reasons.setdefault(kind_of(_reason(row), row.name), []).append(row)
    if not reasons:
        return f"None of {len(rows)} recordings will be skipped."
    kinds = sorted(reasons.values(), key=len, reverse=True)
    lines = [f"{sum(map(len, kinds))} of {len(rows)} recordings will be skipped:"]
    lines += [f"{len(kind):>6} × {_reason(kind[0])}: {_few([row.path for row in kind])}" for kind in kinds]
    return "\n".join(lines)


def _others(contents: Found) -> str:
    """The files that look like recordings and are not read, by what they are."""
    kinds: dict[str, list[str]] = {}
    for path, kind in contents.others.items():
        kinds.setdefault(kind, []).append(path.name)
    lines = [f"{len(contents.others)} files look like recordings and are not read:"]
    lines += [f"{len(names):>6} × {kind}: {_few(names)}" for kind, names in kinds.items()]
    return "\n".join(lines)


def _reason(row: Audit) -> str:
    """The error without the file in front of it, but with its line."""
    file, _, reason = row.error.partition(": ")
    line = re.search(r", line \d+$", file)
    return reason + (line[0] if line else "")


def _lead_set(row: Audit) -> str:
    return lead_set_name(row.leads) if set(row.leads) <= set(LEADS) else ",".join(row.leads)


def _shares(values: Iterable[str]) -> str:
    """Distinct values, most frequent first; counts where there are several."""
    counts = Counter(value for value in values if value).most_common()
    return _few([f"{value} ({count})" if len(counts) > 1 else value for value, count in counts])


def _range(values: Sequence[float]) -> str:
    """Smallest and largest value, one if they agree."""
    return "–".join(dict.fromkeys(f"{value:.5g}" for value in (min(values), max(values)))) if values else ""


def _few(items: Sequence[str]) -> str:
    """The first items, and how many more there are."""
    more = f", {len(items) - _EXAMPLES} more" if len(items) > _EXAMPLES else ""
    return ", ".join(items[:_EXAMPLES]) + more
