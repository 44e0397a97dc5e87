"""Architectures against reference values: logits under prescribed weights, intermediate statistics, counts."""

from __future__ import annotations

import pytest
import torch
from networks import REDUCED
from torch import Tensor, nn

from leadset.leads import LEADS
from leadset.models import count_parameters, create_model, model_entry
from leadset.models.cost import count_macs
from leadset.models.extra_inputs import extra_shapes
from leadset.models.layers.kan import KANLinear, cubic_bases
from leadset.models.layers.lead_graph import lead_relation, normalise_edges, spatiotemporal_prior


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


# --- Every registered model, at a reduced size -----------------------------------------------------------------------


def sines(*shape: int) -> Tensor:
    """Sines (2, *shape), another one in each row."""
    rows = torch.arange(2 * shape[0]).view(2, shape[0], *(1,) * (len(shape) - 1)) if len(shape) > 1 else 0
    return torch.sin(0.01 * (1 + rows) * torch.arange(1, 1 + shape[-1]).expand(2, *shape))


#: Mean and SD of what reduced networks answer on twelve leads.
REDUCED_OUTPUTS = {
    "cnn_heartmaasters": (-0.23413379614782034, 0.5416954517226693),
    "crnn_pqrst": (-0.11939126032542688, 0.2236750385426851),
    "cross_restoration": (-0.024374902609452548, 0.1385039836970225),
    "mvms_net": (-0.2914416101643627, 0.6554714663497373),
    "resnet34": (-0.8119122028014983, 3.113335458299462),
    "resunet_lc": (-35.4362923927682, 44.590271684771174),
    "star": (-22.62257080529988, 58.6381518787822),
}


@pytest.mark.parametrize("name", REDUCED_OUTPUTS)
def test_reduced_networks_answer_as_before(name):
    restores = model_entry(name).kind != "classifier"
    model = with_golden_weights(create_model(name, **REDUCED[name], **({} if restores else {"n_classes": 5})))
    spec = model.input_spec
    if restores:
        inputs = {"record": sines(12, spec.samples), "beat": sines(12, 480), "trend": sines(12, spec.samples)}
    else:
        inputs = {"x": sines(12, spec.samples)}
        inputs |= {extra: sines(*shape) for extra, shape in extra_shapes(spec, 12).items()}
    with torch.no_grad():
        outputs = model(**inputs)
    outputs = outputs.record.signal if restores else outputs
    assert (outputs.mean().item(), outputs.std().item()) == pytest.approx(REDUCED_OUTPUTS[name], rel=1e-7)


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


# --- STAR ----------------------------------------------------------------------------------------------------------

STAR_LOGITS = {
    "identity": [
        [-35.502394, 30.980906, 50.646015, 43.251976, 31.505284],
        [-32.277624, 32.145313, 46.062643, 40.682597, 25.108943],
    ],
    "str": [
        [-31.390937, 33.071152, 46.790929, 40.556854, 30.395059],
        [-30.44198, 35.253896, 45.173617, 39.111653, 28.293348],
    ],
}
LIMB_AND_CHEST_8 = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.fixture(scope="module")
def star_outputs() -> dict[str, dict[str, Tensor]]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    stages = (
        "encoder.stem.0", "encoder.blocks.0.attention", "encoder.blocks.0.shortcut", "encoder.blocks.0",
        "encoder.blocks.1", "encoder", "node_norm", "attention.position_dropout", "attention", "edges", "graph1.gin",
        "graph1.pooling", "graph2",
    )  # fmt: skip
    outputs = {
        prior: outputs_of(with_golden_weights(create_model("star", n_classes=5, prior=prior)), *stages)
        for prior in STAR_LOGITS
    }
    torch.set_default_dtype(before)
    return outputs


@pytest.mark.parametrize("prior", ["identity", "str"])
def test_star_logits(star_outputs, prior):
    torch.testing.assert_close(star_outputs[prior][""], torch.tensor(STAR_LOGITS[prior]), atol=1e-6, rtol=0)


