"""The engine: encodes examples and query, matches them, and lets a head decide."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.encoders.cached import CachedEncoder
from vicl.engine import Encoder, Filled, drawn
from vicl.images import fingerprint, resize_map, to_tensor
from vicl.images.upsampling import upsample
from vicl.models.analogies import Analogies
from vicl.models.analogies.outputs import OutputKind, kind_of, shares
from vicl.models.kept import Kept
from vicl.models.matching.closer import Closer, learn_closer, side_of
from vicl.models.matching.cues import Marks
from vicl.models.matching.head import MatchingHead, Scored
from vicl.models.matching.knowledge import ClassKnowledge, answer_class, learn_class
from vicl.models.matching.lines import Lines, draw_lines, learn_lines
from vicl.models.matching.objects import tell_apart
from vicl.models.matching.outlines import OutlineHead
from vicl.models.matching.sizes import is_seen, is_small
from vicl.models.matching.specks import without_specks
from vicl.models.matching.strokes import are_strokes, fill_in
from vicl.models.matching.view import FINE, SIDE, View, look
from vicl.prompt import Prompt
from vicl.tasks.segmentation import UNKNOWN

_TAUGHT, _LOOKED_AT = 32, 8
"""At most so many sets of examples are kept learned: a query of several classes is asked about by
one a class, 3 MB and more each. And so many images looked at, about 10 MB each."""

MANY: Final = 10
"""From so many examples on a query is asked about once: its own places tell nothing new then."""

BOUND: Final = 8.0
"""Log-odds are kept within it before they are enlarged."""

_PLAIN: Final = 0.97
"""Share of the pixels that are black, white or unknown, in a mask that is not marked everywhere."""

MIN_PRESENCE: Final = 0.5
"""The thing is taken to be there from this chance on."""


@dataclass(frozen=True, eq=False)
class Taught:
    """What a set of examples taught: of each class after the ground, in the order of `colours`.

    Attributes:
        colours: RGB of the ground, then of the classes.
        known: Of each class.
        seen: Whether the deeper levels see a class's things.
        closer: Where a class's things are small.
    """

    colours: Float[Tensor, "k 3"]
    known: tuple[ClassKnowledge, ...]
    seen: tuple[bool, ...]
    closer: Closer | None = None

    @property
    def nearer(self) -> tuple[ClassKnowledge | None, ...]:
        """Of each class from nearer; None where its things are large."""
        return (None,) * len(self.known) if self.closer is None else self.closer.known


def _remade(
    encoder: Encoder,
    head: MatchingHead,
    outlines: OutlineHead | None,
    name: str,
    least: float,
    objects: bool,
    masks: bool,
) -> Matching:
    return Matching(
        encoder,
        head,
        outlines=outlines,
        name=name,
        min_presence=least,
        objects=objects,
        masks=masks,
    )


class Matching:
    """Finds in the query what the examples mark, by features of an ImageNet network.

    For every place of the query cues say how it matches the examples' marked and unmarked places,
    from colours and edges over texture to parts and things; a small trained head makes a mask of
    them (:mod:`vicl.models.matching.cues`, :mod:`vicl.models.matching.head`). If the head
    finds that the thing is not there, the mask is empty.

    Outputs that are lines are answered by another head as far as the examples' lines are outlines
    of things (:mod:`vicl.models.matching.lines`); else, and all other outputs, as
    :class:`Analogies` does.

    Args:
        encoder: What encodes; the heads were trained on its features.
        head: Trained.
        outlines: The head for lines; None answers lines as `Analogies` does.
        name: What it is called, with another encoder.
        min_presence: Chance of being there under which the answer is empty, in [0, 1]; 0 always
            answers.
        objects: Tell the objects of a mask apart.
        masks: Outputs are masks, also where they look like lines.
    """

    max_size: int | None = 1024

    def __init__(
        self,
        encoder: Encoder,
        head: MatchingHead,
        *,
        outlines: OutlineHead | None = None,
        name: str = "matching",
        min_presence: float = MIN_PRESENCE,
        objects: bool = False,
        masks: bool = False,
    ) -> None:
        if not 0 <= min_presence <= 1:
            raise ValueError(f"min_presence: got {min_presence}, expected 0 to 1")
        self.encoder = encoder if isinstance(encoder, CachedEncoder) else CachedEncoder(encoder)
        self.head, self.name = head.eval(), name
        self.outlines = None if outlines is None else outlines.eval()
        self.min_presence, self.objects, self.masks = min_presence, objects, masks
        self.others = Analogies()
        self._taught = Kept[tuple[int, bytes], Taught | Lines | None](_TAUGHT)
        self._views = Kept[tuple[bool, bytes], View](_LOOKED_AT)

    def __repr__(self) -> str:
        return f"Matching(encoder={self.encoder.name!r})"

    def asked(
        self, *, min_presence: float | None = None, objects: bool = False, masks: bool = False
    ) -> Matching:
        """This engine, asked otherwise; what it has encoded and looked at is shared."""
        least = self.min_presence if min_presence is None else min_presence
        heads = self.head, self.outlines
        other = _remade(self.encoder, *heads, self.name, least, objects, masks)
        other._views = self._views
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        """What is pickled encodes and learns anew: what was kept only saves time."""
        parts = self.encoder, self.head, self.outlines
        return _remade, (*parts, self.name, self.min_presence, self.objects, self.masks)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.mask.weight.device

    @cached_property
    def weights_hash(self) -> str | None:
        """Of the encoder's and the heads' together."""
        heads = [self.head] if self.outlines is None else [self.head, self.outlines]
        all_of = " ".join(str(one.weights_hash) for one in (self.encoder, *heads))
        return hashlib.sha256(all_of.encode()).hexdigest()

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; of masks there is one answer."""
        return [self._answer(prompt, samples, seed) for prompt in prompts]

    def _answer(self, prompt: Prompt, samples: int, seed: int) -> Filled:
        taught = self.known(prompt, seed)
        if taught is None:
            return self.others.answer([prompt], samples=samples, seed=seed)[0]
        query = to_tensor(prompt.query)
        if isinstance(taught, Lines):
            return draw_lines(taught, self._outline(query))
        with torch.inference_mode():
            # Things a few places wide blur where two looks are averaged.
            view = self._view(query, both_ways=taught.closer is None)
            few = len(prompt.examples) < MANY
            scored = [
                answer_class(known, view, self.head, twice=few and nearer is None)
                for known, nearer in zip(taught.known, taught.nearer, strict=True)
            ]
            if taught.closer is not None:
                on = query.to(self.device)
                scored = taught.closer.improve(scored, on, self.encoder, self.head)
        return self._draw(scored, taught, query)

    def _view(self, image: Tensor, *, both_ways: bool = False) -> View:
        """Look at an image, or find what was seen of it: strokes change, their image stays."""
        return self._views.get(
            (both_ways, fingerprint(image)),
            lambda: look(image.to(self.device), self.encoder, both_ways=both_ways),
        )

    @torch.inference_mode()
    def _outline(self, image: Tensor) -> Float[Tensor, "h w"]:
        """How likely an outline is at each pixel."""
        assert self.outlines is not None
        view = self._view(image)
        odds = self.outlines([level[None] for level in view.levels], view.picture[None]).cpu()
        return torch.sigmoid(resize_map(odds[0], (image.shape[1], image.shape[2])))

    def known(self, prompt: Prompt, seed: int) -> Taught | Lines | None:
        """What examples taught, of the last few sets of them."""
        pairs = [drawn(example) for example in prompt.examples]
        key = seed, fingerprint(*(image for pair in pairs for image in pair))
        return self._taught.get(
            key, lambda: self._learn(pairs) or self._learn_lines(prompt, pairs, seed)
        )

    def _learn(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Taught | None:
        kind = output_kind([output for _, output in pairs], masks=self.masks)
        if kind.name != "mask" or len(kind.colours) < 2:
            return None
        colours = ground_first(kind)
        with torch.inference_mode():
            views = [self._view(image) for image, _ in pairs]
            maps = [_maps(output, colours) for _, output in pairs]
            if len(colours) == 2 and any(are_strokes(one) for one in maps):
                both_ways = [self._view(image, both_ways=True) for image, _ in pairs]
                maps = fill_in(both_ways, maps, self.head)
            known = tuple(
                learn_class(views, [one.to(self.device) for one in of_class], self.head)
                for of_class in _by_class(maps, FINE)
            )
            sizes = _by_class(maps, SIDE)
            small = [is_small(of_class) for of_class in sizes]
            closer = self._learn_closer(pairs, maps, small) if any(small) else None
        return Taught(colours, known, tuple(is_seen(of_class) for of_class in sizes), closer)

    def _learn_lines(
        self, prompt: Prompt, pairs: Sequence[tuple[Tensor, Tensor]], seed: int
    ) -> Lines | None:
        """What the examples teach of lines, if these are outlines."""
        if self.outlines is None or self.masks:
            return None
        kind, forest = self.others.lines(prompt.examples, seed=seed)
        if forest is None:
            return None
        return learn_lines(pairs, kind.colours, forest, self._outline, seed=seed)

    def _learn_closer(
        self,
        pairs: Sequence[tuple[Tensor, Tensor]],
        maps: Sequence[Float[Tensor, "k h w"]],
        small: Sequence[bool],
    ) -> Closer:
        """What the examples teach from nearer, of the classes whose things are small."""
        images = [image.to(self.device) for image, _ in pairs]
        known = (
            learn_closer(images, [one.to(self.device) for one in of_class], self.encoder)
            if wanted
            else None
            for wanted, of_class in zip(small, _by_class(maps, side_of(FINE)), strict=True)
        )
        return Closer(tuple(known))

    def _draw(
        self, scored: Sequence[Scored], taught: Taught, query: Float[Tensor, "3 h w"]
    ) -> Filled:
        """Bring log-odds to the query's size along its edges, and colour them.

        What the deeper levels do not see is there if any place is likely to be of it.
        """
        presence = [
            float(torch.sigmoid(one.presence[0] if seen else one.mask.amax()))
            for one, seen in zip(scored, taught.seen, strict=True)
        ]
        masks = torch.cat([one.mask for one in scored]).cpu()
        there = torch.tensor([chance >= self.min_presence for chance in presence])
        bounded = torch.where(there[:, None, None], masks, -BOUND).clamp(-BOUND, BOUND)
        odds = upsample(bounded, (query.shape[1], query.shape[2]), guide=query.cpu())
        odds = torch.stack([without_specks(of_class) for of_class in odds])
        odds /= self.head.config.temperature
        if len(odds) == 1:
            chance = torch.sigmoid(odds)
            portions = torch.cat([1 - chance, chance])
        else:
            portions = torch.softmax(torch.cat([torch.zeros_like(odds[:1]), odds]), dim=0)
        image = torch.einsum("khw,kc->chw", portions, taught.colours)
        objects = None
        if self.objects and len(odds) == 1:
            objects = tell_apart(odds[0] > 0, scored[0].depth[0].cpu())
        return Filled(
            image.clamp(0, 1),
            portions.amax(0),
            _likelihood(portions[1:].amax(0)),
            presence=max(presence),
            objects=objects,
        )


def output_kind(outputs: Sequence[Float[Tensor, "3 _h _w"]], *, masks: bool = False) -> OutputKind:
    """What the outputs are; one that is marked in part, by strokes, is no drawing of lines.

    Args:
        outputs: Of the examples.
        masks: They are masks, however thin or small what they mark is.
    """
    told = [_unknown(output) for output in outputs]
    plain = all(unknown is not None for unknown in told)
    if plain and (masks or any(unknown for unknown in told)):
        return OutputKind("mask", np.array([[0, 0, 0], [1, 1, 1]], np.float32))
    found = kind_of([output.permute(1, 2, 0).numpy() for output in outputs])
    return replace(found, name="mask") if masks and found.name == "lines" else found


def _unknown(output: Float[Tensor, "3 h w"]) -> float | None:
    """Share of a black and white mask of which nobody said what it is; None if it is no such."""
    levels = output.mul(255).round()
    unknown = (levels == UNKNOWN).all(0).float()
    ends = ((levels <= 8) | (levels >= 247)).all(0).float()
    return float(unknown.mean()) if float((unknown + ends).mean()) > _PLAIN else None


def ground_first(kind: OutputKind) -> Float[Tensor, "k 3"]:
    """The palette: black first where it is there, else the most frequent colour."""
    colours = torch.from_numpy(kind.colours)
    dark = colours.sum(1)
    ground = int(dark.argmin()) if float(dark.min()) < 0.1 else 0
    order = [ground, *(index for index in range(len(colours)) if index != ground)]
    return colours[order]


def _maps(output: Float[Tensor, "3 h w"], colours: Float[Tensor, "k 3"]) -> Float[Tensor, "k h w"]:
    """Shares of the ground and of each class; gray between black and white is of neither."""
    if not is_plain(colours):
        return torch.from_numpy(shares(output.permute(1, 2, 0).numpy(), colours.numpy()))
    level = output.mean(0)
    level = torch.where((255 * level).round() == UNKNOWN, 0.5, level)
    return torch.stack([1 - 2 * level, 2 * level - 1]).clamp(0, 1)


def _by_class(maps: Sequence[Float[Tensor, "k _h _w"]], side: int) -> list[tuple[Marks, ...]]:
    """What each example marks, class by class."""
    return list(zip(*(_marks(one, side) for one in maps), strict=True))


def _marks(maps: Float[Tensor, "k h w"], side: int) -> list[Marks]:
    """What maps mark of each class, on a grid of so many places a side.

    Of one class the ground is what is known to be outside; of several the rest is.
    """
    if min(maps.shape[1:]) < side:
        maps = F.interpolate(maps[None], (side, side), mode="bilinear", align_corners=False)[0]
    else:
        maps = F.adaptive_avg_pool2d(maps[None], side)[0]
    if len(maps) == 2:
        return [Marks(maps[1], maps[0])]
    return [Marks(part, 1 - part) for part in maps[1:]]


def is_plain(colours: Float[Tensor, "k 3"]) -> bool:
    """Whether a palette is black and white, as the masks of tasks are."""
    return len(colours) == 2 and float(colours[0].max()) < 0.1 and float(colours[1].min()) > 0.9


def _likelihood(chance: Float[Tensor, "h w"]) -> Float[Tensor, ""]:
    """Logarithm of the expected IoU of what is marked, if the chances are to be believed."""
    marked = chance > 0.5
    inside = float(chance[marked].sum())
    union = float(marked.sum()) + float(chance[~marked].sum())
    return torch.tensor(math.log(max(inside / union, 1e-6)) if union else 0.0)
