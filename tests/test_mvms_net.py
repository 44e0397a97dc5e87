"""MVMS-net: its views and gates."""

from __future__ import annotations

import pytest
import torch

from leadset.leads import LEAD_SETS, LEADS
from leadset.models import create_model
from leadset.models.mvms_net import VIEWS, present_views


def test_views_cover_every_lead_once():
    assert sorted(lead for view in VIEWS for lead in view) == sorted(LEADS)


@pytest.mark.parametrize(
    ("size", "views"),
    [
        (12, [{"aVR"}, {"I", "aVL"}, {"V1", "V2"}, {"V3", "V4"}, {"V5", "V6"}, {"II", "III", "aVF"}]),
        (6, [{"aVR"}, {"I", "aVL"}, {"II", "III", "aVF"}]),
        (4, [{"I"}, {"V2"}, {"II", "III"}]),
        (3, [{"I"}, {"V2"}, {"II"}]),
        (2, [{"I"}, {"II"}]),
    ],
)
def test_views_shrink_with_the_lead_set(size, views):
    leads = LEAD_SETS[size]
    assert [{leads[row] for row in view} for view in present_views(leads)] == views


def test_a_view_sees_its_own_leads_only():
    torch.manual_seed(0)
    model = create_model("mvms_net", 12, 5, width=16, samples=200).eval()
    x = torch.randn(2, 12, 200)
    silenced = x.clone()
    silenced[:, [LEADS.index("V3"), LEADS.index("V4")]] = 0
    with torch.inference_mode():
        changed = [
            not torch.equal(a, b) for a, b in zip(model.view_features(x), model.view_features(silenced), strict=True)
        ]
    assert changed == [False, False, False, True, False, False]


def test_student_is_one_network_on_all_leads():
    student = create_model("mvms_net", 6, 5, width=16, samples=200, student=True).eval()
    assert student.views == [[0, 1, 2, 3, 4, 5]]
    assert student(torch.randn(2, 6, 200)).shape == (2, 5)


def test_window_shorter_than_the_stem_is_refused():
    with pytest.raises(ValueError, match="at least the stem's kernel of 25"):
        create_model("mvms_net", samples=24)
