"""Running the checks on an entry, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import leadset
from leadset.stress.bench import DRIVERS, HELPER, ORGANISERS, Bench
from leadset.stress.registry import BASE, Check, FailedCheck, SkippedCheck

PASSED, FAILED, SKIPPED = "pass", "fail", "skipped"
# What the kit itself is trained with: one small network on twelve leads, from nothing and without simulated recordings,
# so that whatever it knows comes from the data of the test.
_OWN_CONFIG = """architectures = ["resnet34"]
lead_sets = ["12"]
preset = "stress"
epochs = 1
min_steps = 150
batch_size = 16
workers = 1
[start]
weights = "none"
[pretrain]
below = 0
[presets.stress]
resnet34 = { width = 8, rate = 100, seconds = 5.0 }
"""
_OWN_PAGE = "from leadset.challenge import load_model, run_model, training_code\n"


@dataclass(frozen=True)
class Result:
    """How a check ended: `PASSED`, `FAILED` or `SKIPPED`, with a remark, seconds and bytes of the largest process."""

    check: str
    shows: str
    result: str
    remark: str
    seconds: float
    memory: int


def own_entry(work: Path) -> tuple[Path, dict[str, str]]:
    """This kit as an entry, with its small configuration: the repository, or a page that calls an installed package.

    Args:
        work: folder for what has to be written.
    """
    config = work / "stress.toml"
    config.write_text(_OWN_CONFIG, encoding="utf-8")
    repository = Path(leadset.__file__).resolve().parents[1]
    if all((repository / name).is_file() for name in (*DRIVERS, "team_code.py")):
        return repository, {"LEADSET_CONFIG": str(config)}
    folder = work / "entry"
    folder.mkdir(exist_ok=True)
    (folder / "team_code.py").write_text(_OWN_PAGE, encoding="utf-8")
    for name in (*DRIVERS, HELPER):
        shutil.copyfile(ORGANISERS / name, folder / name)
    return folder, {"LEADSET_CONFIG": str(config)}


def check_entry(folder: Path) -> Path:
    """The folder of an entry, resolved.

    Raises:
        FileNotFoundError: it lacks a file that every entry has.
    """
    for name in (*DRIVERS, "team_code.py"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file, expected an entry of the Challenge")
    return folder.resolve()


def run_checks(checks: Sequence[Check], bench: Bench) -> Iterator[Result]:
    """Makes the checks; without a base model all others are skipped."""
    failed_base = ""
    for check in checks:
        bench.forget_usage()
        try:
            if failed_base:
                raise SkippedCheck("there is no base model")
            result, remark = PASSED, check.run(bench)
        except FailedCheck as error:
            result, remark = FAILED, str(error)
        except SkippedCheck as reason:
            result, remark = SKIPPED, str(reason)
        failed_base = failed_base or (remark if check.name == BASE and result == FAILED else "")
        yield Result(check.name, check.shows, result, remark, round(bench.seconds, 1), bench.memory)
