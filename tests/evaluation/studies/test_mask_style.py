from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.evaluation.studies.toy import Toy, called, scores_of

from vicl.engine import Filled
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.evaluation.studies import mask_style
from vicl.evaluation.studies.mask_style import PURPLE, STYLES, YELLOW, flat
from vicl.evaluation.studies.variants import Asking
from vicl.images import resize, to_tensor
from vicl.metrics import iou
from vicl.models.floors import Copy
from vicl.prompt import Prompt


@dataclass
class Gray:
    """Knows the right mask, but draws it white on black whatever the examples look like."""

    name: str = "gray"
    weights_hash: str | None = None
    max_size: int | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        queries = [to_tensor(prompt.query) for prompt in prompts]
        return [Filled(query[1:2].repeat(3, 1, 1)) for query in queries]


def blob(height: int = 96, width: int = 128) -> np.ndarray:
    """A mask of two parts, one of which reaches the picture's edge."""
    y, x = np.mgrid[:height, :width]
    disc = (y - 40) ** 2 + (x - 50) ** 2 < 30**2
    return np.asarray(disc | ((y > 70) & (x > 100)))


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("size", [(96, 128), (111, 111), (64, 64)])
def test_what_is_drawn_can_be_read(name: str, size: tuple[int, int]) -> None:
    """At the size at which it was drawn, and as it stands in a cell."""
    style = STYLES[name]
    drawn = style.draw(blob())
    read = style.read(resize(drawn, size))
    assert read.shape == size
    assert 0 <= float(read.min()) <= float(read.max()) <= 1
    truth = resize(torch.from_numpy(blob()).float().expand(3, -1, -1), size)[0].numpy() > 0.5
    assert iou(read.numpy() > 0.5, truth) > (0.85 if name == "stripes" else 0.93)
    if name not in ("stripes", "outline") and size == (96, 128):
        assert np.array_equal(read.numpy() > 0.5, blob())


def test_a_pixel_is_read_as_the_nearer_colour() -> None:
    style = flat(YELLOW, PURPLE)
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    pixels = image.permute(1, 2, 0).numpy() * 255
    apart = [np.square(pixels - np.array(c)).sum(axis=-1) for c in (YELLOW, PURPLE)]
    assert np.array_equal(style.read(image).numpy() > 0.5, apart[0] < apart[1])
    plain = STYLES["white on black"].read(image)
    assert torch.allclose(plain, image.mean(dim=0), atol=1e-6)


def test_outlines_and_stripes_are_in_the_mask() -> None:
    outline = STYLES["outline"].draw(blob())[0].numpy() > 0.5
    assert not (outline & ~blob()).any()
    depth = ndimage.distance_transform_cdt(np.pad(blob(), 1), "chessboard")[1:-1, 1:-1]
    assert np.array_equal(outline, blob() & (depth <= 6))  # a sixteenth of 96 px
    stripes = STYLES["stripes"].draw(blob())[0].numpy() > 0.5
    assert not (stripes & ~blob()).any()
    assert stripes.sum() == pytest.approx(blob().sum() / 2, rel=0.1)


@pytest.mark.slow
def test_who_draws_white_on_black_only_loses_in_other_styles() -> None:
    toy = Toy(flipped=0.0)
    table = mask_style.run(called(Gray()), toy, Asking(count=6))
    assert table.variants == tuple(STYLES)
    assert table.engines == ("copy", "gray", "the truth")
    assert scores_of(table, "white on black", "gray") == 1.0
    assert scores_of(table, "black on white", "gray") < 0.05  # pixels on borders
    assert scores_of(table, "green on black", "gray") == 1.0  # white is nearer to green
    for style in STYLES:
        # The examples' outputs are the truth here, so that Copy is as good as can be.
        assert scores_of(table, style, "copy") == scores_of(table, style, "the truth")
        assert scores_of(table, style, "the truth") > 0.7


def test_white_on_black_scores_as_without_a_study() -> None:
    toy = Toy()
    table = mask_style.run({}, toy, Asking(count=5))
    scorer = scorer_for("segmentation")
    cases = [toy.load(episode) for episode in toy.episodes(5)]
    answers = Copy().answer([case.prompt for case in cases])
    plain = [scorer.score(*pair).values["iou_cell"] for pair in zip(cases, answers, strict=True)]
    assert table.rows[0].scores == tuple(plain)


def test_only_masks_have_a_style() -> None:
    with pytest.raises(ValueError, match="segmentation or detection, where there are masks"):
        mask_style.run({}, Toy("colorization"), Asking())
