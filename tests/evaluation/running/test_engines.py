"""Engines made ready for an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.models.fabricated import tiny_config, tiny_model
from tests.pictures import picture
from tests.stand_ins import Bright, Mirror
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.engine import Filled
from vicl.evaluation.running.answering import Answerer
from vicl.evaluation.running.engines import (
    as_engine,
    as_scored,
    device_of,
    equal_tokens,
    load_models,
)
from vicl.evaluation.scoring.results import EvaluationError
from vicl.models.floors import Copy
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.tiling import LargeQueries


def prompts(count: int, examples: int = 1) -> list[Prompt]:
    return [
        Prompt(
            [
                (picture(30, 40, s + 50 * k), picture(30, 40, s + 50 * k + 9))
                for k in range(examples)
            ],
            picture(30, 40, s),
        )
        for s in range(count)
    ]


def test_an_inpainter_gets_its_grid() -> None:
    plain = as_engine(Mirror(), "segmentation")
    assert isinstance(plain, CanvasModel)
    assert plain.layout is None  # the general grid, which shares out examples that do not fit
    left = as_engine(Mirror(), "segmentation", examples=2, order="left")
    assert isinstance(left, CanvasModel)
    assert left.layout == Layout.grid(2, order="left")
    single = Mirror()
    single.most_examples = 1  # type: ignore[attr-defined]
    left = as_engine(single, "segmentation", examples=2, order="left")
    assert isinstance(left, CanvasModel)
    assert left.layout == Layout.grid(1, order="left")
    small = as_engine(Mirror((32, 32), 4), "segmentation", examples=3, order="left")
    assert isinstance(small, CanvasModel)
    assert small.layout == Layout.grid(1, canvas_size=(32, 32), patch_size=4, order="left")


def test_published_detection_shrinks_bilinearly() -> None:
    published = as_engine(Mirror(), "detection", published=True)
    assert isinstance(published, CanvasModel)
    assert published.layout is not None
    assert published.layout.resampling == "bilinear"
    assert published.layout.cells == Layout.paper(1).cells
    segmentation = as_engine(Mirror(), "segmentation", published=True)
    assert isinstance(segmentation, CanvasModel)
    assert segmentation.layout is None


@pytest.mark.parametrize(
    ("canvas", "patch", "layout"),
    [
        (224, 16, Layout.paper(2)),
        (128, 8, Layout.grid(2, canvas_size=(128, 128), patch_size=8, abreast=1)),
        (64, 8, None),  # too small for two examples at once
    ],
)
def test_the_synthetic_study_stacks_its_examples(
    canvas: int, patch: int, layout: Layout | None
) -> None:
    engine = as_engine(Mirror((canvas, canvas), patch), "shapes", examples=2)
    assert isinstance(engine, CanvasModel)
    assert engine.layout == layout
    assert engine.answer(prompts(1, examples=2))[0].image.shape == (3, 30, 40)


def test_other_engines_get_large_queries_as_the_prompter_gives_them() -> None:
    edges = as_engine(Bright(max_size=64), "edges")
    assert isinstance(edges, LargeQueries)
    assert edges.tile == 64
    whole = as_engine(Bright(max_size=64), "segmentation")
    assert isinstance(whole, LargeQueries)
    assert whole.tile is None
    floor = Copy()
    assert as_engine(floor, "edges") is floor


def test_a_cell_counts_only_where_it_shows_the_whole_query() -> None:
    answer = Filled(picture(30, 40), cell=picture(16, 16), canvas=picture(32, 32))
    stretched = as_scored(CanvasModel(Mirror()), answer)
    assert stretched.cell is answer.cell
    assert stretched.canvas is None
    assert as_scored(CanvasModel(Mirror(), fit="pad"), answer).cell is None
    cropped = CanvasModel(Mirror(), layout=Layout.grid(1, fit="crop"))
    assert as_scored(cropped, answer).cell is None


def test_groups_of_examples_are_scored_by_their_mean() -> None:
    """Two examples on a canvas that holds one: the cell is the mean of both answers."""
    (prompt,) = prompts(1, examples=2)
    model = CanvasModel(Mirror((32, 32), 4))
    together = model.answer([prompt])[0].cell
    singles = [model.answer([Prompt([e], prompt.query)])[0].cell for e in prompt.examples]
    found = [single for single in singles if single is not None]
    assert together is not None
    assert torch.allclose(together, torch.stack(found).mean(dim=0))
    assert len(found) == 2


def test_on_a_cpu_a_batch_has_the_tokens_of_its_members() -> None:
    assert equal_tokens(CanvasModel(tiny_model()), prompts(3)) == 1.0
    assert equal_tokens(CanvasModel(Mirror()), prompts(3)) == 1.0


def test_unequal_tokens_are_counted() -> None:
    """In a batch, 3 tokens of the first canvas's hole come out otherwise."""
    model = tiny_model(tiny_config())
    plain = model.token_logits

    def changed(image: Tensor, hole: Tensor) -> Tensor:
        logits = plain(image, hole)
        if len(image) > 1:
            places = [36, 37, 38]  # of 8x8; the hole is the last quarter
            logits[0, places] = -logits[0, places]
        return logits

    model.token_logits = changed  # type: ignore[method-assign]
    share = equal_tokens(CanvasModel(model), prompts(2))
    assert share == pytest.approx(1 - 3 / 32)


