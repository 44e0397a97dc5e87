"""The configuration: one source of defaults, what overrides it in which order, and mistakes in it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import MISSING, asdict, fields, replace
from itertools import product
from pathlib import Path

import pytest
import torch

import team_code
from leadset import challenge
from leadset.classes import label_space
from leadset.commands.demo import CONFIG as DEMO
from leadset.config import (
    DEFAULT_FILE,
    Config,
    Pretrain,
    default_config,
    load_config,
    load_label_space,
    load_lead_names,
    parse_setting,
)
from leadset.leads import resolve_leads
from leadset.models import create_network, list_models
from leadset.simulate.write import write_dataset

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """The current folder holds no `leadset.toml`, and no variable names one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEADSET_CONFIG", raising=False)
    return tmp_path


# --- one source of defaults ------------------------------------------------------------------------------------------


def test_classes_have_no_values_and_the_shipped_file_has_all():
    for kind in (Config, Pretrain):
        assert all(f.default is MISSING and f.default_factory is MISSING for f in fields(kind))
    assert load_config() == default_config()
    assert default_config().files == (str(DEFAULT_FILE),)


def test_shipped_presets_build_every_architecture():
    config = default_config()
    assert [len(leads) for leads in config.lead_sets] == [12, 6, 4, 3, 2]
    assert {"published", "compact", "demo"} <= set(config.presets)
    for preset, name in product(config.presets, list_models()):
        with torch.device("meta"):
            create_network(name, resolve_leads(2), len(label_space("challenge2021")), config.options(name, preset))


def test_file_beside_the_scripts_overrides_nothing_and_its_examples_are_valid(tmp_path):
    text = (ROOT / "leadset.toml").read_text()
    assert tomllib.loads(text) == {}
    _, examples = text.split("Examples:\n")
    file = tmp_path / "examples.toml"
    file.write_text("\n".join(line.removeprefix("# ") for line in examples.splitlines()))
    assert load_config(file).lead_sets == (resolve_leads(12), ("II", "V5"))


def test_demo_starts_from_what_ships_and_does_not_pretrain():
    config = load_config(DEMO)
    assert default_config().pretrain.below > 0
    assert config.pretrain == replace(default_config().pretrain, below=0)
    assert config.preset == "compact" and config.start == default_config().start


# --- what overrides it -----------------------------------------------------------------------------------------------


def test_later_files_and_settings_win(tmp_path, monkeypatch):
    for number, name in enumerate(("leadset.toml", "named.toml", "given.toml"), 1):
        keys = ("epochs", "batch_size", "min_steps", "seed")[: 5 - number]
        (tmp_path / name).write_text("\n".join(f"{key} = {number}" for key in keys))
    monkeypatch.setenv("LEADSET_CONFIG", "named.toml")
    config = load_config("given.toml", settings=[parse_setting("epochs = 4")])
    assert (config.epochs, config.batch_size, config.min_steps, config.seed) == (4, 3, 2, 1)
    assert config.learning_rate == default_config().learning_rate
    assert config.files == (str(DEFAULT_FILE), "leadset.toml", "named.toml", "given.toml")
    assert config.overrides == {"epochs": 4}
    assert config.summary().endswith("default.toml, leadset.toml, named.toml, given.toml, epochs=4")
    assert load_config(folder=None).files == (str(DEFAULT_FILE), "named.toml")


def test_tables_are_merged_key_by_key(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text("[pretrain]\nbelow = 7\n[presets.compact.resnet34]\nwidth = 8\n[presets.mine.star]\nwidth = 16\n")
    config, default = load_config(file), default_config()
    assert config.pretrain == replace(default.pretrain, below=7)
    assert config.options("resnet34", "compact") == {**default.options("resnet34", "compact"), "width": 8}
    assert config.options("star", "compact") == default.options("star", "compact")
    assert config.options("star", "mine") == {"width": 16}
    assert config.presets["demo"] == default.presets["demo"]


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ("epochs=3", "epochs", 3), ("preset=compact", "preset", "compact"), ('preset = "compact"', "preset", "compact"),
        ("pretrain.below=0", "pretrain.below", 0), ("keep_work=true", "keep_work", True),
        ('lead_sets=["2", "II,V5"]', "lead_sets", ["2", "II,V5"]), ("cache=", "cache", ""),
        ("epochs=3\nseed=4", "epochs", "3\nseed=4"),
    ],
)  # fmt: skip
def test_settings_are_read_as_toml_or_text(words, key, value):
    assert parse_setting(words)[1:] == (key, value)


