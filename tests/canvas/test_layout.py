"""Layouts: the published geometry to the pixel, and what every layout promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.pictures import picture
from torch import Tensor

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.canvas.layout import Layout, Order
from vicl.canvas.rects import Fit, Rect, place
from vicl.prompt import Prompt


def prompt_for(layout: Layout, seed: int = 0) -> Prompt:
    """A prompt whose pictures have their cells' own sizes."""
    pairs = [
        (picture(*cell.size, seed=seed + 2 * i), picture(*cell.size, seed=seed + 2 * i + 1))
        for i, cell in enumerate(layout.inputs)
    ]
    return Prompt(pairs, picture(*layout.query.size, seed=seed + 99))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    patch = draw(st.sampled_from([2, 8, 16]))
    height, width = (draw(st.integers(8, 40)) * patch for _ in range(2))
    kind: Order | None = draw(st.sampled_from(["above", "left", None]))
    fit: Fit = draw(st.sampled_from(["stretch", "pad", "crop"]))
    if kind is None:
        examples = draw(st.integers(1, (width // patch - 2) // 2))
        layout = Layout.strip(examples, canvas_size=(height, width), patch_size=patch, fit=fit)
    else:
        largest = Layout.largest((height, width), patch_size=patch, order=kind)
        layout = Layout.grid(
            draw(st.integers(1, largest)),
            canvas_size=(height, width),
            patch_size=patch,
            order=kind,
            gap=draw(st.sampled_from([0, 2] if patch > 2 else [0])),
            fit=fit,
        )
    return layout.arranged(draw(st.integers(1, 8)))


def test_published_grid_of_one_example() -> None:
    layout = Layout.paper(1)
    assert layout.inputs == (Rect(0, 0, 111, 111),)
    assert layout.outputs == (Rect(0, 113, 111, 111),)
    assert layout.query == Rect(113, 0, 111, 111)
    assert layout.answer == Rect(113, 113, 111, 111)
    assert layout.hole == Rect(112, 112, 112, 112)
    canvas = layout.compose(prompt_for(layout))
    assert (canvas.image[:, 111:113] == 1).all()  # the gap is white
    assert (canvas.image[:, :, 111:113] == 1).all()
    assert int(canvas.hole.sum()) == 49 * 256


def test_published_grid_of_two_examples_hides_five_rows_of_the_second() -> None:
    layout = Layout.paper(2)
    assert [cell.top for cell in layout.cells] == [0, 75, 0, 75, 150, 150]
    assert [cell.left for cell in layout.cells] == [37, 37, 113, 113, 37, 113]
    assert {cell.size for cell in layout.cells} == {(74, 74)}
    canvas = layout.compose(prompt_for(layout))
    rows, columns = torch.where(canvas.hole)
    assert (int(rows.min()), int(rows.max())) == (144, 223)
    assert (int(columns.min()), int(columns.max())) == (112, 191)
    assert layout.outputs[1].bottom - layout.hole.top == 5
    assert (canvas.image[:, :, :37] == 0).all()  # the margin is black


def test_only_one_or_two_examples_were_published() -> None:
    with pytest.raises(ValueError, match="1 or 2"):
        Layout.paper(3)


def test_grid_of_one_example_is_the_published_one() -> None:
    assert Layout.grid(1) == Layout.paper(1)


def test_golden_canvas(shared: Path) -> None:
    """The 2x2 of the published code, rebuilt from the four photographs."""
    golden = np.load(shared / "goldens" / "mae_vqgan_small.npz")
    cells = shared / "goldens" / "cells"
    layout = Layout.paper(1)
    prompt = Prompt(
        [(cells / "100075.jpg", cells / "100080.jpg")],
        cells / "100098.jpg",
    )
    canvas = layout.compose(prompt)
    hidden = torch.from_numpy(np.array(Image.open(cells / "103041.jpg").convert("RGB")))
    layout.answer.of(canvas.image)[:] = layout.draw(
        hidden.permute(2, 0, 1).float() / 255, layout.answer
    )
    assert torch.equal(canvas.image, torch.from_numpy(golden["canvas"]))
    patches = canvas.hole.reshape(14, 16, 14, 16)[:, 0, :, 0].reshape(-1)
    assert np.array_equal(patches.numpy(), golden["mask"])


def test_golden_arrangements(shared: Path) -> None:
    """All eight arrangements stand as in the published prompt-SelF code."""
    golden = np.load(shared / "goldens" / "prompt_self" / "arrangements.npz")
    paper = Layout.paper(1)
    # The golden canvas is the same grid, with cells of 6 px at 0 and 8.
    tiny = Layout(
        (14, 14),
        1,
        (Rect(0, 0, 6, 6),),
        (Rect(0, 8, 6, 6),),
        Rect(8, 0, 6, 6),
        Rect(8, 8, 6, 6),
        hole=Rect(7, 7, 7, 7),
    )
    cells = {
        name: torch.from_numpy(golden[f"cell/{name}"])
        for name in ("support_img", "support_mask", "query_img", "query_mask")
    }
    for index, number in enumerate(ARRANGEMENTS):
        layout = tiny.arranged(number)
        image = torch.ones(3, 14, 14)
        for cell, name in zip(layout.cells, cells, strict=True):
            cell.of(image)[:] = cells[name]
        assert torch.equal(image, torch.from_numpy(golden["canvas"][index])), number
        top, bottom, left, right = golden["hole_boxes_224"][index].tolist()
        answer = paper.arranged(number).answer
        assert (answer.top, answer.bottom, answer.left, answer.right) == (top, bottom, left, right)
        hole = paper.arranged(number).compose(prompt_for(paper)).hole
        patches = hole.reshape(14, 16, 14, 16)[:, 0, :, 0]
        assert np.array_equal(patches.numpy(), golden["hole_mask_14x14"][index])


@given(layouts())
@settings(max_examples=60)
def test_what_goes_into_a_cell_comes_out(layout: Layout) -> None:
    prompt = prompt_for(layout)
    canvas = layout.compose(prompt)
    for cell, shown in zip(
        (*layout.inputs, *layout.outputs, layout.query),
        (*(e.input for e in prompt.examples), *(e.output for e in prompt.examples), prompt.query),
        strict=True,
    ):
        assert torch.equal(cell.of(canvas.image), shown)
    filled = torch.where(canvas.hole, picture(*layout.canvas_size, seed=5), canvas.image)
    assert torch.equal(layout.crop(filled), layout.answer.of(picture(*layout.canvas_size, seed=5)))


@given(layouts())
@settings(max_examples=60)
def test_the_hole_is_whole_patches_and_hides_nothing(layout: Layout) -> None:
    hole = layout.compose(prompt_for(layout)).hole
    p = layout.patch_size
    patches = hole.reshape(hole.shape[0] // p, p, hole.shape[1] // p, p)
    assert torch.equal(patches.all(dim=3).all(dim=1), patches.any(dim=3).any(dim=1))
    assert layout.answer.of(hole).all()
    for cell in (*layout.inputs, *layout.outputs, layout.query):
        assert not cell.of(hole).any()


@given(layouts(), st.integers(1, 8))
@settings(max_examples=30)
def test_arrangements_keep_sizes_and_count(layout: Layout, number: int) -> None:
    other = layout.arranged(number)
    assert sorted(sorted(c.size) for c in other.cells) == sorted(
        sorted(c.size) for c in layout.cells
    )
    assert other.arranged(1) == other


@pytest.mark.parametrize("order", ["above", "left"])
@pytest.mark.parametrize("examples", range(1, 9))
def test_one_to_eight_examples_in_both_orders(examples: int, order: str) -> None:
    layout = Layout.grid(examples, canvas_size=(576, 576), order=order)  # type: ignore[arg-type]
    assert layout.examples == examples
    assert {cell.size for cell in layout.cells} == {layout.query.size}
    # The answer stands last in raster order, for models that complete a canvas in that order.
    assert max(layout.cells, key=lambda c: (c.bottom, c.right)) == layout.answer
    before = "top" if order == "above" else "left"
    for cell_in, cell_out in zip(layout.inputs, layout.outputs, strict=True):
        # A pair stands side by side in rows, one above the other in columns.
        assert getattr(cell_in, before) == getattr(cell_out, before)
        assert getattr(cell_in, before) <= getattr(layout.query, before)


def test_pairs_may_stand_two_abreast() -> None:
    wide = Layout.grid(3, canvas_size=(256, 512))
    assert [(c.top < 128, c.left // 128) for c in wide.cells] == [
        (True, 0), (True, 2), (False, 0), (True, 1), (True, 3), (False, 1), (False, 2), (False, 3),
    ]  # fmt: skip
    single = Layout.grid(3, canvas_size=(512, 512), abreast=1)
    assert len({cell.top for cell in single.cells}) == 4
    with pytest.raises(ValueError, match="from 2 examples"):
        Layout.grid(1, canvas_size=(512, 512), abreast=2)


def test_too_many_examples_names_the_largest_that_fits() -> None:
    with pytest.raises(ValueError, match="largest number that fits is 2"):
        Layout.grid(3)
    assert Layout.largest() == 2
    Layout.grid(2)


def test_strip_has_its_hole_last() -> None:
    layout = Layout.strip(1, canvas_size=(256, 1024))
    assert [cell.left for cell in layout.cells] == [0, 256, 512, 768]
    assert layout.hole == layout.answer == Rect(0, 768, 256, 256)
    with pytest.raises(ValueError, match="expected 1 to 7"):
        Layout.strip(8, canvas_size=(256, 256))


def test_layouts_refuse_broken_geometry() -> None:
    layout = Layout.paper(1)
    with pytest.raises(ValueError, match="hides part"):
        replace(layout, hole=Rect(96, 112, 128, 112))
    with pytest.raises(ValueError, match="whole patches"):
        replace(layout, hole=Rect(113, 113, 111, 111))
    with pytest.raises(ValueError, match="overlaps"):
        replace(layout, query=Rect(100, 0, 111, 111))
    with pytest.raises(ValueError, match="expected 1, which"):
        layout.compose(prompt_for(Layout.grid(2)))
    with pytest.raises(ValueError, match="arrangement"):
        layout.arranged(9)


def nearest(values: Tensor, part: Rect) -> Tensor:
    return torch.nn.functional.interpolate(values[None], part.size, mode="nearest-exact")[0]


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.sampled_from(["stretch", "pad", "crop"]),
)
@settings(max_examples=100)
def test_placement_is_inside_both_and_keeps_the_aspect(size: tuple[int, int], fit: Fit) -> None:
    placement = place(size, (111, 111), fit)
    assert Rect(0, 0, *size).holds(placement.image)
    assert Rect(0, 0, 111, 111).holds(placement.cell)
    if fit == "pad":
        assert placement.image.size == size
        assert max(placement.cell.size) == 111
    if fit == "crop":
        assert placement.cell.size == (111, 111)
        assert min(placement.image.size) == min(size)
    if fit != "stretch":
        scales = [c / i for c, i in zip(placement.cell.size, placement.image.size, strict=True)]
        shortest = min(*placement.cell.size, *placement.image.size)
        assert shortest < 8 or abs(scales[0] / scales[1] - 1) <= 1.5 / shortest


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(60, 200), (200, 60), (150, 150)])
def test_an_answer_stands_where_the_query_stood(fit: Fit, size: tuple[int, int]) -> None:
    """Drawing a mask into the answer's cell and bringing it back gives the mask."""
    layout = replace(Layout.paper(1), fit=fit)
    mask = torch.zeros(3, *size)
    mask[:, size[0] // 3 : size[0] * 2 // 3, size[1] // 3 : size[1] * 2 // 3] = 1
    back = layout.undraw(layout.draw(mask, layout.answer), size, nearest)
    assert back.shape == mask.shape
    shown = place(size, layout.answer.size, fit).image
    inside = torch.zeros(size, dtype=torch.bool)
    shown.of(inside)[:] = True
    assert (back[:, ~inside] == 0).all()
    disagree = ((back > 0.5) != (mask > 0.5))[:, inside].float().mean()
    assert disagree < 0.06
