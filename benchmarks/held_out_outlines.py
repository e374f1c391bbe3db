"""Outlines of what is labelled in photographs that the outline head did not learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import segmentation

from vicl.evaluation.datasets import ItemDataset, open_dataset
from vicl.images import save_image
from vicl.training.matching.pictures import listed
from vicl.training.recipe.files import load_any
from vicl.training.recipe.head import OutlineRecipe

NAME = "outlines of ccp, held out"


def held_out_outlines(data: Path, out: Path) -> ItemDataset:
    """Draw them into a folder, and open it.

    Args:
        data: A folder of photographs with a manifest, as the recipe `outline-head` takes it.
        out: Where the folder goes: it is private, as `data` is.

    Raises:
        RecipeError: If the photographs are not there.
    """
    recipe = load_any("outline-head")
    assert isinstance(recipe, OutlineRecipe)
    source = recipe.data.photographs[0].model_copy(update={"path": str(data)})
    (held,) = listed(recipe.data.model_copy(update={"photographs": (source,)}), held_out=True)
    boundaries: Any = segmentation.find_boundaries
    folder = Path(out) / "private-runs" / NAME
    for one in held:
        found = one.read()
        border = boundaries(found.labels, mode="inner").astype(np.uint8) * 255
        for side, pixels in (("inputs", found.picture), ("targets", border)):
            path = folder / side / f"{one.row['id']}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_image(Image.fromarray(pixels), path)
    return open_dataset("edges", folder)
