"""Maskings: exact counts, their shapes, and that only the generator decides."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tests.slowly import mostly_slow
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.training.masking import (
    AnswerCell,
    Blocks,
    Everything,
    Masking,
    RandomPatches,
    RandomRectangles,
    answer_cells,
    choose_masking,
    draw_holes,
)

GRIDS = [(14, 14), (4, 4), (2, 3), (9, 20), (20, 9), (1, 7)]
MASKINGS: list[Masking] = [
    RandomPatches(),
    RandomPatches(ratio=0.01),
    RandomPatches(ratio=0.99),
    RandomRectangles(),
    RandomRectangles(low=1, high=1),
    Blocks(),
    Blocks(ratio=0.95),
    AnswerCell(),
    Everything(),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(hole: Tensor) -> tuple[int, int, int, int]:
    """Top, left, height, width of what is hidden."""
    rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("masking", MASKINGS, ids=str)
def test_every_canvas_of_a_batch_hides_equally_much(
    masking: Masking, grid: tuple[int, int]
) -> None:
    before = torch.get_rng_state()
    for seed in range(5):
        hidden = masking.draw(7, grid, seeded(seed))
        assert hidden.dtype == torch.bool
        assert hidden.shape == (7, *grid)
        counts = hidden.flatten(1).sum(1)
        assert (counts == counts[0]).all()
        assert counts[0] >= 1
        assert torch.equal(hidden, masking.draw(7, grid, seeded(seed)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", [RandomPatches, Blocks])
def test_ratios_are_met_exactly(kind: type[RandomPatches] | type[Blocks]) -> None:
    for ratio, count in [(0.75, 147), (0.4, 78), (0.001, 1), (0.999, 195)]:
        assert (kind(ratio=ratio).draw(3, (14, 14), seeded()).flatten(1).sum(1) == count).all()
    with pytest.raises(ValueError, match="at least two"):
        kind().draw(1, (1, 1), seeded())


def test_patches_are_hidden_everywhere_alike_and_independently() -> None:
    hidden = RandomPatches(ratio=0.75).draw(4000, (4, 4), seeded()).float()
    assert (hidden.mean(0) - 0.75).abs().max() < 0.03
    pairs = (hidden[:, 0, 0] * hidden[:, 0, 1]).mean()
    assert abs(float(pairs) - 0.75 * 11 / 15) < 0.03  # without replacement: 12 of 16


def test_rectangles_are_rectangles() -> None:
    masking = RandomRectangles(low=0.1, high=0.4)
    sizes, places = set(), set()
    for seed in range(40):
        hidden = masking.draw(8, (20, 10), seeded(seed))
        boxes = [box(hole) for hole in hidden]
        for hole, (_, _, height, width) in zip(hidden, boxes, strict=True):
            assert int(hole.sum()) == height * width
        assert len({found[2:] for found in boxes}) == 1
        sizes.add(boxes[0][2:])
        places |= {found[:2] for found in boxes}
    assert {h for h, _ in sizes} == set(range(2, 9))
    assert {w for _, w in sizes} == {1, 2, 3, 4}
    # They reach every edge.
    assert min(places)[0] == 0
    assert min(left for _, left in places) == 0
    assert max(top for top, _ in places) >= 16
    assert max(left for _, left in places) >= 8
    assert RandomRectangles(low=1, high=1).draw(2, (5, 3), seeded()).all()


def test_blocks_hang_together() -> None:
    grid = (14, 14)
    hidden = Blocks(ratio=0.4).draw(300, grid, seeded())
    scattered = RandomPatches(ratio=0.4).draw(300, grid, seeded())

    def neighbours(hole: Tensor) -> float:
        """Share of the hidden patches' right neighbours that are hidden too."""
        left, right = hole[:, :, :-1], hole[:, :, 1:]
        return float((left & right).sum() / left.sum())

    assert neighbours(scattered) < 0.45
    assert neighbours(hidden) > 0.8
    shares = hidden.float().mean(0)
    assert (shares > 0.01).all()  # blocks lie inside the canvas: its corners are hidden least
    # Neither way preferred: where the last block is cut hardly matters.
    assert (shares - shares.flip(1)).mean(0).abs().max() < 0.08
    assert abs(float(shares[:7].mean() - shares[7:].mean())) < 0.1


