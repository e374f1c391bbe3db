"""`vicl figures`: labels of figures, a filter that learns from them, and what it scores."""

from __future__ import annotations

import json
import webbrowser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from vicl.cli.failing import failing
from vicl.cli.figures_each import EACH, each_of
from vicl.cli.options import PATH, SEED, examples, flag, number, options, path, text
from vicl.files import display
from vicl.files.extras import to_install
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.figures.arxiv.filtering.describing import Describing
    from vicl.figures.arxiv.filtering.figure_filter import FigureFilter, FilterConfig
    from vicl.figures.arxiv.filtering.scoring import Scored

DEFAULT: Final = "default"
"""The filter that comes with the package."""

_ENCODER: Final = "efficientnet-lite2"
_FEATURES: Final = 1280
"""What filters are fitted on, and how many numbers it gives of a page."""

_HERE: Final = "127.0.0.1"
"""The page is for the person at this machine: neither a token nor another address."""

_SHARE = click.FloatRange(0, 1)
_WORKERS = number("--workers", 1, "Processes.", default=1, metavar="N")


@click.command(
    "filter",
    epilog=examples(
        "vicl figures filter figures --workers 4",
        "# by a filter of your own labels; the threshold is chosen later, as figures are packed",
        "vicl figures filter figures --filter mine --threshold 0.8",
    ),
)
@click.argument("extracted", type=PATH)
@options(
    text(
        "--filter chosen", "NAME", "The packaged one, or a folder of train-filter.", default=DEFAULT
    ),
    click.Option(
        ["--threshold"], type=_SHARE, default=0.5, help="Say how many figures have this score."
    ),
    *EACH,
    flag("--json as_json", "Print the counts as JSON."),
)
def filter_figures(extracted: Path, chosen: str, threshold: float, **given: Any) -> None:
    """Score the figures of EXTRACTED: are they grids with at least one natural image?

    EXTRACTED is a folder of `vicl figures extract`; scores.jsonl in it then has a score in [0, 1]
    for each figure. Nothing is removed. The same command goes on with what was cut short.
    """
    with failing(1, stopped="stopped: what was done is kept; the same command goes on"):
        from vicl.figures.arxiv.extracted import SCORES, figures_of
        from vicl.figures.arxiv.filtering.scoring import score_extract

        figure_filter, describing = _opened(chosen)
        total = sum(1 for _ in figures_of(extracted))
        with (
            each_of(given) as working,
            progress("figures", total=total, show=not given["as_json"]) as advance,
        ):
            scored = score_extract(extracted, figure_filter, describing, **working, advance=advance)
        if given["as_json"]:
            click.echo(json.dumps(_counts(scored, threshold)))
            return
        for file, why in scored.failed.items():
            click.echo(f"{display(file)}: {why}", err=True)
        count, kept = len(scored.scores), scored.kept(threshold)
        share = f" ({100 * kept / count:.1f}%)" if count else ""
        click.echo(f"figures: {total} (scored {count}, unreadable {len(scored.failed)})")
        click.echo(f"score of at least {threshold:g}: {kept}{share}")
        click.echo(display(extracted / SCORES))


def _counts(scored: Scored, threshold: float) -> dict[str, Any]:
    return {
        "scored": len(scored.scores),
        "unreadable": len(scored.failed),
        "new": scored.new,
        "threshold": threshold,
        "kept": scored.kept(threshold),
    }


def _opened(chosen: str) -> tuple[FigureFilter, Describing]:
    """A filter, and what describes figures to it."""
    from vicl.figures.arxiv.filtering.figure_filter import FigureFilter
    from vicl.files.packaged import packaged_model

    folder = packaged_model("figure-filter") if chosen == DEFAULT else Path(chosen)
    figure_filter = FigureFilter.open(folder)
    return figure_filter, _describing(figure_filter.config)


