"""A prompt's settings as options: an option for each, named as the setting is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from vicl.cli.options import choice, number, seed, text


def _tile(value: str) -> int | str:
    """A number of pixels, or one of two words."""
    if value in ("auto", "whole"):
        return value
    if not value.isdecimal() or int(value) < 16:
        raise click.BadParameter(f"got {value!r}, expected 'auto', 'whole' or at least 16 pixels")
    return int(value)


SAMPLING = (
    click.Option(
        ["--temperature"],
        type=click.FloatRange(min=0, min_open=True),
        metavar="T",
        help="Of drawn answers: below 1 nearer to the likeliest, above 1 more varied.  "
        "[default: 1]",
    ),
    number("--top-k", 1, "Draw among the K likeliest tokens of each place only.", metavar="K"),
    click.Option(
        ["--coherent"],
        is_flag=True,
        default=None,
        help="Draw all places of an answer alike, not each by itself.",
    ),
)
"""What makes the one setting `sampling`."""

SETTINGS = (
    number(
        "--samples", 1, "Give up to N different answers, best first.  [default: 1]", metavar="N"
    ),
    *SAMPLING,
    text(
        "--tile",
        "PX|auto|whole",
        "Answer large queries in overlapping tiles of PX pixels, or whole.  [default: auto]",
        type=_tile,
    ),
    click.Option(
        ["--white"],
        type=click.FloatRange(min=0, min_open=True),
        metavar="LEVEL",
        help="The value that is white in 16-bit, 32-bit and float images.  [default: the smallest "
        "of 255, 1023, 4095, 16383, 65535 that covers the examples]",
    ),
    choice(
        "--upsampling",
        ("guided", "bicubic"),
        "How answers smaller than the query are enlarged.  [default: guided]",
    ),
    click.Option(
        ["--min-presence"],
        type=click.FloatRange(min=0, max=1),
        metavar="P",
        help="The engine matching: answer nothing where it gives the thing a lower chance of being "
        "there; 0 always answers.  [default: 0.5]",
    ),
    click.Option(
        ["--instances"],
        is_flag=True,
        default=None,
        help="Tell touching objects of a mask apart: in COCO, YOLO, LabelMe and VOC files each has "
        "an entry, and beside a PNG stands NAME.objects.png with their numbers.",
    ),
    number(
        "--arrangements",
        1,
        "Models with a canvas: ask in the first N of the grid's eight arrangements, and fuse the "
        "answers.  [default: 1]",
        most=8,
        metavar="N",
    ),
    choice(
        "--fuse",
        ("answers", "weighted", "images", "vote", "probabilities", "logits", "product", "max"),
        "How the answers of several canvases become one.  [default: answers]",
    ),
    click.Option(
        ["--agree"],
        type=click.FloatRange(min=0, max=1, min_open=True),
        metavar="SHARE",
        help="Ask no more canvases once two or more all agree so much with the answer fused of "
        "them: the IoU of masks, 1 less the mean difference of pictures.  [default: ask all]",
    ),
    number(
        "--examples-per-canvas",
        1,
        "Models with a canvas: show N of the examples on a canvas, the others on canvases of their "
        "own.  [default: as many as fit]",
        most=1024,
        metavar="N",
    ),
    number(
        "--spins",
        1,
        "Models with a canvas: ask again with the pictures moved by parts of a patch, N times "
        "along each axis.  [default: as the model says]",
        most=64,
        metavar="N",
    ),
    seed("  [default: 0]", metavar="N"),
)
"""The options; none has a default of its own, since what a prompt file says comes before it."""


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, by name, from the options' values."""
    from vicl.engine import Sampling

    settings = {name: value for name, value in given.items() if value is not None}
    drawing = {o.name: settings.pop(o.name) for o in SAMPLING if o.name in settings}
    return settings | ({"sampling": Sampling(**drawing)} if drawing else {})
