"""Families of scenes: the kinds of content, those of training and those held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from numpy.random import Generator

from vicl.figures.synthetic.scenes.composing import compose
from vicl.figures.synthetic.scenes.lettering import BUNDLED_LICENCE
from vicl.figures.synthetic.scenes.scene import SHAPES, TEXTURES, Family, Scene, Wish
from vicl.figures.synthetic.scenes.styles import GENERATED_LICENCE, Style

_CALM = ("plain", "gradient", "clouds", "noise", "paper")
_BUSY = ("gradient", "noise", "clouds", "stripes", "checks", "dots", "paper")


def styled(name: str, style: Style, licence: str = "") -> Family:
    """A family of drawn scenes.

    Args:
        name: Unique.
        style: How its scenes look.
        licence: Of what its pictures show; "" where it has none.
    """
    terms = dict.fromkeys([GENERATED_LICENCE, *style.licences, licence])

    def draw(rng: Generator, wish: Wish) -> Scene:
        return compose(rng, wish, style, name)

    return Family(name, draw, style.grants, " AND ".join(filter(None, terms)), style.weight)


_TEXT = Style(
    shapes=("text",),
    textures=("plain", "plain", "plain", "gradient", "stripes"),
    backgrounds=_CALM,
    things=(1, 4),
    shadow=(0.0, 0.4),
    camera=0.2,
)

_STYLES = {
    "flat": Style(backgrounds=("plain", "plain", "gradient"), weight=2.0),
    "textured": Style(textures=TEXTURES, backgrounds=("plain", *_BUSY)),
    "solid": Style(
        textures=("plain", "plain", "gradient", "noise", "stripes", "dots"),
        backgrounds=_CALM,
        reliefs=("dome", "dome", "cone", "bevel"),
        shading=(0.5, 0.9),
        shadow=(0.25, 0.6),
        camera=0.6,
        weight=2.0,
    ),
    "blobs": Style(
        shapes=("blob",),
        textures=("plain", "plain", "noise", "gradient", "stripes", "dots"),
        backgrounds=_CALM,
        things=(1, 6),
        reliefs=("flat", "dome"),
        shading=(0.0, 0.8),
        camera=0.3,
    ),
    "paper cut": Style(
        shapes=("polygon", "polygon", "blob", *SHAPES),
        textures=("plain", "noise"),
        backgrounds=("paper", "noise", "plain"),
        closeness=0.6,
        shadow=(0.4, 0.7),
        camera=0.3,
    ),
    "text": replace(_TEXT, licences=(GENERATED_LICENCE, BUNDLED_LICENCE)),
    "crowd": Style(
        shapes=(*SHAPES, "blob", "polygon"),
        textures=("plain", "plain", *TEXTURES),
        backgrounds=_CALM,
        things=(4, 9),
        closeness=0.5,
        reliefs=("flat", "dome"),
        shading=(0.0, 0.7),
        shadow=(0.0, 0.5),
        camera=0.4,
    ),
    "landscapes": Style(
        shapes=(*SHAPES, "blob"),
        textures=("plain", "plain", "noise", "gradient"),
        backgrounds=("landscape",),
        things=(1, 4),
        reliefs=("dome", "flat"),
        shading=(0.3, 0.7),
        shadow=(0.0, 0.4),
        camera=0.7,
    ),
    "stickers": Style(
        shapes=(*SHAPES, "blob", "polygon"),
        textures=("plain", "plain", "dots", "checks"),
        backgrounds=_BUSY,
        closeness=0.7,
        shadow=(0.0, 0.5),
        outlined=1.0,
    ),
}
FAMILIES: Mapping[str, Family] = {name: styled(name, style) for name, style in _STYLES.items()}
"""What figures for training may show."""

_HELD_OUT = {
    "cells": Style(
        shapes=("blob",),
        textures=("core",),
        backgrounds=("paper", "noise"),
        things=(3, 8),
        reliefs=("bevel",),
        shading=(0.3, 0.6),
        camera=0.8,
        outlined=0.5,
    ),
    "mosaics": Style(
        shapes=SHAPES,
        textures=("checks", "plain", "rings"),
        backgrounds=("mosaic",),
        things=(1, 4),
        camera=0.2,
        outlined=0.5,
    ),
}
HELD_OUT_FAMILIES: Mapping[str, Family] = {
    name: styled(name, style) for name, style in _HELD_OUT.items()
}
"""Content for evaluation alone: no mixture for training may hold one of these."""


def font_family(fonts: Sequence[str], *, licence: str) -> Family:
    """Text in other fonts than the bundled one.

    Args:
        fonts: Paths, as :func:`~vicl.figures.synthetic.scenes.lettering.find_fonts` lists them.
        licence: Of the fonts, as it goes into metadata.
    """
    style = replace(_TEXT, fonts=tuple(fonts), licences=(GENERATED_LICENCE, licence))
    return styled("text in fonts", style)


def choose_family(rng: Generator, wish: Wish, families: Sequence[Family]) -> Family:
    """One of the families that can grant a wish, by their weights.

    Args:
        rng: Source of chance.
        wish: What a rule needs.
        families: To choose from.

    Raises:
        ValueError: If none can.
    """
    able = [family for family in families if family.weight > 0 and family.grants(wish)]
    if not able:
        names = ", ".join(family.name for family in families)
        raise ValueError(f"families: none of {names} can grant {wish}; add one that can")
    left = float(rng.random()) * sum(family.weight for family in able)
    for family in able:
        left -= family.weight
        if left < 0:
            return family
    return able[-1]


def draw_scene(rng: Generator, family: Family, wish: Wish) -> Scene:
    """Draw a scene of a family that grants a wish.

    Args:
        rng: Source of chance.
        family: Of `FAMILIES`, `HELD_OUT_FAMILIES` or made from files.
        wish: What a rule needs.

    Raises:
        ValueError: If the family cannot grant it.
    """
    if not family.grants(wish):
        raise ValueError(f"family {family.name!r}: cannot grant {wish}; see choose_family")
    return family.draw(rng, wish)
