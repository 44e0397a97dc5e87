"""Architectures against reference values: logits under prescribed weights, intermediate statistics, counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from leadset.models import count_parameters, create_model


@pytest.fixture(autouse=True)
def double_precision():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@torch.no_grad()
def with_golden_weights(model: nn.Module) -> nn.Module:
    """Weights by rule: a quadratic residue sequence in every matrix or kernel, neutral values elsewhere."""
    for name, weight in model.named_parameters():
        kind = name.rsplit(".", 1)[-1]
        if kind == "scale":
            weight.fill_(1)
        elif weight.ndim >= 2:
            i = torch.arange(weight.numel())
            spread = (24 / (weight.numel() / weight.shape[0])) ** 0.5
            weight.copy_((((31 * i**2 + 17 * i + 7) % 10007 / 10007 - 0.5) * spread).view_as(weight))
        else:
            weight.fill_({"bias": 0, "epsilon": 0, "taps": 1 / 3}.get(kind, 1))
    return model.eval()


def golden_input() -> Tensor:
    """x[b, lead l, sample m] = sin(0.01 (l + 1)(m + 1) + b) for two recordings."""
    b, lead, sample = torch.arange(2)[:, None, None], torch.arange(1, 13)[:, None], torch.arange(1, 1001)
    return torch.sin(0.01 * lead * sample + b)


def outputs_of(model: nn.Module, *names: str) -> dict[str, Tensor]:
    """Outputs of the named submodules, and of the model as ``""``, for the golden input."""
    outputs: dict[str, Tensor] = {}
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out}))
    with torch.no_grad():
        outputs[""] = model(golden_input())
    return outputs


def assert_statistics(x: Tensor, mean: float, std: float, *first: float) -> None:
    """Mean and population SD to seven digits, first values to five."""
    assert x.mean().item() == pytest.approx(mean, rel=1e-7)
    assert x.std(correction=0).item() == pytest.approx(std, rel=1e-7)
    assert x.flatten()[: len(first)].tolist() == pytest.approx(first, rel=1e-5)


# --- MVMS-net ------------------------------------------------------------------------------------------------------

MVMS_LOGITS = {
    True: [
        [-0.36385069, 1.1553064, 0.21180315, 0.59848031, -0.43906576],
        [-0.33746068, 1.1602586, 0.20858431, 0.5793047, -0.41205849],
    ],
    False: [
        [-0.58213849, 2.8997665, 1.1301557, 2.0737164, -1.4948861],
        [-0.69433003, 2.9013231, 1.1095202, 2.0627759, -1.4771453],
    ],
}


@pytest.mark.parametrize("student", [True, False])
def test_mvms_net_logits(student):
    model = with_golden_weights(create_model("mvms_net", n_classes=5, student=student))
    torch.testing.assert_close(model(golden_input()), torch.tensor(MVMS_LOGITS[student]), atol=1e-6, rtol=0)


def test_mvms_net_views_and_gates():
    model = with_golden_weights(create_model("mvms_net", n_classes=5))
    views = model.view_features(golden_input())
    means = [0.24364875, 0.24964369, 0.25453213, 0.26048939, 0.26576698, 0.25766828]
    deviations = [0.39113052, 0.34758669, 0.3467671, 0.35375112, 0.36178873, 0.35250269]
    assert [v.mean().item() for v in views] == pytest.approx(means, rel=1e-7)
    assert [v.std(correction=0).item() for v in views] == pytest.approx(deviations, rel=1e-7)
    gates = [torch.sigmoid(gate(v))[0].item() for gate, v in zip(model.gates, views, strict=True)]
    assert gates == pytest.approx([0.5246610, 0.4927745, 0.4242094, 0.4189072, 0.4173730, 0.3531064], abs=1e-7)


@pytest.mark.parametrize(
    ("leads", "expected"), [(12, 2_244_747), (6, 1_122_696), (4, 1_119_496), (3, 1_117_896), (2, 745_479)]
)
def test_mvms_net_parameters_per_lead_set(leads, expected):
    assert count_parameters(create_model("mvms_net", leads, 5)) == expected


def test_mvms_net_parameters_per_module_and_class_count():
    classes = {9: 2_245_263, 34: 2_248_488, 44: 2_249_778, 71: 2_253_261}
    assert {k: count_parameters(create_model("mvms_net", n_classes=k)) for k in classes} == classes
    student = {5: 390_533, 9: 391_049, 34: 394_274, 71: 399_047}
    assert {k: count_parameters(create_model("mvms_net", n_classes=k, student=True)) for k in student} == student
    model = create_model("mvms_net", n_classes=5)
    by_width = {1: 372_288, 2: 373_888, 3: 375_488}
    encoders = zip(model.views, model.encoders, strict=True)
    assert all(count_parameters(encoder) == by_width[len(view)] for view, encoder in encoders)
    assert [count_parameters(block) for block in model.encoders[0].blocks] == [174_528, 196_032]
    assert count_parameters(model.gates[0]) == 129
