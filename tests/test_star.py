"""STAR: what its graph does, its options, and what the release did instead."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from networks import settle
from torch import Tensor
from torch.nn import functional as F

from leadset.leads import LEAD_SETS, LEADS
from leadset.models import count_parameters, create_model
from leadset.models.layers.lead_graph import PatchPooling, derive_limb_leads, lead_relation
from leadset.models.star import HEADS, PRIORS, STAR

SMALL = {"width": 16, "samples": 200}


def small(leads=12, **options) -> STAR:
    torch.manual_seed(0)
    return create_model("star", leads, 5, **(SMALL | options)).eval()


def windows(leads: int = 12, batch: int = 2) -> Tensor:
    return torch.randn(batch, leads, 200, generator=torch.Generator().manual_seed(1))


def graph_features(model: STAR, x: Tensor) -> Tensor:
    """Node features (b, t·l, f) after the first graph convolution, which keeps one node per lead and patch."""
    h = model.node_features(x)
    return model.graph1.gin(h, model.edges(h) * model.prior)


def test_information_crosses_leads_only_with_a_prior_that_connects_them():
    x = windows()
    changed = x.clone()
    changed[:, LEADS.index("V1")] += torch.randn(200, generator=torch.Generator().manual_seed(2))
    # Unconnected leads feel V1 too: it takes part in the softmax over all nodes that comes before the prior.
    for prior, expected in (("str", set(LEADS)), ("identity", {"V1"}), ("none", set(LEADS))):
        model = settle(small(prior=prior), x=windows(batch=8))
        with torch.no_grad():
            difference = (graph_features(model, changed) - graph_features(model, x)).abs().amax((0, 2))
        assert {lead for lead, moved in zip(LEADS * 2, difference > 0, strict=True) if moved} == expected


@pytest.mark.parametrize(("prior", "learns"), [("str", True), ("none", True), ("identity", False)])
def test_edges_learn_only_where_leads_are_connected(prior, learns):
    model = small(prior=prior).train()
    model(windows(batch=4)).square().sum().backward()
    assert bool(model.edges.map.weight.grad.any()) is learns


def test_leads_are_known_by_name_not_by_position():
    order = ("V4", "aVF", "II", "V1", "I", "V6")
    model, permuted = small(tuple(sorted(order, key=LEADS.index))), STAR(order, 5, **SMALL).eval()
    rows = [sorted(order, key=LEADS.index).index(lead) for lead in order]
    nodes = [patch * 6 + row for patch in range(2) for row in rows]
    assert torch.equal(permuted.prior, model.prior[nodes][:, nodes])
    permuted.load_state_dict({k: v for k, v in model.state_dict().items() if k != "prior"}, strict=False)
    x = windows(6)
    torch.testing.assert_close(graph_features(permuted, x[:, rows]), graph_features(model, x)[:, nodes])


def test_prior_positions_and_knots_follow_the_model():
    model = small()
    assert {"prior", "attention.position"} <= model.state_dict().keys()
    on_meta = model.to("meta")
    assert on_meta(windows().to("meta")).device.type == "meta"


def test_dropout_acts_in_training_only():
    model, x = small(), windows(batch=4)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    without = small(dropout=False).train()
    assert torch.equal(without(x), without(x))


def test_training_encodes_one_missing_lead_for_all():
    """The answer is that of encoding each, and the norms of the encoder see the flat line once."""
    model, x, mask = small().train(), windows(batch=4), torch.ones(4, 200, dtype=torch.bool)
    mask[3, 60:] = False  # whose second patch is padding alone, not a missing lead
    x[0, 3:], x[1, :7], x[3] = 0, 0, x[3] * mask[3]
    seen = []
    model.encoder.stem.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    for norm in model.encoder.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.eval()
    nodes = x.unflatten(2, (2, -1)).transpose(1, 2).flatten(0, 2)
    masks = mask.unflatten(1, (2, 1, -1)).expand(-1, -1, 12, -1).flatten(0, 2)
    expected = model.encoder(nodes.unsqueeze(1), masks)
    torch.testing.assert_close(model.encoded(nodes, masks), expected)
    assert seen == [96, 96 - 2 * (9 + 7) + 1]
    torch.testing.assert_close(model.encoded(nodes[:1], None), expected[:1])


def test_bridge_joins_the_sets_that_fall_apart():
    for size, bridged in ((12, False), (6, False), (4, True), (3, True), (2, False)):
        leads = LEAD_SETS[size]
        assert torch.equal(lead_relation(leads, bridge=True), lead_relation(leads)) is not bridged
    relation = lead_relation(LEAD_SETS[3], bridge=True)
    torch.testing.assert_close(relation, torch.tensor([[1, 0.8, 0.64], [0.8, 1, 0.64], [0.64, 0.64, 1]]))


def test_derived_limb_leads():
    leads, mixing = derive_limb_leads(LEAD_SETS[3])
    assert leads == (*LEADS[:6], "V2")
    one, two = torch.tensor([1.0, 0.5, 7.0]), torch.tensor([-2.0, 3.0, 7.0])
    for sample in (one, two):
        i, ii, v2 = sample.tolist()
        expected = torch.tensor([i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2, v2])
        torch.testing.assert_close(mixing @ sample, expected, atol=1e-6, rtol=0)
    assert derive_limb_leads(("II", "V5"))[0] == ("II", "V5")
    model = small(3, derived=True)
    assert model.prior.shape == (14, 14)
    assert model(windows(3)).shape == (2, 5)


@pytest.mark.parametrize(
    "options",
    [
        {"cascade": True}, {"attention": "linear"}, {"head": "mlp"}, {"head": "gated"}, {"pool_kernel": 1},
        {"soft_assignment": True}, {"scaled": True}, {"patches": 1}, {"patches": 4}, {"patches": 5},
        {"blocks": 1}, {"blocks": 3}, {"peaks": True}, {"shortcut": True},
    ],
    ids=str,
)  # fmt: skip
def test_options_change_the_network_and_train(options):
    model, plain = small(**options), small()
    shapes = {name: p.shape for name, p in plain.state_dict().items()}
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if v.shape == shapes.get(k)}, strict=False)
    for network in (model, plain):
        settle(network, x=windows(batch=8))
    logits = model(windows(batch=8))
    assert not torch.allclose(logits, plain(windows(batch=8)))
    logits.square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("leads", LEAD_SETS)
@pytest.mark.parametrize("head", HEADS)
def test_any_prior_patches_and_head_go_together(leads, head):
    x, mask = windows(leads, batch=4), torch.ones(4, 200, dtype=torch.bool)
    mask[0, 60:] = False
    labels = (torch.arange(20) % 3 == 0).float().view(4, 5)
    for prior, patches in product(PRIORS, (1, 2, 4, 5)):
        model = small(leads, prior=prior, patches=patches, head=head)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        with torch.no_grad():
            before = model(x, mask)
        F.binary_cross_entropy_with_logits(model.train()(x, mask), labels).backward()
        optimizer.step()
        with torch.no_grad():
            after = model.eval()(x, mask)
        assert after.shape == (4, 5) and after.isfinite().all(), (prior, patches)
        assert ((after - before).abs().amax(1) > 1e-4).all(), (prior, patches)
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters()), (prior, patches)


def test_linear_projections_of_the_attention_save_its_splines():
    projections = {kind: create_model("star", attention=kind).attention.qkv for kind in ("kan", "linear")}
    assert {k: count_parameters(p) for k, p in projections.items()} == {"kan": 393_216, "linear": 49_536}


def test_gated_head_does_not_grow_with_the_leads():
    twelve, two = (count_parameters(create_model("star", leads, 5, head="gated").head) for leads in (12, 2))
    assert twelve == two


def test_soft_assignment_keeps_pooled_edges_positive():
    torch.manual_seed(0)
    edges = torch.rand(2, 8, 8)
    negative = PatchPooling(4)
    with torch.no_grad():
        negative.conv.weight[0].fill_(-1)
        negative.conv.weight[1].fill_(1)
    h = torch.randn(2, 4, 2, 3)
    assert negative(h, edges)[1].min() < 0
    soft = PatchPooling(4, soft=True)
    soft.load_state_dict(negative.state_dict())
    pooled = soft(h, edges)[1]
    assert pooled.shape == (2, 4, 4) and pooled.min() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": "anatomic"}, "identity, none, str"),
        ({"head": "linear"}, "gated, kan, mlp"),
        ({"attention": "mlp"}, "kan, linear"),
        ({"pool_kernel": 5}, "expected 1 or 3"),
        ({"patches": 3}, "1000 samples in 3 patches"),
        ({"patches": 50}, "at least 25 samples"),
        ({"width": 20}, "multiple of 16"),
        ({"blocks": 0}, "expected 1 to"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("star", **options)