def test_training_code_reads_the_file_beside_it(tmp_path, monkeypatch):
    (tmp_path / "leadset.toml").write_text("epochs = 7\n")
    used = []
    monkeypatch.setattr(challenge, "train_entry", lambda data, model, config: used.append((data, model, config)))
    team_code.training_code("data", "model")
    challenge.training_code("data", "model")
    (_, _, beside), (data, model, current) = used
    assert (data, model, current.epochs) == ("data", "model", 7)
    assert beside == default_config() and beside.files[-1] == str(ROOT / "leadset.toml")


def test_provenance_is_plain_and_complete():
    config = load_config(settings=[parse_setting("pretrain.below=0"), parse_setting("lead_sets=['II,V5']")])
    kept = json.loads(json.dumps(config.provenance()))
    assert kept["overrides"] == {"pretrain.below": 0, "lead_sets": ["II,V5"]}
    assert kept["files"] == [str(DEFAULT_FILE)]
    values = {key: value for key, value in asdict(config).items() if key not in ("files", "overrides")}
    assert kept["values"] == json.loads(json.dumps(values))
    assert kept["values"]["lead_sets"] == [["II", "V5"]] and kept["values"]["pretrain"]["below"] == 0


def test_lead_names_of_later_files_win_in_whatever_case_and_can_be_read_alone(tmp_path, monkeypatch):
    Path("leadset.toml").write_text("leads = {'Channel 7' = '-avr', 'my II' = 'II'}")
    Path("named.toml").write_text("leads = {'CHANNEL 7' = 'Lead V1'}")
    assert load_config().leads == load_lead_names() == {"channel 7": "-aVR", "my ii": "II"}
    monkeypatch.setenv("LEADSET_CONFIG", "named.toml")
    assert load_config().leads == load_lead_names() == {"channel 7": "V1", "my ii": "II"}
    assert load_config(folder=None).leads == load_lead_names(None) == {"channel 7": "V1"}
    Path("named.toml").write_text("leads = {'CHANNEL 7' = 'V9'}")
    with pytest.raises(ValueError, match=r"^named\.toml: found leads\.CHANNEL 7 = 'V9', expected one of"):
        load_lead_names()


def test_the_label_space_can_be_read_alone(monkeypatch):
    assert load_config().label_space == load_label_space().name == "challenge2021"
    Path("leadset.toml").write_text("label_space = 'ptbxl_super'")
    assert load_config().label_space == load_label_space().name == "ptbxl_super"
    Path("named.toml").write_text("label_space = 'hefei'\nepochs = 3")
    monkeypatch.setenv("LEADSET_CONFIG", "named.toml")
    assert load_config().label_space == load_label_space().name == load_label_space(None).name == "hefei"
    Path("named.toml").write_text("label_space = 'nowhere'")
    with pytest.raises(ValueError, match=r"^named\.toml: found label_space = 'nowhere', expected one of"):
        load_label_space()


@pytest.mark.parametrize("verb", ["describe", "doctor"])
def test_verbs_that_count_leave_pytorch_alone(verb, tmp_path):
    list(write_dataset(tmp_path, 1, seed=0))
    code = "import sys; from leadset.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, verb, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


# --- mistakes --------------------------------------------------------------------------------------------------------

