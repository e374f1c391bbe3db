"""Exported prompts beside PyTorch: size, speed, parity, and what INT8 costs.

    python benchmarks/exported.py --folder out/onnx    # speed, on synthetic scenes
    python benchmarks/exported.py --folder out/onnx --data ../shared/data    # accuracy
    python benchmarks/exported.py --folder out/onnx --data ../shared/data --parity 8
    python benchmarks/exported.py --folder out/onnx --data ../shared/data --clicks

Speed: the same queries by turns through the prompter (PyTorch), the module that was exported
(PyTorch) and onnxruntime, on two threads each (`--threads`); medians, the ratio to the prompter's,
and the spread of the ratios from turn to turn (10% to 90%).

Accuracy: each episode's prompt as the module that a graph is of (which onnxruntime computes alike:
see the tests), without a part of it or with weights in 8 bits, beside the prompter.

Parity: the first episode's prompt, exported, on the queries of so many, each at two shapes; the
greatest difference of a chance between onnxruntime and the module, and pixels of masks that differ.

Clicks: the segmenter and its graphs, asked about what the episodes' queries mark: the first mask of
a click in the middle, of another one out beside it, and of the box.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from torch import nn

import vicl
from measuring import compared
from segmenting import next_click
from vicl.evaluation.datasets import open_dataset
from vicl.graphs import exporting
from vicl.graphs.matching import MatchingGraph
from vicl.graphs.runner import Exported, ExportedSegmenter
from vicl.images import to_levels, to_tensor
from vicl.metrics import iou
from vicl.models.matching import Matching
from vicl.models.matching.engine import Taught


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for prompts and graphs")
    parser.add_argument("--data", type=Path, help="a dataset of masks: measure accuracy")
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--only", nargs="+", choices=list(_CHANGES), help="these rows alone")
    parser.add_argument("--parity", type=int, help="compare runtimes on so many queries")
    parser.add_argument("--clicks", action="store_true", help="the segmenter's accuracy")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(given.threads)
    if (given.parity or given.clicks) and given.data is None:
        parser.error("--parity and --clicks: need --data")
    if given.clicks:
        for table in clicks(given.data, given.folder, given.episodes):
            Console().print(table)
        return
    if given.parity:
        Console().print(parity(given.data, given.folder, given.parity))
        return
    if given.data is not None:
        Console().print(accuracy(given.data, given.episodes, given.only or _CHANGES))
        return
    table = Table(title=f"one query of 320x240, {given.threads} threads, {given.rounds} turns")
    for heading in ("engine", "what", "MB", "seconds", "of the prompter's", "10% to 90%"):
        table.add_column(heading)
    for engine in ("default", "matching"):
        for row in speed(engine, given.folder, given.rounds, given.threads):
            table.add_row(engine, *row)
    Console().print(table)


def scene(seed: int) -> tuple[Image.Image, Image.Image]:
    """A disc on grainy green, and its mask."""
    grain = np.random.default_rng(seed).normal(0, 8, (240, 320, 3))
    image = Image.fromarray(np.clip(np.array((70, 120, 60)) + grain, 0, 255).astype(np.uint8))
    mask, x = Image.new("L", image.size, 0), 90 + 20 * (seed % 6)
    for picture, colour in ((image, (225, 120, 30)), (mask, 255)):
        ImageDraw.Draw(picture).ellipse((x, 60, x + 110, 170), fill=colour)
    return image, mask


def speed(engine: str, folder: Path, rounds: int, threads: int) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    file, saved = folder / f"{engine}.onnx", folder / f"{engine}.vicl"
    prompter = vicl.VisualPrompter(engine, [scene(0)], "segmentation", device="cpu")
    prompter.save(saved)
    if not file.exists():
        subprocess.run([sys.executable, "-m", "vicl", "export", saved, file], check=True)
    graph, _ = exporting._graph(prompter)
    running = Exported(file, threads=threads)
    weights = sum(part.nbytes for part in graph.state_dict().values()) / 1e6

    def module(picture: Image.Image) -> None:
        with torch.inference_mode():
            graph(to_tensor(picture)[None])

    ways: dict[str, tuple[float, Callable[[Image.Image], object]]] = {
        "prompter (PyTorch)": (weights, prompter.predict),
        "its module (PyTorch)": (weights, module),
        "onnxruntime": (file.stat().st_size / 1e6, running.predict),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        picture, _ = scene(1 + turn)  # another each turn: prompters keep what they encoded
        for name, (_, ask) in ways.items():
            begun = time.perf_counter()
            ask(picture)
            taken[name].append(time.perf_counter() - begun)
    base = np.array(taken["prompter (PyTorch)"][1:])
    for name, (size, _) in ways.items():
        ratios = np.array(taken[name][1:]) / base
        low, high = np.quantile(ratios, (0.1, 0.9))
        seconds = f"{np.median(taken[name][1:]):.3f}"
        yield name, f"{size:.1f}", seconds, f"{np.median(ratios):.2f}", f"{low:.2f} to {high:.2f}"


def parity(data: Path, folder: Path, count: int) -> Table:
    """Of both engines, onnxruntime beside the module that was exported."""
    dataset = open_dataset("segmentation", data)
    prompts = [dataset.load(one).prompt for one in dataset.episodes(count, seed=0)]
    table = Table(title="onnxruntime beside its module")
    for heading in ("engine", "answers", "greatest difference", "under 1e-4", "pixels of masks"):
        table.add_column(heading)
    for engine in ("default", "matching"):
        file, shown = folder / f"parity-{engine}.onnx", prompts[0].examples
        prompter = vicl.VisualPrompter(engine, list(shown), "segmentation", device="cpu")
        if not file.exists():
            exporting.export_prompt(prompter, file)
        graph, names = exporting._graph(prompter)
        session = Exported(file)._session
        apart, pixels = [], 0
        for prompt in prompts:
            whole = to_tensor(prompt.query)[None]
            for query in (whole, whole[..., ::2, 1::3].contiguous()):
                with torch.inference_mode():
                    wanted = graph(query)
                wanted = (wanted if isinstance(wanted, tuple) else (wanted,))[0].numpy()
                found = session.run(list(names)[:1], {"query": query.numpy()})[0]
                apart.append(float(np.abs(found - wanted).max()))
                pixels += int(((found > 0.5) != (wanted > 0.5)).sum())
        under = f"{sum(one < 1e-4 for one in apart)} of {len(apart)}"
        table.add_row(engine, str(len(apart)), f"{max(apart):.1e}", under, str(pixels))
    return table


def clicks(data: Path, folder: Path, count: int) -> Iterator[Table]:
    """A table for each way of asking."""
    dataset = open_dataset("segmentation", data)
    if not (folder / "segmenter" / "decoder.onnx").exists():
        exporting.export_segmenter("default", folder / "segmenter")
    exported = ExportedSegmenter(folder / "segmenter", threads=torch.get_num_threads())
    segmenter = vicl.load_segmenter("default", device="cpu")
    found: dict[str, dict[str, list[float]]] = {}
    for episode in dataset.episodes(count, seed=0):
        case = dataset.load(episode)
        wanted = (case.truth.image.mean(0) > 0.5).numpy()
        if not wanted.any():
            continue
        photo = to_levels(case.prompt.query)
        encoded = segmenter.encode(photo)
        exported.encode(photo)
        for name, asked in _asked(wanted).items():
            of = found.setdefault(name, {"the segmenter": [], "its graphs": []})
            of["the segmenter"].append(iou(encoded.masks(**asked).masks[0], wanted))
            of["its graphs"].append(iou(exported.masks(**asked)[0][0], wanted))
    for name, of in found.items():
        yield compared(f"{name}: IoU of the first mask", of, "the segmenter")


def _asked(wanted: np.ndarray) -> dict[str, dict[str, Any]]:
    rows, columns = np.nonzero(wanted)
    x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    inside, _ = next_click(np.zeros_like(wanted), wanted)
    around = np.zeros_like(wanted)
    wide, high = (x1 - x0) // 4 + 4, (y1 - y0) // 4 + 4
    around[max(0, y0 - high) : y1 + high, max(0, x0 - wide) : x1 + wide] = True
    beside, _ = next_click(around | wanted, wanted)
    box = tuple(float(one) for one in (x0, y0, x1, y1))
    return {
        "a click": {"points": [inside]},
        "another out": {"points": [inside, beside], "labels": [1, 0]},
        "the box": {"box": box},
    }


def accuracy(data: Path, count: int, rows: Collection[str]) -> Table:
    """IoU of the prompter, of the graph, without parts of it, and with weights in 8 bits."""
    dataset = open_dataset("segmentation", data)
    engine = vicl.load_model("matching", device="cpu")
    assert isinstance(engine, Matching)
    engine = engine.asked(masks=True)
    found: dict[str, list[float]] = {}
    for number, episode in enumerate(dataset.episodes(count, seed=0), start=1):
        case = dataset.load(episode)
        prompt, truth = case.prompt, (case.truth.image.mean(0) > 0.5).numpy()
        answer = engine.answer([prompt])[0].image.mean(0)
        found.setdefault("prompter", []).append(iou((answer > 0.5).numpy(), truth))
        query, taught = to_tensor(prompt.query)[None], engine.known(prompt, 0)
        assert isinstance(taught, Taught)
        for name in rows:
            change = _CHANGES[name]
            graph = MatchingGraph(engine, [taught], len(prompt.examples)).eval()
            with torch.no_grad(), change(graph):
                mask = (graph(query)[0][0] > 0.5).numpy()
            found.setdefault(name, []).append(iou(mask, truth))
        if number % 10 == 0:
            means = ", ".join(f"{name} {np.mean(of):.3f}" for name, of in found.items())
            print(f"{number} of {count}: {means}", flush=True)
    return compared(f"IoU over {count} episodes, seed 0", found, "prompter")


@contextmanager
def _as_it_is(_: MatchingGraph) -> Iterator[None]:
    yield


@contextmanager
def _one_way(graph: MatchingGraph) -> Iterator[None]:
    graph.both_ways = False
    yield


@contextmanager
def _once(graph: MatchingGraph) -> Iterator[None]:
    for one in graph.classes:
        one.twice = False  # type: ignore[assignment]  # modules know nothing of attributes
    yield


@contextmanager
def _afar(graph: MatchingGraph) -> Iterator[None]:
    if not graph.both_ways:  # then large things' way of looking is theirs
        graph.nearer = nn.ModuleList(nn.Identity() for _ in graph.nearer)
        graph.both_ways = True
        for one in graph.classes:
            one.twice = True  # type: ignore[assignment]
    yield


@contextmanager
def _in_8_bits(graph: MatchingGraph, *, dynamic: bool) -> Iterator[None]:
    """Weights in 8 bits by a scale a channel; or as onnxruntime quantises dynamically.

    That is by a scale a tensor, and what comes in by its own range.
    """
    layers = [one for one in graph.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    kept = [layer.weight.data for layer in layers]
    hooks = [one.register_forward_pre_hook(_rounded) for one in layers if dynamic]
    for layer in layers:
        weight = layer.weight.data
        axes = tuple(range(0 if dynamic else 1, weight.ndim))
        scale = weight.abs().amax(axes, keepdim=True).clamp(min=1e-12) / 127
        layer.weight.data = (weight / scale).round() * scale
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, weight in zip(layers, kept, strict=True):
            layer.weight.data = weight


def _rounded(_: nn.Module, inputs: Any) -> Any:
    values = inputs[0]
    low, high = values.min().clamp(max=0), values.max().clamp(min=0)
    scale = (high - low).clamp(min=1e-9) / 255
    zero = (-low / scale).round()
    return (((values / scale + zero).round().clamp(0, 255) - zero) * scale, *inputs[1:])


_CHANGES: dict[str, Callable[[MatchingGraph], Any]] = {
    "graph": _as_it_is,
    "- looking one way": _one_way,
    "- asking once": _once,
    "- without a closer look": _afar,
    "- weights in 8 bits": lambda graph: _in_8_bits(graph, dynamic=False),
    "- onnxruntime's dynamic INT8": lambda graph: _in_8_bits(graph, dynamic=True),
}


if __name__ == "__main__":
    main()
