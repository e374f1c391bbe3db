"""The pictures that a recipe names, as squares of the engine's side, and which are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vicl.files import display
from vicl.files.plain_json import parse_json
from vicl.images import open_image, to_rgb
from vicl.models.matching.view import SIDE
from vicl.training.matching.mosaics import compose_mosaic
from vicl.training.matching.scenes import CutOuts, Labelled, compose_group, crop, stretch
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.head import (
    Composed,
    Mosaics,
    OutlineData,
    Photographs,
    PictureFolder,
    Pictures,
)
from vicl.training.seeds import Purpose, numbers

_TEXTURES = 6
"""Photographs that the textures of a mosaic are cut from."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture for the bank."""

    source: int
    origin: str
    group: str
    image: Labelled


@dataclass(frozen=True, eq=False)
class Listed:
    """A picture of a manifest.

    Attributes:
        folder: That its paths are relative to.
        row: Of the manifest.
    """

    folder: Path
    row: dict[str, Any]

    def read(self) -> Labelled:
        """Its pixels, labels and objects."""
        annotations = self.row["annotations"]
        picture = np.asarray(to_rgb(open_image(self.folder / self.row["image"])))
        found = annotations["mask"]
        labels = np.asarray(open_image(self.folder / found["path"]))
        classes = {name: int(of["value"]) for name, of in found["classes"].items()}
        return Labelled(picture, labels, classes, self._objects(labels, annotations))

    def _objects(self, labels: np.ndarray, annotations: dict[str, Any]) -> np.ndarray:
        """As the manifest numbers them; else what is connected and of one class."""
        from skimage import measure

        connected: Any = measure.label

        if "instances" in annotations:
            stored = open_image(self.folder / annotations["instances"]["path"])
            return np.asarray(stored).astype(np.int32)
        found: np.ndarray = connected(labels, background=0, connectivity=2)
        return found.astype(np.int32)


def listed(data: Pictures, *, held_out: bool) -> list[list[Listed]]:
    """The pictures of each of the photographs' folders: those that are held out, or all others.

    Raises:
        RecipeError: If a folder or a listing cannot be read, or has no picture.
    """
    left_out = {name for path in data.leave_out for name in _names(Path(path))}
    return [_listed(one, left_out, held_out) for one in data.photographs]


def _listed(source: PictureFolder, left_out: set[str], held: bool) -> list[Listed]:
    folder = Path(source.path)
    manifest = folder / "manifest.jsonl"
    try:
        rows = [parse_json(line) for line in manifest.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise RecipeError(f"{display(manifest)}: cannot be read as a list of pictures") from error
    found = [
        Listed(folder, row)
        for row in rows
        if (source.sources is None or row["source"] in source.sources)
        and row["annotations"].get("mask", {}).get("kind") == "semantic"
        and row["image"] not in left_out
        and (_lot(row["id"]) < source.held_out) == held
    ]
    if not found:
        raise RecipeError(f"{display(manifest)}: lists no picture with a mask to learn from")
    return found


def _names(path: Path) -> Iterator[str]:
    """The pictures that a listing of episodes names."""
    try:
        lines = path.read_text("utf-8").splitlines()
        for line in lines:
            episode = parse_json(line)
            for item in (*episode.get("examples", ()), episode.get("query", {})):
                if "image" in item:
                    yield str(item["image"])
    except (OSError, ValueError, AttributeError) as error:
        raise RecipeError(f"{display(path)}: cannot be read as a listing of episodes") from error


def _lot(name: str) -> float:
    """A number in [0, 1) that follows from a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def fewer(data: Pictures) -> Pictures:
    """The same, with so many composed pictures as are held out."""
    changes: dict[str, object] = {}
    if data.composed is not None:
        changes["composed"] = data.composed.model_copy(update={"groups": data.composed.held_out})
    if (mosaics := mosaics_of(data)) is not None:
        changes["mosaics"] = mosaics.model_copy(update={"count": mosaics.held_out})
    return data.model_copy(update=changes)


def count_pictures(data: Pictures, photographs: Sequence[Sequence[Listed]]) -> int:
    """How many :func:`draw_pictures` gives."""
    found = sum(
        len(rows) * (1 + one.versions)
        for one, rows in zip(data.photographs, photographs, strict=True)
    )
    composed, mosaics = data.composed, mosaics_of(data)
    found += composed.groups * composed.scenes if composed is not None else 0
    return found + (mosaics.count if mosaics is not None else 0)


def draw_pictures(
    data: Pictures, photographs: Sequence[Sequence[Listed]], seed: int
) -> Iterator[Drawn]:
    """All pictures of the bank, in order."""
    for number, (source, rows) in enumerate(zip(data.photographs, photographs, strict=True)):
        paired_by = source.paired_by if isinstance(source, Photographs) else None
        for index, one in enumerate(rows):
            whole, origin = one.read(), f"{number}/{one.row['id']}"
            group = str(one.row.get(paired_by, "")) if paired_by else ""
            yield Drawn(number, origin, group, stretch(whole, SIDE))
            rng = numbers(seed, Purpose.VARIANTS, number * 2**24 + index)
            for _ in range(source.versions):
                yield Drawn(number, origin, group, crop(rng, whole, SIDE, source.least))
    grounds = [one for rows in photographs for one in rows]
    if data.composed is not None:
        yield from _scenes(data.composed, grounds, len(photographs), seed)
    if (mosaics := mosaics_of(data)) is not None:
        # What is inside a thing of a microscope is no texture of the world's.
        yield from _mosaics(mosaics, photographs[0], len(photographs) + 1, seed)


def mosaics_of(data: Pictures) -> Mosaics | None:
    """Those that a recipe asks for, if it may."""
    return data.mosaics if isinstance(data, OutlineData) else None


def _scenes(
    composed: Composed, grounds: Sequence[Listed], source: int, seed: int
) -> Iterator[Drawn]:
    things = CutOuts.of([Path(folder) for folder in composed.folders])
    for index in range(composed.groups):
        rng = numbers(seed, Purpose.COMPOSED, index)
        chosen = [
            crop(rng, grounds[int(rng.integers(len(grounds)))].read(), SIDE, 0.3).picture
            for _ in range(composed.scenes)
        ]
        for scene, image in enumerate(compose_group(rng, things, chosen, SIDE)):
            yield Drawn(source, f"composed {index}/{scene}", f"composed {index}", image)


def _mosaics(
    mosaics: Mosaics, grounds: Sequence[Listed], source: int, seed: int
) -> Iterator[Drawn]:
    for index in range(mosaics.count):
        rng = numbers(seed, Purpose.MOSAICS, index)
        chosen = [grounds[int(rng.integers(len(grounds)))].read().picture for _ in range(_TEXTURES)]
        yield Drawn(source, f"mosaic {index}", "", compose_mosaic(rng, chosen, SIDE))
