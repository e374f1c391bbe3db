"""The segmenter that comes with the package, on its photographs."""

from __future__ import annotations

import numpy as np
import pytest
from tests.slowly import mostly_slow

import vicl
from vicl.files.packaged import PHOTOS, WEIGHTS
from vicl.images import open_image
from vicl.segmenters.registry import SEGMENTERS


@pytest.mark.parametrize("name", mostly_slow(["coins_1", "dandelion_2"], "dandelion_2"))
def test_a_box_gives_what_it_holds(name: str) -> None:
    from skimage import measure

    marked = np.asarray(open_image(PHOTOS / f"{name}_mask.png").convert("L")) > 127
    things = measure.label(marked)
    thing = things == 1 + np.argmax(np.bincount(things.ravel())[1:])
    rows, columns = np.flatnonzero(thing.any(1)), np.flatnonzero(thing.any(0))
    segmenter = vicl.load_segmenter(device="cpu")
    image = segmenter.encode(PHOTOS / f"{name}.jpg")
    found = image.masks(box=(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    scores = [(mask & thing).sum() / (mask | thing).sum() for mask in found.masks]
    assert max(scores) > 0.75


def test_it_is_named_and_has_a_card() -> None:
    segmenter = vicl.load_segmenter(device="cpu")
    assert segmenter.name == "default"
    assert segmenter.accepts == next(r.accepts for r in SEGMENTERS if r.name == "default")
    folder = WEIGHTS / "promptable"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10 * 2**20
    card = (folder / "README.md").read_text()
    for part in ("apache-2.0", "Learned from", "do not follow from the recipe", "Known failures"):
        assert part in card
