"""Transposed convolutions that lengthen time, written as convolutions: the same numbers, in onnxruntime's fast form.

onnxruntime has that form, and one in 8 bits, of convolutions alone. Output ``stride · q + r`` of a transposed
convolution depends on inputs about q, by those weights whose place has the same remainder as r. So a convolution with
``stride`` times as many features gives all outputs, which are then put in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadset.deploy.convolutions import captured

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

#: Operators by element that stay between the convolution and the ordering, where onnxruntime joins them with it.
_ACTIVATIONS = ("Relu", "LeakyRelu")


class _Convolution(NamedTuple):
    """Weights (stride · o, i, h, t) and padding (top, left, bottom, right) in place of transposed ones."""

    weight: np.ndarray
    pads: list[int]
    stride: int


def replace_transposed(model: ModelProto) -> None:
    """Replaces, in place, transposed convolutions with constant weights over (height, time) whose stride along time is
    the ratio of their lengths, and which keep the height; others stay."""
    from onnx import numpy_helper

    graph = model.graph
    constant = {tensor.name: tensor for tensor in graph.initializer}
    takers = _takers(graph)
    nodes: list[NodeProto] = []
    moved: set[str] = set()
    for node in graph.node:
        if node.output[0] in moved:
            continue
        replaced = None
        if node.op_type == "ConvTranspose" and all(name in constant for name in node.input[1:]):
            values = [numpy_helper.to_array(constant[name]) for name in node.input[1:]]
            replaced = _as_convolution(node, values[0])
        if replaced is None:
            nodes.append(node)
            continue
        after = takers.get(node.output[0], [])
        activation = after[0] if len(after) == 1 and after[0].op_type in _ACTIVATIONS else None
        if activation is not None:
            moved.add(activation.output[0])
        nodes.extend(_instead(graph, node, replaced, values[1:], activation))
    if len(nodes) == len(graph.node):
        return
    used = {name for node in nodes for name in node.input} | set(captured(nodes))
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    graph.ClearField("initializer")
    graph.initializer.extend(kept)
    graph.ClearField("node")
    graph.node.extend(nodes)


def _takers(graph: GraphProto) -> dict[str, list[NodeProto]]:
    """The nodes that take each array; of what leaves the graph, or enters one inside of a node, none."""
    elsewhere = {output.name for output in graph.output} | set(captured(graph.node))
    takers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    return {name: nodes for name, nodes in takers.items() if name not in elsewhere}


def _as_convolution(node: NodeProto, weight: np.ndarray) -> _Convolution | None:
    """The convolution that gives the same as a transposed one with weights (i, o, h, t); None where none does."""
    from onnx import helper

    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if weight.ndim != 4 or given.get("group", 1) != 1 or set(given.get("dilations", [1])) != {1}:
        return None
    i, o, height, taps = weight.shape
    (rise, stride), pads = given.get("strides", [1, 1]), given.get("pads", [0] * 4)
    high, long = given.get("output_padding", [0, 0])
    if "output_shape" in given or given.get("auto_pad", b"NOTSET") != b"NOTSET" or rise != 1 or stride < 2:
        return None
    if height + high - pads[0] - pads[2] != 1 or taps + long - pads[1] - pads[3] != stride:
        return None
    # Output `stride · q + r` takes input q + shift by tap k.
    shifts = {
        (r, k): (r + pads[1] - k) // stride
        for r in range(stride) for k in range(taps) if (r + pads[1] - k) % stride == 0
    }  # fmt: skip
    first, last = min(shifts.values()), max(shifts.values())
    turned = np.zeros((stride, o, i, height, last - first + 1), weight.dtype)
    for (r, k), shift in shifts.items():
        turned[r, ..., shift - first] = weight[:, :, ::-1, k].swapaxes(0, 1)
    around = [height - 1 - pads[0], -first, pads[0], last]
    if min(around) < 0:
        return None
    return _Convolution(turned.reshape(stride * o, i, height, -1), around, stride)


def _instead(
    graph: GraphProto, node: NodeProto, replaced: _Convolution, bias: list[np.ndarray], activation: NodeProto | None
) -> Iterator[NodeProto]:
    """The nodes in place of a transposed convolution and of what follows it; their constants go into the graph."""
    from onnx import helper, numpy_helper

    name, final = node.output[0], (activation or node).output[0]
    weight, pads, stride = replaced
    # (b, l, t, stride · o) to (b, l, stride · t, o): as it lies in memory.
    order = np.array([0, 0, -1, len(weight) // stride])
    constants = {f"{name}_weight": weight, f"{name}_order": order}
    if bias:
        constants[f"{name}_bias"] = np.tile(bias[0], stride)
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    inputs = [node.input[0], f"{name}_weight", *([f"{name}_bias"] if bias else [])]
    yield helper.make_node(
        "Conv", inputs, [f"{name}_phases"], f"{name}_conv", pads=pads, strides=[1, 1], dilations=[1, 1],
        kernel_shape=list(weight.shape[2:]), group=1,
    )  # fmt: skip
    phases = f"{name}_phases"
    if activation is not None:
        active = type(activation)()
        active.CopyFrom(activation)
        active.input[0], active.output[0] = phases, f"{name}_active"
        yield active
        phases = active.output[0]
    yield helper.make_node("Transpose", [phases], [f"{name}_last"], f"{name}_to_last", perm=[0, 2, 3, 1])
    yield helper.make_node("Reshape", [f"{name}_last", f"{name}_order"], [f"{name}_ordered"], f"{name}_in_order")
    yield helper.make_node("Transpose", [f"{name}_ordered"], [final], f"{name}_to_first", perm=[0, 3, 1, 2])
