"""Templates: the texts by which classes are named, as data, in sets with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from vicl.prompts.class_words import spoken

GENERIC: Final = "photo"
"""The set that suits most photographs: one template."""

VISUAL_PROMPTING: Final = "visual-prompting"
"""The set that pixel prompts are learned with."""

_FILE: Final = Path(__file__).with_name("templates.yaml")
_BARE: Final = (VISUAL_PROMPTING,)
"""Sets whose names of classes are lower-cased, and lose their dashes, too."""


@cache
def template_sets() -> Mapping[str, tuple[str, ...]]:
    """The sets that come with vicl, by name."""
    said = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {name: tuple(texts) for name, texts in said.items()}


def templates_of(wanted: Sequence[str]) -> tuple[str, ...]:
    """Templates, where some may be meant by the name of their set.

    Args:
        wanted: Texts with `{}` for the name of a class, or names of sets.

    Raises:
        ValueError: If there are none, or one is neither.
    """
    sets = template_sets()
    found: list[str] = []
    for one in wanted:
        if one not in sets and one.count("{}") != 1:
            raise ValueError(
                f"template: got {one!r}, expected a text with one {{}} for the name of a class, "
                f"such as 'a photo of a {{}}.', or one of {', '.join(sets)}"
            )
        found.extend(sets.get(one, (one,)))
    if not found:
        raise ValueError("templates: got none, expected one or more")
    return tuple(found)


def filled(templates: Sequence[str], name: str) -> list[str]:
    """The texts of a class.

    Args:
        templates: As :func:`templates_of` gives them.
        name: Of the class; its "_" are spaces.
    """
    bare = {text for one in _BARE for text in template_sets()[one]}
    said = spoken(name)
    return [
        text.replace("{}", said.lower().replace("-", " ") if text in bare else said)
        for text in templates
    ]
