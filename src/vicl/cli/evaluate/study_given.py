"""What every `vicl evaluate study NAME` is given, and what that stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vicl.cli.evaluate.options import (
    BATCH_SIZE,
    FOLD,
    RESUME,
    SHAPES,
    SOURCES,
    WORKERS,
    Options,
    data,
    folder,
    models,
)
from vicl.cli.options import DEBUG, DEVICE, DTYPE, SEED, choice, number

if TYPE_CHECKING:
    from vicl.engine import InContextModel, Inpainter
    from vicl.evaluation.episodes import Dataset
    from vicl.tasks import TaskName

MODELS = models("Copy always runs beside.", required=True)
COMMON = (
    choice(
        "--task",
        ("segmentation", "detection", "colorization", "edges", "image"),
        "What the episodes ask for.",
        "segmentation",
    ),
    data(required=False),
    FOLD,
    SOURCES,
    choice(
        "--shapes change",
        SHAPES,
        "Instead of --data: episodes of this task of the synthetic study.",
    ),
    number("--episodes count", 1, "Asked of each variant.", default=100),
    SEED,
    DEVICE,
    DTYPE,
    folder(
        "Folder for table.json, table.md, figure.svg and figure.png, and for the run.",
        required=True,
    ),
    DEBUG,
)
RUN = (BATCH_SIZE, WORKERS, RESUME)
"""Of the studies whose variants are answered and scored, which is all but one."""


@dataclass(frozen=True, kw_only=True)
class Given(Options):
    """The options of a study."""

    task: TaskName
    change: str | None
    examples: int = 1
    output: Path

    def dataset(self, examples: int | None = None) -> Dataset:
        """What is asked about, with enough examples for each query; None for those asked for."""
        if (self.root is None) == (self.change is None):
            raise click.UsageError("give --data PATH, or --shapes TASK")
        if self.change is not None:
            from vicl.evaluation.datasets.generated.shapes import ShapesStudy

            return ShapesStudy(self.change)
        return self.open(self.task, examples or self.examples)

    def inpainters(self) -> dict[str, Inpainter]:
        """The models, where only those with a canvas will do."""
        from vicl.engine import Inpainter

        found = self.load()
        inpainters = {name: m for name, m in found.items() if isinstance(m, Inpainter)}
        if others := [name for name in found if name not in inpainters]:
            raise ValueError(
                f"model: {', '.join(others)} has no canvas, which is what this study is about; "
                "give model folders"
            )
        return inpainters

    def ready(self, model: Inpainter | InContextModel, examples: int = 1) -> InContextModel:
        """A model, ready to answer."""
        from vicl.evaluation.running.engines import as_engine

        shapes = self.change is not None
        return as_engine(model, "image" if shapes else self.task, examples=examples, stacked=shapes)

    def engines(self) -> dict[str, InContextModel]:
        """The models, ready to answer, by their names."""
        return {name: self.ready(model) for name, model in self.load().items()}
