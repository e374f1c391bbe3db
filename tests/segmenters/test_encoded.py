"""What every encoded image does: checking what is asked, and asking for everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from vicl.engine import Candidates, MaskPrompt, PromptableImage
from vicl.prompt import Example
from vicl.segmenters.encoded import EncodedImage

ALL = frozenset({"points", "box", "scribbles", "mask", "text", "example"})
SIZE = (20, 40)
SQUARE = np.ones((3, 3), bool)


class Discs:
    """Answers a point with its half of the image, then all of it; notes what it was asked."""

    def __init__(self, *, stability: float | None = None) -> None:
        self.asked: list[MaskPrompt] = []
        self.at_once: list[int] = []
        self.stability = stability

    def __call__(self, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        self.asked += prompts
        self.at_once.append(len(prompts))
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt: MaskPrompt) -> Candidates:
        masks = np.zeros((2, *SIZE), bool)
        masks[1] = True
        left = not len(prompt.points) or prompt.points[0, 0] < 20
        masks[0, :, :20] = left
        masks[0, :, 20:] = not left
        scores = np.array([0.9 if left else 0.95, 0.75], np.float32)
        steady = None if self.stability is None else np.array([1, self.stability], np.float32)
        return Candidates(masks, scores, steady)


def image(accepts: frozenset[str] = ALL, **options: Any) -> tuple[EncodedImage, Discs]:
    answer = Discs(**options)
    return EncodedImage(SIZE, accepts, answer), answer


def test_every_way_reaches_the_segmenter_in_numbers() -> None:
    encoded, answer = image()
    assert isinstance(encoded, PromptableImage)
    scribbles = np.full(SIZE, 255)
    scribbles[0, 0] = 1
    found = encoded.masks(
        [(3, 4), (5.5, 6)],
        [True, 0],
        box=[-3, 1, 400, 9],
        scribbles=scribbles,
        mask=np.eye(20, 40),
        text="a disc",
        example=("other.png", SQUARE),
    )
    assert repr(found) == "Candidates(2 of 20x40, scores=0.90, 0.75)"
    assert len(found) == 2
    (asked,) = answer.asked
    assert asked.points.tolist() == [[3, 4], [5.5, 6]]
    assert asked.labels.tolist() == [1, 0]
    assert asked.box is not None
    assert asked.box.tolist() == [0, 1, 40, 9]
    assert asked.scribbles is not None
    assert asked.scribbles.dtype == np.uint8
    assert asked.mask is not None
    assert asked.mask.dtype == bool
    assert asked.example is not None
    assert asked.example[0] == "other.png"
    assert asked.ways == ALL


def test_labels_are_in_unless_said() -> None:
    assert MaskPrompt([(1, 2)]).labels.tolist() == [1]
    assert repr(MaskPrompt([(1, 2)], box=(0, 0, 1, 1))) == (
        "MaskPrompt(points=[[1.0, 2.0]], box=[0.0, 0.0, 1.0, 1.0])"
    )
    assert MaskPrompt(example=Example("a.png", SQUARE)).ways == {"example"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "got nothing, expected one or more of points, box, scribbles, mask, text, example"),
        ({"points": []}, "got nothing"),
        ({"points": (3, 4)}, r"for one point write points=\[\(x, y\)\]"),
        ({"points": [(3, 4, 5)]}, r"expected \(x, y\) pairs"),
        ({"points": "left"}, r"expected \(x, y\) pairs"),
        ({"points": [(3, float("nan"))]}, "expected finite numbers"),
        ({"points": [(3, 4), (40, 4)]}, r"points\[1\]: got \(40, 4\), expected x in \[0, 40\)"),
        ({"points": [(-1, 4)]}, r"points\[0\]"),
        ({"points": [(3, 4)], "labels": [1, 0]}, "labels: got 2 for 1 points"),
        ({"labels": [1]}, "labels: got 1 for 0 points"),
        ({"points": [(3, 4)], "labels": [2]}, r"expected 1 \(in\) or 0 \(out\)"),
        ({"box": (9, 1, 3, 5)}, "expected x0 < x1 and y0 < y1"),
        ({"box": (1, 1, 3)}, r"expected \(x0, y0, x1, y1\)"),
        ({"box": (50, 1, 60, 5)}, "lies on the image of 40x20 pixels"),
        ({"scribbles": np.zeros((3, 3))}, "scribbles: got 3x3, expected the image's 20x40"),
        ({"scribbles": np.full(SIZE, 7)}, "expected an array"),
        ({"scribbles": np.full(SIZE, 255)}, "scribbles: got none"),
        ({"mask": np.ones((40, 20))}, "mask: got 40x20, expected the image's 20x40"),
        ({"mask": np.zeros(SIZE)}, "mask: got an empty one"),
        ({"mask": np.full(SIZE, 0.5)}, "True and False"),
        ({"text": " "}, "text: got an empty one"),
        ({"example": "other.png"}, "expected an Example or a pair"),
        ({"example": ("other.png", np.zeros((3, 3)))}, "example's mask: got an empty one"),
    ],
)
def test_what_cannot_be_asked(asked: dict[str, Any], message: str) -> None:
    encoded, answer = image()
    with pytest.raises(ValueError, match=message):
        encoded.masks(**asked)
    assert not answer.asked


def test_a_way_that_is_not_taken_names_who_takes_it() -> None:
    encoded, _ = image(frozenset({"text", "points"}))
    with pytest.raises(ValueError, match=r"box: .* takes points, text; box is taken by default"):
        encoded.masks([(1, 1)], box=(0, 0, 3, 3))


def test_many_keep_their_order() -> None:
    encoded, answer = image()
    found = encoded.many([MaskPrompt([(30, 3)]), MaskPrompt([(3, 3)])])
    assert [one.masks[0, 0, 0] for one in found] == [False, True]
    assert answer.at_once == [2]
    assert encoded.many([]) == []


def test_everything_is_distinct_and_the_best_first() -> None:
    encoded, answer = image()
    found = encoded.everything(grid=4, batch_size=5)
    assert found.scores.tolist() == [np.float32(s) for s in (0.95, 0.9, 0.75)]
    assert [int(mask.sum()) for mask in found.masks] == [400, 400, 800]
    assert found.stability is None
    assert max(answer.at_once) <= 5
    assert len(encoded.everything(grid=4, max_overlap=0.4)) == 2
    assert len(encoded.everything(grid=4, min_score=0.8)) == 2
    assert len(encoded.everything(grid=4, most=1)) == 1
    assert encoded.everything(grid=4, min_area=0.6).scores.tolist() == [0.75]
    assert encoded.everything(grid=1, min_score=1.0).masks.shape == (0, *SIZE)


def test_everything_heeds_stability() -> None:
    encoded, _ = image(stability=0.5)
    found = encoded.everything(grid=2)
    assert found.stability is not None
    assert found.stability.tolist() == [1, 1]
    assert len(encoded.everything(grid=2, min_stability=0.5)) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": 0}, "grid: got 0, expected at least 1"),
        ({"most": 0}, "most: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"min_score": 1.5}, "min_score: got 1.5, expected 0 to 1"),
        ({"max_overlap": -0.1}, "max_overlap"),
        ({"min_area": 2.0}, "min_area"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image()[0].everything(**settings)


def test_picking_keeps_scores_beside_masks() -> None:
    found = image(stability=0.5)[0].masks([(3, 3)]).pick([1, 0])
    assert found.masks[0].all()
    assert found.scores[0] == np.float32(0.75)
    assert found.stability is not None
    assert found.stability[0] == 0.5
