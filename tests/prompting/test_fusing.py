from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluation.studies.toy import Finder, Toy
from tests.models.kinds import KINDS
from tests.pictures import picture
from tests.slowly import mostly_slow
from tests.stand_ins import Mirror

from vicl.canvas.layout import Layout
from vicl.canvas.rects import Rect
from vicl.engine import Filled, InContextModel
from vicl.images import to_tensor
from vicl.metrics import iou
from vicl.models.configs import Asking
from vicl.models.tokens import hole_tokens
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.fusing import FUSIONS, TOKEN_FUSIONS, agreement, fuse_logits, pixel_vote

ALL = (1, 2, 3, 4, 5, 6, 7, 8)
GRID = Layout.grid(1, canvas_size=(64, 64), patch_size=8)


def prompt(examples: int = 1, *, seed: int = 0) -> Prompt:
    pairs = [
        (picture(40, 50, seed=seed + i), picture(40, 50, seed=seed + i + 50))
        for i in range(examples)
    ]
    return Prompt(pairs, picture(48, 40, seed=seed + 99))


@pytest.fixture(scope="module")
def model() -> Any:
    return KINDS["mae-vqgan"].build()


def same(one: Any, other: Any) -> bool:
    """The same picture to within a level of 8 bits, and as sure of it."""
    return (
        torch.allclose(one.image, other.image, atol=1 / 255)
        and torch.allclose(one.confidence, other.confidence, atol=1e-4)
        and torch.allclose(one.log_likelihood, other.log_likelihood, rtol=1e-4)
    )


def test_each_fusion_chooses_as_worked_by_hand() -> None:
    """Two canvases, one place, three tokens; probabilities (.6 .39 .01) and (.001 .299 .7)."""
    logits = torch.tensor([[0.6, 0.39, 0.01], [0.001, 0.299, 0.7]])[:, None].log()
    logits[1] += 5.0  # changes no probability
    expected = {
        "probabilities": [0.3005, 0.3445, 0.355],
        "product": [0.6 * 0.001, 0.39 * 0.299, 0.01 * 0.7],
        "logits": [(0.6 * 0.001) ** 0.5, (0.39 * 0.299) ** 0.5, (0.01 * 0.7) ** 0.5],
        "max": [0.6, 0.39, 0.7],
    }
    chosen = {"probabilities": 2, "product": 1, "logits": 1, "max": 2}
    for fuse in TOKEN_FUSIONS:
        values = np.array(expected[fuse])
        fused = fuse_logits(logits, fuse)
        np.testing.assert_allclose(fused.exp()[0].numpy(), values / values.sum(), rtol=1e-5)
        assert int(fused.argmax()) == chosen[fuse]


@pytest.mark.parametrize("fuse", mostly_slow(FUSIONS, "answers", "logits"))
def test_one_canvas_is_the_plain_answer(model: Any, fuse: Any) -> None:
    query = prompt()
    (plain,) = CanvasModel(model).answer([query])
    ensemble = CanvasModel(model, fuse=fuse)
    assert isinstance(ensemble, InContextModel)
    assert (ensemble.name, ensemble.weights_hash) == (model.name, model.weights_hash)
    (answer,) = ensemble.answer([query])
    assert same(answer, plain)
    assert torch.allclose(answer.cell, plain.cell, atol=1 / 255)
    assert torch.allclose(answer.canvas, plain.canvas, atol=1 / 255)


