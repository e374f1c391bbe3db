"""Screenshots of the app on the package's photographs, for `docs/app.md`.

    pip install "vicl[app,browser]"     # and Debian's package `chromium`
    python benchmarks/app_screens.py --out docs

starts `vicl app` over a copy, paints one as a person does, waits for the answers, and writes
`app-light.jpg` (1280 x 720) and `app-dark.jpg` (1600 x 1000); over gray copies, dabs four colours
on one, and writes `app-hints.jpg`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

import vicl
from browsing import answered, chromium, opened, saved, screenshot, served, shown, until

if TYPE_CHECKING:
    from collections.abc import Iterable

PHOTOS = ("dandelion_1.jpg", "dandelion_2.jpg", "dandelion_3.jpg", "meadow_1.jpg", "meadow_2.jpg")
GRAY = ("bowl.jpg", "cat.jpg", "coffee.jpg", "dandelion_1.jpg")
DABS = (("5", 0.38, 0.53), ("3", 0.14, 0.26), ("2", 0.86, 0.24), ("4", 0.5, 0.77))
"""The key of a colour, and where on the stage it goes."""


def main() -> None:
    """Make the pictures."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--out", type=Path, default=Path("docs"), help="folder of the pictures")
    given = options.parse_args()
    home = Path(vicl.__file__).parent / "photos"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "Dandelions"  # the page's header says it
        folder.mkdir()
        for name in PHOTOS:
            shutil.copy(home / name, folder / name)
        with served(folder) as app, chromium() as browser:
            for scheme, size in (("light", (1280, 720)), ("dark", (1600, 1000))):
                page = opened(browser, app.address, size, color_scheme=scheme)
                picture = answer_shown(page, paint=scheme == "light")
                picture.save(given.out / f"app-{scheme}.jpg", quality=82)
                print(given.out / f"app-{scheme}.jpg")
        old = Path(place) / "Old photographs"
        old.mkdir()
        for name in GRAY:
            Image.open(home / name).convert("L").save(old / name)
        with served(old) as app, chromium() as browser:
            page = opened(browser, app.address, (1280, 720), color_scheme="light")
            hinted(page).save(given.out / "app-hints.jpg", quality=82)
            print(given.out / "app-hints.jpg")


def hinted(page: Any) -> Image.Image:
    """The page with the first image coloured by hints."""
    page.select_option("#task", "colorization")
    page.wait_for_selector("#hint-part:not([hidden])")
    box = page.locator("#stage").bounding_box()
    for key, x, y in DABS:
        page.keyboard.press(key)
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        saved(page)
    until(page, "document.getElementById('this-facts').textContent.includes('By your hints')")
    until(
        page,
        "fetch('/v1/images').then(reply => reply.json()).then(all =>"
        " all.items[0].answer_revision && !all.items[0].stale)",
    )
    page.reload()  # the last answer in the view, and in its tile
    return drawn(page, 1)


def drawn(page: Any, count: int) -> Image.Image:
    """The page, once the first tiles have their answers."""
    shown(page)
    until(
        page,
        "count => [...document.querySelectorAll('.tile canvas')].slice(0, count)"
        ".every(one => one.width !== 300)",  # as a new canvas is
        count,
    )
    return screenshot(page)


def answer_shown(page: Any, *, paint: bool) -> Image.Image:
    """The page, an answer open; the first image is painted before, if it is not yet."""
    if paint:
        stroke(page, ((0.40, 0.30), (0.62, 0.30), (0.50, 0.50)))
        page.keyboard.press("0")
        stroke(page, ((0.12, 0.20), (0.12, 0.85), (0.30, 0.92)))
        page.keyboard.press("1")
        saved(page)
    answered(page)
    page.keyboard.press("j")
    return drawn(page, 4)


def stroke(page: Any, points: Iterable[tuple[float, float]]) -> None:
    """Drag over the stage; points are shares of it."""
    box = page.locator("#stage").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


if __name__ == "__main__":
    main()
