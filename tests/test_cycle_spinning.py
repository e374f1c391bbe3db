"""Prompts asked again with their pictures moved by parts of a patch, and averaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.pictures import picture
from tests.stand_ins import Mirror
from torch import Tensor

from vicl.cycle_spinning import mean_of_moved, move, moves_within
from vicl.engine import CanvasModel, Filled
from vicl.layout import Layout
from vicl.models.configs import MAEConfig, UNetConfig
from vicl.models.mae import MAE
from vicl.prompt import Prompt


def prompt(seed: int = 0) -> Prompt:
    images = [picture(111, 111, seed=seed + index) for index in range(3)]
    return Prompt([(images[0], images[1])], images[2])


@dataclass
class Blocks(Mirror):
    """Draws what stands left of the hole, each patch in its mean colour."""

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
        return replace(filled, image=torch.where(hole[:, None], drawn, image))


def test_moves_are_even_over_a_patch_and_begin_with_none() -> None:
    assert moves_within(8, spins=1) == [(0, 0)]
    assert moves_within(8, spins=2) == [(0, 0), (0, 4), (4, 0), (4, 4)]
    assert moves_within(16, spins=3)[:4] == [(0, 0), (0, 5), (0, 10), (5, 0)]
    for wrong in (0, 9):
        with pytest.raises(ValueError, match="expected 1 to 8"):
            moves_within(8, spins=wrong)


def test_a_moved_picture_is_moved_back() -> None:
    whole = picture(20, 30)
    moved = move(whole, (3, 5))
    assert torch.equal(moved[:, 3:, 5:], whole[:, :-3, :-5])
    assert torch.equal(moved[:, 0, 5:], whole[:, 0, :-5])
    assert torch.equal(moved[:, 3:, 2], whole[:, :-3, 0])
    moves = moves_within(8, spins=2)
    values = [move(whole, by) for by in moves]
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
    plain, moved = layout.compose_moved(query, [(0, 0), (4, 8)])
    assert torch.equal(plain.image, layout.compose(query).image)
    assert torch.equal(plain.hole, moved.hole)
    hidden = plain.hole.expand(3, -1, -1)
    assert torch.equal(moved.image[hidden], plain.image[hidden])
    whole = replace(layout, hole=layout.answer, patch_size=1)
    bare, shifted = whole.compose_moved(query, [(0, 0), (4, 8)])
    for cell in (*layout.inputs, *layout.outputs, layout.query):
        assert torch.equal(cell.of(shifted.image), move(cell.of(bare.image), (4, 8)))
    assert torch.equal(moved.image[~hidden], shifted.image[~hidden])


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
    errors = [float((a.cell[:, :, :110] - truth[:, :, 1:]).square().mean()) for a in (plain, spun)]
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
    assert spun.confidence is not None
    assert bool((spun.confidence == 1).all())


def test_an_inpainter_may_say_how_often_it_is_to_be_asked() -> None:
    asked, told = Blocks(spins=2), Blocks()
    (answer,) = CanvasModel(asked).answer([prompt()])
    (same,) = CanvasModel(told, spins=2).answer([prompt()])
    assert torch.equal(answer.image, same.image)
    assert asked.asked == told.asked == 4
    CanvasModel(asked, spins=1).answer([prompt()])
    assert asked.asked == 5


def test_what_is_drawn_at_random_is_no_mean() -> None:
    model, once = CanvasModel(Blocks(spins=2)), CanvasModel(Blocks())
    (answer,) = model.answer([prompt()], samples=3, seed=5)
    (plain,) = once.answer([prompt()], samples=3, seed=5)
    drawn = {float(a.image.sum()) for a in (answer, *answer.alternatives)}
    other = {float(a.image.sum()) for a in (plain, *plain.alternatives)}
    assert len(drawn) == len(other) == 3
    assert len(drawn & other) == 2


def test_spun_answers_of_a_batch_are_those_of_its_members() -> None:
    model = CanvasModel(Blocks(spins=3))
    prompts = [prompt(), prompt(7), prompt(20)]
    for one, answer in zip(prompts, model.answer(prompts), strict=True):
        assert torch.equal(model.answer([one])[0].image, answer.image)


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
    spun = MAE(config.model_copy(update={"spins": 2}), seed=1)
    (answer,) = CanvasModel(spun).answer([prompt()])
    (same,) = CanvasModel(MAE(config, seed=1), spins=2).answer([prompt()])
    (plain,) = CanvasModel(MAE(config, seed=1)).answer([prompt()])
    assert torch.equal(answer.image, same.image)
    assert not torch.equal(answer.image, plain.image)
    for config_class in (MAEConfig, UNetConfig):
        with pytest.raises(ValidationError, match="at most patch_size = 16"):
            config_class(spins=17)
