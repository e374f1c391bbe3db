"""Where the net touches figures and training: see `adapters`."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.training.runs import MODELS, plain

from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.loading import load_folder
from vicl.training.data.training_data import open_figures
from vicl.training.masking import draw_holes
from vicl.training.recipe.data import FiguresSource
from vicl.training.recipe.files import check_recipe, load_recipe, shipped_recipes
from vicl.training.report import read_log
from vicl.training.train import train

RECIPES = tuple(shipped_recipes())
TRAINABLE = tuple(MODELS)
MEASURED = ("images_per_second", "data_wait", "memory_mib", "wall_clock", "seconds")
"""Of a log's lines: what no two runs share."""


def recipe_values(name: str) -> dict[str, Any]:
    """A recipe with all its defaults, as plain values, by the names of before `model.asking`."""
    recipe = load_recipe(name)
    values: dict[str, Any] = recipe.model_dump(mode="json")
    asking = values["model"].pop("asking", {})
    drawing = ("drawing", "drawing_temperature") if recipe.model.kind != "mae-vqgan" else ()
    values["model"] |= {key: value for key, value in asking.items() if key not in drawing}
    return values


def log_of(run: Path) -> list[Any]:
    return [
        {key: value for key, value in line.items() if key not in MEASURED} for line in read_log(run)
    ]


def weights_of(model: torch.nn.Module) -> Any:
    """All weights as one hash, and the mean of each; whatever they are called."""
    whole, means = hashlib.sha256(), []
    for value in model.state_dict().values():
        values = value.detach().cpu().float().numpy()
        whole.update(str(values.shape).encode() + values.tobytes())
        means.append(float(np.abs(values.astype(np.float64)).mean()))
    return {"all": whole.hexdigest(), "means": np.array(means)}


def trained(recipe: Any, work: Path, *, resume: bool = False) -> Any:
    """Losses and weights of a run."""
    folder = train(recipe, work / "run", resume=resume, device="cpu")
    model: Any = load_folder(folder, device="cpu")
    return {
        "log": log_of(work / "run"),
        "weights": weights_of(model),
        "hash": model.weights_hash,
        "sheets": sorted(path.name for path in (work / "run" / "sheets").glob("*")),
    }


def smoke(steps: int) -> Any:
    """The recipe `smoke`, cut short."""
    changes = [
        f"schedule.steps={steps}",
        f"evaluation.every={steps // 2}",
        f"checkpoints.every={steps}",
        "log.every=1",
    ]
    with tempfile.TemporaryDirectory() as folder:
        return trained(load_recipe("smoke", changes), Path(folder))


def tiny_run(kind: str, **changes: Any) -> Any:
    """A run of four steps of 32 px."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        return trained(check_recipe(plain(work, kind, **changes), "net"), work)


def figure_sources() -> Iterator[tuple[str, Any]]:
    """The figures of every recipe that need no folder, by the recipe and their place in it."""
    for name in RECIPES:
        recipe = load_recipe(name)
        size = getattr(recipe.model, "canvas_size", None) or (recipe.model.crop_size,) * 2
        patch = getattr(recipe.model, "patch_size", 16)
        for place, sources in (("train", recipe.data.train), ("held out", sources_held(recipe))):
            for index, source in enumerate(sources):
                folders = ("cutouts", "photographs", "masks", "fonts")
                if isinstance(source, FiguresSource):
                    changes = {**dict.fromkeys(folders), "families": source.families or None}
                    bare = source.model_copy(update=changes)
                    yield f"{name}, {place} {index}", open_figures(bare, size, patch)


def sources_held(recipe: Any) -> Any:
    return recipe.data.held_out.sources or ()


def figures(**settings: Any) -> Any:
    return SyntheticFigures(**settings)


def figure_of(source: Any, index: int) -> Any:
    """A figure, its hole and all that is known of it."""
    figure = source.figure(index)
    known = figure.metadata()
    return {
        "image": figure.image,
        "hole": figure.hole_mask(),
        "rules": [law["rule"] for law in known["rules"]],
        "values": repr([law["values"] for law in known["rules"]]),
        "cells": repr([[c["rect"], c["row"], c["role"], c["rule"]] for c in known["cells"]]),
        "rest": [known[k] for k in ("kind", "answer", "families", "licences", "size")],
    }


def lane_of(source: Any, count: int) -> Any:
    """What a training run of a seed sees first."""
    lane = source.lane(1, 2, 5)
    return [next(lane)["image"] for _ in range(count)]


def holes_of(masking: Any, count: int) -> Any:
    """Holes that are drawn for training, on canvases of 64 px and on wide ones."""
    recipe = check_recipe({**load_recipe("smoke").model_dump(), "masking": [masking]}, "net")
    generator = torch.Generator().manual_seed(3)
    given = recipe.masking[0]
    return [draw_holes(given, count, size, 8, generator) for size in ((64, 64), (32, 64))]
