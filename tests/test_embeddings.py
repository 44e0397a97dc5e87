"""Feature vectors of recordings, and recordings as objects of other libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from untrained_entry import write_untrained_entry

import leadset
from leadset.adapters import to_mne, to_xarray
from leadset.cli import main
from leadset.models import create_model, list_models, model_entry
from leadset.models.embedding import Embedder
from leadset.models.extra_inputs import missing_inputs
from leadset.recordings import Recording, find_recordings, read_recording
from leadset.simulate.write import write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings")
    list(write_dataset(path, 3, seed=6))
    return path


@pytest.mark.parametrize("extra", [{}, {"extra": ["age", "sex"]}, {"zero_leads": True}])
@pytest.mark.parametrize("name", list_models("classifier"))
def test_features_make_the_logits(name, extra):
    if "zero_leads" in extra and name == "crnn_pqrst":
        extra = extra | {"branches": "signal"}
    model = create_model(name, 3, **model_entry(name).reduced, **extra).eval()
    spec = model.input_spec
    x = torch.randn(2, 3, spec.samples, generator=torch.Generator().manual_seed(0))
    inputs = {key: torch.from_numpy(value) for key, value in missing_inputs(spec, 3, 2).items()}
    with torch.inference_mode():
        features, logits = Embedder(model)(x, **inputs), model(x, **inputs)
        assert features.shape[0] == 2 and features.ndim == 2 and features.shape[1] >= 8
        last = [m for m in model.modules() if getattr(m, "in_features", None) == features.shape[1]]
        last += [m for m in model.modules() if type(m).__name__ == "KANLinear"][-1:]
        made = [layer(features) for layer in last]
        assert any(one.shape == logits.shape and torch.allclose(one, logits, atol=1e-5) for one in made)


@pytest.mark.parametrize("leads", [12, 2])
def test_features_of_a_sum_are_those_of_each_of_its_layers(leads):
    """STAR as it ships adds a linear map of all nodes to what its head says."""
    model = create_model("star", leads, pretrained=True).eval()
    x = torch.randn(2, leads, model.input_spec.samples, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features, logits = Embedder(model)(x), model(x)
        head, shortcut = getattr(model, "model", model).summands
        last, width = head[-1], head[-1].in_features
        assert features.shape == (2, width + shortcut.in_features)
        torch.testing.assert_close(last(features[:, :width]) + shortcut(features[:, width:]), logits)


def test_recordings_are_not_taken_for_features():
    class Doubled(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model, self.input_spec = model, model.input_spec

        def forward(self, x, mask=None):
            return 2 * self.model(x, mask)

    model = Doubled(create_model("resnet34", 3, **model_entry("resnet34").reduced)).eval()
    with pytest.raises(ValueError, match="Doubled: found no layer"):
        Embedder(model)(torch.randn(2, 3, model.input_spec.samples))


def test_the_entry_that_ships_embeds(folder):
    entry, paths = leadset.load_entry(device="cpu"), find_recordings(folder)
    one = entry.embed(paths[0])
    many = list(entry.embed([*paths, Recording(np.zeros((2, 5000), np.float32), 500, ("I", "II"), name="flat")]))
    assert list(one.features) == [member.architecture for member in entry.trained_set(one.leads).members]
    for name, vector in one.features.items():
        np.testing.assert_array_equal(many[0].features[name], vector)
        assert vector.dtype == np.float32 and np.isfinite(vector).all() and vector.std() > 0
        assert not np.array_equal(many[1].features[name], vector)
    assert many[3].features == {} and many[3].flags[-1].startswith("unanswered")


def test_detectors_embed_too(tmp_path, folder):
    write_untrained_entry(tmp_path)
    embedding = leadset.load_entry(tmp_path, "cpu").embed(find_recordings(folder)[0])
    assert "cross_restoration" in embedding.features and len(embedding.features) == 6


def test_command_writes_arrays_and_tables(folder, tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="the tables extra is not installed")
    import pandas as pd

    assert main(["embed", str(folder), "-o", str(tmp_path / "e.npz")]) == 0
    assert "3 of 3 recordings written" in capsys.readouterr().out
    (tmp_path / "bad.hea").write_text("nothing")
    assert main(["embed", str(folder), str(tmp_path / "bad.hea"), "-o", str(tmp_path / "e.parquet")]) == 1
    arrays, table = np.load(tmp_path / "e.npz"), pd.read_parquet(tmp_path / "e.parquet")
    assert list(arrays["recordings"]) == list(table["recording"])[:3] and table["recording"][3] == "bad"
    width = arrays["resnet34"].shape[1]
    own = table[[f"resnet34_{i}" for i in range(width)]].to_numpy()
    np.testing.assert_array_equal(own[:3], arrays["resnet34"])
    codes = [";".join(read_recording(path).codes) for path in find_recordings(folder)]
    assert list(arrays["codes"]) == codes and list(table["codes"]) == [*codes, ""] and all(codes)
    assert np.isnan(own[3]).all() and "unanswered" in table["flags"][3]
    with pytest.raises(SystemExit):
        main(["embed", str(folder), "-o", "x.txt"])


def test_adapters_keep_samples(folder):
    recording = read_recording(find_recordings(folder)[0])
    array = to_xarray(recording) if pytest.importorskip("xarray") else None
    np.testing.assert_array_equal(array.sel(lead="II"), recording.signal[1])
    assert array.attrs["fs"] == recording.fs and float(array.time[-1]) == (array.sizes["time"] - 1) / recording.fs
    pytest.importorskip("mne")
    raw = to_mne(recording)
    np.testing.assert_allclose(raw.get_data() * 1e3, recording.signal, atol=1e-7)
    assert raw.ch_names == list(recording.leads) and raw.info["sfreq"] == recording.fs
    assert set(raw.get_channel_types()) == {"ecg"}
