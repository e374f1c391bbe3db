"""`vicl segment`: clicks, a box or scribbles on one photograph to masks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import (
    DEBUG,
    DEVICE,
    FORMATS,
    MIN_AREA,
    PATH,
    TOLERANCE,
    choice,
    examples,
    flag,
    number,
    options,
    path,
    text,
)
from vicl.cli.outputs import check_outputs
from vicl.files import display

if TYPE_CHECKING:
    import numpy as np

    from vicl.engine import Candidates
    from vicl.exports.answers import Answer


@click.command(
    epilog=examples(
        "# the thing at x=120, y=80",
        "vicl segment dog.jpg --point 120,80 -o dog_mask.png",
        "# without its collar, as LabelMe outlines, with a picture for review",
        "vicl segment dog.jpg --point 120,80 --not 110,120 --format labelme --overlay -o dog.json",
        "# what a box holds, and the other masks that it may mean",
        "vicl segment dog.jpg --box 40,30,200,220 --candidates -o box_mask.png",
        "# all things, as a COCO file",
        "vicl segment dog.jpg --everything --format coco -o things.json",
    )
)
@click.argument("photo", type=PATH)
@options(
    text(
        "--point points", "X,Y", "A point of the thing, in pixels. Repeat for more.", multiple=True
    ),
    text("--not outside", "X,Y", "A point that is not of it. Repeat for more.", multiple=True),
    text("--box", "X0,Y0,X1,Y1", "A box around it, in pixels."),
    path(
        "--scribble",
        "FILE",
        "A picture of the photograph's size: white is of the thing, black is not, gray or "
        "transparent says nothing.",
    ),
    path("--mask", "FILE", "A coarse mask of the photograph's size: white is of the thing."),
    text("--text", "WORDS", "What it is called: for a segmenter that reads (vicl models)."),
    click.Option(
        ["--example"],
        nargs=2,
        type=PATH,
        metavar="IMAGE MASK",
        help="Another image, and a mask of such a thing in it: likewise.",
    ),
    flag("--everything", "All masks of the photograph; each is an object."),
    number(
        "--grid", 1, "--everything: points a side at which it asks.  [default: 16]", metavar="N"
    ),
    click.Option(
        ["--min-score"],
        type=click.FloatRange(min=0, max=1),
        metavar="S",
        help="--everything: leave out masks with a lower score.  [default: 0.5]",
    ),
    flag("--candidates", "Also write the other masks that may be meant: NAME.2.png, NAME.3.png."),
    text("--name", "NAME", "What the thing is called.", default="object"),
    text("--model", "NAME|FOLDER", "The segmenter.", default="default"),
    text("-o --output", "OUT", "A file, or a folder (ending with a slash)."),
    choice(
        "--format format_",
        FORMATS,
        "Of the mask.",
        "png",
    ),
    TOLERANCE,
    MIN_AREA,
    flag("--overlay", "Also write NAME.overlay.png: the photograph with the mask over it."),
    flag("--json as_json", "Print one JSON object."),
    flag("--overwrite", "Replace outputs that exist."),
    DEVICE,
    number("--limit-pixels", 1, "Refuse images with more pixels.", default=64_000_000, metavar="N"),
    DEBUG,
)
def segment(photo: Path, **given: Any) -> None:
    """Give the mask of a thing in PHOTO that points, a box or scribbles show.

    Prints the file of the mask. The exit code is 0, or 2 for wrong usage or a file that cannot be
    read or written, 130 after Ctrl-C.
    """
    with failing(2, debug=given["debug"]):
        _run(photo, given)


def parse_point(option: str, written: str) -> tuple[float, float]:
    """A point of the command line.

    Raises:
        click.UsageError: If it is none.
    """
    return parse_numbers(option, written, "X,Y")  # type: ignore[return-value]


def parse_numbers(option: str, written: str, expected: str) -> tuple[float, ...]:
    """Numbers of the command line, as many as `expected` has words between commas.

    Raises:
        click.UsageError: If they are others.
    """
    try:
        found = tuple(float(value) for value in written.split(","))
    except ValueError:
        found = ()
    if len(found) != len(expected.split(",")):
        raise click.UsageError(f"{option}: got {written!r}, expected {expected} in pixels")
    return found


def _run(photo: Path, given: Mapping[str, Any]) -> None:
    _check(given)
    prompt = _prompt(given)
    from vicl.exports.answers import Query, as_annotation, as_row
    from vicl.exports.candidates import all_as_answer, as_answer
    from vicl.exports.masks import objects_image
    from vicl.exports.overlay import overlay
    from vicl.exports.writers import open_writer
    from vicl.images import open_image, to_rgb

    query = Query(photo, PurePath(photo.name))
    picture = to_rgb(open_image(photo, limit_pixels=given["limit_pixels"]))
    found = _masks(picture, prompt, given)
    name = given["name"]
    # Where nothing of a name is there, the mask is empty.
    several = given["everything"] or not len(found)
    answer = all_as_answer(found, name) if several else as_answer(found, name)
    written = None
    if given["output"] is not None:
        numbered = given["everything"] and given["format_"] == "png"
        beside = ["overlay"] * given["overlay"] + ["objects"] * numbered
        with open_writer(
            given["output"],
            [query],
            format=given["format_"],
            classes=(name,),
            samples=max(1, len(found)) if given["candidates"] else 1,
            beside=beside,
            sources=[
                file
                for file in (given["scribble"], given["mask"], *(given["example"] or ()))
                if file is not None
            ],
            overwrite=given["overwrite"],
            tolerance=given["tolerance"] or 0.0,
            min_area=given["min_area"] or 1,
        ) as writer:
            if writer.done(query) and not given["overwrite"]:
                raise click.UsageError(
                    f"{display(given['output'])} exists already; --overwrite replaces it"
                )
            if given["overlay"]:
                drawn = overlay(picture, as_annotation(photo.name, answer))
                writer.save_beside(query, "overlay", drawn)
            if numbered and answer.objects is not None:
                writer.save_beside(query, "objects", objects_image(answer.objects))
            written = writer.write(query, _chosen(answer, given))
    scores = [round(float(score), 4) for score in found.scores]
    if given["as_json"]:
        click.echo(json.dumps(as_row(query, _chosen(answer, given), written) | {"scores": scores}))
        return
    click.echo(display(written or photo))
    told = ", ".join(f"{score:.2f}" for score in scores[:8])
    click.echo(f"{len(scores)} masks, scores {told or 'none'}", err=True)


def _chosen(answer: Answer, given: Mapping[str, Any]) -> Answer:
    """The answer, without its alternatives where nobody wants them."""
    from dataclasses import replace

    return answer if given["candidates"] else replace(answer, alternatives=())


def _check(given: Mapping[str, Any]) -> None:
    """Refuse options that contradict one another, before anything is loaded."""
    ways = ("points", "outside", "box", "scribble", "mask", "text", "example")
    shown = any(given[way] for way in ways)
    if shown == given["everything"]:
        raise click.UsageError(
            "give --point X,Y, --box X0,Y0,X1,Y1, --scribble FILE, --mask FILE, --text WORDS or "
            "--example IMAGE MASK; or --everything"
        )
    if not given["everything"] and not (given["grid"] is given["min_score"] is None):
        raise click.UsageError("--grid and --min-score go with --everything")
    if given["everything"] and given["candidates"]:
        raise click.UsageError("--candidates are of a prompt; --everything gives all masks")
    if given["candidates"] and (given["output"] is None or given["format_"].startswith("coco")):
        raise click.UsageError("--candidates goes with --output, and a COCO file holds one mask")
    if given["output"] is None and not given["as_json"]:
        raise click.UsageError("give --output OUT (or --json to print what was found)")
    check_outputs(given)


def _prompt(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, as :class:`vicl.prompt.MaskPrompt` takes it."""
    points = [("--point", written, 1) for written in given["points"]]
    points += [("--not", written, 0) for written in given["outside"]]
    asked: dict[str, Any] = {
        "points": [parse_point(option, written) for option, written, _ in points],
        "labels": [label for *_, label in points],
    }
    if given["box"]:
        asked["box"] = parse_numbers("--box", given["box"], "X0,Y0,X1,Y1")
    if given["scribble"] is not None:
        asked["scribbles"] = read_scribbles(given["scribble"], given["limit_pixels"])
    if given["mask"] is not None:
        asked["mask"] = read_scribbles(given["mask"], given["limit_pixels"]) == 1
    if given["text"] is not None:
        asked["text"] = given["text"]
    if given["example"]:
        image, mask = given["example"]
        asked["example"] = (image, read_scribbles(mask, given["limit_pixels"]) == 1)
    return asked


def read_scribbles(file: Path, limit_pixels: int) -> np.ndarray:
    """A picture as scribbles: 1 where it is white, 0 where black, 255 elsewhere."""
    import numpy as np

    from vicl.images import open_image

    opened = open_image(file, limit_pixels=limit_pixels).convert("LA")
    levels, opaque = np.moveaxis(np.asarray(opened), 2, 0)
    found = np.full(levels.shape, 255, np.uint8)
    found[(levels >= 192) & (opaque >= 128)] = 1
    found[(levels < 64) & (opaque >= 128)] = 0
    return found


def _masks(picture: Any, asked: Mapping[str, Any], given: Mapping[str, Any]) -> Candidates:
    from vicl.loading import load_segmenter

    image = load_segmenter(given["model"], device=given["device"]).encode(picture)
    if given["everything"]:
        how = {name: given[name] for name in ("grid", "min_score") if given[name] is not None}
        return image.everything(**how)
    return image.masks(**asked)
