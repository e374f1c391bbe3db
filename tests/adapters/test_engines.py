"""One contract over all adapted in-context engines, with random weights of no size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.adapters import tiny
from tests.adapters.bodies import library

import vicl
from vicl.engine import Filled, InContextModel
from vicl.prompt import Prompt

transformers = library()
pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


def photo(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 255, (height, width, 3), dtype=np.uint8)


def mask(height: int, width: int) -> np.ndarray:
    found = np.zeros((height, width), np.uint8)
    found[height // 4 : height // 2, width // 4 : width // 2] = 255
    return found


EXAMPLES = [(photo(40, 60), mask(40, 60)), (photo(50, 30), mask(50, 30))]
QUERIES = [photo(45, 70), photo(30, 30), photo(64, 20)]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("engines")
    for kind in tiny.ENGINES:
        tiny.save(kind, root / kind)
    return root


@pytest.fixture(params=tiny.ENGINES)
def engine(request: pytest.FixtureRequest, folders: Path) -> Any:
    return vicl.load_model(folders / request.param, device="cpu")


def same(one: Filled, other: Filled) -> bool:
    return torch.equal(one.image, other.image) and one.presence == other.presence


@pytest.mark.parametrize("count", [1, 2])
def test_answers_at_the_querys_size_alone_and_among_others(engine: Any, count: int) -> None:
    assert isinstance(engine, InContextModel)
    assert engine.name in tiny.ENGINES
    assert engine.weights_hash is not None
    assert len(engine.weights_hash) == 64
    prompts = [Prompt(EXAMPLES[:count], query) for query in QUERIES]
    together = engine.answer(prompts)
    for prompt, found in zip(prompts, together, strict=True):
        assert tuple(found.image.shape) == (3, *np.shape(prompt.query)[:2])
        assert found.image.dtype == torch.float32
        assert float(found.image.min()) >= 0
        assert float(found.image.max()) <= 1
        if found.confidence is not None:
            assert found.confidence.shape == found.image.shape[1:]
        assert same(found, engine.answer([prompt], samples=3, seed=5)[0])


def test_prompt_files_keep_it(engine: Any, tmp_path: Path, folders: Path) -> None:
    prompter = vicl.VisualPrompter(engine, EXAMPLES, "segmentation")
    answer = prompter.predict(QUERIES[0])
    prompter.save(tmp_path / "it.vicl")
    with pytest.raises(ValueError, match=f"made with model '{engine.name}'"):
        vicl.VisualPrompter.load(tmp_path / "it.vicl")
    again = vicl.VisualPrompter.load(tmp_path / "it.vicl", model=folders / engine.name)
    assert (again.predict(QUERIES[0]).mask == answer.mask).all()


def test_seggpt_gives_what_the_library_gives(folders: Path) -> None:
    """Preparation and result, by the library's processor without torchvision."""
    from transformers.models.seggpt.image_processing_pil_seggpt import SegGptImageProcessorPil

    processor: Any = SegGptImageProcessorPil(size={"height": 32, "width": 32})
    model = transformers.SegGptForImageSegmentation.from_pretrained(folders / "seggpt").eval()
    (image, output), query = EXAMPLES[0], QUERIES[0]
    given = processor(
        images=query,
        prompt_images=image,
        prompt_masks=np.repeat(output[None], 3, 0),
        do_convert_rgb=False,
        return_tensors="pt",
    )
    with torch.no_grad():
        lower = model(**given).pred_masks[0, :, 32:]
    mean, deviation = (
        torch.tensor(part)[:, None, None] for part in (processor.image_mean, processor.image_std)
    )
    (found,) = vicl.load_model(folders / "seggpt").answer([Prompt([(image, output)], query)])
    assert torch.allclose(found.cell, (lower * deviation + mean).clamp(0, 1), atol=0.02)


def test_owlv2_finds_the_examples_own_thing(folders: Path) -> None:
    """Asked about the example itself, the box that fits its mark is the most alike."""
    engine: Any = vicl.load_model(folders / "owlv2")
    image, output = EXAMPLES[0]
    seen = engine._seen(image)
    boxes = engine._boxes(seen, image.shape[:2])
    (wanted,) = engine._meant(
        torch.from_numpy(image).permute(2, 0, 1) / 255,
        torch.from_numpy(output)[None].expand(3, -1, -1) / 255,
    )
    _, classes = engine._model.class_predictor(seen[1])
    assert (classes[0] == wanted).all(1).any()
    assert boxes.shape == (64, 4)
    (blank,) = engine.answer([Prompt([(image, np.zeros((40, 60), np.uint8))], QUERIES[0])])
    assert blank.image.max() == 0
    assert blank.presence == 0


def test_examples_and_query_are_pasted_without_overlap() -> None:
    from vicl.adapters.sam3_composite import paste

    sizes = [(40, 80), (30, 30), (50, 20)]
    images = [
        torch.full((3, *size), level) for size, level in zip(sizes, (0.2, 0.6, 1.0), strict=True)
    ]
    picture, places = paste(images, 64)
    assert picture.shape == (64, 64, 3)
    for (top, left, height, width), level in zip(places, (51, 153, 255), strict=True):
        part = picture[top : top + height, left : left + width]
        assert (part == level).all()
        assert (picture == level).all(2).sum() == height * width
    assert places[0][2:] == (32, 64)  # the query is wide, so it has the upper half


def test_means_in_boxes_are_those_of_mask_r_cnn() -> None:
    """On a ramp the mean of a cell is the ramp's value in its middle."""
    from vicl.adapters.sam3_composite import roi_align

    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    ramp = torch.stack([rows, 3 * columns])[None]
    box = torch.tensor([[2.0, 1.0, 11.0, 8.0]])
    (found,) = roi_align(ramp, [box], 3)
    down = 1 + 7 / 3 * (torch.arange(3) + 0.5)
    across = 2 + 3 * (torch.arange(3) + 0.5)
    assert torch.allclose(found[0], down[:, None].expand(3, 3), atol=1e-4)
    assert torch.allclose(found[1], 3 * across[None].expand(3, 3), atol=1e-4)
