"""Pictures of things with names, for small CLIPs: pairs with captions, and folders of classes.

A thing has a colour and a shape, as in "a red star". A fifth of all pairs of both is held out:
no caption of training has them, and they are the classes of the folders, so that whoever names
them puts known words together anew. Pictures are photo-like (lit, with shadows and noise), or of
another domain.

    python benchmarks/clip_classes.py --out out/classes
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.random import Generator
from PIL import Image

from vicl.figures.synthetic.scenes.chance import between, fresh_seed, often, pick
from vicl.figures.synthetic.scenes.palette import backdrop, mix, second_tone, tone, unlike
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import (
    Background,
    Camera,
    Light,
    Scene,
    Surface,
    Thing,
)

COLOURS: Final = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "black", "white",
)  # fmt: skip
SHAPES: Final = (
    "circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond", "crescent",
    "arrow", "drop", "bar",
)  # fmt: skip
TEXTURES: Final = {"plain": "", "stripes": "striped ", "dots": "dotted ", "checks": "checked "}
"""How a thing can be covered, with the word for it."""

BACKGROUNDS: Final = {
    "plain": "plain", "gradient": "plain", "clouds": "cloudy", "noise": "grainy",
    "stripes": "striped", "dots": "dotted", "checks": "checked",
}  # fmt: skip
"""What can lie behind things, with the word for it."""

OPENINGS: Final = {
    "photo": (
        "a photo of a ", "a photo of the ", "a picture of a ", "an image of a ",
        "this is a photo of a ", "a close-up photo of a ", "a good photo of a ",
        "a cropped photo of a ", "a photo of one ", "a ", "",
    ),
    "drawing": ("a drawing of a ", "a picture of a ", "a flat drawing of the "),
    "sketch": ("a sketch of a ", "a drawing of a ", "an outline of a "),
}  # fmt: skip
"""How captions begin, by domain: the domains that training sees."""

UNSEEN: Final = ("night", "pastel")
"""Domains that training never sees: dark and noisy photographs; pale colours."""

DOMAINS: Final = (*OPENINGS, *UNSEEN)
SIDE: Final = 64
"""Of a picture, in pixels."""


@dataclass(frozen=True)
class Pair:
    """A picture with its caption: uint8 (64, 64, 3)."""

    image: np.ndarray
    caption: str


def held_out() -> tuple[str, ...]:
    """The classes: pairs of a colour and a shape that no caption has, sorted."""
    return tuple(
        sorted(f"{c} {s}" for i, c in enumerate(COLOURS) for k, s in enumerate(SHAPES)
               if (i + 3 * k) % 5 == 0)
    )  # fmt: skip


def draw_pair(rng: Generator) -> Pair:
    """A picture of the seen pairs and domains, with a caption."""
    classes = frozenset(held_out())
    while True:
        colour, shape = pick(rng, COLOURS), pick(rng, SHAPES)
        if f"{colour} {shape}" not in classes:
            break
    domain = "photo" if often(rng, 0.7) else pick(rng, ("drawing", "sketch"))
    scene = draw_scene(rng, colour, shape, domain)
    thing = scene.things[-1]
    texture = TEXTURES[thing.surface.texture] if domain != "sketch" and often(rng, 0.7) else ""
    words = pick(rng, OPENINGS[domain]) + f"{texture}{colour} {shape}"
    if len(scene.things) > 1 and often(rng, 0.6):
        other = scene.things[0]
        words += f" and a small {other.colour_name} {other.shape}"
    if domain == "photo" and often(rng, 0.4):
        words += f" on a {BACKGROUNDS[scene.background.kind]} background"
    return Pair(picture(rng, scene, domain), words + ("." if often(rng, 0.5) else ""))


def draw_scene(rng: Generator, colour: str, shape: str, domain: str) -> Scene:
    """A scene with a thing before all else; now and then a small one lies in a corner."""
    size = between(rng, 0.24, 0.4)
    room = 0.5 - 0.8 * size
    centre = (between(rng, 0.5 - room, 0.5 + room), between(rng, 0.5 - room, 0.5 + room))
    first, second = ((1.0, 1.0, 1.0), (0.9, 0.9, 0.88))
    if domain == "sketch" and colour == "white":
        first, second = ((0.15, 0.2, 0.3), (0.2, 0.25, 0.35))
    elif domain != "sketch":
        first, second = backdrop(rng, colour)
    flat = domain in ("drawing", "sketch")
    kind = pick(rng, ("plain", "gradient")) if flat else pick(rng, tuple(BACKGROUNDS))
    behind = Background(kind, _surface(rng, first, second, "plain", between(rng, 0.08, 0.25)))
    main = _thing(rng, colour, shape, domain, size, centre, first)
    things = [main]
    if often(rng, 0.3):
        other = pick(rng, tuple(n for n in unlike(colour) if n in COLOURS))
        corner = (pick(rng, (0.12, 0.88)), pick(rng, (0.12, 0.88)))
        form = pick(rng, tuple(s for s in SHAPES if s != shape))
        things.insert(0, _thing(rng, other, form, domain, 0.1, corner, first))
    light = Light(between(rng, -2.8, -0.4), between(rng, 0.4, 0.8), between(rng, 0.2, 0.5))
    camera = Camera(between(rng, 0.01, 0.04), blur=between(rng, 0.0, 0.008))
    if flat:
        light, camera = Light(), Camera()
    return Scene(tuple(things), behind, light, camera, fresh_seed(rng))


def _thing(
    rng: Generator,
    colour: str,
    shape: str,
    domain: str,
    size: float,
    centre: tuple[float, float],
    behind: tuple[float, float, float],
) -> Thing:
    own = tone(rng, colour)
    texture = pick(rng, tuple(TEXTURES)) if size > 0.2 and often(rng, 0.5) else "plain"
    surface = _surface(rng, own, second_tone(rng, own, shade=True), texture, 0.35 * size)
    outline = 0.0
    if domain == "sketch":  # paper inside, the colour is the line's
        surface, outline = _surface(rng, behind, own, "plain", 0.1), 0.035
    relief = "flat" if domain in ("drawing", "sketch") else pick(rng, ("flat", "dome", "bevel"))
    return Thing(
        shape, centre, size, surface, colour, angle=between(rng, -0.3, 0.3),
        mirrored=often(rng, 0.5), relief=relief, outline=outline,
    )  # fmt: skip


def _surface(
    rng: Generator,
    first: tuple[float, float, float],
    second: tuple[float, float, float],
    texture: str,
    scale: float,
) -> Surface:
    return Surface(
        first, second, texture, max(0.06, scale), between(rng, 0.0, 3.14), fresh_seed(rng)
    )


def picture(rng: Generator, scene: Scene, domain: str) -> np.ndarray:
    """Pixels of a scene, uint8 (64, 64, 3), with what the domain does to all of them."""
    if domain == "pastel":
        scene = replace(scene, things=tuple(_paled(thing) for thing in scene.things))
    found = render(scene, (SIDE, SIDE)).image
    if domain == "night":
        dark = found * 0.35 + rng.normal(0, 10, found.shape)
        found = dark.clip(0, 255).astype(np.uint8)
    return np.asarray(found)


def _paled(thing: Thing) -> Thing:
    white = (1.0, 1.0, 1.0)
    one, other = (mix(c, white, 0.45) for c in (thing.surface.colour, thing.surface.second))
    return replace(thing, surface=replace(thing.surface, colour=one, second=other))


def write_classes(
    out: Path, counts: dict[str, int], *, domain: str = "photo", classes: Sequence[str] = (),
    seed: int = 0,
) -> None:  # fmt: skip
    """Write an ImageFolder: `out`/split/class/number.png.

    Args:
        out: Its folder.
        counts: Pictures of each class, by split.
        domain: One of `DOMAINS`.
        classes: "colour shape" each; none: those held out.
        seed: Decides all; another split, class or number has other pictures.
    """
    for split, count in counts.items():
        for name in classes or held_out():
            folder = out / split / name
            folder.mkdir(parents=True, exist_ok=True)
            colour, shape = name.split()
            for number in range(count):
                key = f"{seed}/{split}/{name}/{domain}/{number}"
                rng = np.random.default_rng(zlib.crc32(key.encode()))
                scene = draw_scene(rng, colour, shape, domain)
                Image.fromarray(picture(rng, scene, domain)).save(folder / f"{number:04d}.png")


def main() -> None:
    """Write the folders that the tables of docs/learned-prompts.md are made on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=32, help="pictures of each class")
    parser.add_argument("--val", type=int, default=8)
    parser.add_argument("--test", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    counts = {"train": told.train, "val": told.val, "test": told.test}
    for domain in DOMAINS:
        write_classes(told.out / domain, counts, domain=domain, seed=told.seed)
        print(f"{told.out / domain}: {len(held_out())} classes")


if __name__ == "__main__":
    main()
