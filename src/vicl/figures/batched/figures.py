"""Batches of clean grids, drawn on any device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vicl.figures.batched.drawing import Drawn, draw
from vicl.figures.batched.packing import Packed, pack
from vicl.figures.batched.rules import BATCHED_RULES, Shown, apply, needs_function
from vicl.figures.rules import TRAINING_MIXTURE, Values
from vicl.figures.rules.choosing import chosen
from vicl.figures.scenes.families import FAMILIES
from vicl.figures.scenes.scene import Scene
from vicl.figures.tasks import Task, TaskDrawer
from vicl.layout import Layout
from vicl.rects import Rect

BATCHED_FAMILIES = ("flat", "textured")
"""The families of training all of whose scenes can be drawn in batches."""

_ROWS = 2


def batched_mixture() -> dict[str, float]:
    """The part of the mixture for training that can be shown in batches."""
    return {name: share for name, share in TRAINING_MIXTURE.items() if name in BATCHED_RULES}


@dataclass(frozen=True, eq=False)
class Plans:
    """What a batch shows, before it has pixels: small arrays, quick to make and to send.

    Attributes:
        rules: One a figure.
        values: Likewise.
        before: Scenes of the inputs: those of figure i are 2i and 2i + 1.
        after: Scenes of the outputs of the figures whose rules change scenes.
        chosen: Which things a rule asks for, (2 b, n).
        seed: Of the noise.
    """

    rules: tuple[str, ...]
    values: tuple[Values, ...]
    before: Packed
    after: Packed
    chosen: Bool[np.ndarray, "s n"]
    seed: int


@dataclass(frozen=True, eq=False)
class FigureBatch:
    """A batch of clean grids with their answers.

    Attributes:
        image: RGB in [0, 1].
        hole: True where a prompt would leave the figures to be filled.
        answer: Where the answers stand.
        rules: One a figure.
        values: Likewise.
    """

    image: Float[Tensor, "b 3 H W"]
    hole: Bool[Tensor, "b H W"]
    answer: Rect
    rules: tuple[str, ...]
    values: tuple[Values, ...]


@dataclass(frozen=True, eq=False)
class BatchedFigures:
    """An endless source of batches of 2x2 grids as `Layout.grid` draws them.

    :meth:`plan` is the part for the processor, and may run in workers; :meth:`render` the part for
    the device.  Figure number i is the same in whatever batch, but for noise, which is drawn on
    the device.

    Attributes:
        size: Side of a figure, in pixels, a multiple of `patch_size`.
        patch_size: Of the model that is trained.
        seed: Not negative.
        mixture: Rule -> how often it is drawn; all in `BATCHED_RULES`.
        families: Some of `BATCHED_FAMILIES`.

    Raises:
        ValueError: If a setting is not possible.
    """

    size: int = 224
    patch_size: int = 16
    seed: int = 0
    mixture: Mapping[str, float] = field(default_factory=batched_mixture)
    families: Sequence[str] = BATCHED_FAMILIES

    def __post_init__(self) -> None:
        wrong = [name for name in self.mixture if name not in BATCHED_RULES]
        wrong += [name for name in self.families if name not in BATCHED_FAMILIES]
        if wrong:
            raise ValueError(
                f"mixture, families: got {wrong}, which cannot be drawn in batches; expected rules "
                f"of {', '.join(BATCHED_RULES)} and families of {', '.join(BATCHED_FAMILIES)}"
            )

    @cached_property
    def _tasks(self) -> TaskDrawer:
        return TaskDrawer(self.mixture, tuple(FAMILIES[name] for name in self.families))

    @cached_property
    def layout(self) -> Layout:
        """Where everything stands."""
        return Layout.grid(canvas_size=(self.size, self.size), patch_size=self.patch_size)

    def task(self, index: int) -> Task:
        """What figure number `index` is about."""
        return self._tasks.draw(np.random.default_rng([self.seed, index]), rules=1, rows=_ROWS)

    def plan(self, index: int, count: int) -> Plans:
        """Draw what figures `index` to `index + count - 1` show.

        Args:
            index: From 0 without end.
            count: At least 1.
        """
        rules, values = [], []
        before: list[Scene] = []
        after: list[Scene] = []
        for number in range(index, index + count):
            task = self.task(number)
            rule, own = task.rules[0], task.values[0]
            rules.append(rule.name)
            values.append(own)
            before += task.scenes
            if rule.change is not None and not needs_function(rule.name):
                after += [rule.change(scene, own) for scene in task.scenes]
        packed = pack(before)
        asked = np.zeros(packed.shapes.shape, np.bool_)
        for number, scene in enumerate(before):
            own = values[number // _ROWS]
            picked = chosen(scene, own) if "attribute" in own else [True] * len(scene.things)
            asked[number, : len(picked)] = picked
        seed = int(np.random.default_rng([self.seed, index, count]).integers(1 << 62))
        return Plans(tuple(rules), tuple(values), packed, pack(after), asked, seed)

    def render(self, plans: Plans, device: torch.device | str = "cpu") -> FigureBatch:
        """Draw a batch.

        Args:
            plans: From :meth:`plan`.
            device: Where.
        """
        layout, where = self.layout, torch.device(device)
        side = layout.answer.height
        inputs, outputs = _cells(plans, side, where)
        shape = (len(plans.rules), 3, self.size, self.size)
        image = torch.full(shape, layout.background, device=where)
        places = ((layout.inputs[0], layout.outputs[0]), (layout.query, layout.answer))
        for row, (left, right) in enumerate(places):
            for rect, cells in ((left, inputs), (right, outputs)):
                image[:, :, rect.top : rect.bottom, rect.left : rect.right] = cells[row::_ROWS]
        hole = torch.zeros(len(plans.rules), self.size, self.size, dtype=torch.bool, device=where)
        hole[:, layout.hole.top : layout.hole.bottom, layout.hole.left : layout.hole.right] = True
        return FigureBatch(image, hole, layout.answer, plans.rules, plans.values)

    def batch(self, index: int, count: int, device: torch.device | str = "cpu") -> FigureBatch:
        """Figures `index` to `index + count - 1`: plan and render."""
        return self.render(self.plan(index, count), device)


def _cells(
    plans: Plans, side: int, device: torch.device
) -> tuple[Float[Tensor, "s 3 h w"], Float[Tensor, "s 3 h w"]]:
    """Inputs and outputs of all rows."""
    shown = draw(plans.before, side, device)
    inputs, outputs = shown.image.clone(), torch.empty_like(shown.image)
    names = np.repeat(np.array(plans.rules), _ROWS)
    changed = np.array([not needs_function(name) for name in names])
    if changed.any():
        rows = torch.from_numpy(np.flatnonzero(changed)).to(device)
        outputs[rows] = draw(plans.after, side, device).image
    generator = torch.Generator(device).manual_seed(plans.seed)
    for name in dict.fromkeys(names[~changed].tolist()):
        here = np.flatnonzero(names == name)
        rows = torch.from_numpy(here).to(device)
        inputs[rows], outputs[rows] = apply(name, _part(shown, plans, here, rows, generator))
    return inputs, outputs


def _part(
    shown: Drawn,
    plans: Plans,
    here: np.ndarray,
    rows: Tensor,
    generator: torch.Generator,
) -> Shown:
    return Shown(
        shown.image[rows],
        shown.visible[rows],
        torch.from_numpy(plans.chosen[here]).to(rows.device),
        [plans.values[number // _ROWS] for number in here],
        generator,
    )
