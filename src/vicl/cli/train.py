"""`vicl train`: from a recipe to a model folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, examples, flag, options, path, text
from vicl.files import display

if TYPE_CHECKING:
    from vicl.models.devices import Device


@click.command(
    epilog=examples(
        "# what a shipped recipe says, and what it would take",
        "vicl train mae-vqgan-tiny-cpu --dry-run",
        "# with another rate; stopped by Ctrl-C, it goes on with --resume",
        "vicl train mae-vqgan-tiny-cpu --set optimiser.lr=3e-4 -o runs/tiny",
        "vicl train mae-vqgan-tiny-cpu --set optimiser.lr=3e-4 -o runs/tiny --resume",
    )
)
@click.argument("recipe", metavar="RECIPE")
@options(
    text(
        "--set overrides",
        "KEY=VALUE",
        "Change one key of the recipe, such as optimiser.lr=1e-4. Repeat for more.",
        multiple=True,
    ),
    path("-o --output", "DIR", "Folder of the run.  [default: runs/NAME, by the recipe's name]"),
    flag("--resume", "Go on with the run in DIR."),
    flag("--dry-run", "Print the whole recipe and what it would take; train nothing."),
    DEVICE,
    DEBUG,
)
def train(
    recipe: str,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    dry_run: bool,
    device: Device,
    debug: bool,
) -> None:
    """Train a model as RECIPE says: a YAML file, or the name of a shipped recipe.

    Prints the folder of the trained model. Ctrl-C saves a checkpoint first. The exit code is 0, or
    1 when the run failed, 2 for wrong usage or a wrong recipe, 130 after Ctrl-C.
    """
    from vicl.training.recipe.data import RecipeError
    from vicl.training.recipe.files import load_any
    from vicl.training.recipe.head import OutlineRecipe
    from vicl.training.recipe.promptable import PromptableRecipe
    from vicl.training.recipe.recipe import Recipe

    with failing(
        1,
        debug=debug,
        usage=(RecipeError,),
        stopped="stopped; go on with --resume",
        full="lower batch.micro, then go on with --resume",
    ):
        checked = load_any(recipe, overrides)
        folder = output or Path("runs") / checked.name
        if not isinstance(checked, Recipe):
            if dry_run:
                raise click.UsageError("--dry-run: what training a head takes is not estimated")
            use = "predict"
            if isinstance(checked, PromptableRecipe):
                from vicl.training.promptable.train import train_promptable

                model = train_promptable(checked, folder, resume=resume, device=device)
                use = "segment"
            elif isinstance(checked, OutlineRecipe):
                from vicl.training.matching.outlines import train_outlines

                model = train_outlines(checked, folder, resume=resume, device=device)
            else:
                from vicl.training.matching.train import train_head

                model = train_head(checked, folder, resume=resume, device=device)
            click.echo(display(model))
            click.echo(f"use it: vicl {use} --model {display(model)} ...", err=True)
            return
        if dry_run:
            from vicl.training.dry_run import describe

            report = describe(checked, device=device)
            click.echo(report.text)
            for line in report.missing:
                click.echo(f"error: {line}", err=True)
            sys.exit(1 if report.missing else 0)
        from vicl.training.train import train as run

        model = run(checked, folder, resume=resume, device=device)
    # Of several processes, the first speaks.
    if os.environ.get("RANK", "0") == "0":
        click.echo(display(model))
        use = f"vicl predict --model {display(model)} ..."
        if checked.model.kind == "vqgan":
            use = f"vicl train mae-vqgan-tiny-cpu --set model.tokenizer={display(model)} ..."
        click.echo(f"use it: {use}", err=True)
