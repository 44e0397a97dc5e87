"""Exported entries: ONNX files answer what the entry answers, without PyTorch."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from untrained_entry import write_untrained_entry

import leadset
from leadset.cli import main
from leadset.entry.manifest import Manifest
from leadset.explain import explain
from leadset.leads import LEADS
from leadset.recordings import Recording, find_recordings, read_recording
from leadset.simulate import simulate
from leadset.simulate.write import write_dataset

runtime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
pytest.importorskip("onnxscript", reason="the onnx extra is not installed")
from leadset.deploy.about import KEY, About  # noqa: E402
from leadset.deploy.convolutions import raise_convolutions  # noqa: E402
from leadset.deploy.export import export_entry, to_onnx  # noqa: E402
from leadset.deploy.quantise import quantised  # noqa: E402
from leadset.deploy.runtime import OnnxEntry  # noqa: E402

PARITY = 1e-4


@pytest.fixture(scope="module")
def entry():
    return leadset.load_entry(device="cpu")


@pytest.fixture(scope="module")
def exported(entry, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    export_entry(entry, folder, [("I", "II")])
    return folder


def some_recordings(leads, n=4, seconds=(4, 10, 31)):
    for seed in range(n):
        signal = simulate(1, seed=seed, fs=500, labels=("AF", "NSR", "LBBB")[seed % 3]).signals[0]
        signal = np.tile(signal, 4)[[LEADS.index(lead) for lead in leads], : 500 * seconds[seed % len(seconds)]]
        yield Recording(signal, 500, tuple(leads), name=f"r{seed}", age=50.0, sex="female")


def assert_alike(answer, expected):
    np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=PARITY)
    assert answer.codes == expected.codes and answer.flags == expected.flags
    np.testing.assert_array_equal(answer.labels, expected.labels)
    for name, (labels, probabilities) in answer.by_model.items():
        np.testing.assert_allclose(probabilities, expected.by_model[name][1], atol=PARITY)
        np.testing.assert_array_equal(labels, expected.by_model[name][0])


def test_the_entry_that_ships_answers_alike(entry, exported):
    asked = OnnxEntry(exported)
    for recording in some_recordings(("I", "II")):
        assert_alike(asked.predict(recording), entry.predict(recording))
    flat = Recording(np.zeros((2, 5000), np.float32), 500, ("I", "II"), name="flat")
    assert asked.predict(flat).flags == entry.predict(flat).flags and asked.predict(flat).failed


def test_exported_entries_are_explained_by_occlusion_of_what_they_answer(entry, exported):
    (recording,) = some_recordings(("I", "II"), 1)
    found = explain(OnnxEntry(exported), recording, ["AF"])
    assert found.method == "occlusion" and found.provenance["networks"] == []
    networks = explain(entry, recording, ["AF"], "occlusion").classes[0]
    for part in (("I", "all"), ("II", "all"), ("all", "QRS"), ("all", "T")):  # leads: their mean here, zero there
        assert found.classes[0].without[part] == pytest.approx(networks.without[part], abs=0.1)
    with pytest.raises(ValueError, match="exported networks have no gradients; expected the method occlusion"):
        explain(OnnxEntry(exported), recording, ["AF"], "typical")


def test_recordings_are_answered_alike(entry, exported, recorded):
    asked = OnnxEntry(exported)
    for path in find_recordings(recorded / "challenge/training")[::30]:
        whole = read_recording(path)
        two = Recording(whole.signal[:2], whole.fs, whole.leads[:2], whole.name, whole.age, whole.sex)
        assert_alike(asked.predict(two), entry.predict(two))


def with_networks(folder, names):
    """The entry of a folder with nothing but some of its networks; `test_models.py` exports each of them."""
    manifest = Manifest.read(folder)
    sets = []
    for trained in manifest.sets:
        kept = [i for i, member in enumerate(trained.members) if member.architecture in names]
        ensemble = replace(trained.ensemble, weights=np.full(len(kept), 1 / len(kept)))
        sets.append(replace(trained, members=tuple(trained.members[i] for i in kept), ensemble=ensemble, evidence=None))
    replace(manifest, sets=tuple(sets)).write(folder)
    return leadset.load_entry(folder, "cpu")


def test_networks_of_every_kind_of_input_are_exported(tmp_path):
    write_untrained_entry(tmp_path / "model")
    entry, told = with_networks(tmp_path / "model", ("resnet34", "crnn_pqrst", "cross_restoration")), []
    (path,) = export_entry(entry, tmp_path / "out", [("II", "V5")], done=lambda path, about: told.append(about))
    assert told[0].left_out.keys() == {"cross_restoration"}
    asked = OnnxEntry(path)
    for recording in some_recordings(("II", "V5"), 3):
        answer, expected = asked.predict(recording), entry.predict(recording)
        assert answer.by_model.keys() == expected.by_model.keys() - {"cross_restoration"}
        for name, (_, probabilities) in answer.by_model.items():
            np.testing.assert_allclose(probabilities, expected.by_model[name][1], atol=PARITY)


def test_leads_that_no_set_has_are_answered_alike(entry, tmp_path):
    """Universal networks are cut to the leads that are there, and decide as those of the nearest set."""
    shutil.copytree(entry.folder, tmp_path / "model", ignore=shutil.ignore_patterns("references", "simulated"))
    small = with_networks(tmp_path / "model", ("resnet34",))
    export_entry(small, tmp_path / "out", [LEADS, LEADS[:6]])
    asked = OnnxEntry(tmp_path / "out")
    sets = (LEADS, LEADS[:6], LEADS[:7], ("I", "II", "V2", "V5"), ("II", "III", "V1"), ("I", "II"), ("V4",))
    for leads in sets:
        for recording in some_recordings(leads, 2):
            assert_alike(asked.predict(recording), small.predict(recording))
    assert {asked.trained_set(leads).about.leads for leads in sets} == {LEADS, LEADS[:6]}
    (tmp_path / "out" / "12.onnx").unlink()
    (recording,) = some_recordings(LEADS, 1)
    assert OnnxEntry(tmp_path / "out").predict(recording).flags == ("not_exported:12",)


def test_files_describe_themselves_and_take_any_batch(entry, exported):
    session = runtime.InferenceSession(exported / "2.onnx", providers=["CPUExecutionProvider"])
    about = About.from_text(session.get_modelmeta().custom_metadata_map[KEY])
    assert about.leads == ("I", "II") and len(about.classes) == 26
    assert about.networks == tuple(member.architecture for member in entry.trained_set(("I", "II")).members)
    assert about.universal
    for n in (1, 7):
        feed = {}
        for group, spec in enumerate(about.inputs):
            feed[f"windows_{group}"] = np.random.default_rng(0).normal(size=(n, 2, spec.samples)).astype(np.float32)
            feed[f"mask_{group}"] = np.ones((n, spec.samples), bool)
            feed[f"share_{group}"] = np.eye(n, dtype=np.float32)
        probabilities, labels, *_ = session.run(None, feed)
        assert probabilities.shape == labels.shape == (n, 26) and labels.any(axis=1).all()


def test_pytorch_is_not_imported(exported, tmp_path):
    list(write_dataset(tmp_path, 1, seed=6))
    code = (
        "import sys; from leadset.cli import main; "
        f"status = main(['predict', {str(tmp_path)!r}, '--onnx', {str(exported)!r}, '--json', '-']); "
        "sys.exit(status or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    assert answer["answered"] and len(answer["probabilities"]) == 26


def test_lead_sets_that_were_not_trained_are_refused(tmp_path):
    write_untrained_entry(tmp_path / "model")
    entry = with_networks(tmp_path / "model", ("resnet34",))
    with pytest.raises(ValueError, match=r"found lead set II-V1, expected one of 12, 3, 2, II-V5"):
        export_entry(entry, tmp_path / "out", [("II", "V1")])


def test_what_is_no_exported_entry_is_refused(exported, tmp_path, capsys):
    assert main(["predict", "x.hea", "--onnx", str(tmp_path)]) == 1
    (tmp_path / "2.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"2\.onnx: not an ONNX model"):
        OnnxEntry(tmp_path)
    from leadset.deploy.export import to_onnx

    model = torch.nn.Linear(2, 2).eval()
    to_onnx(model, {"input": torch.zeros(1, 2)}, {"input": {}}, ["y"], tmp_path / "2.onnx", {})
    with pytest.raises(ValueError, match=r"2\.onnx: no metadata of an exported entry"):
        OnnxEntry(tmp_path)


def test_files_in_8_bits_are_smaller_and_say_what_changes(entry, exported, tmp_path, capsys):
    assert main(["export", "--onnx", str(tmp_path), "--leads", "I,II", "--int8"]) == 0
    printed = re.search(r"8 bits: of (\d+) recordings .* at most (.*?), (\d+) are .* (\d+) classes (.*) -> (.*)$",
                        capsys.readouterr().out, re.M)  # fmt: skip
    assert (tmp_path / "2.onnx").stat().st_size < (exported / "2.onnx").stat().st_size / 2
    small = OnnxEntry(tmp_path)
    change = small.trained_set(("I", "II")).about.provenance["int8"]
    recordings, largest, decided, classes, before, after = map(float, printed.groups())
    assert (recordings, decided, classes) == (change["recordings"], change["other_decisions"], change["classes"])
    assert recordings == 64 and classes > 10 and after == pytest.approx(change["auroc"], abs=1e-4)
    assert largest < 0.1 and abs(after - before) < 0.01
    for recording in some_recordings(("I", "II"), 2):
        answer, expected = small.predict(recording), entry.predict(recording)
        np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=0.1)


def test_files_are_scaled_by_recordings_of_a_folder(entry, tmp_path, capsys):
    list(write_dataset(tmp_path / "data", 3, seed=6))
    shutil.copytree(entry.folder, tmp_path / "model", ignore=shutil.ignore_patterns("references", "simulated"))
    with_networks(tmp_path / "model", ("resnet34",))
    command = ["export", str(tmp_path / "model"), "--onnx", str(tmp_path / "out"), "--leads", "II",
               "--calibrate", str(tmp_path / "data")]  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2 and "--calibrate without --int8" in capsys.readouterr().err
    (tmp_path / "data" / "Z.hea").write_text("Z 1 no-rate\n")
    assert main([*command, "--int8"]) == 0
    printed = capsys.readouterr()
    assert "8 bits: of 3 recordings" in printed.out and "left out" in printed.err and "Z.hea" in printed.err
    flat = Recording(np.zeros((1, 5000), np.float32), 500, ("II",))
    with pytest.raises(ValueError, match="found nothing that can be used in 1 recordings"):
        export_entry(leadset.load_entry(tmp_path / "model", "cpu"), tmp_path / "none", [("II",)], [flat])


class Block(torch.nn.Module):
    """Everything between convolutions: what keeps the height of 1, what does not, and weights that are used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv1d(3, 16, 7, 2, 3), torch.nn.Conv1d(16, 16, 5, padding=4, dilation=2)
        self.pool, self.average = torch.nn.MaxPool1d(3, 2, 1), torch.nn.AvgPool1d(2)

    def forward(self, x, mask):
        x = self.pool(torch.relu(self.first(x)))
        x = torch.relu(x + self.second(x))
        x = self.second(self.average(x) * mask) + self.second.weight.mean()
        return torch.cat([x.amax(2), x.mean(2)], 1)


