"""``leadset explain RECORD… -o FOLDER``: show what the answers about recordings rest on, by sample, wave and lead.

With ``--population`` it sums up the explanations of many recordings; with ``--check`` it tests the method itself on
simulated recordings, and exits with 1 where a check fails.

Examples:
    leadset explain data/A0001.hea -o why
    leadset explain data -o why --classes AF,RBBB --population
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from leadset.commands._data import Records, add_records, find_records, options_of_data_sets
from leadset.utils.files import folder_to_write, write_atomically

GROUP = "look at recordings and answers"

if TYPE_CHECKING:
    from leadset.entry import Entry
    from leadset.explain import Explanation
    from leadset.explain.answers import Answering
    from leadset.explain.population import ClassPopulation

_CHECK_FILE, _POPULATION = "checks.csv", "population"
_CHECKED = 12
# Seconds after which a recording that takes longer gets a bar of its own.
_QUIET_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_records(parser, "*")
    parser.add_argument("-o", "--output", type=folder_to_write, metavar="FOLDER",
                        help="where the files go: NAME.json, NAME.csv, NAME.npz, and two pictures of each class")
    parser.add_argument("--entry", metavar="MODEL", help="folder of a trained entry (default: the one that ships)")
    parser.add_argument("--onnx", metavar="FOLDER", help="explain what `leadset export` wrote, by occlusion")
    parser.add_argument("--classes", type=lambda words: words.split(","), metavar="NAMES",
                        help="what to explain, with commas between, such as AF,RBBB (default: what is decided)")
    parser.add_argument("--method", metavar="NAME",
                        help="typical: by way of the recording's typical beat (default), eg: expected gradients, "
                             "ig: integrated gradients, occlusion (default of baselines and exported entries)")
    parser.add_argument("--background", type=Path, metavar="DATA",
                        help="normal recordings that typical and eg start from (default: simulated ones)")
    parser.add_argument("--layout", default="12x1", help="of the sheet, as of leadset sheet (default: %(default)s)")
    parser.add_argument("--no-pictures", action="store_true", help="write numbers alone")
    parser.add_argument("--population", action="store_true",
                        help="sum up all recordings by class, lead and wave instead of drawing each of them")
    parser.add_argument("--check", action="store_true", help="test the method on simulated recordings")
    parser.add_argument("--recordings", type=int, default=_CHECKED, metavar="N",
                        help="of each check (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Explains, sums up or checks; returns 1 if a recording could not be explained or a check failed, else 0."""
    from leadset.explain import DEFAULT_METHOD, METHODS

    if arguments.method not in (None, *METHODS):
        arguments.call.usage_error(f"found --method {arguments.method}, expected one of {', '.join(METHODS)}")
    if bool(arguments.records) == arguments.check:
        arguments.call.usage_error("expected recordings to explain, or --check without any")
    if arguments.check and (given := options_of_data_sets(arguments)):
        arguments.call.usage_error(f"found {given[0]} with --check, which takes no recordings")
    if arguments.output is None and not arguments.check:
        arguments.call.usage_error("expected -o FOLDER for the explanations")
    if arguments.onnx and (arguments.entry or arguments.check):
        arguments.call.usage_error("found --onnx with --entry or --check, expected one of them")
    entry = _opened(arguments)
    if arguments.check:
        arguments.method = arguments.method or DEFAULT_METHOD
        return _check(entry, arguments)
    return _explain(entry, arguments)


def _opened(arguments: argparse.Namespace) -> Answering:
    from leadset.config import load_lead_names

    names = load_lead_names(arguments.call.folder)
    if arguments.onnx:
        from leadset.deploy.runtime import OnnxEntry

        return OnnxEntry(arguments.onnx, lead_names=names)
    from leadset.entry import load_entry

    return load_entry(arguments.entry, lead_names=names)


# --- recordings ----------------------------------------------------------------------------------------------------


def _explain(entry: Answering, arguments: argparse.Namespace) -> int:
    from leadset.explain.explanation import class_index
    from leadset.recordings.names import distinct_names

    for name in arguments.classes or ():
        class_index(entry.space, name)  # a wrong name is no fault of a recording
    if not arguments.no_pictures:
        from leadset.plots.paper import require_matplotlib

        require_matplotlib()
    records = find_records(arguments.records, arguments)
    paths = records.paths
    names = distinct_names(paths)
    failed = done_before = 0
    bar = tqdm(list(zip(paths, names, strict=True)), unit="recording", disable=len(paths) == 1)
    for path, name in bar:
        if _is_done(entry, name, arguments):
            done_before += 1
        else:
            failed += not _explain_one(entry, records, path, name, arguments)
    if done_before:
        print(f"{done_before} recordings were explained before, with the same settings")
    print(f"{len(paths) - failed} of {len(paths)} recordings explained in {arguments.output}")
    if arguments.population:
        _sum_up(names, arguments)
    return 1 if failed else 0


