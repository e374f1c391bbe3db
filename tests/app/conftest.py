"""A real browser over a real server: Chromium, driven by Playwright (extra `vicl[browser]`)."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
WAIT = 240
"""Seconds: for states alone, which come late where the machine has other work."""


def scene(path: Path, discs: int, *, size: tuple[int, int] = (320, 240)) -> Path:
    """Orange discs on green: what the page's tests mark and have answered."""
    width, height = size
    image = Image.new("RGB", size, (70, 120, 60))
    draw = ImageDraw.Draw(image)
    for x in range(0, width, max(width // 20, 1)):
        draw.line([(x, 0), (width - x, height)], fill=(60, 105, 52), width=max(width // 200, 1))
    radius = height // 6
    for disc in range(discs):
        left, top = (0.25 + 0.25 * disc) * width, (0.35 + 0.2 * (disc % 2)) * height
        box = (left - radius, top - radius, left + radius, top + radius)
        draw.ellipse(box, fill=(225, 120, 30))
    image.save(path)
    return path


def folder_of(path: Path, count: int = 4) -> Path:
    """A folder of scenes a.png, b.png, ..."""
    path.mkdir(parents=True, exist_ok=True)
    for place in range(count):
        scene(path / f"{place:03}.png", 1 + place % 3)
    return path


@dataclass
class App:
    """A running `vicl app`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = field(default=())

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [sys.executable, "-m", "vicl", "app", str(self.folder), "--no-browser"]
        with (self.folder.parent / "app.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *self.options], stdout=log, stderr=log
            )
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, (self.folder.parent / "app.log").read_text()
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        """At once, as a crash would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Starts `vicl app` over a folder; what was started ends with the test."""
    pytest.importorskip("fastapi", reason="the app's server needs vicl[app]")
    started = []

    def start(folder: Path, *options: str) -> App:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        app = App(folder, port, options=options)
        started.append(app)
        app.start()
        return app

    yield start
    for app in started:
        app.kill()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser; skips where Playwright or Chromium is absent."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs vicl[browser]")
    path = os.environ.get("VICL_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("Chromium is not here (Debian's package `chromium`, or VICL_CHROMIUM=path)")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path, args=list(SWITCHES), timeout=WAIT * 1000
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of 1280 × 720 that allows no error of its own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(WAIT * 1000)
    yield page
    context.close()
    assert not errors, errors


def opened(page: Any, app: App) -> Any:
    """The page of the app, with its first image in the view."""
    page.goto(app.address)
    shown(page)
    return page


def shown(page: Any) -> None:
    """Wait until the open image's picture, marks and answer are in the view."""
    until(page, "document.querySelector('#stage')?.ariaBusy === 'false'")
    page.wait_for_selector(".tile[aria-current=true]")


def until(page: Any, expression: str, arg: Any = None) -> None:
    """Wait until JavaScript is true (Playwright's own way needs `eval`, which the page forbids)."""
    end = time.monotonic() + WAIT
    while not page.evaluate(expression, arg):
        if time.monotonic() >= end:
            seen = page.evaluate(
                "[document.readyState, document.querySelector('#stage')?.ariaBusy,"
                " document.querySelector('#notes')?.textContent,"
                " performance.getEntriesByType('resource').map((one) => one.name)]"
            )
            raise AssertionError(f"never came true: {expression}; the page: {seen}")
        page.wait_for_timeout(50)


def place(page: Any, x: float, y: float, size: tuple[int, int] = (320, 240)) -> tuple[float, float]:
    """Where on the screen a pixel of the open image is, as fitted (`View.fit`)."""
    box = page.locator("#stage").bounding_box()
    scale = min((box["width"] - 48) / size[0], (box["height"] - 48) / size[1], 8)
    left = box["x"] + (box["width"] - size[0] * scale) / 2
    top = box["y"] + (box["height"] - size[1] * scale) / 2
    return left + x * scale, top + y * scale


def drag(page: Any, *points: tuple[float, float], size: tuple[int, int] = (320, 240)) -> None:
    """Press at the first pixel of the image, go over the others, let go."""
    page.mouse.move(*place(page, *points[0], size))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point, size), steps=4)
    page.mouse.up()


def saved(page: Any) -> None:
    """Wait until the server has everything."""
    until(page, "document.getElementById('saved').textContent === 'Saved'")


def get(page: Any, path: str) -> Any:
    """What the API says, as the page would hear it."""
    return page.evaluate("path => fetch('/v1' + path).then(reply => reply.json())", path)


def open_id(page: Any) -> str:
    name: str = page.locator(".tile[aria-current=true]").get_attribute("data-id")
    return name


def marks(page: Any, identity: str) -> Image.Image:
    """The index mask of an image's marks."""
    address = page.url.split("?")[0].rstrip("/") + f"/v1/images/{identity}/marks"
    return Image.open(io.BytesIO(page.request.get(address).body()))


def paint_example(page: Any) -> None:
    """The disc of the first scene in class 1, a stroke of ground beside it."""
    drag(page, (65, 84), (95, 84), (80, 100))
    page.keyboard.press("0")
    drag(page, (30, 200), (290, 200))
    page.keyboard.press("1")
    saved(page)


def answered(page: Any, count: int) -> None:
    """Wait until as many images have an answer by the prompt as it is, as long as more come."""
    known, end = -1, 0.0
    while True:
        listed = get(page, "/images?sort=name&offset=0&limit=500")["items"]
        now = sum(bool(one["answer_revision"]) and not one["stale"] for one in listed)
        if now >= count:
            return
        if now > known:
            known, end = now, time.monotonic() + WAIT
        assert time.monotonic() < end, f"{now} of {count} answers came"
        page.wait_for_timeout(50)
