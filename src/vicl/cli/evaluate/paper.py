"""`vicl evaluate paper`: the paper's table 1, with rows of one's own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vicl.cli.evaluate.options import BATCH_SIZE, LPIPS, RESUME, WORKERS, Options, models
from vicl.cli.failing import failing
from vicl.cli.options import DEVICE, SEED, examples, number, options, path


@click.command(
    epilog=examples(
        "vicl evaluate paper --data datasets --model models/paper -o runs/paper",
    )
)
@options(
    models("The floors copy and identity, and analogies, are always in the table."),
    path(
        "--data root",
        "ROOT",
        "Folder with VOC 2012 (VOCdevkit/VOC2012) and ImageNet's validation photographs "
        "(imagenet/val). What is missing is left out of the table, with the reason.",
        required=True,
        type=click.Path(path_type=Path, exists=True, file_okay=False),
    ),
    number("--episodes count", 1, "A column; 1000 are the published protocol.", default=1000),
    *(SEED, BATCH_SIZE, WORKERS, LPIPS, DEVICE),
    path("-o --output", "DIR", "For the table and what it is made of.", required=True),
    RESUME,
)
def paper(root: Path, **given: Any) -> None:
    """Run the paper's table 1: what the data allows, by the published protocol.

    Prints the table, our rows beside the published ones; DIR gets it as table.md and table.json,
    and a folder with pictures for each evaluation. The exit code is 0, or 1 when some episodes
    failed, 2 for wrong usage or where nothing could be run, 130 after Ctrl-C.
    """
    from vicl.evaluation.studies.paper import run_paper

    asked = Options(**given)
    with failing(2, stopped="stopped; go on with --resume"):
        table = run_paper(
            asked.load(), root, replace(asked.asking(), options={}), lpips=asked.lpips
        )
    click.echo(table.to_markdown(), nl=False)
    failed = sum(len(run.failures) for run in table.runs.values())
    if failed:
        click.echo(
            f"error: {failed} episode(s) failed; see results.json in {asked.output}", err=True
        )
        sys.exit(1)
