"""`vicl evaluate study`: the paper's studies, each one table and one figure."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from vicl.cli.evaluate import study_runs as runs
from vicl.cli.evaluate.study_options import COMMON, MODELS, Given

if TYPE_CHECKING:
    from vicl.evaluation.studies.table import StudyTable


def _run(study: Callable[..., StudyTable], **options: Any) -> None:
    """Run one study, write and print what it found, and end with its exit code."""
    names = [field.name for field in fields(Given)]
    given = Given(**{name: options.pop(name) for name in names if name in options})
    try:
        from vicl.evaluation.studies.table import as_markdown, write_study

        table = study(given, **options)
        write_study(table, given.output)
    except KeyboardInterrupt as error:
        _fail("stopped", 130, error, debug=given.debug)
    except (ValueError, OSError) as error:
        _fail(str(error), 2, error, debug=given.debug)
    click.echo(as_markdown(table), nl=False)
    click.echo(f"figure: {given.output / 'figure.png'}", err=True)


def _fail(message: str, code: int, error: BaseException, *, debug: bool) -> NoReturn:
    """End with one line; with --debug, the trace too."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True)
    sys.exit(code)


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


def _shown(default: int, least: int, text: str) -> click.Option:
    return click.Option(
        ["--examples"],
        type=click.IntRange(min=least),
        default=default,
        show_default=True,
        help=text,
    )


def _command(
    name: str,
    what: str,
    text: str,
    study: Callable[..., StudyTable],
    *own: click.Option,
) -> click.Command:
    return click.Command(
        name,
        params=[*own, *COMMON],
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
        runs.run_layout,
        MODELS,
        _shown(1, 1, "Examples of an episode."),
    ),
    _command(
        "mask-style",
        "Style of the masks",
        "white on black, its inverse, other colours, stripes, outlines; for segmentation and "
        "detection.",
        runs.run_mask_style,
        MODELS,
        _shown(1, 1, "Examples of an episode."),
    ),
    _command(
        "examples",
        "Number and choice of examples",
        "the first one, two, ... of an episode's examples, and each of them alone.",
        runs.run_examples,
        MODELS,
        click.Option(
            ["--most"],
            type=click.IntRange(min=2),
            default=7,
            show_default=True,
            help="Examples of an episode.",
        ),
    ),
    _command(
        "ensembling",
        "Several canvases, one answer",
        "over arrangements and over examples, fused in five ways; for models with a canvas.",
        runs.run_ensembling,
        MODELS,
        _shown(5, 2, "Examples of an episode."),
    ),
    _command(
        "attention",
        "Where the hole's tokens look",
        "by the parts of the layout, and drawn over canvases; for transformers.",
        runs.run_attention,
        MODELS,
        _shown(1, 1, "Examples of an episode."),
        click.Option(
            ["--arrangements"],
            default="1",
            show_default=True,
            callback=_numbers,
            metavar="N,...",
            help="Of the grid, among 1 to 8.",
        ),
        click.Option(
            ["--pictured"],
            type=click.IntRange(min=1),
            default=3,
            show_default=True,
            help="Episodes that are drawn.",
        ),
    ),
    _command(
        "fine-tuning",
        "Fine-tuning against prompting",
        "the same weights, fine-tuned on a few labelled images or shown them as examples; for MAE "
        "and MAE-VQGAN.",
        runs.run_fine_tuning,
        MODELS,
        click.Option(
            ["--shots"],
            default="1,4,16",
            show_default=True,
            callback=_numbers,
            metavar="N,...",
            help="Labelled images of a class.",
        ),
        click.Option(
            ["--steps"],
            type=click.IntRange(min=1),
            default=200,
            show_default=True,
            help="Of fine-tuning.",
        ),
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
        runs.run_training_data,
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
        click.Option(
            ["--steps"],
            type=click.IntRange(min=1),
            default=1000,
            show_default=True,
            help="For which each recipe is trained.",
        ),
        click.Option(
            ["--shares"],
            default="1",
            show_default=True,
            callback=_shares,
            metavar="X,...",
            help="Of a recipe's images: a run for each.",
        ),
        _shown(1, 1, "Examples of an episode."),
    ),
):
    study.add_command(_one)
