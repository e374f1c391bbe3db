"""The matching engine: cues, marks, the trained head, presence, objects, several examples."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import vicl
from vicl.encoders.packaged import MissingWeightsError
from vicl.engine import PartialModel
from vicl.models.matching import Matching
from vicl.models.matching.cues import CUES, FINE_CUES, Marks, compare, gather, learn
from vicl.models.matching.engine import _maps, _marks, output_kind
from vicl.models.matching.objects import tell_apart
from vicl.models.matching.view import FINE, MIDDLE, look
from vicl.prompt import Example, Prompt
from vicl.tasks.objects import separate_objects
from vicl.tasks.segmentation import UNKNOWN


@pytest.fixture(scope="module")
def engine() -> Matching:
    found = vicl.load_model("matching", device="cpu")
    assert isinstance(found, Matching)
    return found


def scene(x: int, y: int, *, seed: int = 0, there: bool = True) -> tuple[Tensor, Tensor]:
    """A red disc on a green ground with noise, and its mask; without the disc a blue square."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:120, :160]
    picture = np.full((120, 160, 3), (0.25, 0.55, 0.2)) + rng.normal(0, 0.03, (120, 160, 3))
    square = (abs(rows - 95) < 14) & (abs(columns - 130) < 14)
    picture[square] = (0.15, 0.2, 0.8)
    disc = (rows - y) ** 2 + (columns - x) ** 2 < 22**2
    if there:
        picture[disc] = (0.85, 0.15, 0.1)
    image = torch.from_numpy(picture).float().clamp(0, 1).permute(2, 0, 1).contiguous()
    return image, torch.from_numpy(disc & there).float()


def example(x: int, y: int, seed: int = 0) -> Example:
    image, mask = scene(x, y, seed=seed)
    return Example(image, mask.expand(3, -1, -1).contiguous())


def iou(answer: Float[Tensor, "3 h w"], mask: Float[Tensor, "h w"]) -> float:
    got, wanted = answer.mean(0) > 0.5, mask > 0.5
    return float((got & wanted).sum() / (got | wanted).sum())


def test_cues_are_as_many_as_are_named_and_know_the_marked_place(engine: Matching) -> None:
    image, mask = scene(50, 50)
    view = look(image, engine.encoder)
    shrunk = torch.nn.functional.adaptive_avg_pool2d(mask[None], FINE)[0]
    cues, fine = gather(compare(learn([view], [Marks(shrunk, 1 - shrunk)]), view), view)
    assert cues.shape == (len(CUES), MIDDLE, MIDDLE)
    assert fine.shape == (len(FINE_CUES), FINE, FINE)
    assert cues.isfinite().all()
    inside = torch.nn.functional.adaptive_avg_pool2d(mask[None], MIDDLE)[0] > 0.9
    for level in ("edges", "texture", "mix", "parts", "objects", "things"):
        difference = cues[CUES.index(f"{level} difference")]
        assert difference[inside].mean() > difference[~inside].mean()


def test_looked_at_both_ways_a_mirrored_image_looks_mirrored(engine: Matching) -> None:
    image, _ = scene(50, 50)
    plain, mirrored = (look(one, engine.encoder, both_ways=True) for one in (image, image.flip(-1)))
    once = look(image, engine.encoder)
    for level, other, single in zip(plain.levels, mirrored.levels, once.levels, strict=True):
        assert torch.allclose(level, other.flip(-1), atol=1e-4)
        assert not torch.allclose(single, level, atol=1e-2)
    assert torch.equal(plain.picture, once.picture)


def test_a_moved_thing_is_found(engine: Matching) -> None:
    query, mask = scene(105, 45, seed=1)
    found = engine.answer([Prompt([example(50, 50)], query)])[0]
    assert found.image.shape == query.shape
    assert iou(found.image, mask) > 0.85
    assert found.presence is not None
    assert found.presence > 0.5
    assert found.confidence is not None
    assert 0.5 <= float(found.confidence.min()) <= float(found.confidence.max()) <= 1
    assert found.log_likelihood is not None
    assert float(found.log_likelihood) <= 0


@pytest.mark.slow
def test_an_answer_depends_on_its_prompt_alone(engine: Matching) -> None:
    prompts = [Prompt([example(50, 50)], scene(x, 45, seed=x)[0]) for x in (60, 105)]
    together = engine.answer(prompts)
    for prompt, answer in zip(prompts, together, strict=True):
        assert torch.equal(engine.answer([prompt])[0].image, answer.image)
    again = pickle.loads(pickle.dumps(engine))
    assert torch.equal(again.answer(prompts[:1])[0].image, together[0].image)