def test_devices_are_found_through_wrappers() -> None:
    assert device_of(CanvasModel(tiny_model().to("meta"))).type == "meta"
    assert device_of(LargeQueries(CanvasModel(tiny_model().to("meta")))).type == "meta"
    assert device_of(Copy()).type == "cpu"


def test_models_are_called_by_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(source: str, *, device: str = "auto", dtype: str = "auto") -> Mirror:
        asked.append((Path(source).name, device))
        return Mirror(name=Path(source).name)

    monkeypatch.setattr("vicl.evaluation.running.engines.load_model", load)
    for name in ("first/model", "second/model", "third"):
        (tmp_path / name).mkdir(parents=True)
    sources = [str(tmp_path / name) for name in ("first/model", "second/model", "third")]
    loaded = load_models(["analogies", *sources], device="cuda")
    assert [model.name for model in loaded] == ["analogies", "first", "second", "third"]
    # A device is for models with weights; the others run where they always do.
    assert asked == [("analogies", "auto"), *[("model", "cuda")] * 2, ("third", "cuda")]
    with pytest.raises(EvaluationError, match="both called 'first'"):
        load_models([sources[0], sources[0]])


class Small(Bright):
    """Has memory for so many prompts at once."""

    room = 3
    sizes: list[int]

    def answer(self, prompts: list[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:  # type: ignore[override]
        self.sizes = [*getattr(self, "sizes", []), len(prompts)]
        if len(prompts) > self.room:
            raise torch.OutOfMemoryError("full")
        return [Filled(prompt.query) for prompt in prompts]


def test_batches_are_halved_until_they_fit() -> None:
    engine, asked = Small(), prompts(20)
    answerer = Answerer(engine, batch_size=None, seed=0)
    found = answerer.answer(asked)
    assert engine.sizes == [16, 8, 4, *[2] * 10]
    assert [f.image is p.query for f, p in zip(found, asked, strict=True)] == [True] * 20
    assert answerer.size == 2


def test_a_batch_that_was_asked_for_is_not_halved() -> None:
    with pytest.raises(EvaluationError, match=r"full with 4 prompt\(s\) at once; lower the batch"):
        Answerer(Small(), batch_size=4, seed=0).answer(prompts(4))
    engine = Small()
    engine.room = 0
    with pytest.raises(EvaluationError, match="full with 1 prompt"):
        Answerer(engine, batch_size=None, seed=0).answer(prompts(2))


def test_a_prompt_that_fails_leaves_its_neighbours() -> None:
    asked = prompts(3)
    broken = Prompt(asked[1].examples, torch.zeros(3, 8, 8))
    first, error, last = Answerer(Bright(), batch_size=None, seed=0).answer(
        [asked[0], broken, asked[2]]
    )
    assert isinstance(first, Filled)
    assert isinstance(error, RuntimeError)
    assert isinstance(last, Filled)
