"""``leadset VERB``: the command line, what `train` makes of its options, and the scripts that call verbs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording

import extract_leads_wfdb
import leadset
import train_model
from leadset.classes import Diagnosis, LabelSpace
from leadset.cli import main
from leadset.commands.train import hours
from leadset.config import default_config
from leadset.simulate.write import write_dataset
from leadset.training import run as training_run

ROOT = Path(__file__).resolve().parent.parent
TINY = (
    "--models", "resnet34", "--leads", "2", "--preset", "tiny", "--epochs", "1", "--batch-size", "8",
    "--set", "min_steps=1", "--set", "workers=1", "--set", "pretrain.below=0",
    "--set", "presets.tiny.resnet34={width=4, rate=50, blocks=[1, 1, 1, 1]}",
)  # fmt: skip


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """The current folder holds a recording below ``data``, no `leadset.toml`, and no variable names one."""
    folder = tmp_path / "current"
    write_recording(folder / "data")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LEADSET_CONFIG", raising=False)
    return folder


@pytest.fixture
def used(monkeypatch):
    """Configurations of the trainings that were asked for; none is run."""
    found = []
    monkeypatch.setattr(training_run, "train_entry", lambda data, model, config, *folds: found.append(config))
    return found


# --- the command line ------------------------------------------------------------------------------------------------


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"leadset {leadset.__version__}\n"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [("tarin", "did you mean 'train'?"), ("predcit", "did you mean 'predict'?"), ("dance", "expected one of anomaly,")],
)
def test_misspelt_verbs_get_a_suggestion(capsys, wrong, expected):
    with pytest.raises(SystemExit, match="2"):
        main([wrong, "data"])
    error = capsys.readouterr().err
    assert f"found no verb {wrong!r}" in error and expected in error


def test_an_interrupted_verb_ends_with_the_status_of_one(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "train_entry", interrupt)
    assert main(["train", "data", "model"]) == train_model.main(["data", "model"]) == 130


@pytest.mark.parametrize("target", ["taken", "taken/below"])
@pytest.mark.parametrize("words", [
    "train nowhere OUT", "baseline nowhere OUT --baselines example", "predict nowhere nowhere OUT",
    "explain nowhere -o OUT", "sheet nowhere -o OUT", "leads nowhere -o OUT", "anomaly localise shipped nowhere -o OUT",
    "anomaly fit nowhere OUT", "export nowhere --onnx OUT", "unpack nowhere OUT", "extract -i nowhere -o OUT -l I",
    "convert nowhere OUT", "simulate OUT -n 1", "crossval nowhere OUT", "study star-ptbxl --simulated OUT", "demo OUT",
    "stress --work OUT",
])  # fmt: skip
def test_a_file_in_place_of_a_folder_is_refused_before_all_work(empty_folder, capsys, words, target):
    (empty_folder / "taken").touch()
    assert main(words.replace("OUT", target).split()) == 1
    verb = words.split()[0]
    assert capsys.readouterr().err == f"leadset {verb}: taken: a file, expected a folder to write\n"


# --- train -----------------------------------------------------------------------------------------------------------


def test_train_without_options_takes_the_defaults(used):
    assert main(["train", "data", "model"]) == 0
    assert used == [default_config()] and used[0].overrides == {}


def test_options_of_train_override_files(used, empty_folder):
    (empty_folder / "leadset.toml").write_text("epochs = 9\nseed = 9\nbatch_size = 9\n")
    (empty_folder / "own.toml").write_text("epochs = 8\nseed = 8\n")
    words = (
        "train data model --config own.toml --epochs 7 --models star,resnet34 --leads 12,2 --leads II,V5 --lr 0.01 "
        "--time-limit 30m --preset compact --set pretrain.below=0 --set presets.compact.star.width=32"
    )
    assert main(words.split()) == 0
    (config,) = used
    assert (config.epochs, config.seed, config.batch_size) == (7, 8, 9)
    assert config.architectures == ("star", "resnet34")
    assert [len(leads) for leads in config.lead_sets] == [12, 2, 2] and config.lead_sets[2] == ("II", "V5")
    assert (config.learning_rate, config.time_limit_hours, config.preset) == (0.01, 0.5, "compact")
    assert config.pretrain.below == 0 and config.options("star", "compact")["width"] == 32
    assert config.files[1:] == ("leadset.toml", "own.toml")
    assert config.overrides == {
        "lead_sets": ["12", "2", "II,V5"], "architectures": ["star", "resnet34"], "epochs": 7,
        "min_steps": 1, "learning_rate": 0.01,
        "time_limit_hours": 0.5, "preset": "compact", "pretrain.below": 0, "presets.compact.star.width": 32,
    }  # fmt: skip


@pytest.mark.parametrize(("words", "fewest"), [("", 1), ("--set min_steps=5", 5)])
def test_epochs_are_so_many_passes_however_few_recordings_there_are(used, words, fewest):
    assert main(["train", "data", "model", "--epochs", "2", *words.split()]) == 0
    assert (used[0].epochs, used[0].min_steps) == (2, fewest)


@pytest.mark.parametrize("words", ["predict model data outputs", "predict data --entry model"])
def test_an_unfinished_training_is_called_so(empty_folder, capsys, words):
    (empty_folder / "model" / "work").mkdir(parents=True)
    assert main(words.split()) == 1
    told = "model/entry.json: no such file, training is unfinished: start the same command again\n"
    assert capsys.readouterr().err == f"leadset predict: {told}"


@pytest.mark.parametrize(("words", "expected"), [("2", 2), ("1.5h", 1.5), ("30m", 0.5), ("90s", 0.025), (".5", 0.5)])
def test_time_limits(words, expected):
    assert hours(words) == expected


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--epochs 0", 1, "leadset train: --epochs: found epochs = 0, expected a whole number from 1"),
        ("--lr nan", 1, "--lr: found learning_rate = nan, expected"),
        ("--models resnet", 1, "--models: found architectures = ['resnet'], expected"),
        ("--leads 2,2", 1, "--leads: found lead_sets = ['2', '2'], expected each lead set once"),
        ("--leads 12,II", 1, "--leads: found lead_sets = ['12,II'], expected lead sets"),
        ("--epochs 3 --set epochs=4", 1, "found epochs given 2 times (--epochs 3 and --set 4), expected once"),
        ("--config nowhere.toml", 1, "nowhere.toml: no such file, expected a configuration"),
        ("--time-limit soon", 2, "found 'soon', expected hours (2, 1.5h), minutes (30m) or seconds (90s)"),
        ("--time-limit 0", 1, "--time-limit: found time_limit_hours = 0.0, expected a finite positive number"),
        ("--epochs many", 2, "invalid int value: 'many'"),
        ("--set epochs", 2, "found 'epochs', expected KEY=VALUE"),
    ],
)
def test_wrong_options_of_train(used, capsys, words, status, message):
    try:
        found = main(["train", "data", "model", *words.split()])
    except SystemExit as stop:
        found = stop.code
    assert (found, used) == (status, [])
    assert message in capsys.readouterr().err


def test_trained_entry_says_how_it_was_configured(tmp_path, capsys):
    list(write_dataset(tmp_path / "data", 24, seed=3, seconds=6.0, labels={"NSR": 1, "AF": 1}))
    assert main(["train", str(tmp_path / "data"), str(tmp_path / "model"), *TINY]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("configuration: ")
    assert re.search("networks to train: 1, for which all steps .[0-9]+. take ", shown)
    assert "Next: leadset predict " in shown
    kept = json.loads((tmp_path / "model" / "entry.json").read_text())["provenance"]["configuration"]
    assert [Path(name).name for name in kept["files"]] == ["default.toml"]
    assert kept["overrides"]["batch_size"] == kept["values"]["batch_size"] == 8
    assert kept["values"]["learning_rate"] == default_config().learning_rate
    assert kept["values"]["lead_sets"] == [["I", "II"]]


# --- scripts ---------------------------------------------------------------------------------------------------------


def test_script_reads_the_file_beside_it_and_not_that_of_the_current_folder(used, empty_folder):
    (empty_folder / "leadset.toml").write_text("epochs = 9\n")
    assert train_model.main(["data", "model"]) == 0
    assert used == [default_config()]
    assert used[0].files[1:] == (str(ROOT / "leadset.toml"),)


@pytest.mark.parametrize(
    ("script", "verb"),
    [
        ("train_model", "train"), ("test_model", "predict"), ("evaluate_model", "evaluate"),
        ("extract_leads_wfdb", "extract"),
    ],
)  # fmt: skip
def test_scripts_have_the_arguments_of_their_verbs(script, verb, tmp_path):
    """Run as a user does, from another folder; only the name differs."""
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    as_typed = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment}
    shown = [
        subprocess.run([sys.executable, *words, "--help"], **as_typed)
        for words in ([str(ROOT / f"{script}.py")], ["-m", "leadset", verb])
    ]
    assert [one.returncode for one in shown] == [0, 0]
    names = f"{script}.py", f"leadset {verb}"
    ours, theirs = (" ".join(one.stdout.replace(name, "NAME").split()) for one, name in zip(shown, names, strict=True))
    assert ours == theirs and ours.startswith("usage: NAME")


def test_help_of_no_verb_loads_what_is_slow():
    """In one process: what is loaded by then, the verb before it has loaded."""
    code = """if True:
        import argparse, importlib, sys
        from leadset.cli import list_verbs
        slow = ("torch", "matplotlib", "pandas", "scipy.signal", "scipy.stats", "sklearn", "wfdb")
        for verb in list_verbs():
            importlib.import_module(f"leadset.commands.{verb}").add_arguments(argparse.ArgumentParser())
            loaded = [name for name in slow if name in sys.modules]
            assert not loaded, f"leadset {verb} --help loads {loaded}"
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_script_and_verb_extract_the_same(tmp_path, capsys):
    write_recording(tmp_path / "in" / "g1")
    write_recording(tmp_path / "in", "A0002", make_counts(2))
    short = ["-i", str(tmp_path / "in"), "-l", "I", "V2", "-o"]
    long = ["--input_directory", str(tmp_path / "in"), "--leads", "I", "V2", "--key", "val", "--output_directory"]
    assert extract_leads_wfdb.main([*short, str(tmp_path / "script")]) == 1
    script = capsys.readouterr()
    assert main(["extract", *long, str(tmp_path / "verb")]) == 1
    verb = capsys.readouterr()
    assert verb.out == script.out.replace("/script", "/verb")
    assert script.err.startswith("extract_leads_wfdb: ") and verb.err.startswith("leadset extract: ")
    written = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("script", "verb")
    ]
    assert written[0] == written[1] and len(written[0]) == 2


