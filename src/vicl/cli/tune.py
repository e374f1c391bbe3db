"""`vicl tune`: from labelled images to a learned prompt, tested."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import (
    DEBUG,
    DEVICE,
    PATH,
    SEED,
    examples,
    flag,
    number,
    options,
    path,
    text,
)
from vicl.cli.tune_prompt import FOR_PROMPTS
from vicl.files import display

if TYPE_CHECKING:
    from vicl.models.devices import Device


class _Tune(click.Command):
    """`vicl tune METHOD`, and beside it what is learned for prompts, whose options are others."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Of the command that was asked for."""
        for other in FOR_PROMPTS:
            if args[:1] == [str(other.name)]:
                return other.make_context(f"{info_name} {other.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    cls=_Tune,
    epilog=examples(
        "# a linear layer on a network that comes with vicl",
        "vicl tune linear --backbone efficientnet-lite2 --data flowers -o runs/flowers",
        "# by 16 images of each class, the rate and the decay sought for ten minutes",
        "vicl tune linear --backbone efficientnet-lite2 --data flowers --shots 16 --search 10m \\",
        "    -o runs/flowers-16",
        "# stopped by Ctrl-C, it goes on with --resume; then it is used",
        "vicl tune linear --backbone efficientnet-lite2 --data flowers -o runs/flowers --resume",
        "vicl classify photos --prompt runs/flowers",
        "# a border around the pictures of a prompt, from pairs; it has options of its own",
        "vicl tune border --model default --data pairs --task segmentation -o runs/border",
    ),
)
@click.argument("method", metavar="METHOD")
@options(
    text(
        "--backbone",
        "NAME|FOLDER",
        "What stays frozen: efficientnet-lite0, efficientnet-lite2, a model folder or "
        "hub:owner/name.",
        required=True,
    ),
    path(
        "--data",
        "DIR",
        "Images: train/CLASS/..., test/CLASS/... and perhaps val/; or VTAB-1k's or FGVC's lists.",
        type=PATH,
        required=True,
    ),
    path("-o --output", "DIR", "Folder of the run.", type=PATH, required=True),
    text(
        "--set overrides",
        "KEY=VALUE",
        "An option of the method or a setting of its training, such as lr=0.1. Repeat for more.",
        multiple=True,
    ),
    number("--shots", 1, "Learn from so many images of each class.  [default: all]"),
    text(
        "--search",
        "BUDGET",
        "Seek lr and weight_decay on the validation images: so many runs, or a time as 10m.",
    ),
    flag(
        "--base-to-new",
        "Learn half of the classes; test on those, and on the others by their names alone.",
    ),
    SEED,
    flag("--resume", "Go on with the run in DIR."),
    DEVICE,
    DEBUG,
)
def tune(
    method: str,
    backbone: str,
    data: Path,
    output: Path,
    overrides: tuple[str, ...],
    shots: int | None,
    search: str | None,
    base_to_new: bool,
    seed: int,
    resume: bool,
    device: Device,
    debug: bool,
) -> None:
    """Learn METHOD beside a frozen backbone, from images in folders of their classes.

    METHOD is linear, pixel, reprogram, vpt, coop or another; a wrong one lists them all. Its
    settings are the published ones unless told. Prints the folder of the saved prompt and, last,
    its accuracy on the test images, which nothing else looks at. Ctrl-C saves a checkpoint first.
    The exit code is 0, or 1 when the run failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    from vicl.prompts.methods import method as named
    from vicl.tuning.settings import SettingsError, read_budget

    with failing(
        1,
        debug=debug,
        usage=(SettingsError,),
        stopped="stopped; go on with --resume",
        full="lower it by --set batch=..., and begin again",
    ):
        try:
            named(method)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        from vicl.tuning.tune import tune as run  # here: it says which extra it needs

        tuned = run(
            method,
            output,
            backbone=backbone,
            data=data,
            overrides=overrides,
            shots=shots,
            seed=seed,
            resume=resume,
            budget=None if search is None else read_budget(search),
            base_to_new=base_to_new,
            device=device,
        )
    for line in tuned.broken:
        click.echo(f"skipped: {line}", err=True)
    if tuned.trials:
        told = f"lr={tuned.settings.lr:g}, weight_decay={tuned.settings.weight_decay:g}"
        click.echo(f"of {len(tuned.trials)} runs the best in validation: {told}", err=True)
    click.echo(display(tuned.folder))
    click.echo(f"use it: vicl classify PHOTOS --prompt {display(tuned.folder)}", err=True)
    if tuned.new is not None and tuned.base_to_new is not None:
        new, both = tuned.new.accuracy, tuned.base_to_new.harmonic
        click.echo(f"classes not learned: accuracy {new} on {new.n} test images")
        click.echo(f"harmonic mean {both:.3f}")
    click.echo(f"accuracy {tuned.accuracy} on {tuned.accuracy.n} test images")
