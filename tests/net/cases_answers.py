"""Answers: every engine and task, several examples, ensembles, spins, samples, tiles, files."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.net.adapters import (
    GOLDEN,
    SHIPPED,
    TINY,
    WEIGHTS,
    composed,
    engine,
    ensemble,
    layout,
    mask_of,
    photo,
    prompter,
    sampling,
    shown,
    to_tensor,
)
from tests.net.values import Cases

import vicl

TASKS = ("image", "segmentation", "detection", "edges", "colorization")
MASKED = (
    "tissue_1",
    "tissue_2",
    "dandelion_1",
    "dandelion_2",
    "coins_1",
    "coins_2",
    "meadow_1",
    "meadow_2",
    "tissue_3",
)
TOKENS = ("mae-vqgan", "beit", "autoregressive")


def example(task: str) -> tuple[Any, Any]:
    """An example of a task, among the package's photographs."""
    if task == "image":
        return photo("brushes.jpg"), photo("brushes_negative.jpg")
    if task == "segmentation":
        return photo("tissue_1.jpg"), photo("tissue_1_mask.png")
    if task == "detection":
        return photo("dandelion_1.jpg"), [(10, 8, 40, 44), (44, 20, 66, 50)]
    if task == "edges":
        return photo("bowl.jpg"), photo("bowl_edges.png")
    return photo("mountain_1.jpg"), photo("mountain_1.jpg")


def queries(task: str) -> list[Image.Image]:
    """Two photographs that a task is asked about."""
    names = {
        "image": ("cat.jpg", "meadow_2.jpg"),
        "segmentation": ("tissue_2.jpg", "coins_2.jpg"),
        "detection": ("dandelion_2.jpg", "coins_1.jpg"),
        "edges": ("coffee.jpg", "cat.jpg"),
        "colorization": ("mountain_2.jpg", "tissue_2.jpg"),
    }
    return [photo(name) for name in names[task]]


def masked(count: int) -> list[tuple[Any, Any]]:
    """So many examples of a segmentation."""
    return [(photo(f"{name}.jpg"), photo(f"{name}_mask.png")) for name in MASKED[:count]]


def answers(prompted: Any, task: str) -> list[Any]:
    return [shown(answer) for answer in prompted.map(queries(task), on_error="raise")]


def plain(name: str, task: str) -> list[Any]:
    return answers(prompter(name, [example(task)], task), task)


def several(name: str, count: int) -> Any:
    return shown(prompter(name, masked(count), "segmentation").predict(photo("dandelion_3.jpg")))


def negatives(count: int) -> list[tuple[Any, Any]]:
    found = [photo(f"{name}.jpg") for name in MASKED[:count]]
    return [(image, Image.fromarray(255 - np.asarray(image))) for image in found]


def fused(name: str, task: str, count: int, **options: Any) -> Any:
    shown_ones = masked(count) if task == "segmentation" else negatives(count)
    return shown(ensemble(name, shown_ones, task, **options).predict(photo("tissue_3.jpg")))


def optioned(name: str, task: str, **options: Any) -> list[Any]:
    return answers(prompter(name, [example(task)], task, **options), task)


def large(name: str, task: str, side: int, **options: Any) -> Any:
    """A query with many more pixels than the canvas has."""
    query = photo("coffee.jpg", side)
    return shown(prompter(name, [example(task)], task, **options).predict(query))


def classes(name: str, *, palette: bool) -> Any:
    """Three classes, as one prompt or as one a class."""
    marked = mask_of("tissue_1_mask.png").astype(np.uint8)
    rows, columns = np.mgrid[: marked.shape[0], : marked.shape[1]]
    marked[(rows + columns < 40) & (marked == 0)] = 2
    marked[(rows > 50) & (columns > 40)] = 3
    named = {"gland": 1, "corner": 2, "rest": 3}
    shown_ones = [(photo("tissue_1.jpg"), marked)]
    made = prompter(name, shown_ones, "segmentation", classes=named, palette=palette)
    return [shown(answer) for answer in made.map(queries("segmentation"), on_error="raise")]


def boxes_of_classes(name: str) -> Any:
    annotation = {"big": [(10, 8, 40, 44)], "small": [(44, 20, 66, 50)]}
    made = prompter(
        name, [(photo("dandelion_1.jpg"), annotation)], "detection", classes=["big", "small"]
    )
    return shown(made.predict(photo("dandelion_2.jpg")))


