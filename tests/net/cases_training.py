"""Recipes, figures, training runs, exports, metrics, the command line."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.net.adapters import PHOTOS, photo
from tests.net.adapters_files import (
    coco,
    command,
    contents,
    exported,
    label_me,
    measured,
    pixels,
    png,
    yolo,
)
from tests.net.adapters_training import (
    RECIPES,
    TRAINABLE,
    figure_of,
    figure_sources,
    figures,
    holes_of,
    lane_of,
    recipe_values,
    smoke,
    tiny_run,
)
from tests.net.values import Cases

from vicl.exports.record import RECORD

MASKED = ("tissue_1", "tissue_2", "dandelion_1", "coins_1", "meadow_1")
MASKINGS: dict[str, dict[str, Any]] = {
    "patches": {"kind": "patches", "ratio": 0.6},
    "rectangles": {"kind": "rectangles"},
    "blocks": {"kind": "blocks"},
    "answer": {"kind": "answer"},
}


def recipe(name: str) -> Any:
    values = recipe_values(name)
    text = json.dumps(values, sort_keys=True)
    return {"hash": hashlib.sha256(text.encode()).hexdigest(), "values": values}


def recipes_figures() -> Any:
    """One figure of every recipe's every source, and two of the first."""
    seen: dict[str, Any] = {}
    for name, source in figure_sources():
        seen[name] = figure_of(source, 3)
        if len(seen) == 1:
            seen["more"] = [figure_of(source, 11), *lane_of(source, 2)]
    return seen


def plain_figures(**settings: Any) -> Any:
    return [figure_of(figures(**settings), index) for index in (0, 1, 2, 3, 1000)]


def grids() -> Any:
    """A grid of some rules each."""
    source = figures(size=96, patch_size=8, seed=4)
    names = sorted(source.mixture)
    return {name: source.grid(name, 7).image for name in names}


def figures_of_photographs() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        for part in ("photographs", "masks"):
            (Path(folder) / part).mkdir()
        for name in MASKED:
            photo(f"{name}.jpg", 96).save(Path(folder) / "photographs" / f"{name}.png")
            photo(f"{name}_mask.png", 96).save(Path(folder) / "masks" / f"{name}.png")
        return plain_figures(
            size=96,
            patch_size=8,
            families=(),
            photographs=Path(folder) / "photographs",
            masks=Path(folder) / "masks",
        )


def demo() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.png"
        return {"lines": command("demo", "-o", str(path)), "sheet": pixels(path)}


def predicted(task: str, *words: str) -> Any:
    """The command that most people run: what it writes for two small photographs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        for name in ("tissue_2.jpg", "dandelion_3.jpg"):
            photo(name).save(root / "in" / name.replace("jpg", "png"))
        photo("tissue_1.jpg").save(root / "example.png")
        output = "example.png"
        if task == "segmentation":
            output = "mask.png"
            photo("tissue_1_mask.png").save(root / output)
        lines = command(
            "predict",
            str(root / "in"),
            *("--example", str(root / "example.png"), str(root / output)),
            *("--task", task, "-o", str(root / "out"), *words),
        )
        found = contents(root / "out", without=(RECORD,))
        # What writes the file and when stands in it, and of which files.
        for name in [name for name in found if name.endswith(".json") and "coco" in words]:
            data = json.loads(found[name][0])
            data.pop("info", None)
            for image in data["images"]:
                image.pop("sha256")
            found[name] = [json.dumps(data).encode()]
        return {"files": found, "lines": len(lines)}


def synthesized(form: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        options = ("--count", "6", "--size", "96", "--patch-size", "8", "--encoding", "png")
        command("figures", "synthesize", str(out), "--format", form, *options)
        return contents(out)


def _cases() -> Cases:
    part = functools.partial
    cases: Cases = {f"recipe: {name}": part(recipe, name) for name in RECIPES}
    cases["figures: of the recipes"] = recipes_figures
    cases["figures: of 224 px"] = plain_figures
    cases["figures: of 96 px"] = part(plain_figures, size=96, patch_size=8, seed=2, clean=0.5)
    cases["figures: published"] = part(
        plain_figures, size=112, patch_size=8, layouts="published", clean=1.0
    )
    cases["figures: of photographs"] = figures_of_photographs
    cases["figures: every rule"] = grids
    for name, masking in MASKINGS.items():
        cases[f"holes: {name}"] = part(holes_of, masking, 5)
    cases["training: smoke"] = part(smoke, 8)
    for kind in TRAINABLE:
        cases[f"training: {kind}"] = part(tiny_run, kind)
    cases["training: averaged weights, two rounds a step"] = part(
        tiny_run, "mae", ema=0.7, batch={"size": 4, "micro": 2}
    )
    cases["training: on figures"] = part(
        tiny_run,
        "mae-vqgan",
        data={
            "train": [{"kind": "figures", "clean": 1, "layouts": "published"}],
            "held_out": {"sources": {"kind": "figures", "clean": 1}, "count": 8},
            "workers": 0,
        },
        masking=[{"kind": "answer", "weight": 0.8}, {"kind": "patches", "weight": 0.2}],
    )
    cases["training: on the package's photographs"] = part(
        tiny_run,
        "beit",
        data={"train": {"kind": "photos"}, "held_out": {"fraction": 0.2}, "workers": 0},
        masking=[{"kind": "blocks"}],
    )
    cases["training: saved in 16 bits"] = part(
        tiny_run, "mae", precision="bf16", saved_precision="fp16"
    )
    cases["export: PNG"] = part(exported, png)
    cases["export: YOLO"] = part(exported, yolo)
    cases["export: LabelMe"] = part(exported, label_me)
    for style in ("rle", "uncompressed_rle", "polygon"):
        cases[f"export: COCO, {style}"] = part(exported, part(coco, style))
    cases["metrics: all"] = measured
    cases["command: demo"] = demo
    cases["command: predict, image"] = part(predicted, "image", "--model", "default", "--canvas")
    for form in ("png", "coco", "yolo", "labelme"):
        cases[f"command: predict, {form}"] = part(
            predicted, "segmentation", "--format", form, "--model", "copy"
        )
    cases["command: predict, samples"] = part(
        predicted, "image", "--model", "default", "--samples", "2", "--coherent"
    )
    for form in ("shards", "folder"):
        cases[f"command: figures, {form}"] = part(synthesized, form)
    return cases


assert PHOTOS.is_dir()
CASES = _cases()
