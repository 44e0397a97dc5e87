"""Graphs whose nodes are (time patch, lead) pairs: which leads belong together, learned edges, convolution, pooling.

Nodes are in time-major order everywhere, n = patch · leads + lead, as ``(…, patch, lead).flatten`` gives it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadset.leads import LEADS, LIMB_WEIGHTS, sort_leads, with_derived

#: Leads connected with each other in STAR's prior: the limb leads, the chest leads, and four that bridge the two.
LEAD_GROUPS: tuple[frozenset[str], ...] = (
    frozenset(LEADS[:6]),
    frozenset(LEADS[6:]),
    frozenset({"I", "aVF", "V4", "V5"}),
)
DECAY = 0.8


def lead_relation(leads: Sequence[str], bridge: bool = False) -> Tensor:
    """Symmetric (l, l) weights: 1 for a lead with itself, `DECAY` for connected leads, 0 otherwise.

    Args:
        leads: lead names in any order.
        bridge: where the connections leave limb and chest leads apart (the sets of 4 and 3 leads), give such pairs the
            weight of a path of two connections, ``DECAY`` ².
    """
    together = [[any({a, b} <= group for group in LEAD_GROUPS) for b in leads] for a in leads]
    relation = torch.tensor(together).to(torch.get_default_dtype()) * DECAY
    limb = torch.tensor([lead in LEAD_GROUPS[0] for lead in leads])
    across = limb[:, None] != limb
    if bridge and not relation[across].any():
        relation[across] = DECAY**2
    return relation.fill_diagonal_(1)


def spatiotemporal_prior(leads: Sequence[str], patches: int, bridge: bool = False) -> Tensor:
    """STAR's fixed edge weights (n, n): decay with the distance in time within a lead, `lead_relation` across leads."""
    step = torch.arange(patches)
    across_time = DECAY ** (step[:, None] - step).abs().to(torch.get_default_dtype())
    prior = lead_relation(leads, bridge)[None, :, None, :].repeat(patches, 1, patches, 1)  # (t, l, t', l')
    prior.diagonal(dim1=1, dim2=3).copy_(across_time[:, :, None])
    return prior.flatten(2).flatten(0, 1)


def derive_limb_leads(leads: Sequence[str]) -> tuple[tuple[str, ...], Tensor]:
    """The leads obtainable from ``leads``, in standard order, and the (l', l) matrix that computes them."""
    extended = sort_leads(with_derived(leads))
    limb = [lead in LIMB_WEIGHTS for lead in leads]
    to_limb = np.linalg.pinv(np.array([LIMB_WEIGHTS.get(lead, (0.0, 0.0)) for lead in leads]))
    mixing = np.zeros((len(extended), len(leads)))
    for row, lead in enumerate(extended):
        if lead in leads:
            mixing[row, list(leads).index(lead)] = 1
        else:
            mixing[row, limb] = (np.array(LIMB_WEIGHTS[lead]) @ to_limb)[limb]
    return extended, torch.tensor(mixing, dtype=torch.get_default_dtype())


class DynamicEdges(nn.Module):
    """Edges out of node features: similarity after one linear map, row-wise softmax, plus self-loops of weight 1.

    Args:
        features: width of a node.
        scaled: divide similarities by the root of the width; the published ones are not, and saturate the softmax.
    """

    def __init__(self, features: int, scaled: bool = False) -> None:
        super().__init__()
        self.map = nn.Linear(features, features)
        self.scale = features**-0.5 if scaled else 1.0

    def forward(self, h: Tensor) -> Tensor:
        """Node features (b, n, f) to edges (b, n, n) with a diagonal of 1 and rows that sum to 2."""
        g = self.map(h)
        loops = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
        similarity = F.leaky_relu((g * self.scale) @ g.transpose(1, 2) - 1e8 * loops, 0.01)
        return similarity.softmax(-1) + loops


def normalise_edges(edges: Tensor) -> Tensor:
    """D^−½ A D^−½ of edges (b, n, n), with D the row sums, at least 1, on both sides."""
    scale = edges.sum(-1).clamp(min=1).rsqrt()
    return edges * scale.unsqueeze(-1) * scale.unsqueeze(-2)


class GIN(nn.Module):
    """Graph isomorphism layer (K. Xu et al., ICLR 2019) on weighted, normalised edges, then a feature-wise norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.epsilon = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs))
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, h: Tensor, edges: Tensor) -> Tensor:
        """(b, n, f) and (b, n, n) to (b, n, f')."""
        out = self.mlp((1 + self.epsilon) * h + normalise_edges(edges) @ h)
        return self.norm(out.transpose(1, 2)).transpose(1, 2)


class PatchPooling(nn.Module):
    """Per-lead pooling of patches: a convolution with patches as channels, sliding over the features.

    The same kernel, weighted over its taps, assigns old patches to new ones and pools the edges.

    Args:
        patches: patches before; half of them, rounded up, are left after.
        kernel: 3 as published, or 1, since features have no order to slide over.
        soft: rows of the assignment through a softmax, so that pooled edges cannot turn negative.
        pool_edges: without it only features are pooled and the tap weights do not exist (the last layer).
    """

    def __init__(self, patches: int, kernel: int = 3, soft: bool = False, pool_edges: bool = True) -> None:
        super().__init__()
        if kernel not in (1, 3):
            raise ValueError(f"pool_kernel is {kernel}: expected 1 or 3")
        self.patches_out = -(-patches // 2)
        self.soft = soft
        self.conv = nn.Conv2d(patches, self.patches_out, (1, kernel), padding=(0, kernel // 2))
        self.taps = nn.Parameter(torch.full((kernel,), 1 / kernel)) if pool_edges else None

    def forward(self, h: Tensor, edges: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features (b, t, l, f) and edges (b, t·l, t·l) to (b, t', l, f) and (b, t'·l, t'·l), or None."""
        pooled = self.conv(h)
        if self.taps is None:
            return pooled, None
        assignment = self.conv.weight.squeeze(2) @ self.taps  # (t', t)
        if self.soft:
            assignment = assignment.softmax(-1)
        (patches, leads), patches_out = h.shape[1:3], self.patches_out
        edges = edges.view(-1, patches, leads, patches, leads)
        edges = torch.einsum("pi,biljm,qj->bplqm", assignment, edges, assignment)
        return pooled, edges.reshape(-1, patches_out * leads, patches_out * leads)


class GraphLayer(nn.Module):
    """GIN, patch pooling, a norm with one channel per node, ReLU, dropout."""

    def __init__(self, inputs: int, outputs: int, leads: int, pooling: PatchPooling, dropout: float) -> None:
        super().__init__()
        self.leads = leads
        self.gin = GIN(inputs, outputs)
        self.pooling = pooling
        self.norm = nn.BatchNorm1d(leads * pooling.patches_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, edges: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features (b, n, f) and edges (b, n, n) to those of the pooled nodes."""
        h = self.gin(h, edges)
        h, edges = self.pooling(h.unflatten(1, (-1, self.leads)), edges)
        return self.dropout(self.norm(h.flatten(1, 2)).relu()), edges
