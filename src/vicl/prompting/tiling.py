"""Large photographs: shown to an engine smaller, or in overlapping tiles that are blended.

A tile is a query of its own with the same examples.  Tiles are good where the answer depends on
what is near (edges, colours, noise), and bad where it depends on the whole scene, which a tile does
not show.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vicl.canvas.rects import Rect
from vicl.engine import Filled, InContextModel
from vicl.images import ImageLike, open_shrunk, to_tensor
from vicl.images.upsampling import Upsampling, upsample
from vicl.prompt import Prompt
from vicl.prompting.batching import AT_ONCE, answers, unbroken

OVERLAP = 0.25
"""Share of a tile's side by which neighbours overlap, at least."""


@dataclass(frozen=True, eq=False)
class LargeQueries:
    """An engine for queries of any size, made of one that should be given smaller ones.

    Attributes:
        model: The engine; it is shown nothing longer than its `max_size`.
        tile: Side of the tiles, in pixels of the query; None shows the query whole.
        upsampling: How answers are brought back to the query's size.
    """

    model: InContextModel
    tile: int | None = None
    upsampling: Upsampling = "guided"
    max_size: int | None = None

    @property
    def name(self) -> str:
        """The engine's."""
        return self.model.name

    @property
    def weights_hash(self) -> str | None:
        """The engine's."""
        return self.model.weights_hash

    @property
    def halves(self) -> bool:
        """Whether half of a huge query will do: it is shown whole, and smaller than that."""
        return self.tile is None and self.model.max_size is not None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; an answer in tiles has no alternatives."""
        return unbroken(self.stream(prompts, samples=samples, seed=seed))

    def stream(
        self,
        prompts: Iterable[Prompt],
        *,
        samples: int = 1,
        seed: int = 0,
        batch_size: int = AT_ONCE,
    ) -> Iterator[Filled | Exception]:
        """See :func:`vicl.prompting.batching.answers`; the tiles of prompts are one stream.

        Queries are held as they are given until they are answered: `batch_size` of them, or as many
        as have that many megapixels.
        """
        asked: deque[tuple[_Held, list[Rect], deque[Tensor]]] = deque()

        def shown(group: deque[Prompt]) -> Iterator[Prompt]:
            while group:
                prompt = group.popleft()
                query, limit = _held(prompt.query), self.model.max_size
                places = [Rect(0, 0, *(prompt.size or _size(query)))]
                if self.tile is not None:
                    places = tiles(_size(query), self.tile)
                seen: deque[Tensor] = deque()
                asked.append((query, places, seen))
                for place in places:
                    part = _part(query, place)
                    small = to_tensor(part) if limit is None else open_shrunk(part, limit)[0]
                    seen.append(small.contiguous())
                    yield Prompt(prompt.examples, seen[-1])

        for group in _groups(prompts, batch_size):
            parts = answers(
                self.model, shown(group), samples=samples, seed=seed, batch_size=batch_size
            )
            for part in parts:
                several = chain([part], islice(parts, len(asked[0][1]) - 1))
                yield self._joined(several, *asked.popleft())

    def _enlarged(
        self, answer: Filled, size: tuple[int, int], guide: _Held, seen: Tensor
    ) -> Filled:
        if answer.image.shape[1:] == size:
            return answer
        image, confidence = answer.image, answer.confidence
        planes = image[:1] if (image == image[:1]).all() else image
        count = len(planes)
        share = confidence is not None and count == 1 and _is_share(confidence, planes[0])
        if confidence is not None and not share:
            planes = torch.cat([planes, confidence[None]])
        grown = upsample(planes, size, guide=guide, coarse=seen, method=self.upsampling)
        if share:
            confidence = 1 - grown[0]
            torch.maximum(grown[0], confidence, out=confidence)
        elif confidence is not None:
            confidence = grown[count]
        return replace(
            answer,
            image=grown[:count].expand(3, -1, -1),
            confidence=confidence,
            alternatives=tuple(
                self._enlarged(other, size, guide, seen) for other in answer.alternatives
            ),
            objects=None if answer.objects is None else _nearest(answer.objects, size),
        )

    def _joined(
        self,
        parts: Iterable[Filled | Exception],
        query: _Held,
        places: Sequence[Rect],
        seen: deque[Tensor],
    ) -> Filled | Exception:
        """Put the answers to a query's tiles together as they come; `seen` are those tiles."""
        failed: list[Exception] = []
        likelihoods: list[Tensor | None] = []

        def enlarged() -> Iterator[Filled]:
            for part, place in zip(parts, places, strict=True):
                small = seen.popleft()
                if isinstance(part, Exception):
                    failed.append(part)
                elif not failed:
                    likelihoods.append(part.log_likelihood)
                    yield self._enlarged(part, place.size, _part(query, place), small)

        found = enlarged()
        first = next(found, None)
        if first is None or len(places) == 1:
            return failed[0] if first is None else first
        sure = first.confidence is not None
        # The confidence is blended as a fourth channel.
        blended = blend((_channels(part) for part in chain([first], found)), places)
        if failed:
            return failed[0]
        given = [value for value in likelihoods if value is not None]
        return Filled(
            blended[:3],
            confidence=blended[3].clone() if sure else None,  # else it would keep the picture
            log_likelihood=torch.stack(given).sum() if len(given) == len(likelihoods) else None,
        )


