"""Deep images of a prompt share one white, which a prompt file keeps."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.stand_ins import Bright
from torch import Tensor

from vicl.prompt import Prompt
from vicl.prompting.depth import open_query
from vicl.prompting.prompter import VisualPrompter
from vicl.tasks import get_task

MASK = np.zeros((20, 24), np.uint8)
MASK[4:12, 5:15] = 255


def deep(path: str | Path, top: float, kind: type = np.uint16) -> str:
    """A dark picture with a bright object, whose largest value is `top`."""
    values: np.ndarray = np.where(MASK > 0, top, top / 8).astype(kind)
    Image.fromarray(values).save(path)
    return str(path)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def prompter(*examples: str, white: float | None = None) -> VisualPrompter:
    given = {} if white is None else {"white": white}
    return VisualPrompter(Bright(), [(e, MASK) for e in examples], "segmentation", **given)  # type: ignore[arg-type]


def brightest(image: Tensor) -> float:
    return float(image.max())


@pytest.mark.parametrize(
    ("top", "white"), [(65535, 65535), (4095, 4095), (3000, 4095), (600, 1023), (200, 255)]
)
def test_white_suits_the_examples(top: int, white: float) -> None:
    found = prompter(deep("a.tif", top))
    assert found.settings.white == white
    assert brightest(found.passes[0][0].input) == pytest.approx(top / white, abs=0.003)
    answer = found.predict(deep("q.tif", top))
    assert np.array_equal(answer.mask, MASK > 0) == (top / white > 0.5)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_kinds_of_deep_files(kind: type) -> None:
    assert prompter(deep("a.tif", 3000, kind)).settings.white == 4095


def test_examples_share_the_white_that_covers_them_all() -> None:
    found = prompter(deep("a.tif", 600), deep("b.tif", 4000))
    assert found.settings.white == 4095
    assert brightest(found.passes[0][0].input) == pytest.approx(600 / 4095, abs=0.003)


def test_floats_in_0_to_1_keep_their_white() -> None:
    assert prompter(deep("a.tif", 0.9, np.float32)).settings.white == 1


def test_eight_bits_have_no_white_and_stay_as_they_are() -> None:
    Image.fromarray(MASK).save("a.png")
    found = prompter("a.png")
    assert found.settings.white is None
    assert torch.equal(
        found.passes[0][0].input, torch.from_numpy(MASK / 255).float().expand(3, -1, -1)
    )


def test_a_deep_query_after_shallow_examples_has_a_white_of_its_own() -> None:
    opened, _ = open_query(deep("q.tif", 3000), None, get_task("segmentation"), 10**6)
    assert brightest(opened) == pytest.approx(3000 / 4095)


def test_a_query_over_the_white_is_cut_and_told(caplog: pytest.LogCaptureFixture) -> None:
    found = prompter(deep("a.tif", 900))
    with caplog.at_level(logging.WARNING, logger="vicl"):
        found.predict(deep("q.tif", 5000))
        found.predict(deep("r.tif", 10))
    assert "q.tif: has values up to 5000; those over the white, 1023, are cut" in caplog.text
    assert "r.tif: is nearly black: its values reach 10 of 1023 (white)" in caplog.text


def test_a_white_that_was_said() -> None:
    found = prompter(deep("a.tif", 600), white=600.0)
    assert brightest(found.passes[0][0].input) == 1
    assert found.settings.white == 600
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="white: got"):
            prompter("a.tif", white=wrong)


def test_a_prompt_file_keeps_the_white() -> None:
    found = prompter(deep("a.tif", 600))
    found.save("p.vicl")
    again = VisualPrompter.load("p.vicl", model=Bright())
    assert again.settings.white == 1023
    query = deep("q.tif", 800)
    assert np.array_equal(again.predict(query).image, found.predict(query).image)


def test_prompts_have_a_white_of_their_own() -> None:
    found = VisualPrompter(Bright(), task="segmentation")
    prompts = [
        Prompt([(deep(f"a{top}.tif", top), MASK)], deep(f"q{top}.tif", top)) for top in (255, 4095)
    ]
    assert [np.array_equal(a.mask, MASK > 0) for a in found.map_prompts(prompts)] == [True, True]
    assert found.settings.white is None


def test_deep_outputs_share_the_white_of_inputs() -> None:
    pair = (deep("a.tif", 4095), deep("b.tif", 1000))
    found = VisualPrompter(Bright(), [pair], "image")
    assert found.settings.white == 4095
    assert brightest(found.passes[0][0].output) == pytest.approx(1000 / 4095, abs=0.003)


def test_twelve_bits_in_sixteen_are_not_cut_to_a_few_levels() -> None:
    """Example and query of 12 bits differ in places that 16-bit white would make black alike."""
    y, x = np.mgrid[:60, :80]
    disc = (x - 40) ** 2 + (y - 30) ** 2 < 200
    for index, name in enumerate(("ex.tif", "q.tif")):
        noise = np.random.default_rng(index).integers(0, 60, disc.shape)
        Image.fromarray((np.where(disc, 3000, 900) + noise).astype(np.uint16)).save(name)
    found = VisualPrompter("analogies", [("ex.tif", disc)], "segmentation")
    answer = found.predict("q.tif").mask
    assert answer is not None
    assert ((answer > 0) & disc).sum() / ((answer > 0) | disc).sum() > 0.9
    found.save("p.vicl")
    assert np.array_equal(VisualPrompter.load("p.vicl").predict("q.tif").mask, answer)