def mapped(name: str, batch_size: int) -> Any:
    """Six queries, one of which is no image, each answer under its index."""
    asked = [photo(f"{n}.jpg", 40 + 6 * i) for i, n in enumerate(MASKED[:5])]
    asked.insert(2, Path("no such file.png"))
    made = prompter(name, masked(2), "segmentation")
    failed: list[str] = []
    found = made.map(
        asked, batch_size=batch_size, on_error=lambda query, error: failed.append(str(query))
    )
    return {"answers": {str(one.index): shown(one) for one in found}, "failed": failed}


def own_prompts(name: str) -> Any:
    """Prompts that bring examples of their own, of different numbers."""
    given = [vicl.Prompt(masked(n), photo("tissue_3.jpg", 50 + n)) for n in (1, 2, 3)]
    made = prompter(name, [], "segmentation")
    return [shown(one) for one in made.map_prompts(given, batch_size=2, on_error="raise")]


def expected(name: str, task: str) -> Any:
    shown_ones = masked(3) if task == "segmentation" else negatives(3)
    score = prompter(name, shown_ones, task).expected_score()
    assert score is not None
    return {"metric": score.metric, "values": score.values, "copy": score.copy, "text": str(score)}


def golden() -> Any:
    opened = vicl.VisualPrompter.load(GOLDEN)
    return {
        "passes": [[[e.input, e.output] for e in one] for one in opened.passes],
        "engine": opened.model.name,
        "answers": [shown(opened.predict(query)) for query in queries("segmentation")],
        "seed": opened.settings.seed,
    }


