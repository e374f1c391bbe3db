"""`vicl evaluate study`: the paper's studies, each one table and one figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.evaluate.study_given import COMMON, MODELS, RUN, Given
from vicl.cli.failing import failing
from vicl.cli.options import examples, number, text
from vicl.files import display

if TYPE_CHECKING:
    from vicl.evaluation.studies.table import StudyTable


def _numbers(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"got {value!r}, expected numbers from 1 on, such as 1,4,16")
    return tuple(int(part) for part in parts)


def _shares(_: click.Context, __: click.Parameter, value: str) -> tuple[float, ...]:
    """Numbers above 0 and up to 1 with commas between them."""
    try:
        found = tuple(float(part) for part in value.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise click.BadParameter(f"got {value!r}, expected shares up to 1, such as 0.1,1")
    return found


def _examples(default: int, *, least: int = 1, name: str = "--examples") -> click.Option:
    return number(f"{name} examples", least, "Examples of an episode.", default=default)


def _several(name: str, default: str, help: str, read: Any, metavar: str = "N,...") -> click.Option:
    return text(name, metavar, help, default=default, callback=read)


@click.group()
def study() -> None:
    """What matters in prompting: each study is one table and one figure."""


_Study = Callable[..., "StudyTable"]


def _command(
    name: str, text: str, *own: click.Option, line: str, answered: bool = True
) -> Callable[[_Study], click.Command]:
    """Make a function a command.

    Args:
        name: Of the command.
        text: What it is about, and after a colon what is varied.
        own: The options that it has beside those of all studies.
        line: An example of its options.
        answered: Whether its variants are answered and scored.
    """
    made = study.command(
        name,
        params=[*own, *COMMON, *(RUN if answered else ())],
        short_help=text.partition(":")[0],
        epilog=examples(f"vicl evaluate study {name} {line}"),
        help=f"{text}\n\nPrints the table, with bootstrap 95% intervals. The exit code is 0, or "
        "2 for wrong usage or a study that failed, 130 after Ctrl-C.",
    )
    return lambda function: made(partial(_run, function))


def _run(function: _Study, **options: Any) -> None:
    """Run one study, write and print what it found, and end with its exit code."""
    common = options.keys() & {field.name for field in fields(Given)}
    given = Given(**{name: options.pop(name) for name in common})
    with failing(2, debug=given.debug, stopped="stopped; go on with --resume"):
        from vicl.evaluation.studies.table import as_markdown, write_study

        table = function(given, **options)
        write_study(table, given.output)
    click.echo(as_markdown(table), nl=False)
    click.echo(f"figure: {display(given.output / 'figure.png')}", err=True)


@_command(
    "layout",
    "Layout of the prompt: order, columns, gap and the size of the cells; for models with a "
    "canvas.",
    MODELS,
    _examples(1),
    line="--shapes color --model default -o studies/layout",
)
def _layout(given: Given) -> StudyTable:
    from vicl.evaluation.studies.layout import run

    dataset = given.dataset()
    return run(given.inpainters(), dataset, given.asking(), examples=given.examples)


@_command(
    "mask-style",
    "Style of the masks: white on black, its inverse, other colours, stripes, outlines; for "
    "segmentation and detection.",
    MODELS,
    _examples(1),
    line="--data VOC2012 --model default -o studies/style",
)
def _mask_style(given: Given) -> StudyTable:
    from vicl.evaluation.studies.mask_style import run

    dataset = given.dataset()
    return run(given.engines(), dataset, given.asking(), examples=given.examples)


@_command(
    "examples",
    "Number and choice of examples: the first one, two, ... of an episode's examples, and "
    "each of them alone.",
    MODELS,
    _examples(7, least=2, name="--most"),
    line="--shapes shape --most 4 --model analogies -o studies/examples",
)
def _most(given: Given) -> StudyTable:
    from vicl.evaluation.studies.examples import run

    return run(given.engines(), given.dataset(), given.asking(), most=given.examples)


@_command(
    "ensembling",
    "Several canvases, one answer: over arrangements and over examples, fused in seven ways; "
    "for models with a canvas.",
    MODELS,
    _examples(5, least=2),
    line="--data VOC2012 --model default --examples 5 -o studies/ensembling",
)
def _ensembling(given: Given) -> StudyTable:
    from vicl.evaluation.studies.ensembling import run

    dataset = given.dataset()
    return run(given.inpainters(), dataset, given.asking(), examples=given.examples)


@_command(
    "attention",
    "Where the hole's tokens look: by the parts of the layout, and drawn over canvases; for "
    "transformers.",
    MODELS,
    _examples(1),
    _several("--arrangements", "1", "Of the grid, among 1 to 8.", _numbers),
    number("--pictured", 1, "Episodes that are drawn.", default=3),
    answered=False,
    line="--shapes color --model default --pictured 2 -o studies/attention",
)
def _attention(given: Given, *, arrangements: tuple[int, ...], pictured: int) -> StudyTable:
    from vicl.evaluation.studies.attention import run
    from vicl.images import save_image
    from vicl.prompting.canvas_model import CanvasModel

    found = run(
        {name: CanvasModel(inpainter) for name, inpainter in given.inpainters().items()},
        given.dataset(),
        given.asking(),
        examples=given.examples,
        arrangements=arrangements,
        pictured=pictured,
    )
    for name, picture in found.pictures.items():
        save_image(picture, given.output / name)
    return found.table


@_command(
    "fine-tuning",
    "Fine-tuning against prompting: the same weights, fine-tuned on a few labelled images or "
    "shown them as examples; for MAE and MAE-VQGAN.",
    MODELS,
    _several("--shots", "1,4,16", "Labelled images of a class.", _numbers),
    number("--steps", 1, "Of fine-tuning.", default=200),
    click.Option(
        ["--lr"],
        type=click.FloatRange(0, min_open=True),
        default=3e-4,
        help="Learning rate at its peak.",
    ),
    line="--data VOC2012 --model default --shots 1,4 -o studies/tuning",
)
def _fine_tuning(given: Given, *, shots: tuple[int, ...], **settings: Any) -> StudyTable:
    from vicl.evaluation.studies.fine_tuned import FineTuning
    from vicl.evaluation.studies.fine_tuning import run

    models, dataset = given.inpainters(), given.dataset(max(shots))
    return run(models, dataset, given.asking(), shots=shots, settings=FineTuning(**settings))


@_command(
    "training-data",
    "Training data and its amount: checkpoints that were trained on different data, or "
    "recipes trained here, all for the same number of steps, on all or some of their images.",
    text(
        "--checkpoint checkpoints",
        "WORDS IMAGES MODEL",
        "What it was trained on, on how many images (- if unknown), and where it is. Repeat for "
        "more.",
        nargs=3,
        multiple=True,
    ),
    text(
        "--recipe recipes",
        "RECIPE",
        "To train, in DIR/runs; what is there already is gone on with. Repeat for more.",
        multiple=True,
    ),
    text(
        "--set overrides",
        "KEY=VALUE",
        "Change one key of all recipes. Repeat for more.",
        multiple=True,
    ),
    number("--steps", 1, "For which each recipe is trained.", default=1000),
    _several("--shares", "1", "Of a recipe's images: a run for each.", _shares, "X,..."),
    _examples(1),
    line="--shapes color --recipe mae-vqgan-tiny-cpu --steps 100 -o studies/data",
)
def _training_data(
    given: Given,
    *,
    checkpoints: tuple[tuple[str, str, str], ...],
    recipes: tuple[str, ...],
    overrides: tuple[str, ...],
    **training: Any,
) -> StudyTable:
    from vicl.evaluation.studies.training_data import Checkpoint, run, train_recipes
    from vicl.loading import load_model
    from vicl.training.recipe.files import load_recipe

    dataset, examples = given.dataset(), given.examples
    trained = [
        Checkpoint(
            words,
            given.ready(load_model(source, device=given.device, dtype=given.dtype), examples),
            images=_amount(images),
        )
        for words, images, source in checkpoints
    ]
    trained += train_recipes(
        [load_recipe(recipe, overrides) for recipe in recipes],
        dataset,
        given.output / "runs",
        examples=examples,
        device=given.device,
        **training,
    )
    return run(trained, dataset, given.asking(), examples=examples)


def _amount(images: str) -> int | None:
    """How many images a checkpoint was trained on; None for a dash."""
    if images == "-":
        return None
    if not images.isdecimal() or int(images) < 1:
        raise ValueError(f"--checkpoint: got {images!r} images, expected a number, or - if unknown")
    return int(images)
