"""How a prompt's layout matters: order, columns, gap and the size of its cells.

Source: Bar et al. 2022, arXiv:2209.00647 (study of prompt layouts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from vicl.canvas.layout import MIN_CELL_PATCHES, Layout, Order
from vicl.canvas.rects import Rect
from vicl.engine import InContextModel, Inpainter
from vicl.evaluation.episodes import Dataset
from vicl.evaluation.studies.table import StudyTable
from vicl.evaluation.studies.variants import Asking, measure, tabulate
from vicl.models.floors import Copy
from vicl.prompting.canvas_model import CanvasModel

GAPS = (0, 4, 8)
"""Pixels between cells, beside the grid's own 2; those below the patch size are tried."""


def run(
    inpainters: Mapping[str, Inpainter],
    dataset: Dataset,
    asking: Asking,
    *,
    examples: int = 1,
) -> StudyTable:
    """Answer the same episodes on one canvas laid out in different ways.

    Args:
        inpainters: By their names.
        dataset: Of any task.
        asking: Which episodes, and how.
        examples: How many an episode shows.

    Returns:
        The table; a layout that a model has no room for, or cannot answer, has no row of it, and
        the notes say so.

    Raises:
        ValueError: If the examples do not fit on an inpainter's canvas.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    variants: dict[str, dict[str, InContextModel]] = {"any layout": {Copy.name: Copy()}}
    notes = [f"Shown: {examples} example(s). Copy has no canvas."]
    for engine, inpainter in inpainters.items():
        for name, layout in variants_of(inpainter, examples).items():
            reason = _refusal(inpainter, layout)
            if reason:
                notes.append(f"{engine}, {name}: not run ({reason}).")
            else:
                variants.setdefault(name, {})[engine] = CanvasModel(inpainter, layout=layout)
    asked = {
        (name, engine): model
        for name, models in variants.items()
        for engine, model in models.items()
    }
    measured = measure(asked, dataset, asking.episodes(dataset, examples), asking)
    return tabulate("layout", "Layout of the prompt", measured, dataset, notes)


def variants_of(inpainter: Inpainter, examples: int) -> dict[str, Layout]:
    """The layouts to compare, by name, the usual one first.

    Raises:
        ValueError: If the examples do not fit on the canvas.
    """
    canvas, patch = inpainter.canvas_size, inpainter.patch_size

    def grid(order: Order = "above", gap: int = 2) -> Layout:
        return Layout.grid(
            examples, canvas_size=canvas, patch_size=patch, order=order, abreast=1, gap=gap
        )

    above = grid()
    found = {"examples above the query": above}
    if Layout.largest(canvas, patch_size=patch, order="left", abreast=1) >= examples:
        found["examples left of the query"] = grid("left")
    found["columns swapped"] = above.arranged(2)
    found |= {f"gap of {gap} px": grid(gap=gap) for gap in GAPS if gap < patch}
    largest = above.hole.height // patch
    for side in range(largest - 1, MIN_CELL_PATCHES - 1, -1):
        found[f"cells of {side}x{side} patches"] = smaller(above, side)
    return found


def smaller(layout: Layout, side: int) -> Layout:
    """The grid with pairs one above the other, with smaller cells, in the middle of its canvas.

    Args:
        layout: Of `examples` rows and the query's.
        side: Of the cells, in patches; at least 4.
    """
    patch, rows = layout.patch_size, layout.examples + 1
    size = rows * side * patch, 2 * side * patch
    inner = Layout.grid(
        layout.examples, canvas_size=size, patch_size=patch, abreast=1, fit=layout.fit
    )
    down, across = (
        (whole - part) // patch // 2 * patch
        for whole, part in zip(layout.canvas_size, size, strict=True)
    )

    def move(rect: Rect) -> Rect:
        return replace(rect, top=rect.top + down, left=rect.left + across)

    return replace(
        inner,
        canvas_size=layout.canvas_size,
        inputs=tuple(map(move, inner.inputs)),
        outputs=tuple(map(move, inner.outputs)),
        query=move(inner.query),
        answer=move(inner.answer),
        hole=move(inner.hole),
    )


def _refusal(inpainter: Inpainter, layout: Layout) -> str:
    """Why an inpainter cannot fill such a hole, as it says itself; "" if it can."""
    noise = torch.rand(3, *layout.canvas_size, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(layout.canvas_size, dtype=torch.bool)
    layout.hole.of(hole)[:] = True
    # What stands outside the cells is of one colour, which some models look at.
    image = torch.full_like(noise, layout.background)
    for cell in layout.cells:
        cell.of(image)[:] = cell.of(noise)
    try:
        inpainter.inpaint(image[None], hole[None])
    except ValueError as error:
        return str(error).split("; ")[0]
    return ""