def saved(name: str, task: str, **options: Any) -> Any:
    """Saved, opened and asked."""
    before = prompter(name, [example(task)], task, **options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.vicl"
        before.save(path)
        model = None if name in SHIPPED else engine(name)
        after = vicl.VisualPrompter.load(path, model=model)
        again = vicl.VisualPrompter.load(path, model=model, seed=5)
    return {
        "same": answers(after, task),
        "seed": again.settings.seed,
        "upsampling": after.settings.upsampling,
    }


def shipped_folder() -> Any:
    """The weights that come with the package."""
    folder = WEIGHTS / "default"
    model = engine("default")
    canvas = layout(1, canvas_size=model.canvas_size, patch_size=model.patch_size)
    image, hole = composed(canvas, [example("image")], photo("cat.jpg"))
    filled = model.inpaint(image, hole)
    return {
        "hash": model.weights_hash,
        "file": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "spins": model.spins,
        "most_examples": model.most_examples,
        "canvas": [image, hole],
        "logits": model.token_logits(image, hole),
        "filled": [filled.image, filled.confidence, filled.log_likelihood],
    }


def filled(name: str) -> Any:
    """Tiny models asked for two canvases at once."""
    model = engine(name)
    canvas = layout(1, canvas_size=model.canvas_size, patch_size=model.patch_size)
    image, hole = composed(canvas, [example("image")], photo("cat.jpg"))
    found = model.inpaint(image, hole)
    logits = model.token_logits(image, hole) if hasattr(model, "token_logits") else None
    return {
        "filled": [found.image, found.confidence, found.log_likelihood],
        "logits": logits,
        "weights": model.weights_hash,
    }


def drawn_grid(name: str) -> Any:
    """The grid that is drawn for engines without a canvas, or filled by those with one."""
    made = prompter(name, masked(3), "segmentation")
    query = photo("dandelion_3.jpg")
    return made.canvas(query, made.predict(query))


def kept(name: str) -> Any:
    """A model's folder, opened again."""
    with tempfile.TemporaryDirectory() as folder:
        engine(name).save_pretrained(Path(folder) / "model")
        model: Any = vicl.load_model(Path(folder) / "model", device="cpu")
        made = vicl.VisualPrompter(model, [example("image")], "image")
        return {"hash": model.weights_hash, "answers": answers(made, "image")}


def tokenized(name: str) -> Any:
    """The codes of a photograph, and what is drawn of them."""
    tokenizer = engine(name).tokenizer
    codes = tokenizer.encode(to_tensor(photo("cat.jpg", 96).crop((0, 0, 64, 48)))[None])
    return [codes, tokenizer.decode(codes)]


def _cases() -> Cases:
    part = functools.partial
    cases: Cases = {}
    for name in (*SHIPPED, *TINY):
        for task in TASKS:
            cases[f"answer: {name}, {task}"] = part(plain, name, task)
    for name in TINY:
        cases[f"inpaint: {name}"] = part(filled, name)
    cases["inpaint: default"] = shipped_folder
    for name in ("analogies", "copy", "default", "mae-vqgan", "mae", "unet"):
        for count in (2, 5, 9):
            cases[f"{count} examples: {name}"] = part(several, name, count)
    for name in ("default", "mae-vqgan"):
        for fuse in ("probabilities", "logits", "product", "max", "images"):
            cases[f"ensemble: {name}, {fuse}"] = part(fused, name, "image", 1, fuse=fuse)
        cases[f"ensemble: {name}, a mask"] = part(fused, name, "segmentation", 1)
        cases[f"ensemble: {name}, 2 of 8, 3 examples"] = part(
            fused, name, "image", 3, arrangements=(3, 8), each=1
        )
        cases[f"ensemble: {name}, 4 examples, bicubic"] = (
            part(fused, name, "image", 4, arrangements=(1,), upsampling="bicubic")
            if name == "default"
            else part(fused, name, "image", 4, arrangements=(1,), each=1, upsampling="bicubic")
        )
    for name in ("mae", "unet"):
        cases[f"ensemble: {name}, images"] = part(fused, name, "image", 2, fuse="images", each=1)
    cases["ensemble: autoregressive, images"] = part(
        fused, "autoregressive", "image", 2, fuse="images", each=1, arrangements=(1,)
    )
    for name in ("default", "mae", "mae-vqgan"):
        for spins in (1, 2, 3):
            cases[f"spins {spins}: {name}"] = part(optioned, name, "image", spins=spins)
    for name in TOKENS:
        cases[f"samples: {name}"] = part(optioned, name, "image", samples=3, seed=4)
        cases[f"samples, coherent: {name}"] = part(
            optioned, name, "image", samples=3, sampling=sampling(temperature=1.5, coherent=True)
        )
        cases[f"samples, the likeliest 4: {name}"] = part(
            optioned, name, "segmentation", samples=2, sampling=sampling(top_k=4), spins=2
        )
    for name in ("default", "mae", "copy", "analogies"):
        cases[f"samples: {name}"] = part(optioned, name, "image", samples=3)
    cases["samples, coherent: default"] = part(
        optioned, "default", "image", samples=2, sampling=sampling(coherent=True)
    )
    for name in ("default", "mae", "copy", "identity", "analogies"):
        for tile in (48, "whole"):
            cases[f"tile {tile}: {name}"] = part(large, name, "edges", 112, tile=tile)
    cases["tile auto: analogies"] = part(large, "analogies", "edges", 640)
    cases["tile auto: mae"] = part(large, "mae", "image", 200)
    cases["tile 100, a mask: mae-vqgan"] = part(large, "mae-vqgan", "segmentation", 230, tile=100)
    for name in ("default", "mae", "mae-vqgan", "copy", "analogies"):
        for method in ("bicubic", "guided"):
            for task in ("image", "segmentation"):
                cases[f"large, {method}: {name}, {task}"] = part(
                    large, name, task, 300, upsampling=method
                )
    for fit in ("stretch", "pad", "crop"):
        cases[f"fit {fit}: mae"] = part(optioned, "mae", "image", fit=fit)
    for order in ("above", "left"):
        grid = layout(1, canvas_size=(64, 64), patch_size=8, order=order)
        cases[f"layout {order}: mae"] = part(optioned, "mae", "image", layout=grid)
        cases[f"layout {order}, several: mae"] = part(
            lambda grid: shown(
                prompter("mae", masked(3), "segmentation", layout=grid).predict(
                    photo("dandelion_3.jpg")
                )
            ),
            grid,
        )
    for name in ("copy", "analogies", "default", "mae"):
        cases[f"classes: {name}"] = part(classes, name, palette=False)
        cases[f"classes, palette: {name}"] = part(classes, name, palette=True)
        cases[f"classes, boxes: {name}"] = part(boxes_of_classes, name)
    for name in ("copy", "analogies", "default", "mae-vqgan"):
        for size in (1, 16) if name == "analogies" else (1, 2, 16):
            cases[f"map by {size}: {name}"] = part(mapped, name, size)
        cases[f"own prompts: {name}"] = part(own_prompts, name)
        for task in ("segmentation", "image"):
            cases[f"expected score: {name}, {task}"] = part(expected, name, task)
    for name in ("analogies", "default"):
        cases[f"grid: {name}"] = part(drawn_grid, name)
    for name in TINY:
        cases[f"folder: {name}"] = part(kept, name)
    for name in ("default", "mae-vqgan"):
        cases[f"tokenizer: {name}"] = part(tokenized, name)
    cases["prompt file: golden"] = golden
    for name in ("copy", "analogies", "default"):
        cases[f"prompt file: {name}"] = part(saved, name, "segmentation", upsampling="bicubic")
    cases["prompt file: mae-vqgan"] = part(
        saved, "mae-vqgan", "image", samples=2, spins=2, sampling=sampling(temperature=0.5)
    )
    return cases


CASES = _cases()
