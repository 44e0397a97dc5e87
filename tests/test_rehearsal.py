"""`make weights` at a small scale: the same commands, into another folder than that of the weights that ship."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import REDUCED

from leadset.classes import CHALLENGE, label_space
from leadset.models.shipped import FOLDER, read_shipped
from leadset.preprocess import Transform
from leadset.simulate.write import write_dataset
from leadset.training.shipped import detector, entry, tuning, universal
from leadset.training.shipped.real_sources import load_real_data
from leadset.training.shipped.rehearsal import FEWEST, scaled, some_of
from leadset.training.shipped.tuning import Job
from leadset.training.shipped.universal import Recipe

ROOT = Path(__file__).resolve().parents[1]


def run(main, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["command", *map(str, arguments)])
    main()


def test_a_share_is_never_too_small_nor_more_than_all():
    assert [scaled(5000, 0.01), scaled(200, 0.001), scaled(40, 0.1, 25), scaled(3, 0.5, 25)] == [50, 1, 25, 3]
    items = list(range(1000))
    assert some_of(items, 1.0) == items and some_of(items[:7], 0.01) == items[:7]
    few = some_of(items, 0.01)
    assert len(few) == FEWEST and few[0] == 0 and few[-1] == 999 and len(set(few)) == FEWEST


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (universal.main, ["resnet34", "WORK"]), (tuning.main, ["DATA", "WORK"]), (detector.main, ["WORK"]),
        (entry.main, ["DATA", "WORK"]),
    ],
)  # fmt: skip
def test_a_rehearsal_does_not_overwrite_what_ships(main, arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"found --scale 0\.01, expected a rehearsal to write elsewhere"):
        run(main, monkeypatch, *arguments, "--scale", 0.01, "--ship", FOLDER / "simulated")
    assert not list(tmp_path.iterdir())


def test_only_shares_are_scales(monkeypatch, capsys):
    for scale in ("0", "2"):
        with pytest.raises(SystemExit):
            run(universal.main, monkeypatch, "resnet34", "WORK", "--scale", scale)
        assert f"found {scale}, expected a number above 0 and up to 1" in capsys.readouterr().err


def test_steps_are_scaled_and_weights_of_another_recipe_are_not_taken(monkeypatch, tmp_path):
    small = Recipe("resnet34", REDUCED["resnet34"], steps=200, batch_size=32, plain_steps=100)
    monkeypatch.setattr(universal, "RECIPES", {"resnet34": small})
    run(universal.main, monkeypatch, "resnet34", tmp_path / "work", "--scale", 0.01, "--ship", tmp_path / "out")
    shipped = tmp_path / "out" / "resnet34.safetensors"
    recipe = read_shipped(shipped)[1]["recipe"]
    assert (recipe["steps"], recipe["plain_steps"]) == (2, 1)
    shipped.unlink()
    with pytest.raises(ValueError, match=r"resnet34\.safetensors: found weights of recipe .* remove them"):
        run(universal.main, monkeypatch, "resnet34", tmp_path / "work", "--ship", tmp_path / "out")
    assert not shipped.exists()


def test_real_recordings_are_scaled_and_another_tuning_is_not_taken(monkeypatch, tmp_path):
    list(write_dataset(tmp_path / "challenge" / "training", FEWEST + 3, seed=3))
    real = load_real_data(tmp_path, tmp_path / "work", [Transform(100)], 0.01)
    assert len(real.names) == len(real.folds) == FEWEST
    job = Job("resnet34", "tuned", "0", 0.01)
    assert job.tuning.steps == 2 and not job.is_done(tmp_path)
    progress = {"tuning": tuning.asdict(job.tuning), "answered": job.asked}
    monkeypatch.setattr(tuning, "progress_of", lambda file: progress)
    (tmp_path / f"{job.stem}.npz").touch()
    assert job.is_done(tmp_path)
    with pytest.raises(ValueError, match=r"resnet34-tuned-0\.npz: found a tuning .* remove the file to tune anew"):
        Job("resnet34", "tuned", "0").is_done(tmp_path)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("settings", "target"),
    [(["SCALE=0.01"], "weights-0.01/pretrained"), (["PRETRAINED=out"], "out"), ([], "leadset/models/pretrained")],
)
def test_make_weights_writes_into_one_folder(settings, target):
    venv = f"VENV={sys.prefix}"
    command = ["make", "--dry-run", f"--old-file={sys.prefix}/installed", "weights", venv, "DATA=data", *settings]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\\\n", " ")
    lines = [line for line in said.splitlines() if "--scale" in line]
    assert len(lines) == 2 * len(universal.RECIPES) + 4
    for line in lines:
        words = line.split()
        named = {words[i + 1] for i, word in enumerate(words) if word in ("--ship", "--start", "--pretrained")}
        assert named and {name.removesuffix("/simulated") for name in named} == {target}
        tables = "benchmarks" if not settings else target
        assert all(Path(words[i + 1]).parent == Path(tables) for i, word in enumerate(words) if word == "--output")


def test_an_entry_of_few_recordings_has_scores_without_a_mean():
    space = label_space(CHALLENGE)
    labels = np.zeros((4, len(space)), dtype=bool)
    labels[:, 0] = True
    said = np.full(labels.shape, 0.5)
    scores = entry.scores_of(entry.CrossFitted(said, said, labels), labels.astype(float), labels)
    assert scores["auroc"] is None and scores["by_class"] == {} and scores["challenge_metric"] == 1
