"""Evaluation: datasets and their scores, shapes, rules, the paper's table, studies."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tests.evaluation.datasets.trees import (
    bsds_tree,
    manifest_tree,
    pascal_tree,
    photo,
    text,
    voc_xml,
)
from tests.net.adapters import engine
from tests.net.adapters_evaluation import (
    RULE_SETS,
    SHAPES,
    STUDIES,
    asked,
    canvases,
    dataset_of,
    discs,
    drawn,
    evaluated,
    paper_table,
    photographs,
    rules,
    shapes,
    study,
)
from tests.net.adapters_files import command, evaluation_files, study_files
from tests.net.values import Cases

KINDS = ("segmentation", "detection", "edges", "colorization", "image")


def on_photographs(kind: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        data = dataset_of(kind, photographs(Path(folder) / "pairs", kind))
        return {
            "asked": asked(data, 5, seed=3),
            "fingerprint": data.fingerprint,
            "copy": evaluated(kind, data, 5, ["analogies"]),
            "two": evaluated(kind, data, 3, ["mae-vqgan", "default"], shown=2),
        }


def voc(root: Path) -> Path:
    """Images with a bicycle, of fold 0, and their boxes."""
    masks = {}
    for index in range(3):
        mask = np.zeros((80, 100), dtype=np.uint8)
        mask[10:60, 16 : 60 + 10 * index] = 2
        mask[60, :] = 255
        masks[f"2008_00000{index}"] = mask
        objects = [("bicycle", (17, 11, 40 + 5 * index, 50))]
        name = f"VOCdevkit/VOC2012/Annotations/2008_00000{index}.xml"
        text(root, name, voc_xml(objects, (80, 100)))
        photo(root, f"imagenet/val/{index}.png", index, (90, 80))
    pascal_tree(root / "VOCdevkit" / "VOC2012", masks)
    return root


def tree(layout: str, kind: str, count: int | None, **options: Any) -> Any:
    """A published layout, scored by the floors."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        if layout == "manifest":
            manifest_tree(root)
        elif layout == "voc":
            voc(root)
        elif layout == "bsds":
            bsds_tree(root, {"train": 2, "val": 2, "test": 2})
        else:
            for index in range(4):
                photo(root, f"n/{index}.png", index, (24, 20 + index))
        data = dataset_of(kind, root, **options)
        return {
            "asked": [asked(data, count, seed=seed) for seed in (0, 1)],
            "drawn": drawn(data, 2),
            "fingerprint": data.fingerprint,
            "scores": evaluated(kind, data, count, []),
        }


def paper() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return paper_table(voc(Path(folder) / "data"), Path(folder) / "out", 2)


def of_shapes(task: str) -> Any:
    data = shapes(task)
    return {
        "drawn": drawn(data, 2, shown=2),
        "canvases": canvases("shapes", data, 1, "default", shown=2),
        "scores": evaluated("shapes", data, 2, ["default"], shown=2),
    }


def of_rules(part: str) -> Any:
    return {
        "drawn": drawn(rules(part, 40), 8),
        "scores": evaluated("rules", rules(part, 40), 8, ["default"]),
        "whole": canvases("rules", rules(part, 96), 2, "default"),
    }


def of_discs() -> Any:
    return evaluated("segmentation", discs(), 7, ["analogies", "mae"])


def studied(name: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return study(name, Path(folder))


def commanded(kind: str, *words: str) -> Any:
    """`vicl evaluate` of photographs, with a tiny model from its folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        photographs(root / "data", "segmentation")
        engine("mae-vqgan").save_pretrained(root / "tiny")
        out = root / "out"
        given = ("--data", str(root / "data"), "--model", str(root / "tiny"), "--episodes", "3")
        command("evaluate", *kind.split(), *given, *words, "-o", str(out))
        return study_files(out) if kind.startswith("study") else evaluation_files(out)


def _cases() -> Cases:
    part = functools.partial
    cases: Cases = {f"evaluation: {kind}": part(on_photographs, kind) for kind in KINDS}
    cases["evaluation: discs"] = of_discs
    cases |= {
        "dataset: manifest, segmentation": part(tree, "manifest", "segmentation", 4),
        "dataset: manifest, detection": part(tree, "manifest", "detection", 3, largest=0.9),
        "dataset: manifest, edges": part(tree, "manifest", "edges", 3),
        "dataset: Pascal": part(tree, "voc", "segmentation", 3, fold=0),
        "dataset: Pascal, published": part(tree, "voc", "segmentation", 3, fold=0, published=True),
        "dataset: VOC": part(tree, "voc", "detection", 2, largest=0.9),
        "dataset: VOC, published": part(tree, "voc", "detection", 2, published=True),
        "dataset: BSDS": part(tree, "bsds", "edges", 2),
        "dataset: photographs": part(tree, "photos", "colorization", 3),
        "dataset: photographs, published": part(tree, "photos", "colorization", 3, published=True),
    }
    cases["paper: a table"] = paper
    cases |= {f"shapes: {task}": part(of_shapes, task) for task in SHAPES}
    cases |= {f"rules: {name}": part(of_rules, name) for name in RULE_SETS}
    cases |= {f"study: {name}": part(studied, name) for name in STUDIES}
    cases["command: evaluate segmentation"] = part(commanded, "segmentation")
    for words in (
        ("segmentation", "--model", "default", "--examples", "2", "--batch-size", "2"),
        ("segmentation", "--order", "left", "--fit", "pad"),
        ("detection",),
        ("study layout",),
        ("study mask-style",),
        ("study examples", "--most", "3"),
        ("study ensembling", "--examples", "2"),
        ("study attention", "--arrangements", "1,4", "--pictured", "1"),
        ("study fine-tuning", "--shots", "1", "--steps", "2"),
    ):
        cases[f"command: evaluate {' '.join(words)}"] = part(commanded, *words)
    return cases


CASES = _cases()
