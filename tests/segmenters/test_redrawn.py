"""An engine finds, a segmenter draws: on scenes where both are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vicl
from vicl.engine import Candidates, Filled, InContextModel, MaskPrompt, PartialModel, Segmenter
from vicl.prompt import Prompt
from vicl.segmenters.encoded import EncodedImage
from vicl.segmenters.redrawn import Redrawn, RedrawnParts, redrawn

SIZE = (48, 64)


def scene(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Red squares on grass."""
    image = np.full((*SIZE, 3), (40, 120, 40), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = (200, 30, 30)
    return image


def red(image: np.ndarray) -> np.ndarray:
    return image[..., 0] > 100


class Rough:
    """Finds red, but blurs it by some pixels."""

    name, weights_hash, max_size = "rough", None, None

    def __init__(self, objects: bool = False) -> None:
        self.objects = objects

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        return [self._one(np.asarray(prompt.query)) for prompt in prompts]

    def _one(self, query: np.ndarray) -> Filled:
        there = torch.from_numpy(red(query)).float()
        soft = torch.nn.functional.avg_pool2d(there[None], 7, 1, 3)[0]
        numbers = torch.where(soft > 0.43, 1 + (torch.arange(SIZE[1]) > 32).int(), 0)
        grown = (0.2 + 0.7 * soft).clamp(0, 1) * (soft > 0)
        return Filled(grown.expand(3, -1, -1), objects=numbers if self.objects else None)


class RoughParts(Rough):
    def asked(
        self, *, min_presence: float | None = None, objects: bool = False, masks: bool = False
    ) -> RoughParts:
        return RoughParts(objects)


class Flood:
    """Fills what has one colour around the first point, or around the middle of a box."""

    name, weights_hash = "flood", None

    def __init__(self, *ways: str) -> None:
        self.accepts = frozenset(ways)

    def encode(self, image: Any) -> EncodedImage:
        from scipy import ndimage

        levels = np.asarray(image)
        numbers, _ = ndimage.label(red(levels))

        def one(prompt: MaskPrompt) -> Candidates:
            at = prompt.points[:1]
            if prompt.box is not None:
                at = prompt.box.reshape(2, 2).mean(0, keepdims=True)
            if prompt.mask is not None and not len(at):
                at = np.argwhere(prompt.mask).mean(0, keepdims=True)[:, ::-1]
            column, row = at[0].astype(int)
            mask = (numbers == numbers[row, column])[None]
            return Candidates(mask, np.array([0.9], np.float32))

        return EncodedImage(SIZE, self.accepts, lambda prompts: [one(p) for p in prompts])


EXAMPLE = (scene((5, 5, 20, 20)), red(scene((5, 5, 20, 20))).astype(np.uint8) * 255)
QUERY = scene((4, 6, 24, 30), (40, 10, 60, 40))


@pytest.mark.parametrize("ways", [("points",), ("box",), ("mask",), ("points", "box", "mask")])
def test_what_the_engine_finds_is_drawn_by_the_segmenter(ways: tuple[str, ...]) -> None:
    engine = redrawn(Rough(), Flood(*ways))
    assert isinstance(engine, InContextModel)
    assert not isinstance(engine, PartialModel)
    assert engine.name == "rough+flood"
    prompt = Prompt([EXAMPLE], QUERY)
    (answer,) = engine.answer([prompt])
    assert torch.equal(answer.image.mean(0) > 0.5, torch.from_numpy(red(QUERY)))
    rough = Rough().answer([prompt])[0].image.mean(0) > 0.5
    assert not torch.equal(rough, torch.from_numpy(red(QUERY)))
    assert answer.confidence is not None
    assert answer.confidence.min() >= 0.5


def test_boxes_become_the_masks_that_are_in_them() -> None:
    """Also where two of them overlap, as the engine tells them apart."""

    class Boxes(Rough):
        name = "boxes"

        def _one(self, query: np.ndarray) -> Filled:
            objects = torch.zeros(SIZE, dtype=torch.int32)
            objects[8:44, 36:64], objects[4:34, 2:40] = 2, 1
            return Filled((objects > 0).float().expand(3, -1, -1), objects=objects)

    for ways in (("box",), ("points", "box", "mask")):
        engine = redrawn(Boxes(), Flood(*ways))
        (answer,) = engine.answer([Prompt([EXAMPLE], scene((4, 6, 24, 30), (44, 10, 60, 40)))])
        assert answer.objects is not None
        assert answer.objects.unique().tolist() == [0, 1, 2]
        assert not answer.image[:, :4].any()
        assert (answer.image[0, 6:30, 4:24] == 1).all()


def test_nothing_there_stays_nothing() -> None:
    (answer,) = redrawn(Rough(), Flood("points")).answer([Prompt([EXAMPLE], scene())])
    assert answer.image.max() == 0


def test_a_mask_that_does_not_fit_is_not_taken() -> None:
    class Everything(Flood):
        def encode(self, image: Any) -> EncodedImage:
            whole = Candidates(np.ones((1, *SIZE), bool), np.ones(1, np.float32))
            return EncodedImage(SIZE, self.accepts, lambda prompts: [whole for _ in prompts])

    prompt = Prompt([EXAMPLE], QUERY)
    (answer,) = redrawn(Rough(), Everything("box")).answer([prompt])
    rough = Rough().answer([prompt])[0].image.mean(0) > 0.5
    assert torch.equal(answer.image.mean(0) > 0.5, rough)


def test_objects_are_drawn_each() -> None:
    engine = redrawn(RoughParts(), Flood("points"))
    assert isinstance(engine, RedrawnParts)
    assert isinstance(engine, PartialModel)
    (answer,) = engine.asked(objects=True).answer([Prompt([EXAMPLE], QUERY)])
    assert answer.objects is not None
    assert answer.objects.unique().tolist() == [0, 1, 2]
    assert torch.equal(answer.objects > 0, torch.from_numpy(red(QUERY)))


def test_what_is_no_mask_is_left_to_the_engine() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    for output in (noise, EXAMPLE[0]):  # a picture; a mask in colours
        pictures = Prompt([(EXAMPLE[0], output)], QUERY)
        (answer,) = redrawn(Rough(), Flood("points")).answer([pictures])
        assert torch.equal(answer.image, Rough().answer([pictures])[0].image)


def test_a_segmenter_of_words_alone_is_refused() -> None:
    assert isinstance(Flood("text"), Segmenter)
    with pytest.raises(ValueError, match="flood takes text, expected one that takes points, a box"):
        Redrawn(Rough(), Flood("text"))


@pytest.mark.slow
def test_loading_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicl.loading.load_segmenter", lambda source, **_: Flood("points", source))
    engine: Any = vicl.load_model("copy+mine")
    assert engine.name == "copy+flood"
    assert engine.segmenter.accepts == {"points", "mine"}
    with pytest.raises(ValueError, match="default fills holes, expected an engine of masks"):
        vicl.load_model("default+mine")
