"""Networks that start from weights: which, how heads carry over, what is tuned, and whole runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from configurations import tiny_config
from safetensors.torch import load_file, save_file

import leadset
from leadset.classes import label_space
from leadset.cli import main
from leadset.config import default_config, load_config, parse_setting
from leadset.entry import load_entry
from leadset.leads import LEADS, resolve_leads
from leadset.models import create_network
from leadset.models.prediction import predict
from leadset.models.registry import same_options
from leadset.models.shipped import FOLDER, SIMULATED, load_shipped, read_shipped, shipped_networks, write_shipped
from leadset.recordings import find_recordings
from leadset.simulate.write import write_dataset
from leadset.store.packed import CHUNK
from leadset.training import run, sizes
from leadset.training.data import TRAIN, VALID
from leadset.training.jobs import describe_starts, make_jobs
from leadset.training.start import Starts, class_axes, head_axes, nearest_classes, started_network
from leadset.training.steps.lead_dropout import LeadDropout
from leadset.training.trainer import build_optimizer

SPACE, NINE = label_space("challenge2021"), label_space("cpsc2018")
PAIR = ("II", "V5")
#: The quickest of the networks that ship.
NAME = "resnet34"
OPTIONS = default_config().options(NAME, "compact")


def starting_config(**changes):
    """A few steps of one network that starts from the weights that ship."""
    config = tiny_config()
    start = replace(default_config().start, recordings=CHUNK, steps=1.0)
    changes = {"preset": "compact", "architectures": (NAME,), "lead_sets": (resolve_leads(2), PAIR)} | changes
    return replace(config, **({"start": start} | changes))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    list(write_dataset(folder, 40, seed=3))
    return folder


@pytest.fixture(scope="module")
def entry_folder(recordings, tmp_path_factory):
    """An entry of a universal network, tuned with simulated recordings mixed in."""
    folder = tmp_path_factory.mktemp("entry")
    config = starting_config()
    run.train_entry(recordings, folder, replace(config, pretrain=replace(config.pretrain, below=100)))
    return folder


def windows(leads=12, seed=0):
    spec = load_shipped(NAME).input_spec
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((3, leads, spec.samples), dtype=np.float32))


# --- which weights ---------------------------------------------------------------------------------------------------


def test_compact_sizes_are_those_of_the_weights_that_ship():
    config = default_config()
    for name in shipped_networks():
        shipped = read_shipped(FOLDER / f"{name}.safetensors")[1]["options"]
        compact = config.options(name, "compact")
        assert same_options(name, shipped, compact) and shipped.get("dropout") == compact.get("dropout"), name


def test_networks_start_from_what_fits_and_say_so():
    config = starting_config(architectures=(NAME, "cross_restoration"))
    (universal, *detectors) = make_jobs(config, SPACE, "compact")
    assert universal.start.path == FOLDER / f"{NAME}.safetensors" and universal.cut_to == (resolve_leads(2), PAIR)
    assert [job.leads for job in detectors] == [resolve_leads(2), PAIR]
    assert all(job.start is None for job in make_jobs(config, SPACE, "published"))
    apart = replace(config, start=replace(config.start, one_pass=False))
    assert [job.leads for job in make_jobs(apart, SPACE, "compact")][:2] == [resolve_leads(2), PAIR]
    alone = replace(config, lead_sets=(PAIR,))
    job = make_jobs(alone, SPACE, "compact")[0]
    assert (job.leads, job.cut_to) == (PAIR, ())
    lines = list(describe_starts(make_jobs(config, SPACE, "compact"), config, SPACE))
    assert any(line.startswith(f"{NAME}: from shipped") and "once for all lead sets" in line for line in lines)
    other = list(describe_starts(make_jobs(config, SPACE, "published"), config, SPACE))
    assert any("from nothing, as no shipped weights are of this network in this size" in line for line in other)


def test_dropout_is_free_where_weights_start_a_network():
    """It changes no weight; before, a network of another dropout was trained from nothing."""
    config = starting_config(architectures=("s4d",), preset="other")
    options = {**config.options("s4d", "compact"), "dropout": 0.3}
    config = replace(config, presets={**config.presets, "other": {"s4d": options}})
    (job,) = make_jobs(config, SPACE, "other")
    assert job.start is not None and job.options["dropout"] == 0.3
    model = started_network("s4d", LEADS, SPACE, job.options, job.start)
    same = load_shipped("s4d", dropout=0.3)
    layers = [m for network in (model, same) for m in network.modules() if isinstance(m, torch.nn.Dropout1d)]
    assert layers and all(layer.p == 0.3 for layer in layers)
    for name, tensor in load_shipped("s4d").state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor) and torch.equal(same.state_dict()[name], tensor), name


def test_weights_of_simulation_alone_say_so():
    start = Starts("simulated").find(NAME, LEADS)
    assert read_shipped(start.path)[1]["data"] == "simulation alone"
    assert "{" not in repr(start.classes), "sets have no order, and their text would change a run's digests"


@pytest.mark.parametrize("weights", ["ship", "nowhere/at/all", 3])
def test_start_is_a_word_or_a_folder(weights):
    with pytest.raises(ValueError, match=r"start\.weights.*expected one of shipped, simulated, none, or a folder"):
        load_config(folder=None, settings=[parse_setting(f"start.weights={weights}")])


def test_folders_without_weights_and_damaged_or_other_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"found neither entry.json nor weights"):
        Starts(str(tmp_path))
    path = shutil.copy(FOLDER / f"{NAME}.safetensors", tmp_path / "star.safetensors")
    with pytest.raises(ValueError, match=f"found weights of {NAME}, expected star"):
        Starts(str(tmp_path)).find("star", LEADS)
    tensors = load_file(path)
    save_file(tensors, path, metadata={"leadset": json.dumps({"format": 99, "network": "star", "options": {},
                                                              "classes": [], "leads": list(LEADS)})})
    with pytest.raises(ValueError, match="found format 99, expected 1"):
        Starts(str(tmp_path)).find("star", LEADS)
    (tmp_path / "star.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="no weights could be read"):
        Starts(str(tmp_path)).find("star", LEADS)
    (tmp_path / "entry.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="format 99, expected 2"):
        Starts(str(tmp_path))


def test_weights_of_another_network_are_refused_by_tensor(tmp_path):
    torch.manual_seed(0)
    write_shipped(create_network(NAME, LEADS, 26, {"width": 8, "rate": 100}), SPACE.keys, {}, tmp_path)
    start = replace(Starts(str(tmp_path)).find(NAME, LEADS), options=OPTIONS)
    with pytest.raises(ValueError, match=r"found .* of shape .*, expected"):
        started_network(NAME, LEADS, SPACE, OPTIONS, start)


def test_lead_set_without_any_of_the_twelve_is_refused():
    with pytest.raises(ValueError, match="lead_sets"):
        load_config(folder=None, settings=[parse_setting('lead_sets=["X,Y"]')])


# --- heads -----------------------------------------------------------------------------------------------------------


def test_network_of_the_same_classes_is_the_shipped_one_cut_or_whole():
    start = Starts("shipped").find(NAME, LEADS)
    for leads in (LEADS, PAIR):
        network = started_network(NAME, leads, SPACE, OPTIONS, start).eval()
        expected = load_shipped(NAME, leads).eval()
        torch.testing.assert_close(network(windows(len(leads))), expected(windows(len(leads))), rtol=0, atol=0)


def test_head_tensors_are_found_by_what_the_number_of_classes_changes():
    assert head_axes(NAME, LEADS, OPTIONS, SPACE) == {"fc.weight": 0, "fc.bias": 0}
    assert class_axes(lambda n: torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Embedding(n, 5)), 7) == {
        "1.weight": 0
    }


def test_classes_of_another_space_keep_the_rows_of_those_that_share_a_code():
    start = Starts("shipped").find(NAME, LEADS)
    rows = nearest_classes(NINE, start)
    names = {NINE.abbreviations[i]: SPACE.abbreviations[j] for i, j in rows.items()}
    assert {"SNR": "NSR", "AF": "AF", "IAVB": "IAVB", "PAC": "PAC", "PVC": "PVC"}.items() <= names.items()
    torch.manual_seed(5)
    network = started_network(NAME, LEADS, NINE, OPTIONS, start).eval()
    torch.manual_seed(5)
    untrained = create_network(NAME, LEADS, len(NINE), OPTIONS)
    logits, known = network(windows()), load_shipped(NAME).eval()(windows())
    torch.testing.assert_close(logits[:, list(rows)], known[:, list(rows.values())])
    new = [i for i in range(len(NINE)) if i not in rows]
    assert new, "STD and STE are not scored by the Challenge"
    torch.testing.assert_close(network.fc.weight[new], untrained.fc.weight[new], rtol=0, atol=0)


def own_space(tmp_path):
    """A label space whose classes no shipped network knows."""
    path = tmp_path / "own.toml"
    classes = "".join(
        f'[[classes]]\ncodes = ["{code}"]\nabbreviation = "{code}"\nname = "{code}"\n' for code in ("ODD", "EVEN")
    )
    path.write_text(f'name = "own"\ncitation = "Nobody, 2024"\nnormal = "EVEN"\n{classes}')
    return path


def test_space_without_common_classes_keeps_the_trunk_alone(tmp_path):
    space = label_space(str(own_space(tmp_path)))
    start = Starts("shipped").find(NAME, LEADS)
    assert not nearest_classes(space, start)
    network, shipped = started_network(NAME, LEADS, space, OPTIONS, start), load_shipped(NAME)
    trunk = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
    for name, tensor in trunk.items():
        torch.testing.assert_close(tensor, shipped.state_dict()[name], rtol=0, atol=0)
    config = starting_config()
    (line,) = describe_starts(make_jobs(config, space, "compact"), config, space)
    assert "no common class, so with a new head" in line


# --- what is tuned ---------------------------------------------------------------------------------------------------


def test_trunk_learns_slower_than_the_head():
    model = load_shipped(NAME)
    rates = {name: 0.2 for name, _ in model.named_parameters() if not name.startswith("fc.")}
    groups = build_optimizer(model, 0.01, rates).param_groups
    share = {id(p): group["share"] for group in groups for p in group["params"]}
    assert {share[id(p)] for p in model.fc.parameters()} == {1.0}
    assert {share[id(p)] for p in model.stages.parameters()} == {0.2}


def test_leads_that_are_not_drawn_are_zero():
    drawn = [tuple(LeadDropout((PAIR,))(np.random.default_rng(seed))) for seed in range(200)]
    pair = tuple(LEADS.index(lead) for lead in PAIR)
    assert 0.4 < np.mean([rows == pair for rows in drawn]) < 0.65
    assert len(set(drawn)) > 5


def test_frozen_run_changes_heads_alone(recordings, tmp_path):
    config = starting_config(lead_sets=(PAIR,))
    run.train_entry(recordings, tmp_path, replace(config, start=replace(config.start, freeze=True)))
    tuned, shipped = load_file(tmp_path / f"{NAME}-II-V5.safetensors"), load_shipped(NAME, PAIR).state_dict()
    changed = {name for name, tensor in tuned.items() if not torch.equal(tensor, shipped[name])}
    assert changed <= {"fc.weight", "fc.bias"}, "the statistics of normalisation stay too"


def test_freeze_is_an_option_of_train(recordings, monkeypatch):
    used = []
    monkeypatch.setattr(run, "train_entry", lambda *arguments: used.append(arguments[2]))
    assert main(["train", str(recordings), "model", "--freeze"]) == 0
    assert used[0].start.freeze and used[0].overrides == {"start.freeze": True}
    assert not default_config().start.freeze


# --- whole runs ------------------------------------------------------------------------------------------------------


def test_one_pass_serves_all_lead_sets_with_one_file(entry_folder, recordings):
    entry = load_entry(entry_folder)
    assert {path.name for path in entry_folder.glob("*.safetensors")} == {f"{NAME}.safetensors"}
    for leads, trained in zip((resolve_leads(2), PAIR), entry.manifest.sets, strict=True):
        (member,) = trained.members
        assert trained.leads == leads and member.universal
        assert member.training["start"]["file"] == f"{NAME}.safetensors"
        assert member.training["start"]["new_classes"] == []
        assert member.training["phases"][0]["mixed_in"] > 0
    assert entry.manifest.sets[0].members[0].training["valid_loss"] != entry.manifest.sets[1].members[0].training[
        "valid_loss"
    ]
    header = find_recordings(recordings)[0]
    assert not entry.predict(header).failed
    # Universal networks are cut to leads that nobody trained.
    recording = leadset.read_recording(header)
    kept = [recording.leads.index(lead) for lead in ("V1", "V2")]
    other = leadset.Recording(recording.signal[kept], recording.fs, ("V1", "V2"))
    answer = entry.predict(other)
    assert not any(flag.startswith("zero_lead") for flag in answer.flags)


def test_run_starts_from_the_folder_of_an_earlier_one(entry_folder, recordings, tmp_path):
    config = starting_config(preset="published", lead_sets=(PAIR,))
    config = replace(config, start=replace(config.start, weights=str(entry_folder)))
    manifest = run.train_entry(recordings, tmp_path, config)
    (member,) = manifest.sets[0].members
    assert same_options(NAME, member.options, OPTIONS), "options come from the weights"
    assert member.training["start"]["weights"] == str(entry_folder)
    again = replace(config, start=replace(config.start, weights=str(tmp_path)))
    start = Starts(again.start.weights).find(NAME, PAIR)
    assert not start.universal and start.leads == PAIR
    assert Starts(again.start.weights).find(NAME, ("V1",)) is None, "weights of two leads serve these alone"
    tuned = load_file(tmp_path / f"{NAME}-II-V5.safetensors")
    network = started_network(NAME, PAIR, SPACE, start.options, start)
    assert all(torch.equal(tensor, tuned[name]) for name, tensor in network.state_dict().items())


def test_too_few_recordings_leave_the_entry_that_ships(tmp_path, capsys, monkeypatch):
    list(write_dataset(tmp_path / "few", 4, seed=8, seconds=5.0))
    config = starting_config(architectures=("all",), start=default_config().start)
    config = replace(config, pretrain=replace(config.pretrain, below=100))
    monkeypatch.setattr(run, "add_bank", lambda *_, **__: pytest.fail("nothing learns from a bank"))
    manifest = run.train_entry(tmp_path / "few", tmp_path / "model", config)
    assert "not tuned: 4 recordings to learn from, expected 20 or more" in capsys.readouterr().out
    assert not (tmp_path / "model" / "work").exists()
    run.train_entry(tmp_path / "few", tmp_path / "model", config)
    assert f"{tmp_path / 'model'} holds a finished entry of " in capsys.readouterr().out
    assert manifest.provenance["flags"][0].startswith("not tuned")
    header = find_recordings(tmp_path / "few")[0]
    mine, shipped = load_entry(tmp_path / "model").predict(header), load_entry().predict(header)
    np.testing.assert_array_equal(mine.probabilities, shipped.probabilities)
    np.testing.assert_array_equal(mine.labels, shipped.labels)


def test_few_recordings_of_other_classes_are_tuned_all_the_same(tmp_path):
    list(write_dataset(tmp_path / "few", 4, seed=8, seconds=5.0))
    config = starting_config(lead_sets=(PAIR,), label_space="cpsc2018", start=default_config().start)
    manifest = run.train_entry(tmp_path / "few", tmp_path / "model", config)
    assert manifest.classes == NINE.keys and "flags" not in manifest.provenance
    assert len(manifest.sets[0].members[0].training["start"]["new_classes"]) == 2


def test_tuned_weights_lie_between_those_before_and_after(recordings, tmp_path):
    config = starting_config(lead_sets=(PAIR,))
    tensors = []
    for blend in (1.0, 0.5):
        folder = tmp_path / str(blend)
        run.train_entry(recordings, folder, replace(config, start=replace(config.start, blend=blend)))
        tensors.append(load_file(folder / f"{NAME}-II-V5.safetensors"))
    before, (tuned, between) = load_shipped(NAME, PAIR).state_dict(), tensors
    assert not torch.equal(tuned["fc.weight"], before["fc.weight"])
    torch.testing.assert_close(between["fc.weight"], (tuned["fc.weight"] + before["fc.weight"]) / 2)


def test_weights_with_rows_of_new_classes_are_those_that_were_tuned(recordings, tmp_path):
    """What new rows were before means nothing, so that no weight goes back towards it."""
    config = starting_config(lead_sets=(PAIR,), label_space="cpsc2018")
    tensors = []
    for blend in (1.0, 0.5):
        folder = tmp_path / str(blend)
        run.train_entry(recordings, folder, replace(config, start=replace(config.start, blend=blend)))
        tensors.append(load_file(folder / f"{NAME}-II-V5.safetensors"))
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_few_validation_recordings_are_joined_by_answers_of_weights_that_saw_none(recordings, entry_folder, tmp_path):
    """What weights from simulation alone said of training recordings, whichever weights the network starts from."""
    config = starting_config(keep_work=True)
    training = run.Run(recordings, tmp_path / "entry", config)
    training.execute()
    (job,), context = training.jobs, training.context
    train, besides = training.data.train, context.fit_recordings(job)
    np.testing.assert_array_equal(besides, train)
    answers = context.simulated_answers(job, PAIR)
    model = load_shipped(NAME, PAIR, folder=SIMULATED)
    store = training.data.stores[model.input_spec.transform]
    expected = np.stack(list(predict(model.eval(), (store[i] for i in train), PAIR, model.input_spec)))
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    assert not np.allclose(answers, context.answers(job, PAIR)[:1])
    trained = load_entry(tmp_path / "entry", "cpu").manifest.sets[0]
    assert trained.ensemble.rule.provenance["recordings"] == len(train) + len(training.data.valid)
    assert f"{len(train)} of training" in trained.ensemble.calibration.provenance["besides"]
    few = replace(config, start=replace(config.start, fitted_to=len(training.data.valid) + 3))
    some = run.TrainingContext(training.data, few, SPACE, tmp_path, "cpu", True).fit_recordings(job)
    assert len(some) == 3 and set(some) <= set(train)
    for start in (replace(config.start, fitted_to=0), replace(config.start, weights=str(entry_folder))):
        other = run.TrainingContext(training.data, replace(config, start=start), SPACE, tmp_path, "cpu", True)
        assert not len(other.fit_recordings(job))
    data = training.data
    without = replace(data, part=np.where(data.part == VALID, TRAIN, data.part))
    assert not len(run.TrainingContext(without, config, SPACE, tmp_path, "cpu", True).fit_recordings(job))
    nine = make_jobs(replace(config, label_space="cpsc2018"), NINE, "compact")[0]
    assert not len(run.TrainingContext(training.data, config, NINE, tmp_path, "cpu", True).fit_recordings(nine))


def test_size_follows_device_and_time(monkeypatch):
    config = replace(default_config(), time_limit_hours=2.0)
    assert sizes.choose_preset(config, SPACE, 10, "cpu") == ("compact", "there is no GPU")
    for hours, expected in ((1.0, "published"), (3.0, "compact")):
        monkeypatch.setattr(sizes, "training_hours", lambda *_, hours=hours: hours)
        preset, reason = sizes.choose_preset(config, SPACE, 10, "cuda")
        assert preset == expected and "2 hours" in reason
    assert sizes.choose_preset(replace(config, preset="demo"), SPACE, 10, "cuda")[0] == "demo"


def test_hours_grow_with_passes_and_recordings():
    config = tiny_config(lead_sets=(PAIR,), architectures=(NAME,), presets={"tiny": {NAME: {"width": 4, "rate": 50}}})
    jobs = make_jobs(config, SPACE, "tiny")
    few, many = (sizes.training_hours(jobs, config, len(SPACE), n, "cpu") for n in (1000, 100_000))
    assert 0 < few < many
