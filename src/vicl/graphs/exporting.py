"""Writing graphs: what they can be made of, what they say of themselves, one file each.

The file's metadata has one entry, `vicl`: JSON that says all that somebody needs to run it.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

import vicl
from vicl.files import write_atomic
from vicl.files.extras import to_install
from vicl.graphs.canvases import CanvasGraph
from vicl.graphs.clicks import ASKED, NECK, DecoderGraph, EncoderGraph
from vicl.graphs.matching import MatchingGraph
from vicl.graphs.quantising import in_8_bits
from vicl.graphs.runner import ENTRY, FORMAT, VERSION
from vicl.loading import load_segmenter
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.matching import Matching
from vicl.models.matching.engine import Taught, is_plain
from vicl.models.matching.view import FINE
from vicl.prompt import Prompt
from vicl.prompting.asking import as_engine
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.prompter import VisualPrompter
from vicl.segmenters.promptable import Promptable
from vicl.tasks.palette import palette
from vicl.tasks.task import EXAMPLE_SIZE, MarkedTask

OPSET: Final = 20
_SIDES: Final = (16, 8192)
"""Of a query: the least and the most pixels."""

_SHOWN: Final = (120, 176)
"""Size of the query that a graph is traced with."""

_SEES: Final = "RGB in [0, 1], (1, 3, height, width); the networks' own scaling is in the graph"


class GraphError(ValueError):
    """What has no graph; the message says why and what to do."""


@dataclass(frozen=True)
class _Traced:
    """What is traced: with which inputs, of which some sizes are free."""

    inputs: dict[str, Tensor]
    free: dict[str, dict[int, Any]]
    outputs: Sequence[str]


def export_prompt(
    prompter: VisualPrompter, out: str | os.PathLike[str], *, int8: bool = False
) -> dict[str, Any]:
    """Write a prompt with its engine as one ONNX file; atomically.

    The graph takes `query`, float32 (1, 3, h, w), RGB in [0, 1], of 16 to 8192 pixels a side. Of
    segmentation and detection it gives `scores`, float32 (classes, h, w) in [0, 1], and of the
    engine `matching` `presence`, (classes,); of other tasks `picture`, (3, h, w) in [0, 1].

    Args:
        prompter: With examples, on a CPU and in float32.
        out: The file; a file of the name is replaced.
        int8: Keep the weights in 8 bits, of the engine `matching` alone: see
            :mod:`vicl.graphs.quantising`.

    Returns:
        What the file says of itself.

    Raises:
        GraphError: If the prompt has no graph, or the extra is not installed.
    """
    _check_installed()
    graph, outputs = _graph(prompter)
    if int8 and not isinstance(graph, MatchingGraph):
        raise GraphError(
            f"int8: its cost is measured for matching alone, this prompt is for "
            f"{prompter.model.name}; leave it out"
        )
    task, model = prompter.task, prompter.model
    marks = task.marks.keys if isinstance(task, MarkedTask) else ()
    fixed = palette(len(marks))
    told = _described(
        "prompt",
        model.name,
        model.weights_hash,
        task=task.name,
        classes=list(task.classes),
        # Black is the background's.
        colours=[
            [int(v) for v in (key if isinstance(key, tuple) else fixed[index])]
            for index, key in enumerate(marks)
        ],
        longest=EXAMPLE_SIZE,
        weight_bits=8 if int8 else 32,
        outputs=list(outputs),
        examples=prompter.made_by()["examples"],
    )
    query = torch.rand(1, 3, *_SHOWN, generator=torch.Generator().manual_seed(0))
    _write(graph, _Traced({"query": query}, {"query": _any_size()}, outputs), told, out, int8=int8)
    return told


def export_segmenter(source: str | os.PathLike[str], out: str | os.PathLike[str]) -> dict[str, Any]:
    """Write a promptable segmenter of vicl's own as `encoder.onnx` and `decoder.onnx`.

    The encoder takes `image`, as :func:`export_prompt` takes `query`, and gives what the decoder
    takes beside `points` (1, k, 2) and `box` (1, 4), in shares of the width and the height, all -1
    for no box; `labels` (1, k), 1 = in, 0 = out, -1 = no point; `earlier` (1, 96, 96), an earlier
    mask in [0, 1], all -1 for none. It gives `masks`, log-odds (3, 192, 192), and `ious`, (3,).

    Args:
        source: As :func:`vicl.load_segmenter` takes it.
        out: A folder; it is made.

    Returns:
        What the encoder's file says of itself.

    Raises:
        GraphError: If it is another's segmenter, or the extra is not installed.
    """
    _check_installed()
    segmenter = load_segmenter(source, device="cpu")
    if not isinstance(segmenter, Promptable) or not isinstance(segmenter.encoder, nn.Module):
        raise GraphError(
            f"segmenter {os.fspath(source)!r}: is another's, and vicl makes no graph of it; give "
            "default, or a model folder that `vicl train promptable` made. Exports of SAM and its "
            "like are made by their own projects"
        )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    names = segmenter.name, segmenter.weights_hash
    told = _described("encoder", *names, outputs=list(NECK))
    image = torch.rand(1, 3, *_SHOWN, generator=torch.Generator().manual_seed(0))
    encoder = EncoderGraph(segmenter).eval()
    _write(
        encoder,
        _Traced({"image": image}, {"image": _any_size()}, NECK),
        told,
        folder / "encoder.onnx",
    )
    with torch.no_grad():
        neck = dict(zip(NECK, encoder(image), strict=True))
    asked = (
        torch.tensor([[[0.5, 0.5], [0.2, 0.7]]]),
        torch.tensor([[1, 0]]),
        torch.tensor([[0.1, 0.2, 0.8, 0.9]]),
        torch.full((1, FINE, FINE), -1.0),
    )
    inputs = {**neck, **dict(zip(ASKED, asked, strict=True))}
    count = torch.export.Dim("points", min=1, max=256)
    free = {"points": {1: count}, "labels": {1: count}}
    outputs = ("masks", "ious")
    _write(
        DecoderGraph(segmenter).eval(),
        _Traced(inputs, free, outputs),
        _described("decoder", *names, outputs=list(outputs)),
        folder / "decoder.onnx",
    )
    return told


def _graph(prompter: VisualPrompter) -> tuple[nn.Module, tuple[str, ...]]:
    """The module that answers a prompt, and the names of what it gives."""
    _check_settings(prompter)
    model, settings, task = prompter.model, prompter.settings, prompter.task
    prompts = [Prompt(drawn, drawn[0].input) for drawn in prompter.passes]
    engine = as_engine(model, settings, task).model
    if isinstance(engine, Matching):
        encoder = engine.encoder.encoder
        if not isinstance(encoder, nn.Module) or encoder.name != engine.head.config.encoder:
            raise GraphError(
                f"{model.name}: another's encoder is not put into a graph; save the prompt with "
                "the engine matching"
            )
        taught = [engine.known(prompt, settings.seed) for prompt in prompts]
        known = [one for one in taught if isinstance(one, Taught) and is_plain(one.colours)]
        if len(known) < len(taught) or not isinstance(task, MarkedTask):
            raise GraphError(_no_graph(f"{task.name} by matching, which {_FORESTS}"))
        return MatchingGraph(engine, known, len(prompts[0].examples)).eval(), ("scores", "presence")
    if isinstance(engine, CanvasModel) and isinstance(engine.inpainter, MAEVQGAN):
        marked = isinstance(task, MarkedTask)
        in_gray = task.name == "colorization"
        graph = CanvasGraph(engine, prompts, in_gray=in_gray, scores=marked)
        return graph.eval(), ("scores" if marked else "picture",)
    why = f"{model.name}, which {_FORESTS}" if model.name == "analogies" else model.name
    raise GraphError(_no_graph(why))


_FORESTS: Final = "learns forests and searches at prompt time"


def _no_graph(what: str) -> str:
    return (
        f"there is no graph of {what}. There is one of matching (segmentation, detection) and of "
        "default or another MAE-VQGAN (every task): save the prompt with that engine "
        "(vicl predict ... --model matching --save-prompt F.vicl), or run the prompt file itself "
        "(vicl predict QUERIES --prompt F.vicl)"
    )


def _check_settings(prompter: VisualPrompter) -> None:
    """Refuse what a graph would leave out."""
    settings = prompter.settings
    if prompter.selector is not None:
        raise GraphError(_no_graph("a prompt that chooses each query's examples from a pool"))
    if not prompter.passes:
        raise GraphError("the prompter has no examples to bake into a graph")
    if prompter.dtype != "float32":
        raise GraphError(
            f"a graph computes in float32, this prompt in {prompter.dtype}; save it anew"
        )
    wrong = {
        "samples": settings.samples != 1,
        "instances": settings.instances,
        "tile": isinstance(settings.tile, int),
        "fuse": settings.fuse not in ("answers", "images"),
        "agree": settings.agree is not None,
        "fit": settings.fit != "stretch"
        or (settings.layout is not None and settings.layout.fit != "stretch"),
        "border or vectors": prompter.learned is not None,
        "palette": bool(getattr(prompter.task, "palette", False)),
    }
    if found := [name for name, is_wrong in wrong.items() if is_wrong]:
        raise GraphError(
            f"{', '.join(found)}: a graph gives one answer to the whole query, one class a prompt, "
            "on stretched cells, by examples alone; save the prompt without"
        )


def _described(kind: str, engine: str, weights: str | None, **more: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "engine": engine,
        "weights": weights,
        "input": _SEES,
        "opset": OPSET,
        "vicl": vicl.__version__,
        **more,
    }


def _any_size() -> dict[int, Any]:
    least, most = _SIDES
    return {
        axis: torch.export.Dim(name, min=least, max=most)
        for axis, name in ((2, "height"), (3, "width"))
    }


def _write(
    graph: nn.Module,
    traced: _Traced,
    told: dict[str, Any],
    out: str | os.PathLike[str],
    *,
    int8: bool = False,
) -> None:
    graph.requires_grad_(False)
    sizes = {name: traced.free.get(name) for name in traced.inputs}
    with _quiet():
        program = torch.onnx.export(
            graph,
            (),
            kwargs=traced.inputs,
            dynamo=True,
            dynamic_shapes=sizes,
            opset_version=OPSET,
            input_names=list(traced.inputs),
            output_names=list(traced.outputs),
            verbose=False,
        )
    assert program is not None
    model = program.model
    nodes: Any = model.graph.all_nodes()
    for node in nodes:  # else where this machine keeps its sources is told
        node.metadata_props.clear()
        node.doc_string = None
    parts: list[Any] = [model.graph, *model.functions.values()]
    for part in parts:
        part.metadata_props.clear()
    model.metadata_props.clear()
    model.metadata_props[ENTRY] = json.dumps(told)
    written = program.model_proto
    if int8:
        in_8_bits(written)
    write_atomic(out, written.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on what it could also do."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _check_installed() -> None:
    for name in ("onnx", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise GraphError(f"exporting needs {name}: {to_install('onnx')}")
