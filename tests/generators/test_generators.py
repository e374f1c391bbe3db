"""One contract over all adapted generators, and what each is by itself, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.adapters.pipelines import SIDE, diffusers, save, save_controlnet
from torch import nn

import vicl
from vicl.generators.generator import PictureGenerator
from vicl.generators.scene import Scene
from vicl.storage.folder import ModelError

diffusers()
pytestmark = [
    pytest.mark.slow,
    # The library's own, on every import of torch's, and of pipelines that it calls old.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 255, (40, 56, 3), dtype=np.uint8)
LINES = np.where(RNG.random((64, 64)) > 0.8, 255, 0).astype(np.uint8)
DEPTH = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
BOXES: dict[str, Any] = {"boxes": [(5, 5, 30, 35), (20, 3, 50, 20)], "phrases": ["a", "a dog"]}
PERSON = np.full((17, 2), np.nan, np.float32)
PERSON[:9] = RNG.uniform(5, 35, (9, 2))
HOLE = np.zeros((40, 56), bool)
HOLE[8:32, 8:48] = True

GATED = {"in_channels": 4, "attention_type": "gated"}
TEXT_IMAGE = GATED | {"attention_type": "gated-text-image"}
GLIGEN, BOTH = "StableDiffusionGLIGENPipeline", "StableDiffusionGLIGENTextImagePipeline"

MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "gligen": (GLIGEN, GATED, BOXES),
    # As the published ones call themselves.
    "gligen-inpaint": (
        "StableDiffusionPipeline",
        GATED | {"in_channels": 9},
        BOXES | {"image": PHOTO},
    ),
    "gligen-both": (BOTH, TEXT_IMAGE, BOXES | {"references": [PHOTO, None]}),
    "gligen-keypoints": (GLIGEN, GATED, {"keypoints": [PERSON]}),
    "words": ("StableDiffusionPipeline", {"in_channels": 4}, {}),
    "edges": ("StableDiffusionPipeline", {"in_channels": 4}, {"maps": {"edges": LINES}}),
    "inpaint": ("StableDiffusionInpaintPipeline", {}, {"image": PHOTO, "hole": HOLE}),
    "flux": ("FluxFillPipeline", {}, {"image": PHOTO, "hole": HOLE}),
}
"""By name: the pipeline, its UNet, and a scene that it takes."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("generators")
    for name, (kind, unet, _) in MODELS.items():
        save(kind, root / name, **unet)
        if unet.get("attention_type"):
            open_gates(root / name / "unet", keypoints=name == "gligen-keypoints")
    save_controlnet(root / "net", seed=1)
    save_controlnet(root / "other-net", seed=2)
    return root


def open_gates(folder: Path, *, keypoints: bool) -> None:
    """Random gates, since new ones are closed; and the position network for keypoints."""
    from safetensors.torch import load_file, save_file

    from vicl.adapters.gligen import Keypoints

    torch.manual_seed(3)
    path = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    if keypoints:
        net = Keypoints(16)
        for value in net.parameters():
            nn.init.normal_(value, std=0.5)
        weights = {k: v for k, v in weights.items() if not k.startswith("position_net")}
        weights |= {f"position_net.{key}": value for key, value in net.state_dict().items()}
    for key in weights:
        if ".fuser.alpha" in key or ".null_" in key:
            weights[key] = torch.randn_like(weights[key])
    save_file(weights, path)


def source(folders: Path, name: str) -> str:
    return (
        f"{folders / 'words'}+edges={folders / 'net'}" if name == "edges" else str(folders / name)
    )


@pytest.fixture(scope="module")
def models(folders: Path) -> dict[str, PictureGenerator]:
    return {name: vicl.load_generator(source(folders, name), device="cpu") for name in MODELS}


def paint(model: PictureGenerator, scene: dict[str, Any], **more: Any) -> np.ndarray:
    return np.asarray(model.generate("a red dog", **(scene | {"steps": 4} | more)))


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_is_a_picture_of_the_size_that_was_asked_for(
    models: dict[str, PictureGenerator], name: str
) -> None:
    model, scene = models[name], MODELS[name][2]
    assert len(model.weights_hash) == 64
    assert model.name == ("words+edges=net" if name == "edges" else name)
    size = {} if "image" in scene else {"size": (40, 56)}
    before = torch.random.get_rng_state()
    first = paint(model, scene, **size)
    assert first.shape == (40, 56, 3)
    assert np.array_equal(paint(model, scene, **size), first)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not np.array_equal(paint(model, scene, seed=1, **size), first)
    words = np.asarray(model.generate("a", **(scene | {"steps": 4} | size)))
    assert not np.array_equal(words, first)
    if "image" in scene:
        hole: Any = Scene("a", **scene).hole
        assert np.array_equal(first[~hole], PHOTO[~hole])
        assert not np.array_equal(first[hole], PHOTO[hole])


