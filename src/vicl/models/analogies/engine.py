"""The engine: tells what kind of answer is asked for, learns from the examples, answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from vicl.engine import Filled, drawn, rank
from vicl.images import fingerprint, resize, resize_map, shrink, to_tensor
from vicl.images.upsampling import upsample
from vicl.models.analogies.familiarity import SIDE, Appearance, familiarity, remember
from vicl.models.analogies.lines import LineKnowledge, answer_lines, learn_lines
from vicl.models.analogies.masks import MaskAnswer, MaskKnowledge, answer_mask, learn_mask
from vicl.models.analogies.matching import dissimilarity
from vicl.models.analogies.outputs import OutputKind, amount, kind_of, shares
from vicl.models.analogies.pictures import (
    Learned,
    apply_picture,
    guesswork,
    learn_picture,
    told_by_colour,
)
from vicl.models.analogies.shapes import RGB
from vicl.models.analogies.view import WORKING_SIZE, View, describe
from vicl.models.kept import Kept
from vicl.prompt import Example, Prompt

_TAUGHT: Final = 32
"""At most so many sets of examples are kept learned: a query of several classes is asked about by
one a class."""

LEARNING_SIZE: Final = 384
"""Examples are shown to the local methods no longer than this, in pixels."""

_SHARPNESS: Final = 2.0
"""What log-odds are multiplied by before a mask is drawn."""

_LIKE: Final = (0.1, 0.35)
"""Dissimilarity up to which a query is like the examples, and from which it is not."""

_GUESSED: Final = 0.1
"""Share of its made-up colours that a picture unlike the examples is given."""


@dataclass(frozen=True, eq=False)
class _Taught:
    """What a set of examples taught: one of masks, lines and pictures is there, or none.

    `appearance` is what queries have to look like; `guesses` and `views` serve pictures whose
    colours are made up.
    """

    kind: OutputKind
    appearance: Appearance
    masks: tuple[MaskKnowledge, ...] = ()
    lines: LineKnowledge | None = None
    pictures: tuple[Learned, ...] = ()
    guesses: float = 0.0
    views: tuple[View, ...] = ()


class Analogies:
    """Learns from the examples how local appearance and place map to the output.

    Training-free: everything is learned at prompt time. The outputs tell what is asked for.

    - Areas of few colours are a mask: the evidence of place, appearance, dense correspondence and
      saliency is added up, each weighed by what the prompt shows of how far it can be trusted
      (with several examples also by leaving one out), then corrected by the query's own colours.
    - Thin marks are lines: a forest tells from gradients at several scales how likely one is.
    - Anything else is a picture: a colour polynomial, a colour table, a learned filter or a forest
      on the surroundings, whichever predicts held-out parts of the examples best.

    The confidence is, for masks, the estimated probability that the pixel's label is right; for
    lines, how far the strength is from undecided; for pictures, one minus three times the
    root-mean-square error on held-out parts of the examples. Where the query looks like nothing
    that the examples showed, it falls: for masks to that of guessing, else to 0.

    The log-likelihood is, for masks, the logarithm of the expected IoU; for pictures minus half
    the held-out squared error over that of guessing 0.05 wrong.

    Source: Hertzmann et al., "Image analogies", SIGGRAPH 2001; see the modules for the others.
    """

    name = "analogies"
    weights_hash: str | None = None
    max_size: int | None = 1024

    def __repr__(self) -> str:
        return "Analogies()"

    def __reduce__(self) -> tuple[type[Analogies], tuple[()]]:
        """What is pickled learns anew: what was taught is only kept to save time."""
        return Analogies, ()

    def __init__(self) -> None:
        self._taught = Kept[tuple[int, bytes], _Taught](_TAUGHT)

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`.

        What the last few sets of examples taught is kept for further queries.
        """
        return [
            _trusted(self._learned(prompt.examples, seed), to_tensor(prompt.query), samples, seed)
            for prompt in prompts
        ]

    def lines(
        self, examples: tuple[Example, ...], *, seed: int = 0
    ) -> tuple[OutputKind, LineKnowledge | None]:
        """What the outputs are, and what was learned of them if they are lines."""
        taught = self._learned(examples, seed)
        return taught.kind, taught.lines

    def _learned(self, examples: tuple[Example, ...], seed: int) -> _Taught:
        pairs = [drawn(example) for example in examples]
        key = seed, fingerprint(*(image for pair in pairs for image in pair))
        return self._taught.get(key, lambda: _learn(pairs, seed))


def _learn(pairs: Sequence[tuple[Tensor, Tensor]], seed: int) -> _Taught:
    inputs, outputs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    kind = kind_of([_array(output) for output in outputs])
    appearance = remember([_array(shrink(image, SIDE)) for image in inputs], seed=seed)
    small = [shrink(image, LEARNING_SIZE) for image in inputs]
    wanted = [
        _array(resize(output, _size(image))) for output, image in zip(outputs, small, strict=True)
    ]
    local = [_array(image) for image in small]
    if len(kind.colours) > 1 and told_by_colour(local, wanted, seed=seed):
        kind = replace(kind, name="picture")
    if kind.name == "lines":
        amounts = [amount(output, kind.colours) for output in wanted]
        return _Taught(kind, appearance, lines=learn_lines(local, amounts, seed=seed))
    if kind.name == "picture":
        pictures = tuple(learn_picture(local, wanted, seed=seed))
        guesses = guesswork(pictures[0], local, wanted)
        views = tuple(describe(image) for image in inputs) if guesses else ()
        return _Taught(kind, appearance, pictures=pictures, guesses=guesses, views=views)
    if len(kind.colours) == 1:
        return _Taught(kind, appearance)
    views = tuple(describe(image) for image in inputs)
    side = (WORKING_SIZE, WORKING_SIZE)
    maps = [shares(_array(resize(output, side)), kind.colours) for output in outputs]
    classes = list(zip(*maps, strict=True))[1 if len(kind.colours) == 2 else 0 :]
    learned = tuple(learn_mask(views, masks, seed=seed) for masks in classes)
    return _Taught(kind, appearance, masks=learned)


