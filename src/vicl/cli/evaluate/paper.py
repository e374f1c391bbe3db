"""`vicl evaluate paper`: the paper's table 1, with rows of one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vicl.cli.evaluate.options import BATCH_SIZE, WORKERS
from vicl.cli.failing import failing
from vicl.cli.options import DEVICE, SEED, options

if TYPE_CHECKING:
    from vicl.models.devices import Device


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="An engine, model folder or checkpoint, as for predict. Repeat for more. The floors copy "
    "and identity, and analogies, are always in the table.",
)
@click.option(
    "--data",
    "root",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="ROOT",
    help="Folder with VOC 2012 (VOCdevkit/VOC2012) and ImageNet's validation photographs "
    "(imagenet/val). What is missing is left out of the table, with the reason.",
)
@click.option(
    "--episodes",
    "count",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="A column; 1000 are the published protocol.",
)
@options(SEED, BATCH_SIZE, WORKERS)
@click.option(
    "--lpips",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Weights for the LPIPS column; `vicl download lpips-alex` gets them.",
)
@options(DEVICE)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR")
@click.option("--resume", is_flag=True, help="Go on with what is in DIR.")
def paper(
    models: tuple[str, ...],
    root: Path,
    count: int,
    seed: int,
    batch_size: int | None,
    workers: int,
    lpips: Path | None,
    device: Device,
    output: Path,
    resume: bool,
) -> None:
    """Run the paper's table 1: what the data allows, by the published protocol.

    Prints the table, our rows beside the published ones; DIR gets it as table.md and table.json,
    and a folder with pictures for each evaluation. The exit code is 0, or 1 when some episodes
    failed, 2 for wrong usage or where nothing could be run, 130 after Ctrl-C.
    """
    from vicl.evaluation.running.engines import load_models
    from vicl.evaluation.studies.paper import run_paper
    from vicl.evaluation.studies.variants import Asking

    with failing(2, stopped="stopped; go on with --resume"):
        table = run_paper(
            load_models(models, device=device),
            root,
            Asking(
                count=count,
                seed=seed,
                batch_size=batch_size,
                workers=workers,
                out=output,
                resume=resume,
                progress=True,
            ),
            lpips=lpips,
        )
    click.echo(table.to_markdown(), nl=False)
    failed = sum(len(run.failures) for run in table.runs.values())
    if failed:
        click.echo(f"error: {failed} episode(s) failed; see results.json in {output}", err=True)
        sys.exit(1)
