"""Image files: listing, holding out, order, and standing in for broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.training.shards import grey_of, image_bytes

from vicl.images import ImageError
from vicl.training.data.sources import (
    MOST_BROKEN,
    ImageFiles,
    Lane,
    in_fixed_order,
    is_held_out,
    list_files,
    split,
)
from vicl.training.recipe.data import FolderSource, PhotoSource


def write_images(folder: Path, names: list[str]) -> ImageFiles:
    for grey, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image_bytes(grey))
    return list_files(FolderSource(path=str(folder)))


def names_of(files: ImageFiles) -> list[str]:
    return [name.decode() for name in files.names]


def test_folders_are_listed_by_name(tmp_path: Path) -> None:
    files = write_images(tmp_path, ["b.png", "a/ü 1.png", "a/z.JPG", "B.webp"])
    (tmp_path / "notes.txt").touch()
    assert names_of(files) == ["B.webp", "a/z.JPG", "a/ü 1.png", "b.png"]
    assert files.path(2) == str(tmp_path / "a/ü 1.png")
    assert files.open(3).getpixel((0, 0)) == (0, 0, 0)
    assert files.describe() == f"folder {tmp_path}: 4 images"
    photos = names_of(list_files(PhotoSource()))
    assert len(photos) == 16
    assert not any(word in name for name in photos for word in ("negative", "mask", "edges"))
    with pytest.raises(ImageError, match=r"none: cannot be listed"):
        list_files(FolderSource(path=str(tmp_path / "none")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"folder .*empty: has no images; give a folder"):
        list_files(FolderSource(path=str(tmp_path / "empty")))


def test_an_epoch_is_every_image_once(tmp_path: Path) -> None:
    files = write_images(tmp_path, [f"{n:02}.png" for n in range(12)])
    reader = files.reader(Lane(0, 1), 5, 0)
    greys = [grey_of(reader(draw).image) for draw in range(36)]
    epochs = [greys[start : start + 12] for start in (0, 12, 24)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    # By number, in any order and lane.
    other = files.reader(Lane(1, 3), 5, 7)
    assert [grey_of(other(d).image) for d in (35, 0, 20)] == [greys[d] for d in (35, 0, 20)]
    third = files.reader(Lane(0, 1), 6, 0)
    assert [grey_of(third(draw).image) for draw in range(12)] != greys[:12]


def test_broken_files_are_told_and_replaced(tmp_path: Path) -> None:
    files = write_images(tmp_path, [f"{n}.png" for n in range(6)])
    (tmp_path / "2.png").write_bytes(b"no image")
    (tmp_path / "4.png").unlink()
    reader = files.reader(Lane(0, 1), 0, 0)
    pictures = [reader(draw) for draw in range(6)]
    greys = [grey_of(picture.image) for picture in pictures]
    whole = [picture for picture in pictures if not picture.broken]
    assert {grey_of(p.image) for p in whole} == {0, 1, 3, 5}
    faults = [picture.broken[0] for picture in pictures if picture.broken]
    assert len(faults) == 2
    assert any("2.png: is not an image" in fault for fault in faults)
    assert any("4.png: no such file" in fault for fault in faults)
    assert set(greys) <= {0, 1, 3, 5}
    again = files.reader(Lane(0, 1), 0, 0)
    assert [grey_of(again(draw).image) for draw in range(6)] == greys


def test_nothing_but_broken_files_is_an_error(tmp_path: Path) -> None:
    files = write_images(tmp_path, ["a.png"])
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=rf"folder .*: {MOST_BROKEN} images in a row .*a\.png: is"):
        files.reader(Lane(0, 1), 0, 0)(0)


def test_holding_out_goes_by_the_name_alone() -> None:
    names = [f"{video}/{frame:04}.jpg" for video in range(300) for frame in range(7)]
    held = np.array([is_held_out(name, 0.1, None) for name in names])
    assert 0.08 < held.mean() < 0.12
    more = np.array([is_held_out(name, 0.2, None) for name in names])
    assert (more | ~held).all()  # what a smaller share holds out, a larger one does
    videos = [is_held_out(name, 0.1, r"^[^/]+") for name in names]
    assert all(len(set(videos[start : start + 7])) == 1 for start in range(0, len(names), 7))
    assert 0.05 < np.mean(videos) < 0.15
    # Those without a match stand alone.
    assert is_held_out("x.jpg", 0.5, r"^\d+/") == is_held_out("x.jpg", 0.5, None)
    assert not any(is_held_out(name, 0.0, None) for name in names)


def test_splits_are_disjoint_and_stay(tmp_path: Path) -> None:
    names = [f"{chr(97 + n % 5)}/{n:03}.png" for n in range(60)]
    files = write_images(tmp_path, names[:40])
    train, held = split(files, 0.3, None)
    assert sorted(names_of(train) + names_of(held)) == sorted(names[:40])
    assert len(held) > 3
    order = [names_of(held)[index] for index in in_fixed_order(held)]
    assert sorted(order) == names_of(held) != order
    train_of_more, held_of_more = split(write_images(tmp_path, names), 0.3, None)
    assert set(names_of(train)) <= set(names_of(train_of_more))
    assert set(names_of(held)) <= set(names_of(held_of_more))
    kept = [names_of(held_of_more)[index] for index in in_fixed_order(held_of_more)]
    assert [name for name in kept if name in order] == order
    groups = split(files, 0.4, r"^./")[1]
    folders = {name[:2] for name in names_of(groups)}
    assert len(groups) == 8 * len(folders)
