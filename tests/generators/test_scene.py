"""Scenes as people write them, and as models see them; without any model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vicl.generators.generator import PictureGenerator, working_size
from vicl.generators.scene import Scene

PHOTO = np.random.default_rng(0).integers(0, 255, (30, 60, 3), dtype=np.uint8)
BOX = (10, 5, 30, 20)
PERSON = np.full((17, 2), np.nan, np.float32)
PERSON[3] = (20, 10)


class Painter(PictureGenerator):
    """Paints noise, and keeps what it was shown."""

    def _paint(self, scene: Any, generator: Any, steps: int, guidance: float) -> torch.Tensor:
        self.shown, self.asked = scene, (steps, guidance)
        return torch.rand(3, *scene.size, generator=generator)


def painter(*accepts: str) -> Painter:
    return Painter("painter", "0" * 64, accepts=frozenset(accepts), side=32)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"text": " "}, "text: got an empty one"),
        ({"boxes": BOX, "phrases": ["a"]}, r"boxes: .*for one box write boxes=\["),
        ({"boxes": [(30, 5, 10, 20)], "phrases": ["a"]}, r"boxes\[0\]: got .* expected x0 < x1"),
        ({"boxes": [(0, 0, np.inf, 9)], "phrases": ["a"]}, r"boxes\[0\]: got"),
        ({"boxes": [BOX], "phrases": ["a"], "size": (8, 8)}, r"boxes\[0\]: .* off the picture"),
        ({"boxes": [(-9, -9, 0, 0)], "phrases": ["a"]}, r"boxes\[0\]: .* off the picture"),
        ({"boxes": [BOX] * 31, "phrases": ["a"] * 31}, "boxes: got 31, expected at most 30"),
        ({"boxes": [BOX]}, r"boxes\[0\]: has neither phrase nor reference"),
        ({"boxes": [BOX], "phrases": [""]}, r"boxes\[0\]: has neither phrase nor reference"),
        ({"boxes": [BOX], "phrases": "a"}, "phrases: got one text for 1 boxes"),
        ({"boxes": [BOX], "phrases": ["a", "b"]}, "phrases: got 2 for 1 boxes"),
        ({"phrases": ["a"]}, "phrases: got 1 for 0 boxes"),
        ({"boxes": "here"}, "boxes: got .*, expected"),
        ({"keypoints": PERSON}, r"keypoints: .*for one person write keypoints=\[points\]"),
        ({"keypoints": [PERSON] * 9}, "keypoints: got 9 people, expected at most 8"),
        ({"keypoints": [np.full((17, 2), np.nan)]}, "keypoints: expected finite numbers"),
        ({"maps": {"lines": PHOTO}}, "maps: got 'lines', expected one of edges, depth"),
        ({"image": PHOTO}, "image: expected a hole in it, or boxes"),
        ({"image": PHOTO, "hole": np.zeros((30, 60))}, "hole: got an empty one"),
        ({"image": PHOTO, "hole": np.ones((9, 9))}, "hole: got 9x9, expected the image's 30x60"),
        ({"image": PHOTO, "hole": np.full((30, 60), 255)}, "hole: got .* True and False"),
        ({"hole": np.ones((30, 60))}, "hole: goes with image"),
        ({"image": PHOTO, "hole": np.ones((30, 60)), "size": (9, 9)}, "size: goes without image"),
        ({"size": (0, 9)}, "size: got .*expected .height, width. of 1 to 16384 px"),
    ],
)
def test_what_is_no_scene_is_told(wrong: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Scene(**({"text": "a dog"} | wrong))


def test_a_scene_says_in_which_ways_and_of_what_size() -> None:
    assert Scene("a dog").ways == frozenset()
    assert Scene("a dog").size is None
    whole = Scene(
        "a dog",
        boxes=[BOX, BOX],
        phrases=["a dog", None],
        references=[None, PHOTO],
        keypoints=[PERSON],
        maps={"depth": PHOTO[:20], "edges": PHOTO},
        image=PHOTO,
    )
    assert whole.ways == {"boxes", "references", "keypoints", "depth", "edges", "image"}
    assert whole.size == (30, 60)
    assert whole.hole is not None
    assert whole.hole[5:20, 10:30].all()
    assert whole.hole.sum() == 15 * 20
    assert Scene("a", maps={"depth": PHOTO[:20]}).size == (20, 60)
    assert Scene("a", maps={"depth": PHOTO[:20]}, size=(5, 6)).size == (5, 6)
    assert repr(Scene("a dog", keypoints=[PERSON])) == "Scene('a dog', keypoints, size=None)"


def test_a_model_sees_shares_of_the_picture_at_its_own_size() -> None:
    scene = Scene(
        "a", boxes=[(30, 15, 90, 30)], phrases=["b"], keypoints=[PERSON], image=PHOTO,
        maps={"edges": PHOTO},
    )  # fmt: skip
    drawn: Any = scene.at((16, 32), (30, 60))
    assert torch.allclose(drawn.boxes, torch.tensor([[0.5, 0.5, 1.0, 1.0]]))  # cut to the picture
    assert torch.allclose(drawn.keypoints[0, 3], torch.tensor([20 / 60, 10 / 30]))
    assert drawn.keypoints[0, 0].isnan().all()
    assert drawn.maps["edges"].shape == drawn.image.shape == (3, 16, 32)
    assert drawn.hole[8:, 16:].all()
    assert drawn.hole.sum() <= 9 * 17  # with what is touched


@pytest.mark.parametrize(
    ("size", "found"),
    [((512, 512), (32, 32)), ((30, 60), (16, 32)), ((3000, 1), (32, 8)), ((5, 4), (32, 24))],
)
def test_shapes_stay_and_sides_are_whole_steps(
    size: tuple[int, int], found: tuple[int, int]
) -> None:
    assert working_size(size, 32, 8) == found


def test_pictures_have_the_size_that_was_asked_for_and_known_pixels_stay() -> None:
    model = painter("boxes", "image")
    first = model.generate("a dog", size=(20, 45), seed=3)
    assert first.size == (45, 20)
    assert model.generate("a dog").size == (32, 32)
    assert np.array_equal(model.generate("a dog", size=(20, 45), seed=3), first)
    assert not np.array_equal(model.generate("a dog", size=(20, 45), seed=4), first)
    assert model.asked == (30, 7.5)
    model.generate("a dog", steps=3, guidance=2.0)
    assert model.asked == (3, 2.0)
    hole = np.zeros((30, 60), bool)
    hole[3:20, 7:31] = True
    found = np.asarray(model.generate("a dog", image=Image.fromarray(PHOTO), hole=hole))
    assert np.array_equal(found[~hole], PHOTO[~hole])
    assert (found[hole] != PHOTO[hole]).mean() > 0.9


def test_what_a_model_does_not_take_is_told_with_who_does() -> None:
    with pytest.raises(ValueError, match="boxes: painter does not take it, it takes edges, image;"):
        painter("edges", "image").generate("a", boxes=[BOX], phrases=["b"])
    with pytest.raises(ValueError, match="it takes words alone; edges is taken by models of contr"):
        painter().generate("a", maps={"edges": PHOTO})
    needy = painter("edges", "depth")
    needy.needs = (frozenset({"edges", "depth"}),)
    with pytest.raises(ValueError, match="edges or depth: painter needs it, and there is none"):
        needy.generate("a")
    assert needy.generate("a", maps={"depth": PHOTO}).size == (60, 30)
    for wrong, fault in (({"steps": 0}, "steps: got 0"), ({"guidance": 0.5}, "guidance: got 0.5")):
        with pytest.raises(ValueError, match=fault):
            painter().generate("a", **wrong)
