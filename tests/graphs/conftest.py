"""Graphs of real prompts, exported once; and tiny ones that need no exporter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.app.conftest import chromium as chromium

from vicl.graphs.runner import ENTRY, FORMAT, VERSION

SHAPES = ((150, 220), (260, 190))
"""(height, width) at which graphs are compared."""


def scene(size: tuple[int, int], seed: int) -> tuple[Image.Image, Image.Image]:
    """An orange disc on grainy green, and its mask."""
    height, width = size
    grain = np.random.default_rng(seed).normal(0, 8, (height, width, 3))
    image = Image.fromarray(np.clip(np.array((70, 120, 60)) + grain, 0, 255).astype(np.uint8))
    mask = Image.new("L", (width, height), 0)
    x, y, radius = (0.35 + 0.1 * seed) * width, 0.45 * height, 0.22 * height
    for picture, colour in ((image, (225, 120, 30)), (mask, 255)):
        box = (x - radius, y - radius, x + radius, y + radius)
        ImageDraw.Draw(picture).ellipse(box, fill=colour)
    return image, mask


def run(*words: str | Path, cwd: Path) -> str:
    """Run vicl in a process of its own: the exporter traces code without the tests' checks."""
    command = [sys.executable, "-m", "vicl", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with NAME.vicl and NAME.onnx of an engine, one example, one class."""
    pytest.importorskip("onnxscript", reason="exporting needs vicl[onnx]")
    folder = tmp_path_factory.mktemp("exported")
    image, mask = scene((180, 240), 0)
    image.save(folder / "a.png")
    mask.save(folder / "a_mask.png")

    def give(engine: str) -> Path:
        if not (folder / f"{engine}.onnx").exists():
            shown = ("--example", "a.png", "a_mask.png", "--task", "segmentation")
            saved = ("--model", engine, "--save-prompt", f"{engine}.vicl")
            run("predict", *shown, *saved, cwd=folder)
            run("export", f"{engine}.vicl", f"{engine}.onnx", "--page", cwd=folder)
        return folder

    return give


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Writes a graph of vicl's kind by hand: what is asked for is the query itself."""
    helper = pytest.importorskip("onnx", reason="needs vicl[onnx]").helper

    def write(outputs: str = "scores", **changed: Any) -> Path:
        told = {
            "format": FORMAT,
            "version": VERSION,
            "kind": "prompt",
            "task": "segmentation",
            "classes": ["red", "green", "blue"],
            "colours": [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
            "engine": "tiny",
            "longest": 64,
            "outputs": [outputs],
            **changed,
        }
        free = ["height", "width"]
        nodes = [helper.make_node("Squeeze", ["query", "axes"], [outputs])]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("query", 1, [1, 3, *free])],
            [helper.make_tensor_value_info(outputs, 1, [3, *free])],
            [helper.make_tensor("axes", 7, [1], [0])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        helper.set_model_props(model, {ENTRY: json.dumps(told)})
        path = tmp_path / "tiny.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write