MISTAKES = {
    "epochs = 'many'": r"epochs = 'many', expected a whole number",
    "epochs = 0": r"epochs = 0, expected a whole number from 1",
    "epochs = 3.0": r"epochs = 3.0, expected a whole number",
    "epochs = true": r"epochs = True, expected a whole number",
    "seed = -1": r"seed = -1, expected a whole number from 0 to",
    "workers = 0": r"workers = 0, expected .* or -1",
    "learning_rate = nan": r"learning_rate = nan, expected a finite positive number",
    "time_limit_hours = inf": r"time_limit_hours = inf, expected a finite positive number",
    "weight_decay = -0.1": r"weight_decay = -0.1, expected .* 0 or more",
    "validation_share = 1.0": r"validation_share = 1.0, expected a number between 0 and 1",
    "keep_work = 1": r"keep_work = 1, expected true or false",
    "cache = 3": r"cache = 3, expected text",
    "speed = 3": r"unknown key 'speed', expected one of label_space, lead_sets",
    "epoch = 3": r"unknown key 'epoch', expected one of label_space, .*\(did you mean 'epochs'\?\)",
    "strat.weights = 'none'": r"unknown key 'strat', expected .*, start \(did you mean 'start'\?\)",
    "one_pass = false": r"unknown key 'one_pass', expected .*\(did you mean 'start.one_pass'\?\)",
    "files = ['x']": r"unknown key 'files', expected one of",
    "label_space = 'icd'": r"label_space = 'icd', expected one of challenge2021",
    "label_space = ['icd']": r"label_space = \['icd'\], expected one of challenge2021",
    "lead_sets = 12": r"lead_sets = 12, expected a list",
    "lead_sets = []": r"lead_sets = \[\], expected a list of at least one",
    "lead_sets = ['V9']": r"lead_sets = \['V9'\], expected lead sets .*V9",
    "lead_sets = [[]]": r"lead_sets = \[\[\]\], expected lead sets .*empty",
    "lead_sets = [[1, 2]]": r"lead_sets = \[\[1, 2\]\], expected lead sets by size or names",
    "lead_sets = [true]": r"lead_sets = \[True\], expected lead sets by size or names",
    "lead_sets = ['2', 'II,I']": r"expected each lead set once, found I,II twice",
    "architectures = 'star'": r"architectures = 'star', expected \[\"all\"\], or a list of distinct names out of cnn",
    "architectures = []": r"architectures = \[\], expected .* list of distinct names out of",
    "architectures = ['star', 'star']": r"architectures = \['star', 'star'\], expected .* distinct names",
    "architectures = ['all', 'star']": r"architectures = \['all', 'star'\], expected",
    "architectures = ['resnet']": r"architectures = \['resnet'\], expected .* resnet34",
    "preset = 'huge'": r"preset = 'huge', expected one of auto, published",
    "preset = 3": r"preset = 3, expected text",
    "epochs = = 3": r"not valid TOML: .*line 1",
    "pretrain = true": r"pretrain = True, expected a table",
    "pretrain.below = -1": r"pretrain.below = -1, expected a whole number from 0",
    "pretrain.below = 'few'": r"pretrain.below = 'few', expected a whole number",
    "pretrain.recordings = 0": r"pretrain.recordings = 0, expected a whole number from 1",
    "pretrain.mixed_share = 1.0": r"pretrain.mixed_share = 1.0, expected a number between 0 and 1",
    "pretrain.bank_time_share = 0": r"pretrain.bank_time_share = 0, expected a number between 0 and 1",
    "pretrain.passes = 3": r"unknown key 'pretrain.passes', expected one of below",
    "leads = 'II'": r"leads = 'II', expected a table",
    "leads.'channel 7' = 'V9'": r"leads.channel 7 = 'V9', expected one of I II III aVR .* V6, behind '-' where",
    "leads.'channel 7' = 2": r"leads.channel 7 = 2, expected one of I II III",
    "leads.'channel 7' = ''": r"leads.channel 7 = '', expected one of I II III",
    "leads = {'my II' = 'II', 'MY II' = 'V1'}": r"leads.MY II = 'V1', expected each name once",
    "presets = 3": r"presets = 3, expected a table",
    "presets.compact = 3": r"presets.compact = 3, expected a table",
    "presets.compact.star = 3": r"presets.compact.star = 3, expected a table",
    "presets.compact.stair.width = 3": r"presets.compact.stair = .*, expected architectures out of .* star",
    "presets.compact.star.widht = 3": r"presets.compact.star.widht = 3, expected options out of width",
    "presets.compact.star.width = nan": r"presets.compact.star.width = nan, expected a finite number",
    "presets.compact.star.width = 'x'": r"presets.compact.star = .*'x'.*, expected options that star can be built with",
    "presets.compact.resnet34.width = 0": r"presets.compact.resnet34 = .*, expected options that resnet34 can be built",
    "presets.mine.resnet34.window = 'x'": r"presets.mine.resnet34 = .*, expected .*'masked' or 'published'",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_name_file_key_found_and_expected(tmp_path, text):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"^{file}: .*{MISTAKES[text]}"):
        load_config(file)


def test_mistakes_of_settings_name_the_option():
    with pytest.raises(ValueError, match=r"^--set: found epochs = 0, expected"):
        load_config(settings=[parse_setting("epochs=0")])
    with pytest.raises(ValueError, match=r"^--set: found 'epochs', expected KEY=VALUE"):
        parse_setting("epochs")
    with pytest.raises(ValueError, match=r"epochs given 2 times \(--set 3 and --epochs 4\), expected once"):
        load_config(settings=[parse_setting("epochs=3"), parse_setting("epochs=4", "--epochs")])


def test_files_that_are_not_there_or_no_text(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nowhere.toml: no such file, expected a configuration"):
        load_config("nowhere.toml")
    monkeypatch.setenv("LEADSET_CONFIG", "gone.toml")
    with pytest.raises(FileNotFoundError, match=r"gone.toml: no such file, which LEADSET_CONFIG names"):
        load_config()
    (tmp_path / "gone.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"gone.toml: not valid TOML"):
        load_config()