def test_star_encoder_and_attention_stages(star_outputs):
    stage = star_outputs["str"]
    assert_statistics(stage["encoder.stem.0"], 0.0026084443, 0.9886136, -0.132319, -0.169495, -0.206653)
    # The reference for the attention was taken after the shortcut had been added in place.
    attended = stage["encoder.blocks.0.attention"] + stage["encoder.blocks.0.shortcut"]
    assert_statistics(attended, 0.10738285, 1.096476, -0.0640631, -0.104, -0.127193)
    assert_statistics(stage["encoder.blocks.0"], 0.33825872, 0.69149287, -0.0371211, -0.0589262, -0.0711179)
    assert_statistics(stage["encoder.blocks.1"], 0.37826201, 0.76196988, 0.164564, 0.162345, 0.122856)
    assert_statistics(stage["encoder"], 0.37826201, 0.41201414, -0.213687, 0.133621, 0.456099)
    assert_statistics(stage["node_norm"], 0.045864776, 0.75785123, -1.27441, 0.152926, 0.669159)
    positioned = stage["attention.position_dropout"]
    assert_statistics(positioned, 0.58438343, 0.90881315, -1.27441, 1.15293, 0.669159)
    assert_statistics(stage["attention"], 0.59074372, 1.2745755, -2.34854, 1.66988, 0.512817)


def test_star_graph_stages(star_outputs):
    intended, released = star_outputs["str"], star_outputs["identity"]
    assert_statistics(intended["edges"], 0.083333333, 0.25815228, 1, 0.121254, 0.878746)
    prior = create_model("star").prior
    assert_statistics(intended["edges"] * prior, 0.069401139, 0.23337122, 1, 0.097003, 0.702997)
    assert_statistics(released["graph1.gin"], 0.63151364, 4.310658, -6.11402)
    assert_statistics(intended["graph1.gin"], 0.63377754, 4.346176, -6.18613)
    assert_statistics(released["graph1.pooling"][0], -3.7423876, 12.628437, 11.4623)
    pooled, edges = intended["graph1.pooling"]
    assert_statistics(pooled, -3.7602706, 12.765132, 11.9612)
    assert_statistics(edges, 0.24746481, 0.59000654, 1.74974, 0.665077, 0.80337)
    assert_statistics(released["graph2"][0], 17.611465, 23.975237)
    assert_statistics(intended["graph2"][0], 17.752955, 24.049266)


def test_star_released_pooling_keeps_the_identity(star_outputs):
    _, edges = star_outputs["identity"]["graph1.pooling"]
    pooling = with_golden_weights(create_model("star", n_classes=5)).graph1.pooling
    size = (pooling.conv.weight.squeeze(2) @ pooling.taps).square().sum()
    torch.testing.assert_close(edges, (size * torch.eye(12)).expand(2, 12, 12))


@pytest.mark.parametrize(
    ("leads", "expected"),
    [
        (12, 2_842_736), (LIMB_AND_CHEST_8, 2_186_336), (6, 1_858_136), (4, 1_529_936), (3, 1_365_836), (2, 1_201_736),
        ("II", 1_037_636),
    ],
)  # fmt: skip
def test_star_parameters_per_lead_set(leads, expected):
    assert count_parameters(create_model("star", leads, 5)) == expected


