"""`vicl evaluate segmentation` and its like: one command for each kind of episode."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
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
    RULE_SETS,
    SOURCES,
    TASKS,
    Options,
)

if TYPE_CHECKING:
    from vicl.engine import InContextModel
    from vicl.evaluation.episodes import Dataset, Episode, Kind
    from vicl.evaluation.scoring.results import Results
    from vicl.evaluation.scoring.scorers import Scorer


Then = Callable[[Options, Sequence["Results"]], None]
"""What a command does when all its datasets are done."""


def _run(kind: Kind, then: Then | None, **given: Any) -> None:
    """Run one command, and end with its exit code."""
    options = Options(kind, **given)
    try:
        runs = _evaluate_all(options)
        if then is not None:
            then(options, runs)
    except KeyboardInterrupt as error:
        hint = "stopped; go on with --resume" if options.output is not None else "stopped"
        _tell(hint, error, debug=options.debug)
        sys.exit(130)
    except (ValueError, OSError) as error:
        _tell(str(error), error, debug=options.debug)
        sys.exit(2)
    sys.exit(1 if any(results.failures for results in runs) else 0)


def _tell(message: str, error: BaseException, *, debug: bool) -> None:
    """One line; with --debug, the trace too."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True)


def _evaluate_all(options: Options) -> list[Results]:
    """List or run the episodes of all datasets asked for; a list has no results."""
    if options.resume and options.output is None:
        raise click.UsageError("--resume goes with --output")
    if options.listing is not None and options.output is not None:
        raise click.UsageError("--list-episodes answers none, so there is nothing for --output")
    chosen = _draw(options)
    if options.listing is not None:
        _list(options.listing, [episode for _, episodes in chosen for episode in episodes])
        return []
    from vicl.evaluation.running.engines import load_models
    from vicl.evaluation.scoring.scorers import scorer_for

    sources = options.models
    if options.kind == "rules" and "analogies" not in sources:
        sources = ("analogies", *sources)
    models = load_models(sources, device=options.device, dtype=options.dtype)
    lpips = None
    if options.lpips is not None:
        from vicl.metrics.perceptual import load_lpips

        lpips = load_lpips(options.lpips)
    runs = []
    for dataset, episodes in chosen:
        out = options.output
        if out is not None and options.kind in ("shapes", "rules"):
            out /= dataset.name.rpartition(" ")[2]  # the task of the study, or the set of rules
        scorer = scorer_for(options.kind, lpips=lpips, only=_measures(options.kind, episodes))
        results = _evaluate(options, models, scorer, dataset, episodes, out)
        runs.append(results)
        if results.failures:
            click.echo(f"{len(results.failures)} of {results.asked} episodes failed", err=True)
    return runs


def _measures(kind: Kind, episodes: Sequence[Episode]) -> frozenset[str] | None:
    """Names of the metrics to report; None for all that the kind has."""
    if kind != "rules":
        return None
    from vicl.evaluation.datasets.generated.rules import measures_of

    return measures_of(episodes)


def _draw(options: Options) -> list[tuple[Dataset, list[Episode]]]:
    """The datasets and their episodes."""
    if options.replay is not None:
        return _replay(options, options.replay)
    examples = options.examples or (2 if options.kind == "shapes" else 1)
    return [
        (dataset, dataset.episodes(options.count, seed=options.seed, examples=examples))
        for dataset in _datasets(options, examples)
    ]


def _replay(options: Options, path: Path) -> list[tuple[Dataset, list[Episode]]]:
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
    datasets = _datasets(options, max(len(episode.examples) for episode in listed))
    if len(datasets) == 1 and options.root is not None:
        listed = [_renamed(episode, datasets[0]) for episode in listed]
    chosen = [
        (dataset, [e for e in listed if (e.dataset, e.kind) == (dataset.name, dataset.kind)])
        for dataset in datasets
    ]
    if sum(len(episodes) for _, episodes in chosen) != len(listed):
        found = ", ".join(sorted({f"{e.dataset!r} ({e.kind})" for e in listed}))
        wanted = ", ".join(f"{dataset.name!r} ({dataset.kind})" for dataset in datasets)
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


def _datasets(options: Options, examples: int) -> Sequence[Dataset]:
    """What is asked about, with so many examples for each query."""
    if options.kind == "shapes":
        from vicl.evaluation.datasets.generated import shapes

        tasks = options.tasks or shapes.TASKS
        if options.extended:
            tasks = (*tasks, *shapes.EXTENDED)
        return [shapes.ShapesStudy(task) for task in dict.fromkeys(tasks)]
    if options.kind == "rules":
        from vicl.evaluation.datasets.generated.rules import RuleEpisodes

        parts = options.parts or RULE_SETS
        return [RuleEpisodes(part, options.size) for part in dict.fromkeys(parts)]
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
            examples=examples,
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
    from vicl.evaluation.running.engines import as_engine, device_of
    from vicl.evaluation.running.runner import evaluate
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


def kind_command(
    kind: Kind, what: str, text: str, *extra: click.Option, then: Then | None = None
) -> click.Command:
    """Make a kind's command.

    Args:
        kind: Its name too.
        what: In a few words.
        text: What it reads.
        extra: Its own options, which stand before those of all kinds.
        then: Done at the end, with the results of all datasets, before the exit code is given.
    """
    return click.Command(
        kind,
        params=[*extra, *COMMON],
        callback=partial(_run, kind, then),
        short_help=what,
        help=f"{what}: {text}\n\nPrints each metric with its bootstrap 95% interval. The exit code "
        "is 0, or 1 when some episodes failed, 2 for wrong usage, 130 after Ctrl-C.",
    )


KIND_COMMANDS = (
    kind_command(
        "segmentation",
        "Masks of one class",
        "Pascal-5i, a folder of inputs/ and targets/, or one with a manifest.",
        *(DATA, FOLD, PUBLISHED, SOURCES),
    ),
    kind_command(
        "detection",
        "The box of one object",
        "VOC 2012, a folder with boxes or masks, or one with a manifest.",
        *(DATA, PUBLISHED, SOURCES, LARGEST),
    ),
    kind_command(
        "colorization",
        "Gray to colour",
        "any folder of photographs, or one with a manifest.",
        *(DATA, PUBLISHED, SOURCES, LPIPS),
    ),
    kind_command(
        "edges",
        "Edges, by the Berkeley benchmark",
        "BSDS500, a folder of inputs/ and targets/, or one with a manifest.",
        *(DATA, SOURCES),
    ),
    kind_command(
        "image",
        "Any change of an image",
        "a folder of inputs/ and targets/ with the same names.",
        *(DATA, LPIPS),
    ),
    kind_command(
        "shapes",
        "The paper's synthetic study",
        "each task in a folder of its own in DIR.",
        *(TASKS, EXTENDED),
    ),
)