@pytest.mark.parametrize("name", MODELS)
def test_what_is_not_taken_is_refused(models: dict[str, PictureGenerator], name: str) -> None:
    model = models[name]
    ways: dict[str, dict[str, Any]] = {
        "boxes": BOXES,
        "references": {"boxes": [(0, 0, 9, 9)], "references": [PHOTO]},
        "keypoints": {"keypoints": [PERSON]},
        "edges": {"maps": {"edges": LINES}},
        "depth": {"maps": {"depth": LINES}},
        "image": {"image": PHOTO, "hole": HOLE},
    }
    for way, scene in ways.items():
        if way not in model.accepts:
            with pytest.raises(ValueError, match=f"^{way}: .* does not take it"):
                paint(model, scene)
    if model.needs:
        with pytest.raises(ValueError, match="needs it, and there is none"):
            paint(model, {})


def test_what_stands_where_changes_the_picture(models: dict[str, PictureGenerator]) -> None:
    moved = {"boxes": [(5, 5, 30, 36), (20, 3, 50, 20)]}
    other = PERSON.copy()
    other[0] += 5
    unseen = PERSON.copy()
    unseen[0] = np.nan
    for name, changed in (
        ("gligen", moved),
        ("gligen", {"phrases": ["a", "a red dog"]}),
        ("gligen-both", moved),
        ("gligen-both", {"references": [255 - PHOTO, None]}),
        ("gligen-both", {"phrases": [None, "a dog"]}),
        ("gligen-keypoints", {"keypoints": [other]}),
        ("gligen-keypoints", {"keypoints": [unseen]}),
        ("gligen-keypoints", {"keypoints": [PERSON, other]}),
        ("edges", {"maps": {"edges": 255 - LINES}}),
        ("gligen-inpaint", moved),
    ):
        scene = MODELS[name][2]
        assert not np.array_equal(paint(models[name], scene | changed), paint(models[name], scene))


@pytest.mark.parametrize("name", ["gligen", "gligen-both"])
def test_gligen_gives_what_the_library_gives(
    models: dict[str, PictureGenerator], folders: Path, name: str
) -> None:
    """The library's own pipeline, of the same parts: steps, grounding and guidance."""
    lib = diffusers()
    model: Any = models[name]
    kind, _, scene = MODELS[name]
    size = (SIDE, SIDE)
    given = Scene("a red dog", **scene, size=size).at(size, size)
    with torch.inference_mode():
        ours = model._paint(given, torch.Generator().manual_seed(5), 8, 7.5)
    parts = {
        "vae": model._vae,
        "text_encoder": model._reader,
        "tokenizer": model._words,
        "unet": model._unet,
        "scheduler": model._scheduler,
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    more: dict[str, Any] = {}
    if name == "gligen-both":
        from diffusers.pipelines.stable_diffusion import CLIPImageProjection
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        parts["image_encoder"] = model._eye
        parts["image_project"] = CLIPImageProjection.from_pretrained(
            folders / name / "image_project"
        )
        processor: Any = CLIPImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        )
        parts["processor"] = None
        more["gligen_images"] = [Image.fromarray(PHOTO), None]
    pipeline = getattr(lib, kind)(**parts)
    pipeline.set_progress_bar_config(disable=True)
    if more:
        pipeline.processor = processor
    theirs = pipeline(
        prompt="a red dog",
        gligen_phrases=scene["phrases"],
        gligen_boxes=given.boxes.tolist(),
        height=SIDE,
        width=SIDE,
        num_inference_steps=8,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
        **more,
    ).images[0]
    # References are cut before they are shrunk here, after it there.
    assert torch.allclose(ours.clamp(0, 1), theirs, atol=1e-4 if not more else 0.02)
    assert not torch.allclose(theirs, theirs.mean(), atol=0.05)


