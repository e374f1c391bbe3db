"""`vicl generate`: a picture from words, and from what stands where."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import (
    DEBUG,
    DEVICE,
    SEED,
    examples,
    flag,
    number,
    options,
    path,
    text,
)
from vicl.cli.segment import parse_numbers, read_scribbles
from vicl.files import check_writable, display
from vicl.generators.registry import MAPS

if TYPE_CHECKING:
    from vicl.generators.scene import Scene

_BOX = "X0,Y0,X1,Y1"


@click.command(
    epilog=examples(
        "# what is named in its boxes (GLIGEN)",
        'vicl generate "a park in spring" --box 40,200,240,480 "a dog" --size 512x512 '
        "--model gligen-folder -o park.png",
        "# along the edges of a photograph, drawn by vicl (ControlNet)",
        'vicl generate "a house in snow" --map edges house_edges.png '
        "--model sd-folder+edges=canny-folder -o snow.png",
        "# another thing in a mask, as vicl predict or vicl segment give it",
        'vicl generate "a red ball" --image dog.jpg --mask dog_mask.png --model inpaint-folder '
        "-o ball.png",
    )
)
@click.argument("prompt", metavar="TEXT")
@options(
    click.Option(
        ["--box", "boxes"],
        nargs=2,
        multiple=True,
        metavar=f"{_BOX} PHRASE",
        help="A box, in pixels of the picture, and what is in it. Repeat for more.",
    ),
    click.Option(
        ["--like"],
        nargs=2,
        multiple=True,
        metavar=f"{_BOX} IMAGE",
        help="A box, and a picture of what is in it. Repeat for more; a box of --box may be one.",
    ),
    path("--keypoints", "FILE", "People by their keypoints: JSON, COCO's or lists of points."),
    click.Option(
        ["--map", "maps"],
        nargs=2,
        multiple=True,
        metavar="KIND FILE",
        help=f"A picture of where things are: {', '.join(MAPS)}. Repeat for other kinds.",
    ),
    path("--image", "FILE", "Change this image, in a mask or in the boxes; the rest stays."),
    path("--mask", "FILE", "A picture of its size: white is painted anew."),
    text(
        "--size",
        "WxH",
        "Of the picture, in pixels.  [default: the image's, the first map's, or the model's own]",
    ),
    SEED,
    number("--steps", 1, "Of denoising.", default=30, most=1000, metavar="N"),
    click.Option(
        ["--guidance"],
        type=click.FloatRange(1, 100),
        metavar="G",
        help="How much the words weigh.  [default: the model's]",
    ),
    text("--model", "FOLDER|hub:OWNER/NAME", "Who paints (vicl models lists them).", required=True),
    path("-o --output", "OUT", "The picture.", required=True),
    path("--sketch", "FILE", "First draw what is asked: boxes, people, maps and the mask."),
    flag("--json as_json", "Print one JSON object."),
    flag("--overwrite", "Replace outputs that exist."),
    DEVICE,
    number("--limit-pixels", 1, "Refuse images with more pixels.", default=64_000_000, metavar="N"),
    DEBUG,
)
def generate(prompt: str, **given: Any) -> None:
    """Paint a picture of TEXT: what is where by boxes, keypoints or maps, or in a part of an image.

    The models are other people's: docs/generation.md says which takes what. Prints the file of the
    picture. The exit code is 0, or 2 for wrong usage, a model that does not take what was asked, or
    a file that cannot be read or written, 130 after Ctrl-C.
    """
    with failing(2, debug=given["debug"], full="give a smaller --size, or --device cpu"):
        _run(prompt, given)


def _run(prompt: str, given: Mapping[str, Any]) -> None:
    from vicl.images import check_suffix, save_image

    for option, file in (("--output", given["output"]), ("--sketch", given["sketch"])):
        if file is None:
            continue
        check_suffix(file)
        if file.exists() and not given["overwrite"]:
            raise click.UsageError(
                f"{option}: {display(file)} exists already; --overwrite replaces it"
            )
        check_writable(file)
    scene, inputs = _scene(prompt, given)
    _check_apart(given, inputs)
    if given["sketch"] is not None:
        from vicl.generators.sketch import sketch

        save_image(sketch(scene), given["sketch"], inputs=inputs)
    from vicl.loading import load_generator

    model = load_generator(given["model"], device=given["device"])
    painted = model.paint(
        scene, seed=given["seed"], steps=given["steps"], guidance=given["guidance"]
    )
    save_image(painted, given["output"], inputs=inputs)
    click.echo(f"painted by {model.name}, weights sha256 {model.weights_hash}", err=True)
    if not given["as_json"]:
        click.echo(display(given["output"]))
        return
    said = {
        "output": str(given["output"]),
        "width": painted.width,
        "height": painted.height,
        "text": prompt,
        "ways": sorted(scene.ways),
        "seed": given["seed"],
        "steps": given["steps"],
        "model": model.name,
        "weights_hash": model.weights_hash,
    }
    click.echo(json.dumps(said))


def _check_apart(given: Mapping[str, Any], inputs: Sequence[Path]) -> None:
    """Refuse to write over what is read, before anything is painted."""
    outputs = [file for file in (given["output"], given["sketch"]) if file is not None]
    if len({os.path.realpath(file) for file in outputs}) < len(outputs):
        raise click.UsageError("--sketch and --output: are one file; give two names")
    sources = {os.path.realpath(file) for file in inputs}
    for file in outputs:
        if os.path.realpath(file) in sources:
            raise click.UsageError(
                f"{display(file)}: is one of the inputs; choose another name for the output"
            )


def _scene(prompt: str, given: Mapping[str, Any]) -> tuple[Scene, list[Path]]:
    """What is asked, and the files that it was read from."""
    from vicl.generators.people import read_keypoints
    from vicl.generators.scene import Scene
    from vicl.images import open_image, to_rgb

    inputs: list[Path] = []

    def picture(file: str | Path) -> Any:
        inputs.append(Path(file))
        return to_rgb(open_image(file, limit_pixels=given["limit_pixels"]))

    boxes: dict[tuple[float, ...], tuple[str | None, Any]] = {
        parse_numbers("--box", box, _BOX): (phrase, None) for box, phrase in given["boxes"]
    }
    if len(boxes) < len(given["boxes"]):
        raise click.UsageError("--box: one box is given twice; expected one phrase a box")
    for box, file in given["like"]:
        place = parse_numbers("--like", box, _BOX)
        boxes[place] = (boxes.get(place, (None, None))[0], picture(file))
    maps = dict(given["maps"])
    if len(maps) < len(given["maps"]):
        raise click.UsageError("--map: one kind is given twice; expected each once")
    if given["mask"] is not None and given["image"] is None:
        raise click.UsageError("--mask goes with --image, of which it is a part")
    hole = None
    if given["mask"] is not None:
        inputs.append(given["mask"])
        hole = read_scribbles(given["mask"], given["limit_pixels"]) == 1
    if given["keypoints"] is not None:
        inputs.append(given["keypoints"])
    size = None
    if given["size"] is not None:
        width, height = _size(given["size"])
        size = (height, width)
    scene = Scene(
        prompt,
        boxes=list(boxes),
        phrases=[phrase for phrase, _ in boxes.values()],
        references=[reference for _, reference in boxes.values()],
        keypoints=None if given["keypoints"] is None else read_keypoints(given["keypoints"]),
        maps={kind: picture(file) for kind, file in maps.items()},
        image=None if given["image"] is None else picture(given["image"]),
        hole=hole,
        size=size,
    )
    return scene, inputs


def _size(written: str) -> tuple[int, int]:
    width, _, height = written.partition("x")
    if not (width.isascii() and width.isdecimal() and height.isascii() and height.isdecimal()):
        raise click.UsageError(f"--size: got {written!r}, expected WxH in pixels, as 512x384")
    return int(width[:9]), int(height[:9])
