"""Fuzzing: damaged inputs against everything that reads files; counts results, errors as they should be, and faults.

    python benchmarks/fuzz.py [TARGET…] [--minutes 0.5] [--seed 0] [--atheris] [--keep FOLDER] [--add]

Targets and the property that must hold are in `tests/fuzz_targets.py`, the damage in `tests/fuzz_edits.py`. Each target
runs in a process of its own, whose memory is limited and measured. With ``--atheris`` (extra ``fuzz``) the search is
guided by what code an input reaches. A fault is any other exception, a message that names no file, an unsound result,
more than 20 seconds of the processor, or memory beyond ten times the input (and a fixed share for the interpreter).
Faulty inputs are kept in FOLDER, and can be given to ``--replay``. With ``--add`` (and another ``--seed``) the counts
are added to those of the table; its last row is of all targets.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

from tables import write_table

ROOT = Path(__file__).parents[1]
COLUMNS = ("target", "search", "inputs", "results", "errors", "faults", "longest_s", "memory_mb", "seconds")
_SUMS = ("inputs", "results", "errors", "faults", "seconds")
#: Seconds of the processor that one input may take, and seconds of waiting.
LONGEST_S, _LONGEST_WAIT_S = 20, 300
#: Memory beyond which a call's growth is a fault: times the input, and MB besides.
TIMES, BESIDES_MB = 10, 64
#: Address space in GB that a process may have more than it begins with.
_ADDRESSES_GB = 2
#: Where inputs are written: in memory, where that is possible.
_SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _status_mb(key: str) -> float:
    """Memory of this process: ``VmHWM``, ``VmRSS`` or ``VmSize``."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{key}:")[2].split()[0]) / 1e3


_NOTHING = {"inputs": 0, "result": 0, "error": 0, "longest_s": 0.0, "memory_mb": 0.0, "seconds": 0.0}


