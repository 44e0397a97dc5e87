"""Cross-validations on real recordings: k-fold, leave one data set out, and a fold of PTB-XL, with baselines.

    python benchmarks/crossval.py DATA WORK              # DATA has challenge/training and ptbxl; hours on two cores
    python benchmarks/crossval.py DATA WORK --collect    # of what is there already

What was interrupted goes on. Writes crossval.csv, one line for each run, lead set and model, crossval_pairs.csv, what a
network gains by tuning, and tables of the reports into docs/results. Entries that have not answered in every fold are
left out and printed; lines of runs that are not in WORK stay as they are.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
from pathlib import Path

from tables import write_table

from leadset.studies.report import TABLES_FOLDER, write_report
from leadset.studies.results import read_results

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "results"
LEADS = ["--leads", "12,2"]
OFFICIAL = ["--protocol", "official", "--test-fold", "9"]
#: By name: the data below DATA, the protocol, and whose calls there are.
RUNS = {
    "kfold": ("challenge/training", ["--protocol", "kfold"], ["untuned", "baselines", "tuned", "tuned_others"]),
    "lodo": ("challenge/training", ["--protocol", "lodo"], ["untuned", "baselines", "tuned", "tuned_others"]),
    "ptbxl_rhythm": ("ptbxl", ["--task", "rhythm", *OFFICIAL], ["baselines", "tuned", "tuned_five"]),
    "ptbxl_super": ("ptbxl", ["--task", "super", *OFFICIAL], ["baselines", "tuned", "tuned_five"]),
}
#: Those that take minutes first.
BASELINES = (
    "logistic_pqrst", "example", "mlp_pqrst", "forest_pqrst", "logistic_statistics", "probe_random", "mlp_statistics",
    "forest_statistics", "lightgbm_pqrst", "lightgbm_statistics", "probe_cnn_heartmaasters", "probe_crnn_pqrst",
    "probe_mvms_net", "probe_resnet34", "probe_resunet_lc", "probe_s4d",
)  # fmt: skip
CALLS = {
    "untuned": ["--no-entry", "--untuned"],
    "tuned": ["--models", "resnet34,crnn_pqrst", "--name", "tuned"],
    "tuned_others": ["--models", "cnn_heartmaasters,resunet_lc,s4d,mvms_net", "--name", "tuned_others"],
    # STAR takes half of the time of the five: it is tuned where there is one fold.
    "tuned_five": ["--models", "cnn_heartmaasters,resunet_lc,s4d,mvms_net,star", "--name", "tuned_others"],
    "baselines": ["--no-entry", "--baselines", ",".join(BASELINES)],
}
#: Tables of a report that are kept.
KEPT = ("scores", "pairs", "classes", "thresholds", "sources", "drops")


def run(name: str, data: Path, work: Path) -> None:
    """Makes the calls of a run."""
    folder, protocol, calls = RUNS[name]
    source = f"ptbxl:{data / folder}" if folder == "ptbxl" else str(data / folder)
    for call in calls:
        words = [sys.executable, "-m", "leadset", "crossval", source, str(work / name), *protocol, *LEADS, *CALLS[call]]
        subprocess.run(words, check=True)


def collect(work: Path) -> dict[str, list[dict[str, str]]]:
    """Reports of all runs that have results; their scores and pairs, a line for each lead set and model."""
    lines: dict[str, list[dict[str, str]]] = {"scores": [], "pairs": []}
    for name in RUNS:
        try:
            results = read_results(work / name)
        except (OSError, ValueError) as error:
            print(f"left out: {error}")
            continue
        for entrant, folds in results.unfinished.items():
            print(f"left out of {name}: {entrant}, which has not answered in fold {', '.join(folds)}")
        against = work / "kfold" if name == "lodo" and (work / "kfold").is_dir() else None
        write_report(work / name, against)
        for table in KEPT:
            path = work / name / TABLES_FOLDER / f"{table}.csv"
            if path.is_file():
                (RESULTS / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, RESULTS / name / path.name)
        for table, kept in lines.items():
            path = work / name / TABLES_FOLDER / f"{table}.csv"
            if path.is_file():
                with open(path, encoding="utf-8") as file:
                    kept += [{"run": name, **line} for line in csv.DictReader(file)]
    return lines


def main() -> None:
    """Runs and collects."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--collect", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    for name in [] if arguments.collect else RUNS:
        run(name, arguments.data, arguments.work)
    for table, lines in collect(arguments.work).items():
        path = HERE / ("crossval.csv" if table == "scores" else f"crossval_{table}.csv")
        made = {line["run"] for line in lines}
        with open(path, encoding="utf-8") as file:
            lines = [line for line in csv.DictReader(file) if line["run"] not in made] + lines
        write_table(path, list(dict.fromkeys(key for line in lines for key in line)), lines)


if __name__ == "__main__":
    main()
