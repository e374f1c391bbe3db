"""`vicl evaluate segmentation` and its like: one command for each kind of episode."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.evaluate.options import (
    COMMON,
    DATA,
    EXTENDED,
    FOLD,
    LARGEST,
    LPIPS,
    PUBLISHED,
    SOURCES,
    TASKS,
    Options,
)

if TYPE_CHECKING:
    from vicl.engine import InContextModel
    from vicl.evaluation.episodes import Dataset, Episode, Kind
    from vicl.evaluation.results import Results
    from vicl.evaluation.scoring import Scorer


def _run(kind: Kind, **given: Any) -> None:
    """Run one command, and end with its exit code."""
    options = Options(kind, **given)
    try:
        failed = _evaluate_all(options)
    except KeyboardInterrupt as error:
        hint = "stopped; go on with --resume" if options.output is not None else "stopped"
        _tell(hint, error, debug=options.debug)
        sys.exit(130)
    except (ValueError, OSError) as error:
        _tell(str(error), error, debug=options.debug)
        sys.exit(2)
    sys.exit(1 if failed else 0)


def _tell(message: str, error: BaseException, *, debug: bool) -> None:
    """One line; with --debug, the trace too."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True)


def _evaluate_all(options: Options) -> int:
    """List or run the episodes of all datasets asked for; gives how many failed."""
    if options.resume and options.output is None:
        raise click.UsageError("--resume goes with --output")
    chosen = _draw(options)
    if options.listing is not None:
        _list(options.listing, [episode for _, episodes in chosen for episode in episodes])
        return 0
    from vicl.evaluation.engines import load_models
    from vicl.evaluation.scoring import scorer_for

    models = load_models(options.models, device=options.device, dtype=options.dtype)
    lpips = None
    if options.lpips is not None:
        from vicl.training.perceptual import load_lpips

        lpips = load_lpips(options.lpips)
    scorer = scorer_for(options.kind, lpips=lpips)
    failed = 0
    for dataset, episodes in chosen:
        out = options.output
        if out is not None and len(chosen) > 1:
            out /= dataset.name.rpartition(" ")[2]  # the task of the study
        results = _evaluate(options, models, scorer, dataset, episodes, out)
        failed += len(results.failures)
        if results.failures:
            click.echo(f"{len(results.failures)} of {results.asked} episodes failed", err=True)
    return failed


def _draw(options: Options) -> list[tuple[Dataset, list[Episode]]]:
    """The datasets and their episodes."""
    from vicl.evaluation.episodes import DatasetError, read_listing
    from vicl.files import FileError, display, open_plain

    datasets = _datasets(options)
    if options.replay is None:
        examples = options.examples or (2 if options.kind == "shapes" else 1)
        return [
            (dataset, dataset.episodes(options.count, seed=options.seed, examples=examples))
            for dataset in datasets
        ]
    if options.count is not None or options.examples is not None:
        raise click.UsageError("--replay says which episodes; leave out --episodes and --examples")
    name = display(options.replay)
    try:
        with open_plain(options.replay) as stream:
            listed = read_listing(stream.read().decode())
    except UnicodeDecodeError as error:
        raise FileError(f"{name}: is no text; give a list made by --list-episodes") from error
    chosen = [
        (dataset, [e for e in listed if (e.dataset, e.kind) == (dataset.name, dataset.kind)])
        for dataset in datasets
    ]
    if sum(len(episodes) for _, episodes in chosen) != len(listed) or not listed:
        found = ", ".join(sorted({f"{e.dataset!r} ({e.kind})" for e in listed})) or "nothing"
        wanted = ", ".join(f"{dataset.name!r} ({dataset.kind})" for dataset in datasets)
        raise DatasetError(f"{name}: lists episodes of {found}, expected those of {wanted}")
    return [(dataset, episodes) for dataset, episodes in chosen if episodes]


