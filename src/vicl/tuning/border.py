"""What is stepped when a border is learned (InMeMo): canvases of pairs, and the codes of the hole.

Only the border learns: the codes of the clean canvas are what a frozen inpainter over codes is to
predict of the hole, with the border on the canvas's cells.

Source: Zhang et al. 2023, arXiv:2311.03648, section 3, and the published code. That code shows the
networks canvases that were not normalised in training, and normalised ones when it is tested;
`published` does so, else both are normalised, as the engine does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveFloat, field_validator
from torch import Generator, Tensor, nn

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.canvas.layout import Layout
from vicl.canvas.moves import Move
from vicl.exports.sheets import contact_sheet
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.models.code_inpainter import CodeInpainter
from vicl.prompting.border import BorderMode, bordered
from vicl.prompts.pixel import PixelPrompt
from vicl.training.job import Look, Round, Seat
from vicl.training.objectives.objective import Losses, Objective
from vicl.training.settings import AnyOptimiser, Many, Part, Precision, Rate
from vicl.tuning.looking import SHEETS
from vicl.tuning.pairs import Among, Pairs, Shown
from vicl.tuning.reading import samples
from vicl.tuning.settings import SettingsError

_SIDE, _WIDTH = 224, 30
"""Of the published border, on cells of 111 px."""
_PUBLISHED_LR: Final = 40.0
_LR: Final = 0.01
_AT_ONCE: Final = 16
_SHOWN: Final = 6
"""Canvases on a page."""
_KNOWN: Final = 1 << 16
"""Canvases whose codes are kept."""


class BorderSettings(Part):
    """How a border is learned.

    Attributes:
        mode: Which cells get it; see :data:`vicl.prompting.border.BorderMode`.
        side: Of the picture to which a cell is enlarged for it, in pixels; None: twice the cell's,
            rounded up to a multiple of 16 (the published 224 for 111).
        width: Of the border in that picture; None: the published share, 30 of 224.
        init: Its first values: of the standard normal distribution, or 0. None: as published
            normal, else 0, which changes nothing at first.
        published: Show the networks canvases that were not normalised; see this module.
        lr: Peak learning rate of Adam. None: as published 40, else 0.01.
        restart: Epochs of a cosine, after each of which the rate begins anew.
        epochs: Times that every pair is asked about.
        batch: Canvases of a step; all where there are fewer pairs.
        clip: Greatest norm of the gradient; None for no limit.
        arrangements: Of the grid, taken in turn by the steps.
        held_out: Share of the pairs that is held out, by which the best border is chosen.
        precision: Of the arithmetic.
    """

    mode: BorderMode = "spimg_spmask"
    side: int | None = Field(default=None, ge=16, le=1024)
    width: int | None = Field(default=None, ge=1, le=511)
    init: Literal["normal", "zero"] | None = None
    published: bool = False
    lr: PositiveFloat | None = None
    restart: Many = 10
    epochs: Many = 100
    batch: Many = 32
    clip: PositiveFloat | None = None
    arrangements: tuple[int, ...] = Field(default=(1,), min_length=1, max_length=8)
    held_out: float = Field(default=0.2, gt=0, lt=1)
    precision: Precision = "fp32"

    @field_validator("arrangements")
    @classmethod
    def _check_arrangements(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if any(number not in ARRANGEMENTS for number in given):
            raise ValueError(f"got {list(given)}, expected numbers from 1 to {len(ARRANGEMENTS)}")
        return given

    @property
    def peak(self) -> float:
        """The learning rate."""
        return self.lr or (_PUBLISHED_LR if self.published else _LR)

    @property
    def rate(self) -> Rate:
        """How it moves."""
        return Rate(kind="restarts", every=self.restart)

    @property
    def optimiser(self) -> AnyOptimiser:
        """Adam, without decay."""
        return AnyOptimiser(
            kind="adam", lr=self.peak, scale_lr=False, weight_decay=0.0, clip=self.clip
        )

    def prompt(self, layout: Layout, seed: int) -> PixelPrompt:
        """A border to learn, for cells of a layout.

        Raises:
            SettingsError: If it does not fit.
        """
        cell = max(layout.query.size)
        side = self.side or -(-2 * cell // 16) * 16
        try:
            return PixelPrompt(
                side,
                width=self.width or max(1, round(side * _WIDTH / _SIDE)),
                init=self.init or ("normal" if self.published else "zero"),
                generator=Generator().manual_seed(seed),
            )
        except ValueError as error:
            raise SettingsError(f"--set {error}") from error


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Let none of a model's weights learn, in evaluation mode; afterwards all is as it was."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    training = model.training
    for weight in learning:
        weight.requires_grad_(False)
    model.eval()
    try:
        yield
    finally:
        model.train(training)
        for weight in learning:
            weight.requires_grad_(True)


def as_published(image: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
    """What an engine, which normalises what it sees, is to see for its networks to see `image`."""
    mean, std = (image.new_tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return image * std + mean


class BorderObjective(Objective):
    """Cross-entropy of the hole's codes, of canvases with the border on.

    The engine is no part of it: its weights are neither trained nor saved.

    Args:
        model: The border.
        engine: What is asked; frozen.
        layouts: Of the arrangements.
        settings: How it is learned.
    """

    model: PixelPrompt

    def __init__(
        self,
        model: PixelPrompt,
        engine: CodeInpainter,
        layouts: Sequence[Layout],
        settings: BorderSettings,
    ) -> None:
        super().__init__()
        self.model, self.layouts, self.settings = model, tuple(layouts), settings
        self._loss: Callable[..., Tensor] = engine.loss_on_codes

    def loss(
        self,
        clean: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
        codes: Int[Tensor, "b n"],
        arrangement: int,
    ) -> Float[Tensor, ""]:
        """The mean over the holes' patches.

        Args:
            clean: Canvases with their answers, RGB in [0, 1].
            hole: Where the answers are to be predicted.
            codes: Of the clean canvases, as they are shown.
            arrangement: Place among the layouts.
        """
        layout, mode = self.layouts[arrangement], self.settings.mode
        shown = bordered(clean, layout, self.model.picture(), mode)
        return self._loss(as_published(shown) if self.settings.published else shown, hole, codes)

    def forward(self, *batch: Any) -> Losses:
        """See :class:`vicl.training.objectives.objective.Objective`; of :class:`Canvases`."""
        clean, hole, codes, arrangement, _ = batch
        return Losses({"model": self.loss(clean, hole, codes, int(arrangement))}, {})


@dataclass(eq=False)
class Canvases:
    """Canvases of pairs with the codes of their answers.

    Attributes:
        pairs: What stands on them.
        engine: Whose tokenizer names the codes.
        layouts: Of the arrangements.
        published: Whether the tokenizer sees canvases that were not normalised.
    """

    pairs: Pairs
    engine: CodeInpainter
    layouts: Sequence[Layout]
    published: bool

    def __post_init__(self) -> None:
        self._codes: dict[tuple[int, Shown], Int[Tensor, " n"]] = {}

    @torch.no_grad()
    def of(self, shown: Sequence[Shown], arrangement: int) -> tuple[Tensor, Tensor, Tensor]:
        """Clean canvases on the engine's device, their holes on the CPU, and their codes."""
        layout = self.layouts[arrangement]
        drawn = [self.pairs.clean(one, layout) for one in shown]
        image = torch.stack([clean for clean, _ in drawn]).to(self.engine.device)
        keys = [(arrangement, one) for one in shown]
        new = [row for row, key in enumerate(keys) if key not in self._codes]
        if new:
            seen = as_published(image[new]) if self.published else image[new]
            named = self.engine.tokenizer.encode(seen.to(self.engine.dtype)).flatten(1)
            if len(self._codes) > _KNOWN:
                self._codes = {key: self._codes[key] for key in keys if key in self._codes}
            found = zip(new, named.to("cpu", torch.int32), strict=True)
            self._codes |= {keys[row]: codes for row, codes in found}
        codes = torch.stack([self._codes[key] for key in keys]).long().to(image.device)
        return image, torch.stack([hole for _, hole in drawn]), codes

    def rounds(
        self,
        train: Sequence[int],
        moves: Sequence[Move],
        seed: int,
        seat: Seat,
        device: torch.device,
    ) -> Iterator[Round]:
        """Rounds for the loop: canvases, holes, codes, and which arrangement they have."""
        told: set[str] = set()
        among = self.pairs.among(train)
        for number, batch in enumerate(samples(len(train), seed, seat), start=seat.start):
            shown = [self._asked(train[place], among, moves, seed, at) for place, at in batch]
            arrangement = number % len(self.layouts)
            broken = [line for line in self.pairs.broken.values() if line not in told]
            told.update(broken)
            image, hole, codes = self.of(shown, arrangement)
            where = torch.tensor(arrangement)
            yield Round((image.to(device), hole, codes.to(device), where), tuple(broken))

    def _asked(
        self, query: int, among: Among, moves: Sequence[Move], seed: int, number: int
    ) -> Shown:
        """A query that can be read, with its example."""
        return self.pairs.shown(self.pairs.or_another(query, among), among, moves, seed, number)

    def held_out(self, places: Sequence[int], train: Sequence[int], seed: int) -> list[Shown]:
        """The held-out queries that can be read, each with an example that is learned from."""
        among = self.pairs.among(train)
        return [
            self.pairs.shown(place, among, [(0, 0)], seed, number)
            for number, place in enumerate(places)
            if self.pairs.readable(place) is not None
        ]


