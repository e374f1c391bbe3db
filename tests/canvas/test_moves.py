"""Prompts asked again with their pictures moved by parts of a patch, and averaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.pictures import picture
from tests.stand_ins import Mirror
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.canvas.moves import mean_of_moved, moved, moves_within
from vicl.engine import Filled
from vicl.models.configs import Asking
from vicl.models.mae import MAE, MAEConfig
from vicl.models.unet import UNet, UNetConfig
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.prompter import VisualPrompter


def prompt(seed: int = 0) -> Prompt:
    images = [picture(111, 111, seed=seed + index) for index in range(3)]
    return Prompt([(images[0], images[1])], images[2])


@dataclass
class Blocks(Mirror):
    """Draws what stands left of the hole, each patch in its mean colour, sure of what is bright."""

    spins: int = 1
    asked: int = 0

    def inpaint(self, image: Tensor, hole: Tensor, **options: Any) -> Filled:
        self.asked += len(image)
        filled = super().inpaint(image, hole, **options)
        if options.get("generators") is not None:
            return filled
        side = self.patch_size
        drawn = torch.nn.functional.avg_pool2d(1 - filled.image, side)
        drawn = drawn.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
        image = torch.where(hole[:, None], drawn, image)
        likelihood = -image.mean(dim=(1, 2, 3)) - 2
        return Filled(image, confidence=image.mean(dim=1), log_likelihood=likelihood)


def test_moves_are_even_over_a_patch_and_begin_with_none() -> None:
    assert moves_within(8, spins=1) == [(0, 0)]
    assert moves_within(8, spins=2) == [(0, 0), (0, 4), (4, 0), (4, 4)]
    assert moves_within(16, spins=3)[:4] == [(0, 0), (0, 5), (0, 10), (5, 0)]
    for wrong in (0, 9):
        with pytest.raises(ValueError, match="expected 1 to 8"):
            moves_within(8, spins=wrong)


def test_a_moved_picture_is_moved_back() -> None:
    whole = picture(20, 30)
    one = moved(whole, (3, 5))
    assert torch.equal(one[:, 3:, 5:], whole[:, :-3, :-5])
    assert torch.equal(one[:, 0, 5:], whole[:, 0, :-5])
    assert torch.equal(one[:, 3:, 2], whole[:, :-3, 0])
    moves = moves_within(8, spins=2)
    values = [moved(whole, by) for by in moves]
    torch.testing.assert_close(mean_of_moved(values, moves), whole)
    # At the edge those that left the cell have no say.
    values[0] = whole + 1
    mean = mean_of_moved(values, moves) - whole
    torch.testing.assert_close(mean[:, -4:, -4:], torch.ones(3, 4, 4))
    torch.testing.assert_close(mean[:, :-4, -4:], torch.full((3, 16, 4), 0.5))
    torch.testing.assert_close(mean[:, :-4, :-4], torch.full((3, 16, 26), 0.25))


def test_all_pictures_of_a_canvas_are_moved_and_the_hole_stays() -> None:
    """Also where the hole hides a part of a neighbour, as that of the published 3x2 does."""
    pairs = [(picture(74, 74, seed=i), picture(74, 74, seed=9 + i)) for i in (0, 1)]
    query = Prompt(pairs, picture(74, 74))
    layout = Layout.paper(2)
    plain, other = layout.compose_moved(query, [(0, 0), (4, 8)])
    assert torch.equal(plain.image, layout.compose(query).image)
    assert torch.equal(plain.hole, other.hole)
    hidden = plain.hole.expand(3, -1, -1)
    assert torch.equal(other.image[hidden], plain.image[hidden])
    whole = replace(layout, hole=layout.answer, patch_size=1)
    bare, shifted = whole.compose_moved(query, [(0, 0), (4, 8)])
    for cell in (*layout.inputs, *layout.outputs, layout.query):
        assert torch.equal(cell.of(shifted.image), moved(cell.of(bare.image), (4, 8)))
    assert torch.equal(other.image[~hidden], shifted.image[~hidden])


def test_the_mean_hides_where_the_patches_are() -> None:
    """Of four spins each answers as if it were alone; their mean is nearer to the query."""
    slope = torch.linspace(0, 1, 111).expand(3, 111, 111)
    query = Prompt(prompt().examples, slope)
    truth = Layout.paper(1).query.of(Layout.paper(1).compose(query).image)
    plain, spun = (
        CanvasModel(Blocks(), spins=spins, upsampling="bicubic").answer([query])[0]
        for spins in (1, 4)
    )
    assert plain.cell is not None
    assert spun.cell is not None
    assert spun.image.shape == plain.image.shape == (3, 111, 111)
    # The hole begins a pixel before its cell.
    errors = [
        float((cell[:, :, :110] - truth[:, :, 1:]).square().mean())
        for cell in (plain.cell, spun.cell)
    ]
    assert errors[1] < 0.7 * errors[0]
    layout = Layout.paper(1)
    cells = [
        layout.crop(Blocks().inpaint(c.image[None], c.hole[None]).image[0])
        for c in layout.compose_moved(query, moves_within(16, spins=4))
    ]
    inner = [
        cell[:, down : down + 99, right : right + 99]
        for cell, (down, right) in zip(cells, moves_within(16, spins=4), strict=True)
    ]
    torch.testing.assert_close(spun.cell[:, :99, :99], torch.stack(inner).mean(dim=0))
    # How sure it is goes the same way; the canvas shows the mean; the likelihood is a canvas's.
    assert spun.canvas is not None
    assert torch.equal(layout.crop(spun.canvas), spun.cell)
    assert spun.confidence is not None
    torch.testing.assert_close(spun.confidence, spun.cell.mean(dim=0))
    assert spun.log_likelihood == plain.log_likelihood


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_a_picture_of_another_shape_is_moved_with_its_frame(fit: Any) -> None:
    """A plain query comes back plain where the frame shows it, but for a black bar's shadow."""
    query = Prompt([(picture(60, 120), picture(60, 120, seed=1))], torch.full((3, 60, 120), 0.5))
    (answer,) = CanvasModel(Blocks(spins=4), fit=fit, upsampling="bicubic").answer([query])
    assert answer.image.shape == (3, 60, 120)
    inner = answer.image[:, 20:40, 40:80]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5), atol=0.03, rtol=0)


