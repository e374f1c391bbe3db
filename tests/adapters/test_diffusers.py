"""Diffusion models as hole fillers, with random weights of no size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.adapters.pipelines import FLUX_SIDE, SIDE, diffusers, save

import vicl
from vicl.adapters.diffusers_folder import read_part, read_scheduler
from vicl.adapters.stable_diffusion import StableDiffusion
from vicl.engine import InContextModel, Inpainter
from vicl.prompt import Prompt
from vicl.storage.folder import ModelError

diffusers()
pytestmark = [
    pytest.mark.slow,
    # The library's own, on every import of torch's.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

PIPELINES = [
    "StableDiffusionInpaintPipeline",
    "StableDiffusionXLInpaintPipeline",
    "FluxFillPipeline",
]


@pytest.fixture(scope="module", params=PIPELINES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(request.param, tmp_path_factory.mktemp("pipelines") / "tiny-paint")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    found: Any = vicl.load_model(folder, device="cpu")
    object.__setattr__(found.painting, "steps", 2)
    return found


def test_holes_are_filled_alone_and_among_others(model: Any) -> None:
    assert isinstance(model, Inpainter)
    assert model.name == "tiny-paint"
    side = model.canvas_size[0]
    assert side == (FLUX_SIDE if "Flux" in type(model).__name__ else SIDE)
    canvas = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, side, side, dtype=torch.bool)
    hole[0, 32:, 32:] = True
    hole[1, :32, 32:] = True
    together = model.inpaint(canvas, hole).image
    assert together.dtype == torch.float32
    kept = ~hole[:, None].expand_as(canvas)
    assert torch.equal(together[kept], canvas[kept])
    assert float(together.min()) >= 0
    assert float(together.max()) <= 1
    hidden = torch.where(hole[:, None], torch.rand_like(canvas), canvas)
    for row in range(2):
        one = slice(row, row + 1)
        assert torch.equal(model.inpaint(hidden[one], hole[one]).image[0], together[row])
    seeds = [torch.Generator().manual_seed(7) for _ in canvas]
    other = model.inpaint(canvas, hole, generators=seeds).image
    assert not torch.equal(other[~kept], together[~kept])
    with pytest.raises(ValueError, match=f"image: got 32x32 pixels, expected {side}x{side}"):
        model.inpaint(canvas[..., :32, :32], hole[..., :32, :32])


def test_it_answers_prompts_and_prompt_files_keep_it(
    model: Any, folder: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    image, query = (rng.integers(0, 255, (40, 50, 3), dtype=np.uint8) for _ in range(2))
    prompter = vicl.VisualPrompter(model, [(image, 255 - image)], "image")
    answer = prompter.predict(query)
    assert np.asarray(answer.image).shape == (40, 50, 3)
    prompter.save(tmp_path / "it.vicl")
    with pytest.raises(ValueError, match="made with model 'tiny-paint'"):
        vicl.VisualPrompter.load(tmp_path / "it.vicl")
    again = vicl.VisualPrompter.load(tmp_path / "it.vicl", model=model)
    assert np.array_equal(np.asarray(again.predict(query).image), np.asarray(answer.image))
    assert vicl.load_model(folder).weights_hash == model.weights_hash


def test_broken_folders_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "Mine"}')
    with pytest.raises(ModelError, match="holds a 'Mine', which is no engine or inpainter"):
        vicl.load_model(tmp_path)
    folder = save("StableDiffusionInpaintPipeline", tmp_path / "paint")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    config = folder / "unet" / "config.json"
    said = json.loads(config.read_text())
    for changes, fault in (
        ({"block_out_channels": [512, 4096]}, "it needs .* weights, but the file has"),
        ({"layers_per_block": 10**9}, "layers_per_block: got 1000000000"),
        ({"down_block_types": ["os", "system"]}, "make no UNet2DConditionModel"),
    ):
        config.write_text(json.dumps(said | changes))
        with pytest.raises(ModelError, match=fault):
            StableDiffusion(folder)
    config.write_text(json.dumps(said))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match="vicl reads no pickled weights"):
        StableDiffusion(folder)


def test_broken_folders_of_flux_say_what_is_wrong(tmp_path: Path) -> None:
    folder = save("VisualClozePipeline", tmp_path / "cloze")
    index = folder / "model_index.json"
    whole = index.read_text()
    index.write_text(whole.replace("64", "100000"))
    with pytest.raises(ModelError, match="resolution: got 100000, expected 64 to 1024"):
        vicl.load_model(folder)
    index.write_text(whole)
    words = folder / "tokenizer_2" / "tokenizer.json"
    for text, fault in (
        ('{"model": {"vocab": {"a": 1}}}', "no vocabulary of words and their scores"),
        ('{"model": {"vocab": [["a", NaN]]}}', "no vocabulary of words and their scores"),
        ('{"model": {"vocab": [["a", -1.0]]}}', "its vocabulary cannot be used"),
    ):
        words.write_text(text)
        with pytest.raises(ModelError, match=fault):
            vicl.load_model(folder)
    words.unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json, which text needs"):
        vicl.load_model(folder)
    (part, *_) = sorted((folder / "transformer").glob("*-of-*.safetensors"))
    part.unlink()
    with pytest.raises(ModelError, match=f"lacks 1 of its . files of weights .{part.name} first"):
        read_part("FluxTransformer2DModel", folder / "transformer", device="cpu")


def test_visual_cloze_answers_in_its_own_grid(tmp_path: Path) -> None:
    """The rows as the library gets them: examples, then the query beside what is to be painted."""
    loaded = vicl.load_model(save("VisualClozePipeline", tmp_path / "cloze"), device="cpu")
    assert isinstance(loaded, InContextModel)
    model: Any = loaded
    object.__setattr__(model.painting, "steps", 2)
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 255, (40, 60, 3), dtype=np.uint8) for _ in range(4)]
    examples = [(photos[0], 255 - photos[0]), (photos[1], 255 - photos[1])]
    prompts = [Prompt(examples, photos[2]), Prompt(examples[:1], photos[3][:, :30])]
    together = model.answer(prompts)
    for prompt, found in zip(prompts, together, strict=True):
        assert tuple(found.image.shape[1:]) == np.shape(prompt.query)[:2]
        assert torch.equal(model.answer([prompt])[0].image, found.image)
        assert not torch.equal(model.answer([prompt], seed=1)[0].image, found.image)
    # 64 x 64 pixels, in the shape of the query, by whole places of 16.
    assert tuple(together[0].cell.shape) == (3, 48, 64)
    shown: list[Any] = []
    whole = model._pipeline

    def noting(**asked: Any) -> Any:
        shown.append(asked)
        return whole(**asked)

    model._pipeline = noting
    model.answer(prompts[:1])
    (asked,) = shown
    rows = asked["image"]
    assert [len(row) for row in rows] == [2, 2, 2]
    assert rows[-1][1] is None
    assert np.array_equal(np.asarray(rows[-1][0]), photos[2])
    assert np.array_equal(np.asarray(rows[1][1]), 255 - photos[1])
    assert asked["guidance_scale"] == 30
    assert asked["generator"] is not None
    # Another example, another answer: it looks at the rows.
    other = model.answer([Prompt([(photos[1], photos[1])] * 2, photos[2])])[0]
    assert not torch.equal(other.image, together[0].image)


@pytest.mark.parametrize("kind", ["FluxFillPipeline", "VisualClozePipeline"])
def test_flux_in_bfloat16_paints_about_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it computes on CUDA; answers are float32 either way."""
    folder = save(kind, tmp_path / "flux")
    query = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    prompt = Prompt(
        [(np.zeros((30, 40, 3), np.uint8), np.full((30, 40), 255, np.uint8))] * 2, query
    )
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr("vicl.adapters.flux.computed_in", lambda _, dtype=dtype: dtype)
        model: Any = vicl.load_model(folder, device="cpu")
        object.__setattr__(model.painting, "steps", 2)
        assert {value.dtype for value in model._pipeline.transformer.parameters()} == {dtype}
        if isinstance(model, Inpainter):
            side = model.canvas_size[0]
            canvas = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
            hole = torch.zeros(1, side, side, dtype=torch.bool)
            hole[0, : side // 2] = True
            found.append(model.inpaint(canvas, hole).image[0])
            assert torch.equal(found[-1][:, side // 2 :], canvas[0, :, side // 2 :])
        else:
            found.append(model.answer([prompt])[0].image)
        assert found[-1].dtype == torch.float32
    assert not torch.equal(*found)
    assert float((found[0] - found[1]).abs().mean()) < 0.05


def test_flux_is_told_thirty(folder: Path) -> None:
    model: Any = vicl.load_model(folder)
    assert model.painting.guidance == (30 if "Flux" in type(model).__name__ else 1)


def test_latents_are_not_cut_where_nobody_says_so(tmp_path: Path) -> None:
    """The library's default cuts to [-1, 1], as pictures have it."""
    (tmp_path / "scheduler").mkdir()
    said = tmp_path / "scheduler" / "scheduler_config.json"
    for text, cut in (('{"_class_name": "PNDMScheduler"}', False), ('{"clip_sample": true}', True)):
        said.write_text(text)
        assert read_scheduler(tmp_path, "DDIMScheduler").config.clip_sample is cut
    said.unlink()
    assert read_scheduler(tmp_path, "DDIMScheduler").config.clip_sample is False
    assert read_scheduler(tmp_path, "FlowMatchEulerDiscreteScheduler").config.shift == 1
