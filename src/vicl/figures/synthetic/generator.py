"""Synthetic figures: an endless source, in which each number is always the same figure.

A figure follows from the source's settings, its seed and the figure's number alone, so that any
number of workers, on any machine with the same libraries, makes the same figures.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from torch.utils.data import IterableDataset, get_worker_info

from vicl.canvas.layout import Layout
from vicl.figures.figure import Cell, Figure, Law
from vicl.figures.synthetic.grids import draw_grid, draw_layout, grid_cells
from vicl.figures.synthetic.page_drawing import draw_page
from vicl.figures.synthetic.pages import Plan, plan_page
from vicl.figures.synthetic.rules import RULES, TRAINING_MIXTURE
from vicl.figures.synthetic.scenes.families import FAMILIES, HELD_OUT_FAMILIES, font_family
from vicl.figures.synthetic.scenes.lettering import BUNDLED_LICENCE, find_fonts
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Family, Scene
from vicl.figures.synthetic.scenes.sources import NOT_STATED, CutOuts, Photographs, file_families
from vicl.figures.synthetic.subjects import Subject, SubjectDrawer

_FOLDERS = ("cutouts", "photographs", "masks", "fonts")

_KNOWN = {**FAMILIES, **HELD_OUT_FAMILIES}

_LANES_APART = 1 << 40
"""So many figures lie between where the lanes of one seed and those of the next begin."""


@dataclass(frozen=True, eq=False)
class SyntheticFigures(IterableDataset[Mapping[str, Any]]):
    """An endless source of figures.

    As a dataset it gives items with the keys "image" (uint8, (H, W, 3)), "hole" (bool, (H, W), or
    None) and "figure" (all of :class:`~vicl.figures.figure.Figure`).  An item is drawn when one of
    these is asked for, so items can be passed over for nothing.

    Attributes:
        size: Side of a figure, in pixels, a multiple of `patch_size`.
        patch_size: Of the model that is trained, in pixels: holes consist of whole patches.
        seed: Not negative.
        clean: Share of the figures that are clean grids; the others are pages.
        layouts: Of clean grids: "any", or the "published" one alone: one example above, the query
            below it, the answer at its right.
        mixture: Rule -> how often it is drawn beside the others.
        families: Names of the kinds of content, of training or held out.
        cutouts: A folder of pictures with transparency, whose things are used too.
        photographs: A folder of photographs, which are used too.
        masks: A folder of label maps for these, of the same names, or None.
        fonts: A folder of TrueType or OpenType fonts, in which text is written too.
        cutouts_licence: As it goes into metadata.
        photographs_licence: Likewise; of masks too.
        fonts_licence: Likewise.

    Raises:
        ValueError: If a setting is not possible; the message says what is.
        vicl.images.ImageError: When the first figure is drawn, if a folder has no usable pictures.
    """

    size: int = 224
    patch_size: int = 16
    seed: int = 0
    clean: float = 0.6
    layouts: Literal["any", "published"] = "any"
    mixture: Mapping[str, float] = field(default_factory=lambda: dict(TRAINING_MIXTURE))
    families: Sequence[str] = tuple(FAMILIES)
    cutouts: str | Path | None = None
    photographs: str | Path | None = None
    masks: str | Path | None = None
    fonts: str | Path | None = None
    cutouts_licence: str = NOT_STATED
    photographs_licence: str = NOT_STATED
    fonts_licence: str = NOT_STATED

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % self.patch_size:
            raise ValueError(
                f"size: got {self.size}, expected at least 32 and a multiple of patch_size "
                f"({self.patch_size})"
            )
        if not 0 <= self.clean <= 1:
            raise ValueError(f"clean: got {self.clean}, expected a share of 0 to 1")
        if self.layouts not in ("any", "published"):
            raise ValueError(f"layouts: got {self.layouts!r}, expected 'any' or 'published'")
        if self.seed < 0:
            raise ValueError(f"seed: got {self.seed}, expected 0 or more")
        wrong = [name for name in self.mixture if name not in RULES]
        if wrong or not self.mixture or min(self.mixture.values()) <= 0:
            raise ValueError(
                f"mixture: got {wrong or dict(self.mixture)}, expected names of rules with weights "
                f"above 0; the rules are {', '.join(RULES)}"
            )
        strange = [name for name in self.families if name not in _KNOWN]
        if strange or not (self.families or self.cutouts or self.photographs or self.fonts):
            raise ValueError(
                f"families: got {strange or list(self.families)}, expected some of "
                f"{', '.join(_KNOWN)}"
            )
        if self.masks is not None and self.photographs is None:
            raise ValueError(
                f"masks: got {self.masks} without photographs; give the folder of these too"
            )

    def __getstate__(self) -> dict[str, Any]:
        # What is opened or computed is made anew by each worker.
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def settings(self) -> dict[str, Any]:
        """All settings, as plain values for JSON."""
        given = self.__getstate__()
        folders = {name: str(given[name]) for name in _FOLDERS if given[name] is not None}
        listed = {"mixture": dict(self.mixture), "families": list(self.families)}
        return {**given, **listed, **folders}

    @cached_property
    def _families(self) -> tuple[Family, ...]:
        drawn = tuple(_KNOWN[name] for name in self.families)
        if self.fonts is not None:
            drawn += (font_family(find_fonts(self.fonts), licence=self.fonts_licence),)
        cutouts = photographs = None
        if self.cutouts is not None:
            cutouts = CutOuts(self.cutouts, licence=self.cutouts_licence)
        if self.photographs is not None:
            photographs = Photographs(
                self.photographs, masks=self.masks, licence=self.photographs_licence
            )
        return (*drawn, *file_families(cutouts, photographs))

    def check_folders(self) -> None:
        """Look at the folders now, not when the first figure is drawn.

        Raises:
            vicl.images.ImageError: If one is missing or has no pictures.
        """
        _ = self._families

    @cached_property
    def subjects(self) -> SubjectDrawer:
        """Draws what its figures are about."""
        return SubjectDrawer(self.mixture, self._families)

    @cached_property
    def _published(self) -> Layout:
        return Layout.grid(canvas_size=(self.size, self.size), patch_size=self.patch_size)

    def figure(self, index: int) -> Figure:
        """Draw figure number `index`, from 0 without end.

        Raises:
            ValueError: If no rule of the mixture can be shown with the families.
        """
        rng = np.random.default_rng([self.seed, index])
        if rng.random() < self.clean:
            layout = self._published
            if self.layouts == "any":
                layout = draw_layout(rng, (self.size, self.size), self.patch_size)
            return self._grid(rng, index, layout)
        return self._page(rng, index)

    def grid(self, rule: str, index: int, layout: Layout | None = None) -> Figure:
        """Draw a clean grid of one rule, of the mixture or not.

        Evaluation takes held-out rules from here.

        Args:
            rule: Its name.
            index: From 0 without end; each rule has its own figures.
            layout: Where things stand; None for the published grid on this canvas.

        Raises:
            ValueError: If there is no such rule, or no family has what it needs.
        """
        if rule not in RULES:
            raise ValueError(f"rule: got {rule!r}, expected one of {', '.join(RULES)}")
        rng = np.random.default_rng([self.seed, index, zlib.crc32(rule.encode())])
        return replace(self, mixture={rule: 1.0})._grid(rng, index, layout or self._published)

    def _grid(self, rng: Generator, index: int, layout: Layout) -> Figure:
        subject = self.subjects.draw(rng, rules=1, rows=layout.examples + 1)
        size = layout.answer.size
        rule, values = subject.rules[0], subject.values[0]
        image = draw_grid(layout, [rule.apply(scene, size, values) for scene in subject.scenes])
        return self._figure(image, "grid", subject, grid_cells(layout), index, layout=layout)

    def _page(self, rng: Generator, index: int) -> Figure:
        plan = plan_page(rng, (self.size, self.size))
        rules = len(plan.rects[0]) - 1
        subject = self.subjects.draw(rng, rules=rules, rows=len(plan.rects))
        pictures = [
            _draw_row(scene, plan, row, subject) for row, scene in enumerate(subject.scenes)
        ]
        texts = (BUNDLED_LICENCE,) if plan.texts or any(map(any, plan.labels)) else ()
        cells = tuple(
            Cell(rect, row, "output" if part else "input", max(0, part - 1))
            for row, rects in enumerate(plan.rects)
            for part, rect in enumerate(rects)
        )
        return self._figure(draw_page(plan, pictures), "page", subject, cells, index, texts)

    def _figure(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        kind: Literal["grid", "page"],
        subject: Subject,
        cells: tuple[Cell, ...],
        index: int,
        licences: Sequence[str] = (),
        layout: Layout | None = None,
    ) -> Figure:
        shown = (name for scene in subject.scenes for name in scene.licences)
        return Figure(
            image=image,
            kind=kind,
            laws=tuple(map(Law, (rule.name for rule in subject.rules), subject.values)),
            cells=cells,
            answer=None if layout is None else layout.answer,
            hole=None if layout is None else layout.hole,
            families=tuple(scene.family for scene in subject.scenes),
            licences=tuple(sorted({*licences, *shown})),
            seed=self.seed,
            index=index,
        )

    def lane(self, index: int, count: int, seed: int) -> Iterator[Mapping[str, Any]]:
        """Every `count`-th item, from number `index` on, without end.

        Args:
            index: Number of the lane, 0 to `count` - 1.
            count: How many lanes there are.
            seed: Of a training run: runs of different seeds see different figures.
        """
        start = seed % _LANES_APART * _LANES_APART
        return (_Item(self, number) for number in itertools.count(start + index, count))

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """All items in order; the workers of a `DataLoader` share them out."""
        worker = get_worker_info()
        if worker is None:
            return self.lane(0, 1, 0)
        return self.lane(worker.id, worker.num_workers, 0)


class _Item(Mapping[str, Any]):
    """A figure that is drawn when it is looked at."""

    def __init__(self, source: SyntheticFigures, index: int) -> None:
        self._source = source
        self._index = index

    @cached_property
    def _figure(self) -> Figure:
        return self._source.figure(self._index)

    def __getitem__(self, key: str) -> Any:
        if key == "image":
            return self._figure.image
        if key == "hole":
            return self._figure.hole_mask()
        if key == "figure":
            return self._figure
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(("image", "hole", "figure"))

    def __len__(self) -> int:
        return 3


def _draw_row(scene: Scene, plan: Plan, row: int, subject: Subject) -> list[np.ndarray]:
    """The pictures of one scene on a page: its input, and an output for each rule."""
    before, *after = plan.rects[row]
    (first, values), *others = zip(subject.rules, subject.values, strict=True)
    pair = first.apply(scene, after[0].size, values)
    if before.size == after[0].size:
        shown = pair.input
    elif first.plain and first.group != "paper":  # whose tasks have a circle of their own
        shown = render(scene, before.size).image  # an output of this size nobody would see
    else:
        shown = first.apply(scene, before.size, values).input
    outputs = (
        rule.apply(scene, rect.size, values).output
        for (rule, values), rect in zip(others, after[1:], strict=True)
    )
    return [shown, pair.output, *outputs]
