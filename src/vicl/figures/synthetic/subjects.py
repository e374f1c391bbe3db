"""What a figure is about: rules, their values, and scenes that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator

from vicl.figures.synthetic.rules import RULES, Rule, Values
from vicl.figures.synthetic.rules.composition import both
from vicl.figures.synthetic.rules.mixture import suits
from vicl.figures.synthetic.scenes.families import choose_family, draw_scene
from vicl.figures.synthetic.scenes.scene import Family, Scene, Wish

_TRIES = 40

_MIXED = 0.15
"""Share of the figures whose rows show content of several families."""

_PLAIN_TO_SEE = 0.11
"""A thing of this size (see its `size`) can be told from others."""


@dataclass(frozen=True)
class Subject:
    """What a figure is about: rules, their values, and scenes for the rows."""

    rules: tuple[Rule, ...]
    values: tuple[Values, ...]
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, eq=False)
class SubjectDrawer:
    """Draws subjects.

    Attributes:
        mixture: Rule -> how often it is drawn beside the others.
        families: What scenes may show.
    """

    mixture: Mapping[str, float]
    families: tuple[Family, ...]

    @cached_property
    def _shares(self) -> np.ndarray:
        weights = np.cumsum(list(self.mixture.values()))
        shares: np.ndarray = weights / weights[-1]
        return shares

    def draw(self, rng: Generator, *, rules: int, rows: int) -> Subject:
        """Draw rules and scenes that fit each other.

        Args:
            rng: Decides.
            rules: How many; several start from the same input.
            rows: How many scenes.

        Raises:
            ValueError: If no rule of the mixture can be shown with the families.
        """
        for _ in range(_TRIES):
            drawn = self._draw_rules(rng, rules)
            values = tuple(rule.draw(rng) for rule in drawn)
            try:
                wish = drawn[0].wish(values[0])
                for rule, own in zip(drawn[1:], values[1:], strict=True):
                    wish = both(wish, rule.wish(own))
            except ValueError:  # the rules of a page with several may want different things
                continue
            scenes = self._draw_scenes(rng, drawn, values, wish, rows)
            if scenes is not None:
                return Subject(drawn, values, scenes)
        content = ", ".join(family.name for family in self.families)
        raise ValueError(
            f"figures: no rule of the mixture ({', '.join(self.mixture)}) could be shown with "
            f"{content}; give more rules or more families"
        )

    def _draw_rules(self, rng: Generator, count: int) -> tuple[Rule, ...]:
        """One rule of the mixture, or several that start from the same input."""
        names, drawn = tuple(self.mixture), list[Rule]()
        for _ in range(20 * count):
            rule = RULES[names[np.searchsorted(self._shares, rng.random(), side="right")]]
            if count == 1 or (rule.plain and rule not in drawn):
                drawn.append(rule)
            if len(drawn) == count:
                break
        # A mixture with few rules with plain inputs gives the same output several times.
        return tuple(drawn[i % len(drawn)] for i in range(count)) if drawn else (rule,) * count

    def _draw_scenes(
        self, rng: Generator, rules: Sequence[Rule], values: Sequence[Values], wish: Wish, rows: int
    ) -> tuple[Scene, ...] | None:
        """Scenes of one family mostly; None if none can be had."""
        if not any(family.grants(wish) for family in self.families):
            return None
        family = choose_family(rng, wish, self.families)
        mixed = rng.random() < _MIXED
        wishes: dict[str, Wish] = {}
        scenes: list[Scene] = []
        for _ in range(rows + _TRIES):
            if mixed:
                family = choose_family(rng, wish, self.families)
            if family.name not in wishes:
                wishes[family.name] = family.settle(rng, wish) if family.settle else wish
            try:
                scene = draw_scene(rng, family, wishes[family.name])
            except RuntimeError:  # no places were found
                return None
            fits = all(suits(r, scene, v) for r, v in zip(rules, values, strict=True))
            if fits and (wish.things[0] == 0 or _shows_something(scene)):
                scenes.append(scene)
            if len(scenes) == rows:
                return tuple(scenes)
        return None


def _shows_something(scene: Scene) -> bool:
    """Whether one thing at least is large enough, and far enough inside, to be seen well."""
    return any(
        thing.shape == "region"
        or (thing.size >= _PLAIN_TO_SEE and all(0.12 <= place <= 0.88 for place in thing.centre))
        for thing in scene.things
    )
