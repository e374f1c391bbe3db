"""What to do when an answer is bad, shown on the package's photographs: `docs/prompting.jpg`.

    python benchmarks/prompting_sheet.py --out docs/prompting.jpg

A row a remedy: a bad answer, and the answer to the same query once the remedy is applied, with the
overlap of each with the truth (IoU). The last two rows are of the paper's synthetic study. They are
pictures of what the remedies do, chosen to be seen; how much each is worth in the mean is measured
in docs/prompting.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vicl.evaluation.datasets.generated.shapes import ShapesStudy
from vicl.evaluation.scoring.shapes import shape_ious
from vicl.exports.sheets import contact_sheet
from vicl.files.packaged import PHOTOS
from vicl.images import save_image, to_tensor
from vicl.metrics import iou
from vicl.prompting.prompter import VisualPrompter

HEADERS = ("example", "its output", "query", "bad", "better", "truth")


@dataclass(frozen=True)
class Way:
    """How a query is asked about.

    Attributes:
        examples: Names of photographs that have masks.
        how: Of the prompter.
    """

    examples: tuple[str, ...]
    how: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Remedy:
    """What helps, a query, and both ways of asking about it."""

    name: str
    query: str
    bad: Way
    better: Way


REMEDIES = (
    Remedy(
        "say what it is",
        "dandelion_3",
        Way(("dandelion_1",), {"task": "image"}),
        Way(("dandelion_1",)),
    ),
    Remedy(
        "a better example",
        "dandelion_3",
        Way(("dandelion_2",), {"model": "analogies"}),
        Way(("dandelion_1",), {"model": "analogies"}),
    ),
    Remedy(
        "a second example",
        "dandelion_3",
        Way(("dandelion_1",), {"model": "analogies"}),
        Way(("dandelion_1", "dandelion_2"), {"model": "analogies"}),
    ),
    Remedy(
        "another engine",
        "coins_2",
        Way(("coins_1",), {"model": "default"}),
        Way(("coins_1",), {"model": "matching"}),
    ),
)

STUDIED = (
    ("several moves", "size", {"spins": 1}, {"spins": 2}),
    ("not eight arrangements", "color", {"arrangements": 8, "fuse": "logits"}, {"spins": 1}),
)
"""Of the study: remedy, task, and how the default model is asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    shown = [_photographs(one) for one in REMEDIES] + [_drawn(*one) for one in STUDIED]
    rows, labels = zip(*shown, strict=True)
    save_image(contact_sheet(rows, headers=HEADERS, labels=labels), given.out)
    return 0


def _photographs(remedy: Remedy) -> tuple[list[Tensor], str]:
    truth = np.asarray(Image.open(PHOTOS / f"{remedy.query}_mask.png").convert("L")) > 127
    answers, scores = [], []
    for way in (remedy.bad, remedy.better):
        how = {"task": "segmentation", **way.how}
        pairs = [(PHOTOS / f"{one}.jpg", PHOTOS / f"{one}_mask.png") for one in way.examples]
        answer = VisualPrompter(examples=pairs, **how).predict(PHOTOS / f"{remedy.query}.jpg")
        picture = to_tensor(answer.image)
        answers.append(picture)
        scores.append(iou(picture.mean(0).numpy() > 0.5, truth))
    last = remedy.better.examples[-1]
    pictures = [to_tensor(PHOTOS / f"{last}{end}") for end in (".jpg", "_mask.png")]
    pictures += [to_tensor(PHOTOS / f"{remedy.query}.jpg"), *answers]
    return [*pictures, to_tensor(PHOTOS / f"{remedy.query}_mask.png")], _label(remedy.name, scores)


def _drawn(
    name: str, task: str, bad: dict[str, Any], better: dict[str, Any]
) -> tuple[list[Tensor], str]:
    study = ShapesStudy(task)
    case = study.load(study.episodes(1, seed=0, examples=1)[0])
    truth = to_tensor(case.truth.image)
    answers = [
        to_tensor(next(iter(VisualPrompter("default", **how).map_prompts([case.prompt]))).image)
        for how in (bad, better)
    ]
    scores = [shape_ious(one.numpy(), truth.numpy(), task)[0] for one in answers]
    (example,) = case.prompt.examples
    pictures = [to_tensor(example.input), to_tensor(example.output), to_tensor(case.prompt.query)]
    return [*pictures, *answers, truth], _label(name, scores)


def _label(name: str, scores: Sequence[float]) -> str:
    return f"{name}\n{scores[0]:.2f} to {scores[1]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
