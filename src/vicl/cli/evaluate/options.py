"""The options of `vicl evaluate NAME`: those of every command, and those of some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vicl.cli.options import DEBUG, DEVICE, DTYPE, SEED, choice, flag, number, path, text

if TYPE_CHECKING:
    from vicl.canvas.layout import Order
    from vicl.canvas.rects import Fit
    from vicl.engine import InContextModel, Inpainter
    from vicl.evaluation.datasets.generated.rules import SetName
    from vicl.evaluation.episodes import Dataset
    from vicl.evaluation.studies.variants import Asking
    from vicl.models.devices import Device
    from vicl.tasks import TaskName

SHAPES = ("color", "shape", "size", "size+color", "shape+color", "size+shape")
RULE_SETS: tuple[SetName, ...] = ("seen", "unseen", "content")
RULE_SIZE = 111


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Names with commas between them; or, after an @, a file with one a line."""
    if value is None:
        return None
    parts = value.split(",")
    if value.startswith("@"):
        try:
            parts = Path(value[1:]).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"{value[1:]!r} cannot be read: {error}") from error
    return tuple(part.strip() for part in parts if part.strip())


def models(beside: str, *, required: bool = False) -> click.Option:
    """Models to ask; `beside` says which always run beside them."""
    words = f"An engine, model folder or checkpoint, as for predict. Repeat for more. {beside}"
    return text("--model models", "MODEL", words, multiple=True, required=required)


def data(*, required: bool) -> click.Option:
    """Where the dataset is."""
    words = "The dataset's folder, in whichever layout."
    return path("--data root", "PATH", words, required=required)


def folder(text: str, *, required: bool = False) -> click.Option:
    """The folder that all is written to."""
    kind = click.Path(path_type=Path, file_okay=False)
    return path("-o --output", "DIR", text, required=required, type=kind)


BATCH_SIZE = number(
    "--batch-size",
    1,
    "Canvases (or prompts, of a model without) given to a model at once; halved where the memory "
    "is full.  [default: 16 on a CPU, else 128]",
)
WORKERS = number(
    "--workers", 0, "Processes that score, and threads that load, beside this one.", default=0
)
RESUME = flag("--resume", "Go on with the run in DIR.")
COMMON = (
    models("The floors copy and identity always run beside; for rules, analogies too."),
    number(
        "--episodes count",
        1,
        "How many.  [default: every query once; 1000 with --published; shapes, and each set of "
        "rules: 100]",
    ),
    SEED,
    number("--examples", 1, "Examples of an episode.  [default: 1; shapes: 2]"),
    text(
        "--list-episodes listing",
        "FILE|-",
        "Only list the episodes there, as JSON lines; - prints them.",
    ),
    path(
        "--replay",
        "FILE",
        "Take the episodes from such a list; a run's folder has one, listing.jsonl.",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
    ),
    text(
        "--trained-classes",
        "NAME,...|@FILE",
        "Classes that the models' training saw; results are then told apart by it.",
        callback=_names,
    ),
    choice(
        "--order",
        ("above", "left"),
        "Models with a canvas: examples above the query, or left of it.",
        "above",
    ),
    choice(
        "--fit",
        ("stretch", "pad", "crop"),
        "Models with a canvas: how images go into its square cells.",
        "stretch",
    ),
    DEVICE,
    DTYPE,
    BATCH_SIZE,
    WORKERS,
    folder("Folder for results.json, episodes.jsonl, contact sheets and index.html."),
    RESUME,
    DEBUG,
)

DATA = data(required=True)
PUBLISHED = flag("--published", "The paper's protocol, for parity with papers.")
SOURCES = text("--sources", "NAME,...", "Only these parts of the dataset.", callback=_names)
LPIPS = path(
    "--lpips", "FILE", "Weights, to measure LPIPS too; `vicl download lpips-alex` gets them."
)
FOLD = number("--fold", 0, "Of Pascal-5i.", most=3)
LARGEST = click.Option(
    ["--largest"],
    type=click.FloatRange(0, 1, min_open=True),
    default=0.2,
    help="Share of the image that a query's box may cover; the paper's text has 0.5.",
)
CHANGES = text(
    "--task changes",
    "NAME",
    f"Of the study: {', '.join(SHAPES)}. Repeat for more.  [default: all six]",
    multiple=True,
)
PARTS = click.Option(
    ["--set", "parts"],
    multiple=True,
    type=click.Choice(RULE_SETS),
    help="seen rules on new content, unseen rules, seen rules on unseen content. Repeat for more.  "
    "[default: all three]",
)
CELL_SIZE = number(
    "--size",
    32,
    "Side of a picture, in pixels; the default fills the cell of a 224-px canvas.",
    default=RULE_SIZE,
)
EXTENDED = flag("--extended", "Also four tasks that the paper names as failing.")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command was given; options that it lacks have their defaults."""

    models: tuple[str, ...] = ()
    count: int | None = None
    seed: int
    examples: int | None = None
    listing: str | None = None
    replay: Path | None = None
    trained_classes: tuple[str, ...] | None = None
    order: Order = "above"
    fit: Fit = "stretch"
    device: Device
    dtype: str = "auto"
    batch_size: int | None = None
    workers: int = 0
    output: Path | None
    resume: bool = False
    debug: bool = False
    root: Path | None = None
    fold: int | None = None
    published: bool = False
    sources: tuple[str, ...] | None = None
    largest: float = 0.2
    lpips: Path | None = None
    changes: tuple[str, ...] = ()
    extended: bool = False
    parts: tuple[SetName, ...] = ()
    size: int = RULE_SIZE

    def open(self, task: TaskName, examples: int) -> Dataset:
        """The dataset of files, with so many examples for each query."""
        from vicl.evaluation.datasets import open_dataset

        assert self.root is not None  # the option is required
        return open_dataset(
            task,
            self.root,
            fold=self.fold,
            published=self.published,
            sources=self.sources,
            largest=self.largest,
            examples=examples,
        )

    def load(self, *beside: str) -> dict[str, Inpainter | InContextModel]:
        """The models by their names, after those that run beside them."""
        from vicl.evaluation.running.engines import load_models

        names = (*(name for name in beside if name not in self.models), *self.models)
        return load_models(names, device=self.device, dtype=self.dtype)

    def asking(self) -> Asking:
        """Which episodes of a study, and how."""
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