def _settings(entry: Answering, arguments: argparse.Namespace) -> dict[str, Any]:
    """What an explanation depends on besides its recording."""
    return {
        "entry": str(entry.folder.resolve()), "classes": arguments.classes, "method": arguments.method,
        "background": arguments.background and str(arguments.background),
        "pictures": None if arguments.population or arguments.no_pictures else arguments.layout,
    }  # fmt: skip


def _is_done(entry: Answering, name: str, arguments: argparse.Namespace) -> bool:
    """Whether a file of an earlier call explains the recording with the same settings."""
    try:
        values = json.loads((arguments.output / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return "classes" in values and values.get("settings") == _settings(entry, arguments)


def _explain_one(
    entry: Answering, records: Records, path: Path, name: str, arguments: argparse.Namespace
) -> bool:
    """Writes the files of a recording; whether it could be explained. A reason takes the place of what cannot be."""
    from leadset.explain import UnexplainedError, explain
    from leadset.explain.report import plain_explanation, write_json, write_tables
    from leadset.recordings import ReadError

    target = arguments.output / f"{name}.json"
    recording = None
    try:
        recording = records.read(path, entry.lead_names)
        background = _background(entry, recording, arguments)
        with tqdm(desc=name, unit="step", leave=False, delay=_QUIET_S) as steps:
            explanation = explain(entry, recording, arguments.classes, arguments.method, background, steps.update)
    except (ReadError, OSError, ValueError) as error:
        tqdm.write(f"not explained: {path}: {error}", file=sys.stderr)
        write_json({"recording": name, "not_explained": str(error)}, target)
        if isinstance(error, UnexplainedError) and not (arguments.no_pictures or arguments.population):
            _draw_unexplained(recording, arguments.output / f"{name}.png")
        return False
    write_tables(explanation, name, arguments.output)
    if not arguments.population:
        print(_described(explanation, name))
        if not arguments.no_pictures:
            _draw(entry, explanation, name, arguments)
    write_json(plain_explanation(explanation, name) | {"settings": _settings(entry, arguments)}, target)
    return True


def _background(entry: Entry, recording: Any, arguments: argparse.Namespace) -> Any:
    """The background that was asked for, on the leads that answer for this recording; None: the simulated one."""
    if arguments.background is None:
        return None
    from leadset.explain.background import recorded_normals

    leads = entry.prepare(recording).leads
    return recorded_normals(entry, leads, arguments.background) if leads else None


def _described(explanation: Explanation, name: str) -> str:
    """A few lines for a person: of each class the leads and waves that it rests on most."""
    from leadset.explain import WAVES

    lines = [f"{name}: {explanation.seconds:.1f} s"]
    for one in explanation.classes:
        shares = one.shares(explanation.segments)
        first = [f"{explanation.leads[i]} {shares[i].sum():.0%}" for i in np.argsort(-shares.sum(axis=1))[:4]]
        waves = [f"{WAVES[j]} {shares[:, j].sum():.0%}" for j in np.argsort(-shares.sum(axis=0))[:4]]
        error = "" if np.isnan(one.completeness_error) else f"; completeness error {one.completeness_error:.2%}"
        mark = "*" if one.decided else " "
        lines.append(f"  {mark} {one.probability:6.1%}  {one.name:<8} {', '.join(first)}; {', '.join(waves)}{error}")
        if one.steps:
            added = ", ".join(f"{name} {value:+.2f}" for name, value in one.steps.items())
            lines.append(f"{'':21}log odds: normal beats {one.baseline:.2f}, {added}, recording {one.log_odds:.2f}")
    return "\n".join([*lines, *(f"    note: {note}" for note in explanation.notes)])


def _draw(entry: Answering, explanation: Explanation, name: str, arguments: argparse.Namespace) -> None:
    """``NAME-CLASS.png``, the sheet with the map, and ``NAME-CLASS-parts.png``, the sums by lead and wave."""
    from leadset.explain import WAVES
    from leadset.plots import SheetOptions, draw_sheet, findings_of, save_sheet
    from leadset.plots.attributions import attribution_layer, draw_parts
    from leadset.waves import assess
    from leadset.waves.measurements import measure

    answer, recording = findings_of(explanation.answer, entry.space), explanation.recording
    marks, signal = explanation.delineation, (recording.signal, recording.fs, recording.leads)
    quality = explanation.answer.quality or assess(*signal, marks)
    measured = measure(*signal, delineation=marks, quality=quality, age=recording.age, sex=recording.sex)
    for one in explanation.classes:
        start, strongest = next(iter(explanation.maps_by_second(one).items()))
        layer = attribution_layer(strongest, explanation.rate, explanation.leads, one.name, start)
        options = SheetOptions(arguments.layout, start=start)
        sheet = draw_sheet(
            recording, options, quality=quality, measurements=measured, attribution=layer, answer=answer
        )  # fmt: skip
        save_sheet(sheet, arguments.output / f"{name}-{one.name}.png", dpi=150)
        sums = one.sums(explanation.segments).sum(axis=1)
        parts = dict(zip(explanation.leads, sums.tolist(), strict=True)) | one.extra
        figure = draw_parts(
            f"{name}: {one.name}, probability {one.probability:.1%}", one.baseline, one.log_odds, parts,
            one.shares(explanation.segments), explanation.leads, WAVES,
        )  # fmt: skip
        save_sheet(figure, arguments.output / f"{name}-{one.name}-parts.png", dpi=110)


def _draw_unexplained(recording: Any, path: Path) -> None:
    """A sheet that says why there is nothing to explain."""
    from leadset.plots import draw_measured_sheet, save_sheet

    save_sheet(draw_measured_sheet(recording, show_marks=False, answer=()), path, dpi=150)


# --- many recordings -----------------------------------------------------------------------------------------------


def _sum_up(names: list[str], arguments: argparse.Namespace) -> None:
    """Writes ``population.csv`` and its pictures from the files of the recordings."""
    from leadset.explain.population import COLUMNS, populations

    read = [json.loads((arguments.output / f"{name}.json").read_text(encoding="utf-8")) for name in names]
    found = populations(read)
    if not found:
        raise ValueError(f"{arguments.output}: no recording could be explained, so there is nothing to sum up")
    with write_atomically(arguments.output / f"{_POPULATION}.csv") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for one in found:
            table.writerows(one.rows())
    used = {recording for one in found for recording in one.recordings}
    print(f"{len(used)} recordings on {len(found[0].leads)} leads summed up by {len(found)} classes: "
          f"{arguments.output / _POPULATION}.csv")  # fmt: skip
    if not arguments.no_pictures:
        _draw_population(found, arguments.output)


def _draw_population(found: list[ClassPopulation], folder: Path) -> None:
    from leadset.plots import save_sheet
    from leadset.plots.attributions import draw_population, draw_ranking, draw_swarm

    leads, waves = found[0].leads, found[0].waves
    figure = draw_population(
        "What answers rest on: mean shares of the absolute attribution",
        [f"{one.name} ({len(one.recordings)})" for one in found], np.array([o.lead_shares().value for o in found]),
        leads, np.array([o.wave_shares().value for o in found]), waves,
    )  # fmt: skip
    save_sheet(figure, folder / f"{_POPULATION}.png", dpi=110)
    for one in found:
        title = f"{one.name}, {len(one.recordings)} recordings"
        save_sheet(draw_swarm(title, one.features()), folder / f"{_POPULATION}-{one.name}-swarm.png", dpi=110)
        shares = one.lead_shares()
        figure = draw_ranking(
            title, leads, shares.value, shares.low, shares.high, "mean share of the lead, 95 % interval", 1 / len(leads)
        )
        save_sheet(figure, folder / f"{_POPULATION}-{one.name}-leads.png", dpi=110)


# --- the method itself ---------------------------------------------------------------------------------------------


def _check(entry: Entry, arguments: argparse.Namespace) -> int:
    from leadset.explain.checks import CHECKS, COLUMNS, run_checks

    if arguments.recordings < 1:
        arguments.call.usage_error(f"found --recordings {arguments.recordings}, expected 1 or more")
    checks = []
    with tqdm(total=len(CHECKS) * arguments.recordings, unit="recording") as bar:
        for check in run_checks(entry, arguments.method, arguments.recordings, bar.update):
            checks.append(check)
            tqdm.write(str(check))
    if arguments.output is not None:
        with write_atomically(arguments.output / _CHECK_FILE) as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(check.row() for check in checks)
    failed = sum(not check.passed for check in checks)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    return 1 if failed else 0
