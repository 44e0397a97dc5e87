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
#: Operators that keep the shape of what they are given, and those that broadcast, such as a mask (b, 1, t) to features.
_BY_ELEMENT, _OF_TWO = ("Relu", "LeakyRelu", "Sigmoid", "Tanh"), ("Add", "Mul")


def raise_convolutions(model: ModelProto) -> None:
    """Gives all convolutions of three-dimensional arrays a height of 1, in place, and what lies between them too."""
    from onnx import helper, numpy_helper

    graph = model.graph
    weights = _weights_over_time(graph)
    kept = {output.name for output in graph.output} | set(captured(graph.node))
    over_time = _over_time(graph)
    raised: set[str] = set()
    high: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        convolves = node.op_type == "Conv" and node.input[1] in weights
        if node.output[0] not in kept and (convolves or _passes_on(node, raised, over_time)):
            for i, name in enumerate(node.input[:1] if convolves else node.input):
                if name not in raised:
                    if name not in high:
                        high[name] = f"{name}_high"
                        nodes.append(helper.make_node("Unsqueeze", [name, _AXIS], [high[name]]))
                    node.input[i] = high[name]
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
    other = set(captured(graph.node)) | {output.name for output in graph.output}
    for node in graph.node:
        other.update(name for i, name in enumerate(node.input) if node.op_type != "Conv" or i != 1)
    return constant - other


def captured(nodes: Iterable[NodeProto]) -> Iterator[str]:
    """Names that the graphs inside of nodes may refer to."""
    for node in nodes:
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from (name for inner in graph.node for name in inner.input)
                yield from captured(graph.node)


def _over_time(graph: GraphProto) -> set[str]:
    """Names of the arrays that are known to have three dimensions."""
    return {value.name for value in (*graph.input, *graph.value_info) if len(value.type.tensor_type.shape.dim) == 3}


def _passes_on(node: NodeProto, raised: set[str], over_time: set[str]) -> bool:
    """Whether a node of one result keeps the height of what it is given."""
    if len(node.output) != 1 or raised.isdisjoint(node.input):
        return False
    return node.op_type in (*_POOLS, *_BY_ELEMENT) or (
        node.op_type in _OF_TWO and all(name in raised or name in over_time for name in node.input)
    )


def _add_dimension(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name in _BY_DIMENSION:
            attribute.ints.insert(0, 1)
        elif attribute.name == _PADS:
            before, after = attribute.ints
            attribute.ints[:] = [0, before, 0, after]
