"""Label spaces: what a file may say, what counts in training, and entries that answer and are scored in their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from files_on_disk import make_counts, write_recording
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

import evaluate_model
from leadset import scoring
from leadset.challenge import test_entry as answer_folder
from leadset.classes import label_space, list_label_spaces
from leadset.config import load_config
from leadset.entry import load_entry
from leadset.entry.manifest import Manifest
from leadset.models import create_model
from leadset.preprocess import Transform
from leadset.recordings import find_recordings, read_recording
from leadset.simulate.write import write_dataset
from leadset.training.data import Preparation, Split, load_training_data
from leadset.training.decision.ensemble import fit_weights
from leadset.training.run import train_entry
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.training.steps.partial_labels import cross_entropy, known_auroc, log_loss, mean_of_known, shares
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import build_optimizer, train_step

CHALLENGE = label_space("challenge2021")
SPLIT = Split(0.3, seed=1)
PVC, NSR, SB, AF = (CHALLENGE.abbreviations.index(name) for name in ("PVC", "NSR", "SB", "AF"))
VEB = "164884008"

LETTERS = """
name = "letters"
normal = "NORM"
weights = "rewards.csv"

[[classes]]
codes = ["NORM", "SR"]
abbreviation = "N"
name = "normal"

[[classes]]
codes = ["AFIB"]
abbreviation = "A"
name = "atrial fibrillation"
aliases = ["ARR 1"]

[[classes]]
codes = ["PVC"]
abbreviation = "V"
name = "premature ventricular contraction"

[[unannotated]]
sources = ["holter"]
classes = ["V"]
"""
REWARDS = f",NORM|SR,AFIB,{VEB}\nNORM|SR,1,0,0.5\nAFIB,0,1,0\n{VEB},0.5,0,1\n"


@pytest.fixture
def letters(tmp_path) -> Path:
    """The file of a label space whose codes are words, with its rewards beside it."""
    path = tmp_path / "own" / "letters.toml"
    path.parent.mkdir()
    path.write_text(LETTERS)
    (path.parent / "rewards.csv").write_text(REWARDS)
    return path


# --- files ------------------------------------------------------------------------------------------------------------


def test_aliases_count_in_training_alone():
    assert not CHALLENGE.encode([VEB]).any()
    assert np.flatnonzero(CHALLENGE.encode_for_training([VEB, "55827005"])).tolist() == [PVC]
    np.testing.assert_array_equal(CHALLENGE.encode(["17338001"]), CHALLENGE.encode_for_training([VEB]))
    nine = label_space("cpsc2018")
    np.testing.assert_array_equal(nine.encode([VEB]), nine.encode_for_training([VEB]))


def test_sources_that_do_not_annotate_a_class():
    assert CHALLENGE.annotated_by("elsewhere").all()
    annotated = {CHALLENGE.abbreviations[k] for k in np.flatnonzero(CHALLENGE.annotated_by("cpsc_2018"))}
    assert annotated == {"AF", "IAVB", "LBBB", "NSR", "PAC", "PVC", "RBBB"}
    assert not CHALLENGE.annotated_by("ningbo")[AF] and CHALLENGE.annotated_by("ningbo").sum() == 25


def test_what_is_said_to_be_unannotated_is_in_none_of_the_real_recordings(real_data):
    for name in list_label_spaces():
        space = label_space(name)
        for path in find_recordings(real_data / "challenge"):
            source = path.parent.parent.name
            assert not (space.encode_for_training(read_recording(path).codes) & ~space.annotated_by(source)).any(), path


def test_a_label_space_of_a_file_of_its_own(letters):
    space = label_space(str(letters))
    assert space.keys == ("NORM|SR", "AFIB", VEB)  # a text label is a code, as in a header
    assert space.encode(["SR", "PVC", "ARR 1"]).tolist() == [True, False, True]
    assert space.encode_for_training(["ARR 1", "x"]).tolist() == [False, True, False]
    assert space.diagnoses(["NORM", "noise", "55827005", "ARR 1"]) == ("NORM", "55827005", "ARR 1")
    assert space.is_plain_normal(["NORM", "SR", "noise"]) and not space.is_plain_normal(["noise"])
    assert not space.is_plain_normal(["NORM", "55827005"])
    assert space.weights[2].tolist() == [0.5, 0, 1]
    assert label_space("letters.toml", letters.parent) == space


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "letters"\n', "", r"name: found None, expected a text"),
        ('normal = "NORM"', 'normal = "MI"', r"normal: found 'MI', expected a code of one of the classes"),
        ('["AFIB"]', "[]", r"class 2: codes: found \[\], expected one code"),
        ('["AFIB"]', '"AFIB"', r"class 2: codes: found 'AFIB', expected a list of texts"),
        ('["AFIB"]', '["AF,B"]', r"class 2: codes: found 'AF,B', expected a code without separators"),
        ('["AFIB"]', '["NA"]', r"class 2: codes: found 'NA', expected a code"),
        ('["AFIB"]', '["SR"]', r"codes and aliases: found 'SR', expected it once, not 2 times"),
        ('["ARR 1"]', '["NORM"]', r"codes and aliases: found 'NORM', expected it once"),
        ('abbreviation = "A"', 'abbreviation = "N"', r"abbreviations: found 'N', expected it once"),
        ("aliases", "alias", r"class 2: key: found 'alias', expected one of codes, abbreviation, name, aliases"),
        ('classes = ["V"]', 'classes = ["PVC"]', r"unannotated 1: classes: found 'PVC', expected the abbreviation"),
        ('"rewards.csv"', '"nowhere.csv"', r"weights: found 'nowhere.csv', expected the name of a file beside"),
        ("[[unannotated]]", "[[unannotated]", r"found no TOML"),
    ],
)
def test_mistakes_in_a_file_are_named(letters, tmp_path, old, new, message):
    assert old in LETTERS
    letters.write_text(LETTERS.replace(old, new))
    with pytest.raises(ValueError, match=rf"letters\.toml: {message}"):
        label_space(str(letters))
    (tmp_path / "config.toml").write_text(f"label_space = '{letters}'\n")
    with pytest.raises(ValueError, match=rf"config\.toml.*letters\.toml: {message}"):
        load_config(tmp_path / "config.toml")


def test_label_spaces_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"no label space 'icd': expected one of challenge2021, .* or a .toml"):
        label_space("icd")
    with pytest.raises(ValueError, match=r"icd\.toml: found No such file .*, expected the file of a label space"):
        label_space(str(tmp_path / "icd.toml"))


# --- what is unknown has no say ---------------------------------------------------------------------------------------


def partly_known(n: int = 12, k: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets of which a third is unknown, the last class altogether."""
    generator = torch.Generator().manual_seed(3)
    logits, targets = torch.randn(n, k, generator=generator), (torch.rand(n, k, generator=generator) < 0.4).float()
    targets[torch.rand(n, k, generator=generator) < 0.3] = torch.nan
    targets[:, -1] = torch.nan
    return logits.requires_grad_(), targets


