"""`vicl tune border` and `vicl tune vectors`: from pairs to what a prompt file keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, PATH, SEED, choice, examples, flag, options, path, text
from vicl.files import display

if TYPE_CHECKING:
    from vicl.tuning.border_run import Bordered
    from vicl.tuning.vectors_run import Vectored

_OPTIONS: Final = (
    text("--model", "NAME|FOLDER", "The engine, which stays as it is.", default="default"),
    path(
        "--data",
        "POOL",
        "Pairs: a folder of images/ and masks/ (or targets/), a COCO file or a list (.csv).",
        type=PATH,
        required=True,
    ),
    choice(
        "--task",
        ("image", "segmentation", "detection", "edges", "colorization"),
        "What the outputs are.",
        "image",
    ),
    text("--classes", "LIST", "name=#rrggbb,... or name=value,...: what marks each class."),
    path("-o --output", "DIR", "Folder of the run.", type=PATH, required=True),
    text(
        "--set overrides",
        "KEY=VALUE",
        "A setting, such as lr=0.02; a wrong key lists them all. Repeat for more.",
        multiple=True,
    ),
    SEED,
    flag("--resume", "Go on with the run in DIR."),
    DEVICE,
    DEBUG,
)


@click.command(
    epilog=examples(
        "vicl tune border --model default --data pairs --task segmentation -o runs/border",
        "vicl predict photos --prompt runs/border/prompt.vicl -o masks/",
        "# the border with other examples",
        "vicl predict photos --pool pairs --model default --border runs/border \\",
        "    --task segmentation -o masks/",
    )
)
@options(*_OPTIONS)
def border(**given: Any) -> None:
    """Learn a border around the pictures of a prompt, for a frozen engine (InMeMo).

    A share of the pairs is held out: by it the best border is chosen, and what it scores is printed
    beside the engine without it and the Copy floor. Ctrl-C saves a checkpoint first. The exit code
    is 0, or 1 when the run failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    from vicl.tuning.border_run import told, tune_border

    found: Bordered = _run(tune_border, given)
    _tell(found, told(found))


@click.command(
    epilog=examples(
        "vicl tune vectors --data pairs --task segmentation -o runs/vectors \\",
        "    --set iterations=100 --set samples=64",
        "vicl predict photos --prompt runs/vectors/prompt.vicl -o masks/",
    )
)
@options(*_OPTIONS)
def vectors(**given: Any) -> None:
    """Learn task vectors, by which a frozen MAE-VQGAN answers without an example.

    What its heads give on the pairs is recorded; which of it is worth putting in its place is
    searched for. A share of the pairs is held out: by it the best set is chosen, and what it scores
    is printed. Ctrl-C during the search saves a checkpoint first. The exit code is 0, or 1 when the
    run failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    from vicl.tuning.vectors_run import told, tune_vectors

    found: Vectored = _run(tune_vectors, given)
    _tell(found, told(found))


FOR_PROMPTS: Final = (border, vectors)
"""What is learned for prompts, by the names that stand in a method's place."""


def _run(function: Any, given: dict[str, Any]) -> Any:
    from vicl.tuning.settings import SettingsError

    output, debug = given.pop("output"), given.pop("debug")
    with failing(
        1,
        debug=debug,
        usage=(SettingsError,),
        stopped="stopped; go on with --resume",
        full="lower batch (of a border) or samples (of vectors) by --set, and begin again",
    ):
        return function(output, **given)


def _tell(found: Bordered | Vectored, lines: list[str]) -> None:
    for line in found.broken:
        click.echo(f"skipped: {line}", err=True)
    click.echo(display(found.folder))
    for line in lines:
        click.echo(line)
