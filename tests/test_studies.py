"""Published studies: their files are sound, their recipes act, losses and metrics are those of their papers."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from configurations import tiny_config
from safetensors.numpy import load_file

from leadset import config_rules
from leadset.cli import main
from leadset.config import Setting, load_config
from leadset.models import create_network, list_models
from leadset.recordings.importers import importer, list_importers
from leadset.scoring import macro
from leadset.scoring.metrics import areas
from leadset.simulate.write import write_dataset
from leadset.studies.comparison import KIT, PUBLISHED, Paper
from leadset.studies.protocols import PROTOCOLS
from leadset.studies.results import read_results
from leadset.studies.study import METRICS, Study, list_studies, sample_f, sample_f_max, study_entrants
from leadset.training.run import train_entry
from leadset.training.steps.losses import LOSSES, asymmetric, cross_entropy, focal
from leadset.training.steps.schedules import CLASSIFIER_SCHEDULES, halving, tenth

CLASSIFYING = sorted(name for name, study in list_studies().items() if isinstance(study, Study))


@pytest.mark.parametrize("name", CLASSIFYING)
def test_a_study_names_things_that_are_there(name):
    study = list_studies()[name]
    assert study.model in list_models()
    assert study.data in list_importers()
    assert not study.task or study.task in importer(study.data).tasks
    assert study.protocol["name"] in PROTOCOLS
    assert set(study.paper["columns"].values()) <= set(METRICS)
    assert study.paper["source"]
    assert study.citation[-4:].isdigit()
    for model, values in study.paper["rows"].items():
        assert Paper(**study.paper).leads_of(model) in {"12", *study.leads}
        assert set(values) <= set(study.paper["columns"])
        for column, value in values.items():
            least = -100 if study.paper["columns"][column] == "challenge_metric" else 0
            assert least < value[0] <= 100


@pytest.mark.parametrize("name", CLASSIFYING)
def test_recipes_and_ablations_can_be_built(name):
    study = list_studies()[name]
    configs = {r: load_config(folder=None, settings=study.settings(r)) for r in (PUBLISHED, KIT)}
    entrants = {one.note: one for one in study_entrants(study, configs, study.ablations)}
    assert set(entrants) == {PUBLISHED, KIT, *study.ablations}
    published = entrants[PUBLISHED].config
    assert published.start.weights == "none"
    assert published.preset == "published"
    assert published.architectures == (study.model,)
    for ablation, options in study.ablations.items():
        if "architecture" in options:
            assert entrants[ablation].config.architectures == (options["architecture"],)
            assert options["architecture"] in list_models() and len(options) == 1
            continue
        own = entrants[ablation].config.options(study.model, "compact")
        assert own.items() >= options.items()
        create_network(study.model, ("I", "II"), 5, own)
    with pytest.raises(ValueError, match="found ablation 'colour', expected one of"):
        study_entrants(study, configs, ["colour"])


def test_the_names_of_losses_and_schedules_are_those_that_there_are():
    assert tuple(LOSSES) == config_rules.LOSSES
    assert tuple(CLASSIFIER_SCHEDULES) == config_rules.SCHEDULES
    with pytest.raises(ValueError, match="found loss = 'l1', expected one of cross_entropy, focal, asymmetric"):
        load_config(folder=None, settings=[Setting("--set", "loss", "l1")])


def test_star_halves_its_rate_at_epochs_5_10_and_15():
    rates = [1e-3 * halving(epoch, 30) for epoch in (0, 4.9, 5, 9.9, 10, 14.9, 15, 29)]
    assert rates == [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4, 1.25e-4, 1.25e-4]


def test_resunet_lc_goes_on_at_a_tenth_of_its_rate_after_epoch_20():
    assert [tenth(epoch, 30) for epoch in (0, 19.9, 20, 29)] == [1, 1, 0.1, 0.1]


def test_losses_are_those_of_their_papers_and_leave_unknown_targets_out():
    logits, targets = torch.randn(6, 4, generator=torch.manual_seed(0)), torch.tensor([[1.0, 0, 0, 1]] * 6)
    p = torch.sigmoid(logits)
    right = torch.where(targets > 0, p, 1 - p)
    alpha = torch.where(targets > 0, 0.25, 0.75)
    assert torch.allclose(focal(logits, targets), -(alpha * (1 - right) ** 2 * right.log()).mean())
    shifted = (p - 0.05).clamp(min=0)
    parts = torch.where(targets > 0, (1 - p) * p.log(), shifted**4 * (1 - shifted).log())
    assert torch.allclose(asymmetric(logits, targets), -parts.mean())
    for loss in (focal, asymmetric, cross_entropy):
        unknown = targets.clone()
        unknown[0] = torch.nan
        assert torch.allclose(loss(logits, unknown), loss(logits[1:], targets[1:]))
        steep = (50 * torch.randn(6, 4, generator=torch.manual_seed(1))).requires_grad_()
        loss(steep, targets).backward()
        assert torch.isfinite(steep.grad).all()


def test_the_f1_of_star_is_that_of_its_worked_example():
    labels = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=bool)
    p = np.array([[0.9, 0.2, 0.1], [0.3, 0.6, 0.35], [0.7, 0.2, 0.8], [0.05, 0.1, 0.08]])
    by_threshold = [round(sample_f(labels, p >= t), 4) for t in np.linspace(0, 1, 10)[:9]]
    assert by_threshold == [0.6667, 0.6735, 0.6701, 0.7143, 0.625, 0.625, 0.5, 0.3333, 0.4]
    assert sample_f_max(labels, p) == pytest.approx(0.714286, abs=1e-6)


def test_without_data_a_study_says_what_to_fetch(capsys):
    assert main(["study", "star-ptbxl"]) == 0
    printed = capsys.readouterr().out
    assert "physionet.org/content/ptb-xl" in printed
    assert "without prior" in printed


def test_a_study_on_stand_ins_says_so_everywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leadset.commands.study._RECORDINGS", 40)
    (tmp_path / "tiny.toml").write_text(
        "batch_size = 8\nworkers = 1\n"
        "[presets.tiny]\nresnet34 = { width = 4, rate = 100 }\n"
    )
    words = ["study", "resnet34-cpsc2018", "--simulated", "out", "--leads", "2", "--config", "tiny.toml", "-j", "1"]
    words += ["--set", "preset=tiny", "--set", "start.weights=none", "--set", "pretrain.below=0", "--epochs", "1"]
    words += ["--set", "min_steps=2", "--set", "presets.published={}", "--ablations", "all", "--seeds", "2021,2022"]
    assert main(words) == 0, capsys.readouterr().err
    page = (tmp_path / "out" / "study.html").read_text()
    assert "SIMULATED STAND-INS" in page
    with open(tmp_path / "out" / "study.csv") as file:
        lines = list(csv.DictReader(file))
    ours = [line for line in lines if line["source"] == "simulated stand-ins"]
    assert {line["model"] for line in ours} == {f"resnet34 ({note})" for note in (PUBLISHED, KIT, "last 30 s")}
    theirs = {line["metric"]: float(line["percent"]) for line in lines if line["source"].startswith("abstract")}
    assert theirs == {"auroc": 97.0, "f1": 81.3}
    assert "intervals over patients and seeds, of means over seeds." in page
    means = {line["model"]: float(line["percent"]) for line in ours if line["metric"] == "auroc"}
    results = read_results(tmp_path / "out")
    for row, runs in results.said.items():
        of_seeds = [macro(areas(results.labels, said.probabilities)[0]) for said in runs]
        assert len(set(of_seeds)) == 2 and means[row.model] == pytest.approx(100 * np.mean(of_seeds), abs=0.006)


def test_loss_and_schedule_of_the_configuration_change_what_is_learnt(tmp_path):
    list(write_dataset(tmp_path / "data", 12, seed=1))
    presets = {"tiny": {"resnet34": {"width": 4, "rate": 100, "seconds": 5.0}}}
    usual = tiny_config(architectures=("resnet34",), lead_sets=(("I", "II"),), presets=presets, min_steps=4)
    learnt = []
    for i, changes in enumerate(({}, {}, {"loss": "focal"}, {"schedule": "constant"})):
        train_entry(tmp_path / "data", tmp_path / str(i), replace(usual, **changes))
        learnt.append(load_file(tmp_path / str(i) / "resnet34-2.safetensors"))
    same = [all((learnt[0][name] == other[name]).all() for name in other) for other in learnt]
    assert same == [True, True, False, False]
