"""One contract over all adapted segmenters, with random weights of no size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.adapters import tiny
from tests.adapters.bodies import library

import vicl
from vicl.adapters.registry import ADAPTERS
from vicl.engine import Candidates, PromptableImage, Segmenter
from vicl.segmenters.encoded import EncodedImage
from vicl.segmenters.registry import SEGMENTERS
from vicl.storage.folder import ModelError

transformers = library()

SIZE = (40, 90)
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
BLOB = np.zeros(SIZE, bool)
BLOB[10:20, 30:50] = True
STROKES = np.full(SIZE, 255, np.uint8)
STROKES[10, 5:20] = 1
STROKES[30, :50] = 0

PROMPTS: dict[str, dict[str, Any]] = {
    "points": {"points": [(10, 20), (70, 30)], "labels": [1, 0]},
    "box": {"box": (3, 4, 50, 30)},
    "scribbles": {"scribbles": STROKES},
    "mask": {"mask": BLOB},
    "text": {"text": "a cat"},
    "example": {"example": (PHOTO, BLOB)},
}


class Zoo:
    """Saves and loads a random one of each kind, when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded: dict[str, Segmenter] = {}

    def folder(self, kind: str) -> Path:
        if not (self.root / kind).is_dir():
            tiny.save(kind, self.root / kind)
        return self.root / kind

    def __getitem__(self, kind: str) -> Segmenter:
        if kind not in self.loaded:
            drawing = f"+{self.folder('sam')}" if kind == "grounding-dino" else ""
            source = f"{self.folder(kind)}{drawing}"
            self.loaded[kind] = vicl.load_segmenter(source, device="cpu")
        return self.loaded[kind]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vicl.adapters.grounding_dino._SHORTER", 224)
        yield Zoo(tmp_path_factory.mktemp("segmenters"))


def quick_first(kinds: Iterable[str]) -> list[Any]:
    """One kind is quick; together they take seconds."""
    return [kind if kind == "sam" else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


@pytest.fixture(params=quick_first(tiny.SEGMENTERS))
def segmenter(request: pytest.FixtureRequest, zoo: Zoo) -> Segmenter:
    return zoo[request.param]


def same(one: Candidates, other: Candidates) -> bool:
    return np.array_equal(one.masks, other.masks) and np.array_equal(one.scores, other.scores)


def test_every_way_that_it_takes_is_answered_alike_alone_and_among_others(
    segmenter: Segmenter,
) -> None:
    assert isinstance(segmenter, Segmenter)
    assert segmenter.name.partition("+")[0] in tiny.SEGMENTERS
    assert segmenter.weights_hash is not None
    assert len(segmenter.weights_hash) == 64
    image = segmenter.encode(PHOTO)
    assert isinstance(image, PromptableImage)
    assert image.size == SIZE
    ways = [way for way in PROMPTS if way in segmenter.accepts]
    prompts = [vicl.MaskPrompt(**PROMPTS[way]) for way in ways]
    # Together the first says what, the second which.
    if {"text", "points"} <= segmenter.accepts:
        prompts.append(vicl.MaskPrompt([(10, 20)], text="a cat"))
    together = image.many(prompts)
    again = segmenter.encode(torch.from_numpy(PHOTO).permute(2, 0, 1) / 255)
    for prompt, found in zip(prompts, together, strict=True):
        assert found.masks.shape[1:] == SIZE
        assert found.masks.dtype == bool
        assert found.scores.dtype == np.float32
        assert ((found.scores >= 0) & (found.scores <= 1)).all()
        assert (np.diff(found.scores) <= 0).all()
        assert same(found, image.many([prompt])[0])
        assert same(found, again.many([prompt])[0])


def test_ways_that_it_does_not_take_are_refused(segmenter: Segmenter) -> None:
    image = segmenter.encode(PHOTO)
    for way in PROMPTS.keys() - segmenter.accepts:
        with pytest.raises(ValueError, match=f"{way}: this segmenter does not take it"):
            image.many([vicl.MaskPrompt(**PROMPTS[way])])


@pytest.mark.slow
def test_rows_of_the_registry_say_what_is_taken(zoo: Zoo) -> None:
    rows = {row.name: row for row in SEGMENTERS}
    for adapter in ADAPTERS:
        if adapter.role in ("segmenter", "detector"):
            taken = {zoo[kind].accepts for kind in adapter.kinds if kind in tiny.SEGMENTERS}
            assert taken == {rows[adapter.name].accepts}


@pytest.mark.parametrize("kind", quick_first(tiny.SAMS))
def test_a_point_may_mean_three_things_more_mean_one(kind: str, zoo: Zoo) -> None:
    image = zoo[kind].encode(PHOTO)
    assert isinstance(image, EncodedImage)
    assert len(image.masks([(10, 20)])) == 3
    assert len(image.masks([(10, 20), (70, 30)], [1, 0])) == 1
    assert len(image.masks([(10, 20)], box=(3, 4, 50, 30))) == 1
    assert not same(image.masks([(10, 20)]), image.masks([(70, 30)]))
    boxed = image.masks(mask=BLOB, box=(30, 10, 50, 20))
    assert same(image.masks(mask=BLOB), boxed)  # a mask alone goes with its box
    assert not same(boxed, image.masks(box=(30, 10, 50, 20)))
    assert len(image.everything(grid=2, min_score=0.0, min_stability=0.0)) >= 1
    (sketch,) = image.sketches([vicl.MaskPrompt([(10, 20)])])
    full = image.masks([(10, 20)])
    assert sketch.masks.size < full.masks.size
    assert np.array_equal(sketch.scores, full.scores)
    rows, columns = (
        ((np.arange(small) + 0.5) * large / small).astype(int)
        for small, large in zip(sketch.masks.shape[1:], SIZE, strict=True)
    )
    middles = full.masks[:, rows][:, :, columns]
    assert (middles == sketch.masks).mean() > 0.8  # of noise: masks of random weights


@pytest.mark.slow
def test_sam_sees_what_the_library_prepares(zoo: Zoo) -> None:
    """Also a guard: the processor without torchvision has gone missing between releases."""
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    processor = SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}
    )
    given = processor(PHOTO, return_tensors="pt")
    model = transformers.SamModel.from_pretrained(zoo.folder("sam")).eval()
    corner = torch.tensor([[[[10 * 64 / 90, 20 * 28 / 40]]]])
    with torch.no_grad():
        out = model(given["pixel_values"], input_points=corner)
    (expected,) = processor.post_process_masks(
        out.pred_masks, given["original_sizes"], given["reshaped_input_sizes"]
    )
    order = out.iou_scores[0, 0].argsort(descending=True)
    found = zoo["sam"].encode(PHOTO).many([vicl.MaskPrompt([(10, 20)])])[0]
    differ = expected[0][order].numpy() != found.masks
    assert differ.mean() < 1e-3
    assert np.allclose(found.scores, out.iou_scores[0, 0][order].clamp(0, 1), atol=1e-4)


def test_another_kind_of_model_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match=r"holds a 'bert', which is no segmenter .* sam, "):
        vicl.load_segmenter(tmp_path)
    with pytest.raises(ValueError, match="hub:owner/name"):
        vicl.load_segmenter("hub:sam")
