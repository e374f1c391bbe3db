"""Images as classifiers take them: resized, cut, mirrored, and those that cannot be read."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tuning.toys import TOY, ToyOptions, squares, toy_backbone

from vicl.images import save_image
from vicl.prompts.backbones.backbone import Reading
from vicl.prompts.reading import bring, reading_of
from vicl.training.job import Seat
from vicl.tuning.answers import ask, encode
from vicl.tuning.data import Labelled, open_data
from vicl.tuning.layouts import DataError
from vicl.tuning.reading import Pictures, image_rounds, samples

CPU = torch.device("cpu")


def test_the_short_side_is_resized_and_the_middle_cut() -> None:
    """A picture whose columns tell where they are: 40 x 20 at 10 px, cut to 8."""
    columns = np.repeat(np.arange(40, dtype=np.uint8)[None] * 6, 20, axis=0)
    image = Image.fromarray(columns).convert("RGB")
    found = bring(image, Reading(10, 8))
    assert found.shape == (3, 8, 8)
    assert found.float().mean() == pytest.approx(columns.mean(), abs=1)
    stretched = bring(image, Reading(None, 8))
    assert stretched[0, 0, 0] < 20 < 200 < stretched[0, 0, -1]


def test_a_classifier_says_how_it_is_read() -> None:
    """Its backbone's way; a side of its own is not cut; stretched on demand; or as it learned."""
    backbone = toy_backbone()
    made = TOY.make(backbone, ("a", "b"), ToyOptions(), torch.Generator())
    assert reading_of(made) == backbone.reading
    assert reading_of(made, stretch=True) == Reading(None, 8)
    made.reading = Reading(7, 6, "bicubic")
    assert reading_of(made) == made.reading


@pytest.mark.parametrize("augment", ["crop", "resized-crop"])
def test_augmentation_follows_from_seed_and_number(tmp_path: Path, augment: str) -> None:
    data = open_data(squares(tmp_path, {"train": 3, "test": 1}))
    pictures = Pictures(data.train, data.classes, Reading(10, 8), augment=augment)
    first = [pictures.load(0, number, 5) for number in range(6)]
    again = Pictures(data.train, data.classes, Reading(10, 8), augment=augment, kept=0)
    for number, picture in enumerate(first):
        assert torch.equal(again.load(0, number, 5), picture)
    assert any(not torch.equal(first[0], other) for other in first[1:])
    assert not torch.equal(pictures.load(0, 0, 6), first[0])
    assert all(picture.shape == (3, 8, 8) for picture in first)
    assert torch.equal(pictures.load(0), again.load(0))


def test_every_image_is_seen_once_an_epoch_whatever_the_batch() -> None:
    seat = Seat(4)
    batches = list(itertools.islice(samples(6, 0, seat), 3))
    places = [place for batch in batches for place, _ in batch]
    assert sorted(places[:6]) == sorted(places[6:]) == [0, 1, 2, 3, 4, 5]
    assert places[:6] != places[6:]
    later = next(samples(6, 0, Seat(4, start=2)))
    assert later == batches[2]


def test_a_broken_image_is_named_and_another_of_its_class_stands_for_it(tmp_path: Path) -> None:
    squares(tmp_path, {"train": 4, "test": 1})
    (tmp_path / "train/red/01.png").write_bytes(b"no picture")
    data = open_data(tmp_path)
    pictures = Pictures(data.train, data.classes, Reading(9, 8))
    seat = Seat(len(pictures))
    rounds = image_rounds(pictures, 0, seat, CPU)
    first, second = next(rounds), next(rounds)
    images, labels = first.batch
    assert images is not None
    assert labels is not None
    assert images.shape == (9, 3, 8, 8)
    assert labels.bincount().tolist() == [3, 3, 3]
    told = (*first.broken, *second.broken)  # by the first thread that found it, and once
    assert len(told) == 1
    assert "red/01.png" in told[0]
    assert len(pictures.broken) == 1


def test_a_class_without_a_readable_image_ends_it(tmp_path: Path) -> None:
    squares(tmp_path, {"train": 2, "test": 1})
    for name in ("00", "01"):
        (tmp_path / f"train/red/{name}.png").write_bytes(b"no picture")
    items = [
        Labelled(p, n)
        for n, c in enumerate(("blue", "red"))
        for p in sorted((tmp_path / "train" / c).iterdir())
    ]
    pictures = Pictures(items, ("blue", "red"), Reading(9, 8))
    with pytest.raises(DataError, match=r"class red: none of its 2 images can be read"):
        list(itertools.islice(image_rounds(pictures, 0, Seat(4), CPU), 3))
    made = TOY.make(toy_backbone(), ("blue", "red"), ToyOptions(), torch.Generator())
    with pytest.raises(DataError, match="class red"):
        encode(made, Pictures(items, ("blue", "red"), Reading(9, 8)))
    answers = ask(made, Pictures(items, ("blue", "red"), Reading(9, 8)), batch=1)
    assert (answers.places, len(answers.broken)) == ((0, 1), 2)


def test_a_photograph_is_upright(tmp_path: Path) -> None:
    """EXIF's orientation is heeded: what is stored lying is read standing."""
    file = tmp_path / "a" / "x.jpg"
    lying = np.zeros((16, 32, 3), dtype=np.uint8)
    lying[:, 16:] = 255
    save_image(Image.fromarray(lying), file)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    with Image.open(file) as image:
        image.save(file, exif=exif)
    found = Pictures([Labelled(file, 0)], ("a",), Reading(None, 8)).load(0)
    assert found[0, 0].max() < 60
    assert found[0, -1].min() > 200
