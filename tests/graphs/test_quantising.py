"""Weights in 8 bits: as near as a scale a channel allows, everything else as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vicl.graphs.quantising import in_8_bits


def model(weights: dict[str, np.ndarray]) -> Any:
    """A convolution, a Gemm (turned) and a product with features of examples, one after another."""
    onnx = pytest.importorskip("onnx", reason="needs vicl[onnx]")
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["x", "conv"], ["a"]),
        make("Flatten", ["a"], ["b"]),
        make("Gemm", ["b", "gemm"], ["c"], transB=1),
        make("MatMul", ["c", "sides.places"], ["y"]),
    ]
    told = onnx.helper.make_tensor_value_info
    held = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = onnx.helper.make_graph(
        nodes, "g", [told("x", 1, [1, 8, 4, 4])], [told("y", 1, [1, 40])], held
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9
    )


def answered(written: Any, x: np.ndarray) -> np.ndarray:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs vicl[onnx]")
    session = onnxruntime.InferenceSession(written.SerializeToString())
    found: np.ndarray = session.run(None, {"x": x})[0]
    return found


def test_each_channel_of_outputs_has_a_scale_of_its_own() -> None:
    rng = np.random.default_rng(0)
    # Channels of very different size: one scale for all would lose the small ones.
    sizes = (10.0 ** rng.uniform(-3, 1, 32)).astype(np.float32)
    weights = {
        "conv": rng.normal(size=(32, 8, 3, 3)).astype(np.float32) * sizes[:, None, None, None],
        "gemm": rng.normal(size=(48, 128)).astype(np.float32) * np.resize(sizes, 48)[:, None],
        "sides.places": rng.normal(size=(48, 40)).astype(np.float32),
    }
    small = model(weights)
    in_8_bits(small)
    kinds = {one.name: one.data_type for one in small.graph.initializer}
    assert kinds["conv in 8 bits"] == kinds["gemm in 8 bits"] == 3
    assert kinds["sides.places"] == 1
    assert "conv" not in kinds
    rounded = dict(weights)
    for name in ("conv", "gemm"):
        axes = tuple(range(1, weights[name].ndim))
        scale = np.abs(weights[name]).max(axes, keepdims=True) / np.float32(127)
        rounded[name] = np.round(weights[name] / scale).astype(np.float32) * scale
    x = rng.normal(size=(1, 8, 4, 4)).astype(np.float32)
    found, wanted = answered(small, x), answered(model(rounded), x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)
    exact = answered(model(weights), x)
    assert np.abs(found - exact).max() < 0.02 * np.abs(exact).max()
    assert len(small.SerializeToString()) < 0.6 * len(model(weights).SerializeToString())
