"""What `vicl evaluate segmentation` and its like do: draw episodes, and list or run them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.evaluate.options import COMMON, Options
from vicl.cli.failing import failing
from vicl.cli.options import examples

if TYPE_CHECKING:
    from vicl.engine import InContextModel, Inpainter
    from vicl.evaluation.episodes import Dataset, Episode
    from vicl.evaluation.running.results import Results


@dataclass(frozen=True)
class Asked:
    """What tells one command from another.

    Attributes:
        datasets: What is asked about, with so many examples for each query.
        examples: Of an episode, where none are asked for.
        beside: Models that always run beside the floors.
        apart: Whether each dataset has a folder of its own in the output, called by the last word
            of its name.
        then: Done when all datasets are.
    """

    datasets: Callable[[Options, int], Sequence[Dataset]]
    examples: int = 1
    beside: tuple[str, ...] = ()
    apart: bool = False
    then: Callable[[Options, Sequence[Results]], None] = lambda options, runs: None


def evaluate_command(
    name: str, what: str, text: str, asked: Asked, *extra: click.Option, lines: Sequence[str]
) -> click.Command:
    """Make a command.

    Args:
        name: Of it.
        what: In a few words.
        text: What it reads.
        asked: What it asks.
        extra: Its own options, which stand before those of all commands.
        lines: Examples of its use.
    """
    return click.Command(
        name,
        params=[*extra, *COMMON],
        callback=partial(_run, asked),
        short_help=what,
        epilog=examples(*lines),
        help=f"{what}: {text}\n\nPrints each metric with its bootstrap 95% interval. The exit code "
        "is 0, or 1 when some episodes failed, 2 for wrong usage, 130 after Ctrl-C.",
    )


def _run(asked: Asked, **given: Any) -> None:
    """Run a command, and end with its exit code."""
    options = Options(**given)
    stopped = "stopped" if options.output is None else "stopped; go on with --resume"
    with failing(2, debug=options.debug, stopped=stopped):
        runs = _evaluate_all(asked, options)
        asked.then(options, runs)
    sys.exit(1 if any(results.failures for results in runs) else 0)


def _evaluate_all(asked: Asked, options: Options) -> list[Results]:
    """List or run the episodes of all datasets asked for; a list has no results."""
    if options.resume and options.output is None:
        raise click.UsageError("--resume goes with --output")
    if options.listing is not None and options.output is not None:
        raise click.UsageError("--list-episodes answers none, so there is nothing for --output")
    chosen = _draw(asked, options)
    if options.listing is not None:
        from vicl.evaluation.episodes import write_listing
        from vicl.files import write_atomic

        text = write_listing([episode for _, episodes in chosen for episode in episodes])
        if options.listing == "-":
            click.echo(text, nl=False)
        else:
            write_atomic(options.listing, text.encode())
        return []
    models = options.load(*asked.beside)
    runs = []
    for dataset, episodes in chosen:
        out = options.output
        if out is not None and asked.apart:
            out /= dataset.name.rpartition(" ")[2]
        results = _evaluate(options, models, dataset, episodes, out)
        runs.append(results)
        if results.failures:
            click.echo(f"{len(results.failures)} of {results.asked} episodes failed", err=True)
    return runs


def _draw(asked: Asked, options: Options) -> list[tuple[Dataset, list[Episode]]]:
    """The datasets and their episodes."""
    if options.replay is not None:
        return _replay(asked, options, options.replay)
    examples = options.examples or asked.examples
    return [
        (dataset, dataset.episodes(options.count, seed=options.seed, examples=examples))
        for dataset in asked.datasets(options, examples)
    ]


def _replay(asked: Asked, options: Options, path: Path) -> list[tuple[Dataset, list[Episode]]]:
    """The datasets, and the episodes of a list that are theirs."""
    from vicl.evaluation.episodes import DatasetError, read_listing
    from vicl.files import FileError, display, open_plain

    if options.count is not None or options.examples is not None:
        raise click.UsageError("--replay says which episodes; leave out --episodes and --examples")
    name = display(path)
    try:
        with open_plain(path) as stream:
            listed = read_listing(stream.read().decode())
    except UnicodeDecodeError as error:
        raise FileError(f"{name}: is no text; give a list made by --list-episodes") from error
    if not listed:
        raise DatasetError(f"{name}: lists no episode; give a list made by --list-episodes")
    datasets = asked.datasets(options, max(len(episode.examples) for episode in listed))
    if len(datasets) == 1 and options.root is not None:
        listed = [_renamed(episode, datasets[0]) for episode in listed]
    chosen = [
        (dataset, [e for e in listed if (e.dataset, e.task) == (dataset.name, dataset.task)])
        for dataset in datasets
    ]
    if sum(len(episodes) for _, episodes in chosen) != len(listed):
        found = ", ".join(sorted({f"{e.dataset!r} ({e.task})" for e in listed}))
        wanted = ", ".join(f"{dataset.name!r} ({dataset.task})" for dataset in datasets)
        raise DatasetError(f"{name}: lists episodes of {found}, expected those of {wanted}")
    return [(dataset, episodes) for dataset, episodes in chosen if episodes]


def _renamed(episode: Episode, dataset: Dataset) -> Episode:
    """An episode of a copy of the dataset, whose folder may be called otherwise; else itself."""
    from vicl.evaluation.datasets import ItemDataset

    if not isinstance(dataset, ItemDataset):
        return episode
    published = [name.endswith(", published") for name in (episode.dataset, dataset.name)]
    theirs = dataset.queries, dataset.pool
    held = episode.query in theirs[0] and all(item in theirs[1] for item in episode.examples)
    return replace(episode, dataset=dataset.name) if held and len(set(published)) == 1 else episode


def _evaluate(
    options: Options,
    models: Mapping[str, Inpainter | InContextModel],
    dataset: Dataset,
    episodes: Sequence[Episode],
    out: Path | None,
) -> Results:
    """Evaluate on one dataset, and print and write what was found."""
    from vicl.cli.evaluate.tables import print_table, results_table
    from vicl.evaluation.reporting.report import write_report
    from vicl.evaluation.running.engines import as_engine, device_of, with_floors
    from vicl.evaluation.running.runner import evaluate
    from vicl.evaluation.scoring.scorers import scorer_for
    from vicl.files import display, hash_file
    from vicl.metrics.perceptual import load_lpips

    examples = max(len(episode.examples) for episode in episodes)
    asked = {
        name: as_engine(
            model,
            dataset.task,
            examples=examples,
            published=options.published,
            order=options.order,
            fit=options.fit,
            stacked=dataset.measures == "shapes",
        )
        for name, model in models.items()
    }
    engines = with_floors(asked)
    lpips = None if options.lpips is None else load_lpips(options.lpips)
    results = evaluate(
        engines,
        dataset,
        episodes,
        out,
        scorer=scorer_for(dataset.measures, lpips=lpips),
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
            "devices": [device_of(engine).type for engine in asked.values()],
            "lpips": None if options.lpips is None else hash_file(options.lpips),
        },
        resume=options.resume,
        progress=True,
    )
    if out is not None:
        write_report(results, engines, dataset, out)
    print_table(results_table(results))
    for engine in results.engines:
        if engine.equal_tokens is not None:
            click.echo(
                f"{engine.name}: {engine.equal_tokens:.2%} of the tokens are the same in a batch "
                "as alone"
            )
    if out is not None:
        click.echo(f"all of it: {display(out / 'index.html')}", err=True)
    return results
