"""What a picture is to be: words, and what stands where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from vicl.generators.registry import MAPS, WAYS
from vicl.images import ImageLike, brief, resize, resize_map, size_of, to_tensor

KEYPOINTS: Final = 17
"""Of a person, in COCO's order: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles,
the left one first."""

MOST_BOXES: Final = 30
MOST_PERSONS: Final = 8
"""What GLIGEN was trained with."""

LARGEST: Final = 16384
"""Side of a picture, in pixels."""


@dataclass(frozen=True, eq=False, init=False)
class Scene:
    """What a picture is to be.

    Attributes:
        text: The caption.
        boxes: xyxy in pixels of the picture, half-open; no row where there is none.
        phrases: What is in each box; None where only its reference says it.
        references: A picture of what is in each box; None where only its phrase says it.
        keypoints: x and y of people's :data:`KEYPOINTS` in pixels; NaN where one is not seen.
        maps: By their names (:data:`vicl.generators.registry.MAPS`): edges white on black, depth
            with what is near white, normals and classes in the colours that the model knows.
        image: What is known of the picture; or None.
        hole: Where it is to be painted anew; None without an image.
        size: (height, width) of the picture in pixels; None: the model's own.
    """

    text: str
    boxes: Float32[np.ndarray, "n 4"]
    phrases: tuple[str | None, ...]
    references: tuple[ImageLike | None, ...]
    keypoints: Float32[np.ndarray, "p 17 2"]
    maps: Mapping[str, ImageLike]
    image: ImageLike | None
    hole: Bool[np.ndarray, "h w"] | None
    size: tuple[int, int] | None

    def __init__(
        self,
        text: str,
        *,
        boxes: Any = None,
        phrases: Sequence[str | None] | None = None,
        references: Sequence[ImageLike | None] | None = None,
        keypoints: Any = None,
        maps: Mapping[str, ImageLike] | None = None,
        image: ImageLike | None = None,
        hole: Any = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Take a scene as people write it.

        Args:
            text: Not empty.
            boxes: (x0, y0, x1, y1) each.
            phrases: One a box, not empty, or None.
            references: One a box, or None; each box has a phrase, a reference or both.
            keypoints: 17 pairs (x, y) a person; NaN for one that is not seen.
            maps: By name; they are stretched to the picture.
            image: To be changed.
            hole: Array (h, w) of True and False at the image's size; None: its boxes.
            size: (height, width), which an image, or else the first map, says by itself.

        Raises:
            ValueError: If one is not so.
        """
        if not text.strip():
            raise ValueError("text: got an empty one, expected what the picture shows")
        self._set(
            text=text, maps=_maps(maps or {}), image=image, size=self._sized(image, maps, size)
        )
        found = _boxes(boxes, self.size)
        self._set(
            boxes=found,
            phrases=_one_a_box("phrases", phrases, len(found)),
            references=_one_a_box("references", references, len(found)),
            keypoints=_keypoints(keypoints),
            hole=None if image is None else _hole(hole, found, size_of(image)),
        )
        for at, (phrase, reference) in enumerate(zip(self.phrases, self.references, strict=True)):
            if reference is None and not (phrase or "").strip():
                raise ValueError(
                    f"boxes[{at}]: has neither phrase nor reference, expected what is in it"
                )
        if image is None and hole is not None:
            raise ValueError("hole: goes with image, of which it is a part")

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def _sized(
        image: ImageLike | None,
        maps: Mapping[str, ImageLike] | None,
        size: tuple[int, int] | None,
    ) -> tuple[int, int] | None:
        shown = image if image is not None else next(iter((maps or {}).values()), None)
        if image is not None and size is not None:
            raise ValueError("size: goes without image; the picture is as large as the image")
        found = size_of(shown) if size is None and shown is not None else size
        if found is not None and not all(1 <= side <= LARGEST for side in found):
            raise ValueError(f"size: got {found}, expected (height, width) of 1 to {LARGEST} px")
        return found

    @property
    def ways(self) -> frozenset[str]:
        """Those of :data:`vicl.generators.registry.WAYS` in which it is said."""
        there = {
            "boxes": any(phrase is not None for phrase in self.phrases),
            "references": any(reference is not None for reference in self.references),
            "keypoints": len(self.keypoints) > 0,
            "image": self.image is not None,
        }
        return frozenset({*self.maps, *(way for way, is_so in there.items() if is_so)})

    def __repr__(self) -> str:
        ways = ", ".join(way for way in WAYS if way in self.ways)
        return f"Scene({self.text[:40]!r}, {ways or 'words alone'}, size={self.size})"

    def at(self, size: tuple[int, int], own: tuple[int, int]) -> Drawn:
        """The scene as a model of another size sees it.

        Args:
            size: (height, width) at which the model paints, in pixels.
            own: (height, width) of the scene, where it does not say it itself.
        """
        height, width = self.size or own
        places = torch.from_numpy(self.boxes) / torch.tensor([width, height, width, height])
        known = None if self.image is None else resize(to_tensor(self.image), size)
        hole = None
        if self.hole is not None:
            share = resize_map(torch.from_numpy(self.hole)[None].float(), size)
            hole = share[0] > 0  # whatever is touched
        return Drawn(
            text=self.text,
            boxes=places.float().clamp(0, 1),
            phrases=self.phrases,
            references=tuple(None if r is None else to_tensor(r) for r in self.references),
            keypoints=torch.from_numpy(self.keypoints / np.array([width, height], np.float32)),
            maps={name: resize(to_tensor(drawn), size) for name, drawn in self.maps.items()},
            image=known,
            hole=hole,
            size=size,
        )


