"""`vicl app` in a real Chromium, for the benchmarks of the page: needs `vicl[app,browser]`."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WAIT = 600


@dataclass(frozen=True)
class App:
    """A running `vicl app`."""

    process: subprocess.Popen[bytes]
    address: str

    def processor(self) -> float:
        """Seconds of processor time so far."""
        used = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes that it holds now."""
        return resident(self.process.pid)


def resident(process: int) -> int:
    """Bytes of memory that a process holds now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return 1024 * int(found[1]) if found else 0


@contextmanager
def served(folder: Path) -> Iterator[App]:
    """A running app over a folder; it ends with the block."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "vicl", "app", str(folder), "--no-browser"]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise SystemExit("the app does not answer")
        yield App(process, f"http://127.0.0.1:{port}/")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; ends with a sentence where Playwright or Chromium is absent."""
    path = os.environ.get("VICL_CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise SystemExit(
            "Chromium is not here (Debian's package `chromium`, or VICL_CHROMIUM=path)"
        )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit('Playwright is needed: pip install "vicl[browser]"') from None
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path, args=list(SWITCHES), timeout=WAIT * 1000
        )
        yield browser
        browser.close()


def opened(browser: Any, address: str, size: tuple[int, int], **options: Any) -> Any:
    """A page on the app, its first image in the view; size is (width, height)."""
    view = {"width": size[0], "height": size[1]}
    page = browser.new_context(viewport=view, accept_downloads=True, **options).new_page()
    page.set_default_timeout(WAIT * 1000)
    page.goto(address)
    shown(page)
    return page


def until(page: Any, expression: str, arg: Any = None) -> None:
    """Wait until JavaScript is true (Playwright's own way needs `eval`, which the page forbids)."""
    end = time.monotonic() + WAIT
    while not page.evaluate(expression, arg):
        if time.monotonic() > end:
            raise SystemExit(f"never came true: {expression}")
        page.wait_for_timeout(20)


def shown(page: Any) -> None:
    """Wait until the open image's picture, marks and answer are in the view."""
    until(page, "document.querySelector('#stage')?.ariaBusy === 'false'")


def saved(page: Any) -> None:
    """Wait until the server has every stroke."""
    until(page, "document.getElementById('saved').textContent === 'Saved'")


def items(page: Any) -> list[dict[str, Any]]:
    """All images as the API tells them, by name."""
    asked = "fetch('/v1/images?sort=name&offset=0&limit=1000').then(reply => reply.json())"
    found: list[dict[str, Any]] = page.evaluate(asked)["items"]
    return found


def answered(page: Any, image: str | None = None) -> None:
    """Wait until every image that was not judged, or one of them, is answered by the prompt.

    It is given up where none has come for as long as is waited for anything.
    """
    left, end = -1, 0.0
    while True:
        now = sum(
            one["stale"] or not one["answer_revision"]
            for one in items(page)
            if one["status"] == "open" and image in (None, one["id"])
        )
        if not now:
            return
        if now != left:
            left, end = now, time.monotonic() + WAIT
        if time.monotonic() > end:
            raise SystemExit("the answers do not come")
        page.wait_for_timeout(100)


def fetched(page: Any, path: str) -> bytes | None:
    """A file of the API; None where there is none."""
    reply = page.request.get(page.url.split("?")[0].rstrip("/") + path)
    return reply.body() if reply.ok else None


def screenshot(page: Any) -> Image.Image:
    """What a person sees."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


@dataclass(frozen=True)
class Frame:
    """Where the open image is on the screen, as fitted: its corner, and pixels a pixel of it."""

    left: float
    top: float
    scale: float

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where on the screen a pixel of the image is."""
        return self.left + point[0] * self.scale, self.top + point[1] * self.scale


def framed(page: Any, size: tuple[int, int]) -> Frame:
    """Where an image of a size (width, height) is, as `View.fit` of the page lays it."""
    box = page.locator("#stage").bounding_box()
    scale = float(min((box["width"] - 48) / size[0], (box["height"] - 48) / size[1], 8))
    left = box["x"] + (box["width"] - size[0] * scale) / 2
    top = box["y"] + (box["height"] - size[1] * scale) / 2
    return Frame(left, top, scale)
