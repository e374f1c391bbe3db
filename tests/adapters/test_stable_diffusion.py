"""Diffusion models as hole fillers, with random weights of no size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.adapters import tiny
from tests.adapters.bodies import library

import vicl
from vicl.adapters.stable_diffusion import StableDiffusion
from vicl.engine import Inpainter
from vicl.storage.folder import ModelError

transformers = library()
diffusers = pytest.importorskip("diffusers", reason='needs pip install "vicl[diffusers]"')
pytestmark = [
    pytest.mark.slow,
    # The library's own, on every import of torch's.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

SIDE = 64
PIPELINES = ["StableDiffusionInpaintPipeline", "StableDiffusionXLInpaintPipeline"]


def save(pipeline: str, folder: Path) -> None:
    """A pipeline with 16 latent places a side, but one of 64 pixels."""
    torch.manual_seed(0)
    large = "XL" in pipeline
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 16,
    }
    unet = diffusers.UNet2DConditionModel(
        sample_size=SIDE // 8,
        in_channels=9,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32 if large else 16,
        attention_head_dim=4,
        norm_num_groups=4,
        **(added if large else {}),
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4, 4, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=SIDE,
    )
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    for end in ("", "_2") if large else ("",):
        kind = "CLIPTextModelWithProjection" if end else "CLIPTextModel"
        text = getattr(transformers, kind)(transformers.CLIPTextConfig(**tiny.WORDS))
        text.save_pretrained(folder / f"text_encoder{end}")
        (folder / f"tokenizer{end}").mkdir()
        tiny.write_words(folder / f"tokenizer{end}")
    diffusers.DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))


@pytest.fixture(scope="module", params=PIPELINES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("pipelines") / "tiny-paint"
    path.mkdir()
    save(request.param, path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    found: Any = vicl.load_model(folder, device="cpu")
    object.__setattr__(found.painting, "steps", 2)
    return found


def test_holes_are_filled_alone_and_among_others(model: Any) -> None:
    assert isinstance(model, Inpainter)
    assert model.name == "tiny-paint"
    assert model.canvas_size == (SIDE, SIDE)
    canvas = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
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
    with pytest.raises(ValueError, match="image: got 32x32 pixels, expected 64x64"):
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
    assert StableDiffusion(folder).weights_hash == model.weights_hash


def test_broken_folders_say_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "Mine"}')
    with pytest.raises(ModelError, match="holds a 'Mine', which is no engine or inpainter"):
        vicl.load_model(tmp_path)
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
    weights.with_suffix(".bin").rename(weights)
