"""Composing scenes that grant a wish, in the style of a family."""

from __future__ import annotations

import math
import string
from typing import NamedTuple

from numpy.random import Generator

from vicl.figures.synthetic.scenes.chance import between, fresh_seed, often, pick, whole
from vicl.figures.synthetic.scenes.lettering import stencil
from vicl.figures.synthetic.scenes.outlines import reach
from vicl.figures.synthetic.scenes.palette import (
    GREYS,
    backdrop,
    second_tone,
    tone,
    unlike,
    visible_names,
)
from vicl.figures.synthetic.scenes.placement import half_of, place
from vicl.figures.synthetic.scenes.scene import (
    COLOURS,
    SHAPES,
    SIZES,
    Background,
    Camera,
    Lettering,
    Light,
    Rgb,
    Scene,
    Surface,
    Thing,
    Wish,
)
from vicl.figures.synthetic.scenes.styles import Style, others

_ATTEMPTS = 60
_WORDS = (
    "a an at be go hi in it me no of on or so up we ant bee cat dog elm fox gum hat ink jam key"
)
_WORDS += " lid map net oak pin rod sun tea urn van wax yak zoo bird corn duck fish lamp moon rice"


def compose(rng: Generator, wish: Wish, style: Style, family: str) -> Scene:
    """Draw a scene.

    Args:
        rng: Source of chance.
        wish: One that the style grants.
        style: Of the family.
        family: Its name.

    Raises:
        RuntimeError: If no places could be found; it names the wish.
    """
    background, behind = _draw_background(rng, wish, style)
    low, high = style.numbers(wish)
    count = whole(rng, low, high)
    light = Light(
        angle=between(rng, -2.8, -0.4),
        shading=between(rng, *style.shading),
        shadow=between(rng, *style.shadow),
    )
    outlined = often(rng, style.outlined)
    for attempt in range(_ATTEMPTS):
        # Where places are hard to find, there are fewer and smaller things.
        number = max(low, count - attempt // 4)
        crowded = number + attempt // 8
        # The first few things match the wish.
        matching = whole(rng, 1, number - 1) if wish.attribute else 0
        plans = [_draw_plan(rng, wish, style, n < matching, behind, crowded) for n in range(number)]
        drawn = [_draw_thing(rng, wish, style, plan, outlined) for plan in plans]
        limits = None
        if wish.attribute == "position":
            limits = [half_of(wish.value, within=n < matching) for n in range(number)]
        centres = place(
            rng, [_radius(t) for t in drawn], apart=wish.apart, closeness=style.closeness,
            limits=limits,
        )  # fmt: skip
        if centres is not None:
            things = [t.but(centre=c) for t, c in zip(drawn, centres, strict=True)]
            things.sort(key=lambda thing: -thing.size)  # a small thing is not hidden by a large
            pictures = [thing.picture for thing in things] + [background.picture]
            licences = {p.licence for p in pictures if p is not None} | set(style.licences)
            return Scene(
                tuple(things), background, light, draw_camera(rng, style), fresh_seed(rng),
                family, tuple(sorted(licences)),
            )  # fmt: skip
    raise RuntimeError(f"scene: no places found in {_ATTEMPTS} attempts for {wish} in {family!r}")


def _draw_background(
    rng: Generator, wish: Wish, style: Style
) -> tuple[Background, tuple[Rgb, ...]]:
    """A background, and the colours from which things must stand out."""
    kind = pick(rng, style.backgrounds)
    first, second = backdrop(rng, wish.value if wish.attribute == "colour" else "")
    if kind == "landscape":
        first, second = tone(rng, pick(rng, ("green", "brown", "yellow", "grey"))), (
            between(rng, 0.3, 0.6), between(rng, 0.5, 0.8), between(rng, 0.8, 1.0),
        )  # fmt: skip
    picture = None
    if kind == "picture" and style.photographs is not None:
        picture = style.photographs(rng)
    wide = kind in ("clouds", "mosaic")
    surface = Surface(
        first,
        second,
        scale=between(rng, 0.15, 0.4) if wide else between(rng, 0.06, 0.25),
        angle=between(rng, 0.0, 3.14),
        seed=fresh_seed(rng),
    )
    behind = (first,) if kind == "plain" else () if kind == "picture" else (first, second)
    return Background(kind, surface, picture), behind


class _Plan(NamedTuple):
    """Of a thing what is settled before those of the whole scene have their colours."""

    shape: str
    size: float
    texture: str
    colour_name: str
    size_name: str


def _draw_plan(
    rng: Generator, wish: Wish, style: Style, matches: bool, behind: tuple[Rgb, ...], crowded: int
) -> _Plan:
    """What a thing is, without all that :func:`_draw_thing` settles."""
    asked = wish.attribute
    shapes = style.shapes
    if wish.shapes or asked == "shape":
        shapes = tuple(shape for shape in shapes if shape in SHAPES)
    textures, sizes = style.textures, _size_names(crowded)
    names = tuple(COLOURS)
    if asked == "shape":
        shapes = (wish.value,) if matches else others(wish.value, shapes)
    elif asked == "texture":
        textures = (wish.value,) if matches else others(wish.value, textures)
        # Nobody sees the texture of a small thing.
        sizes = ("medium", "large") if crowded < 5 else ("medium",) if crowded < 9 else ("small",)
    elif asked == "size":
        sizes = (wish.value,) if matches else tuple(n for n in SIZES if n != wish.value)
        if crowded > 4 and not matches:
            sizes = sizes[:1]
    elif asked == "colour":
        names = (wish.value,) if matches else unlike(wish.value)
    if wish.coloured and not (asked == "colour" and matches):
        names = tuple(name for name in names if name not in GREYS)
    size_name = pick(rng, sizes)
    size = between(rng, *SIZES[size_name])
    if crowded == 1 and not (wish.movable or wish.apart) and often(rng, 0.5):
        size_name, size = "", between(rng, 0.25, 0.42)
    colour_name = names[0] if len(names) == 1 else pick(rng, visible_names(behind, names))
    return _Plan(pick(rng, shapes), size, pick(rng, textures), colour_name, size_name)


def _size_names(crowded: int) -> tuple[str, ...]:
    """The more things, the smaller."""
    if crowded <= 2:
        return ("small", "medium", "large", "large")
    if crowded <= 4:
        return ("small", "medium", "medium", "large")
    return ("small", "small", "medium") if crowded <= 6 else ("small",)


def _draw_thing(rng: Generator, wish: Wish, style: Style, plan: _Plan, outlined: bool) -> Thing:
    """Settle everything of a thing but its place."""
    colour = tone(rng, plan.colour_name)
    surface = Surface(
        colour,
        second_tone(rng, colour, shade=wish.attribute == "colour" and plan.shape != "picture"),
        plan.texture,
        scale=max(0.05, plan.size * between(rng, 0.45, 0.8)),
        angle=between(rng, 0.0, 3.14),
        seed=fresh_seed(rng),
    )
    free = not (wish.shapes or wish.attribute in ("shape", "size"))
    thing = Thing(
        plan.shape,
        (0.5, 0.5),
        plan.size,
        surface,
        plan.colour_name,
        plan.size_name,
        aspect=between(rng, 0.7, 1.3) if free and often(rng, 0.3) else 1.0,
        # A square on its corner is a diamond: shapes that are compared hardly turn.
        angle=between(rng, -0.25, 0.25) if not free or often(rng, 0.5) else between(rng, 0.0, 6.28),
        mirrored=often(rng, 0.5),
        relief=pick(rng, style.reliefs),
        seed=fresh_seed(rng) % 1024,
        outline=between(rng, 0.012, 0.025) if outlined else 0.0,
    )
    if plan.shape == "text":
        return _lettered(rng, style, thing)
    if plan.shape == "picture":
        return _pictured(rng, wish, style, thing)
    return thing


def _lettered(rng: Generator, style: Style, thing: Thing) -> Thing:
    letters = string.ascii_letters + string.digits
    text = pick(rng, letters) if often(rng, 0.5) else pick(rng, _WORDS.split())
    text = text.upper() if often(rng, 0.3) else text
    lettering = Lettering(
        text,
        pick(rng, style.fonts),
        bold=pick(rng, (0.0, 0.0, 0.03, 0.06)),
        slant=pick(rng, (0.0, 0.0, 0.0, 0.25)),
    )
    written = stencil(lettering)
    aspect = written.width / written.height
    # Half the longer side is the size, and letters are thin: they are shown larger.
    size = min(1.4 * thing.size / max(1.0, 0.7 * aspect), 0.44 / math.hypot(1, aspect))
    return thing.but(
        lettering=lettering, aspect=aspect, size=size, mirrored=False,
        angle=between(rng, -0.4, 0.4),
    )  # fmt: skip


def _pictured(rng: Generator, wish: Wish, style: Style, thing: Thing) -> Thing:
    """Show a cut-out; in shades of one colour where a rule asks for colours."""
    if style.cutouts is None:
        raise ValueError("style: the shape 'picture' needs a supply of cut-outs; got none")
    picture = style.cutouts(rng)
    height, width = picture.pixels.shape[:2]
    tint = wish.attribute == "colour" or often(rng, 0.1)
    return thing.but(
        picture=picture,
        aspect=width / height,
        size=1.2 * thing.size / max(1.0, width / height),
        angle=between(rng, -0.3, 0.3),
        relief="flat",
        tint=tint,
        colour_name=thing.colour_name if tint else "",
    )


def _radius(thing: Thing) -> float:
    """Of a circle that holds a thing, a share of the cell."""
    if thing.shape in ("text", "picture"):
        return thing.size * math.hypot(1, thing.aspect)
    return thing.size * reach(thing.shape, thing.seed) * max(1.0, thing.aspect)


def draw_camera(rng: Generator, style: Style) -> Camera:
    """What the camera does, in the shares of scenes that a style asks for."""
    return Camera(
        noise=between(rng, 0.01, 0.05) if often(rng, style.camera) else 0.0,
        blur=between(rng, 0.004, 0.01) if often(rng, style.camera / 2) else 0.0,
        vignetting=between(rng, 0.15, 0.5) if often(rng, style.camera / 2) else 0.0,
    )