def test_loss_is_that_of_the_entries_that_are_known():
    logits, targets = partly_known()
    loss = cross_entropy(logits, targets)
    (gradient,) = torch.autograd.grad(loss, logits)
    known = ~torch.isnan(targets)
    alone = F.binary_cross_entropy_with_logits(logits[known], targets[known])
    (expected,) = torch.autograd.grad(alone, logits)
    torch.testing.assert_close(loss, alone)
    torch.testing.assert_close(gradient, expected)
    assert (gradient[~known] == 0).all() and (gradient[known] != 0).all()
    assert cross_entropy(logits, torch.full_like(targets, torch.nan)).item() == 0


def test_where_all_is_known_the_loss_is_the_usual_one_to_the_bit():
    logits, targets = partly_known(37, 26)
    targets = targets.nan_to_num()
    ours, standard = cross_entropy(logits, targets), F.binary_cross_entropy_with_logits(logits, targets)
    assert torch.equal(ours, standard)
    assert torch.equal(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, standard)))


def test_scores_of_known_entries():
    logits, targets = (tensor.detach().numpy().astype(float) for tensor in partly_known(200))
    p, known = 1 / (1 + np.exp(-logits)), ~np.isnan(targets)
    areas = known_auroc(targets, p)
    for k in range(4):
        assert areas[k] == pytest.approx(roc_auc_score(targets[known[:, k], k], p[known[:, k], k]))
        assert shares(targets)[k] == pytest.approx(targets[known[:, k], k].mean())
    assert np.isnan(areas[4]) and shares(targets)[4] == 0
    right = np.where(targets[known] == 1, p[known], 1 - p[known])
    assert mean_of_known(log_loss(targets, p, 1e-6), targets) == pytest.approx(-np.log(right).mean())


