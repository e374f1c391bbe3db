"""The engine: looks at examples and query with a pretrained encoder, matches, lets a head decide."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Encoder, Filled, drawn
from vicl.images import to_tensor
from vicl.images.upsampling import upsample
from vicl.models.analogies import Analogies
from vicl.models.analogies.outputs import OutputKind, kind_of, shares
from vicl.models.matching.cues import Knowledge, Marks, gather, learn
from vicl.models.matching.head import MatchingHead
from vicl.models.matching.view import FINE, View, look
from vicl.prompt import Example, Prompt

_VIEWS: Final = 64
"""So many images are kept encoded: about 2 MB each."""

_TAUGHT: Final = 8
"""So many sets of examples are kept learned."""

_BOUND: Final = 8.0
"""Log-odds are kept within it before they are enlarged."""

MIN_PRESENCE: Final = 0.5
"""The thing is taken to be there from this chance on."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """What was made last, by what it was made of."""

    def __init__(self, most: int) -> None:
        self._most, self._kept = most, OrderedDict[K, V]()

    def get(self, key: K, make: Callable[[], V]) -> V:
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class _Taught:
    """What a set of examples taught: of each class after the ground, in the order of `colours`.

    Attributes:
        colours: RGB of the ground, then of the classes.
        known: Of each class.
    """

    colours: Float[Tensor, "k 3"]
    known: tuple[Knowledge, ...]


class Matching:
    """Finds in the query what the examples mark, by features of an ImageNet network.

    For every place of the query cues say how it matches the examples' marked and unmarked places,
    from colours and edges over texture to parts and things; a small trained head makes a mask of
    them (:mod:`vicl.models.matching.cues`, :mod:`vicl.models.matching.head`). If the head finds that
    the thing is not there, the mask is empty.

    Outputs that are not masks (lines, pictures) are answered as :class:`Analogies` does.

    Args:
        encoder: What encodes; the head was trained on its features.
        head: Trained.
        min_presence: Chance of being there under which the answer is empty, in [0, 1]; 0 always
            answers.
    """

    name = "matching"
    max_size: int | None = 1024

    def __init__(
        self, encoder: Encoder, head: MatchingHead, *, min_presence: float = MIN_PRESENCE
    ) -> None:
        if not 0 <= min_presence <= 1:
            raise ValueError(f"min_presence: got {min_presence}, expected 0 to 1")
        self.encoder, self.head, self.min_presence = encoder, head.eval(), min_presence
        self.others = Analogies()
        self._views: _Recent[bytes, View] = _Recent(_VIEWS)
        self._taught: _Recent[bytes, _Taught | None] = _Recent(_TAUGHT)

    def __repr__(self) -> str:
        return f"Matching(encoder={self.encoder.name!r})"

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.mask.weight.device

    @cached_property
    def weights_hash(self) -> str | None:
        """Of the encoder's and the head's together."""
        both = f"{self.encoder.weights_hash} {self.head.weights_hash}"
        return hashlib.sha256(both.encode()).hexdigest()

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; of masks there is one answer."""
        return [self._answer(prompt, samples, seed) for prompt in prompts]

    def _answer(self, prompt: Prompt, samples: int, seed: int) -> Filled:
        pairs = [drawn(example) for example in prompt.examples]
        keys = [_fingerprint(*pair) for pair in pairs]
        taught = self._taught.get(b"".join(keys), lambda: self._learn(pairs))
        if taught is None:
            return self.others.answer([prompt], samples=samples, seed=seed)[0]
        query = to_tensor(prompt.query)
        with torch.inference_mode():
            scored = [self._score(known, self._view(query)) for known in taught.known]
        return _draw(scored, taught.colours, query)

    def _view(self, image: Tensor) -> View:
        return self._views.get(_fingerprint(image), lambda: look(image.to(self.device), self.encoder))

    def _learn(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> _Taught | None:
        kind = kind_of([output.permute(1, 2, 0).numpy() for _, output in pairs])
        if kind.name != "mask" or len(kind.colours) < 2:
            return None
        colours = _ground_first(kind)
        with torch.inference_mode():
            views = [self._view(image) for image, _ in pairs]
            parts = [_parts(output, colours).to(self.device) for _, output in pairs]
            known = tuple(
                learn(views, [Marks(part[index], 1 - part[index]) for part in parts])
                for index in range(1, len(colours))
            )
        return _Taught(colours, known)

    def _score(self, known: Knowledge, query: View) -> Float[Tensor, "p p"]:
        """Log-odds; of what is not there, none."""
        cues, fine = gather(known, query)
        scored = self.head(cues[None], fine[None], query.levels[0][None], query.picture[None])
        if float(torch.sigmoid(scored.presence[0])) < self.min_presence:
            return torch.full_like(scored.mask[0], -_BOUND).cpu()
        return scored.mask[0].cpu()


def _ground_first(kind: OutputKind) -> Float[Tensor, "k 3"]:
    """The palette: black first where it is there, else the most frequent colour."""
    colours = torch.from_numpy(kind.colours)
    dark = colours.sum(1)
    ground = int(dark.argmin()) if float(dark.min()) < 0.1 else 0
    order = [ground, *(index for index in range(len(colours)) if index != ground)]
    return colours[order]


def _parts(output: Float[Tensor, "3 h w"], colours: Float[Tensor, "k 3"]) -> Tensor:
    """How much of each fine place is of each colour."""
    maps = torch.from_numpy(shares(output.permute(1, 2, 0).numpy(), colours.numpy()))
    if min(maps.shape[1:]) < FINE:
        return F.interpolate(maps[None], (FINE, FINE), mode="bilinear")[0]
    return F.adaptive_avg_pool2d(maps[None], FINE)[0]


def _draw(
    scores: Sequence[Float[Tensor, "p p"]],
    colours: Float[Tensor, "k 3"],
    query: Float[Tensor, "3 h w"],
) -> Filled:
    """Bring log-odds to the query's size along its edges, and colour them."""
    size = (query.shape[1], query.shape[2])
    bounded = torch.stack(list(scores)).clamp(-_BOUND, _BOUND)
    odds = upsample(bounded, size, guide=query.cpu())
    if len(odds) == 1:
        chance = torch.sigmoid(odds)
        portions = torch.cat([1 - chance, chance])
    else:
        portions = torch.softmax(torch.cat([torch.zeros_like(odds[:1]), odds]), dim=0)
    image = torch.einsum("khw,kc->chw", portions, colours)
    return Filled(image.clamp(0, 1), portions.amax(0), _likelihood(portions[1:].amax(0)))


def _likelihood(chance: Float[Tensor, "h w"]) -> Float[Tensor, ""]:
    """Logarithm of the expected IoU of what is marked, if the chances are to be believed."""
    marked = chance > 0.5
    inside = float(chance[marked].sum())
    union = float(marked.sum()) + float(chance[~marked].sum())
    return torch.tensor(math.log(max(inside / union, 1e-6)) if union else 0.0)


def _fingerprint(*images: Tensor) -> bytes:
    """Tell images apart by their pixels: an object may change and keep its identity."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        digest.update(str(tuple(image.shape)).encode())
        digest.update(image.detach().cpu().contiguous().numpy().tobytes())
    return digest.digest()
