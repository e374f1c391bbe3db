"""An index: the features of a pool's images, searched exactly.

Source: Zhang et al. 2023, arXiv:2301.13670, section 3.2 (features of whole images, cosine); Sun et
al. 2023, arXiv:2304.04748 (all places of an image, flattened).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Encoder
from vicl.images import DEFAULT_LIMIT_PIXELS, ImageError, ImageLike, open_shrunk, resize
from vicl.selection.pool import Entry, Pool, PoolError, key_of

log = logging.getLogger(__name__)

SIDE: Final = 256
"""Pixels, rounded down to what the encoder takes, of the square that an image is stretched to."""

Looking = Literal["whole", "places"]
"""What is compared: an image as a whole, or all places of the coarsest level, one by one."""

_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Index:
    """A pool whose images are encoded.

    Attributes:
        pool: The images, in the order of the rows.
        features: Unit length, in the order of the pool.
        encoder: Whose they are; queries are encoded by it.
        looking: What is compared.
        project: Applied to features before they are compared, and to a query's; None: as they are.
        head_hash: Of the weights of that.
        limit_pixels: Of images.
        folder: Where it is kept; None in memory.
    """

    pool: Pool
    features: Float[Tensor, "n d"]
    encoder: Encoder
    looking: Looking = "whole"
    project: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    head_hash: str | None = None
    limit_pixels: int = DEFAULT_LIMIT_PIXELS
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"Index({self.pool!r}, {self.encoder.name}, {self.looking})"

    def encode(self, query: ImageLike) -> Float[Tensor, " d"]:
        """A query's features, unit length, as they are compared with the rows.

        Raises:
            vicl.ImageError: If it cannot be opened.
        """
        square = _square(query, self.encoder, self.limit_pixels)[None]
        found = features_of(self.encoder, square, self.looking)
        return (found if self.project is None else self.project(found))[0]

    def scores(self, query: ImageLike) -> Float[Tensor, " n"]:
        """Cosines of a query and all images of the pool."""
        return torch.mv(self.features, self.encode(query))

    def only(self, pool: Pool) -> Index:
        """The part of it that is in another pool, such as `index.pool.showing("dog")`.

        Raises:
            PoolError: If there is none.
        """
        places = {key_of(entry.image): place for place, entry in enumerate(self.pool.entries)}
        kept = [(places[key], e) for e in pool.entries if (key := key_of(e.image)) in places]
        if not kept:
            raise PoolError(f"{pool.name}: none of its images is in the index")
        chosen = [place for place, _ in kept]
        if chosen == list(range(len(self.pool))):  # mapped memory stays mapped
            return replace(self, pool=replace(pool, entries=tuple(e for _, e in kept)))
        picked = replace(pool, entries=tuple(entry for _, entry in kept))
        return replace(self, pool=picked, features=self.features[chosen])


def encode_pool(
    pool: Pool,
    encoder: Encoder,
    *,
    looking: Looking = "whole",
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
) -> Index:
    """Encode a pool in memory; :func:`vicl.selection.index_folder.index_pool` keeps it on disk.

    Raises:
        PoolError: If no image can be read; single ones are left out, which is logged.
    """
    rows = list(encoded(pool.entries, encoder, looking, limit_pixels))
    check_any(pool, len(rows))
    found = replace(pool, entries=tuple(entry for entry, _ in rows))
    features = torch.stack([row for _, row in rows])
    return Index(found, features, encoder, looking, limit_pixels=limit_pixels)


def check_any(pool: Pool, count: int) -> None:
    """Refuse a pool of which so few images as none can be read.

    Raises:
        PoolError: If it is so.
    """
    if not count:
        raise PoolError(f"{pool.name}: none of its {len(pool)} images can be read")


def features_of(
    encoder: Encoder, images: Float[Tensor, "b 3 h w"], looking: Looking
) -> Float[Tensor, "b d"]:
    """What is compared of images, unit length, on the CPU."""
    found = encoder.encode(images)
    vectors = found.whole if looking == "whole" else found.levels[-1].flatten(1)
    return F.normalize(vectors.float().cpu(), dim=1)


def encoded(
    entries: Sequence[Entry],
    encoder: Encoder,
    looking: Looking,
    limit_pixels: int,
    advance: Callable[[int], object] = lambda steps: None,
) -> Iterator[tuple[Entry, Tensor]]:
    """Images with their features, a few at a time; those that cannot be read are logged."""
    for start in range(0, len(entries), _AT_ONCE):
        part = entries[start : start + _AT_ONCE]
        read: list[tuple[Entry, Tensor]] = []
        for entry in part:
            try:
                read.append((entry, _square(entry.image, encoder, limit_pixels)))
            except (ImageError, OSError) as error:
                log.warning("left out of the index: %s", error)
        if read:
            rows = features_of(encoder, torch.stack([image for _, image in read]), looking)
            yield from ((entry, row) for (entry, _), row in zip(read, rows, strict=True))
        advance(len(part))


def _square(image: ImageLike, encoder: Encoder, limit_pixels: int) -> Float[Tensor, "3 s s"]:
    """An image stretched to a square that the encoder takes, as in the published retrieval."""
    step = max(encoder.strides)
    side = max(1, SIDE // step) * step
    shown, _ = open_shrunk(image, 2 * side, limit_pixels=limit_pixels)
    return resize(shown, (side, side)).clamp(0, 1)