class Run:
    """One process's work on a target: tries inputs, and counts.

    Args:
        name: of the target.
        state: the file of the counts, which the starting process reads.
        keep: folder of faulty inputs.
    """

    def __init__(self, name: str, state: Path, keep: Path) -> None:
        from fuzz_targets import TARGETS

        self.target, self.state, self.keep, self.name = TARGETS[name], state, keep, name
        self.counts = {**_NOTHING, "faults": {}}
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_SCRATCH))
        self.seeds = self.target.seeds()
        self.written, self.started = 0.0, time.process_time()
        for files in self.seeds:  # also loads what is imported when first needed
            self._call(files)

    def limit(self) -> None:
        """Limits memory; called when everything is loaded."""
        most = int((_status_mb("VmSize") + 1e3 * _ADDRESSES_GB) * 1e6)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def _call(self, files: dict[str, bytes]) -> str:
        from fuzz_targets import judge

        shutil.rmtree(self.folder)
        self.folder.mkdir()
        return judge(self.target, files, self.folder)

    def _measured(self, files: dict[str, bytes]) -> tuple[str, float, float]:
        """What became of an input, seconds, and growth of memory in MB."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, started = _status_mb("VmRSS"), time.perf_counter()
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        signal.alarm(_LONGEST_WAIT_S)
        outcome = self._call(files)
        signal.setitimer(signal.ITIMER_PROF, 0)
        return outcome, time.perf_counter() - started, _status_mb("VmHWM") - before

    def attempt(self, files: dict[str, bytes]) -> None:
        """Tries an input; a fault is kept."""
        self.counts["inputs"] += 1
        self.save("under way", files)
        most = BESIDES_MB + TIMES * sum(map(len, files.values())) / 1e6
        try:
            outcome, seconds, grown = self._measured(files)
            if grown > most:  # once more, as the first call may have loaded a library
                outcome, seconds, grown = self._measured(files)
            self.counts[outcome] += 1
            self.counts["longest_s"] = max(self.counts["longest_s"], seconds)
            self.counts["memory_mb"] = max(self.counts["memory_mb"], grown)
            if grown > most:
                self.fault(f"memory grew by {grown:.0f} MB", files)
        except Exception as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self.fault(f"{type(error).__name__} {Path(frame.filename).name}:{frame.lineno}: {error}"[:300], files)
        if time.monotonic() - self.written > 1:
            self.write()

    def fault(self, what: str, files: dict[str, bytes]) -> None:
        """Counts a fault; the first input of its kind is kept."""
        kind = "".join(c for c in what.partition(": ")[0] + what.partition(": ")[2][:40] if not c.isdigit())
        if kind not in self.counts["faults"]:
            self.counts["faults"][kind] = [0, what]
            self.save(f"{self.name}-{len(self.counts['faults'])}", files)
        self.counts["faults"][kind][0] += 1
        self.write()

    def save(self, name: str, files: dict[str, bytes]) -> None:
        """Writes the files of an input."""
        shutil.rmtree(self.keep / name, ignore_errors=True)
        for file, content in files.items():
            path = self.keep / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def write(self) -> None:
        """Writes the counts."""
        self.written, self.counts["seconds"] = time.monotonic(), time.process_time() - self.started
        self.state.write_text(json.dumps(self.counts))


def by_edits(run: Run, seconds: float, seed: int) -> None:
    """Random edits of the sound inputs."""
    from fuzz_edits import MOST, PLACES, Edit, edited

    rng, end = random.Random(f"{run.name} {seed}"), time.process_time() + seconds
    while time.process_time() < end:
        files = dict(rng.choice(run.seeds))
        other = rng.choice(run.seeds)
        for name in rng.sample(places := run.target.places(files), rng.choice((1, 1, min(2, len(places))))):
            edits = [
                Edit(rng.randint(0, MOST.kind), rng.randrange(PLACES if rng.random() < 0.7 else PLACES // 20),
                     rng.randint(0, MOST.amount), rng.randint(0, MOST.value))
                for _ in range(rng.choice((1, 1, 1, 2, 3, 6)))
            ]  # fmt: skip
            files[name] = edited(name, files[name], edits, rng.choice(list(other.values())))
        run.attempt(files)
    run.write()


def by_atheris(run: Run, seconds: float, seed: int) -> None:
    """What atheris makes of one file, guided by coverage: two bytes say of which input, and which of its files."""
    import atheris

    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    for i, files in enumerate(run.seeds):
        for j, name in enumerate(run.target.places(files)[:8]):
            (corpus / f"{i}-{j}").write_bytes(bytes([i, j]) + files[name])

    def one(data: bytes) -> None:
        if len(data) < 2:
            return
        files = dict(run.seeds[data[0] % len(run.seeds)])
        names = run.target.places(files)
        files[names[data[1] % len(names)]] = data[2:]
        run.attempt(files)

    limits = {"max_total_time": int(seconds), "rss_limit_mb": 0, "max_len": 20_000, "seed": seed + 1, "verbosity": 0}
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in limits.items()), str(corpus)], one)
    atheris.Fuzz()


def work(arguments: argparse.Namespace) -> None:
    """What a process for one target does."""
    if arguments.atheris:
        import atheris

        with atheris.instrument_imports(include=["leadset", "ecgdatakit", "edfio", "pydicom"]):
            run = Run(arguments.work, arguments.state, arguments.keep)
    else:
        run = Run(arguments.work, arguments.state, arguments.keep)
    run.limit()
    search: Callable[[Run, float, int], None] = by_atheris if arguments.atheris else by_edits
    search(run, 60 * arguments.minutes, arguments.seed)


def search_target(name: str, arguments: argparse.Namespace, keep: Path) -> dict:
    """The row of one target: processes, a new one where one ended early, until the time is over."""
    total = dict(_NOTHING)
    faults: dict[str, list] = {}
    part = 0
    while (left := 60 * arguments.minutes - total["seconds"]) > 2 or part == 0:
        state = keep / f"{name}.json"
        state.unlink(missing_ok=True)
        command = [sys.executable, __file__, "--work", name, "--state", str(state), "--keep", str(keep), "--minutes",
                   str(left / 60), "--seed", str(arguments.seed + part)]  # fmt: skip
        command += ["--atheris"] if arguments.atheris else []
        ended = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        counts = json.loads(state.read_text()) if state.is_file() else dict(total, faults={})
        for key in total:
            total[key] = max(total[key], counts[key]) if "_" in key else total[key] + counts[key]
        faults |= {kind: [n + faults.get(kind, [0])[0], what] for kind, (n, what) in counts["faults"].items()}
        if ended.returncode:
            too_long = ended.returncode in (-signal.SIGALRM, -signal.SIGPROF)
            what = "took too long" if too_long else f"ended with {ended.returncode}"
            faults[f"{what} {part}"] = [1, f"{what}: {ended.stderr[-600:]}"]
            if (keep / "under way").is_dir():
                shutil.copytree(keep / "under way", keep / f"{name}-ended-{part}", dirs_exist_ok=True)
        part += 1
    for number, what in faults.values():
        print(f"  {name}: {number} × {what}", flush=True)
    return {
        "target": name, "search": "atheris" if arguments.atheris else "edits", "inputs": total["inputs"],
        "results": total["result"], "errors": total["error"], "faults": sum(n for n, _ in faults.values()),
        "longest_s": f"{total['longest_s']:.2f}", "memory_mb": f"{total['memory_mb']:.1f}",
        "seconds": f"{total['seconds']:.0f}",
    }  # fmt: skip


def with_earlier(rows: list[dict], table: Path) -> list[dict]:
    """Rows with the counts of a table added to those of the same target and search, in the order of the targets."""
    from fuzz_targets import TARGETS

    total: dict[tuple[str, str], dict] = {}
    with open(table, newline="") as file:
        for row in [*csv.DictReader(file), *rows]:
            if row["target"] in TARGETS:
                key = row["target"], row["search"]
                total[key] = _sum(row, total[key]) if key in total else row
    order = list(TARGETS)
    return sorted(total.values(), key=lambda row: (row["search"] == "atheris", order.index(row["target"])))


def _sum(row: Mapping[str, str], other: Mapping[str, str]) -> dict:
    """A row for two: the larger time and memory, and the sums of all else."""
    largest = {key: max(row[key], other[key], key=float) for key in ("longest_s", "memory_mb")}
    return {**row, **{key: int(row[key]) + int(other[key]) for key in COLUMNS if key in _SUMS}, **largest}


def main() -> None:
    """Searches the targets, and writes the table."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="of tests/fuzz_targets.py (default: all)")
    parser.add_argument("--minutes", type=float, default=0.5, help="of the processor for each target (default: 0.5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    parser.add_argument("--keep", type=Path, help="folder for faulty inputs")
    parser.add_argument("--replay", type=Path, metavar="INPUT", help="a kept input: show what TARGET makes of it")
    parser.add_argument("--output", type=Path, help="write the table there (default: beside this file)")
    parser.add_argument("--add", action="store_true", help="add to the counts of the table")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments)
        return
    from fuzz_targets import TARGETS

    if arguments.replay:
        TARGETS[arguments.targets[0]].call(arguments.replay)
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_SCRATCH) as folder:
        for name in arguments.targets or TARGETS:
            rows.append(search_target(name, arguments, Path(folder)))
            print(*rows[-1].values(), flush=True)
            if arguments.keep:
                shutil.copytree(folder, arguments.keep, dirs_exist_ok=True)
    table = arguments.output or Path(__file__).with_suffix(".csv")
    rows = with_earlier(rows, table) if arguments.add and table.is_file() else rows
    write_table(table, COLUMNS, [*rows, reduce(_sum, rows) | {"target": "all", "search": "both"}])


if __name__ == "__main__":
    main()
