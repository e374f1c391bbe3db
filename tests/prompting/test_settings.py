"""Settings: one value, checked once, kept by prompt files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.kinds import KINDS
from tests.pictures import picture
from tests.stand_ins import Bright, Mirror

from vicl.canvas.layout import Layout
from vicl.engine import Filled, Sampling
from vicl.models.configs import Asking
from vicl.prompting.asking import shown_by
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.prompt_file import PromptFileError
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.settings import PromptSettings
from vicl.tasks import get_task

PAIRS = [(picture(40, 50, seed=i), picture(40, 50, seed=i + 9)) for i in range(2)]
QUERY = picture(44, 40, seed=30)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seed": -5}, "seed: got -5, expected at least 0"),
        ({"samples": 0}, "samples: got 0"),
        ({"tile": 4}, "tile: got 4, expected 'auto' or 'whole' or at least 16"),
        ({"tile": "half"}, "tile: got 'half'"),
        ({"tile": 32, "samples": 2}, "samples, tile: an answer in tiles has no alternatives"),
        ({"upsampling": "magic"}, "upsampling: got 'magic', expected 'bicubic' or 'guided'"),
        ({"fit": "wide"}, "fit: got 'wide'"),
        ({"spins": 0}, "spins: got 0"),
        ({"arrangements": (1, 9)}, r"arrangements: got \[1, 9\], expected numbers from 1 to 8"),
        ({"arrangements": 0}, "arrangements: got"),
        ({"arrangements": 9}, "arrangements: got"),
        ({"fuse": "votes"}, "fuse: got 'votes', expected 'answers'"),
        ({"agree": 0}, "agree: got 0"),
        ({"agree": 1.5}, "agree: got 1.5"),
        ({"examples_per_canvas": 0}, "examples_per_canvas: got 0"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        VisualPrompter(Mirror(), PAIRS, **given)
    assert "\n" not in str(caught.value)


def test_where_there_is_one_view_there_is_nothing_to_agree(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"agree: got 0.9, but there is one view"):
        VisualPrompter(Mirror(), PAIRS, agree=0.9)
    for more in ({"arrangements": 2}, {"examples_per_canvas": 1}):
        VisualPrompter(Mirror(), PAIRS, agree=0.9, **more)
    VisualPrompter(Mirror(), PAIRS).save(tmp_path / "p.vicl")
    with pytest.raises(ValueError, match="nothing to agree"):
        VisualPrompter.load(tmp_path / "p.vicl", model=Mirror(), agree=0.9)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(TypeError, match=r"colour: no such setting; there are seed, samples"):
        VisualPrompter(Mirror(), PAIRS, colour="blue")


def test_a_number_of_arrangements_is_so_many_of_the_first() -> None:
    assert PromptSettings.of({"arrangements": 3}).arrangements == (1, 2, 3)
    assert PromptSettings.of({"arrangements": [8, 1]}).arrangements == (8, 1)


def test_what_was_given_can_be_changed_and_taken_apart() -> None:
    settings = PromptSettings.of({"seed": 3, "spins": 2, "sampling": Sampling(0.5)})
    assert settings.given() == {"seed": 3, "spins": 2, "sampling": Sampling(0.5)}
    assert settings.of_canvas() == {"spins": 2, "sampling": Sampling(0.5)}
    assert settings.without_canvas() == PromptSettings(seed=3)
    assert settings.changed({"spins": None, "tile": 20}).given() == {
        "seed": 3,
        "tile": 20,
        "sampling": Sampling(0.5),
    }
    assert PromptSettings.model_validate_json(settings.model_dump_json()) == settings


def test_engines_without_a_canvas_refuse_what_would_change_nothing() -> None:
    with pytest.raises(ValueError, match="arrangements, fuse: copy has no canvas"):
        VisualPrompter("copy", PAIRS, arrangements=8, fuse="images")


@pytest.mark.parametrize(
    ("task", "palette", "shows"),
    [
        ("segmentation", False, "mask"),
        ("segmentation", True, "image"),
        ("detection", False, "mask"),
        ("edges", False, "edges"),
        ("colorization", False, "image"),
    ],
)
def test_votes_are_counted_as_the_task_reads_them(task: str, palette: bool, shows: str) -> None:
    assert shown_by(get_task(task, palette=palette)) == shows


WAYS: list[dict[str, Any]] = [
    {"arrangements": 8, "fuse": "probabilities"},
    {"arrangements": (2, 5), "fuse": "images", "spins": 2},
    {"examples_per_canvas": 1, "fuse": "max"},
    {"layout": Layout.grid(1, canvas_size=(64, 64), patch_size=8, fit="pad").arranged(8)},
    {"samples": 3, "sampling": Sampling(0.5, 4, True), "seed": 7},
    {"tile": 24, "upsampling": "bicubic", "arrangements": 2},
    {"fuse": "vote", "arrangements": 3},
    {"fuse": "weighted", "arrangements": (3, 1), "agree": 0.9},
]


@pytest.mark.parametrize(
    "way",
    # The costliest are asked with the slow tests.
    [
        pytest.param(way, marks=[pytest.mark.slow] * (n in (1, 4, 5, 6, 7)))
        for n, way in enumerate(WAYS)
    ],
)
def test_a_prompt_file_answers_as_the_prompter_that_saved_it(
    way: dict[str, Any], tmp_path: Path
) -> None:
    model = KINDS["mae-vqgan"].build()
    before = VisualPrompter(model, PAIRS, **way)
    plain = VisualPrompter(model, PAIRS)
    before.save(tmp_path / "p.vicl")
    after = VisualPrompter.load(tmp_path / "p.vicl", model=model)
    assert after.settings == before.settings
    wanted, found = before.predict(QUERY), after.predict(QUERY)
    assert np.array_equal(np.asarray(wanted.image), np.asarray(found.image))
    assert wanted.likelihood == found.likelihood
    assert len(wanted.alternatives) == len(found.alternatives)
    changed = np.asarray(plain.predict(QUERY).image) != np.asarray(wanted.image)
    assert changed.any() or "samples" in way


def test_a_canvas_model_is_kept_with_how_it_is_asked(tmp_path: Path) -> None:
    """An ensemble was saved under its inpainter's name, and came back as a plain one."""
    asked = CanvasModel(Mirror(), arrangements=(1, 4, 6), fuse="images", upsampling="bicubic")
    before = VisualPrompter(asked, PAIRS)
    assert before.settings.arrangements == (1, 4, 6)
    before.save(tmp_path / "p.vicl")
    after = VisualPrompter.load(tmp_path / "p.vicl", model=Mirror())
    assert after.predict(QUERY).image == before.predict(QUERY).image
    (direct,) = asked.answer([vicl_prompt()])
    assert np.allclose(
        np.asarray(before.predict(QUERY).image) / 255, direct.image.permute(1, 2, 0), atol=1 / 255
    )
    other = VisualPrompter.load(tmp_path / "p.vicl", model=CanvasModel(Mirror(), spins=1))
    assert other.settings.spins == 1


