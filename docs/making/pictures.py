"""Pictures that are drawn while the site is built: what a page's marks stand for.

A page says `<!-- picture: NAME | What is to be seen -->`; the site shows the picture there, and
the words below it.
"""

from __future__ import annotations

import io
import os.path
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath

from PIL import Image

from making.drawn_explained import EXPLAINED
from making.drawn_gallery import GALLERY

PICTURES: Mapping[str, Callable[[], Image.Image]] = {**EXPLAINED, **GALLERY}
"""By name: what draws a picture."""

_MARK = re.compile(r"^<!-- picture: ([a-z]+) \| (.+?) -->$", re.M)


def marks(text: str) -> Iterator[str]:
    """The names of the pictures that a page shows.

    Raises:
        ValueError: If there is no such picture.
    """
    for found in _MARK.finditer(text):
        if found[1] not in PICTURES:
            raise ValueError(
                f"{found[0]}: no picture is called {found[1]!r}; there are {', '.join(PICTURES)}"
            )
        yield found[1]


def with_pictures(text: str, place: str) -> str:
    """A page of the site with its pictures in the place of their marks."""

    def shown(found: re.Match[str]) -> str:
        file = os.path.relpath(place_of(found[1]), PurePosixPath(place).parent).replace(os.sep, "/")
        return f"[![{found[2]}]({file})]({file})\n\n*{found[2]}.*\n"

    return _MARK.sub(shown, text)


def place_of(name: str) -> str:
    """Where a picture is in the site."""
    return f"pictures/{name}.png"


@cache
def drawn(name: str) -> bytes:
    """A picture as PNG; drawn once."""
    data = io.BytesIO()
    PICTURES[name]().save(data, "PNG", optimize=True)
    return data.getvalue()
