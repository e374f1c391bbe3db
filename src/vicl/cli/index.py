"""`vicl index`: a pool's images encoded, so that examples like a query are found quickly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vicl.cli.choosing import ENCODER, INDEX, opened_index
from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, PATH, choice, examples, number, options, text


@click.command(
    epilog=examples(
        "# a folder with images/ and masks/; again after some were added: only those are encoded",
        "vicl index labelled",
        "vicl predict photos --pool labelled --examples 3 --task segmentation -o masks/",
        "# a COCO file, by another encoder, all places of an image, kept beside a prompt file",
        "vicl index instances.json --encoder hub:facebook/dinov2-small --compare places \\",
        "    --index prompts/things.index",
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
    with failing(2, debug=given["debug"]):
        from vicl.selection.pool import open_pool

        opened_index(
            open_pool(pool),
            {"pool": pool, **given},
            encoder=given["encoder"],
            looking=given["compare"],
        )