def test_star_parameters_per_module_and_class_count():
    model = create_model("star", n_classes=5)
    expected = {
        "encoder": 114_480,
        "encoder.stem": 3_456,
        "encoder.blocks.0": 60_888,
        "encoder.blocks.1": 50_136,
        "encoder.blocks.0.attention": 1_624,
        "encoder.blocks.0.shortcut": 8_384,
        "node_map": 8_320,
        "node_norm": 256,
        "attention": 525_568,
        "edges": 16_512,
        "graph1.gin": 12_545,
        "graph2.gin": 25_089,
        "graph1.pooling": 10,
        "graph2.pooling": 4,
        "graph1.norm": 24,
        "graph2.norm": 24,
        "head": 2_139_904,
    }
    assert {name: count_parameters(model.get_submodule(name)) for name in expected} == expected
    # Published totals include 16 978 parameters of modules that are never called.
    published = {9: 2_864_834, 15: 2_872_514, 23: 2_882_754, 26: 2_886_594, 34: 2_896_834, 71: 2_944_194}
    assert {k: count_parameters(create_model("star", n_classes=k)) + 16_978 for k in published} == published
    # Four patches: larger pooling kernels and node norm; five and more also widen the head.
    four = count_parameters(create_model("star", n_classes=5, patches=4))
    assert four == 2_842_736 + (26 - 7) + (7 - 4) + 24


@pytest.mark.parametrize(
    ("leads", "nonzero", "total"),
    [(12, 320, 260.8), (LIMB_AND_CHEST_8, 176, 144.0), (6, 144, 117.6), (4, 40, 33.6), (3, 20, 17.2), (2, 16, 13.6),
     ("II", 4, 3.6)],
)  # fmt: skip
def test_star_prior_per_lead_set(leads, nonzero, total):
    prior = create_model("star", leads).prior
    assert prior.count_nonzero() == nonzero
    assert prior.sum().item() == pytest.approx(total, abs=1e-9)


def test_star_prior_per_patch_count():
    totals = {1: 66.4, 2: 260.8, 4: 1019.0081, 5: 1577.2865, 8: 3946.1313, 10: 6091.5396, 20: 23445.5371}
    for patches, total in totals.items():
        prior = spatiotemporal_prior(LEADS, patches)
        assert prior.sum().item() == pytest.approx(total, rel=1e-6)  # reference summed in single precision
        assert prior.count_nonzero() == 80 * patches**2
        assert torch.equal(prior, prior.T)
    rows = spatiotemporal_prior(LEADS, 2).sum(1).view(2, 12)
    bridging = torch.tensor([lead in ("I", "aVF", "V4", "V5") for lead in LEADS])
    torch.testing.assert_close(rows, torch.where(bridging, 13.0, 9.8).expand(2, 12))
    assert (lead_relation(LEADS) > 0).sum() == 12 + 2 * 34


def test_star_edges(star_outputs):
    edges = star_outputs["str"]["edges"]
    torch.testing.assert_close(edges.diagonal(dim1=1, dim2=2), torch.ones(2, 24))
    torch.testing.assert_close(edges.sum(-1), torch.full((2, 24), 2.0))
    assert (edges >= 0).all()
    assert not torch.allclose(edges, edges.transpose(1, 2))
    within = (edges * create_model("star").prior).sum(-1)
    assert ((within > 1) & (within <= 1.8 + 1e-9)).all()


def test_edge_normalisation():
    edges = torch.tensor([[1, 0.5, 0], [0.25, 1, 0.25], [0, 0, 0.3]])
    expected = torch.tensor([[0.666667, 0.333333, 0], [0.166667, 0.666667, 0.204124], [0, 0, 0.3]])
    torch.testing.assert_close(normalise_edges(edges[None])[0], expected, atol=1e-6, rtol=0)


KAN_VALUES = [
    # x, bases for 5 cells, y for 5 cells, bases for 3 cells, y for 3 cells
    (0, [0, 0, 0.020833, 0.479167, 0.479167, 0.020833, 0, 0], 1.0, [0, 0.020833, 0.479167, 0.479167, 0.020833, 0], 1.0),
    (0.3, [0, 0, 0, 0.070313, 0.611979, 0.315104, 0.002604, 0], 1.172333,
     [0, 0.000021, 0.192854, 0.664229, 0.142896, 0], 1.172333),
    (1.5, [0, 0, 0, 0, 0, 0, 0.070313, 0.611979], 1.908653, [0, 0, 0, 0.002604, 0.315104, 0.611979], 2.156049),
    (2.1, [0, 0, 0, 0, 0, 0, 0, 0.002604], 1.873501, [0, 0, 0, 0, 0.007146, 0.381479], 2.259522),
    (3.5, [0] * 8, 3.397407, [0] * 6, 3.397407),
]  # fmt: skip