def _is_share(confidence: Float[Tensor, "h w"], mask: Float[Tensor, "h w"]) -> bool:
    """Whether a confidence is the greater share of a soft mask, and so need not be enlarged."""
    return torch.allclose(confidence, torch.maximum(mask, 1 - mask), rtol=0, atol=1e-6)


def _nearest(values: Int[Tensor, "h w"], size: tuple[int, int]) -> Int[Tensor, "H W"]:
    """Numbers enlarged: each pixel has that of the place it lies in."""
    rows, columns = (
        ((torch.arange(to) + 0.5) * (of / to)).long().clamp(max=of - 1)
        for of, to in zip(values.shape, size, strict=True)
    )
    return values[rows[:, None], columns]


def _groups(prompts: Iterable[Prompt], most: int) -> Iterator[deque[Prompt]]:
    """So many prompts at a time, or fewer whose queries have so many megapixels."""
    group: deque[Prompt] = deque()
    total = 0
    for prompt in prompts:
        group.append(prompt)
        total += math.prod(_size(_held(prompt.query)))
        del prompt  # else the loop holds it while its successor is waited for
        if len(group) == most or total >= most * 1_000_000:
            yield group
            group, total = deque(), 0
    if group:
        yield group


_Held: TypeAlias = UInt8[np.ndarray, "_h _w 3"] | Float[Tensor, "3 _h _w"]
"""A query at its full size: in bytes where it has 8 bits a channel."""


def _held(query: ImageLike) -> _Held:
    if isinstance(query, np.ndarray) and query.dtype == np.uint8 and query.shape[2:] == (3,):
        return query
    return to_tensor(query)


def _size(query: _Held) -> tuple[int, int]:
    height, width = query.shape[1:] if isinstance(query, Tensor) else query.shape[:2]
    return height, width


def _part(query: _Held, place: Rect) -> _Held:
    if isinstance(query, Tensor):
        return place.of(query)
    return query[place.top : place.bottom, place.left : place.right]


def _channels(part: Filled) -> Tensor:
    """A tile's colours and, where it says so, how sure it is of them."""
    sure = part.confidence
    return part.image if sure is None else torch.cat([part.image, sure[None]])


def tiles(size: tuple[int, int], tile: int) -> list[Rect]:
    """Cover an image of `size` (h, w) with tiles of at most `tile` pixels a side, evenly spread.

    Raises:
        ValueError: If `tile` is under 16 pixels.
    """
    if tile < 16:
        raise ValueError(f"tile: got {tile} px, expected at least 16")
    rows, columns = (_starts(length, tile) for length in size)
    return [
        Rect(top, left, min(tile, size[0]), min(tile, size[1])) for top in rows for left in columns
    ]


def blend(
    parts: Iterable[Float[Tensor, "c _h _w"]], places: Sequence[Rect]
) -> Float[Tensor, "c H W"]:
    """Put tiles together; where they overlap, each fades out towards its edge."""
    size = (max(place.bottom for place in places), max(place.right for place in places))
    weight = torch.zeros(size)
    total = weight[None]
    for index, (part, place) in enumerate(zip(parts, places, strict=False)):
        if index == 0:
            total = torch.zeros(part.shape[0], *size)
        ramp = torch.outer(_ramp(place.height), _ramp(place.width))
        place.of(total).add_(part * ramp)
        place.of(weight).add_(ramp)
    return total.div_(weight)


def _starts(length: int, tile: int) -> list[int]:
    if length <= tile:
        return [0]
    count = 1 + -(-(length - tile) // max(1, round(tile * (1 - OVERLAP))))
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]


def _ramp(length: int) -> Float[Tensor, " n"]:
    """Rises from the edge over the overlap, flat in the middle, never 0."""
    edge = torch.arange(1, length + 1, dtype=torch.float32)
    edge = torch.minimum(edge, edge.flip(0))
    return (edge / max(1.0, OVERLAP * length)).clamp(max=1.0)