def test_what_is_not_there_is_not_marked_unless_asked_to(engine: Matching) -> None:
    prompt = Prompt([example(50, 50)], scene(0, 0, there=False)[0])
    never = engine.asked(min_presence=1.0).answer([prompt])[0]
    assert not (never.image > 0.5).any()
    assert never.presence == engine.asked(min_presence=0.0).answer([prompt])[0].presence
    with pytest.raises(ValueError, match=r"min_presence: got 2.0"):
        engine.asked(min_presence=2.0)


@pytest.mark.slow
def test_a_temperature_makes_it_less_sure_and_changes_no_mask(engine: Matching) -> None:
    query, _ = scene(105, 45, seed=1)
    prompts = [Prompt([example(50, 50)], query)]
    warm = copy.deepcopy(engine.head)
    warm.config = warm.config.model_copy(update={"temperature": 3 * warm.config.temperature})
    one, other = (Matching(engine.encoder, head).answer(prompts)[0] for head in (engine.head, warm))
    assert torch.equal(one.image > 0.5, other.image > 0.5)
    assert one.confidence is not None
    assert other.confidence is not None
    assert float(other.confidence.mean()) < float(one.confidence.mean())


@pytest.mark.slow
def test_what_the_deeper_levels_do_not_see_is_there_where_a_place_is_likely(
    engine: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = copy.deepcopy(engine.head)
    torch.nn.init.constant_(never.is_there.bias, -1e4)
    query, mask = scene(105, 45, seed=1)
    prompts = [Prompt([example(50, 50)], query)]
    assert not (Matching(engine.encoder, never).answer(prompts)[0].image > 0.5).any()
    monkeypatch.setattr("vicl.models.matching.engine.is_seen", lambda marks: False)
    found = Matching(engine.encoder, never).answer(prompts)[0]
    assert iou(found.image, mask) > 0.85
    assert found.presence is not None
    assert found.presence > 0.9


@pytest.mark.slow
def test_scribbles_teach_what_they_mark_alone(engine: Matching) -> None:
    image, mask = scene(50, 50)
    rng = np.random.default_rng(0)
    known = torch.from_numpy(rng.random(mask.shape) < 0.02)
    drawn = torch.where(known, mask, UNKNOWN / 255).expand(3, -1, -1).contiguous()
    assert output_kind([drawn]).name == "mask"
    marks = _marks(_maps(drawn, torch.tensor([[0.0, 0, 0], [1, 1, 1]])), FINE)[0]
    inside, outside = marks.on(FINE)
    assert 0 < int((inside > 0).sum()) < 0.5 * FINE**2
    assert not (inside * outside)[inside == 1].any()
    query, wanted = scene(105, 45, seed=1)
    assert iou(engine.answer([Prompt([Example(image, drawn)], query)])[0].image, wanted) > 0.8


@pytest.mark.slow
def test_a_mask_in_parts_reaches_the_engine_through_the_task() -> None:
    image, mask = scene(50, 50)
    scribbles = np.full(mask.shape, 255, np.uint8)
    scribbles[48:52, 40:60], scribbles[100:104, 10:90] = 1, 0
    prompter = vicl.VisualPrompter("matching", [(image, scribbles)], "segmentation", device="cpu")
    levels = set((255 * prompter.passes[0][0].output).round().unique().int().tolist())
    assert levels == {0, UNKNOWN, 255}
    others = vicl.VisualPrompter("analogies", [(image, scribbles)], "segmentation")
    assert set(others.passes[0][0].output.unique().tolist()) == {0.0, 1.0}
    query, wanted = scene(105, 45, seed=1)
    answer = prompter.predict(query)
    assert answer.mask is not None
    assert iou(torch.from_numpy(answer.mask).expand(3, -1, -1).float(), wanted) > 0.8


@pytest.mark.slow
def test_several_examples_and_classes(engine: Matching) -> None:
    query, wanted = scene(105, 45, seed=9)
    prompt = Prompt([example(40 + 9 * n, 50, seed=n) for n in range(4)], query)
    assert iou(engine.answer([prompt])[0].image, wanted) > 0.85
    image, mask = scene(50, 50)
    index = mask.int().numpy().astype(np.uint8)
    index[82:108, 117:143] = 2
    answer = vicl.predict(
        query, [(image, index)], "segmentation", model=engine, classes=["disc", "square"]
    )
    assert answer.mask is not None
    assert iou(torch.from_numpy(answer.mask == 1).expand(3, -1, -1).float(), wanted) > 0.8
    assert (answer.mask[88:102, 123:137] == 2).mean() > 0.8


def test_in_bfloat16_it_answers_much_the_same(engine: Matching) -> None:
    """What `vicl predict --dtype bfloat16` asks, where no engine is named."""
    shown, (query, mask) = example(50, 50), scene(110, 70, seed=1)
    prompter = vicl.VisualPrompter(None, [shown], "segmentation", device="cpu", dtype="bfloat16")
    fast = prompter.model
    assert isinstance(fast, Matching)
    assert vicl.VisualPrompter(fast, [shown], "segmentation").dtype == prompter.dtype == "bfloat16"
    assert torch.equal(fast.head.mask.weight, engine.head.mask.weight)
    answers = [one.answer([Prompt([shown], query)])[0] for one in (engine, fast)]
    assert not torch.equal(answers[0].image, answers[1].image)
    assert (answers[0].image - answers[1].image).abs().mean() < 0.01
    found = torch.as_tensor(prompter.predict(query).mask).float()
    assert iou(found.expand(3, -1, -1), mask) > 0.8


def test_lines_and_pictures_are_answered_as_analogies_does(engine: Matching) -> None:
    image, _ = scene(50, 50)
    negative = Example(image, 1 - image)
    query, _ = scene(105, 45, seed=1)
    both = [
        one.answer([Prompt([negative], query)])[0].image
        for one in (engine, vicl.load_model("analogies"))  # type: ignore[union-attr]
    ]
    assert torch.equal(*both)


def test_touching_objects_are_told_apart_by_their_hearts() -> None:
    rows, columns = np.mgrid[:96, :96]
    far = [np.hypot(rows - 48, columns - x) for x in (34, 62)]
    mask = torch.from_numpy(np.minimum(*far) < 16)
    depth = torch.from_numpy(np.maximum(0, 1 - np.minimum(*far) / 16)).float()
    found = tell_apart(mask, depth)
    assert set(found.unique().tolist()) == {0, 1, 2}
    assert found[48, 34] != found[48, 62]
    assert bool(((found > 0) == mask).all())
    large = tell_apart(mask.repeat_interleave(12, 0).repeat_interleave(12, 1), depth)
    assert large.shape == (1152, 1152)
    assert len(large.unique()) == 3
    assert not tell_apart(torch.zeros(50, 60, dtype=torch.bool), depth).any()
    specks = mask.clone()
    specks[2:90:8, 2] = True  # no heart lies in them
    assert len(tell_apart(specks, depth).unique()) == 3 + 11
    labels = np.where(rows < 48, 1, 3).astype(np.uint8) * specks.numpy()
    classes = [labels[separate_objects(labels) == n] for n in range(1, 1 + 2)]
    assert all(len(set(found.tolist())) == 1 for found in classes)


def test_only_engines_that_can_are_asked_for_presence(engine: Matching) -> None:
    assert isinstance(engine, PartialModel)
    image, mask = scene(50, 50)
    shown = [(image, mask.numpy() > 0.5)]
    with pytest.raises(ValueError, match=r"min_presence: analogies cannot say"):
        vicl.VisualPrompter("analogies", shown, "segmentation", min_presence=0.3)
    prompter = vicl.VisualPrompter(engine, shown, "segmentation", instances=True)
    answer = prompter.predict(scene(105, 45, seed=1)[0])
    assert answer.objects is not None
    assert answer.objects.max() == 1
    assert np.array_equal(answer.objects > 0, answer.mask)
    parts = vicl.VisualPrompter("analogies", shown, "segmentation", instances=True)
    found = parts.predict(image)
    assert found.objects is not None
    assert found.presence is None


def test_analogies_serves_where_the_weights_are_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(source: str, **_: object) -> None:
        raise MissingWeightsError("efficientnet-lite2: not installed")

    monkeypatch.setattr("vicl.loading.load_encoder", missing)
    image, mask = scene(50, 50)
    prompter = vicl.VisualPrompter(None, [(image, mask.numpy() > 0.5)], "segmentation")
    assert prompter.model.name == "analogies"
    assert "not installed" in caplog.text