def vicl_prompt() -> Any:
    from vicl.prompt import Prompt

    return Prompt(PAIRS, QUERY)


def test_a_model_that_is_asked_otherwise_is_refused(tmp_path: Path) -> None:
    """Its weights are the same, but not its answers."""
    path = tmp_path / "p.vicl"
    model = KINDS["mae-vqgan"].build()
    VisualPrompter(model, PAIRS).save(path)
    model.asking = Asking(spins=2)
    with pytest.raises(PromptFileError, match=r"'spins': 1.*'spins': 2.*any-model"):
        VisualPrompter.load(path, model=model)
    model.asking = Asking()
    assert VisualPrompter.load(path, model=model).settings == PromptSettings()


class Wrapped(Bright):
    """An engine of one's own around an inpainter, by whose name and weights it goes."""

    def answer(self, prompts: Any, *, samples: int = 1, seed: int = 0) -> list[Filled]:
        return CanvasModel(Mirror()).answer(prompts)


def test_an_engine_of_another_kind_with_the_same_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.vicl"
    VisualPrompter(Wrapped(name="mirror"), PAIRS).save(path)
    with pytest.raises(PromptFileError, match=r"as an engine of its own kind.*asked by"):
        VisualPrompter.load(path, model=Mirror())
    VisualPrompter.load(path, model=Mirror(), any_model=True)
    VisualPrompter.load(path, model=Wrapped(name="mirror"))