def test_an_image_is_shown_as_the_library_shows_it(
    models: dict[str, PictureGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the UNet gets beside the noise: the latents of what is known, and where it is."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution as Latents

    lib = diffusers()
    model: Any = models["gligen-inpaint"]
    square = np.ascontiguousarray(np.resize(PHOTO, (SIDE, SIDE, 3)))
    boxes = [(16, 8, 40, 48)]
    size = (SIDE, SIDE)
    given = Scene("a red dog", boxes=boxes, phrases=["a"], image=square).at(size, size)
    seen: list[torch.Tensor] = []
    whole = model._unet.forward

    def noting(shown: torch.Tensor, *more: Any, **named: Any) -> Any:
        seen.append(shown)
        return whole(shown, *more, **named)

    monkeypatch.setattr(model._unet, "forward", noting)
    with torch.inference_mode():
        model._paint(given, torch.Generator(), 2, 7.5)
    ours = seen[0][:, 4:].clone()
    seen.clear()
    monkeypatch.setattr(Latents, "sample", Latents.mode)
    pipeline = lib.StableDiffusionGLIGENPipeline(
        vae=model._vae, text_encoder=model._reader, tokenizer=model._words, unet=model._unet,
        scheduler=model._scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.sample_size = SIDE
    pipeline(
        prompt="a red dog", gligen_phrases=["a"], gligen_boxes=given.boxes.tolist(),
        gligen_inpaint_image=Image.fromarray(square), num_inference_steps=2, output_type="pt",
    )  # fmt: skip
    assert ours.shape == (2, 5, SIDE // 8, SIDE // 8)
    assert torch.allclose(ours, seen[0][:, 4:], atol=1e-5)


def test_several_maps_and_a_hole(folders: Path) -> None:
    nets = f"+edges={folders / 'net'}+depth={folders / 'other-net'}"
    model = vicl.load_generator(f"{folders / 'words'}{nets}", device="cpu")
    assert model.accepts == {"edges", "depth", "image"}
    maps = {"edges": LINES, "depth": DEPTH}
    both = paint(model, {"maps": maps})
    swapped = paint(model, {"maps": {"depth": DEPTH, "edges": LINES}})
    assert np.array_equal(both, swapped) or np.abs(both.astype(int) - swapped).max() <= 1
    for fewer in ("edges", "depth"):
        assert not np.array_equal(paint(model, {"maps": {fewer: maps[fewer]}}), both)
    known = {"image": PHOTO, "hole": HOLE}
    found = paint(model, {"maps": maps} | known)
    assert np.array_equal(found[~HOLE], PHOTO[~HOLE])
    assert not np.array_equal(found, paint(model, {"maps": {"edges": LINES}} | known))
    with pytest.raises(ValueError, match=r"edges or depth: .* needs it"):
        paint(model, known)
    one = vicl.load_generator(f"{folders / 'words'}+edges={folders / 'net'}", device="cpu")
    assert len({one.weights_hash, model.weights_hash}) == 2


def test_wrong_sources_are_told(folders: Path, tmp_path: Path) -> None:
    for wrong, fault in (
        (str(tmp_path / "none"), "generator: got .*expected the folder of a pipeline"),
        (f"{folders / 'words'}+lines={folders / 'net'}", "map: got 'lines', expected one of edges"),
        (f"{folders / 'words'}+edges={folders / 'words'}", "is no folder of a ControlNetModel"),
        (f"{folders / 'gligen'}+edges={folders / 'net'}", "gligen: goes with no ControlNet"),
        (f"{folders / 'none'}+edges={folders / 'net'}", "got .*none', expected the folder of a"),
        (
            f"{source(folders, 'edges')}+edges={folders / 'net'}",
            "got 'edges', expected one of depth",
        ),
    ):
        with pytest.raises(ValueError, match=fault):
            vicl.load_generator(wrong)
    with pytest.raises(ModelError, match=r"is no engine or inpainter .*load_generator loads"):
        vicl.load_model(folders / "gligen")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "Mine"}))
    with pytest.raises(ModelError, match="holds a 'Mine', which is no generator that vicl knows"):
        vicl.load_generator(tmp_path)


def test_waves_are_the_librarys_of_boxes() -> None:
    """Sines and cosines in one order with those of boxes, of which a point is two corners."""
    from diffusers.models.embeddings import get_fourier_embeds_from_boundingbox

    from vicl.adapters.gligen import Keypoints, waves

    points = torch.rand(2, 8, 17, 2)
    twice = torch.cat([points, points], -1).flatten(1, 2)
    theirs = get_fourier_embeds_from_boundingbox(8, twice).unflatten(-1, (8, 2, 4))[..., :2]
    assert torch.allclose(waves(points).flatten(1, 2), theirs.flatten(-3), atol=1e-5)
    net = Keypoints(16)
    for value in net.parameters():
        nn.init.normal_(value)
    seen = torch.ones(2, 8, 17)
    seen[:, 1:] = 0
    tokens = net(points, seen).unflatten(1, (8, 17))
    # Who is not seen is nowhere, whatever is said of where they are; and is nobody.
    assert torch.equal(tokens[0, 1:], tokens[1, 1:])
    assert torch.allclose(tokens[0, 1:], tokens[0, 7, 16], atol=1e-5)
    assert not torch.allclose(tokens[0, 0], tokens[1, 0], atol=1e-2)
    names = {name for name, _ in net.named_parameters()}
    assert names == {
        "person_embeddings", "keypoint_embeddings", "null_person_feature", "null_xy_feature",
        *(f"linears.{at}.{part}" for at in (0, 2, 4) for part in ("weight", "bias")),
    }  # fmt: skip
