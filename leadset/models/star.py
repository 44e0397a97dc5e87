"""STAR: a spatio-temporal dynamic graph network."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadset.models.layers.attention import ShuffleAttention
from leadset.models.layers.kan import KANLinear
from leadset.models.layers.lead_graph import (
    DynamicEdges,
    GraphLayer,
    PatchPooling,
    derive_limb_leads,
    spatiotemporal_prior,
)
from leadset.models.layers.options import check_layers, one_of
from leadset.models.layers.res2net import STEM_KERNEL, TemporalEncoder
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform

PRIORS = ("str", "identity", "none")
ATTENTIONS = ("kan", "linear")
HEADS = ("kan", "mlp", "gated")
#: Share of features that attention and graph layers drop in training.
DROPOUT = 0.3


class PatchAttention(nn.Module):
    """Self-attention over the patches of one lead, with KAN layers in place of linear ones and no feed-forward part.

    Queries are scaled by the root of the full width, not of a head's, as published.
    """

    N_HEADS = 8

    def __init__(self, features: int, patches: int, kind: str = "kan", dropout: bool = True) -> None:
        super().__init__()
        project = nn.Linear if one_of("attention", kind, ATTENTIONS) == "linear" else partial(KANLinear, grid=3)
        frequency = 100.0 ** (-torch.arange(0, features, 2) / features)  # base 100, where most use 10 000
        angle = torch.arange(patches)[:, None] * frequency
        self.register_buffer("position", torch.stack([angle.sin(), angle.cos()], -1).flatten(1))
        self.position_dropout = nn.Dropout(0.1 * dropout)
        self.norm = nn.LayerNorm(features)
        self.qkv, self.qkv_norm = project(features, 3 * features), nn.BatchNorm1d(3 * features)
        self.out, self.out_norm = project(features, features), nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(DROPOUT * dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(b, patches, f) to the same shape; leads are part of the batch."""
        x = self.position_dropout(x + self.position)
        qkv = self.qkv_norm(self.qkv(self.norm(x).flatten(0, 1)))
        q, k, v = qkv.view(*x.shape[:2], 3, self.N_HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, scale=x.shape[-1] ** -0.5)
        out = self.out_norm(self.out(attended.transpose(1, 2).flatten(2).flatten(0, 1)))
        return x + self.dropout(out.view_as(x))


