"""Engines made ready for an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.fabricated import tiny_config, tiny_model
from tests.pictures import picture
from tests.stand_ins import Bright, Mirror
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.engine import Filled
from vicl.evaluation.running.engines import (
    as_engine,
    as_scored,
    canvas_of,
    device_of,
    equal_tokens,
    load_models,
)
from vicl.evaluation.running.results import EvaluationError
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


def canvas(*args: Any, **options: Any) -> CanvasModel:
    """What an inpainter is asked on."""
    found = canvas_of(as_engine(*args, **options))
    assert found is not None
    return found


def test_an_inpainter_gets_its_grid() -> None:
    plain = canvas(Mirror(), "segmentation")
    assert plain.settings.layout is None
    left = canvas(Mirror(), "segmentation", examples=2, order="left")
    assert left.settings.layout == Layout.grid(2, order="left")
    single = Mirror()
    single.most_examples = 1  # type: ignore[attr-defined]
    left = canvas(single, "segmentation", examples=2, order="left")
    assert left.settings.layout == Layout.grid(1, order="left")
    small = canvas(Mirror((32, 32), 4), "segmentation", examples=3, order="left")
    assert small.settings.layout == Layout.grid(1, canvas_size=(32, 32), patch_size=4, order="left")


def test_published_detection_shrinks_bilinearly() -> None:
    published = canvas(Mirror(), "detection", published=True)
    assert published.settings.layout is not None
    assert published.settings.layout.resampling == "bilinear"
    assert published.settings.layout.cells == Layout.paper(1).cells
    segmentation = canvas(Mirror(), "segmentation", published=True)
    assert segmentation.settings.layout is None


@pytest.mark.parametrize(
    ("side", "patch", "layout"),
    [
        (224, 16, Layout.paper(2)),
        (128, 8, Layout.grid(2, canvas_size=(128, 128), patch_size=8, abreast=1)),
        (64, 8, None),  # too small for two examples at once
    ],
)
def test_the_synthetic_study_stacks_its_examples(
    side: int, patch: int, layout: Layout | None
) -> None:
    engine = canvas(Mirror((side, side), patch), "image", examples=2, stacked=True)
    assert engine.settings.layout == layout
    assert engine.answer(prompts(1, examples=2))[0].image.shape == (3, 30, 40)


def test_other_engines_get_large_queries_as_the_prompter_gives_them() -> None:
    edges = as_engine(Bright(max_size=64), "edges")
    assert isinstance(edges, LargeQueries)
    assert edges.tile == 64
    whole = as_engine(Bright(max_size=64), "segmentation")
    assert isinstance(whole, LargeQueries)
    assert whole.tile is None
    assert canvas_of(whole) is None
    padded = as_engine(Bright(max_size=64), "segmentation", fit="pad")
    assert isinstance(padded, LargeQueries)  # for it there are no cells to fit anything into


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
    assert list(loaded) == ["analogies", "first", "second", "third"]
    # Only these runs call them so: a prompt file, say, keeps a model's own name.
    assert loaded["first"].name == "model"
    # A device is for models with weights; the others run where they always do.
    assert asked == [("analogies", "auto"), *[("model", "cuda")] * 2, ("third", "cuda")]
    with pytest.raises(EvaluationError, match="both called 'first'"):
        load_models([sources[0], sources[0]])