def _datasets(options: Options) -> Sequence[Dataset]:
    if options.kind == "shapes":
        from vicl.evaluation import shapes

        tasks = options.tasks or shapes.TASKS
        if options.extended:
            tasks = (*tasks, *shapes.EXTENDED)
        return [shapes.ShapesStudy(task) for task in dict.fromkeys(tasks)]
    from vicl.evaluation.datasets import open_dataset

    assert options.root is not None  # the option is required
    return [
        open_dataset(
            options.kind,
            options.root,
            fold=options.fold,
            published=options.published,
            sources=options.sources,
            largest=options.largest,
            examples=options.examples or 1,
        )
    ]


def _evaluate(
    options: Options,
    models: Sequence[Any],
    scorer: Scorer,
    dataset: Dataset,
    episodes: Sequence[Episode],
    out: Path | None,
) -> Results:
    """Evaluate on one dataset, and print what was found."""
    from vicl.cli.evaluate.tables import print_table, results_table
    from vicl.evaluation.engines import as_engine, device_of
    from vicl.evaluation.runner import evaluate
    from vicl.files import hash_file

    examples = max(len(episode.examples) for episode in episodes)
    engines: list[InContextModel] = [
        as_engine(
            model,
            options.kind,
            examples=examples,
            published=options.published,
            order=options.order,
            fit=options.fit,
        )
        for model in models
    ]
    results = evaluate(
        engines,
        dataset,
        episodes,
        out,
        scorer=scorer,
        batch_size=options.batch_size,
        workers=options.workers,
        seed=options.seed,
        trained_classes=options.trained_classes,
        options={
            "examples": examples,
            "published": options.published,
            "order": options.order,
            "fit": options.fit,
            "dtype": options.dtype,
            "devices": [device_of(engine).type for engine in engines],
            "lpips": None if options.lpips is None else hash_file(options.lpips),
        },
        resume=options.resume,
        progress=True,
    )
    print_table(results_table(results))
    for engine in results.engines:
        if engine.equal_tokens is not None:
            click.echo(
                f"{engine.name}: {engine.equal_tokens:.2%} of the tokens are the same in a batch "
                "as alone"
            )
    if out is not None:
        click.echo(f"all of it: {out / 'index.html'}", err=True)
    return results


def _list(target: str, episodes: Sequence[Episode]) -> None:
    from vicl.evaluation.episodes import write_listing
    from vicl.files import write_atomic

    text = write_listing(episodes)
    if target == "-":
        click.echo(text, nl=False)
    else:
        write_atomic(target, text.encode())


def _command(kind: Kind, what: str, text: str, *extra: click.Option) -> click.Command:
    """A kind's command: its own options first, then those of all."""
    return click.Command(
        kind,
        params=[*extra, *COMMON],
        callback=partial(_run, kind),
        short_help=what,
        help=f"{what}: {text}\n\nPrints each metric with its bootstrap 95% interval. The exit code "
        "is 0, or 1 when some episodes failed, 2 for wrong usage, 130 after Ctrl-C.",
    )


KIND_COMMANDS = (
    _command(
        "segmentation",
        "Masks of one class",
        "Pascal-5i, a folder of inputs/ and targets/, or one with a manifest.",
        *(DATA, FOLD, PUBLISHED, SOURCES),
    ),
    _command(
        "detection",
        "The box of one object",
        "VOC 2012, a folder with boxes or masks, or one with a manifest.",
        *(DATA, PUBLISHED, SOURCES, LARGEST),
    ),
    _command(
        "colorization",
        "Gray to colour",
        "any folder of photographs, or one with a manifest.",
        *(DATA, PUBLISHED, SOURCES, LPIPS),
    ),
    _command(
        "edges",
        "Edges, by the Berkeley benchmark",
        "BSDS500, a folder of inputs/ and targets/, or one with a manifest.",
        *(DATA, SOURCES),
    ),
    _command(
        "image",
        "Any change of an image",
        "a folder of inputs/ and targets/ with the same names.",
        *(DATA, LPIPS),
    ),
    _command(
        "shapes",
        "The paper's synthetic study",
        "each task in a folder of its own in DIR.",
        *(TASKS, EXTENDED),
    ),
)
