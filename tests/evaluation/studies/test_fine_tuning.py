from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.evaluation.studies.marks import Marks
from tests.models.kinds import KINDS, batch
from torch.nn import functional as F  # noqa: N812

from vicl.engine import InContextModel
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.evaluation.studies.fine_tuned import FineTuned, FineTuning, mirrored
from vicl.evaluation.studies.fine_tuning import run
from vicl.evaluation.studies.table import StudyTable
from vicl.evaluation.studies.variants import Asking
from vicl.prompt import Example, Prompt
from vicl.prompting.canvas_model import CanvasModel

QUICK = FineTuning(steps=2)


def by_name(table: StudyTable) -> dict[tuple[str, str], Any]:
    return {(row.variant, row.engine): row for row in table.rows}


@pytest.mark.slow
def test_sixteen_labelled_images_beat_one() -> None:
    # One image shows one colour; the squares have eight.
    settings = FineTuning(steps=80, lr=3e-3, batch=8)
    found = run(
        {"mae": KINDS["mae"].build()}, Marks(), Asking(count=12), shots=(1, 16), settings=settings
    )
    rows = by_name(found)
    one = rows["1 labelled image", "mae, fine-tuned"]
    many = rows["16 labelled images", "mae, fine-tuned"]
    assert many.interval.low > one.interval.high
    assert many.interval.mean > 0.6
    # Random weights cannot be prompted.
    assert many.difference.low > 0.5
    assert rows["16 labelled images", "mae"].difference is None
    assert found.x == (1.0, 1.0, 1.0, 16.0, 16.0, 16.0)
    assert [row.engine for row in found.rows[:3]] == ["copy", "mae", "mae, fine-tuned"]


@pytest.mark.parametrize("kind", [pytest.param("mae-vqgan", marks=pytest.mark.slow), "mae-plain"])
def test_prompting_is_shown_what_fine_tuning_learns_from(kind: str) -> None:
    data, model = Marks(classes=("a", "b"), images=6), KINDS[kind].build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = run({model.name: model}, data, Asking(count=8, seed=3), shots=(1, 2), settings=QUICK)
    episodes = data.episodes(8, seed=3, examples=2)
    kept, pairs = [], []
    for name in ("a", "b"):
        own = [episode for episode in episodes if episode.class_name == name]
        labelled = own[0].examples
        asked = [e for e in own if e.query.image not in {item.image for item in labelled}]
        assert 0 < len(asked) < len(own)
        kept += [(labelled, episode.query) for episode in asked]
        pairs.append([data.draw(item.image) for item in labelled])
    assert found.rows[0].interval.n == len(kept)
    assert f"{8 - len(kept)} of 8 episodes were left out" in found.notes[1]

    # By hand: what prompting and fine-tuning score on these queries, with two images.
    scorer, rows = scorer_for("segmentation"), by_name(found)
    tuned = {
        name: FineTuned(model, Prompt(shown, shown[0][0]).examples, QUICK, seed=3)
        for name, shown in zip(("a", "b"), pairs, strict=True)
    }
    expected: dict[str, list[float]] = {model.name: [], f"{model.name}, fine-tuned": []}
    for labelled, query in kept:
        case = data.load(next(e for e in data.episodes(8, seed=3) if e.query == query))
        prompt = Prompt([data.draw(item.image) for item in labelled], case.prompt.query)
        engines: dict[str, InContextModel] = {
            model.name: CanvasModel(model),
            f"{model.name}, fine-tuned": tuned[query.class_name],
        }
        for name, engine in engines.items():
            answer = engine.answer([prompt])[0]
            expected[name].append(scorer.score(case, answer).values[found.metric.name])
    for name, scores in expected.items():
        assert rows["2 labelled images", name].scores == pytest.approx(scores, abs=1e-6)
    # The model itself is as it was.
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_fine_tuning_lowers_the_loss_and_repeats_by_its_seed() -> None:
    data, model = Marks(), KINDS["mae"].build()
    shown = data.load(data.episodes(1, examples=2)[0]).prompt
    truth = torch.stack([example.output for example in shown.examples])

    def loss(steps: int, seed: int = 0) -> torch.Tensor:
        engine = FineTuned(model, shown.examples, FineTuning(steps=steps, lr=3e-3), seed=seed)
        prompts = [Prompt(shown.examples, example.input) for example in shown.examples]
        answers = torch.stack([filled.image for filled in engine.answer(prompts)])
        assert float(answers.min()) >= 0
        assert float(answers.max()) <= 1
        return F.binary_cross_entropy(answers.clamp(1e-6, 1 - 1e-6), truth)

    early, late = loss(1), loss(30)
    assert late < 0.6 * early
    assert loss(1) == early
    assert loss(1, seed=1) != early


def test_images_are_mirrored_left_to_right() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4).repeat(2, 3, 1, 1)
    found = mirrored(image, torch.tensor([True, False]))
    assert found[0, 0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    assert torch.equal(found[1], image[1])


def test_a_mark_is_mirrored_with_its_image() -> None:
    bright = torch.zeros(3, 64, 64)
    bright[..., :32] = 1
    labelled = [Example(bright, bright)]
    engine = FineTuned(KINDS["mae"].build(), labelled, FineTuning(steps=40, lr=3e-3))
    for query in (bright, bright.flip(-1)):
        answer = engine.answer([Prompt(labelled, query)])[0].image
        assert float((answer - query).abs().mean()) < 0.3


def test_an_answer_has_the_querys_size_and_is_the_same_in_a_batch() -> None:
    data, model = Marks(), KINDS["mae"].build()
    shown = data.load(data.episodes(1)[0]).prompt
    engine = FineTuned(model, shown.examples, QUICK)
    queries = [
        torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
        for size in ((40, 90), (64, 64))
    ]
    together = engine.answer([Prompt(shown.examples, query) for query in queries])
    for query, answer in zip(queries, together, strict=True):
        assert answer.image.shape == query.shape
        alone = engine.answer([Prompt(shown.examples, query)])[0]
        assert torch.equal(alone.image, answer.image)
    assert engine.name == "mae, fine-tuned"


def test_features_are_what_the_models_own_head_reads() -> None:
    model = KINDS["mae-vqgan"].build()
    image, hole = batch()
    with torch.no_grad():
        scores = model.head(model.features(image[:1], hole[:1]))
        assert torch.equal(scores, model.token_logits(image[:1], hole[:1]))
        assert model.features(image, torch.zeros_like(hole)).shape == (3, 64, 32)


def test_what_cannot_be_fine_tuned_is_refused() -> None:
    model = KINDS["mae"].build()
    with pytest.raises(ValueError, match="BEiT, expected MAE or MAE-VQGAN"):
        run({"beit": KINDS["beit"].build()}, Marks(), Asking(count=2))
    with pytest.raises(ValueError, match="none, expected MAE"):
        run({}, Marks(), Asking(count=2))
    with pytest.raises(ValueError, match="one of edges"):
        run({"mae": model}, Marks("edges"), Asking(count=2))
    with pytest.raises(ValueError, match=r"shots: got \(0,\)"):
        run({"mae": model}, Marks(), Asking(count=2), shots=(0,))
    with pytest.raises(ValueError, match="labelled: got no image"):
        FineTuned(model, [], QUICK)
    with pytest.raises(ValueError, match="fine-tuning: got"):
        FineTuning(lr=0.0)
