"""The options that every `vicl evaluate study NAME` has, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.evaluate.options import (
    BATCH_SIZE,
    FOLD,
    SHAPES,
    SOURCES,
)
from vicl.cli.options import DEBUG, DEVICE, DTYPE, SEED

if TYPE_CHECKING:
    from vicl.engine import InContextModel, Inpainter
    from vicl.evaluation.episodes import Dataset, Kind
    from vicl.models.devices import Device
    from vicl.prompting.canvas_model import CanvasModel

MODELS = click.Option(
    ["--model", "models"],
    multiple=True,
    required=True,
    metavar="MODEL",
    help="An engine, model folder or checkpoint, as for predict. Repeat for more. Copy always "
    "runs beside.",
)
COMMON = (
    click.Option(
        ["--kind"],
        type=click.Choice(("segmentation", "detection", "colorization", "edges", "image")),
        default="segmentation",
        show_default=True,
        help="What the episodes ask for.",
    ),
    click.Option(
        ["--data", "root"],
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The dataset's folder, in whichever layout.",
    ),
    FOLD,
    SOURCES,
    click.Option(
        ["--shapes", "task"],
        type=click.Choice(SHAPES),
        help="Instead of --data: episodes of this task of the synthetic study.",
    ),
    click.Option(
        ["--episodes", "count"], type=click.IntRange(min=1), default=100, show_default=True
    ),
    SEED,
    BATCH_SIZE,
    DEVICE,
    DTYPE,
    click.Option(
        ["-o", "--output"],
        required=True,
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder for table.json, table.md, figure.svg and figure.png.",
    ),
    DEBUG,
)


@dataclass(frozen=True)
class Given:
    """The options that every study has; one that takes no models has none."""

    kind: Kind
    root: Path | None
    fold: int | None
    sources: tuple[str, ...] | None
    task: str | None
    count: int
    seed: int
    batch_size: int | None
    device: Device
    dtype: str
    output: Path
    debug: bool
    models: tuple[str, ...] = ()

    def dataset(self, examples: int) -> Dataset:
        """What is asked about, with enough examples for each query."""
        if (self.root is None) == (self.task is None):
            raise click.UsageError("give --data PATH, or --shapes TASK")
        if self.task is not None:
            from vicl.evaluation.datasets.generated.shapes import ShapesStudy

            return ShapesStudy(self.task)
        from vicl.evaluation.datasets import open_dataset

        assert self.root is not None
        return open_dataset(
            self.kind, self.root, fold=self.fold, sources=self.sources, examples=examples
        )

    def loaded(self) -> list[Inpainter | InContextModel]:
        """The models."""
        from vicl.evaluation.running.engines import load_models

        return load_models(self.models, device=self.device, dtype=self.dtype)

    def inpainters(self) -> list[Inpainter]:
        """The models, where only those with a canvas will do."""
        from vicl.engine import Inpainter

        found = self.loaded()
        inpainters = [model for model in found if isinstance(model, Inpainter)]
        if len(inpainters) != len(found):
            others = [model.name for model in found if not isinstance(model, Inpainter)]
            raise ValueError(
                f"model: {', '.join(others)} has no canvas, which is what this study is about; "
                "give model folders"
            )
        return inpainters

    def canvases(self) -> list[CanvasModel]:
        """The models on their usual grids, where only those with a canvas will do."""
        from vicl.prompting.canvas_model import CanvasModel

        return [CanvasModel(inpainter) for inpainter in self.inpainters()]

    def engines(self) -> list[InContextModel]:
        """The models, ready to answer."""
        from vicl.evaluation.running.engines import as_engine

        return [as_engine(model, self.asked) for model in self.loaded()]

    @property
    def asked(self) -> Kind:
        """What the episodes ask for."""
        return self.kind if self.task is None else "shapes"

    def how(self) -> dict[str, Any]:
        """What every study's function takes by name."""
        return {
            "count": self.count,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "progress": True,
        }