@dataclass(frozen=True, eq=False)
class Drawn:
    """A scene as a model sees it.

    Attributes:
        text: The caption.
        boxes: xyxy as shares of the picture.
        phrases: One a box, or None.
        references: Likewise, RGB in [0, 1] at their own sizes.
        keypoints: x and y as shares of the picture; NaN where one is not seen.
        maps: By name, RGB in [0, 1].
        image: RGB in [0, 1]; or None.
        hole: True = to paint; None without an image.
        size: (height, width) at which it is painted.
    """

    text: str
    boxes: Float[Tensor, "n 4"]
    phrases: tuple[str | None, ...]
    references: tuple[Tensor | None, ...]
    keypoints: Float[Tensor, "p 17 2"]
    maps: Mapping[str, Tensor]
    image: Float[Tensor, "3 h w"] | None
    hole: Bool[Tensor, "h w"] | None
    size: tuple[int, int]


def _numbers(name: str, given: Any, expected: str) -> np.ndarray:
    try:
        return np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {brief(given)}, expected {expected}") from None


def _boxes(given: Any, size: tuple[int, int] | None) -> np.ndarray:
    expected = "(x0, y0, x1, y1) each, in pixels"
    found = _numbers("boxes", [] if given is None else given, expected)
    if found.size == 0:
        return np.zeros((0, 4), np.float32)
    if found.ndim != 2 or found.shape[1] != 4:
        hint = "; for one box write boxes=[(x0, y0, x1, y1)]" if found.shape == (4,) else ""
        raise ValueError(f"boxes: got {brief(given)}, expected {expected}{hint}")
    if len(found) > MOST_BOXES:
        raise ValueError(f"boxes: got {len(found)}, expected at most {MOST_BOXES}")
    for at, box in enumerate(found):
        if not np.isfinite(box).all() or not (box[:2] < box[2:]).all():
            raise ValueError(
                f"boxes[{at}]: got {tuple(box.tolist())}, expected x0 < x1 and y0 < y1: the left "
                "upper corner first, not a corner and a size"
            )
        if (box[2:] <= 0).any() or (size is not None and (box[:2] >= np.array(size[::-1])).any()):
            raise ValueError(f"boxes[{at}]: got {tuple(box.tolist())}, which lies off the picture")
    return found


def _one_a_box(name: str, given: Sequence[Any] | None, boxes: int) -> tuple[Any, ...]:
    found = (None,) * boxes if given is None else tuple(given)
    if isinstance(given, str) or len(found) != boxes:
        got = "one text" if isinstance(given, str) else str(len(found))
        raise ValueError(f"{name}: got {got} for {boxes} boxes, expected one a box")
    return found


def _keypoints(given: Any) -> np.ndarray:
    expected = f"{KEYPOINTS} pairs (x, y) for each person"
    found = _numbers("keypoints", [] if given is None else given, expected)
    if found.size == 0:
        return np.zeros((0, KEYPOINTS, 2), np.float32)
    if found.ndim != 3 or found.shape[1:] != (KEYPOINTS, 2):
        hint = "; for one person write keypoints=[points]" if found.ndim == 2 else ""
        raise ValueError(f"keypoints: got {brief(given)}, expected {expected}{hint}")
    if len(found) > MOST_PERSONS:
        raise ValueError(f"keypoints: got {len(found)} people, expected at most {MOST_PERSONS}")
    if np.isinf(found).any() or np.isnan(found).all((1, 2)).any():
        raise ValueError("keypoints: expected finite numbers, and NaN for those that are not seen")
    return found


def _maps(given: Mapping[str, ImageLike]) -> dict[str, ImageLike]:
    for name in given:
        if name not in MAPS:
            raise ValueError(f"maps: got {name!r}, expected one of {', '.join(MAPS)}")
    return dict(given)


def _hole(given: Any, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the image is to be painted anew."""
    if given is None and not len(boxes):
        raise ValueError("image: expected a hole in it, or boxes, which are what is painted anew")
    if given is None:
        found = np.zeros(size, bool)
        for x0, y0, x1, y1 in boxes.clip(0):
            found[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
        return found
    found = np.asarray(given)
    if found.ndim != 2 or not np.isin(found, (0, 1)).all():
        raise ValueError(f"hole: got {brief(given)}, expected an array (h, w) of True and False")
    if found.shape != size:
        raise ValueError(
            f"hole: got {found.shape[0]}x{found.shape[1]}, expected the image's "
            f"{size[0]}x{size[1]} (height x width)"
        )
    if not found.any():
        raise ValueError("hole: got an empty one: no pixel of it is True")
    return found.astype(bool)
