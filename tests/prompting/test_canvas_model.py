"""An inpainter on a layout, and the floors, against what every engine promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.pictures import picture
from tests.stand_ins import Mirror

from vicl.canvas.layout import Layout
from vicl.engine import Filled, InContextModel, Inpainter, rank, seed_of_draw
from vicl.images import resize
from vicl.loading import load_model
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel


def prompt(examples: int = 1, size: tuple[int, int] = (80, 100), seed: int = 0) -> Prompt:
    pairs = [
        (picture(*size, seed=seed + i), picture(*size, seed=seed + i + 50)) for i in range(examples)
    ]
    return Prompt(pairs, picture(*size, seed=seed + 99))


def test_further_answers_take_any_seed() -> None:
    """Multiplied, the largest is more than a generator takes; small ones stay what they were."""
    prompt = Prompt([(torch.zeros(3, 8, 8), torch.ones(3, 8, 8))], torch.zeros(3, 8, 8))
    model = CanvasModel(Mirror())
    largest = model.answer([prompt], samples=2, seed=2**63 - 1)[0]
    assert len(largest.alternatives) == 1
    assert seed_of_draw(7, 2) == 7_000_023


def test_protocols_hold() -> None:
    assert isinstance(Mirror(), Inpainter)
    assert isinstance(CanvasModel(Mirror()), InContextModel)
    assert not isinstance(CanvasModel(Mirror()), Inpainter)
    for name in ("copy", "identity", "analogies"):
        assert isinstance(load_model(name), InContextModel)


def test_compose_inpaint_crop() -> None:
    """On the 2x2 the mirror answers the negative of the query, cell and canvas included."""
    query = prompt()
    (answer,) = CanvasModel(Mirror(), upsampling="bicubic").answer([query])
    assert answer.image.shape == (3, 80, 100)
    layout = Layout.paper(1)
    assert answer.cell is not None
    assert answer.canvas is not None
    shown = layout.query.of(answer.canvas)
    # The hole begins a pixel before its cell, so that the mirror is off by that pixel.
    assert torch.equal(answer.cell[:, :, :110], 1 - shown[:, :, 1:])
    visible = ~layout.compose(query).hole
    assert torch.equal(answer.canvas[:, visible], layout.compose(query).image[:, visible])


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_fit_is_undone(fit: str) -> None:
    query = prompt(size=(60, 120))
    (answer,) = CanvasModel(Mirror(), fit=fit).answer([query])  # type: ignore[arg-type]
    assert answer.image.shape == (3, 60, 120)
    assert answer.confidence is not None
    outside = answer.confidence[:, :29]
    assert bool((outside == 0).all()) == (fit == "crop")
    assert bool((answer.image[:, :, :29] == 0).all()) == (fit == "crop")


def test_a_batch_gives_what_its_members_give_alone() -> None:
    prompts = [prompt(1), prompt(2, (50, 70), seed=7), prompt(5, (90, 30), seed=20)]
    model = CanvasModel(Mirror())
    together = model.answer(prompts, samples=3, seed=4)
    for one, answer in zip(prompts, together, strict=True):
        (alone,) = model.answer([one], samples=3, seed=4)
        assert torch.equal(alone.image, answer.image)
        assert len(alone.alternatives) == len(answer.alternatives) == 2
        for mine, other in zip(alone.alternatives, answer.alternatives, strict=True):
            assert torch.equal(mine.image, other.image)


def test_samples_are_ranked_and_seeded() -> None:
    model = CanvasModel(Mirror())
    (first,) = model.answer([prompt()], samples=3, seed=1)
    (same,) = model.answer([prompt()], samples=3, seed=1)
    (other,) = model.answer([prompt()], samples=3, seed=2)
    assert float(first.log_likelihood or 0) == -1.0
    assert torch.equal(first.alternatives[0].image, same.alternatives[0].image)
    assert not torch.equal(first.alternatives[0].image, other.alternatives[0].image)
    assert not torch.equal(first.alternatives[0].image, first.alternatives[1].image)


def test_ranking_drops_answers_that_coincide() -> None:
    one, two = Filled(picture(4, 4)), Filled(picture(4, 4, seed=1))
    best = rank([one, two, replace(one), two])
    assert best.image is one.image
    assert [a.image for a in best.alternatives] == [two.image]


def test_more_examples_than_fit_are_answered_in_groups_and_averaged() -> None:
    """224 px holds two examples; five are shared out 1, 2, 2."""
    model = CanvasModel(Mirror(), upsampling="bicubic")
    whole = prompt(5)
    (answer,) = model.answer([whole])
    groups = [whole.examples[:1], whole.examples[1:3], whole.examples[3:]]
    parts = [model.answer([Prompt(group, whole.query)])[0].image for group in groups]
    assert torch.allclose(answer.image, torch.stack(parts).mean(dim=0), atol=1e-6)


def test_an_inpainter_may_say_how_many_examples_it_sees_at_once() -> None:
    whole = prompt(2)
    (answer,) = CanvasModel(Mirror(most_examples=1), upsampling="bicubic").answer([whole])
    parts = [Prompt([example], whole.query) for example in whole.examples]
    alone = CanvasModel(Mirror(), upsampling="bicubic").answer(parts)
    mean = torch.stack([part.image for part in alone]).mean(dim=0)
    assert torch.allclose(answer.image, mean, atol=1e-6)


def test_a_layout_must_suit_the_inpainter() -> None:
    with pytest.raises(ValueError, match="which is what mirror takes"):
        CanvasModel(Mirror(), layout=Layout.grid(1, canvas_size=(256, 256)))
    model = CanvasModel(Mirror(), layout=Layout.paper(2))
    with pytest.raises(ValueError, match="multiple of it"):
        model.answer([prompt(3)])


def test_copy_answers_the_mean_output_and_the_single_ones_as_alternatives() -> None:
    query = prompt(2, (30, 40))
    model = load_model("copy")
    assert isinstance(model, InContextModel)
    (answer,) = model.answer([query], samples=9)
    outputs = [resize(e.output, (30, 40)) for e in query.examples]
    assert torch.equal(answer.image, torch.stack(outputs).mean(dim=0))
    assert torch.equal(answer.alternatives[1].image, outputs[1])
    assert len(answer.alternatives) == 2


def test_identity_answers_the_query() -> None:
    model = load_model("identity")
    assert isinstance(model, InContextModel)
    query = prompt()
    assert torch.equal(model.answer([query])[0].image, query.query)  # type: ignore[arg-type]


def test_unknown_engines_and_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of matching, default, analogies"):
        load_model("nothing")
    with pytest.raises(ValueError, match="runs on the CPU only"):
        load_model("copy", device="cuda")
    with pytest.raises(ValueError, match="float32"):
        load_model("copy", dtype="bfloat16")
