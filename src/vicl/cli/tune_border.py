"""`vicl tune border`: from a folder of pairs to a learned border in a prompt file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, PATH, SEED, choice, examples, flag, options, path, text
from vicl.files import display

if TYPE_CHECKING:
    from vicl.models.devices import Device


@click.command(
    "border",
    epilog=examples(
        "vicl tune border --model default --data pairs --task segmentation -o runs/border",
        "vicl predict photos --prompt runs/border/prompt.vicl -o masks/",
        "# the border with other examples",
        "vicl predict photos --pool pairs --border runs/border --task segmentation -o masks/",
    ),
)
@options(
    text("--model", "NAME|FOLDER", "The engine, an inpainter over codes.", default="default"),
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
        "A setting, such as epochs=50, mode=qrimg or published=true. Repeat for more.",
        multiple=True,
    ),
    SEED,
    flag("--resume", "Go on with the run in DIR."),
    DEVICE,
    DEBUG,
)
def border(
    model: str,
    data: Path,
    task: str,
    classes: str | None,
    output: Path,
    overrides: tuple[str, ...],
    seed: int,
    resume: bool,
    device: Device,
    debug: bool,
) -> None:
    """Learn a border around the pictures of a prompt, for a frozen engine (InMeMo).

    A share of the pairs is held out: by it the best border is chosen, and what it scores is printed
    beside the engine without it and the Copy floor. Ctrl-C saves a checkpoint first. The exit code
    is 0, or 1 when the run failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    from vicl.tuning.border_run import told, tune_border
    from vicl.tuning.settings import SettingsError

    with failing(
        1,
        debug=debug,
        usage=(SettingsError,),
        stopped="stopped; go on with --resume",
        full="lower it by --set batch=..., and begin again",
    ):
        found = tune_border(
            output,
            model=model,
            data=data,
            task=task,
            classes=classes,
            overrides=overrides,
            seed=seed,
            resume=resume,
            device=device,
        )
    for line in found.broken:
        click.echo(f"skipped: {line}", err=True)
    click.echo(display(found.folder))
    for line in told(found):
        click.echo(line)
