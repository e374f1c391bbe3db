"""The options by which `vicl predict` chooses examples from a pool, a query at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from vicl.cli.options import choice, number, path
from vicl.files import check_writable, display
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.prompting.prompter import VisualPrompter
    from vicl.selection.index import Index, Looking
    from vicl.selection.pool import Pool
    from vicl.selection.selectors import Selector

ENCODER: Final = "efficientnet-lite2"
"""What indexes are of unless somebody says otherwise."""

TRIES: Final = 8
"""Sets of examples that --select best-of tries."""

INDEX = path(
    "--index",
    "DIR",
    "Where the pool's index is kept.  [default: POOL.index, beside the pool]",
)

SAME_CLASS = click.Option(
    ["--same-class/--any-class"],
    default=None,
    help="Choose among those that show a class of --classes, or among all and take whatever they "
    "show for one class.  [default: same-class]",
)

CHOOSING = (
    path(
        "--pool",
        "POOL",
        "Choose each query's examples from a folder of images with masks/ or annotations, a COCO "
        "file or a list (.csv). With --prompt: where its pool is, if not below its own folder.",
    ),
    choice(
        "--select",
        ("nearest", "random", "diverse", "best-of", "learned"),
        "The images most like the query; at random; the same for all queries, that cover the pool "
        "or answer its other images best; or as `vicl index --learn` learned.  [default: nearest]",
    ),
    number("--examples shots", 1, "How many are chosen, of each class.  [default: 1]", metavar="N"),
    SAME_CLASS,
    INDEX,
)
"""The options; all but the first go with it."""


def check_choosing(given: Mapping[str, Any]) -> None:
    """Refuse what does not go with a pool, or without one.

    Raises:
        click.UsageError: If an option does not suit.
    """
    if given["prompt"] is not None:
        for name, option in _HOW.items():
            if given[name] is not None:
                raise click.UsageError(
                    f"{option} does not go with --prompt: how examples are chosen is in the file"
                )
        return
    if given["pool"] is None:
        for name, option in (_HOW | _INDEX).items():
            if given[name] is not None:
                raise click.UsageError(f"{option} goes with --pool")
        return
    for name, option in _OWN_EXAMPLES.items():
        if given[name]:
            raise click.UsageError(f"{option} does not go with --pool: {_WHY}")
    if given["index"] is not None and given["select"] in _NO_INDEX:
        raise click.UsageError(f"--index does not go with --select {given['select']}: none is used")
    check_classes(given)


def check_classes(given: Mapping[str, Any]) -> None:
    """Refuse several classes where all are taken for one.

    Raises:
        click.UsageError: If there are.
    """
    if given["same_class"] is False and len(_classes(given)) > 1:
        raise click.UsageError("--any-class takes what is marked for one class; name one or none")


_NO_INDEX: Final = ("random", "best-of")
_WHY = "it brings the examples, each query's own"
_HOW: Final = {
    "select": "--select",
    "shots": "--examples",
    "same_class": "--same-class and --any-class",
}
_INDEX: Final = {"index": "--index"}
_OWN_EXAMPLES: Final = {
    "examples": "--example",
    "marked": "--box",
    "clicked": "--example-click",
    "expected_score": "--expected-score",
}


def selector_of(given: Mapping[str, Any]) -> Selector:
    """What chooses examples, as the options say; "best-of" is chosen by :func:`settle`."""
    from vicl.selection.fixed import diverse
    from vicl.selection.learned import learned_index
    from vicl.selection.pool import open_pool
    from vicl.selection.selectors import Nearest, Random

    pool, shots, seed = open_pool(given["pool"]), given["shots"] or 1, given["seed"] or 0
    if given["select"] in _NO_INDEX:
        return Random(asked(pool, given), shots, seed, given["limit_pixels"])
    index = opened_index(pool, given)
    index = index.only(asked(index.pool, given))
    if given["select"] == "diverse":
        return diverse(index, shots, seed=seed)
    return Nearest(
        learned_index(index, place_of(given)) if given["select"] == "learned" else index, shots
    )


def settle(prompter: VisualPrompter, given: Mapping[str, Any]) -> None:
    """Choose the examples that answer other images of the pool best, where that is asked for."""
    if given["select"] != "best-of" or prompter.selector is None:
        return
    from vicl.selection.fixed import best_of

    with progress("trying examples", total=TRIES) as advance:
        prompter.selector = found = best_of(
            prompter.selector.pool,
            prompter.score,
            prompter.selector.examples,
            tries=TRIES,
            seed=given["seed"] or 0,
            advance=lambda: advance(),
        )
    names = ", ".join(display(str(entry.image)) for entry in found.order[: found.examples])
    click.echo(f"best of {TRIES} tries: {names}", err=True)


def place_of(given: Mapping[str, Any]) -> Path:
    """Where a pool's index is."""
    from vicl.selection.index_folder import index_folder

    place: Path = given["index"] or index_folder(given["pool"])
    return place


def opened_index(
    pool: Pool,
    given: Mapping[str, Any],
    *,
    encoder: str | None = None,
    looking: Looking | None = None,
) -> Index:
    """A pool's index, brought up to date, which is told; by default of the encoder that it has.

    Raises:
        click.UsageError: If there is none, and none can be made there.
    """
    from vicl.loading import load_encoder
    from vicl.selection.index_folder import index_pool, made_by

    place = place_of(given)
    try:
        check_writable(place)
    except ValueError as error:
        raise click.UsageError(f"{error}: --index DIR says where the index is kept") from error
    had = made_by(place) or (ENCODER, "whole")
    loaded = load_encoder(encoder or had[0], device=given["device"])
    with progress("encoding", total=len(pool)) as advance:
        index, changes = index_pool(
            pool,
            loaded,
            place,
            looking=looking or had[1],
            limit_pixels=given["limit_pixels"],
            advance=lambda steps: advance(steps),
        )
    click.echo(f"{display(place)}: {len(index.pool)} images: {changes}", err=True)
    return index


def classes_of(given: Mapping[str, Any]) -> Any:
    """The classes of the task: one where all are taken for one."""
    return given["classes"] or ("object" if given["same_class"] is False else None)


def asked(pool: Pool, given: Mapping[str, Any]) -> Pool:
    """The images that may be examples."""
    if given["same_class"] is False:
        return pool.as_one(next(iter(_classes(given)), "object"))
    classes = given["classes"] or pool.classes
    return pool.showing(classes) if classes else pool.labelled


def _classes(given: Mapping[str, Any]) -> tuple[str, ...]:
    from vicl.tasks.classes import Classes

    return Classes.parse(given["classes"]).names if given["classes"] else ()
