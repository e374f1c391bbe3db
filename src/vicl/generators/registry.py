"""The families of generators; importing this imports neither PyTorch nor a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAPS: Final = ("edges", "depth", "normals", "semantic")
"""The pictures that say what stands where, pixel by pixel."""

WAYS: Final = ("boxes", "references", "keypoints", *MAPS, "image")
"""The ways of saying, beside the words, what a picture is to be."""


@dataclass(frozen=True)
class GeneratorRow:
    """A family of generators.

    Attributes:
        name: What people call it.
        accepts: Which of :data:`WAYS` its models take; each takes those that it was trained for.
        use: What it is, in a line.
    """

    name: str
    accepts: frozenset[str]
    use: str


GENERATORS: Final[tuple[GeneratorRow, ...]] = (
    GeneratorRow(
        "gligen",
        frozenset({"boxes", "references", "keypoints", "image"}),
        "GLIGEN: what is named, or looks like a picture of yours, in boxes; people by keypoints",
    ),
    GeneratorRow(
        "controlnet",
        frozenset({*MAPS, "image"}),
        "Stable Diffusion 1.5, with a ControlNet for each map: BASE+edges=NET",
    ),
    GeneratorRow(
        "inpaint",
        frozenset({"image"}),
        "Stable Diffusion 1.5 and XL for inpainting, and FLUX.1 Fill: a hole filled by words",
    ),
)
