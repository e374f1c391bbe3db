"""`vicl classify`: what photographs show, by a learned prompt or by the classes' names."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing, tell
from vicl.cli.inputs import find_queries
from vicl.cli.options import (
    DEBUG,
    DEVICE,
    PATH,
    choice,
    examples,
    number,
    options,
    path,
    text,
)
from vicl.files import display
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.exports.answers import Query
    from vicl.prompts.classifier import Classifier

LEARNED = path(
    "--prompt",
    "DIR",
    "What `vicl tune` saved, with its classes and its backbone.",
    type=PATH,
)
BACKBONE = text(
    "--backbone",
    "NAME|FOLDER",
    "The backbone; with --prompt: where it is now.  [default: of the prompt]",
)
METHOD = text(
    "--method", "NAME", "Without --prompt: one that needs no training.  [default: zero-shot]"
)
TEMPLATES = text(
    "--template templates",
    "TEXT|NAME",
    'Of zero-shot: such as "a photo of a {}.", or the name of a set of them. Repeat for more: the '
    "mean is taken.",
    multiple=True,
)


@click.command(
    epilog=examples(
        "# by a prompt that was learned",
        "vicl classify photos --prompt runs/flowers",
        "# by the names of the classes, with a CLIP model in a folder",
        'vicl classify photos --classes "tabby cat,dog" --backbone clip-vit-base-patch32',
        "# all scores, as a table or as JSON lines",
        "vicl classify photos --prompt runs/flowers --format csv -o labels.csv",
        "vicl classify photos/*.jpg --prompt runs/flowers --format json",
    )
)
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@options(
    LEARNED,
    text("--classes", "NAME,...", "Names of the classes, without --prompt."),
    TEMPLATES,
    METHOD,
    BACKBONE,
    choice(
        "--format format_",
        ("text", "json", "csv"),
        "Text: photograph, class and score, with tabs; JSON lines and CSV have all scores.",
        "text",
    ),
    path("-o --output", "FILE", "Write there instead of printing.", type=PATH),
    number("--batch-size", 1, "Photographs asked about at once.", default=16, metavar="N"),
    DEVICE,
    number("--limit-pixels", 1, "Refuse images with more pixels.", default=64_000_000, metavar="N"),
    DEBUG,
)
def classify(photos: tuple[str, ...], **given: Any) -> None:
    """Say what each PHOTO shows: files, folders, globs, or - for a list on standard input.

    A photograph that cannot be read is reported and skipped. The exit code is 0, or 1 when some
    could not be read, 2 for wrong usage, 130 after Ctrl-C.
    """
    with failing(2, debug=given["debug"]):
        failed = _run(photos, given)
    sys.exit(1 if failed else 0)


def _run(photos: Sequence[str], given: Mapping[str, Any]) -> int:
    """Answer; gives how many photographs could not be read."""
    from vicl.files import check_writable, write_atomic

    output: Path | None = given["output"]
    if output is not None:
        check_writable(output)
    check_source(given)
    queries = find_queries(photos)
    made = classifier_of(given, _names(given["classes"]))
    lines: list[str] = []
    failed = 0
    if given["format_"] == "csv":
        _put(lines, _csv(["image", "label", "score", *made.classes]), output)
    try:
        with progress("photographs", total=len(queries), show=output is not None) as advance:
            for query, found in _asked(made, queries, given):
                if isinstance(found, Exception):
                    failed += 1
                    tell(found, debug=given["debug"])
                else:
                    _put(lines, _line(query, found, given["format_"]), output)
                advance()
    finally:
        # What is done stays, whatever ended it.
        if output is not None and (lines or not failed):
            write_atomic(output, "".join(f"{line}\n" for line in lines).encode())
    if failed:
        click.echo(f"{len(queries) - failed} answered, {failed} failed", err=True)
    return failed


def check_source(given: Mapping[str, Any]) -> None:
    """Refuse options that contradict one another.

    Raises:
        click.UsageError: If it is not clear what classifies.
    """
    if given["prompt"] is not None:
        named = (("--classes", "classes"), ("--template", "templates"), ("--method", "method"))
        for option, name in named:
            if given.get(name):
                raise click.UsageError(f"{option} does not go with --prompt, which has it already")
        return
    if given["backbone"] is None or ("classes" in given and not given["classes"]):
        wanted = "--classes NAME,... and --backbone" if "classes" in given else "--backbone"
        raise click.UsageError(f"give --prompt DIR, or {wanted}")


def classifier_of(given: Mapping[str, Any], classes: Sequence[str]) -> Classifier:
    """The classifier that options ask for; without a prompt it is one of the given classes."""
    from vicl.prompts.methods import method
    from vicl.prompts.saved import load_classifier, untuned
    from vicl.tuning.settings import settle

    if given["prompt"] is not None:
        return load_classifier(given["prompt"], backbone=given["backbone"], device=given["device"])
    chosen = method(given["method"] or "zero-shot")
    overrides = []
    if given["templates"]:
        overrides = [f"templates={json.dumps(list(given['templates']))}"]
    made, _ = settle(chosen, overrides)
    return untuned(chosen, made, given["backbone"], tuple(classes), given["device"])


def _names(text: str | None) -> list[str]:
    names = [name.strip() for name in next(csv.reader([text or ""]), [])]
    return [name for name in names if name]


def _asked(
    made: Classifier, queries: Sequence[Query], given: Mapping[str, Any]
) -> Iterator[tuple[Query, Any]]:
    """Photographs with their answers, in order; an error where one cannot be read."""
    from PIL import Image

    from vicl.images import ImageError, to_levels
    from vicl.prompts.reading import bring, reading_of
    from vicl.prompts.saved import classify_many

    reading, size = reading_of(made), given["batch_size"]
    for start in range(0, len(queries), size):
        part = queries[start : start + size]
        read: list[Any] = []
        for query in part:
            try:
                levels = to_levels(query.path, limit_pixels=given["limit_pixels"])
                read.append(bring(Image.fromarray(levels), reading))
            except ImageError as error:
                read.append(error)
        good = [image for image in read if not isinstance(image, ImageError)]
        answers = iter(classify_many(made, good))
        for query, image in zip(part, read, strict=True):
            yield query, image if isinstance(image, ImageError) else next(answers)


def _line(query: Query, found: Any, format: str) -> str:
    name, score = str(query.path), found.scores[found.label]
    if format == "json":
        scores = {label: round(value, 6) for label, value in found.scores.items()}
        return json.dumps({"image": name, "label": found.label, "scores": scores})
    if format == "csv":
        return _csv([name, found.label, *(f"{v:.6f}" for v in (score, *found.scores.values()))])
    return f"{display(name)}\t{display(found.label)}\t{score:.3f}"


def _csv(cells: Sequence[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(cells)
    return stream.getvalue()


def _put(lines: list[str], line: str, output: Path | None) -> None:
    if output is None:
        click.echo(line)
    else:
        lines.append(line)
