"""Pixel prompts are added as in the published code, and where they are told to be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.prompts.goldens import Golden, close, put
from tests.prompts.stand_ins import Stripes

from vicl.prompts.classifier import trainable_parameters
from vicl.prompts.options import PixelOptions
from vicl.prompts.pixel import PixelClassifier, PixelPrompt


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared, "vp/vp")


def test_the_border_is_the_published_one(golden: Golden) -> None:
    prompt = PixelPrompt(16, width=3, generator=generator())
    for name in ("up", "down", "left", "right"):
        put(getattr(prompt, name), golden.tensor(f"vp.pad16.pad_{name}"))
    out = prompt(golden["x"])
    assert torch.equal(out, golden["pad_out"])
    (out * golden.tensor("vp.grad_seed")).sum().backward()
    for name in ("up", "down", "left", "right"):
        close(getattr(prompt, name).grad, golden[f"pad_grad_pad_{name}"])


def test_the_squares_are_the_published_ones(golden: Golden) -> None:
    names = golden.said["tensors"]
    fixed = PixelPrompt(16, place="patch", width=3, generator=generator())
    put(fixed.patch, golden.tensor(next(name for name in names if "fixed" in name)))
    assert torch.equal(fixed(golden["x"]), golden["fixed_out"])
    moving = PixelPrompt(16, place="random-patch", width=3, published=True, generator=generator())
    put(moving.patch, golden.tensor(next(name for name in names if "random" in name)))
    for offsets, out in zip(golden["random_offsets_row_col"], golden["random_out"], strict=True):
        assert torch.equal(golden["x"] + moving.at(offsets[None]), out)


def test_counts(golden: Golden) -> None:
    counts = golden.said["params_16_3"]
    for place, name in (("border", "pad"), ("patch", "fixed"), ("random-patch", "random")):
        prompt = PixelPrompt(16, place=place, width=3, generator=generator())
        assert trainable_parameters(prompt) == counts[name]
    whole = PixelPrompt(224, generator=generator())
    assert trainable_parameters(whole) == golden.said["params_224_30_pad"] == 12 * 30 * (224 - 30)
    assert trainable_parameters(PixelPrompt(16, place="full", generator=generator())) == 3 * 16**2


def test_a_moving_square_goes_everywhere_and_the_published_one_not_quite() -> None:
    ours = PixelPrompt(8, place="random-patch", width=5, generator=generator())
    found = ours.offsets(500, generator())
    assert {tuple(row) for row in found.tolist()} == {(r, c) for r in range(4) for c in range(4)}
    theirs = PixelPrompt(8, place="random-patch", width=5, published=True, generator=generator())
    rows = torch.cat([theirs.offsets(64, generator(seed)) for seed in range(200)])
    assert len(rows) == 200  # one for each batch
    assert {tuple(row) for row in rows.tolist()} == {(r, c) for r in range(3) for c in range(3)}
    image = torch.zeros(2, 3, 8, 8)
    ours.eval()
    assert torch.equal(ours(image), ours.picture().expand(2, -1, -1, -1))
    ours.train()
    assert any(not torch.equal(*ours(image)) for _ in range(9))  # a place for each image


def test_where_it_is_added_and_kept_within_pictures() -> None:
    backbone, image = Stripes(), torch.rand(2, 3, 16, 16)
    options = {"place": "full", "readout": "linear"}
    after = PixelClassifier(backbone, "ab", PixelOptions(**options), generator=generator())
    close(after.pixels(image), backbone.normalise(image) + after.prompt.picture())
    before = PixelClassifier(
        backbone, "ab", PixelOptions(**options, space="image"), generator=generator()
    )
    close(before.pixels(image), backbone.normalise(image + before.prompt.picture()))
    for space in ("image", "normalised"):
        chosen = PixelOptions(**options, space=space, clamp=True)
        kept = PixelClassifier(backbone, "ab", chosen, generator=generator())
        shown = kept.pixels(image) * backbone.deviation + backbone.mean
        assert shown.min() > -1e-6
        assert shown.max() < 1 + 1e-6
        close(kept.shown(image), shown.clamp(0, 1))


def test_first_values() -> None:
    firsts = {
        init: PixelPrompt(64, place="full", init=init, generator=generator()).picture()
        for init in ("normal", "uniform", "zero")
    }
    assert abs(float(firsts["normal"].detach().std()) - 1) < 0.03
    assert 0 <= firsts["uniform"].min() < 0.01 < 0.99 < firsts["uniform"].max() <= 1
    assert not firsts["zero"].any()


@pytest.mark.parametrize(("place", "width"), [("border", 8), ("patch", 17), ("random-patch", 16)])
def test_what_does_not_fit_is_named(place: str, width: int) -> None:
    with pytest.raises(ValueError, match=f"width: got {width} pixels, expected at most"):
        PixelPrompt(16, place=place, width=width, generator=generator())
