from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.studies.marks import Marks
from tests.training.runs import recipe
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.evaluation.studies.training_data import Checkpoint, at_budget, run, train_recipes
from vicl.evaluation.studies.variants import Asking
from vicl.images import save_image, to_pil, to_tensor
from vicl.models.floors import Copy, Identity
from vicl.prompting.canvas_model import CanvasModel
from vicl.training.build import build_model
from vicl.training.data.training_data import open_data
from vicl.training.recipe.data import HeldOut, RecipeError
from vicl.training.recipe.recipe import Recipe
from vicl.training.settings import Schedule


class Darker(Marks):
    """The answer is the picture, dark: something is learned of it in a few steps."""

    def draw(self, name: str) -> tuple[Tensor, Tensor]:
        image, _ = super().draw(name)
        return image, 0.1 * image


class Same(Marks):
    """The answer is the picture."""

    def draw(self, name: str) -> tuple[Tensor, Tensor]:
        image, _ = super().draw(name)
        return image, image


DATA = Darker("image", side=16)


def grids(folder: Path, count: int) -> Path:
    """Canvases of 32 px with their answers drawn: what the task looks like when it is solved."""
    layout = Layout.grid(1, canvas_size=(32, 32), patch_size=4)
    for episode in DATA.episodes(count, seed=1000):
        case = DATA.load(episode)
        image = layout.compose(case.prompt).image
        layout.crop(image)[:] = layout.draw(to_tensor(case.truth.image), layout.answer)
        save_image(to_pil(image), folder / f"{episode.index:03}.png")
    return folder


def on_grids(work: Path, **changes: Any) -> Recipe:
    """A recipe that trains on grids as they are, to fill their answers."""
    data = {
        "train": [{"kind": "folder", "path": str(work / "grids")}],
        "augmentation": {"scale": [1, 1], "ratio": [1, 1], "flip": False},
        "workers": 0,
    }
    masking = [{"kind": "answer"}]
    return recipe(work, data=data | changes, masking=masking, batch={"size": 8})


@pytest.mark.slow
def test_a_trained_checkpoint_beats_an_untrained_one(tmp_path: Path) -> None:
    grids(tmp_path / "grids", 24)
    given = on_grids(tmp_path)
    trained = train_recipes([given], DATA, tmp_path / "runs", steps=80, device="cpu")
    assert trained[0].images == 24
    untrained = Checkpoint("nothing yet", CanvasModel(build_model(given)), given.name, 0)
    found = run([untrained, *trained], DATA, Asking(count=12))
    copy, before, after = found.rows
    assert (copy.engine, before.engine, after.engine) == ("copy", "tiny", "tiny")
    assert after.interval.low > before.interval.high
    assert after.difference.low > 1  # dB
    assert before.difference is None
    assert after.variant == "100% of the images of tiny"
    assert found.x == (None, 0.0, 24.0)
    assert found.notes == ("Trained for 80 steps of 8 images (tiny).",)


@pytest.mark.slow
def test_amounts_share_a_budget_and_are_nested(tmp_path: Path) -> None:
    grids(tmp_path / "grids", 40)
    for before in (0.0, 0.25):
        given = on_grids(tmp_path, held_out={"fraction": before})
        cuts = [at_budget(given, steps=3, share=share) for share in (0.3, 0.6, 1.0)]
        pools = [set(names(cut)) for cut in cuts]
        assert pools[0] < pools[1] < pools[2]
        assert pools[2] == set(names(given))
        assert 0.1 < len(pools[0]) / len(pools[2]) < 0.5
        assert {cut.schedule.steps for cut in cuts} == {3}
        assert cuts[2].data == given.data
    whole = on_grids(tmp_path)
    trained = train_recipes(
        [whole], DATA, tmp_path / "runs", steps=2, shares=(0.3, 1.0), device="cpu"
    )
    part = names(at_budget(whole, steps=2, share=0.3))
    assert [one.images for one in trained] == [len(part), 40]
    # Where a run is done, it is not done again.
    model = tmp_path / "runs" / "tiny-0.3" / "model" / "model.safetensors"
    written = model.read_bytes()
    again = train_recipes([whole], DATA, tmp_path / "runs", steps=2, shares=(0.3,), device="cpu")
    assert model.read_bytes() == written
    assert again[0].engine.weights_hash == trained[0].engine.weights_hash


def test_a_share_is_taken_of_the_images_that_were_trained_on(tmp_path: Path) -> None:
    given = on_grids(tmp_path, held_out={"fraction": 0.25, "group": "^.", "count": 8})
    half = at_budget(given, steps=3, share=0.5)
    # 5/8 = 1/4 that were held out before, and half of the other 3/4.
    assert half.data.held_out == HeldOut(fraction=0.625, group="^.", count=8)


@pytest.mark.parametrize("length", [{"steps": 2}, {"epochs": 5.0}])
def test_the_budget_is_as_asked_whatever_the_recipe_says(
    tmp_path: Path, length: dict[str, Any]
) -> None:
    given = recipe(tmp_path, schedule={**length, "warmup": 0.5})
    cut = at_budget(given, steps=3)
    assert cut.schedule == Schedule(steps=3, warmup=0.5)
    assert (cut.evaluation.every, cut.checkpoints.every) == (3, 3)


@pytest.mark.slow
def test_a_run_that_is_there_is_gone_on_with(tmp_path: Path) -> None:
    def trained() -> list[str | None]:
        found = train_recipes([recipe(tmp_path)], DATA, tmp_path / "runs", steps=1, device="cpu")
        return [one.engine.weights_hash for one in found]

    first = trained()
    log = tmp_path / "runs" / "tiny-1" / "log.jsonl"
    written = log.read_text()
    assert trained() == first
    assert log.read_text() == written


def names(cut: Recipe) -> list[bytes]:
    """The files that a recipe trains on."""
    sources: Any = open_data(cut.data, (32, 32), seed=0).pool.sources
    return [name for source in sources for name in source.names]


def test_given_checkpoints_are_compared_with_the_first_of_their_series() -> None:
    found = run(
        [
            Checkpoint("examples", Copy(), "a"),
            Checkpoint("queries", Identity(), "a"),
            Checkpoint("examples", Copy(), "b"),
        ],
        Same("image"),
        Asking(count=6),
    )
    floor, first, second, other = found.rows
    assert floor.scores == first.scores == other.scores
    assert second.scores == (100.0,) * 6  # dB: the query is the answer
    assert [row.difference is None for row in found.rows] == [True, True, False, True]
    assert second.difference.mean == pytest.approx(100 - first.interval.mean)
    assert second.difference.low > 50
    # Amounts are not known, so there is no axis.
    assert found.x is None


def test_what_cannot_be_compared_or_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoints: got none"):
        run([], Marks(), Asking(count=1))
    twice = Checkpoint("a", Copy())
    with pytest.raises(ValueError, match="other words"):
        run([twice, twice], Marks(), Asking(count=1))
    grids(tmp_path / "grids", 4)
    given = on_grids(tmp_path)
    with pytest.raises(RecipeError, match="share=0"):
        at_budget(given, steps=1, share=0.0)
    shards = on_grids(tmp_path, train=[{"kind": "shards", "urls": "a.tar"}])
    with pytest.raises(RecipeError, match="expected folders"):
        at_budget(shards, steps=1, share=0.5)
    with pytest.raises(ValueError, match="each once"):
        train_recipes([given, given], DATA, tmp_path / "runs", steps=1)
    with pytest.raises(ValueError, match="no recipe of a vqgan"):
        train_recipes([recipe(tmp_path, "vqgan")], DATA, tmp_path / "runs", steps=1)
