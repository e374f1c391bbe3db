"""What is exported answers as its modules and as the prompter; what has no graph says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.graphs.conftest import SHAPES, run, scene

import vicl
from vicl.graphs import exporting
from vicl.graphs.clicks import ASKED, NECK, DecoderGraph, EncoderGraph
from vicl.graphs.exporting import GraphError, export_prompt, export_segmenter
from vicl.metrics import iou
from vicl.selection.pool import open_pool
from vicl.selection.selectors import Random

Exported = Callable[[str], Path]
DEFAULT = cache(lambda: vicl.load_model("default", device="cpu"))


def prompter(model: Any, task: str = "segmentation", **settings: Any) -> vicl.VisualPrompter:
    image, mask = scene((48, 64), 0)
    shown = mask if task != "image" else image.transpose(0)
    return vicl.VisualPrompter(model, [(image, shown)], task, device="cpu", **settings)


@pytest.fixture(autouse=True)
def installed() -> None:
    if importlib.util.find_spec("onnxscript") is None:
        pytest.skip("exporting needs vicl[onnx]")


def test_there_is_no_graph_of_examples_from_a_pool(tmp_path: Path) -> None:
    pool = open_pool([(np.full((8, 8, 3), n, np.uint8), np.eye(8)) for n in range(3)])
    chosen = vicl.VisualPrompter("copy", Random(pool), "segmentation")
    with pytest.raises(GraphError, match="chooses each query's examples from a pool"):
        export_prompt(chosen, tmp_path / "g.onnx")


def test_analogies_says_that_it_has_no_graph_and_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"no graph of analogies.*--model matching.*--prompt"):
        export_prompt(prompter("analogies"), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"samples": 2}, "samples: a graph gives one answer"),
        ({"instances": True}, "instances"),
        ({"fuse": "logits"}, "fuse"),
        ({"agree": 0.9, "arrangements": 2}, "agree"),
        ({"fit": "pad"}, "fit"),
        ({"palette": True}, "palette"),
    ],
)
def test_settings_that_a_graph_would_leave_out_are_refused(
    settings: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(GraphError, match=told):
        export_prompt(prompter(DEFAULT(), **settings), tmp_path / "a.onnx")


def test_weights_in_8_bits_are_for_matching(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="measured for matching alone, this prompt is for default"):
        export_prompt(prompter(DEFAULT()), tmp_path / "a.onnx", int8=True)


def test_a_prompter_without_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no examples"):
        export_prompt(vicl.VisualPrompter(DEFAULT(), task="segmentation"), tmp_path / "a.onnx")


@pytest.mark.slow
def test_pictures_by_matching_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no graph of image by matching"):
        export_prompt(prompter("matching", "image"), tmp_path / "a.onnx")


def test_another_segmenter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "load_segmenter", lambda *_, **__: object())
    with pytest.raises(GraphError, match="is another's"):
        export_segmenter("sam", tmp_path / "out")


def planes(size: tuple[int, int], seed: int) -> np.ndarray:
    return np.asarray(scene(size, seed)[0], np.float32).transpose(2, 0, 1)[None] / 255


def session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["default", "matching"])
def test_a_graph_computes_what_its_module_does(exported: Exported, engine: str) -> None:
    folder = exported(engine)
    graph, names = exporting._graph(vicl.VisualPrompter.load(folder / f"{engine}.vicl"))
    running = session(folder / f"{engine}.onnx")
    for seed, size in enumerate(SHAPES, start=1):
        query = planes(size, seed)
        with torch.no_grad():
            wanted = graph(torch.from_numpy(query))
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        found = running.run(list(names), {"query": query})
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4, rtol=0)
        assert found[0].shape[1:] == size
        np.testing.assert_array_equal(found[0] > 0.5, wanted[0].numpy() > 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "least"), [("default", 0.98), ("matching", 0.95)])
def test_a_graph_answers_as_the_prompter(exported: Exported, engine: str, least: float) -> None:
    folder = exported(engine)
    saved = vicl.VisualPrompter.load(folder / f"{engine}.vicl")
    running = vicl.load_exported(folder / f"{engine}.onnx")
    for seed, size in enumerate(SHAPES, start=1):
        image, mask = scene(size, seed)
        found, wanted = running.predict(image).mask, saved.predict(image).mask
        assert iou(found == 1, wanted == 1) > least
        if engine == "matching":
            assert iou(found == 1, np.asarray(mask) > 0) > 0.8


@pytest.mark.slow
def test_a_file_says_what_it_is_and_nothing_of_this_machine(exported: Exported) -> None:
    folder = exported("default")
    told = vicl.load_exported(folder / "default.onnx").info
    model = vicl.load_model("default")
    assert (told["task"], told["classes"], told["engine"]) == (
        "segmentation",
        ["object"],
        "default",
    )
    assert told["weights"] == model.weights_hash
    assert told["opset"] == 20
    assert told["longest"] == 1024
    data = (folder / "default.onnx").read_bytes()
    for place in (str(Path(vicl.__file__).parent), str(Path(torch.__file__).parent)):
        assert place.encode() not in data


@pytest.mark.slow
def test_the_segmenter_in_two_graphs(tmp_path: Path) -> None:
    run("export", "default", "out", cwd=tmp_path)
    segmenter = vicl.load_segmenter("default", device="cpu")
    modules = EncoderGraph(segmenter), DecoderGraph(segmenter)
    encoder, decoder = (session(tmp_path / "out" / f"{n}.onnx") for n in ("encoder", "decoder"))
    none = np.full((1, 4), -1, np.float32)
    for seed, size in enumerate(SHAPES, start=1):
        image = planes(size, seed)
        with torch.no_grad():
            neck = modules[0](torch.from_numpy(image))
        found = encoder.run(list(NECK), {"image": image})
        for one, other in zip(found, neck, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4, rtol=0)
        for labels, box in (
            ([1], none),
            ([1, 0], none),
            ([1, 0, 1], np.array([[0.1, 0.2, 0.8, 0.9]], np.float32)),
        ):
            at = np.random.default_rng(seed).random((1, len(labels), 2), np.float32)
            asked = (at, np.array([labels]), box, np.full((1, 96, 96), -1, np.float32))
            with torch.no_grad():
                wanted = modules[1](*neck, *map(torch.from_numpy, asked))
            inputs = dict(zip((*NECK, *ASKED), (*found, *asked), strict=True))
            masks, ious = decoder.run(["masks", "ious"], inputs)
            np.testing.assert_allclose(masks, wanted[0].numpy(), atol=1e-4, rtol=0)
            np.testing.assert_allclose(ious, wanted[1].numpy(), atol=1e-4, rtol=0)
            assert ((masks > 0) != (wanted[0].numpy() > 0)).mean() < 1e-4
    running = vicl.load_exported(tmp_path / "out")
    photo, _ = scene(SHAPES[0], 1)
    running.encode(photo)
    place = 0.45 * photo.width, 0.45 * photo.height
    ways: list[dict[str, Any]] = [
        {"points": [place]},
        {"points": [place, (5, 5)], "labels": [1, 0]},
        {"points": [(200, 140)], "labels": [0], "box": (60, 30, 140, 110)},  # from nearer
        {"box": (4, 2, 216, 148)},  # of nearly all
    ]
    full = segmenter.encode(photo)
    for way in ways:
        masks, scores = running.masks(**way)
        wanted = full.masks(**way)
        assert iou(masks[0], wanted.masks[0]) > 0.97, way
        np.testing.assert_allclose(scores, wanted.scores, atol=0.01)
    with pytest.raises(ValueError, match="nothing is asked"):
        running.masks()
