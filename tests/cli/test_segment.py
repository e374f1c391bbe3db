"""`vicl segment`, and `vicl predict` by a click on an example."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import pixels, vicl

import vicl as package
from vicl.engine import Candidates
from vicl.exports.candidates import all_as_answer, as_answer
from vicl.images import save_image
from vicl.segmenters.encoded import EncodedImage


def draw(seed: int) -> tuple[Image.Image, np.ndarray]:
    """A bright disc and a dark square on a meadow, and where the disc is."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:96, :128]
    x, y = int(rng.integers(30, 60)), int(rng.integers(30, 66))
    disc = (across - x) ** 2 + (down - y) ** 2 < 20**2
    photo = np.full((96, 128, 3), (60, 130, 60)) + rng.normal(0, 12, (96, 128, 3))
    photo[disc] = (230, 190, 40)
    photo[20:60, 95:120] = (30, 30, 90)
    return Image.fromarray(photo.clip(0, 255).astype(np.uint8)), disc


def middle(mask: np.ndarray) -> str:
    rows, columns = np.nonzero(mask)
    return f"{round(columns.mean())},{round(rows.mean())}"


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("dog.jpg", 1), ("photos/a.jpg", 2), ("photos/b.jpg", 3)):
        save_image(draw(seed)[0], name)
    return tmp_path


def test_a_click_gives_the_mask_of_what_is_there(photos: Path) -> None:
    point = middle(draw(1)[1])
    result = vicl("segment", "dog.jpg", "--point", point, "-o", "mask.png", "--overlay")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "mask.png\n"
    assert "3 masks, scores" in result.stderr
    # Of one click the first candidate may mean more than the disc, but it is about it.
    assert iou(pixels("mask.png") == 255, draw(1)[1]) > 0.5
    assert Path("mask.overlay.png").is_file()
    again = vicl("segment", "dog.jpg", "--point", point, "-o", "mask.png")
    assert again.exit_code == 2
    assert "mask.png exists" in again.stderr


@pytest.mark.slow
def test_a_box_gives_it_too_in_every_format(photos: Path) -> None:
    rows, columns = np.nonzero(draw(1)[1])
    box = f"{columns.min()},{rows.min()},{columns.max() + 1},{rows.max() + 1}"
    result = vicl(
        "segment", "dog.jpg", "--box", box, "--name", "sun", "--format", "coco", "-o", "sun.json"
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads(Path("sun.json").read_text())
    assert [one["name"] for one in found["categories"]] == ["sun"]
    assert found["annotations"][0]["area"] == pytest.approx(draw(1)[1].sum(), rel=0.3)
    printed = vicl("segment", "dog.jpg", "--box", box, "--json")
    row = json.loads(printed.stdout)
    assert row["area"]["object"] == pytest.approx(draw(1)[1].mean(), rel=0.3)
    assert row["scores"] == sorted(row["scores"], reverse=True)
    assert len(row["scores"]) == 3


def test_scribbles_points_out_and_candidates(photos: Path) -> None:
    disc = draw(1)[1]
    drawn = np.full((96, 128), 128, np.uint8)
    drawn[80:, 5:120] = 0
    y, x = (round(values.mean()) for values in np.nonzero(disc))
    drawn[y - 2 : y + 2, x - 10 : x + 10] = 255
    Image.fromarray(drawn).save("scribble.png")
    result = vicl(
        *("segment", "dog.jpg", "--scribble", "scribble.png", "--not", "107,40"),
        *("--candidates", "-o", "out/mask.png"),
    )
    assert result.exit_code == 0, result.stderr
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == ["mask.2.png", "mask.3.png", "mask.png"]
    assert max(iou(pixels(f"out/{name}") == 255, disc) for name in names) > 0.7


@pytest.mark.slow
def test_everything_is_numbered(photos: Path) -> None:
    asked = ("segment", "dog.jpg", "--everything", "--grid", "3", "--min-score", "0")
    result = vicl(*asked, "-o", "all.png")
    assert result.exit_code == 0, result.stderr
    objects = pixels("all.objects.png")
    assert objects.max() > 1
    assert np.array_equal(objects > 0, pixels("all.png") == 255)
    none = vicl(*asked[:-1], "1", "--json")
    assert none.exit_code == 0, none.stderr
    assert json.loads(none.stdout)["scores"] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "give --point X,Y"),
        (("--point", "3,3", "--everything"), "or --everything"),
        (("--point", "3;3", "-o", "x.png"), "--point: got '3;3', expected X,Y in pixels"),
        (("--point", "3,3,3", "-o", "x.png"), "expected X,Y in pixels"),
        (("--box", "3,3,9", "-o", "x.png"), "--box: got '3,3,9', expected X0,Y0,X1,Y1 in pixels"),
        (("--box", "9,9,3,3", "-o", "x.png"), "expected x0 < x1"),
        (("--point", "300,3", "-o", "x.png"), "expected x in [0, 128)"),
        (("--point", "3,3"), "give --output OUT"),
        (("--point", "3,3", "--grid", "4", "-o", "x.png"), "go with --everything"),
        (("--everything", "--candidates", "-o", "x.png"), "--candidates are of a prompt"),
        (("--point", "3,3", "--candidates", "--json"), "--candidates goes with --output"),
        (("--point", "3,3", "--overlay", "--json"), "go with --output"),
        (("--point", "3,3", "-o", "dog.jpg"), "dog.jpg"),
        (("--scribble", "gone.png", "-o", "x.png"), "gone.png"),
        (("--mask", "photos/small.png", "-o", "x.png"), "mask: got 10x10"),
        (("--point", "3,3", "--model", "sam9", "-o", "x.png"), "segmenter: got 'sam9'"),
    ],
)
def test_what_is_refused(photos: Path, given: tuple[str, ...], message: str) -> None:
    Image.new("L", (10, 10), 255).save("photos/small.png")
    before = Path("dog.jpg").read_bytes()
    result = vicl("segment", "dog.jpg", *given)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("x.png").exists()
    assert Path("dog.jpg").read_bytes() == before


