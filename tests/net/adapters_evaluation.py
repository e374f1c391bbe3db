"""Where the net touches evaluation: see `adapters`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tests.evaluation.discs import Discs
from tests.evaluation.studies.marks import Marks
from tests.evaluation.studies.toy import Finder, Toy
from tests.models.kinds import KINDS
from tests.net.adapters import engine, mask_of, photo
from tests.training.runs import recipe

from vicl.evaluation.datasets import open_dataset
from vicl.evaluation.datasets.generated.rules import RuleEpisodes
from vicl.evaluation.datasets.generated.shapes import CHANGES, EXTENDED, ShapesStudy
from vicl.evaluation.reporting.rule_table import by_rule
from vicl.evaluation.running.engines import as_engine, with_floors
from vicl.evaluation.running.runner import evaluate
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.evaluation.studies import (
    attention,
    ensembling,
    examples,
    fine_tuning,
    layout,
    mask_style,
    training_data,
)
from vicl.evaluation.studies.fine_tuned import FineTuning
from vicl.evaluation.studies.paper import run_paper
from vicl.evaluation.studies.variants import Asking
from vicl.images import to_tensor
from vicl.models.floors import Copy, Identity
from vicl.prompting.canvas_model import CanvasModel

SHAPES = (*CHANGES, *EXTENDED)
RULE_SETS = ("seen", "unseen", "content")


def dataset_of(kind: str, root: Path, **options: Any) -> Any:
    """A dataset of files, in whichever layout."""
    return open_dataset(kind, root, **options)


def discs() -> Any:
    return Discs()


def shapes(task: str) -> Any:
    return ShapesStudy(task)


def rules(part: str, size: int) -> Any:
    return RuleEpisodes(part, size)


def asked(dataset: Any, count: int | None, *, seed: int = 0, shown: int = 1) -> list[Any]:
    """Which examples and queries are drawn."""
    return [
        {
            "examples": [item.image for item in episode.examples],
            "query": episode.query.image,
            "class": episode.class_name,
            "source": episode.query.source,
        }
        for episode in dataset.episodes(count, seed=seed, examples=shown)
    ]


def drawn(dataset: Any, count: int, *, shown: int = 1) -> list[Any]:
    """The pictures of episodes."""
    found = []
    for episode in dataset.episodes(count, examples=shown):
        case = dataset.load(episode)
        pairs = [[to_tensor(e.input), to_tensor(e.output)] for e in case.prompt.examples]
        found.append([pairs, to_tensor(case.prompt.query), case.truth.image])
    return found


def evaluated(
    kind: str,
    dataset: Any,
    count: int | None,
    names: Sequence[str],
    *,
    shown: int = 1,
    **given: Any,
) -> Any:
    """What the runner finds: every episode's scores, means, intervals and groups."""
    ready = {name: prepared(name, kind, shown, **given) for name in names}
    results = evaluate(
        with_floors({model.name: model for model in ready.values()}),
        dataset,
        dataset.episodes(count, examples=shown),
        scorer=scorer_for(kind),
    )
    found: dict[str, Any] = {"failed": [failure.position for failure in results.failures]}
    for one in results.engines:
        found[one.name] = {
            "scores": [record.scores.values for record in one.records],
            "counts": [record.scores.counts for record in one.records],
            "values": one.values,
            "minus copy": one.minus_copy,
            "over classes": one.over_classes,
            "groups": {f"{g.kind}, {g.label}": g.interval for g in one.groups},
        }
    if kind == "rules":
        found["by rule"] = {
            row.rule: [row.metric.name, row.episodes, row.fit, row.gain] for row in by_rule(results)
        }
    return found


def prepared(name: str, kind: str, shown: int, **given: Any) -> Any:
    """An engine, ready for a task's episodes, or for those of a generated dataset."""
    task: Any = "image" if kind in ("shapes", "rules") else kind
    return as_engine(engine(name), task, examples=shown, stacked=kind == "shapes", **given)


def canvases(kind: str, dataset: Any, count: int, name: str, *, shown: int = 1) -> list[Any]:
    """What an engine answers, as it stands on its canvas."""
    model = prepared(name, kind, shown)
    cases = [dataset.load(episode) for episode in dataset.episodes(count, examples=shown)]
    filled = model.answer([case.prompt for case in cases])
    return [[one.image, one.cell, one.canvas, one.confidence] for one in filled]