def test_a_training_names_classes_and_leads_that_no_recording_has():
    flags = [("missing:V1", "missing:V2"), ("missing:V1",), ()]
    data = SimpleNamespace(
        labels=np.array([[True, False, False], [True, False, False], [False, True, False]]), train=[0, 1],
        first=SimpleNamespace(recordings=[SimpleNamespace(flags=own) for own in flags]),
    )  # fmt: skip
    space = LabelSpace("own", "", tuple(Diagnosis((name,), name, name) for name in ("NSR", "AF", "PVC")), "NSR")
    run = SimpleNamespace(space=space, config=SimpleNamespace(lead_sets=(("I", "II"), ("I", "V1", "V2"))))
    assert list(training_run.Run._lacking(run, data)) == [
        "no recording to learn from has 2 of 3 classes: AF, PVC",
        "lead set I-V1-V2: no recording has V1, which stay zero",
    ]


def test_a_closed_pipe_ends_a_verb_without_a_message():
    command = [sys.executable, "-m", "leadset", "stress", "--list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 1


def test_another_broken_pipe_is_an_error_with_a_message(monkeypatch, capfd):
    """One to a worker process, say, or to a file that is a pipe: the work is not done, and that must be said."""

    def fails(arguments):
        raise BrokenPipeError(32, "Broken pipe", "answers.fifo")

    monkeypatch.setattr("leadset.commands.models.run", fails)
    assert main(["models"]) == 1
    assert capfd.readouterr().err == "leadset models: [Errno 32] Broken pipe: 'answers.fifo'\n"
