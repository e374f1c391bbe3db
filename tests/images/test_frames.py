"""Frames of animations and pages of TIFFs; deep grey and its white; what a folder leaves out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vicl.images import Frame, count_frames, find_images, open_frames, open_image, to_tensor
from vicl.images.modes import shared_white
from vicl.prompting.prompter import VisualPrompter

LEVELS = (40, 120, 200)


def stack(path: Path) -> Path:
    pages = [Image.new("L", (30, 20), level) for level in LEVELS]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".png", ".webp"])
def test_every_frame_is_a_picture_of_its_own(tmp_path: Path, suffix: str) -> None:
    path = stack(tmp_path / f"stack{suffix}")
    assert count_frames(path) == 3
    shown = [np.asarray(frame.convert("L")) for frame in open_frames(path)]
    assert [int(frame.mean()) for frame in shown] == pytest.approx(LEVELS, abs=3)
    third = to_tensor(Frame(path, 3))
    assert third.mean() * 255 == pytest.approx(200, abs=3)


def test_further_frames_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = stack(tmp_path / "told.tif")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            open_image(path)
    (said,) = [message for message in caplog.messages if "told.tif" in message]
    assert "has 3 frames; the first is answered; --all-frames answers all" in said


def test_a_picture_alone_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "one.png")
    with caplog.at_level(logging.WARNING):
        open_image(tmp_path / "one.png")
    assert not caplog.messages
    assert count_frames(tmp_path / "one.png") == 1


def test_pictures_that_are_not_read_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    for name in ("1.heic", "2.HEIC", "y.jp2", "z.CR2", "notes.txt", ".hidden.heic"):
        (tmp_path / name).write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert find_images(tmp_path) == [tmp_path / "a.png"]
    (said,) = caplog.messages
    assert "4 files left out: .cr2 (1), .heic (2), .jp2 (1)" in said


@pytest.mark.parametrize(
    ("highest", "white"),
    [([600.0], 1023), ([4095.0, 300.0], 4095), ([None, 70.0], 255), ([0.7], 1), ([None], None)],
)
def test_the_white_that_images_share(highest: list[float | None], white: float | None) -> None:
    assert shared_white(highest) == white


def test_twelve_bits_in_sixteen_are_not_cut_to_a_few_levels(tmp_path: Path) -> None:
    """Example and query of 12 bits differ in places that 16-bit white would make black alike."""
    y, x = np.mgrid[:60, :80]
    disc = (x - 40) ** 2 + (y - 30) ** 2 < 200
    for index, name in enumerate(("ex.tif", "q.tif")):
        noise = np.random.default_rng(index).integers(0, 60, disc.shape)
        values = np.where(disc, 3000, 900) + noise
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / name)
    prompter = VisualPrompter("analogies", [(tmp_path / "ex.tif", disc)], "segmentation")
    assert prompter.settings.white == 4095
    shown = prompter.passes[0][0].input
    assert float(shown[0][disc].mean()) == pytest.approx(3030 / 4095, abs=0.01)  # type: ignore[index]
    found = prompter.predict(tmp_path / "q.tif").mask
    assert found is not None
    assert ((found > 0) & disc).sum() / ((found > 0) | disc).sum() > 0.9
    prompter.save(tmp_path / "p.vicl")
    again = VisualPrompter.load(tmp_path / "p.vicl").predict(tmp_path / "q.tif").mask
    assert np.array_equal(found, again)


def test_a_white_may_be_said(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 500, np.uint16)).save(tmp_path / "a.tif")
    assert float(to_tensor(tmp_path / "a.tif", white=1000.0).mean()) == pytest.approx(0.5)
    assert float(to_tensor(tmp_path / "a.tif").mean()) == pytest.approx(500 / 65535)
