"""What all generators have in common: a scene is checked, painted at the model's size, and fitted.

Generators are random: a seed says which picture it is.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Generator, Tensor

from vicl.generators.registry import GENERATORS, WAYS
from vicl.generators.scene import Drawn, Scene
from vicl.images import ImageLike, resize, to_pil, to_tensor


class PictureGenerator(abc.ABC):
    """Anything that paints a picture of a :class:`Scene`.

    Attributes:
        name: What people call it.
        weights_hash: SHA-256 of its weights, in hex.
        accepts: Which of :data:`vicl.generators.registry.WAYS` it takes.
        needs: Of each of these, a scene must have at least one.
        side: The longer side of what it paints, in pixels.
        step: Sides of what it paints are multiples of this, in pixels.
        guidance: How much the words weigh where nobody says it.
    """

    needs: tuple[frozenset[str], ...] = ()
    guidance: float = 7.5
    step: int = 8

    def __init__(self, name: str, weights_hash: str, *, accepts: frozenset[str], side: int) -> None:
        self.name, self.weights_hash = name, weights_hash
        self.accepts, self.side = accepts, side

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, accepts={_listed(self.accepts) or 'words'})"

    def generate(
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
        seed: int = 0,
        steps: int = 30,
        guidance: float | None = None,
    ) -> Image.Image:
        """Paint one picture.

        It is painted with the longer side that the model was trained at, and then brought to its
        size. Of an image all but the hole comes back unchanged.

        Args:
            text: See :class:`Scene`; so are those up to `size`.
            boxes: In pixels of the picture.
            phrases: One a box.
            references: One a box.
            keypoints: In pixels of the picture.
            maps: By name.
            image: To be changed.
            hole: Where.
            size: (height, width); None: the image's, the first map's, or the model's own square.
            seed: The same seed gives the same picture.
            steps: Of denoising.
            guidance: How much the words weigh, 1 to 100; None: as the model is usually asked.

        Raises:
            ValueError: If the scene is none, or the model does not take it so; it says who does.
        """
        scene = Scene(
            text,
            boxes=boxes,
            phrases=phrases,
            references=references,
            keypoints=keypoints,
            maps=maps,
            image=image,
            hole=hole,
            size=size,
        )
        return self.paint(scene, seed=seed, steps=steps, guidance=guidance)

    def paint(
        self, scene: Scene, *, seed: int = 0, steps: int = 30, guidance: float | None = None
    ) -> Image.Image:
        """Paint a scene; see :meth:`generate`."""
        self.check(scene)
        weight = self.guidance if guidance is None else guidance
        if steps < 1:
            raise ValueError(f"steps: got {steps}, expected at least 1")
        if not 1 <= weight <= 100:
            raise ValueError(f"guidance: got {weight}, expected 1 to 100")
        own = scene.size or (self.side, self.side)
        drawn = scene.at(working_size(own, self.side, self.step), own)
        with torch.inference_mode():
            painted = self._paint(drawn, Generator().manual_seed(seed), steps, weight)
        found = resize(painted.cpu().float().clamp(0, 1), own)
        if scene.image is not None and scene.hole is not None:
            found = torch.where(torch.from_numpy(scene.hole), found, to_tensor(scene.image))
        return to_pil(found)

    def with_net(self, map_: str, folder: Path, name: str | None = None) -> PictureGenerator:
        """The same with a ControlNet, where it goes with any.

        Args:
            map_: Which of :data:`vicl.generators.registry.MAPS` the net reads.
            folder: The net's.
            name: How the net is called; None takes the folder's name.

        Raises:
            ValueError: If it goes with none, or has one for the map already, or there is no such
                map.
            ModelError: If the folder is broken, or of another kind.
        """
        raise ValueError(f"{self.name}: goes with no ControlNet, expected Stable Diffusion 1.5")

    def check(self, scene: Scene) -> None:
        """Refuse a scene that the model does not take.

        Raises:
            ValueError: If it says something in a way that the model does not take, or lacks what
                it needs.
        """
        for way in WAYS:
            if way in scene.ways - self.accepts:
                others = [row.name for row in GENERATORS if way in row.accepts]
                raise ValueError(
                    f"{way}: {self.name} does not take it, it takes "
                    f"{_listed(self.accepts) or 'words alone'}; {way} is taken by models of "
                    f"{', '.join(others)}"
                )
        for several in self.needs:
            if not several & scene.ways:
                wanted = _listed(several, " or ")
                raise ValueError(f"{wanted}: {self.name} needs it, and there is none")

    @abc.abstractmethod
    def _paint(
        self, scene: Drawn, generator: Generator, steps: int, guidance: float
    ) -> Float[Tensor, "3 h w"]:
        """Paint at the scene's size; all that is random comes from the generator."""


def working_size(size: tuple[int, int], side: int, step: int) -> tuple[int, int]:
    """(height, width) of the same shape with the longer side given, in multiples of a step."""
    scale = side / max(size)
    height, width = (max(1, round(length * scale / step)) * step for length in size)
    return height, width


def _listed(ways: frozenset[str], between: str = ", ") -> str:
    return between.join(way for way in WAYS if way in ways)