def test_an_inpainter_may_say_how_often_it_is_to_be_asked() -> None:
    asked, told = Blocks(spins=2), Blocks()
    (answer,) = CanvasModel(asked).answer([prompt()])
    (same,) = CanvasModel(told, spins=2).answer([prompt()])
    assert torch.equal(answer.image, same.image)
    assert asked.asked == told.asked == 4
    CanvasModel(asked, spins=1).answer([prompt()])
    assert asked.asked == 5


def test_what_is_drawn_at_random_is_no_mean() -> None:
    """The draws are those of a model that does not spin, and the mean stays the first answer."""
    spun, plain = (
        CanvasModel(Blocks(spins=spins)).answer([prompt()], samples=3, seed=5)[0]
        for spins in (2, 1)
    )
    (mean,) = CanvasModel(Blocks(spins=2)).answer([prompt()])
    drawn, other = ([*map(pixels, (a, *a.alternatives))] for a in (spun, plain))
    assert len(set(drawn)) == len(set(other)) == 3
    assert len({*drawn} & {*other}) == 2
    assert pixels(mean) in drawn


def pixels(answer: Filled) -> bytes:
    return bytes(answer.image.mul(255).round().to(torch.uint8).numpy())


def test_an_engine_of_one_answer_gives_no_other() -> None:
    """Not even the one that it would give without spins."""

    class Certain(Blocks):
        def inpaint(self, image: Tensor, hole: Tensor, **options: Any) -> Filled:
            return super().inpaint(image, hole)

    (answer,) = CanvasModel(Certain(spins=2)).answer([prompt()], samples=3)
    assert answer.alternatives == ()


def test_spun_answers_of_a_batch_are_those_of_its_members() -> None:
    """Also where examples are answered in groups, and others have all their answers already."""
    model = CanvasModel(Blocks(spins=3))
    images = [picture(60, 70, seed=seed) for seed in range(12)]
    several = Prompt([(images[2 * i], images[2 * i + 1]) for i in range(5)], images[11])
    prompts = [prompt(), several, prompt(20)]
    together = model.answer(prompts, samples=2, seed=3)
    for one, answer in zip(prompts, together, strict=True):
        (alone,) = model.answer([one], samples=2, seed=3)
        assert torch.equal(alone.image, answer.image)
        assert torch.equal(alone.alternatives[0].image, answer.alternatives[0].image)
    groups = [several.examples[:1], several.examples[1:3], several.examples[3:]]
    parts = [model.answer([Prompt(group, several.query)])[0].image for group in groups]
    mean = model.answer([several])[0].image
    torch.testing.assert_close(mean, torch.stack(parts).mean(dim=0))


def test_the_configuration_of_a_model_says_it() -> None:
    config = MAEConfig(
        canvas_size=(32, 32),
        patch_size=4,
        embed_dim=16,
        depth=1,
        num_heads=2,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
    )
    spun = MAE(config, seed=1)
    spun.asking = Asking(spins=2)
    (answer,) = CanvasModel(spun).answer([prompt()])
    (same,) = CanvasModel(MAE(config, seed=1), spins=2).answer([prompt()])
    (plain,) = CanvasModel(MAE(config, seed=1)).answer([prompt()])
    assert torch.equal(answer.image, same.image)
    assert not torch.equal(answer.image, plain.image)
    for model in (spun, UNet(UNetConfig(canvas_size=(32, 32), patch_size=4, widths=(4,)))):
        with pytest.raises(ValueError, match="at most patch_size = 4"):
            model.asking = Asking(spins=5)
    with pytest.raises(ValidationError, match="less than or equal to 8"):
        Asking(spins=9)
    with pytest.raises(ValueError, match="expected 1 to 16"):
        CanvasModel(Mirror(), spins=17)


def test_a_prompter_takes_and_keeps_it(tmp_path: Path) -> None:
    spun = VisualPrompter(Blocks(spins=1), prompt().examples, spins=2)
    once = VisualPrompter(Blocks(), prompt().examples)
    query = prompt().query
    assert spun.predict(query).image != once.predict(query).image
    spun.save(tmp_path / "spun.vicl")
    again = VisualPrompter.load(tmp_path / "spun.vicl", model=Blocks())
    assert again.predict(query).image == spun.predict(query).image
    other = VisualPrompter.load(tmp_path / "spun.vicl", model=Blocks(), spins=1)
    assert other.predict(query).image == once.predict(query).image
    with pytest.raises(ValueError, match="spins: copy has no canvas"):
        VisualPrompter("copy", prompt().examples, spins=2)