def test_weights_of_an_ensemble_do_not_depend_on_what_is_unknown():
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 4)) < 0.4).astype(float)
    good, bad = np.clip(0.8 * labels + 0.1, 0, 1), rng.random(labels.shape)
    mixed = np.where(np.arange(4) < 2, good, 1 - good)  # wrong where it will be unknown
    targets = np.where(np.arange(4) < 2, labels, np.nan)
    assert fit_weights([mixed, bad], targets)[0] > 0.9 > 0.5 > fit_weights([mixed, bad], labels)[0]


# --- training data ----------------------------------------------------------------------------------------------------


def two_sources(root: Path) -> Path:
    """Six recordings of CPSC 2018, six of a source that annotates everything."""
    codes = ("426783006", VEB, "164889003", "426177001", f"426783006,{VEB}", "17338001")
    for source in ("cpsc_2018", "elsewhere"):
        for i, code in enumerate(codes):
            counts = make_counts(seed=i + 10 * (source == "elsewhere"))
            write_recording(root / source / "g1", f"{source[0]}{i}", counts, comments=(f"#Dx: {code}",))
    return root


def test_training_learns_from_aliases_and_not_from_what_is_unannotated(tmp_path):
    folder = two_sources(tmp_path / "data")
    data = load_training_data(folder, CHALLENGE, Preparation([Transform(100)], tmp_path / "cache", workers=1), SPLIT)
    of_cpsc = np.array([recording.source == "cpsc_2018" for recording in data.first.recordings])
    unknown = np.isnan(data.targets)
    assert not unknown[~of_cpsc].any() and not data.labels[:, PVC].all()
    # Sinus bradycardia is none of the nine classes; where a header of CPSC 2018 names it all the same, it counts.
    assert unknown[of_cpsc, SB].tolist() == [True, True, True, False, True, True] and not unknown[:, [AF, PVC]].any()
    assert data.targets[of_cpsc, PVC].tolist() == [0, 1, 0, 0, 1, 1]
    assert data.labels[of_cpsc, PVC].tolist() == [False] * 5 + [True]
    assert data.abnormal[of_cpsc].tolist() == [False, *[True] * 5]
    assert list(data.unannotated()) == ["cpsc_2018"] and len(data.unannotated()["cpsc_2018"]) == 19
    renamed = shutil.move(folder / "cpsc_2018", folder / "another")
    other = load_training_data(folder, CHALLENGE, Preparation([Transform(100)], tmp_path / "cache", workers=1), SPLIT)
    assert not np.isnan(other.targets).any() and not other.unannotated() and renamed.is_dir()
    assert other.fingerprint != data.fingerprint


def test_a_class_that_no_source_annotates_is_taken_for_absent(tmp_path):
    folder = two_sources(tmp_path / "data")
    shutil.rmtree(folder / "elsewhere")
    data = load_training_data(folder, CHALLENGE, Preparation([Transform(100)], tmp_path / "cache", workers=1), SPLIT)
    unknown = np.isnan(data.targets)
    assert unknown[:, SB].sum() == 5  # one header names it
    unknown[:, SB] = False
    assert not unknown.any() and set(data.unannotated()["cpsc_2018"]) == {"SB"}


def test_a_training_step_has_no_gradient_where_nothing_is_known(tmp_path):
    preparation = Preparation([Transform(100)], tmp_path / "cache", workers=1)
    data = load_training_data(two_sources(tmp_path / "data"), CHALLENGE, preparation, SPLIT)
    model = create_model("resnet34", 2, width=4, blocks=(1, 1, 1, 1), rate=100, seconds=2)
    of_cpsc = np.flatnonzero(np.isnan(data.targets).any(axis=1))
    curriculum = Curriculum((Phase("real", Pool(of_cpsc), 1, 1e-3),))
    store = data.stores[model.input_spec.transform]
    task = ClassificationTask(store, data.targets, curriculum, data.valid, ("I", "II"), model.input_spec, 1, 4, 0.0)
    batch = task.batches(curriculum)[0]
    unknown = torch.isnan(batch.labels).all(dim=0)
    assert unknown.any() and not unknown.all()
    train_step(model.train(), build_optimizer(model, 0.0), task, batch)
    gradients = [p.grad for p in model.parameters() if p.shape[0] == len(CHALLENGE)]
    assert gradients and all((g[unknown] == 0).all() and (g[~unknown] != 0).any() for g in gradients)


# --- entries ----------------------------------------------------------------------------------------------------------

