"""Static quantisation: convolutions and what lies between them in 8 bits, the rest of a network in 32.

Ranges of activations are those that examples reach. Weights have 7 bits: processors without 8-bit dot products (VNNI)
add pairs of products in 16 bits, which would overflow with more, so that a file would answer differently there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadset.classes import LabelSpace
from leadset.deploy.about import KEY, About
from leadset.deploy.runtime import OnnxEntry
from leadset.entry.answer import Answer
from leadset.recordings import Recording
from leadset.scoring.metrics import areas, macro

if TYPE_CHECKING:
    from onnx import GraphProto

#: Operators that onnxruntime has in 8 bits, and that lie between convolutions.
_BETWEEN = ("Relu", "LeakyRelu", "Add", "Mul", "MaxPool", "AveragePool", "Concat", "Transpose", "Reshape")


def entry_in_8_bits(plain: Path, recordings: Sequence[Recording]) -> tuple[Path, About]:
    """Writes an exported file again, in 8 bits, beside it; its provenance says what that changed.

    Args:
        plain: the file; its label space lies beside it.
        recordings: some by whose activations the 8 bits are scaled; their labels show what is lost.

    Raises:
        ValueError: none of the recordings can be used.
    """
    import onnx

    entry = OnnxEntry(plain, threads=1)
    inputs = [entry.prepare(recording) for recording in recordings]
    feeds = list(entry.feeds(inputs))
    if not feeds:
        raise ValueError(f"found nothing that can be used in {len(recordings)} recordings, expected some to scale by")
    small = quantised(plain, plain.with_name("int8.onnx"), feeds)
    pairs = zip(recordings, entry.answer(inputs), OnnxEntry(small, threads=1).answer(inputs), strict=True)
    change = _change([pair for pair in pairs if not pair[1].failed], entry.space)
    (about,) = entry.sets.values()
    about = replace(about, provenance={**about.provenance, "int8": change})
    model = onnx.load(small)
    next(text for text in model.metadata_props if text.key == KEY).value = about.to_text()
    onnx.save(model, small)
    return small, about


def _change(answered: Sequence[tuple[Recording, Answer, Answer]], space: LabelSpace) -> dict[str, object]:
    """What 8 bits change: of each recording, the answers in 32 and in 8 bits.

    ``auroc`` is the mean over the ``classes`` that some of the recordings have and others have not.
    """
    labels = np.array([space.encode(recording.codes) for recording, *_ in answered]).astype(bool)
    before, after = (np.array([pair[i].probabilities for pair in answered]) for i in (1, 2))
    decided = [(one.labels != other.labels).any() for _, one, other in answered]
    (auroc, _), (auroc_before, _) = areas(labels, after), areas(labels, before)
    classes = int(np.isfinite(auroc).sum())
    means = {"auroc": macro(auroc), "auroc_float32": macro(auroc_before)} if classes else {}
    return {
        "recordings": len(answered), "largest_difference": float(np.abs(after - before).max()),
        "other_decisions": int(sum(decided)), "classes": classes, **means,
    }  # fmt: skip


def quantised(source: Path, target: Path, examples: Sequence[Mapping[str, np.ndarray]]) -> Path:
    """Writes a model whose convolutions are computed in 8 bits; the metadata stay.

    Args:
        source: the model in float32.
        target: the file.
        examples: inputs by name, whose activations are to fit into the 8 bits; at least one.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load(source)
    model.graph.ClearField("value_info")  # shapes that the exporter noted, which those of turned weights contradict
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{i}"
    chosen = quantised_nodes(model.graph)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            model, target, _Reader(examples), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=chosen,
            op_types_to_quantize=["Conv", *_BETWEEN],
        )  # fmt: skip
    finally:
        logging.disable(before)
    return target


class _Reader:
    """Hands over one example after the other, as onnxruntime's `CalibrationDataReader` does."""

    def __init__(self, examples: Sequence[Mapping[str, np.ndarray]]) -> None:
        self.examples = iter(examples)

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        """The next one; None after the last."""
        return next(self.examples, None)


def quantised_nodes(graph: GraphProto) -> list[str]:
    """Names of the convolutions with constant weights, and of what takes their results and keeps them in 8 bits."""
    constant = {tensor.name for tensor in graph.initializer}
    inside: set[str] = set()
    names = []
    for node in graph.node:
        convolves = node.op_type == "Conv" and node.input[1] in constant
        if convolves or (node.op_type in _BETWEEN and not inside.isdisjoint(node.input)):
            inside.update(node.output)
            names.append(node.name)
    return names