class KANHead(nn.Module):
    """Three KAN layers, a norm before each."""

    def __init__(self, features: int, hidden: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.BatchNorm1d(f_in), KANLinear(f_in, f_out))
                for f_in, f_out in pairwise((features, hidden, hidden, n_classes))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, f) to (b, k)."""
        return self.layers(x)


class GatedMean(nn.Module):
    """Mean of node features (b, n, f) with learned weights: a head whose size does not grow with leads or patches."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gate = nn.Linear(features, 1, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """(b, n, f) to (b, f)."""
        return (self.gate(h).softmax(1) * h).sum(1)


@register_model(
    "star",
    title="STAR",
    citation="STAR: A Spatio-Temporal Dynamic Graph Learning Framework for Automated ECG Classification, "
    "github.com/Aires2019/Spatial-Temporal-ECG, 2025",
    after="GitHub, 2025",
    url="https://github.com/Aires2019/Spatial-Temporal-ECG",
    reduced={"width": 16, "samples": 200},
)
class STAR(nn.Module):
    """STAR: each (time patch, lead) pair is a node of a graph whose edges are learned within an anatomical prior.

    Departs from the released code: there the prior is stored as integers, which makes it the identity, so that no
    information crosses leads. Here it is real-valued, in the order of the nodes and defined by lead names; edges are
    pooled in the same order as features; dropout is off in evaluation; modules that the code never calls are left out.
    ``prior="identity"`` restores the released function.

    Padding: the encoder's mean over a patch excludes padded samples, and a patch of padding alone is a constant node of
    the graph. Convolutions and attention see padding as a flat line.

    Missing leads: nodes of leads that are zero are all alike. In training the encoder answers the first of them for
    all, which takes a third less time under lead dropout, and its norms see one flat line in a batch, not hundreds.
    Where leads are missing by design (`ZeroLeads`), it answers them once in evaluation, too.

    Args:
        leads: lead names.
        n_classes: number of logits.
        width: encoder features, 64 as published; nodes have twice as many. A multiple of 16.
        samples: window length at 100 Hz.
        patches: time patches per lead (2 as released, 4 as the paper's figure draws); they divide the window.
        prior: ``"str"`` (spatio-temporal relation), ``"identity"`` (as released), ``"none"`` (all learned edges kept).
        cascade: branches of the encoder's blocks feed each other, as in the figure and in Res2Net.
        attention: ``"kan"`` or ``"linear"`` projections of the patch attention.
        head: ``"kan"`` on all nodes, ``"mlp"`` on all nodes, ``"gated"`` (gated mean of nodes, then KAN).
        pool_kernel: 3 as published, or 1.
        soft_assignment: softmax on the pooling's assignment of patches.
        scaled: divide node similarities by the root of their width.
        bridge: connect limb and chest leads where the lead set leaves them apart (`lead_relation`).
        derived: compute the missing limb leads from the present ones and run the graph on all of them.
        dropout: 10 % of positions and 30 % of the features of attention and graph layers are dropped in training, as
            published. Off, the network learns faster from recordings of which it sees none twice.
        blocks: residual blocks of the encoder, 2 as published. Each halves time: the kernels of a third span 1.2 s, and
            so the distances between beats.
        peaks: nodes know the maximum of each feature over their patch beside its mean, in which one odd beat among many
            drowns; a departure from the paper.
        shortcut: adds a linear map of all nodes before the graph to the logits; a departure from the paper, whose chain
            of graph, pooling and head has no path around it and learns slowly.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        n_classes: int,
        *,
        width: int = 64,
        samples: int = 1000,
        patches: int = 2,
        prior: str = "str",
        cascade: bool = False,
        attention: str = "kan",
        head: str = "kan",
        pool_kernel: int = 3,
        soft_assignment: bool = False,
        scaled: bool = False,
        bridge: bool = False,
        derived: bool = False,
        dropout: bool = True,
        blocks: int = 2,
        peaks: bool = False,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        if width < 16 or width % 16:
            raise ValueError(f"width is {width}: expected a multiple of 16")
        if patches < 1 or samples % patches or samples // patches < STEM_KERNEL:
            raise ValueError(
                f"{samples} samples in {patches} patches: expected equal patches of at least {STEM_KERNEL} samples"
            )
        check_layers("blocks", blocks)
        if bridge and prior != "str":
            raise ValueError(f"bridge with prior={prior!r}: expected 'str', the only prior that knows of leads")
        self.input_spec = InputSpec(Transform(rate=100), samples=samples, scaling="recording")
        self.shares_rows = True  # of leads that are missing, which `ZeroLeads` gives it
        self.patches = patches
        leads, mixing = derive_limb_leads(leads) if derived else (leads, None)
        self.register_buffer("mixing", mixing)
        self.register_buffer("prior", _edge_prior(one_of("prior", prior, PRIORS), leads, patches, bridge))

        self.encoder = TemporalEncoder(1, (2 * width, *[width] * blocks), ShuffleAttention, cascade, peaks)
        self.node_map, self.node_norm = nn.Linear(self.encoder.features, 2 * width), nn.BatchNorm1d(2 * width)
        self.attention = PatchAttention(2 * width, patches, attention, dropout)
        self.edges = DynamicEdges(2 * width, scaled)
        first = PatchPooling(patches, pool_kernel, soft_assignment)
        second = PatchPooling(first.patches_out, pool_kernel, soft_assignment, pool_edges=False)
        dropped = DROPOUT * dropout
        self.graph1 = GraphLayer(2 * width, width, len(leads), first, dropped)
        self.graph2 = GraphLayer(width, 2 * width, len(leads), second, dropped)
        self.shortcut = nn.Linear(patches * len(leads) * 2 * width, n_classes) if shortcut else None
        self.head = _head(one_of("head", head, HEADS), len(leads) * second.patches_out, 2 * width, n_classes)

    @property
    def summands(self) -> tuple[nn.Module, ...]:
        """The modules whose outputs add up to the logits; none where these are the output of one module."""
        return () if self.shortcut is None else (self.head, self.shortcut)

    def forward(self, x: Tensor, mask: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """``x`` (b, l, t) and ``mask`` (b, t) to logits (b, k); with ``rows``, these rows of ``x`` are the leads."""
        if self.mixing is not None:
            x, rows = self.mixing @ (x if rows is None else x[:, rows]), None
        nodes = self.node_features(x, mask, rows)
        edges = self.edges(nodes) * self.prior
        h, edges = self.graph1(nodes, edges)
        h, _ = self.graph2(h, edges)
        logits = self.head(h)
        return logits if self.shortcut is None else logits + self.shortcut(nodes.flatten(1))

    def node_features(self, x: Tensor, mask: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """``x`` (b, l, t) to node features (b, n, f) before the graph, in time-major order.

        With ``rows`` (leads,), row ``rows[i]`` of ``x`` is lead i: one that several leads share is encoded once.
        """
        b, leads, _ = x.shape
        nodes = x.unflatten(2, (self.patches, -1)).transpose(1, 2).flatten(0, 2)  # (b·patches·l, samples of a patch)
        if mask is not None:
            mask = mask.unflatten(1, (self.patches, 1, -1)).expand(-1, -1, leads, -1).flatten(0, 2)
        h = self.encoded(nodes, mask)
        if rows is not None:
            h, leads = h.unflatten(0, (-1, leads)).index_select(1, rows).flatten(0, 1), len(rows)
        h = self.node_norm(self.node_map(h))
        h = h.view(b, self.patches, leads, -1).transpose(1, 2).flatten(0, 1)  # (b·l, patches, f)
        return self.attention(h).unflatten(0, (b, leads)).transpose(1, 2).flatten(1, 2)

    def encoded(self, nodes: Tensor, mask: Tensor | None) -> Tensor:
        """Patches (n, t) of single leads, and their masks, to encoder features (n, f)."""
        if not self.training:
            return self.encoder(nodes.unsqueeze(1), mask)
        blank = ~nodes.any(1) if mask is None else ~nodes.any(1) & mask.all(1)
        asked = ~blank | (blank.cumsum(0) == 1)  # of blank ones the first
        place = asked.cumsum(0) - 1
        place = torch.where(blank, place[blank][:1], place) if blank.any() else place
        return self.encoder(nodes[asked].unsqueeze(1), None if mask is None else mask[asked])[place]


def _edge_prior(kind: str, leads: tuple[str, ...], patches: int, bridge: bool) -> Tensor:
    nodes = patches * len(leads)
    if kind == "identity":
        return torch.eye(nodes)
    return spatiotemporal_prior(leads, patches, bridge) if kind == "str" else torch.ones(nodes, nodes)


def _head(kind: str, nodes: int, features: int, n_classes: int) -> nn.Module:
    if kind == "gated":
        return nn.Sequential(GatedMean(features), KANHead(features, features, n_classes))
    if kind == "kan":
        return nn.Sequential(nn.Flatten(), KANHead(nodes * features, features, n_classes))
    return nn.Sequential(
        nn.Flatten(),
        nn.BatchNorm1d(nodes * features),
        nn.Linear(nodes * features, features),
        nn.ReLU(),
        nn.Linear(features, n_classes),
    )
