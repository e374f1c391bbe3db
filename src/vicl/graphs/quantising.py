"""Weights in 8 bits: a file of two fifths of the size, whose arithmetic stays in floats.

Each channel of outputs has a scale of its own. Activations stay floats: onnxruntime's dynamic
quantisation, which rounds them and has one scale a tensor, costs 0.020 of IoU (docs/export.md).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_LEAST: Final = 1024
"""Numbers of a weight; what is smaller saves nothing."""


def in_8_bits(model: Any) -> None:
    """Keep the weights of an ONNX model (`onnx.ModelProto`) in 8 bits, in place.

    Weights are those of Conv, Gemm and MatMul that stand second; features of examples do not.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    held = {one.name: one for one in graph.initializer if one.data_type == 1}
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in held:
            continue
        name = node.input[1]
        weight = held[name]
        if np.prod(weight.dims) < _LEAST or ".places" in name:
            continue
        found[name] = _outputs(node, len(weight.dims))
        node.input[1] = f"{name} in floats"
    nodes = []
    for name, axis in found.items():
        weight = numpy_helper.to_array(held[name])
        others = tuple(i for i in range(weight.ndim) if i != axis)
        scale = np.abs(weight).max(others, keepdims=True).clip(1e-12) / np.float32(127)
        levels = np.round(weight / scale).astype(np.int8)
        parts = {f"{name} in 8 bits": levels, f"{name} scale": scale.ravel()}
        graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in parts.items())
        nodes.append(
            helper.make_node("DequantizeLinear", [*parts], [f"{name} in floats"], axis=axis)
        )
    still = {name for node in graph.node for name in node.input}
    for name in found.keys() - still:
        graph.initializer.remove(held[name])
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _outputs(node: Any, axes: int) -> int:
    """The axis of a weight that is of outputs."""
    if node.op_type == "Conv":
        return 0
    turned = any(one.name == "transB" and one.i for one in node.attribute)
    return axes - 2 if turned else axes - 1
