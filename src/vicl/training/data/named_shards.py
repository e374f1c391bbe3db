"""Shards with codes that were named beforehand, so that a step of training needs no tokenizer.

Beside each image, under its name, stands `NAME.codes.safetensors`: `codes` (crops, codes) of the
smallest unsigned type that holds the codebook, in raster order; `crops` (crops, 5) of int32: top,
left, height, width and whether it is mirrored; and in the metadata what they follow from.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from pydantic import Field, PositiveInt, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vicl.canvas.rects import Rect
from vicl.files.plain_json import parse_json
from vicl.images import ImageError, open_bytes, to_rgb
from vicl.images.tars import Group
from vicl.training.data.augmentation import Crop, NamedCrops
from vicl.training.data.shards import Item, Shards, is_remote, read_groups
from vicl.training.data.sources import Picture
from vicl.training.recipe.data import Augmentation, RecipeError, ShardSource
from vicl.training.settings import Part, TargetPrecision

CODES = "codes.safetensors"
"""Extension of what stands beside an image."""

_METADATA = "named_by"

_FIRST = 100
"""Images among which there has to be one with codes."""


class NamedBy(Part):
    """What stored codes follow from, beside an image and the seed of its crops.

    Attributes:
        tokenizer: SHA-256 of its weights, as :func:`vicl.storage.folder.weights_hash` has it.
        codebook_size: How many codes it has.
        patch_size: Side of what a code stands for, in pixels.
        canvas_size: (height, width) in pixels that crops were brought to.
        augmentation: By which they were drawn.
        precision: Of the arithmetic.
    """

    tokenizer: str = Field(pattern="^[0-9a-f]{64}$")
    codebook_size: PositiveInt
    patch_size: PositiveInt
    canvas_size: tuple[PositiveInt, PositiveInt]
    augmentation: Augmentation
    precision: TargetPrecision

    @property
    def count(self) -> int:
        """Codes of a canvas."""
        height, width = (side // self.patch_size for side in self.canvas_size)
        return height * width


_KEYS = {
    "tokenizer": "model.tokenizer",
    "codebook_size": "model.tokenizer",
    "patch_size": "model.patch_size",
    "canvas_size": "model.canvas_size",
    "augmentation": "data.augmentation",
    "precision": "target_precision",
}
"""What a recipe calls each of them."""


def pack_codes(crops: Sequence[Crop], codes: Int[np.ndarray, "k n"], named_by: NamedBy) -> bytes:
    """What stands beside an image.

    Args:
        crops: Of the image.
        codes: Of each.
        named_by: By what they were named.
    """
    rows = [(c.rect.top, c.rect.left, *c.rect.size, c.mirrored) for c in crops]
    small = np.min_scalar_type(named_by.codebook_size - 1)
    tensors = {"codes": codes.astype(small), "crops": np.array(rows, np.int32)}
    return save(tensors, {_METADATA: named_by.model_dump_json()})


def unpack_codes(data: bytes, name: str) -> tuple[NamedCrops, NamedBy]:
    """Read what :func:`pack_codes` wrote; it may come from a stranger.

    Args:
        data: The file.
        name: What messages call it.

    Raises:
        ImageError: If it is anything else.
    """
    try:
        tensors = load(data)  # checks the header, too
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
        named_by = NamedBy.model_validate_json(header["__metadata__"][_METADATA])
        codes, crops = tensors["codes"], tensors["crops"]
    except (SafetensorError, ValidationError, LookupError, TypeError, ValueError) as error:
        raise ImageError(
            f"{name}: is not what `vicl figures tokenize` writes; store the codes anew"
        ) from error
    fits = (
        codes.dtype.kind == "u"
        and crops.dtype == np.int32
        and crops.ndim == 2
        and crops.shape[1] == 5
        and codes.shape == (len(crops), named_by.count)
        and codes.size > 0
    )
    if not fits or codes.max() >= named_by.codebook_size or crops[:, 2:4].min() < 1:
        raise ImageError(
            f"{name}: has codes of {codes.dtype} {codes.shape} and crops of {crops.dtype} "
            f"{crops.shape}, expected {named_by.count} codes below {named_by.codebook_size} for "
            "each crop of five numbers; store the codes anew"
        )
    rows = crops.tolist()
    return NamedCrops(tuple(Crop(Rect(*r[:4]), bool(r[4])) for r in rows), codes), named_by


class NamedShards(Shards):
    """Shards whose images have codes beside them; see the module.

    Codes that are damaged count as a broken image.  Those that were named by something else do
    not: they end the reading, since whatever is trained on them learns another thing.  On disk
    the first of every shard are looked at beforehand.

    Attributes:
        named_by: Of the first image; all others have to be named by the same.

    Raises:
        FileError, RecipeError: As for :class:`Shards`; if the first shard has no codes; and if
            those of another shard on disk were named by something else.
    """

    def __init__(self, source: ShardSource) -> None:
        super().__init__(source)
        found = self._first(self.urls[0])
        if found is None:
            raise RecipeError(
                f"{self.name}: has no codes that can be read beside its first {_FIRST} images, for "
                "which data.train asks; store some by `vicl figures tokenize`, or leave out `codes`"
            )
        self.named_by = found[1]
        for url in self.urls[1:]:
            # To look into what is far away takes a connection each.
            if not is_remote(url) and (found := self._first(url)) is not None:
                self._check_alike(*found)

    def describe(self) -> str:
        """One line: how many shards, images where that is known, and that there are codes."""
        return f"{super().describe()}, codes named beforehand"

    def _first(self, url: str) -> tuple[str, NamedBy] | None:
        """The first codes of a shard that can be read: their name, and by what they were named."""
        for item in itertools.islice(self._read(url), _FIRST):
            if isinstance(item, Group) and CODES in item.files:
                with contextlib.suppress(ImageError):  # reported in its turn, when it is decoded
                    return _name(item), unpack_codes(item.files[CODES], _name(item))[1]
        return None

    def _check_alike(self, name: str, found: NamedBy) -> None:
        """See that codes were named as those of the first image were."""
        self.check(found, self.named_by, "those of the first image with", name)

    def _read(self, url: str) -> Iterator[Item]:
        """Read the images of a shard with what stands beside each."""
        for item in read_groups(url):
            if isinstance(item, ImageError) or item.shows:
                yield item

    def decode(self, item: Any) -> Picture:
        """Decode an image, with its crops and their codes."""
        group: Group = item
        member = group.image()
        if CODES not in group.files:
            raise ImageError(f"{member.name}: has no codes beside it; store them anew")
        named, named_by = unpack_codes(group.files[CODES], _name(group))
        self._check_alike(_name(group), named_by)
        image = to_rgb(open_bytes(member.data, member.name))
        whole = Rect(0, 0, image.height, image.width)
        if not all(whole.holds(crop.rect) for crop in named.crops):
            raise ImageError(
                f"{member.name}: the crops beside it reach out of its {image.height} x "
                f"{image.width} px; store the codes anew"
            )
        return Picture(image, named=named)

    def check(self, found: NamedBy, wanted: NamedBy, whose: str, name: str = "") -> None:
        """See that codes were named by what was wanted.

        Args:
            found: By what they were named.
            wanted: By what they should have been.
            whose: That is, in words.
            name: What messages call the codes; by default the shards'.

        Raises:
            RecipeError: If they were not; it names what differs.
        """
        for field, key in _KEYS.items():
            one, other = (_said(getattr(named, field)) for named in (found, wanted))
            if one != other:
                raise RecipeError(
                    f"{name or self.name}: its codes were named with {field} {one}, {whose} "
                    f"{other}; change {key}, or store codes anew by `vicl figures tokenize`"
                )


def _name(group: Group) -> str:
    return f"{group.name}.{CODES}"


def _said(value: Any) -> str:
    return value.model_dump_json() if isinstance(value, Part) else str(value)
