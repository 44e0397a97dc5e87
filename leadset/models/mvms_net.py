"""MVMS-net: a multi-view multi-scale network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leadset.models.layers.attention import CoordinateAttention
from leadset.models.layers.res2net import STEM_KERNEL, TemporalEncoder
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform

#: The six groups of leads with a similar direction of view ("views" of the paper).
VIEWS: tuple[tuple[str, ...], ...] = (
    ("aVR",),
    ("I", "aVL"),
    ("V1", "V2"),
    ("V3", "V4"),
    ("V5", "V6"),
    ("II", "III", "aVF"),
)


def present_views(leads: tuple[str, ...]) -> list[list[int]]:
    """Positions in ``leads`` of each view's present leads; views without any are left out."""
    views = ([leads.index(lead) for lead in view if lead in leads] for view in VIEWS)
    return [view for view in views if view]


@register_model(
    "mvms_net",
    title="MVMS-net",
    citation="S. Yang, C. Lian, Z. Zeng, B. Xu, J. Zang, Z. Zhang: A multi-view multi-scale neural network for "
    "multi-label ECG classification. IEEE Transactions on Emerging Topics in Computational Intelligence, 2023",
    after="Yang et al., IEEE TETCI 2023",
    url="https://github.com/ysxGitHub/MVMS-net",
    reduced={"width": 16, "samples": 200},
)
class MVMSNet(nn.Module):
    """MVMS-net: one small network per group of leads, fused by a gate per group.

    Departs from the paper: views are defined by lead names, without the leads that a lead set lacks, and a view without
    leads is left out; noise is added to the input in training alone (as published, at test too); recordings are scaled
    one by one. As published, gates do not sum to one and all branches have one kernel size.

    Padding: the mean over time excludes padded samples; convolutions and attention see them as a flat line.

    Args:
        leads: lead names.
        n_classes: number of logits.
        width: features of a view, 128 as published; the stem has half as many.
        samples: window length at 100 Hz; the weights do not depend on it.
        student: one network on all leads without gates, into which the paper distils the others.
        cascade: branches of the blocks feed each other, as in Res2Net.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        n_classes: int,
        *,
        width: int = 128,
        samples: int = 1000,
        student: bool = False,
        cascade: bool = False,
    ) -> None:
        super().__init__()
        if samples < STEM_KERNEL:
            raise ValueError(f"samples is {samples}: expected at least the stem's kernel of {STEM_KERNEL}")
        self.input_spec = InputSpec(Transform(rate=100), samples=samples, scaling="recording")
        self.views = [list(range(len(leads)))] if student else present_views(leads)
        widths = (width // 2, width, width)
        self.encoders = nn.ModuleList(
            TemporalEncoder(len(view), widths, CoordinateAttention, cascade) for view in self.views
        )
        if student:  # a view without leads would be left out by cutting, and answer a constant otherwise
            self.lead_axes = {"encoders.0.stem.0.weight": 1}
        self.gates = None if student else nn.ModuleList(nn.Linear(width, 1) for _ in self.views)
        self.classifier = nn.Linear(width, n_classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``x`` (b, l, t) and ``mask`` (b, t) to logits (b, k)."""
        features = self.view_features(x, mask)
        if self.gates is None:
            return self.classifier(features[0])
        gated = [torch.sigmoid(gate(v)) * v for gate, v in zip(self.gates, features, strict=True)]
        return self.classifier(torch.stack(gated).sum(0))

    def view_features(self, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Features (b, f) of every view before its gate."""
        return [encoder(x[:, view], mask) for encoder, view in zip(self.encoders, self.views, strict=True)]