@pytest.mark.slow
def test_click_once_and_run_on_a_folder(photos: Path) -> None:
    point = middle(draw(1)[1])
    asked = ("predict", "photos", "--example-click", "dog.jpg", point)
    result = vicl(*asked, "-o", "out/", "--save-prompt", "sun.vicl")
    assert result.exit_code == 0, result.stderr
    assert "dog.jpg: the mask of the click covers" in result.stderr
    for name, seed in (("a", 2), ("b", 3)):
        assert iou(pixels(f"out/{name}.png") == 255, draw(seed)[1]) > 0.5
    again = vicl("predict", "photos", "--prompt", "sun.vicl", "-o", "again/")
    assert again.exit_code == 0, again.stderr
    assert np.array_equal(pixels("again/a.png"), pixels("out/a.png"))
    wrong = vicl(*asked[:-1], "12", "-o", "x/")
    assert wrong.exit_code == 2
    assert "--example-click: got '12', expected X,Y" in wrong.stderr


@pytest.mark.slow
def test_a_candidate_is_an_example_in_one_call(photos: Path) -> None:
    x, y = map(int, middle(draw(1)[1]).split(","))
    found = package.load_segmenter().encode("dog.jpg").masks([(x, y)])
    example = found.example("dog.jpg")
    answer = package.predict("photos/a.jpg", [example], "segmentation")
    assert answer.mask is not None
    # The answer is about as good as what it was taught.
    assert iou(answer.mask == 1, draw(2)[1]) > 0.85 * iou(found.masks[0], draw(1)[1]) > 0.5


def test_overlapping_masks_as_one_answer() -> None:
    masks = np.zeros((3, 8, 8), bool)
    masks[0, 2:4, 2:4] = masks[1, :6, :6] = masks[2, 6:] = True
    found = Candidates(masks, np.array([0.9, 0.8, 0.7], np.float32))
    answer = all_as_answer(found, "thing")
    assert answer.objects is not None
    assert answer.confidence is not None
    # A part lies on its whole.
    assert (answer.objects == 3).sum() == 4
    assert len(np.unique(answer.objects)) == 4
    assert answer.confidence[2, 2] == np.float32(0.9)
    assert answer.confidence[0, 0] == np.float32(0.8)
    best = as_answer(found, "thing")
    assert best.mask is not None
    assert best.mask.sum() == 4
    assert [int(one.mask.sum()) for one in best.alternatives if one.mask is not None] == [36, 16]
    none = Candidates(np.zeros((0, 8, 8), bool), np.zeros(0, np.float32))
    assert all_as_answer(none).mask is not None
    with pytest.raises(ValueError, match="candidates: got none"):
        as_answer(none)


@pytest.mark.parametrize("there", [True, False])
def test_a_name_or_another_image_says_what_is_meant(
    photos: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """By a stand-in for a model that reads: it is given both, and finds a mask or none."""
    asked: list[package.MaskPrompt] = []

    class Reads:
        name, weights_hash, accepts = "reads", None, frozenset({"text", "example"})

        def encode(self, image: Image.Image) -> EncodedImage:
            def answer(prompts: Sequence[package.MaskPrompt]) -> list[Candidates]:
                asked.extend(prompts)
                masks = np.zeros((int(there), 96, 128), bool)
                masks[:, 10:20] = True
                return [Candidates(masks, np.full(len(masks), 0.8, np.float32))] * len(prompts)

            return EncodedImage((96, 128), self.accepts, answer)

    monkeypatch.setattr("vicl.loading.load_segmenter", lambda *_, **__: Reads())
    save_image(Image.fromarray((draw(1)[1] * 255).astype(np.uint8)), "shown.png")
    result = vicl(
        *("segment", "photos/a.jpg", "--text", "a sun", "--example", "dog.jpg", "shown.png"),
        *("-o", "sun.png"),
    )
    assert result.exit_code == 0, result.stderr
    assert asked[0].text == "a sun"
    assert asked[0].example is not None
    assert (asked[0].example[1] == draw(1)[1]).all()
    assert (pixels("sun.png") == 255).sum() == (1280 if there else 0)
    assert ("1 masks, scores 0.80" if there else "0 masks, scores none") in result.stderr
