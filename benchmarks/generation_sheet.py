"""What generators are asked, on the package's photographs: `docs/generation.jpg`.

    python benchmarks/generation_sheet.py --out docs/generation.jpg

Boxes with phrases and with a reference, people by keypoints, the edges of a photograph as vicl's
task draws them, and a hole that vicl's task finds. No model paints here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import vicl
from vicl.exports.sheets import contact_sheet
from vicl.files.packaged import PHOTOS
from vicl.generators.scene import Scene
from vicl.generators.sketch import sketch
from vicl.images import save_image, to_tensor

SIZE = (320, 400)
PERSON = (
    *((200, 70), (208, 62), (192, 62), (218, 68), (182, 68), (235, 110), (165, 110)),
    *((260, 150), (130, 80), (250, 195), (105, 40), (225, 200), (180, 200)),
    *((240, 250), (165, 250), (235, 300), (160, 300)),
)
"""Somebody who waves, in COCO's order."""


def scenes() -> dict[str, Scene]:
    """What is asked, by its caption."""
    cat = Image.open(PHOTOS / "cat.jpg")
    edges = vicl.predict(
        PHOTOS / "coffee.jpg", [(PHOTOS / "bowl.jpg", PHOTOS / "bowl_edges.png")], "edges"
    )
    found = vicl.predict(
        PHOTOS / "dandelion_2.jpg",
        [(PHOTOS / "dandelion_1.jpg", PHOTOS / "dandelion_1_mask.png")],
        "segmentation",
    )
    assert found.mask is not None
    boxes = [(30, 130, 190, 300), (230, 30, 370, 150)]
    return {
        "boxes with phrases": Scene("a park", boxes=boxes, phrases=["a dog", "a kite"], size=SIZE),
        "a reference in a box": Scene(
            "a cat on a sofa", boxes=[(60, 60, 340, 290)], references=[cat], size=SIZE
        ),
        "people by keypoints": Scene(
            "a dancer on a stage", keypoints=[np.array(PERSON)], size=SIZE
        ),
        "edges, by vicl's task": Scene("a marble cup", maps={"edges": edges.image}),
        "a hole, by vicl's task": Scene(
            "a red balloon", image=PHOTOS / "dandelion_2.jpg", hole=found.mask > 0
        ),
    }


def main(arguments: list[str] | None = None) -> int:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("generation.jpg"))
    given = parser.parse_args(arguments)
    asked = scenes()
    row = [to_tensor(sketch(scene)) for scene in asked.values()]
    words = [f'"{scene.text}"' for scene in asked.values()]
    save_image(contact_sheet([row], headers=list(asked), captions=[words]), given.out)
    print(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