def _trusted(taught: _Taught, query: Tensor, samples: int, seed: int) -> Filled:
    """Answer, and trust the answer no further than the query looks like the examples."""
    known = familiarity(taught.appearance, _array(shrink(query, SIDE)), seed=seed)
    share = resize_map(torch.from_numpy(known), _size(query))
    guess = 1 / len(taught.kind.colours) if taught.masks else 0.0

    def lowered(answer: Filled) -> Filled:
        sure = answer.confidence
        return replace(
            answer,
            # What is less sure than guessing stays so.
            confidence=None if sure is None else torch.lerp(sure.clamp(max=guess), sure, share),
            alternatives=tuple(lowered(other) for other in answer.alternatives),
        )

    return lowered(_answer(taught, query, samples, seed))


def _answer(taught: _Taught, query: Tensor, samples: int, seed: int) -> Filled:
    if taught.lines is not None:
        return _draw_lines(taught, taught.lines, query)
    if taught.pictures:
        pixels, share = _array(query), _share_of_guesses(taught, query)
        return rank(
            [
                _draw_picture(pixels + share * (apply_picture(item, pixels) - pixels), item)
                for item in taught.pictures[:samples]
            ]
        )
    if not taught.masks:  # one colour, whatever the input
        image = torch.from_numpy(taught.kind.colours[0])[:, None, None].expand(-1, *_size(query))
        return Filled(image.clone(), torch.ones(_size(query)), torch.zeros(()))
    view = describe(query)
    found = [answer_mask(mask, view, samples=samples, seed=seed) for mask in taught.masks]
    count = min(len(answers) for answers in found)
    return rank(
        [_draw_mask([answers[i] for answers in found], taught, query) for i in range(count)]
    )


def _share_of_guesses(taught: _Taught, query: Tensor) -> np.float32:
    """How much of the way from the query to the answer to go: all of it, unless it is guessed.

    Colours learned from one photograph help another one only if it shows much the same; if not,
    gray is nearer to the truth.
    """
    if not taught.guesses:
        return np.float32(1)
    view = describe(query)
    distance = min(dissimilarity(known, view) for known in taught.views)
    likeness = float(np.interp(distance, _LIKE, (1, _GUESSED)))
    return np.float32(1 - taught.guesses * (1 - likeness))


def _draw_mask(answers: list[MaskAnswer], taught: _Taught, query: Tensor) -> Filled:
    """Bring log-odds to the query's size along its edges, then colour them."""
    colours = torch.from_numpy(taught.kind.colours)
    evidence = torch.from_numpy(np.stack([answer.evidence for answer in answers]))
    chance = torch.from_numpy(np.stack([answer.chance for answer in answers]))
    both = upsample(torch.cat([evidence.clamp(-6, 6), chance]), _size(query), guide=query.cpu())
    evidence, chance = both[: len(answers)], both[len(answers) :]
    if len(answers) == 1:
        second = torch.sigmoid(_SHARPNESS * evidence)
        portions = torch.cat([1 - second, second])
        confidence = torch.where(evidence[0] >= 0, chance[0], 1 - chance[0])
    else:
        portions = torch.softmax(2 * _SHARPNESS * evidence, dim=0)
        total = chance.sum(dim=0).clamp(min=1e-6)
        confidence = (chance / total).gather(0, evidence.argmax(dim=0)[None])[0]
    image = torch.einsum("khw,kc->chw", portions, colours)
    score = float(np.mean([answer.score for answer in answers]))
    return Filled(
        image.clamp(0, 1), confidence.clamp(0, 1), torch.tensor(np.log(max(score, 1e-6))).float()
    )


def _draw_lines(taught: _Taught, lines: LineKnowledge, query: Tensor) -> Filled:
    strength = torch.from_numpy(answer_lines(lines, _array(query)))
    first, second = torch.from_numpy(taught.kind.colours)[:, :, None, None]
    return Filled(
        (first + strength * (second - first)).clamp(0, 1), (2 * strength - 1).abs().clamp(0, 1)
    )


def _draw_picture(image: RGB, learned: Learned) -> Filled:
    confidence = float(np.clip(1 - 3 * learned.error**0.5, 0, 1))
    return Filled(
        torch.from_numpy(image).permute(2, 0, 1).contiguous(),
        torch.full(image.shape[:2], confidence),
        torch.tensor(-learned.error / (2 * 0.05**2)),
    )


def _array(image: Tensor) -> RGB:
    return np.ascontiguousarray(image.detach().cpu().permute(1, 2, 0).numpy())


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[1], image.shape[2]