def test_convolutions_over_time_are_raised_and_give_the_same(tmp_path, monkeypatch):
    import onnx
    import onnxruntime

    model, (x, mask) = Block().eval(), (torch.randn(2, 3, 200), torch.rand(2, 1, 25))
    batch = torch.export.Dim("b", min=1, max=64)

    def exported(name):
        to_onnx(model, {"x": x, "mask": mask}, {"x": {0: batch}, "mask": {0: batch}}, ["y"], tmp_path / name, {})
        onnx.checker.check_model(onnx.load(tmp_path / name), full_check=True)
        session = onnxruntime.InferenceSession(tmp_path / name)
        given = {one.name: of[:1].numpy() for one, of in zip(session.get_inputs(), (x, mask), strict=True)}
        return onnx.load(tmp_path / name).graph, session.run(None, given)[0]

    graph, raised = exported("raised.onnx")
    monkeypatch.setattr("leadset.deploy.export.raise_convolutions", lambda model: None)
    _, plain = exported("plain.onnx")
    np.testing.assert_allclose(raised, plain, atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(raised, model(x[:1], mask[:1]).numpy(), atol=1e-5)
    weights = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    assert [weights.get(node.input[1]) for node in graph.node if node.op_type == "Conv"].count(4) >= 1
    pool = next(node for node in graph.node if node.op_type == "MaxPool")
    assert {a.name: list(a.ints) for a in pool.attribute if a.name == "kernel_shape"} == {"kernel_shape": [1, 3]}


class Masked(torch.nn.Module):
    """Two convolutions with a mask between them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv1d(3, 16, 7, padding=3), torch.nn.Conv1d(16, 16, 5, padding=2)

    def forward(self, x, mask):
        x = torch.relu(self.first(x)) * mask.unsqueeze(1)
        return (torch.relu(self.second(x) + x) * mask.unsqueeze(1)).sum(2)


class Up(torch.nn.Module):
    """Transposed convolutions over leads and time: as in ResUNet-LC, without what follows, and two that stay."""

    def __init__(self):
        super().__init__()
        whole = {"stride": (1, 2), "padding": (1, 4), "output_padding": (0, 1)}
        self.first = torch.nn.ConvTranspose2d(4, 8, (3, 9), bias=False, **whole)
        self.second = torch.nn.ConvTranspose2d(8, 4, (1, 3), (1, 3))
        self.longer = torch.nn.ConvTranspose2d(4, 4, (1, 4), (1, 2))
        self.taller = torch.nn.ConvTranspose2d(4, 2, (2, 2), (2, 2))

    def forward(self, x):
        x = self.second(torch.nn.functional.leaky_relu(self.first(x)))
        return self.taller(torch.relu(self.longer(x)))


def write(model, inputs, path):
    batch = torch.export.Dim("b", min=1, max=64)
    to_onnx(model.eval(), inputs, {name: {0: batch} for name in inputs}, ["y"], path, {})


def run(path, inputs, optimised=None):
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if optimised:
        options.optimized_model_filepath = str(optimised)
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]


def kinds(path):
    import onnx

    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_masks_do_not_part_convolutions(tmp_path):
    inputs = {"x": torch.randn(2, 3, 100), "mask": torch.rand(2, 100) > 0.5}
    model, path = Masked(), tmp_path / "masked.onnx"
    write(model, inputs, path)
    assert kinds(path)["Squeeze"] == 1
    with torch.inference_mode():
        np.testing.assert_allclose(run(path, inputs), model(**inputs).numpy(), atol=1e-4)


def test_transposed_convolutions_become_convolutions_and_give_the_same(tmp_path):
    import onnx

    inputs = {"x": torch.randn(2, 4, 5, 12)}
    model, path = Up(), tmp_path / "up.onnx"
    write(model, inputs, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert (kinds(path)["Conv"], kinds(path)["ConvTranspose"]) == (2, 2)
    for n in (1, 2):
        some = {"x": inputs["x"][:n]}
        with torch.inference_mode():
            np.testing.assert_allclose(run(path, some), model(**some).numpy(), atol=1e-5)


def test_everything_between_convolutions_is_computed_in_8_bits(tmp_path):
    import onnx
    from onnx import numpy_helper

    inputs = {"x": torch.randn(2, 3, 100), "mask": torch.rand(2, 100) > 0.5}
    model, path, small = Masked(), tmp_path / "masked.onnx", tmp_path / "small.onnx"
    write(model, inputs, path)
    quantised(path, small, [{name: value.numpy() for name, value in inputs.items()}])
    answer = run(small, inputs, tmp_path / "optimised.onnx")
    found = kinds(tmp_path / "optimised.onnx")
    assert found["QLinearConv"] == 2 and not found["Conv"] and found["QLinearMul"] == 2 and found["QLinearAdd"] == 1
    with torch.inference_mode():
        expected = model(**inputs).numpy()
    np.testing.assert_allclose(answer, expected, atol=0.05 * np.abs(expected).max())
    weights = [numpy_helper.to_array(tensor) for tensor in onnx.load(small).graph.initializer]
    assert max(np.abs(w.astype(int)).max() for w in weights if w.dtype == np.int8 and w.ndim > 1) <= 64


def test_convolutions_of_other_arrays_are_left_alone():
    from onnx import TensorProto, helper

    shapes = {"x": (1, 3, 8, 8), "w": (4, 3, 3, 3), "y": (1, 4, 6, 6)}
    x, w, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", [x, w], [y])
    model = helper.make_model(graph)
    before = model.SerializeToString()
    raise_convolutions(model)
    assert model.SerializeToString() == before