CONFIG = """
lead_sets = ["II"]
architectures = ["resnet34"]
preset = "tiny"
epochs = 1
min_steps = 2
batch_size = 8
workers = 1
[pretrain]
below = 0
[presets.tiny.resnet34]
width = 4
rate = 100
seconds = 2
"""
# What the simulator writes, in the words of the label space.
WORDS = {"426783006": "NORM", "164889003": "AFIB", "17338001": "PVC", "427172004": "PVC", VEB: "PVC"}


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory) -> Path:
    """Simulated recordings, each with one of the three diagnoses that both label spaces have."""
    folder = tmp_path_factory.mktemp("diagnosed") / "data"
    list(write_dataset(folder, 24, seed=6, labels={"NSR": 1, "AF": 1, "PVC": 1}))
    return folder


def in_words(folder: Path, target: Path) -> Path:
    """A copy of a folder whose headers have words for codes."""
    shutil.copytree(folder, target)
    for path in find_recordings(target):
        text = path.read_text()
        for code, word in WORDS.items():
            text = text.replace(code, word)
        path.write_text(text)
    return target


@pytest.mark.parametrize("own", [False, True])
def test_an_entry_is_trained_asked_and_scored_in_its_label_space(diagnosed, letters, tmp_path, capsys, own):
    data = in_words(diagnosed, tmp_path / "data") if own else diagnosed
    name = str(letters) if own else "cpsc2018"
    (tmp_path / "config.toml").write_text(f'label_space = "{name}"\n{CONFIG}')
    entry, outputs = tmp_path / "entry", tmp_path / "outputs"
    manifest = train_entry(data, entry, load_config(tmp_path / "config.toml"))
    shutil.rmtree(letters.parent)  # a model folder has all it needs
    space = load_entry(entry).space
    assert manifest.classes == space.keys and len(space) == (3 if own else 9)
    assert answer_folder(entry, data, outputs).failures == []

    answers = list(load_entry(entry).predict(find_recordings(data)))
    labels = np.array([space.encode(read_recording(path).codes) for path in find_recordings(data)])
    probabilities = np.array([answer.probabilities for answer in answers])
    both = labels.any(axis=0) & ~labels.all(axis=0)
    expected = roc_auc_score(labels[:, both], probabilities[:, both], average="macro")
    capsys.readouterr()
    option = ["--label-space", str(entry / "label_space.toml")] if own else []
    assert evaluate_model.main([str(data), str(outputs), str(tmp_path / "scores.csv"), *option]) == 0
    noticed = f"AUROC is the mean over {both.sum()} of {len(space)} classes"
    assert [noticed in line for line in capsys.readouterr().err.splitlines()] == [True] * (not both.all())
    assert (tmp_path / "scores.csv").read_text().splitlines()[1].split(",")[0] == f"{expected:.3f}"
    assert evaluate_model.main([str(data), str(outputs), "--label-space", "challenge2021"]) == 1
    message = capsys.readouterr().err
    assert f"the {len(space)} classes" in message and "expected the 26 classes of label space challenge2021" in message
    scores = scoring.evaluate(data, outputs, space)
    assert scores.auroc == pytest.approx(expected) and len(scores.class_auroc) == len(space)


def test_an_entry_whose_label_space_has_changed_says_so(letters, tmp_path):
    folder = tmp_path / "entry"
    folder.mkdir()
    space = label_space(str(letters))
    assert label_space("cpsc2018").copy_to(folder) == "cpsc2018" and not list(folder.iterdir())
    manifest = Manifest(space.copy_to(folder), space.keys, np.zeros(3), (), {})
    assert manifest.space_in(folder) == space
    copy = folder / "label_space.toml"
    copy.write_text(LETTERS.replace('"AFIB"', '"AFLT"'))
    (folder / "rewards.csv").write_text(REWARDS)
    with pytest.raises(ValueError, match=r"entry\.json: found the classes NORM\|SR, AFIB, .* has NORM\|SR, AFLT, "):
        manifest.space_in(folder)
    copy.unlink()
    with pytest.raises(ValueError, match=r"entry\.json: its label space is gone: .*label_space\.toml: found No such"):
        manifest.space_in(folder)


def test_the_example_of_the_documents_is_a_label_space(tmp_path):
    text = (Path(evaluate_model.__file__).parent / "docs" / "label_spaces.md").read_text()
    example = next(part for part in text.split("```") if "[[classes]]" in part).removeprefix("toml\n")
    (tmp_path / "rhythms_weights.csv").write_text(",NORM|SR,427172004|17338001\nNORM|SR,1,0\n427172004|17338001,0,1\n")
    (tmp_path / "rhythms.toml").write_text(example)
    space = label_space("rhythms.toml", tmp_path)
    assert space.weights.tolist() == [[1, 0], [0, 1]] and not space.annotated_by("cpsc_2018")[1]
