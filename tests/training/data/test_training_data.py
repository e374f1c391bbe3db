"""The data of a run: the same batches whoever makes them, shares, splits, faults."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.shards import image_bytes, write_shards, write_tar
from torch import Tensor
from torch.utils.data import IterableDataset

from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.files import FileError
from vicl.files.packaged import PHOTOS
from vicl.images import ImageError, to_tensor
from vicl.training.data.shards import Shards
from vicl.training.data.training_data import TrainingData, open_data
from vicl.training.job import Seat
from vicl.training.recipe.data import Augmentation, Data, RecipeError

PLAIN = Augmentation(scale=(1, 1), ratio=(1, 1), flip=False)
SIZE = (8, 8)


class Greys(IterableDataset[Any]):
    """Images of grey level 0, 1, ..., in one of the ways in which images can be given."""

    def __init__(self, count: int, way: str = "array") -> None:
        self.count = count
        self.way = way

    def __iter__(self) -> Iterator[Any]:
        return (self.image(grey) for grey in range(self.count))

    def image(self, grey: int) -> Any:
        array = np.full((*SIZE, 3), grey, np.uint8)
        if self.way == "tensor":
            return torch.full((3, *SIZE), grey / 255)
        if self.way == "pil":
            return {"image": Image.fromarray(array), "label": grey}
        return array


class Lanes(Greys):
    """Gives each lane what it asks for."""

    def lane(self, index: int, count: int, seed: int) -> Iterator[Any]:
        return (self.image(grey) for grey in range(index, self.count, count))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images")
    for grey in range(24):
        (path / f"{grey % 4}").mkdir(exist_ok=True)
        size = (9 + grey, 33 - grey)
        (path / f"{grey % 4}/{grey:02}.png").write_bytes(image_bytes(grey, size=size))
    return path


def opened(
    train: Any, *, workers: int = 0, seed: int = 0, datasets: Any = None, **held: Any
) -> TrainingData:
    data = Data(train=train, held_out=held, augmentation=PLAIN, workers=workers)
    return open_data(data, SIZE, seed=seed, datasets=datasets)


def first(batches: Iterator[Any], count: int) -> list[Tensor]:
    return [batch.image for batch in itertools.islice(batches, count)]


def greys(images: list[Tensor]) -> list[int]:
    return torch.cat(images)[:, 0, 0, 0].tolist()


def noisy(folder: Path, workers: int = 0, seed: int = 0) -> TrainingData:
    """Photographs, augmented."""
    data = Data(train=str(folder), workers=workers)
    return open_data(data, SIZE, seed=seed)


@pytest.mark.slow
def test_batches_do_not_depend_on_the_workers(folder: Path) -> None:
    data = Data(train=[{"kind": "photos"}, str(folder)], workers=0)
    runs = []
    for workers in (0, 1, 2):
        some = data.model_copy(update={"workers": workers})
        runs.append(first(open_data(some, (12, 20), seed=3).batches(Seat(5)), 6))
    for images in runs:
        assert [image.shape for image in images] == [(5, 3, 12, 20)] * 6
        assert images[0].dtype == torch.uint8
        assert all(torch.equal(a, b) for a, b in zip(images, runs[0], strict=True))
    assert not torch.equal(
        runs[0][0], first(open_data(data, (12, 20), seed=4).batches(Seat(5)), 1)[0]
    )


def test_going_on_later_gives_the_rest(folder: Path) -> None:
    data = noisy(folder)
    whole = first(data.batches(Seat(4)), 9)
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole[7:], first(data.batches(Seat(4, start=7)), 2), strict=True)
    )
    late = first(noisy(folder, workers=2).batches(Seat(4, start=3)), 6)
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], late, strict=True))


def test_processes_share_a_batch_out(folder: Path) -> None:
    data = noisy(folder)
    one = torch.cat(first(data.batches(Seat(6)), 4))
    two = [first(data.batches(Seat(3, rank=rank, world=2)), 4) for rank in (0, 1)]
    together = [torch.cat(images) for images in zip(*two, strict=True)]
    assert torch.equal(one, torch.cat(together))


def test_an_epoch_is_every_image_once(folder: Path) -> None:
    data = opened(str(folder))
    assert data.count == 24
    seen = greys(first(data.batches(Seat(5)), 10))
    assert sorted(seen[:24]) == list(range(24))
    assert sorted(seen[24:48]) == list(range(24))
    assert seen[:24] != seen[24:48]


def test_augmentation_differs_from_epoch_to_epoch() -> None:
    data = Data(train={"kind": "photos"}, workers=0)
    images = torch.cat(first(open_data(data, SIZE, seed=0).batches(Seat(16)), 2))
    assert len(torch.unique(images, dim=0)) == 32


def test_sources_are_mixed_by_weight(folder: Path) -> None:
    # Grey levels tell the sources apart.
    sources = [
        {"kind": "folder", "path": str(folder), "weight": 3},
        {"kind": "dataset", "name": "white", "weight": 1},
    ]
    white = [np.full((*SIZE, 3), 255, np.uint8)]
    data = opened(sources, datasets={"white": white})
    assert data.count is None
    seen = greys(first(data.batches(Seat(8)), 12))
    assert seen.count(255) == 24
    others = [grey for grey in seen if grey != 255]
    assert all(sorted(others[start : start + 24]) == list(range(24)) for start in range(0, 72, 24))
    assert data.describe()[0] == f"folder {folder}: 24 images (0.75 of the samples)"
    assert data.describe()[1:] == [
        "dataset white (0.25 of the samples)",
        "held out: nothing",
    ]


@pytest.mark.parametrize("way", ["array", "tensor", "pil"])
def test_datasets_are_taken_as_they_are(way: str) -> None:
    data = Data(train={"kind": "dataset", "name": "g"}, workers=0)  # crops and flips otherwise
    mine = open_data(data, SIZE, seed=0, datasets={"g": Greys(5, way)})
    assert greys(first(mine.batches(Seat(3)), 4)) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    other = open_data(data, (6, 4), seed=0, datasets={"g": Greys(5, way)})
    assert first(other.batches(Seat(2)), 1)[0].shape == (2, 3, 6, 4)


def test_figures_are_drawn_at_the_canvas_size_with_their_holes() -> None:
    source = {"kind": "figures", "clean": 0.5, "mixture": {"negative": 1.0}, "families": ["flat"]}
    data = Data(train=source, held_out={"sources": source, "count": 2}, workers=0)
    opened = open_data(data, (64, 64), seed=3, patch_size=8)
    assert opened.describe()[0] == "synthetic figures (1 rules; flat)"
    figures = SyntheticFigures(64, 8, clean=0.5, mixture={"negative": 1.0}, families=("flat",))
    assert torch.equal(opened.held_out.load(1), to_tensor(figures.figure(1).image))
    batch = next(opened.batches(Seat(8)))
    assert batch.hole is not None
    sizes = batch.hole.flatten(1).sum(1).tolist()
    assert set(sizes) == {0, 32 * 32}  # pages have none
    grid = sizes.index(32 * 32)
    rows, columns = torch.where(batch.hole[grid])
    assert {int(rows.min()) % 8, int(columns.min()) % 8} == {0}


def test_published_figures_have_their_answers_below_at_the_right() -> None:
    source = {"kind": "figures", "clean": 1.0, "layouts": "published", "families": ["flat"]}
    opened = open_data(Data(train=source, workers=0), (64, 64), seed=3, patch_size=8)
    hole = next(opened.batches(Seat(8))).hole
    assert hole is not None
    assert bool(hole[:, 32:, 32:].all())
    assert int(hole.sum()) == 8 * 32 * 32


@pytest.mark.parametrize(
    ("source", "size", "complaint"),
    [
        ({"mixture": {"nonsense": 1.0}}, (64, 64), "figures: mixture: got"),
        ({"masks": "somewhere"}, (64, 64), "figures: masks: got"),
        ({}, (64, 72), "are square"),
        ({"cutouts": "nowhere"}, (64, 64), "nowhere"),
    ],
)
def test_figures_that_cannot_be_drawn_are_refused(
    source: dict[str, Any], size: tuple[int, int], complaint: str
) -> None:
    data = Data(train={"kind": "figures", **source}, workers=0)
    with pytest.raises(FileError, match=complaint):
        open_data(data, size, seed=0)


def test_holes_of_datasets_are_checked() -> None:
    items = [{"image": np.zeros((*SIZE, 3), np.uint8), "hole": np.zeros(SIZE, np.uint8)}]
    data = opened({"kind": "dataset", "name": "g"}, datasets={"g": items})
    with pytest.raises(ImageError, match="expected bool of the image's size"):
        next(data.batches(Seat(1)))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", [Greys(23), Lanes(23)])
def test_lanes_share_a_dataset_out(dataset: Greys) -> None:
    source = {"kind": "dataset", "name": "g"}
    data = opened(source, datasets={"g": dataset}, workers=2)
    lanes = [first(data.batches(Seat(2, rank=rank, world=2)), 4) for rank in (0, 1)]
    seen = [grey for images in lanes for grey in greys(images)]
    # Lane l of four takes l, l + 4, ...: 16 images, none of them twice.
    assert sorted(seen) == list(range(16))
    assert greys(lanes[1])[:4] == [2, 6, 3, 7]


@pytest.mark.parametrize("workers", [0, 2])
def test_streams_are_wound_on(tmp_path: Path, folder: Path, workers: int) -> None:
    urls = write_shards(tmp_path, [1, 1, 1])
    for number in range(3):
        members = {f"{grey}.png": image_bytes(100 * number + grey) for grey in range(number + 3)}
        write_tar(tmp_path / f"s-{number}.tar", {**members, "b.png": b"broken"})
    data = opened([str(folder), urls], workers=workers)
    whole = list(itertools.islice(data.batches(Seat(4, rank=1, world=2)), 12))
    rest = list(itertools.islice(data.batches(Seat(4, rank=1, world=2, start=5)), 7))
    for one, other in zip(whole[5:], rest, strict=True):
        assert torch.equal(one.image, other.image)
        assert one.broken == other.broken
    assert any(batch.broken for batch in whole)


def test_winding_on_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened(write_shards(tmp_path, [6, 6]))
    decoded: list[str] = []
    decode = Shards.decode

    def counted(self: Any, item: Any) -> Any:
        decoded.append(item.name)
        return decode(self, item)

    monkeypatch.setattr("vicl.training.data.shards.Shards.decode", counted)
    first(data.batches(Seat(2, start=20)), 1)
    assert len(decoded) == 2


def test_an_epoch_of_shards_is_every_image_once(tmp_path: Path) -> None:
    data = opened({"kind": "shards", "urls": write_shards(tmp_path, [7, 6]), "samples": 13})
    assert data.count == 13
    seen = greys(first(data.batches(Seat(13)), 2))
    assert sorted(seen[:13]) == sorted(seen[13:]) == list(range(13))


def test_broken_images_are_told_and_replaced(tmp_path: Path) -> None:
    for grey in range(6):
        (tmp_path / f"{grey}.png").write_bytes(image_bytes(grey))
    (tmp_path / "3.png").write_bytes(image_bytes(3)[:-30])
    batch = next(opened(str(tmp_path)).batches(Seat(6)))
    assert batch.image.shape == (6, 3, *SIZE)
    assert len(batch.broken) == 1
    assert "3.png: damaged or truncated PNG" in batch.broken[0]
    assert 3 not in greys([batch.image])


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_come_out_of_workers_as_they_are(tmp_path: Path, workers: int) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError) as caught:
        next(opened(str(tmp_path), workers=workers).batches(Seat(2)))
    assert str(caught.value).startswith(f"folder {tmp_path}: 50 images in a row could not be")
    (tmp_path / "b.tar").write_bytes(b"no tar" * 100)
    with pytest.raises(ImageError, match=r"50 images in a row .* b\.tar|b\.tar: cannot be read"):
        next(opened(str(tmp_path / "b.tar"), workers=workers).batches(Seat(2)))


@pytest.mark.slow
def test_global_random_states_are_left_alone(folder: Path) -> None:
    # Python's own is drawn from by the type checker of these tests.
    states = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    for workers in (0, 1):
        first(noisy(folder, workers=workers).batches(Seat(3)), 2)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == repr(np.random.get_state())  # noqa: NPY002


@pytest.mark.slow
def test_a_share_of_a_folder_is_held_out(folder: Path) -> None:
    data = opened(str(folder), fraction=0.3, group=r"^\d/\d")
    held = data.held_out
    shown = {round(float(held.load(index)[0, 0, 0]) * 255) for index in range(len(held))}
    trained = set(greys(first(data.batches(Seat(data.count)), 1)))
    assert shown | trained == set(range(24))
    assert not shown & trained
    # "0/0", "0/1", "0/2": every group is on one side.
    groups = [{grey for grey in range(24) if (grey % 4, grey // 10) == g} for g in np.ndindex(4, 3)]
    assert all(group <= shown or group <= trained for group in groups)
    other = opened(str(folder), fraction=0.3, group=r"^\d/\d", seed=9)
    assert all(torch.equal(held.load(i), other.held_out.load(i)) for i in range(len(held)))
    assert data.describe()[-1] == f"held out: {len(shown)} images, {len(shown)} of them looked at"


@pytest.mark.slow
def test_held_out_sources_never_train(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    data = opened(str(folder), sources=[str(link / "1"), {"kind": "photos"}], count=8)
    assert data.count == 18  # of 24
    assert all(grey % 4 != 1 for grey in greys(first(data.batches(Seat(6)), 3)))
    held = data.held_out
    assert len(held) == 8
    assert held.total == 6 + 16
    image = held.load(0)
    assert image.shape == (3, *SIZE)
    assert image.dtype == torch.float32
    assert round(float(image[0, 0, 0]) * 255) % 4 == 1
    assert float(held.load(1).std()) > 0  # a photograph: sources take turns


@pytest.mark.slow
def test_held_out_streams(tmp_path: Path, folder: Path) -> None:
    urls = write_shards(tmp_path, [3, 2])
    data = opened(str(folder), sources=urls)
    assert sorted(round(float(data.held_out.load(i).max()) * 255) for i in range(5)) == [*range(5)]
    assert len(data.held_out) == 5
    assert data.held_out.total is None
    with pytest.raises(IndexError, match="got 5, expected 0 to 4"):
        data.held_out.load(5)
    named = {"kind": "dataset", "name": "g"}
    data = opened(str(folder), sources=named, datasets={"g": Greys(99)}, count=3)
    assert [round(float(data.held_out.load(i).max()) * 255) for i in range(3)] == [0, 1, 2]


def test_held_out_are_resized_as_pillow_does(folder: Path) -> None:
    held = opened(str(folder), sources={"kind": "photos"}).held_out
    wanted = []
    for file in PHOTOS.glob("*.jpg"):
        if "negative" in file.name:
            continue
        image = Image.open(file)
        width, height = image.size
        scale = 8 / min(image.size)
        small = image.resize(
            (round(width * scale), round(height * scale)), Image.Resampling.BICUBIC
        )
        left, top = (small.width - 8) // 2, (small.height - 8) // 2
        wanted.append(to_tensor(small.crop((left, top, left + 8, top + 8))))
    found = [held.load(index) for index in range(len(held))]
    assert len(found) == len(wanted)
    assert all(any(torch.equal(image, other) for other in wanted) for image in found)


@pytest.mark.slow
def test_broken_held_out_are_left_out(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.png").write_bytes(image_bytes(200))
    (tmp_path / "b.png").write_bytes(b"no image")
    held = opened(str(folder), sources=str(tmp_path)).held_out
    assert [round(float(held.load(index).max()) * 255) for index in (0, 1)] == [200, 200]
    assert "b.png: is not an image" in caplog.text
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="none of the 2 images"):
        opened(str(folder), sources=str(tmp_path)).held_out.load(0)


def test_faults_are_told_at_once(folder: Path) -> None:
    with pytest.raises(ImageError, match=r"none: cannot be listed"):
        opened(str(folder / "none"))
    with pytest.raises(FileError, match=r"a\.tar: no such file"):
        opened(str(folder / "a.tar"))
    with pytest.raises(RecipeError, match=r"'f', expected one of those that were given \('g'\)"):
        opened({"kind": "dataset", "name": "f"}, datasets={"g": Greys(1)})
    with pytest.raises(RecipeError, match=r"fraction: got 1e-09, which holds out none"):
        opened(str(folder), fraction=1e-9)
    with pytest.raises(RecipeError, match=r"none is left to train"):
        opened(str(folder), fraction=0.999999)
    with pytest.raises(RecipeError, match=r"none is left to train"):
        opened(str(folder / "1"), sources=str(folder))
    with pytest.raises(RecipeError, match=r"held_out: there are no images in dataset g"):
        opened(str(folder), sources={"kind": "dataset", "name": "g"}, datasets={"g": Greys(0)})
    for wrong in ({"batch": 0}, {"batch": 1, "rank": 1}, {"batch": 1, "start": -1}):
        with pytest.raises(ValueError, match="batches: got batch="):
            opened(str(folder)).batches(Seat(**wrong))
    empty = opened({"kind": "dataset", "name": "g"}, datasets={"g": Greys(0)})
    with pytest.raises(ImageError, match="dataset g: holds no images"):
        next(empty.batches(Seat(1)))
    keyless = opened({"kind": "dataset", "name": "g"}, datasets={"g": [{"picture": 1}]})
    with pytest.raises(ImageError, match=r"dict with \['picture'\], expected the key 'image'"):
        next(keyless.batches(Seat(1)))
