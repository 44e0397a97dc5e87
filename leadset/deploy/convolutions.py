"""Convolutions over time, written as two-dimensional ones of height 1: the same numbers, in onnxruntime's fast form.

onnxruntime keeps blocks of channels together in memory (NCHWc) from one convolution to the next, and adds and rectifies
inside of them, but does so in two dimensions alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_AXIS = "height_axis"
#: Attributes with a number for each dimension, and the one with two.
_BY_DIMENSION, _PADS = ("kernel_shape", "strides", "dilations"), "pads"
_POOLS = ("MaxPool", "AveragePool")
#: Operators that keep the shape of what they are given, whichever it is.
_BY_ELEMENT = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Add")


def raise_convolutions(model: ModelProto) -> None:
    """Gives all convolutions of three-dimensional arrays a height of 1, in place, and what lies between them too."""
    from onnx import helper, numpy_helper

    graph = model.graph
    weights = _weights_over_time(graph)
    kept = {output.name for output in graph.output} | set(_captured(graph.node))
    raised: set[str] = set()
    nodes: list[NodeProto] = []
    for node in graph.node:
        convolves = node.op_type == "Conv" and node.input[1] in weights
        if node.output[0] not in kept and (convolves or _passes_on(node, raised)):
            if convolves and node.input[0] not in raised:
                high = f"{node.input[0]}_high_{len(nodes)}"
                nodes.append(helper.make_node("Unsqueeze", [node.input[0], _AXIS], [high]))
                node.input[0] = high
            _add_dimension(node)
            raised.add(node.output[0])
        else:
            for i, name in enumerate(node.input):
                if name in raised:
                    flat = f"{name}_flat_{len(nodes)}"
                    nodes.append(helper.make_node("Squeeze", [name, _AXIS], [flat]))
                    node.input[i] = flat
        nodes.append(node)
    if not raised:
        return
    for tensor in graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:, :, None], tensor.name))
    graph.initializer.append(numpy_helper.from_array(np.array([2]), _AXIS))
    graph.ClearField("value_info")  # shapes without the height
    graph.ClearField("node")
    graph.node.extend(nodes)


def _weights_over_time(graph: GraphProto) -> set[str]:
    """Names of the weights (o, i, k) that are constant and belong to convolutions alone."""
    constant = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 3}
    other = set(_captured(graph.node)) | {output.name for output in graph.output}
    for node in graph.node:
        other.update(name for i, name in enumerate(node.input) if node.op_type != "Conv" or i != 1)
    return constant - other


def _captured(nodes: Iterable[NodeProto]) -> Iterator[str]:
    """Names that the graphs inside of nodes may refer to."""
    for node in nodes:
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from (name for inner in graph.node for name in inner.input)
                yield from _captured(graph.node)


def _passes_on(node: NodeProto, raised: set[str]) -> bool:
    """Whether a node of one result keeps the height of what it is given."""
    return node.op_type in (*_POOLS, *_BY_ELEMENT) and len(node.output) == 1 and raised.issuperset(node.input)


def _add_dimension(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name in _BY_DIMENSION:
            attribute.ints.insert(0, 1)
        elif attribute.name == _PADS:
            before, after = attribute.ints
            attribute.ints[:] = [0, before, 0, after]
