"""A network of one's own that does not keep the contract: the message names it, or its file."""

from __future__ import annotations

import re

import pytest
from configurations import tiny_config
from torch import nn

from leadset.leads import resolve_leads
from leadset.models import create_model, registry
from leadset.preprocess import InputSpec, Transform
from leadset.simulate.write import write_dataset
from leadset.training.run import train_entry
from leadset.utils.modules import import_modules

SPEC = InputSpec(Transform(rate=100), samples=200)


class Plain(nn.Module):
    """Means of leads, and a layer with so many outputs."""

    spec, outputs = SPEC, None

    def __init__(self, leads, n_classes):
        super().__init__()
        self.input_spec = self.spec
        self.fc = nn.Linear(len(leads), self.outputs or n_classes)

    def forward(self, x, mask=None):
        return self.fc(x.mean(2))


class Unspecified(Plain):
    spec = None


class Unmasked(Plain):
    def forward(self, x):
        return self.fc(x.mean(2))


class Renamed(Plain):
    def forward(self, x, valid=None):
        return self.fc(x.mean(2))


class WithoutAge(Plain):
    spec = InputSpec(Transform(rate=100), samples=200, extra=("age",))


class FiveOutputs(Plain):
    outputs = 5


class Broken(Plain):
    def forward(self, x, mask=None):
        raise KeyError("no such layer")


@pytest.fixture
def registered(monkeypatch):
    """Registers a network as ``own``."""
    registry.list_models()
    return lambda build: monkeypatch.setitem(registry._REGISTRY, "own", registry.ModelEntry("own", build, "", "", {}))


@pytest.mark.parametrize(
    ("build", "message"),
    [(Unspecified, "own: found input_spec = None, expected an InputSpec"),
     (Unmasked, "own: found forward(x), expected (x, mask=None): too many positional arguments"),
     (Renamed, "own: found forward(x, valid=None), expected (x, mask=None): got an unexpected keyword argument"),
     (WithoutAge, "own: found forward(x, mask=None), expected (x, mask=None, age=None): ")],
)  # fmt: skip
def test_a_network_that_cannot_be_called_is_refused_when_it_is_made(registered, build, message):
    registered(Plain)
    assert create_model("own", "II").model_name == "own"
    registered(build)
    with pytest.raises(ValueError, match=re.escape(message)):
        create_model("own", "II")


@pytest.mark.parametrize(
    ("build", "kind", "found"),
    [(FiveOutputs, ValueError, "own-2: found logits of shape (4, 5), expected (4, 26)"),
     (Broken, KeyError, "This is the network own-2.")],
)  # fmt: skip
def test_a_network_that_cannot_learn_is_named_before_any_is_trained(registered, tmp_path, build, kind, found):
    registered(build)
    list(write_dataset(tmp_path / "data", 8, seed=8, seconds=3.0))
    config = tiny_config(architectures=("own",), lead_sets=(resolve_leads(2),), batch_size=4, presets={"tiny": {}})
    with pytest.raises(kind) as raised:
        train_entry(tmp_path / "data", tmp_path / "model", config)
    assert found in [str(raised.value), *getattr(raised.value, "__notes__", ())]


def test_a_file_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    package = tmp_path / "package_of_one_bad_file"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bad.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"bad\.py: cannot be imported: ModuleNotFoundError: .*nothing_of_this_name"):
        import_modules(package.name)
