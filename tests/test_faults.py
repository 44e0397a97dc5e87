"""Faults: kills, full disks, files that cannot be read, changed bits, two processes at once.

Nothing completed is lost, nothing half-written is believed, and every message names a file. `benchmarks/faults.py`
kills at more moments of more commands.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import faults
import numpy as np
import pytest
import torch
from configurations import tiny_config

from leadset.cli import main
from leadset.entry import load_entry
from leadset.entry.manifest import Manifest
from leadset.leads import resolve_leads
from leadset.preprocess import Transform
from leadset.recordings import find_recordings, matlab, signals
from leadset.simulate.write import write_dataset
from leadset.store.packed import build_store
from leadset.training.checkpoint import load_state, read_progress, save_state
from leadset.training.run import train_entry
from leadset.utils.files import only_one, write_atomically
from leadset.utils.weights import read_tensors, write_tensors

ROOT = Path(__file__).parents[1]
TINY = tiny_config(
    lead_sets=(resolve_leads(2),), architectures=("resnet34",), keep_work=True,
    presets={"tiny": {"resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]}}},
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    list(write_dataset(folder, 40, seed=3, seconds=5.0))
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    """A model folder with its work."""
    folder = tmp_path_factory.mktemp("trained")
    train_entry(data, folder, TINY)
    return folder


@pytest.fixture(scope="module")
def work_of_faults(tmp_path_factory) -> Path:
    """Data, a model and outputs for the commands of `benchmarks/faults.py`."""
    folder = tmp_path_factory.mktemp("faults")
    faults.prepare(folder)
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def flip(path: Path, at: float, bit: int = 3) -> None:
    """Changes one bit of a file, at a share of its length."""
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 1 << bit
    path.write_bytes(content)


# --- changed bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.02, 0.3, 0.5, 0.999])
def test_a_changed_bit_of_weights_is_found(tmp_path, at):
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"a": torch.arange(50.0), "b": torch.ones(3, 4, dtype=torch.float16), "n": torch.tensor(7)},
                  {"about": "something"})  # fmt: skip
    read_tensors(path)
    flip(path, at)
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        read_tensors(path)


@pytest.mark.parametrize("at", [0.01, 0.4, 0.95])
def test_a_changed_bit_of_an_unfinished_training_starts_it_again(tmp_path, at):
    model = torch.nn.Linear(20, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, None, {"step": 3, "steps": 9})
    assert load_state(path, model, optimizer, 9)[1] == {"step": 3, "steps": 9}
    flip(path, at)
    assert read_progress(path) is None
    assert load_state(path, model, optimizer, 9) is None


def test_any_changed_bit_of_a_store_is_built_again(data, tmp_path):
    def built():
        return build_store(find_recordings(data), Transform(100), tmp_path, n_jobs=1, progress=False)

    whole = built()
    samples = [np.array(whole[i][0]) for i in range(len(whole))]
    for file in (*tmp_path.glob("*.json"), *tmp_path.glob("*.i16")):
        for at in (0.0, 0.1, 0.5, 0.9, 1.0):
            flip(file, at)
            mended = built()
            assert mended.recordings == whole.recordings, (file, at)
            assert all(np.array_equal(mended[i][0], samples[i]) for i in range(len(mended)))


def test_any_damage_to_the_work_of_a_finished_network_trains_it_again(data, trained, tmp_path):
    """Weights, validation answers, summary and store, each with a changed bit or cut off: the run ends as before."""
    expected = (trained / "resnet34-2.safetensors").read_bytes()
    for number, pattern in enumerate(("*.answers", "resnet34-2-*.json", "../resnet34-2.safetensors", "bank-*.json",
                                      "costs-*.json", "clock-*.json")):  # fmt: skip
        folder = copy_of(trained, tmp_path / str(number))
        for path in (folder / "work").glob(pattern):
            flip(path, 0.6)
        manifest = train_entry(data, folder, TINY)
        assert (folder / "resnet34-2.safetensors").read_bytes() == expected, pattern
        assert manifest.sets[0].to_json()["ensemble"] == Manifest.read(trained).sets[0].to_json()["ensemble"], pattern


def test_changed_weights_give_no_answer_but_a_message(trained, tmp_path):
    for at in (0.01, 0.5, 0.99):
        folder = copy_of(trained, tmp_path / str(at))
        flip(folder / "resnet34-2.safetensors", at)
        with pytest.raises(ValueError, match=r"resnet34-2\.safetensors: cannot be loaded"):
            load_entry(folder).load(("I", "II"))


def test_a_damaged_entry_is_refused_or_reads_as_values(trained, tmp_path):
    """A cut `entry.json` is refused. A changed bit in it is refused too, or changes a plausible value: a plain text."""
    content = (trained / "entry.json").read_bytes()
    for share in np.linspace(0, 0.99, 12):
        (tmp_path / "entry.json").write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=r"entry\.json: not an entry"):
            Manifest.read(tmp_path)
    for at in np.linspace(0, 1, 40):
        (tmp_path / "entry.json").write_bytes(content)
        flip(tmp_path / "entry.json", float(at))
        try:
            Manifest.read(tmp_path)
        except ValueError as error:
            assert "entry.json" in str(error)


# --- full disks ------------------------------------------------------------------------------------------------------


def train_on_a_full_disk(data: Path, model: Path, kilobytes: int, log: Path) -> int:
    """Trains in a process that may write no larger files, which fails as on a full disk; its exit status."""
    child = os.fork()
    if not child:
        with open(log, "w") as shown, redirect_stderr(shown), redirect_stdout(shown):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kilobytes, resource.RLIM_INFINITY))
            try:
                train_entry(data, model, TINY)
            except OSError as error:
                shown.write(f"OSError: {error}")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("kilobytes", [1, 20, 60])
def test_a_full_disk_names_the_file_and_the_same_command_goes_on(data, trained, tmp_path, kilobytes):
    model, log = tmp_path / "model", tmp_path / "log.txt"
    assert train_on_a_full_disk(data, model, kilobytes, log) == 0
    last = log.read_text().splitlines()[-1]
    assert last.startswith("OSError: ") and str(model) in last, last
    assert not (model / "entry.json").exists()
    assert not list(model.rglob("*.tmp"))
    train_entry(data, model, TINY)
    assert (model / "resnet34-2.safetensors").read_bytes() == (trained / "resnet34-2.safetensors").read_bytes()


def test_what_a_killed_process_has_left_is_removed_by_the_next(tmp_path):
    code = """
