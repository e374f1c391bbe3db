"""`vicl index`: a pool's images encoded, so that examples like a query are found quickly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.choosing import (
    ENCODER,
    INDEX,
    SAME_CLASS,
    asked,
    check_classes,
    classes_of,
    opened_index,
    place_of,
)
from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, PATH, choice, examples, flag, number, options, text
from vicl.files import display
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.selection.index import Index

_TASKS = ("image", "segmentation", "detection", "edges", "colorization")
_LEARNING = ("task", "classes", "same_class", "model", "queries", "candidates")


@click.command(
    epilog=examples(
        "# a folder with images/ and masks/; again after some were added: only those are encoded",
        "vicl index labelled",
        "vicl predict photos --pool labelled --examples 3 --task segmentation -o masks/",
        "# a COCO file, by another encoder, all places of an image, kept beside a prompt file",
        "vicl index instances.json --encoder hub:facebook/dinov2-small --compare places \\",
        "    --index prompts/things.index",
        "# which ten images to label next",
        "vicl index photos --next 10",
        "# learn which examples help the engine, then choose by it",
        "vicl index labelled --learn --task segmentation",
        "vicl predict photos --pool labelled --select learned --task segmentation -o masks/",
    )
)
@click.argument("pool", type=PATH)
@options(
    INDEX,
    text(
        "--encoder",
        "NAME|FOLDER",
        f"What compares images.  [default: that of the index, else {ENCODER}]",
    ),
    choice(
        "--compare",
        ("whole", "places"),
        "Images as a whole, or place by place.  [default: as the index does, else whole]",
    ),
    number(
        "--next next_",
        1,
        "Print the N images without annotations that should be labelled next.",
        metavar="N",
    ),
    flag("--learn", "Let the engine answer images of the pool, and learn which examples help."),
    choice("--task", _TASKS, "With --learn: the task."),
    text("--classes", "LIST", "With --learn: as for `vicl predict`."),
    SAME_CLASS,
    text("--model", "NAME|FOLDER", "With --learn: the engine."),
    number("--queries", 1, "With --learn: images to answer.  [default: 40]", metavar="N"),
    number("--candidates", 2, "With --learn: examples of each.  [default: 10]", metavar="N"),
    number("--seed", 0, "Of what is drawn.", default=0, metavar="N"),
    DEVICE,
    number("--limit-pixels", 1, "Refuse images with more pixels.", default=64_000_000, metavar="N"),
    DEBUG,
)
def index(pool: Path, **given: Any) -> None:
    """Encode the images of POOL for `vicl predict --pool`, or those that are new or changed.

    POOL is a folder of images with masks/, labels/ or annotations/ beside images/, or with a file
    of annotations beside each image; a COCO file; or a list (.csv) with the columns image,
    annotation. `vicl predict` does it too where it is needed.
    """
    given["pool"] = pool
    if not given["learn"]:
        wrong = next((name for name in _LEARNING if given[name] is not None), None)
        if wrong is not None:
            raise click.UsageError(f"--{wrong.replace('_', '-')} goes with --learn")
    if given["learn"] and given["compare"] == "places":
        raise click.UsageError("--learn learns from whole images: --compare whole, or leave it out")
    check_classes(given)
    stopped = "stopped: what was done is kept; the same command goes on"
    with failing(2, debug=given["debug"], stopped=stopped):
        from vicl.selection.fixed import next_to_label
        from vicl.selection.pool import open_pool

        found = opened_index(
            open_pool(pool), given, encoder=given["encoder"], looking=given["compare"]
        )
        if given["next_"] is not None:
            wanted = next_to_label(found, given["next_"], seed=given["seed"])
            for entry in wanted:
                click.echo(display(str(entry.image)))
            if not wanted:
                click.echo("every image is labelled", err=True)
        if given["learn"]:
            _learn(found, given)


def _learn(found: Index, given: Mapping[str, Any]) -> None:
    """Measure which examples help, and keep a head that tells."""
    from vicl.prompting.prompter import VisualPrompter
    from vicl.selection.learned import fit, measure, save_head
    from vicl.selection.selectors import Nearest

    part = found.only(asked(found.pool, given))
    prompter = VisualPrompter(
        given["model"],
        Nearest(part),
        given["task"] or "image",
        classes=classes_of(given),
        device=given["device"],
        limit_pixels=given["limit_pixels"],
    )
    made_by = {key: value for key, value in prompter.made_by().items() if key != "examples"}
    queries = min(given["queries"] or 40, len(part.pool))
    candidates = min(given["candidates"] or 10, len(part.pool) - 1)
    with progress("answering", total=queries * candidates) as advance:
        lessons = measure(
            part,
            prompter.score,
            place_of(given),
            made_by=made_by,
            queries=queries,
            candidates=candidates,
            seed=given["seed"],
            advance=lambda: advance(),
        )
    save_head(fit(part.features, lessons, seed=given["seed"]), part, place_of(given))
    click.echo(f"learned from {len(lessons)} images with {candidates} examples each", err=True)
