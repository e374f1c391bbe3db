"""`vicl evaluate study`: the paper's studies, each one table and one figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.evaluate.study_given import COMMON, MODELS, RUN, Given
from vicl.cli.failing import failing
from vicl.cli.options import number

if TYPE_CHECKING:
    from vicl.evaluation.studies.table import StudyTable


def _layout(given: Given, *, examples: int) -> StudyTable:
    from vicl.evaluation.studies import layout

    dataset = given.dataset(examples)
    return layout.run(given.inpainters(), dataset, given.asking(), examples=examples)


def _mask_style(given: Given, *, examples: int) -> StudyTable:
    from vicl.evaluation.studies import mask_style

    dataset = given.dataset(examples)
    return mask_style.run(given.engines(), dataset, given.asking(), examples=examples)


def _examples(given: Given, *, most: int) -> StudyTable:
    from vicl.evaluation.studies import examples

    return examples.run(given.engines(), given.dataset(most), given.asking(), most=most)


def _ensembling(given: Given, *, examples: int) -> StudyTable:
    from vicl.evaluation.studies import ensembling

    dataset = given.dataset(examples)
    return ensembling.run(given.inpainters(), dataset, given.asking(), examples=examples)


def _attention(
    given: Given, *, examples: int, arrangements: tuple[int, ...], pictured: int
) -> StudyTable:
    """Its pictures are written here."""
    from vicl.evaluation.studies import attention
    from vicl.images import save_image
    from vicl.prompting.canvas_model import CanvasModel

    found = attention.run(
        {name: CanvasModel(inpainter) for name, inpainter in given.inpainters().items()},
        given.dataset(examples),
        given.asking(),
        examples=examples,
        arrangements=arrangements,
        pictured=pictured,
    )
    for name, picture in found.pictures.items():
        save_image(picture, given.output / name)
    return found.table


def _fine_tuning(given: Given, *, shots: tuple[int, ...], steps: int, lr: float) -> StudyTable:
    from vicl.evaluation.studies import fine_tuning
    from vicl.evaluation.studies.fine_tuned import FineTuning

    return fine_tuning.run(
        given.inpainters(),
        given.dataset(max(shots)),
        given.asking(),
        shots=shots,
        settings=FineTuning(steps=steps, lr=lr),
    )


def _training_data(
    given: Given,
    *,
    checkpoints: tuple[tuple[str, str, str], ...],
    recipes: tuple[str, ...],
    overrides: tuple[str, ...],
    steps: int,
    shares: tuple[float, ...],
    examples: int,
) -> StudyTable:
    """Checkpoints are given as (words, number of images or -, model)."""
    from vicl.evaluation.studies import training_data
    from vicl.loading import load_model
    from vicl.training.recipe.files import load_recipe

    dataset = given.dataset(examples)
    trained = [
        training_data.Checkpoint(
            words,
            given.ready(load_model(source, device=given.device, dtype=given.dtype), examples),
            images=_amount(images),
        )
        for words, images, source in checkpoints
    ]
    trained += training_data.train_recipes(
        [load_recipe(recipe, overrides) for recipe in recipes],
        dataset,
        given.output / "runs",
        steps=steps,
        shares=shares,
        examples=examples,
        device=given.device,
    )
    return training_data.run(trained, dataset, given.asking(), examples=examples)


def _amount(images: str) -> int | None:
    """How many images a checkpoint was trained on; None for a dash."""
    if images == "-":
        return None
    if not images.isdecimal() or int(images) < 1:
        raise ValueError(f"--checkpoint: got {images!r} images, expected a number, or - if unknown")
    return int(images)


def _run(study: Callable[..., StudyTable], **options: Any) -> None:
    """Run one study, write and print what it found, and end with its exit code."""
    names = [field.name for field in fields(Given)]
    given = Given(**{name: options.pop(name) for name in names if name in options})
    with failing(2, debug=given.debug, stopped="stopped; go on with --resume"):
        from vicl.evaluation.studies.table import as_markdown, write_study

        table = study(given, **options)
        write_study(table, given.output)
    click.echo(as_markdown(table), nl=False)
    click.echo(f"figure: {given.output / 'figure.png'}", err=True)


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


def _shown(default: int, least: int, name: str = "--examples") -> click.Option:
    return number(name, least, "Examples of an episode.", default=default)


def _several(name: str, default: str, help: str, read: Any, metavar: str = "N,...") -> click.Option:
    return click.Option(
        [name], default=default, show_default=True, callback=read, metavar=metavar, help=help
    )


def _command(
    name: str,
    what: str,
    text: str,
    study: Callable[..., StudyTable],
    *own: click.Option,
    answered: bool = True,
) -> click.Command:
    return click.Command(
        name,
        params=[*own, *COMMON, *(RUN if answered else ())],
        callback=partial(_run, study),
        short_help=what,
        help=f"{what}: {text}\n\nPrints the table, with bootstrap 95% intervals. The exit code is "
        "0, or 2 for wrong usage or a study that failed, 130 after Ctrl-C.",
    )


@click.group()
def study() -> None:
    """What matters in prompting: each study is one table and one figure."""


for _one in (
    _command(
        "layout",
        "Layout of the prompt",
        "order, columns, gap and the size of the cells; for models with a canvas.",
        _layout,
        MODELS,
        _shown(1, 1),
    ),
    _command(
        "mask-style",
        "Style of the masks",
        "white on black, its inverse, other colours, stripes, outlines; for segmentation and "
        "detection.",
        _mask_style,
        MODELS,
        _shown(1, 1),
    ),
    _command(
        "examples",
        "Number and choice of examples",
        "the first one, two, ... of an episode's examples, and each of them alone.",
        _examples,
        MODELS,
        _shown(7, 2, "--most"),
    ),
    _command(
        "ensembling",
        "Several canvases, one answer",
        "over arrangements and over examples, fused in five ways; for models with a canvas.",
        _ensembling,
        MODELS,
        _shown(5, 2),
    ),
    _command(
        "attention",
        "Where the hole's tokens look",
        "by the parts of the layout, and drawn over canvases; for transformers.",
        _attention,
        MODELS,
        _shown(1, 1),
        _several("--arrangements", "1", "Of the grid, among 1 to 8.", _numbers),
        number("--pictured", 1, "Episodes that are drawn.", default=3),
        answered=False,
    ),
    _command(
        "fine-tuning",
        "Fine-tuning against prompting",
        "the same weights, fine-tuned on a few labelled images or shown them as examples; for MAE "
        "and MAE-VQGAN.",
        _fine_tuning,
        MODELS,
        _several("--shots", "1,4,16", "Labelled images of a class.", _numbers),
        number("--steps", 1, "Of fine-tuning.", default=200),
        click.Option(
            ["--lr"],
            type=click.FloatRange(0, min_open=True),
            default=3e-4,
            show_default=True,
            help="Learning rate at its peak.",
        ),
    ),
    _command(
        "training-data",
        "Training data and its amount",
        "checkpoints that were trained on different data, or recipes trained here, all for the "
        "same number of steps, on all or some of their images.",
        _training_data,
        click.Option(
            ["--checkpoint", "checkpoints"],
            nargs=3,
            multiple=True,
            metavar="WORDS IMAGES MODEL",
            help="What it was trained on, on how many images (- if unknown), and where it is. "
            "Repeat for more.",
        ),
        click.Option(
            ["--recipe", "recipes"],
            multiple=True,
            metavar="RECIPE",
            help="To train, in DIR/runs; what is there already is gone on with. Repeat for more.",
        ),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="KEY=VALUE",
            help="Change one key of all recipes. Repeat for more.",
        ),
        number("--steps", 1, "For which each recipe is trained.", default=1000),
        _several("--shares", "1", "Of a recipe's images: a run for each.", _shares, "X,..."),
        _shown(1, 1),
    ),
):
    study.add_command(_one)