def _describing(config: FilterConfig) -> Describing:
    """What describes figures to filters of a configuration."""
    import torch

    from vicl.encoders.packaged import PACKAGED
    from vicl.encoders.registry import ENCODERS
    from vicl.figures.arxiv.filtering.describing import Describing

    weights = PACKAGED.get(config.encoder)
    if weights is None or weights.sha256 != config.encoder_hash:
        raise ValueError(
            f"encoder: the filter was fitted on features of {display(config.encoder)[:80]} with "
            f"weights that this vicl has not; expected {', '.join(PACKAGED)} with its own; fit the "
            "filter again with `vicl figures train-filter`"
        )
    weights.find()  # now, and not first in each process
    row = next(row for row in ENCODERS if row.weights == weights)
    return Describing(partial(row.make, torch.device("cpu")), config.side)


@click.command(
    "train-filter", epilog=examples("vicl figures train-filter labels.csv -o mine --workers 4")
)
@click.argument("labels", type=PATH)
@options(
    path("-o --out out", "DIR", "The folder of the filter.", required=True),
    SEED,
    _WORKERS,
    flag("--overwrite", "Replace a filter that is there."),
)
def train_filter(labels: Path, out: Path, seed: int, workers: int, overwrite: bool) -> None:
    """Fit a filter to LABELS, and tell how good it is.

    LABELS is a table as `vicl figures label` writes it: CSV with the columns image, label (yes or
    no) and, if it is known, paper_id. Precision and recall are of figures whose paper the filter
    did not see (5-fold cross-validation by paper), with 95% intervals by a bootstrap of papers.
    """
    with failing(1):
        from vicl.encoders.packaged import PACKAGED
        from vicl.figures.arxiv.filtering.figure_filter import FilterConfig
        from vicl.figures.arxiv.filtering.labels import read_labels
        from vicl.figures.arxiv.filtering.training import (
            describe_labels,
            filter_card,
            fit_and_judge,
        )
        from vicl.storage.folder import check_target

        read = read_labels(labels)
        check_target(out, overwrite=overwrite)
        config = FilterConfig(
            encoder=_ENCODER, encoder_hash=PACKAGED[_ENCODER].sha256, features=_FEATURES
        )
        with progress("figures", total=len(read)) as advance:
            labelled = describe_labels(read, _describing(config), workers=workers, advance=advance)
        for file, why in labelled.failed.items():
            click.echo(f"{display(file)}: {why}", err=True)
        trained = fit_and_judge(labelled, config, seed=seed)
        text = filter_card(trained, labelled, out.name, seed=seed)
        trained.filter.save(out, text, overwrite=overwrite)
        click.echo(text.partition("## How good")[2])
        click.echo(display(out))


@click.command(
    epilog=examples(
        "vicl figures label figures -o labels.csv",
        "vicl figures train-filter labels.csv -o mine",
    )
)
@click.argument("folder", type=PATH)
@options(
    path("-o --out out", "CSV", "The table of labels.", required=True),
    SEED,
    number("--port", 0, "0 takes any that is free.", default=8472, most=65535, metavar="N"),
    flag("--no-browser", "Open no browser."),
)
def label(folder: Path, out: Path, seed: int, port: int, no_browser: bool) -> None:
    """Label the figures of FOLDER in a browser, a key each: y, n, u for undo.

    FOLDER is a folder of `vicl figures extract`, or any folder of images. Figures come in random
    order; each label is in the table before the next is asked, and the same command goes on. Only
    this machine can open the page. Needs the extra: pip install "vicl[app]". Ctrl-C ends it.
    """
    with failing(2):
        try:
            import uvicorn

            from vicl.app.labelling import create_label_app
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("fastapi", "uvicorn", "starlette"):
                raise
            raise click.UsageError(
                f"the page needs {error.name}, which is not installed: {to_install('app')}"
            ) from error
        from vicl.figures.arxiv.filtering.labelling import Labelling
        from vicl.server.listening import address_of, bind, configured

        labelling = Labelling(folder, out, seed=seed)
        bound = bind(_HERE, port)
        bound.listen()  # who opens the address that is printed waits, and is not refused
        now = labelling.progress()
        click.echo(f"{now.total} figures, {now.done} with a label; {display(out)}", err=True)
        address = address_of(bound, _HERE)
        click.echo(address)
        if not no_browser:
            webbrowser.open(address)
        served = configured(create_label_app(labelling), log_level="warning")
        uvicorn.Server(served).run(sockets=[bound])