def test_blocks_of_one_masking_match_a_plain_version() -> None:
    """The first `count` patches, in the order in which blocks drawn one by one cover them."""
    batch, grid = 5, (10, 12)
    count = round(0.6 * 120)
    hidden = Blocks(ratio=0.6).draw(batch, grid, seeded(3))
    generator = seeded(3)
    order: list[list[tuple[int, int]]] = [[] for _ in range(batch)]
    while min(map(len, order)) < count:
        uniform = torch.rand(4, batch, generator=generator)
        for canvas in range(batch):
            u = uniform[:, canvas]
            area = 16 + u[0] * max(0, count - len(order[canvas]) - 16)
            ratio = 0.3 ** (2 * u[1] - 1)
            height = min(grid[0], max(1, round(float((area * ratio).sqrt()))))
            width = min(grid[1], max(1, round(float((area / ratio).sqrt()))))
            top = int(u[2] * (grid[0] - height + 1))
            left = int(u[3] * (grid[1] - width + 1))
            for row in range(top, top + height):
                for column in range(left, left + width):
                    if (row, column) not in order[canvas]:
                        order[canvas].append((row, column))
    expected = torch.zeros(batch, *grid, dtype=torch.bool)
    for canvas, places in enumerate(order):
        for row, column in places[:count]:
            expected[canvas, row, column] = True
    assert torch.equal(hidden, expected)


@pytest.mark.parametrize(
    "grid", mostly_slow([(14, 14), (16, 16), (9, 20), (20, 9), (28, 28)], (14, 14), (9, 20))
)
def test_answers_are_the_holes_of_layouts(grid: tuple[int, int]) -> None:
    canvas = (grid[0] * 16, grid[1] * 16)
    allowed = set()
    for arrangement in range(1, 9):
        for order in ("above", "left"):
            for examples in range(1, Layout.largest(canvas, order=order) + 1):
                layout = Layout.grid(examples, canvas_size=canvas, order=order)
                turned = layout.arranged(arrangement)
                if turned.canvas_size == canvas:
                    hole = turned.hole
                    allowed.add((hole.top, hole.left, hole.height, hole.width))
    seen = set()
    for seed in range(40):
        for hole in AnswerCell().draw(12, grid, seeded(seed)):
            top, left, height, width = (16 * value for value in box(hole))
            assert int(hole.sum()) * 256 == height * width
            seen.add((top, left, height, width))
    assert seen == allowed


def test_answers_on_the_papers_canvas() -> None:
    groups = answer_cells((14, 14))
    assert [cells[0].height for cells in groups] == [7, 4]  # one example, two examples
    assert len(groups[0]) == 4


def test_answers_on_small_canvases_are_quarters() -> None:
    seen = {box(hole) for hole in AnswerCell().draw(64, (4, 4), seeded())}
    assert seen == {(top, left, 2, 2) for top in (0, 2) for left in (0, 2)}
    assert {box(hole)[2:] for hole in AnswerCell().draw(64, (5, 3), seeded())} == {(2, 1)}


def test_a_mixture_is_drawn_by_weight() -> None:
    maskings = [RandomPatches(ratio=0.5, weight=1), Everything(weight=3)]
    generator = seeded()
    chosen = [choose_masking(maskings, generator) for _ in range(1000)]
    assert 0.71 < sum(masking is maskings[1] for masking in chosen) / 1000 < 0.79
    with pytest.raises(ValueError, match=r"maskings: got none"):
        choose_masking([], generator)


def test_holes_in_pixels_are_whole_patches() -> None:
    holes = draw_holes(RandomPatches(ratio=0.5), 3, (12, 20), 4, seeded())
    assert holes.shape == (3, 12, 20)
    assert holes.device.type == "cpu"
    patches = holes.reshape(3, 3, 4, 5, 4).transpose(2, 3).flatten(3)  # (b, rows, columns, 16)
    assert torch.equal(patches.any(3), patches.all(3))
    assert (patches.all(3).flatten(1).sum(1) == 8).all()  # 7.5, rounded to even
    with pytest.raises(ValueError, match=r"multiples of patch_size \(5\)"):
        draw_holes(Everything(), 1, (8, 8), 5, seeded())


def test_maskings_are_checked() -> None:
    adapter: TypeAdapter[Masking] = TypeAdapter(Masking)
    assert adapter.validate_python({"kind": "blocks", "ratio": 0.3}) == Blocks(ratio=0.3)
    for wrong, fault in (
        ({"kind": "patches", "ratio": 1.0}, "should be less than 1"),
        ({"kind": "patches", "share": 0.5}, "Extra inputs"),
        ({"kind": "rectangles", "low": 0.5, "high": 0.4}, "low: got 0.5"),
        ({"kind": "all", "weight": 0}, "should be greater than 0"),
        ({"kind": "random"}, "tag 'random'"),
    ):
        with pytest.raises(ValidationError, match=fault):
            adapter.validate_python(wrong)
