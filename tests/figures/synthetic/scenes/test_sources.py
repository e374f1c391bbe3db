"""Content from files: what is drawn, what is passed over, what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.figures.made import matplotlib_fonts

from vicl.figures.synthetic.scenes.families import draw_scene, font_family
from vicl.figures.synthetic.scenes.lettering import find_fonts
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Wish
from vicl.figures.synthetic.scenes.sources import CutOuts, Photographs, file_families
from vicl.figures.synthetic.subjects import SubjectDrawer
from vicl.files import FileError
from vicl.images import ImageError


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    folder = tmp_path / "cutouts"
    folder.mkdir()
    pixels = np.zeros((60, 80, 4), np.uint8)
    pixels[10:50, 20:60] = (200, 40, 40, 255)
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels[..., :3]).save(folder / "b.png")  # no alpha
    (folder / "c.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    Image.fromarray(np.zeros((9, 9, 4), np.uint8)).save(folder / "d.png")  # nothing to see
    Image.fromarray(np.full((9, 9, 4), 255, np.uint8)).save(folder / "e.png")  # all opaque
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> tuple[Path, Path]:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        picture = rng.integers(0, 256, (80, 100, 3), np.uint8)
        picture[20:60, 30:70] = (255, 0, 0)
        Image.fromarray(picture).save(photos / f"{number}.png")
        labels = np.zeros((80, 100), np.uint8)
        labels[20:60, 30:70] = 7
        if number:
            Image.fromarray(labels).save(masks / f"{number}.png")
    return photos, masks


def test_cutouts_are_cropped_and_unusable_files_passed_over(
    cutouts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = CutOuts(cutouts, licence="CC0-1.0")
    with caplog.at_level(logging.WARNING):
        drawn = [source.draw(np.random.default_rng(seed)) for seed in range(40)]
    assert {picture.name for picture in drawn} == {"a.png"}
    assert drawn[0].pixels.shape == (40, 40, 4)
    assert (drawn[0].pixels == (200, 40, 40, 255)).all()
    assert len(caplog.records) == 4  # each fault is told once
    for word in ("no transparency", "c.png", "wholly transparent", "cuts nothing out"):
        assert word in caplog.text


def test_scenes_of_cutouts_tell_their_licences(
    cutouts: Path, photographs: tuple[Path, Path]
) -> None:
    families = file_families(
        CutOuts(cutouts, licence="CC0-1.0"), Photographs(photographs[0], licence="CC-BY-4.0")
    )
    rng = np.random.default_rng(0)
    names = {family.name: family for family in families}
    assert set(names) == {"cut-outs", "photographs", "cut-outs over photographs"}
    over = draw_scene(rng, names["cut-outs over photographs"], Wish())
    assert {"CC0-1.0", "CC-BY-4.0"} <= set(over.licences)
    assert names["cut-outs over photographs"].licence == "Apache-2.0 AND CC0-1.0 AND CC-BY-4.0"
    assert draw_scene(rng, names["photographs"], Wish((0, 6))).licences == ("CC-BY-4.0",)
    assert CutOuts(cutouts).licence == "not stated"


def test_cutouts_are_tinted_where_colours_are_asked_for(cutouts: Path) -> None:
    family = CutOuts(cutouts).family()
    scene = draw_scene(np.random.default_rng(0), family, Wish((2, 3), "colour", "blue"))
    assert all(thing.tint for thing in scene.things)
    assert "blue" in {thing.colour_name for thing in scene.things}
    assert not family.grants(Wish((2, 3), "shape", "star"))


def test_photographs_grant_what_they_can(photographs: tuple[Path, Path]) -> None:
    bare = Photographs(photographs[0]).family()
    masked = Photographs(photographs[0], masks=photographs[1]).family()
    assert bare.grants(Wish((0, 6)))
    assert not bare.grants(Wish((1, 4)))
    assert masked.grants(Wish((1, 4)))
    for wish in (
        Wish((2, 4)),
        Wish(movable=True),
        Wish(shapes=True),
        Wish((1, 3), apart=True),
        Wish((2, 3), "colour", "red"),
    ):
        assert not masked.grants(wish)


def test_regions_are_where_the_photograph_shows_them(photographs: tuple[Path, Path]) -> None:
    family = Photographs(photographs[0], masks=photographs[1]).family()
    rng = np.random.default_rng(0)
    for _ in range(10):
        scene = draw_scene(rng, family, Wish((1, 3)))
        shown = render(scene, (64, 64))
        inside = shown.visible[0] > 250
        assert inside.any()
        reds = shown.image[inside].astype(int)
        assert np.median(reds[:, 0]) > 200
        assert np.median(reds[:, 1:]) < 60


@pytest.fixture
def two_classes(tmp_path: Path) -> Photographs:
    """Photographs with a red patch of class 3, a blue one of class 5, or both."""
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    for number, shown in enumerate([(3,), (5,), (3, 5), (5,), (3, 5)]):
        picture, labels = np.full((80, 80, 3), 128, np.uint8), np.zeros((80, 80), np.uint8)
        for label, rows, colour in (
            (3, slice(16, 36), (255, 0, 0)),
            (5, slice(42, 62), (0, 0, 255)),
        ):
            if label in shown:
                picture[rows, 20:60], labels[rows, 20:60] = colour, label
        Image.fromarray(picture).save(photos / f"{number}.png")
        Image.fromarray(labels).save(masks / f"{number}.png")
    return Photographs(photos, masks=masks)


def test_all_rows_of_a_figure_show_regions_of_one_class(two_classes: Photographs) -> None:
    """Red ones, blue ones, or all that is labelled: whatever the photograph has."""
    drawer = SubjectDrawer({"mask": 1.0}, (two_classes.family(),))
    alike = []
    for seed in range(40):
        task = drawer.draw(np.random.default_rng(seed), rules=1, rows=5)
        seen = []
        for scene in task.scenes:
            shown = render(scene, (64, 64))
            inside = shown.image[shown.visible[0] > 250].astype(int)
            seen.append(tuple(bool(np.mean(inside[:, c] > 200) > 0.05) for c in (0, 2)))
        alike.append(seen[0] if len(set(seen)) == 1 else None)
    for one in ((True, False), (False, True)):
        assert alike.count(one) >= 6  # drawn row by row: one in forty
    assert alike.count(None) >= 6  # all that is labelled is another thing in each


def test_a_class_is_drawn_from_the_photographs_that_show_it(two_classes: Photographs) -> None:
    family = two_classes.family()
    rng = np.random.default_rng(0)
    names = {
        label: {
            draw_scene(rng, family, Wish((1, 3), label=label)).background.picture.name
            for _ in range(30)
        }
        for label in (3, 5)
    }
    assert names == {3: {"0.png", "2.png", "4.png"}, 5: {"1.png", "2.png", "3.png", "4.png"}}


def test_masks_without_fitting_regions_are_refused(
    photographs: tuple[Path, Path],
) -> None:
    for number in (1, 2):
        Image.fromarray(np.full((80, 100), 9, np.uint8)).save(photographs[1] / f"{number}.png")
    drawer = SubjectDrawer(
        {"mask": 1.0}, (Photographs(photographs[0], masks=photographs[1]).family(),)
    )
    with pytest.raises(ImageError, match="are these label maps"):
        drawer.draw(np.random.default_rng(0), rules=1, rows=2)


def test_a_folder_of_no_use_is_refused(tmp_path: Path, photographs: tuple[Path, Path]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ImageError, match="holds no image"):
        CutOuts(empty)
    (empty / "x.png").write_bytes(b"no picture")
    source = CutOuts(empty)
    with pytest.raises(ImageError, match="none of 1 files can be used"):
        source.draw(np.random.default_rng(0))
    with pytest.raises(ImageError, match="no mask has the name of a photograph"):
        Photographs(photographs[0], masks=empty)


def test_a_mask_of_another_size_is_passed_over(
    photographs: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(np.ones((10, 10), np.uint8)).save(photographs[1] / "1.png")
    source = Photographs(photographs[0], masks=photographs[1])
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, source.family(), Wish((1, 3))) for _ in range(6)]
    names = {scene.background.picture.name for scene in scenes}
    assert names == {"2.png"}
    assert "expected 8-bit labels of the photograph's size" in caplog.text


def test_what_is_kept_makes_no_difference(photographs: tuple[Path, Path]) -> None:
    pictures = []
    for keep in (1, 100):
        source = Photographs(photographs[0], keep=keep)
        rng = np.random.default_rng(5)
        pictures.append([source.draw(rng) for _ in range(20)])
    for few, many in zip(*pictures, strict=True):
        assert few.name == many.name
        assert (few.pixels == many.pixels).all()


def test_fonts(tmp_path: Path) -> None:
    folder = matplotlib_fonts()
    if folder is None:
        pytest.skip("matplotlib is not installed")
    fonts = find_fonts(folder)
    assert any("DejaVuSans.ttf" in font for font in fonts)
    family = font_family(fonts, licence="Bitstream-Vera")
    scene = draw_scene(np.random.default_rng(0), family, Wish((2, 4)))
    assert "Bitstream-Vera" in scene.licences
    assert {thing.lettering.font for thing in scene.things} <= set(fonts)
    assert render(scene, (48, 48)).visible.any()
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(FileError, match=r"no font with Latin letters found \(1 files looked at\)"):
        find_fonts(tmp_path)


def test_the_shared_objects_can_be_used(shared: Path) -> None:
    source = CutOuts(shared / "data" / "objects", licence="Apache-2.0")
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, source.family(), Wish()) for _ in range(10)]
    assert all(render(scene, (48, 48)).visible.any() for scene in scenes)