import os, sys
from leadset.utils.files import write_atomically
with write_atomically(sys.argv[1]) as file:
    file.write("half")
    file.flush()
    os.kill(os.getpid(), 9)
"""
    for _ in range(2):  # the second removes what the first has left
        assert subprocess.run([sys.executable, "-c", code, tmp_path / "table.csv"]).returncode == -9
        assert len(list(tmp_path.iterdir())) == 1
    (left,) = tmp_path.iterdir()
    of_others = [left.name.replace(left.suffixes[-2], suffix) for suffix in (f".{os.getpid()}-", ".1-00000000")]
    of_others[0] += left.name.rpartition("-")[2]
    others = [tmp_path / name for name in (*of_others, ".table.csv.1.tmp", "notes.tmp")]
    for path in others:
        path.touch()
    with write_atomically(tmp_path / "table.csv") as file:
        file.write("whole")
    assert not left.exists() and all(path.exists() for path in others)
    assert (tmp_path / "table.csv").read_text() == "whole"


def test_writing_to_a_full_disk_leaves_what_was_there(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    path = tmp_path / "table.csv"
    path.write_text("before")

    def write(how) -> None:
        with pytest.raises(OSError, match=r"table\.csv"), write_atomically(path, "wb") as file:
            os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())
            how(file)
            file.flush()

    write(lambda file: file.write(b"x" * 10_000_000))
    write(lambda file: np.save(file, np.zeros(1_000_000)))
    assert path.read_text() == "before"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_recordings_that_cannot_be_read_are_counted_and_named(data, tmp_path, capsys):
    """A folder in the place of a signal, a dangling link, a header without permission or of nothing."""
    folder = copy_of(data, tmp_path / "data")
    paths = find_recordings(folder)[:4]
    paths[0].with_suffix(".mat").unlink()
    paths[0].with_suffix(".mat").mkdir()
    paths[1].with_suffix(".mat").unlink()
    paths[1].with_suffix(".mat").symlink_to("nowhere")
    paths[2].write_bytes(b"")
    paths[3].with_suffix(".mat").write_bytes(b"")
    train_entry(folder, tmp_path / "model", TINY)
    shown = capsys.readouterr().out
    assert all(path.stem in shown for path in paths)
    assert "40 found" in shown
    assert main(["predict", str(tmp_path / "model"), str(folder), str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert all(f"{path.stem}: unanswered" in shown.err for path in paths)
    assert len(list((tmp_path / "out").rglob("*.csv"))) == 40


def test_an_error_of_the_disk_while_reading_is_counted(data, tmp_path, monkeypatch):
    """As of a bad sector: the file opens, and reading it fails without a name of the file."""
    bad = find_recordings(data)[5].with_suffix(".mat")
    real = open

    class Broken:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *arguments):
            self.file.close()

        def read(self, *arguments):
            raise OSError(5, "Input/output error")

        readall = readinto = read

    def opened(path, *arguments, **more):
        file = real(path, *arguments, **more)
        return Broken(file) if str(path) == str(bad) else file

    for module in (matlab, signals):
        monkeypatch.setattr(module, "open", opened, raising=False)
    store = build_store(find_recordings(data), Transform(100), tmp_path, n_jobs=1, progress=False)
    (failure,) = store.failures
    assert bad.stem in failure.message and "Input/output error" in failure.message


# --- two at once -----------------------------------------------------------------------------------------------------


def _build(data: Path, cache: Path) -> None:
    build_store(find_recordings(data), Transform(100), cache, n_jobs=1, progress=False)


def test_two_processes_build_one_store(data, tmp_path):
    _build(data, tmp_path / "alone")
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_build, args=(data, tmp_path / "both")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    alone, shared = (sorted((tmp_path / name).iterdir()) for name in ("alone", "both"))
    assert [path.name for path in shared] == [path.name for path in alone]
    assert [path.read_bytes() for path in shared] == [path.read_bytes() for path in alone]


def test_a_second_run_in_a_model_folder_is_refused(data, trained, tmp_path):
    folder = copy_of(trained, tmp_path / "model")
    message = r"another process is training in this folder, expected none.*work/lock"
    with only_one(folder / "work" / "lock", "training in this folder"), pytest.raises(BlockingIOError, match=message):
        train_entry(data, folder, TINY)
    train_entry(data, folder, TINY)


def test_a_killed_process_leaves_its_lock(tmp_path):
    code = (
        "import sys, time\nfrom leadset.utils.files import only_one\n"
        "with only_one(sys.argv[1], 'waiting'):\n    print('in', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"in\n"
    with pytest.raises(BlockingIOError), only_one(tmp_path / "lock", "testing"):
        pass
    process.kill()
    process.wait()
    with only_one(tmp_path / "lock", "testing"):
        pass


# --- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["store", "train", "predict"])
def test_a_command_that_is_killed_goes_on(work_of_faults, name):
    """Two kills at random moments: what is there is whole, and the end is that of an undisturbed run."""
    rows = faults.killed(name, faults.COMMANDS[name], work_of_faults, 2)
    assert len(rows) == 2
    assert {(row["half_files_left"], row["same_result"]) for row in rows} == {(0, "yes")}


def test_lines_of_the_log_are_whole(trained):
    lines = (trained / "training.jsonl").read_text().splitlines()
    assert all(json.loads(line)["time"] for line in lines)