class Looking:
    """Looks at held-out canvases: their loss, and now and then a page of some.

    Args:
        objective: Whose loss it is.
        canvases: Of the pairs.
        shown: Which are looked at.
    """

    def __init__(
        self, objective: BorderObjective, canvases: Canvases, shown: Sequence[Shown]
    ) -> None:
        self.objective, self.canvases, self.shown = objective, canvases, tuple(shown)
        self._numbers = itertools.count()

    @torch.no_grad()
    def loss(self, shown: Sequence[Shown] | None = None) -> float:
        """The mean over some canvases; None: all that are looked at."""
        wanted, total = self.shown if shown is None else shown, 0.0
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            total += float(self.objective.loss(*self.canvases.of(part, 0), 0)) * len(part)
        return total / len(wanted)

    def __call__(self, _: PixelPrompt) -> Look:
        """See :attr:`vicl.training.job.Job.look`."""
        sheet = None
        if next(self._numbers) % SHEETS == 0:
            sheet = self._page()
        return Look({"loss": self.loss()}, sheet, len(self.shown))

    @torch.no_grad()
    def _page(self) -> Any:
        canvases, mode = self.canvases, self.objective.settings.mode
        clean, hole, _ = canvases.of(self.shown[:_SHOWN], 0)
        shown = bordered(clean, canvases.layouts[0], self.objective.model.picture(), mode)
        filled = [
            canvases.engine.inpaint(one, hole.to(clean.device)).image for one in (clean, shown)
        ]
        columns = [one.float().cpu().clamp(0, 1) for one in (*filled, clean)]
        return contact_sheet(
            [list(row) for row in zip(*columns, strict=True)],
            headers=("no border", "border", "true"),
            cell=128,
        )