def paper_table(root: Path, out: Path, count: int) -> Any:
    """The paper's table, as far as a folder allows."""
    table = run_paper({}, root, Asking(out=out, count=count))
    return {"ours": table.ours, "skipped": list(table.skipped), "cells": table.cells()}


def study_rows(table: Any) -> Any:
    """The numbers of a study."""
    return {
        "metric": table.metric.name,
        "rows": [
            [row.variant, row.engine, row.interval, row.difference, row.scores]
            for row in table.rows
        ],
        "x": table.x,
        "notes": table.notes,
    }


def skill(rows: int, columns: int) -> float:
    return 1.0 if columns < 0 else 0.5 if rows < 0 else 0.2


def called(*models: Any) -> dict[str, Any]:
    """Models by their names."""
    return {model.name: model for model in models}


def study(name: str, work: Path) -> Any:
    """A study on the stand-ins that its tests use."""
    if name == "layout":
        models = [Finder(noise=0.5, skill=skill), KINDS["autoregressive"].build()]
        return study_rows(layout.run(called(*models), Toy(), Asking(count=6)))
    if name == "mask-style":
        return study_rows(mask_style.run(called(Identity()), Toy(flipped=0.2), Asking(count=5)))
    if name == "examples":
        model = CanvasModel(Finder(noise=1.0))
        return study_rows(examples.run(called(model), Toy(flipped=0.3), Asking(count=6), most=4))
    if name == "examples, colorization":
        toy = Toy("colorization", flipped=0.3)
        return study_rows(examples.run({}, toy, Asking(count=3), most=2))
    if name == "ensembling":
        models = [Finder(noise=1.5), KINDS["mae"].build(), KINDS["autoregressive"].build()]
        return study_rows(ensembling.run(called(*models), Toy(), Asking(count=3), examples=3))
    if name == "training-data":
        given = [
            training_data.Checkpoint("examples", Copy(), "a"),
            training_data.Checkpoint("queries", Identity(), "a"),
            *training_data.train_recipes(
                [recipe(work)], Marks(side=16), work / "runs", steps=2, shares=(0.5, 1.0),
                device="cpu",
            ),
        ]  # fmt: skip
        return study_rows(training_data.run(given, Marks(side=16), Asking(count=5)))
    if name == "attention":
        models = [CanvasModel(KINDS[kind].build()) for kind in ("mae-vqgan", "mae", "beit")]
        found = attention.run(called(*models), Marks(), Asking(count=2), arrangements=(1, 4))
        return study_rows(found.table)
    assert name == "fine-tuning"
    models = [KINDS["mae"].build(), KINDS["mae-vqgan"].build()]
    marks = Marks(classes=("a", "b"), images=6)
    settings = FineTuning(steps=2)
    asking = Asking(count=8)
    return study_rows(
        fine_tuning.run(called(*models), marks, asking, shots=(1, 2), settings=settings)
    )


STUDIES = (
    "layout",
    "mask-style",
    "examples",
    "examples, colorization",
    "ensembling",
    "training-data",
    "attention",
    "fine-tuning",
)


def outline(name: str) -> np.ndarray:
    """The border of a photograph's mask, 255 on 0."""
    mask = mask_of(name)
    edges = np.zeros(mask.shape, np.uint8)
    edges[:, 1:][mask[:, 1:] != mask[:, :-1]] = 255
    edges[1:][mask[1:] != mask[:-1]] = 255
    return edges


def photographs(root: Path, kind: str) -> Path:
    """A folder of pairs of the package's photographs, small."""
    from PIL import Image

    for part in ("inputs", "targets"):
        (root / part).mkdir(parents=True, exist_ok=True)
    names = ("tissue_1", "tissue_2", "tissue_3", "dandelion_1", "dandelion_3", "coins_1")
    for name in names:
        image = photo(f"{name}.jpg").convert("RGB")
        target = {
            "segmentation": lambda name=name: photo(f"{name}_mask.png"),
            "detection": lambda name=name: photo(f"{name}_mask.png"),
            "edges": lambda name=name: Image.fromarray(outline(f"{name}_mask.png")),
            "colorization": lambda image=image: image,
            "image": lambda image=image: Image.fromarray(255 - np.asarray(image)),
        }[kind]()
        image.save(root / "inputs" / f"{name}.png")
        target.save(root / "targets" / f"{name}.png")
    return root
