"""What every `vicl evaluate study NAME` is given, and what that stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vicl.cli.evaluate.options import BATCH_SIZE, FOLD, RESUME, SHAPES, SOURCES, WORKERS
from vicl.cli.options import DEBUG, DEVICE, DTYPE, SEED, choice, number

if TYPE_CHECKING:
    from vicl.engine import InContextModel, Inpainter
    from vicl.evaluation.episodes import Dataset
    from vicl.evaluation.studies.variants import Asking
    from vicl.models.devices import Device
    from vicl.tasks import TaskName

MODELS = click.Option(
    ["--model", "models"],
    multiple=True,
    required=True,
    metavar="MODEL",
    help="An engine, model folder or checkpoint, as for predict. Repeat for more. Copy always "
    "runs beside.",
)
COMMON = (
    choice(
        "--task",
        ("segmentation", "detection", "colorization", "edges", "image"),
        "What the episodes ask for.",
        "segmentation",
    ),
    click.Option(
        ["--data", "root"],
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The dataset's folder, in whichever layout.",
    ),
    FOLD,
    SOURCES,
    choice(
        "--shapes change",
        SHAPES,
        "Instead of --data: episodes of this task of the synthetic study.",
    ),
    number("--episodes count", 1, default=100),
    SEED,
    DEVICE,
    DTYPE,
    click.Option(
        ["-o", "--output"],
        required=True,
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder for table.json, table.md, figure.svg and figure.png, and for the run.",
    ),
    DEBUG,
)
RUN = (BATCH_SIZE, WORKERS, RESUME)
"""Of the studies whose variants are answered and scored, which is all but one."""


@dataclass(frozen=True)
class Given:
    """The options that every study has; one that takes no models has none."""

    task: TaskName
    root: Path | None
    fold: int | None
    sources: tuple[str, ...] | None
    change: str | None
    count: int
    seed: int
    device: Device
    dtype: str
    output: Path
    debug: bool
    batch_size: int | None = None
    workers: int = 0
    resume: bool = False
    models: tuple[str, ...] = ()

    def dataset(self, examples: int) -> Dataset:
        """What is asked about, with enough examples for each query."""
        if (self.root is None) == (self.change is None):
            raise click.UsageError("give --data PATH, or --shapes TASK")
        if self.change is not None:
            from vicl.evaluation.datasets.generated.shapes import ShapesStudy

            return ShapesStudy(self.change)
        from vicl.evaluation.datasets import open_dataset

        assert self.root is not None
        return open_dataset(
            self.task, self.root, fold=self.fold, sources=self.sources, examples=examples
        )

    def loaded(self) -> dict[str, Inpainter | InContextModel]:
        """The models by their names."""
        from vicl.evaluation.running.engines import load_models

        return load_models(self.models, device=self.device, dtype=self.dtype)

    def inpainters(self) -> dict[str, Inpainter]:
        """The models, where only those with a canvas will do."""
        from vicl.engine import Inpainter

        found = self.loaded()
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
        return {name: self.ready(model) for name, model in self.loaded().items()}

    def asking(self) -> Asking:
        """Which episodes, and how."""
        from vicl.evaluation.studies.variants import Asking

        return Asking(
            count=self.count,
            seed=self.seed,
            batch_size=self.batch_size,
            workers=self.workers,
            out=self.output,
            resume=self.resume,
            progress=True,
            options={"dtype": self.dtype},
        )
