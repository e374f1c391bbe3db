"""The endless source: always the same, rightly described, and as prompts are laid out."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from tests.figures.made import matplotlib_fonts
from torch.utils.data import DataLoader

from vicl.canvas.layout import Layout
from vicl.canvas.rects import Rect
from vicl.figures.figure import Figure
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.figures.synthetic.grids import draw_grid, draw_layout, grid_cells
from vicl.figures.synthetic.rules import RULES, Pair
from vicl.figures.synthetic.scenes.scene import COLOURS
from vicl.images import ImageError, to_pil, to_tensor
from vicl.prompt import Example, Prompt
from vicl.training.data.sources import Lane
from vicl.training.data.streams import DatasetStream

SMALL = SyntheticFigures(size=64, patch_size=8, seed=5)


def part_of(values: np.ndarray, rect: Rect) -> np.ndarray:
    found: np.ndarray = values[rect.top : rect.bottom, rect.left : rect.right]
    return found


def part(figure: Figure, rect: Rect) -> np.ndarray:
    return part_of(figure.image, rect)


def test_a_number_is_a_figure() -> None:
    again = SyntheticFigures(size=64, patch_size=8, seed=5)
    for index in (7, 3, 3):
        first, second = SMALL.figure(index), again.figure(index)
        assert np.array_equal(first.image, second.image)
        assert first.metadata() == second.metadata()
    other = SyntheticFigures(size=64, patch_size=8, seed=6).figure(3)
    assert not np.array_equal(SMALL.figure(3).image, other.image)
    assert not np.array_equal(SMALL.figure(3).image, SMALL.figure(4).image)


DIGESTS = {
    0: "36e24f2516def3ee",
    8: "7f4b4153feb27075",
    16: "1dda198443e6f3f2",
    24: "8c965d7317db612f",
}
"""Number of the first of eight figures of `SMALL` -> SHA-256 of their pixels (Pillow 13.0.0)."""


def test_figures_stay_as_they_were() -> None:
    # A seed is a data set: what draws figures faster draws the same ones, to the bit.
    if PIL.__version__ != "13.0.0":
        pytest.skip(
            f"the digests are of Pillow 13.0.0, this is {PIL.__version__}, which may differ"
        )
    found = {}
    for first in DIGESTS:
        pixels = (SMALL.figure(index).image.tobytes() for index in range(first, first + 8))
        found[first] = hashlib.sha256(b"".join(pixels)).hexdigest()[:16]
    assert found == DIGESTS


def test_random_state_is_left_alone() -> None:
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = pickle.dumps(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    SMALL.figure(0)
    assert pickle.dumps(np.random.get_state()) == before[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_figures_say_what_they_are() -> None:
    kinds = set()
    for index in range(30):
        figure = SMALL.figure(index)
        kinds.add(figure.kind)
        assert figure.image.shape == (64, 64, 3)
        assert figure.image.dtype == np.uint8
        assert figure.rule
        noted = json.loads(json.dumps(figure.metadata()))
        assert noted["index"] == index
        assert noted["licences"] == ["Apache-2.0"] or "CC0-1.0" in noted["licences"]
        assert len(figure.families) == len({cell.row for cell in figure.cells})
        for law in figure.laws:
            assert law.rule in RULES
        hole = figure.hole_mask()
        if figure.kind == "page":
            assert hole is figure.answer is None
        else:
            assert figure.hole.holds(figure.answer)
            assert int(hole.sum()) == figure.hole.height * figure.hole.width
            assert hole is not None
            assert part_of(hole, figure.answer).all()
            assert [c.rect for c in figure.cells if c.role == "answer"] == [figure.answer]
    assert kinds == {"grid", "page"}


def test_rows_follow_their_rule() -> None:
    source = SyntheticFigures(size=64, patch_size=8, mixture={"negative": 1.0}, clean=1.0)
    for index in range(10):
        figure = source.figure(index)
        rows = {cell.row for cell in figure.cells}
        for row in rows:
            before, after = (cell.rect for cell in figure.cells if cell.row == row)
            assert np.array_equal(part(figure, before), 255 - part(figure, after))


def test_pages_follow_their_rules() -> None:
    source = SyntheticFigures(size=224, mixture={"negative": 1.0}, clean=0.0, families=("flat",))
    checked = 0
    for index in range(36):
        figure = source.figure(index)
        cells = [cell for cell in figure.cells if cell.row == 0]
        for cell in cells[1:]:
            if figure.laws[cell.rule].rule == "negative" and cell.rect.size == cells[0].rect.size:
                first, second = (part(figure, r).astype(int) for r in (cells[0].rect, cell.rect))
                # Frames, letters and compression stand above the pictures.
                middle = slice(len(first) // 3, 2 * len(first) // 3)
                checked += int(np.abs(first + second - 255)[middle, middle].mean() < 12)
    assert checked >= 20


def test_a_grid_is_what_the_layout_draws() -> None:
    for index in range(12):
        figure = SyntheticFigures(clean=1.0, seed=1).figure(index)
        count = len(figure.cells) // 2 - 1
        layouts = [Layout.paper(2)] if count == 2 else []
        for order in ("above", "left"):
            layouts.append(Layout.grid(count, order=order))
        layout = next(
            laid
            for grid in layouts
            for laid in (grid.arranged(number) for number in range(1, 9))
            if tuple(c.rect for c in grid_cells(laid)) == tuple(c.rect for c in figure.cells)
        )
        shown = [to_tensor(part(figure, cell.rect)) for cell in figure.cells]
        examples = tuple(map(Example, shown[:-2:2], shown[1:-2:2]))
        canvas = layout.compose(Prompt(examples, shown[-2]))
        visible = ~canvas.hole.numpy()
        if not layout.published:
            expected = np.asarray(to_pil(canvas.image))
            assert np.array_equal(expected[visible], figure.image[visible])
        assert np.array_equal(canvas.hole.numpy(), figure.hole_mask())


def test_layouts_vary_and_fit() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_layout(rng, (224, 224), 16) for _ in range(300)]
    assert np.mean([layout.examples == 1 for layout in drawn]) == pytest.approx(0.8, abs=0.07)
    assert any(layout == Layout.paper(2) for layout in drawn)
    assert Layout.paper(1) in drawn
    assert len(set(drawn)) > 14
    wide = [draw_layout(rng, (128, 256), 16) for _ in range(60)]
    assert {layout.canvas_size for layout in wide} == {(128, 256)}
    with pytest.raises(ValueError, match="do not fit"):
        draw_layout(rng, (32, 32), 16)


def test_draw_grid() -> None:
    layout = Layout.paper(1)
    pairs = [
        Pair(np.full((111, 111, 3), a, np.uint8), np.full((111, 111, 3), a + 1, np.uint8))
        for a in (10, 20)
    ]
    image = draw_grid(layout, pairs)
    corners = [int(image[y, x, 0]) for y in (0, 223) for x in (0, 223)]
    assert corners == [10, 11, 20, 21]
    assert (image[111:113] == 255).all()


def test_lanes_share_the_figures() -> None:
    alone = list(itertools.islice(SMALL.lane(0, 1, 0), 6))
    lanes = [list(itertools.islice(SMALL.lane(index, 3, 0), 2)) for index in range(3)]
    for number, item in enumerate(alone):
        assert np.array_equal(item["image"], lanes[number % 3][number // 3]["image"])
        assert item["figure"].index == number
    later = next(SMALL.lane(0, 1, 8))
    assert not np.array_equal(later["image"], alone[0]["image"])
    assert set(later) == {"image", "hole", "figure"}
    assert len(later) == 3
    with pytest.raises(KeyError):
        later["mask"]


def test_items_passed_over_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = SyntheticFigures.figure

    def counted(self: SyntheticFigures, index: int) -> Figure:
        drawn.append(index)
        return real(self, index)

    monkeypatch.setattr(SyntheticFigures, "figure", counted)
    stream = DatasetStream("synthetic", SMALL)
    picture = stream.reader(Lane(1, 2), seed=0, skip=100)(0)
    assert drawn == [201]
    assert np.array_equal(np.asarray(picture.image), real(SMALL, 201).image)


def test_it_is_iterated_in_order() -> None:
    for number, item in enumerate(itertools.islice(SMALL, 3)):
        assert item["figure"].index == number


@pytest.mark.slow
def test_workers_of_a_loader_share_the_figures() -> None:
    loader = DataLoader(
        SMALL, batch_size=None, num_workers=2, collate_fn=_index, multiprocessing_context="spawn"
    )
    assert sorted(itertools.islice(loader, 6)) == list(range(6))


def _index(item: object) -> int:
    return item["figure"].index  # type: ignore[index,no-any-return]


def test_copies_for_workers_are_light_and_equal() -> None:
    SMALL.figure(0)
    data = pickle.dumps(SMALL)
    assert len(data) < 6000
    assert np.array_equal(pickle.loads(data).figure(2).image, SMALL.figure(2).image)


def test_a_grid_of_any_rule() -> None:
    figure = SMALL.grid("solarise", 4)
    assert figure.rule == "solarise"
    assert figure.kind == "grid"
    assert figure.cells[0].rect == Rect(0, 0, 31, 31)
    before, after = part(figure, figure.cells[2].rect), part(figure, figure.answer)
    assert np.array_equal(after, 2 * np.minimum(before, 255 - before))
    assert not np.array_equal(figure.image, SMALL.grid("solarise", 5).image)
    wide = SyntheticFigures(seed=2).grid("mask", 0, Layout.grid(2))
    assert {cell.row for cell in wide.cells} == {0, 1, 2}
    with pytest.raises(ValueError, match="rule: got 'nosuch'"):
        SMALL.grid("nosuch", 0)


def test_held_out_content_on_demand() -> None:
    source = SyntheticFigures(size=64, patch_size=8, families=("cells", "mosaics"))
    seen = {name for index in range(12) for name in source.figure(index).families}
    assert seen == {"cells", "mosaics"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 100}, "multiple of patch_size"),
        ({"size": 16}, "at least 32"),
        ({"clean": 1.5}, "share of 0 to 1"),
        ({"seed": -1}, "seed: got -1"),
        ({"mixture": {"nosuch": 1.0}}, r"mixture: got \['nosuch'\]"),
        ({"mixture": {}}, "expected names of rules"),
        ({"mixture": {"mask": 0.0}}, "weights above 0"),
        ({"families": ("nosuch",)}, r"families: got \['nosuch'\]"),
        ({"families": ()}, "families: got"),
        ({"masks": "x"}, "without photographs"),
    ],
)
def test_wrong_settings(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SyntheticFigures(**options)


def test_rules_that_no_family_can_show() -> None:
    source = SyntheticFigures(
        size=64, patch_size=8, mixture={"choose-shape": 1.0}, families=("blobs",)
    )
    with pytest.raises(ValueError, match="give more rules or more families"):
        source.figure(0)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two cut-outs, and two photographs with masks."""
    rng = np.random.default_rng(0)
    for name in ("cutouts", "photographs", "masks"):
        (tmp_path / name).mkdir()
    for number in range(2):
        cut = np.zeros((50, 40, 4), np.uint8)
        cut[8:42, 6:34] = [200, 40 + 90 * number, 30, 255]
        Image.fromarray(cut).save(tmp_path / f"cutouts/{number}.png")
        photograph = rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)
        Image.fromarray(photograph).save(tmp_path / f"photographs/{number}.png")
        mask = np.zeros((90, 120), np.uint8)
        mask[20:60, 30:80] = 1 + number
        Image.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    return tmp_path


