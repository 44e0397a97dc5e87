"""``leadset stress``: test an entry with altered data and surroundings, as a table with pass or fail.

The entry is a folder that follows the Challenge's contract (train_model.py, test_model.py, team_code.py,
helper_code.py), of this kit or any other; it runs in processes of its own. Exit status 1: a check failed.

Examples:
    leadset stress --list
    leadset stress --entry FOLDER --html stress.html
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

from leadset.utils.files import folder_to_write

GROUP = "submit, share, serve"

# Simulated recordings: so many are learnt from and asked about.
_TRAINING, _TEST, _SEED = 80, 40, 8
# Share of a folder of recordings that is asked about.
_TEST_SHARE = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("--entry", type=Path, metavar="FOLDER", help="folder of the entry (default: this kit, small)")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="headers and .mat files with labels (default: simulated recordings)"
    )
    parser.add_argument("--work", type=folder_to_write, metavar="FOLDER",
                        help="new folder for models, outputs and logs: kept")
    parser.add_argument("--only", type=lambda words: words.split(","), default=[], metavar="NAMES",
                        help="checks, with commas between (default: all)")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the checks and what they show")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table to this file")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the table as a page to this file")
    parser.add_argument(
        "--drivers", type=Path, metavar="FOLDER",
        help="folder of the organisers' scripts (default: some written after their description)",
    )  # fmt: skip
    parser.add_argument("--python", default=sys.executable, metavar="FILE", help="interpreter that runs the entry")
    parser.add_argument("--limit", type=float, default=math.inf, metavar="SECONDS",
                        help="time that one program of the entry may take (default: any)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Runs the checks; returns 1 if one failed."""
    from leadset.stress.registry import list_checks

    checks = list_checks(arguments.only)
    if arguments.list:
        for check in checks:
            print(f"{check.name:<18}{check.shows}")
        return 0
    if arguments.work is None:
        with tempfile.TemporaryDirectory(prefix="leadset-stress-") as folder:
            return _run(arguments, checks, Path(folder))
    arguments.work.mkdir(parents=True, exist_ok=True)
    if any(arguments.work.iterdir()):
        raise ValueError(f"{arguments.work}: found a folder with files in it, expected an empty or a new one")
    return _run(arguments, checks, arguments.work)


def _run(arguments: argparse.Namespace, checks: list, work: Path) -> int:
    from tqdm import tqdm

    from leadset.stress.bench import Bench
    from leadset.stress.recordings import gather, simulate_flat, split
    from leadset.stress.suite import FAILED, check_entry, own_entry, run_checks
    from leadset.stress.table import line, summary, write_csv, write_page

    work = work.resolve()
    entry, environment = own_entry(work) if arguments.entry is None else (check_entry(arguments.entry), {})
    if arguments.data is None:
        paths = simulate_flat(work / "recordings", _TRAINING + _TEST, _SEED)
        training, test, data = paths[:_TRAINING], paths[_TRAINING:], f"{len(paths)} simulated recordings"
    else:
        training, test = split(gather(arguments.data, work / "recordings"), _TEST_SHARE, _SEED)
        data = f"{arguments.data}: {len(training)} recordings to learn from, {len(test)} to answer"
    bench = Bench(entry, work, training, test, arguments.python, arguments.drivers, environment, arguments.limit)
    results = []
    print(f"entry: {entry}\ndata: {data}")
    for result in tqdm(run_checks(checks, bench), "stress", len(checks), unit="check", leave=False):
        tqdm.write(line(result))
        results.append(result)
        if arguments.csv:
            write_csv(arguments.csv, results)
    print(summary(results))
    if arguments.html:
        write_page(arguments.html, results, str(entry), data)
    return int(any(result.result == FAILED for result in results))
