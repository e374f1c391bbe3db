"""Screenshots of the app on the package's photographs, for `docs/app.md`.

    pip install "vicl[app,browser]"     # and Debian's package `chromium`
    python benchmarks/app_screens.py --out docs

starts `vicl app` over a copy, paints one as a person does, waits for the answers, and writes
`app-light.jpg` (1280 x 720) and `app-dark.jpg` (1600 x 1000); over gray copies, dabs four colours
on one, and writes `app-hints.jpg`.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

import vicl

if TYPE_CHECKING:
    from collections.abc import Iterable

PHOTOS = ("dandelion_1.jpg", "dandelion_2.jpg", "dandelion_3.jpg", "meadow_1.jpg", "meadow_2.jpg")
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WAIT = 120
GRAY = ("bowl.jpg", "cat.jpg", "coffee.jpg", "dandelion_1.jpg")
DABS = (("5", 0.38, 0.53), ("3", 0.14, 0.26), ("2", 0.86, 0.24), ("4", 0.5, 0.77))
"""The key of a colour, and where on the stage it goes."""


def main() -> None:
    """Make the pictures."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--out", type=Path, default=Path("docs"), help="folder of the pictures")
    chromium = os.environ.get("VICL_CHROMIUM") or shutil.which("chromium")
    given = options.parse_args()
    if chromium is None:
        raise SystemExit(
            "Chromium is not here (Debian's package `chromium`, or VICL_CHROMIUM=path)"
        )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit('Playwright is needed: pip install "vicl[browser]"') from None
    home = Path(vicl.__file__).parent / "photos"
    with tempfile.TemporaryDirectory() as place, sync_playwright() as play:
        folder = Path(place) / "photos"
        folder.mkdir()
        for name in PHOTOS:
            shutil.copy(home / name, folder / name)
        server, address = served(folder)
        try:
            browser: Any = play.chromium.launch(executable_path=chromium, args=list(SWITCHES))
            for scheme, size in (("light", (1280, 720)), ("dark", (1600, 1000))):
                view = {"width": size[0], "height": size[1]}
                page = browser.new_context(viewport=view, color_scheme=scheme).new_page()
                picture = shown(page, address, paint=scheme == "light")
                picture.save(given.out / f"app-{scheme}.jpg", quality=82)
                print(given.out / f"app-{scheme}.jpg")
        finally:
            server.terminate()
            server.wait()
        old = Path(place) / "old"
        old.mkdir()
        for name in GRAY:
            Image.open(home / name).convert("L").save(old / name)
        server, address = served(old)
        try:
            view = {"width": 1280, "height": 720}
            page = browser.new_context(viewport=view, color_scheme="light").new_page()
            hinted(page, address).save(given.out / "app-hints.jpg", quality=82)
            print(given.out / "app-hints.jpg")
        finally:
            server.terminate()
            server.wait()


def hinted(page: Any, address: str) -> Image.Image:
    """The page with the first image coloured by hints."""
    page.goto(address)
    page.wait_for_selector(".tile[aria-current=true]")
    page.select_option("#task", "colorization")
    page.wait_for_timeout(1000)
    box = page.locator("#stage").bounding_box()
    for key, x, y in DABS:
        page.keyboard.press(key)
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_timeout(1500)
    page.wait_for_timeout(1500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def served(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A running app over a folder, and its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "vicl", "app", str(folder), "--no-browser"]
    server = subprocess.Popen([*command, "--port", str(port)])
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return server, f"http://127.0.0.1:{port}/"
        time.sleep(0.1)
    server.kill()
    raise SystemExit("the app does not answer")


def shown(page: Any, address: str, *, paint: bool) -> Image.Image:
    """The page, an answer open; the first image is painted before, if it is not yet."""
    page.goto(address)
    page.wait_for_selector(".tile[aria-current=true]")
    page.wait_for_timeout(1000)
    if paint:
        stroke(page, ((0.40, 0.30), (0.62, 0.30), (0.50, 0.50)))
        page.keyboard.press("0")
        stroke(page, ((0.12, 0.20), (0.12, 0.85), (0.30, 0.92)))
        page.keyboard.press("1")
    asked = "fetch('/v1/images?sort=name&offset=0&limit=50').then(reply => reply.json())"
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        items = page.evaluate(asked)["items"]
        if all(one["example"] or (one["answer_revision"] and not one["stale"]) for one in items):
            break
        page.wait_for_timeout(200)
    page.keyboard.press("j")
    page.wait_for_timeout(1500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def stroke(page: Any, points: Iterable[tuple[float, float]]) -> None:
    """Drag over the stage; points are shares of it."""
    box = page.locator("#stage").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    page.wait_for_timeout(300)


if __name__ == "__main__":
    main()