def test_content_from_files(folders: Path) -> None:
    source = SyntheticFigures(
        size=64,
        patch_size=8,
        families=(),
        cutouts=folders / "cutouts",
        photographs=folders / "photographs",
        masks=folders / "masks",
        cutouts_licence="OFL-1.1",
        photographs_licence="CC-BY-4.0",
    )
    licences, families = set(), set()
    for index in range(40):
        figure = source.figure(index)
        licences |= set(figure.licences)
        families |= set(figure.families)
    assert {"OFL-1.1", "CC-BY-4.0"} <= licences
    assert len(families) == 3
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(copy.figure(3).image, source.figure(3).image)
    assert source.settings()["cutouts"] == str(folders / "cutouts")


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ImageError, match="nosuch"):
        SyntheticFigures(size=64, patch_size=8, families=(), cutouts="nosuch").figure(0)


def test_colours_have_names() -> None:
    # The rules' values name colours: a name that goes would silently change every figure.
    assert {"green", "blue", "red", "white", "black"} <= set(COLOURS)


def test_text_in_fonts_of_ones_own() -> None:
    folder = matplotlib_fonts()
    if folder is None:
        pytest.skip("matplotlib, which comes with fonts, is not installed")
    source = SyntheticFigures(
        size=64, patch_size=8, families=(), fonts=folder, fonts_licence="Bitstream-Vera", clean=1.0
    )
    figure = source.figure(0)
    assert set(figure.families) == {"text in fonts"}
    assert "Bitstream-Vera" in figure.licences
