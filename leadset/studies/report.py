"""The report of a cross-validation: tables as CSV and in LaTeX, and one page that a person can read."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from leadset.studies import tables
from leadset.studies.answers import without_seed
from leadset.studies.compared import COMPARED, DRAWS, FREQUENT, compare
from leadset.studies.entrants import ENSEMBLE
from leadset.studies.latex import scores_table
from leadset.studies.page import Page, number, with_interval
from leadset.studies.protocols import PROTOCOLS
from leadset.studies.ranking import MAIN_SCORE, Ranking, pair_lines, rank_lines, rankings
from leadset.studies.report_ranking import add_ranking, add_seeds, ranks_table
from leadset.studies.results import Results, read_results
from leadset.studies.tables import Line
from leadset.utils.files import write_atomically

PAGE_FILE, TABLES_FOLDER = "report.html", "report"
#: The scores that come first, in a terminal and in LaTeX.
MAIN = ("challenge_metric", "auroc", "f1")
#: What the columns of scores are called.
TITLES = {
    "challenge_metric": "Challenge metric", "auroc": "AUROC", "auroc_frequent": "AUROC, frequent classes",
    "auprc": "AUPRC", "f1": "F1", "f2": "F2", "g2": "G2", "precision": "precision", "recall": "recall",
    "specificity": "specificity", "class_accuracy": "accuracy by class", "accuracy": "accuracy (all classes right)",
    "hamming_loss": "Hamming loss", "brier": "Brier score", "calibration_error": "calibration error",
}  # fmt: skip
_BESIDES = (
    "f2", "g2", "precision", "recall", "specificity", "class_accuracy", "accuracy", "hamming_loss", "brier",
    "calibration_error",
)  # fmt: skip
_CLASS_COLUMNS = ("recordings", "auroc", "auprc", "f1", "f2", "g2", "precision", "recall", "specificity")
# What an entrant of each kind is.
_KINDS = {
    "Trained": "trained anew in each fold; a row for each of its networks",
    "TrainedBaseline": "baselines, trained anew in each fold",
    "Given": "trained elsewhere, and here as they are; they may have learnt from what is tested on",
    "Untuned": "the networks that ship, as they are; calibration and thresholds come from the training part",
}
# Recordings that take no part and are named on the page; the table names all.
_NAMED = 200


def write_report(folder: str | Path, against: str | Path | None = None, draws: int = DRAWS) -> Path:
    """Writes tables and page into the folder of a cross-validation; returns the page's path.

    Args:
        folder: of `leadset.studies.crossval.cross_validate`.
        against: the folder of another one, whose scores per source stand beside these.
        draws: resampled data sets of an interval.

    Raises:
        OSError, ValueError: as `read_results`; or the two have no row and source in common.
    """
    folder = Path(folder)
    results = read_results(folder)
    compared = {leads: compare(results, results.of_leads(leads), draws) for leads in results.lead_sets}
    scores = tables.scores(results, compared)
    made: dict[str, list[Line]] = {
        "scores": [line for leads in results.lead_sets for line in _best_first(scores, leads)],
        "classes": tables.classes(results),
        "thresholds": tables.thresholds(results),
        "sources": tables.by_part(results, results.sources),
        "folds": tables.by_part(results, results.folds),
        "cooccurrence": _matrix_lines(results, tables.cooccurrence(results)),
    }
    for leads in results.lead_sets:
        row = tables.reference(results, leads)
        made[f"confusion_{leads}"] = _matrix_lines(results, tables.confusion(results, row))
    if paired := tables.pairs(compared):
        made["pairs"] = paired
    if by_seed := tables.seeds(compared):
        made["seeds"] = by_seed
    ranked = rankings(made)
    made["ranks"] = rank_lines(ranked)
    if tested := pair_lines(ranked):
        made["rank_pairs"] = tested
    if against is not None:
        made["drops"] = tables.drops(results, read_results(against))
        if not made["drops"]:
            raise ValueError(f"{against}: found no model and source that {folder} has too")
    for name, lines in made.items():
        _write_csv(folder / TABLES_FOLDER / f"{name}.csv", lines)
    with write_atomically(folder / PAGE_FILE) as file:
        file.write(_page(results, made, ranked, against))
    for leads in results.lead_sets:
        _write_latex(folder / TABLES_FOLDER, results, leads, made["scores"], ranked)
    return folder / PAGE_FILE


def _write_latex(
    folder: Path, results: Results, leads: str, scores: Sequence[Line], ranked: Sequence[Ranking]
) -> None:
    """The main scores of a lead set, and the ranks by the main one."""
    about = f"{_title(results)}, {leads} leads, {len(results.labels)} recordings."
    of_set = [line for line in scores if line["leads"] == leads]
    ranks = [one for one in ranked if one.leads == leads and one.score == MAIN_SCORE]
    tables = {"scores": scores_table(of_set, {name: TITLES[name] for name in MAIN}, about)}
    if ranks:
        tables["ranks"] = ranks_table(ranks, TITLES, about)
    for name, text in tables.items():
        with write_atomically(folder / f"{name}_{leads}.tex") as file:
            file.write(text)


def _best_first(scores: Sequence[Line], leads: str) -> list[Line]:
    """The lines of a lead set by falling Challenge metric."""
    return sorted((line for line in scores if line["leads"] == leads), key=lambda line: -line["challenge_metric"])


def _matrix_lines(results: Results, values: np.ndarray) -> list[Line]:
    names = results.space.abbreviations
    rows = (dict(zip(names, row, strict=True)) for row in values.tolist())
    return [{"class": name, **row} for name, row in zip(names, rows, strict=True)]


def _write_csv(path: Path, lines: Sequence[Line]) -> None:
    columns = list(dict.fromkeys(key for line in lines for key in line))
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for line in lines:
            writer.writerow([_cell(line.get(column, "")) for column in columns])


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4f}" if np.isfinite(value) else ""
    return value


# --- the page ------------------------------------------------------------------------------------------------------


def _title(results: Results) -> str:
    title = PROTOCOLS[results.about["protocol"]["name"]].title
    return f"{title[:1].upper()}{title[1:]}: {results.about['data']['name']}"


def _page(
    results: Results, made: Mapping[str, list[Line]], ranked: Sequence[Ranking], against: str | Path | None
) -> str:
    page = Page(_title(results))
    _introduce(page, results)
    _scores(page, results, made["scores"])
    add_seeds(page, results, made["scores"], TITLES)
    add_ranking(page, ranked, TITLES)
    _pairs(page, made.get("pairs", []))
    _thresholds(page, made["thresholds"])
    _sources(page, results, made["sources"], made.get("drops"), against)
    _classes(page, results, made["classes"])
    if find_spec("matplotlib") is None:
        page.section("Figures")
        page.text("Figures need matplotlib: pip install leadset[plots], then leadset report again.")
    else:
        from leadset.studies.report_figures import add_figures

        add_figures(page, results, made, ranked)
    _recordings(page, results)
    _provenance(page, results)
    return page.html()


def _introduce(page: Page, results: Results) -> None:
    folds = list(dict.fromkeys(results.folds.tolist()))
    labels = results.labels
    page.text(
        f"{len(labels)} recordings of {len(set(results.groups))} patients (copies of a signal count as one patient's) "
        f"from {len(set(results.sources))} data sets, tested on in {len(folds)} folds. {len(results.space)} classes of "
        f"{results.space.name}, {int(labels.any(axis=0).sum())} of them with recordings. No recording is answered by a "
        "network that learnt from its patient. Thresholds, weights and calibration come from training parts."
    )
    page.text(" ".join(_who(results)), note=True)
    if results.unfinished:
        lacking = "; ".join(f"{name}: {', '.join(folds)}" for name, folds in results.unfinished.items())
        page.text(f"Not in this report, as folds are not answered yet: {lacking}.")
    starts = {  # of networks that are tuned, and of probes
        name: {about["configuration"].get("start", {}).get("weights"), about.get("weights", {}).get("weights")}
        for name, about in results.entrants.items()
    }
    named = [name for name, weights in starts.items() if "shipped" in weights]
    if named:
        page.text(f"Careful: {', '.join(named)} started from weights that may have learnt from these recordings.")


def _who(results: Results) -> Iterator[str]:
    """What the names of models stand for, a sentence for each kind of entrant."""
    by_kind: dict[str, list[str]] = {}
    for name, about in results.entrants.items():
        if name not in results.unfinished:
            by_kind.setdefault(about["kind"], []).append(about["note"] or without_seed(name))
    for kind, names in by_kind.items():
        yield f"{', '.join(dict.fromkeys(names))}: {_KINDS.get(kind, kind)}."
    if any(row.model.partition(" (")[0] == ENSEMBLE for row in results.rows):
        yield f"{ENSEMBLE}: several networks of an entry, joined with weights of the training part."


def _scores(page: Page, results: Results, lines: Sequence[Line]) -> None:
    page.section("Scores")
    page.text(
        f"With 95 % bootstrap intervals over patients{_and_seeds(results)} ({DRAWS} draws, the same for all rows). "
        "Differences are paired, to the shaded row of the same lead set. F2 and G2 are the F- and G-measure of the "
        "Challenge 2020. Means over classes leave out classes without recordings; "
        f"frequent ones have {FREQUENT} recordings or more, aliases included. {_weights(results)}",
        note=True,
    )
    for leads in results.lead_sets:
        of_set = [line for line in lines if line["leads"] == leads]
        page.heading(f"{leads} leads" if leads.isdigit() else leads)
        head = ["model", *(TITLES[name] for name in COMPARED), "Challenge metric, difference"]
        page.table(
            head, [_score_cells(line) for line in of_set], [i for i, line in enumerate(of_set) if line["reference"]]
        )
        cells = [[number(line["model"]), *(number(line[name]) for name in _BESIDES)] for line in of_set]
        page.table(["model", *(TITLES[name] for name in _BESIDES)], cells)


def _and_seeds(results: Results) -> str:
    return " and seeds" if any(len(seeds) > 1 for seeds in results.seeds.values()) else ""


def _weights(results: Results) -> str:
    if results.space.weight_file is None:
        return f"The Challenge metric takes equal weights, as {results.space.name} has none of its own."
    return ""


def _score_cells(line: Line) -> list[str]:
    def cell(name: str, sign: str = "") -> str:
        return with_interval(line[name], line[f"{name}_low"], line[f"{name}_high"], sign)

    difference = "reference" if line["reference"] else cell("challenge_metric_difference", "+")
    return [number(line["model"]), *map(cell, COMPARED), difference]


def _pairs(page: Page, lines: Sequence[Line]) -> None:
    if not lines:
        return
    page.section("The same model in several entries")
    page.text("What the first gains over the second, with paired 95 % intervals, such as by tuning.", note=True)
    rows = []
    for line in lines:
        names = (f"{name}_difference" for name in COMPARED)
        gains = [with_interval(line[name], line[f"{name}_low"], line[f"{name}_high"], "+") for name in names]
        rows.append([number(_of(line)), number(line["other"]), *gains])
    page.table(["first", "second", *(TITLES[name] for name in COMPARED)], rows)


def _thresholds(page: Page, lines: Sequence[Line]) -> None:
    page.section("Thresholds")
    page.text(
        "Training part: fitted there, and used for the scores above. Fixed: one half for every class. Oracle: fitted "
        "to the labels of the very recordings that are scored, as some publications do; it is no result, and shows "
        "what better thresholds could add.",
        note=True,
    )
    ways = ("validation", "fixed", "oracle")
    names = ("training part", "fixed at 0.5", "oracle (knows the labels)")
    head = [f"{title}, {name}" for title in ("Challenge metric", "F1") for name in names]
    columns = [f"{score}_{way}" for score in ("challenge_metric", "f1") for way in ways]
    rows = [[number(_of(line)), *(number(line[column]) for column in columns)] for line in lines]
    page.table(["model", *head], rows)


def _of(line: Line) -> str:
    """A model with its lead set."""
    return f"{line['model']}, {line['leads']} leads" if line["leads"].isdigit() else f"{line['model']}, {line['leads']}"


def _sources(
    page: Page, results: Results, lines: Sequence[Line], drops: Sequence[Line] | None, against: str | Path | None
) -> None:
    page.section("Data sets")
    page.text(
        "The Challenge metric on the recordings of each data set alone, few as they may be. 0 is what always answering "
        "sinus rhythm scores, so that it falls far below 0 where nearly all recordings are normal.", note=True,
    )  # fmt: skip
    sources = list(dict.fromkeys(line["part"] for line in lines))
    counts = {line["part"]: line["recordings"] for line in lines}
    by_row: dict[str, dict[str, Line]] = {}
    for line in lines:
        by_row.setdefault(_of(line), {})[line["part"]] = line
    cells = [[number(of), *(number(parts[s]["challenge_metric"]) for s in sources)] for of, parts in by_row.items()]
    page.table(["model", *(f"{source} ({counts[source]})" for source in sources)], cells)
    if drops:
        other, both = Path(against).name, ("challenge_metric", "auroc")
        page.heading(f"Beside {other}")
        page.text(f"The same models on the same data sets in {other}, and the difference to it.", note=True)
        columns = [f"{score}{end}" for score in both for end in ("_other", "", "_difference")]
        head = [f"{TITLES[score]}, {what}" for score in both for what in ("there", "here", "difference")]
        rows = [[number(line["part"]), number(_of(line)), *(number(line[c]) for c in columns)] for line in drops]
        page.table(["data set", "model", *head], rows)


def _classes(page: Page, results: Results, lines: Sequence[Line]) -> None:
    page.section("Classes")
    page.text(
        "In the order of the label space; classes without recordings are left out here. Aliases of the label space "
        f"count. A dash: not defined, as nothing was decided. {TABLES_FOLDER}/classes.csv has those of every model.",
        note=True,
    )
    for leads in results.lead_sets:
        row = tables.reference(results, leads)
        chosen = [line for line in lines if (line["model"], line["leads"]) == row and line["recordings"]]
        page.heading(_of(chosen[0]))
        cells = [[number(line["class"]), *(number(line[column]) for column in _CLASS_COLUMNS)] for line in chosen]
        page.table(["class", *(TITLES.get(column, column) for column in _CLASS_COLUMNS)], cells)


def _recordings(page: Page, results: Results) -> None:
    page.section("Recordings")
    folds = list(dict.fromkeys(sorted(results.folds.tolist(), key=lambda name: (len(name), name))))
    rows = []
    for source in np.unique(results.sources):
        here = results.sources == source
        rows.append([number(str(source)), *(str(int((here & (results.folds == fold)).sum())) for fold in folds)])
    page.table(["data set", *(f"fold {fold}" for fold in folds)], rows)
    if results.dropped:
        page.text(f"{len(results.dropped)} recordings take no part; dropped.csv names them.")
        listed = "\n".join(f"{line['recording']}: {line['reason']}" for line in results.dropped[:_NAMED])
        page.details("which, and why", listed)
    else:
        page.text("No recording was dropped.")


def _provenance(page: Page, results: Results) -> None:
    page.section("How it was made")
    about = results.about
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    page.text(f"Fingerprint of the data {about['data']['fingerprint']}; {versions}. The division is in folds.csv.")
    page.details("protocol and data", about)
    for name, values in results.entrants.items():
        if name == without_seed(name) or without_seed(name) not in results.entrants:  # seeds differ in nothing else
            page.details(f"entrant {name}: every value of its configuration", values)
