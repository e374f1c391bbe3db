"""`vicl evaluate compare`: runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vicl.cli.failing import failing
from vicl.cli.options import examples


@click.command(
    short_help="Runs of one dataset side by side",
    epilog=examples("vicl evaluate compare runs/one runs/other -o comparison.md"),
)
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    metavar="DIR...",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table there too: .md or, with all intervals and differences, .json.",
)
def compare(runs: tuple[Path, ...], output: Path | None) -> None:
    """Put runs of one dataset side by side, over the episodes that they have in common.

    Every engine is compared with the last one of the first run; differences are paired by episode.
    The exit code is 0, or 2 when the runs cannot be compared.
    """
    from vicl.cli.evaluate.tables import comparison_table, print_table
    from vicl.evaluation.reporting.compare import compare as compare_runs
    from vicl.files import write_atomic

    if output is not None and output.suffix not in (".md", ".json"):
        raise click.UsageError(f"--output: got {str(output)!r}, expected a name in .md or .json")
    with failing(2):
        found = compare_runs(runs)
        print_table(comparison_table(found))
        if output is not None:
            text = found.to_markdown()
            if output.suffix == ".json":
                text = json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n"
            write_atomic(output, text.encode())