@pytest.mark.parametrize("fuse", mostly_slow(TOKEN_FUSIONS, "product", "max"))
def test_tokens_are_fused_place_by_place(model: Any, fuse: Any) -> None:
    """Against loops over canvases and places, in double precision."""
    query, arrangements = prompt(), (1, 4, 7)
    layouts = [GRID.arranged(a) for a in arrangements]
    probabilities, scores = [], []
    with torch.no_grad():
        for layout in layouts:
            canvas = layout.compose(query)
            logits = model.token_logits(canvas.image[None], canvas.hole[None])[0].double().numpy()
            top, left = layout.hole.top // 8, layout.hole.left // 8
            inside = np.array(
                [logits[(top + y) * 8 + left + x] for y in range(4) for x in range(4)]
            )
            scores.append(inside)
            exponents = np.exp(inside)
            probabilities.append(exponents / exponents.sum(axis=1, keepdims=True))
        combined = {
            "probabilities": sum(probabilities),
            "logits": sum(scores),
            "product": probabilities[0] * probabilities[1] * probabilities[2],
            "max": np.maximum(np.maximum(*probabilities[:2]), probabilities[2]),
        }[fuse]
        first = layouts[0].compose(query)
        tokens = model.token_logits(first.image[None], first.hole[None])[0].argmax(dim=-1)
        for place, token in enumerate(combined.argmax(axis=1)):
            tokens[(4 + place // 4) * 8 + 4 + place % 4] = int(token)
        drawn = model.decode(tokens[None], first.image[None], first.hole[None])[0]
    (answer,) = CanvasModel(model, arrangements=arrangements, fuse=fuse).answer([query])
    assert torch.equal(answer.canvas, drawn)
    assert torch.equal(answer.cell, layouts[0].crop(drawn))


def test_views_weigh_as_the_mean_likelihood_of_their_tokens(model: Any) -> None:
    """By hand: four views of 4x4 tokens each, every view alone."""
    arrangements, query = (1, 2, 5, 8), prompt()
    alone = [
        CanvasModel(model, layout=GRID.arranged(number)).answer([query])[0]
        for number in arrangements
    ]
    shares = np.array([math.exp(float(one.log_likelihood) / 16) for one in alone])
    shares /= shares.sum()
    assert shares.max() > 1.01 * shares.min()
    (answer,) = CanvasModel(model, arrangements=arrangements, fuse="weighted").answer([query])
    for name in ("image", "confidence", "cell"):
        wanted = sum(s * getattr(one, name) for s, one in zip(shares, alone, strict=True))
        assert torch.allclose(getattr(answer, name), wanted, atol=1e-5), name


@pytest.mark.parametrize("fuse", mostly_slow(("answers", "weighted", "vote"), "answers"))
def test_an_answer_says_what_each_view_was_worth(model: Any, fuse: Any) -> None:
    """Two examples, a canvas each, in two arrangements: four views."""
    query, asked = prompt(2), {"fuse": fuse, "examples_per_canvas": 1, "spins": 1}
    (answer,) = CanvasModel(model, arrangements=(1, 5), shows="mask", **asked).answer([query])
    assert [(view.examples, view.arrangement) for view in answer.views] == [
        ((0,), 1),
        ((0,), 5),
        ((1,), 1),
        ((1,), 5),
    ]
    for view in answer.views:
        (alone,) = CanvasModel(model, layout=GRID.arranged(view.arrangement)).answer(
            [Prompt([query.examples[n] for n in view.examples], query.query)]
        )
        assert alone.views == ()
        assert view.log_likelihood == float(alone.log_likelihood)
        both = [one.cell.mean(dim=0).numpy() > 0.5 for one in (alone, answer)]
        assert view.agreement == iou(*both)
    assert len({view.agreement for view in answer.views}) > 1


def test_of_fused_tokens_it_says_how_many_each_view_shares(model: Any) -> None:
    query = prompt()
    layouts = [GRID.arranged(number) for number in (1, 2)]
    own = []
    for layout in layouts:
        canvas = layout.compose(query)
        logits = model.token_logits(canvas.image[None], canvas.hole[None])[0]
        own.append(logits.log_softmax(-1)[hole_tokens(canvas.hole[None], 8)[0]].detach())
    fused = sum(own).argmax(-1)
    (answer,) = CanvasModel(model, arrangements=2, fuse="product").answer([query])
    for view, scores in zip(answer.views, own, strict=True):
        assert view.agreement == pytest.approx(float((scores.argmax(-1) == fused).float().mean()))
        assert view.log_likelihood == pytest.approx(float(scores.amax(-1).sum()), rel=1e-5)


def test_pictures_agree_by_their_task() -> None:
    black, half = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    half[:, :2] = 0.6
    assert agreement(black, black, "mask") == 1
    assert agreement(half, torch.ones(3, 4, 4), "mask") == 0.5
    assert agreement(half, black, "image") == pytest.approx(0.7)


class Counted(Finder):
    """Counts the canvases that it is shown."""

    canvases = 0

    def token_logits(self, image: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
        self.canvases += len(image)
        return super().token_logits(image, hole)


@pytest.mark.slow
@pytest.mark.parametrize("fuse", ["answers", "vote", "product"])
def test_views_are_asked_until_they_agree(fuse: Any) -> None:
    """And what is answered is what those alone give, whoever else is asked."""
    toy, finder = Toy(), Counted(noise=0.6)
    prompts = [toy.load(episode).prompt for episode in toy.episodes(6)]
    how: dict[str, Any] = {"fuse": fuse, "shows": "mask"}
    asked = CanvasModel(finder, arrangements=ALL, agree=0.7, **how)
    answers = asked.answer(prompts)
    counts = [len(answer.views) for answer in answers]
    assert finder.canvases == sum(counts)
    assert min(counts) == 2
    assert max(counts) > 2
    for answer, one, count in zip(answers, prompts, counts, strict=True):
        (alone,) = asked.stream([one], batch_size=1)
        first, before = (
            CanvasModel(finder, arrangements=n, **how).answer([one])[0] for n in (count, count - 1)
        )
        for other in (alone, first):
            assert torch.equal(other.image, answer.image)
            assert other.views == answer.views
        agreed = min(view.agreement for view in answer.views) >= 0.7
        assert agreed or count == len(ALL)
        assert count == 2 or min(view.agreement for view in before.views) < 0.7


@pytest.mark.parametrize("fuse", ["answers", "vote", "product"])
def test_masks_that_are_all_empty_do_not_stop_early(fuse: Any) -> None:
    """A model that finds nothing agrees with itself, rightly or not; other pictures may be dark."""
    grey = np.full((32, 32, 3), 128, np.uint8)
    views = {}
    for shows in ("mask", "image"):
        how: dict[str, Any] = {"arrangements": 3, "agree": 0.9, "fuse": fuse, "shows": shows}
        (answer,) = CanvasModel(Finder(), **how).answer([Prompt([(grey, grey)], grey)])
        assert not answer.image.any()
        views[shows] = [view.agreement for view in answer.views]
    assert views == {"mask": [1.0] * 3, "image": [1.0] * 2}


def test_further_answers_are_drawn_by_the_views_that_were_asked(model: Any) -> None:
    how: dict[str, Any] = {"fuse": "images", "shows": "mask"}
    few, two = (
        CanvasModel(model, **given, **how).answer([prompt()], samples=2)[0]
        for given in ({"arrangements": ALL, "agree": 0.01}, {"arrangements": 2})
    )
    assert len(few.views) == 2
    for one, other in zip((few, *few.alternatives), (two, *two.alternatives), strict=True):
        assert torch.equal(one.image, other.image)


def test_without_a_likelihood_nothing_can_be_weighted_by_it() -> None:
    asked = CanvasModel(KINDS["mae"].build(), arrangements=2, fuse="weighted")
    with pytest.raises(ValueError, match="gives no likelihood of its answers; they can be fused"):
        asked.answer([prompt()])


@pytest.mark.parametrize(
    ("shows", "name"), [("mask", "binary"), ("image", "inpaint"), ("edges", "edge")]
)
def test_pixels_are_voted_on_as_published(shared: Path, shows: Any, name: str) -> None:
    """Eight canvases, each filled as one of the golden's predictions, in the golden's order."""
    golden = np.load(shared / "goldens" / "prompt_self" / "arrangements.npz")
    votes = torch.from_numpy(golden["pred_cells"]).permute(0, 3, 1, 2)
    wanted = torch.from_numpy(golden[f"fused_{name}"]).float() / 255
    wanted = wanted.expand(3, -1, -1) if shows == "edges" else wanted.permute(2, 0, 1)
    assert torch.equal(pixel_vote(votes, shows), wanted)
    layout = Layout(
        (14, 14),
        1,
        (Rect(0, 0, 6, 6),),
        (Rect(0, 8, 6, 6),),
        Rect(8, 0, 6, 6),
        Rect(8, 8, 6, 6),
        hole=Rect(7, 7, 7, 7),
    )
    asked = CanvasModel(
        Voters(votes / 255), layout=layout, arrangements=ALL, fuse="vote", shows=shows
    )
    (answer,) = asked.answer([prompt()])
    assert torch.equal(answer.cell, wanted)


def test_votes_are_counted_above_the_published_levels() -> None:
    """The golden's edges are white throughout, so they do not tell where the line is."""
    levels = torch.tensor([[102, 127], [102, 127], [103, 128]])[None, :, :, None]  # (1, 3, 2, 1)
    votes = torch.cat([levels, levels]).byte()
    assert pixel_vote(votes, "mask")[..., 0].tolist() == [[0, 0], [0, 0], [0, 1]]
    assert pixel_vote(votes, "edges")[..., 0].tolist() == [[1, 1]] * 3
    assert pixel_vote(votes.clamp(max=102), "edges").sum() == 0


class Voters(Mirror):
    """Fills each hole of a canvas of cells of 6 px, at 0 and 8, with the next of given cells."""

    def __init__(self, cells: torch.Tensor) -> None:
        super().__init__(canvas_size=(14, 14), patch_size=1)
        self.cells = cells

    def inpaint(self, image: torch.Tensor, hole: torch.Tensor, **how: Any) -> Filled:
        filled = image.clone()
        for number, (top, left) in enumerate(one.nonzero()[0].tolist() for one in hole):
            top, left = (side and 8 for side in (top, left))
            filled[number, :, top : top + 6, left : left + 6] = self.cells[number]
        return Filled(filled)


def test_product_and_scores_choose_alike(model: Any) -> None:
    one, other = (
        CanvasModel(model, arrangements=ALL, fuse=fuse).answer([prompt()])[0]
        for fuse in ("product", "logits")
    )
    assert torch.equal(one.image, other.image)
    assert one.confidence.mean() > other.confidence.mean()


@pytest.mark.parametrize("kind", ["mae", "mae-vqgan"])
def test_images_are_averaged_at_the_cell(kind: str) -> None:
    inpainter = KINDS[kind].build()
    arrangements = (1, 3, 8)
    (answer,) = CanvasModel(inpainter, arrangements=arrangements, fuse="images").answer([prompt()])
    alone = [
        CanvasModel(inpainter, layout=GRID.arranged(a)).answer([prompt()])[0].cell
        for a in arrangements
    ]
    assert torch.allclose(answer.cell, sum(alone) / 3, atol=1e-6)
    assert torch.equal(GRID.crop(answer.canvas), answer.cell)


def test_every_example_may_have_a_canvas_of_its_own(model: Any) -> None:
    query = prompt(3)
    ensemble = CanvasModel(model, fuse="images", examples_per_canvas=1)
    (answer,) = ensemble.answer([query])
    singles = [CanvasModel(model).answer([Prompt([e], query.query)])[0] for e in query.examples]
    mean = torch.stack([to_tensor(one.cell) for one in singles]).mean(dim=0)
    assert torch.allclose(answer.cell, mean, atol=1e-6)
    thrice = Prompt([query.examples[0]] * 3, query.query)
    each = CanvasModel(model, fuse="probabilities", examples_per_canvas=1)
    (agreed,) = each.answer([thrice])
    assert same(agreed, singles[0])


def test_an_inpainter_for_one_example_gets_a_canvas_for_each() -> None:
    single = KINDS["mae-vqgan"].build((96, 96))
    single.asking = Asking(most_examples=1)
    one = CanvasModel(single, fuse="probabilities", examples_per_canvas=1)
    asked = prompt(2)
    assert same(
        CanvasModel(single, fuse="probabilities").answer([asked])[0], one.answer([asked])[0]
    )


def test_a_prompt_gets_what_it_gets_alone(model: Any) -> None:
    prompts = [prompt(seed=1), prompt(seed=2)]
    ensemble = CanvasModel(model, arrangements=(1, 2, 5), fuse="probabilities")
    for together, one in zip(ensemble.answer(prompts), prompts, strict=True):
        (alone,) = ensemble.answer([one])
        assert torch.equal(together.image, alone.image)
        assert torch.equal(together.confidence, alone.confidence)


@pytest.mark.slow
def test_arrangements_bring_the_same_place_together() -> None:
    """Each canvas errs by itself: eight of them must agree on more than one alone gets right."""
    toy, finder = Toy(), Finder(noise=1.5)
    cases = [toy.load(episode) for episode in toy.episodes(8)]

    def score(ensemble: CanvasModel) -> float:
        answers = ensemble.answer([case.prompt for case in cases])
        return float(
            np.mean(
                [
                    iou(a.image[1].numpy() > 0.5, c.truth.image[1].numpy() > 0.5)
                    for a, c in zip(answers, cases, strict=True)
                ]
            )
        )

    alone = score(CanvasModel(finder))
    assert score(CanvasModel(Finder())) > 0.9
    for fuse in FUSIONS:
        assert score(CanvasModel(finder, arrangements=ALL, fuse=fuse)) > alone + 0.1


def test_what_cannot_be_fused_is_refused(model: Any) -> None:
    for arrangements in ((), (0,), (1, 9)):
        with pytest.raises(ValueError, match="numbers from 1 to 8"):
            CanvasModel(model, arrangements=arrangements)
    with pytest.raises(ValueError, match="examples_per_canvas: got 0"):
        CanvasModel(model, examples_per_canvas=0)
    for kind in ("mae", "unet", "autoregressive"):
        with pytest.raises(ValueError, match="its answers can be fused as 'images'"):
            CanvasModel(KINDS[kind].build(), fuse="probabilities")
    with pytest.raises(ValueError, match="expected a multiple of 2"):
        CanvasModel(model, examples_per_canvas=2).answer([prompt(3)])
    strip = Layout.strip(1, canvas_size=(64, 64), patch_size=8)
    with pytest.raises(ValueError, match="take arrangements among 1 to 4"):
        CanvasModel(model, arrangements=(1, 8), layout=strip).answer([prompt()])