@pytest.mark.parametrize(("x", "bases5", "y5", "bases3", "y3"), KAN_VALUES)
def test_kan_layer(x, bases5, y5, bases3, y3):
    for grid, bases, y in ((5, bases5, y5), (3, bases3, y3)):
        point = torch.tensor([[float(x)]])
        torch.testing.assert_close(cubic_bases(point, grid)[0, 0], torch.tensor(bases).double(), atol=1e-6, rtol=0)
        layer = KANLinear(1, 1, grid)
        for weight in layer.parameters():
            nn.init.ones_(weight)
        assert layer(point).item() == pytest.approx(y, abs=1e-6)
        assert count_parameters(KANLinear(7, 11, grid)) == 7 * 11 * (grid + 5)


# --- ResUNet-LC ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leads", "expected"), [(12, 9_989_530), (6, 9_792_922), (4, 9_727_386), (3, 9_694_618), (2, 9_661_850)]
)
def test_resunet_lc_parameters_per_lead_set(leads, expected):
    assert count_parameters(create_model("resunet_lc", leads)) == expected


def test_resunet_lc_parameters_per_module_class_count_and_window():
    model = create_model("resunet_lc")
    assert count_parameters(model.stem) == 6_016
    assert [count_parameters(block) for block in model.blocks] == [2_893_824, 2_561_792, 2_229_760, 1_897_728]
    assert count_parameters(model.pool) == 393_728
    assert count_parameters(model.classifier) == 6_682
    assert sum(buffer.numel() for buffer in model.buffers()) == 7_471
    classes = {24: 9_989_016, 25: 9_989_273, 27: 9_989_787, 30: 9_990_558}
    assert {k: count_parameters(create_model("resunet_lc", n_classes=k)) for k in classes} == classes
    assert count_parameters(create_model("resunet_lc", samples=5120)) == 10_038_682


@pytest.mark.parametrize(
    ("width", "samples", "leads", "expected"),
    [(128, 2048, 12, 9_891_226), (64, 4096, 12, 2_551_514), (64, 2048, 12, 2_502_362), (32, 4096, 12, 664_954),
     (32, 2048, 12, 640_378), (32, 2048, 2, 609_658)],
)  # fmt: skip
def test_resunet_lc_parameters_of_reduced_presets(width, samples, leads, expected):
    assert count_parameters(create_model("resunet_lc", leads, width=width, samples=samples)) == expected


@pytest.mark.parametrize(
    # Released with a head for 128 features, res2d_lc could not run; this one has 256.
    ("variant", "expected"),
    [("res1d_maxpool", 1_273_882), ("res2d_maxpool", 3_615_898), ("res2d_lc", 4_009_626 + 26 * 128)],
)
def test_resunet_lc_parameters_of_ablations(variant, expected):
    assert count_parameters(create_model("resunet_lc", variant=variant)) == expected


# --- ResNet-34 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leads", "expected"),
    [(12, 16_610_185), (6, 16_604_425), (4, 16_602_505), (3, 16_601_545), (2, 16_600_585), ("II", 16_599_625)],
)
def test_resnet34_parameters_per_lead_set(leads, expected):
    assert count_parameters(create_model("resnet34", leads, 9)) == expected


def test_resnet34_published_window_cost_and_silence():
    with torch.device("meta"):
        assert count_macs(create_model("resnet34", n_classes=9, window="published"), 12) == 12_133_859_328
    assert count_parameters(create_model("resnet34", n_classes=9, blocks=(2, 2, 2, 2))) == 8_746_633
    model = create_model("resnet34", n_classes=9, rate=100).eval()
    assert torch.equal(model(torch.zeros(1, 12, 1000))[0], model.fc.bias)
