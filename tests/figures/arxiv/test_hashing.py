"""Hashes of pictures: what changes them and what does not; tables of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.figures.arxiv.extracts import texture

from vicl.figures.arxiv.dataset import hash_table
from vicl.figures.arxiv.dataset.hash_table import read_table, write_table
from vicl.figures.arxiv.dataset.hashing import (
    hash_picture,
    mirrored_gradients,
    mirrored_phash,
)
from vicl.files import FileError
from vicl.files.packaged import PHOTOS
from vicl.images import open_image, save_image


def test_pixels_tell_pictures_and_not_files(tmp_path: Path) -> None:
    picture = texture(1)
    save_image(picture, tmp_path / "a.png")
    save_image(picture, tmp_path / "a.bmp")
    hashes = {hash_picture(open_image(tmp_path / f"a.{kind}")).pixels for kind in ("png", "bmp")}
    assert hashes == {hash_picture(picture).pixels}
    other = picture.copy()
    other.putpixel((3, 3), tuple(255 - value for value in picture.getpixel((3, 3))))
    turned = Image.frombytes("RGB", picture.size[::-1], picture.tobytes())
    assert len({hash_picture(p).pixels for p in (picture, other, turned)}) == 3


def test_the_mirrored_hashes_are_those_of_the_mirrored_picture() -> None:
    look = hash_picture(open_image(PHOTOS / "cat.jpg")).looks[0]
    mirrored = hash_picture(ImageOps.mirror(open_image(PHOTOS / "cat.jpg"))).looks[0]
    phash = mirrored_phash(np.array([look.phash], np.uint64))[0]
    assert phash == mirrored.phash != look.phash
    gradients = mirrored_gradients(np.frombuffer(look.gradients, np.uint8)[None])[0]
    apart = gradients ^ np.frombuffer(mirrored.gradients, np.uint8)
    assert np.bitwise_count(apart).sum() <= 4  # Pillow rounds from the left


def test_a_margin_and_edges_make_further_looks() -> None:
    picture = texture(2, (200, 120))
    whole, middle = hash_picture(picture).looks
    outer, inner, within = hash_picture(ImageOps.expand(picture, 20, "white")).looks
    assert (inner, within) == (whole, middle)
    assert hash_picture(picture.crop((5, 3, 195, 117))).looks[0] == middle
    assert len({whole, middle, outer}) == 3


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (80, 60), "white"),
        Image.new("L", (1, 1)),
        Image.fromarray(np.random.default_rng(0).integers(126, 130, (64, 64), np.uint8)),
    ],
)
def test_a_plain_picture_has_no_looks(picture: Image.Image) -> None:
    assert hash_picture(picture).looks == ()


def test_a_table_gives_back_what_was_written(tmp_path: Path) -> None:
    hashes = {
        'a "b", c.png': hash_picture(texture(3)),
        "margin.png": hash_picture(ImageOps.expand(texture(3), 20, "white")),
        "plain.png": hash_picture(Image.new("RGB", (9, 9))),
    }
    assert [len(found.looks) for found in hashes.values()] == [2, 3, 0]
    write_table(tmp_path / "hashes.csv", hashes)
    assert read_table(tmp_path / "hashes.csv") == hashes


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("file,pixels\n", "line 1: .*expected the columns"),
        (",".join(hash_table.COLUMNS) + "\n", "holds no hashes"),
        (",".join(hash_table.COLUMNS) + "\na.png,12,,,,,,\n", "line 2: .*hexadecimal"),
        (",".join(hash_table.COLUMNS) + f"\na.png,{'0' * 64},12,,,,,\n", "line 2: .*16"),
        (",".join(hash_table.COLUMNS) + f"\na.png,{'0' * 64}\n", "line 2: .*expected file"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "hashes.csv").write_text(text)
    with pytest.raises(FileError, match=fault):
        read_table(tmp_path / "hashes.csv")
