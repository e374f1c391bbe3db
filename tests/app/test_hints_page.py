"""Colour hints in the browser; fingers and a pen on the page."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.app.conftest import App, get, open_id, opened, place, saved, until

pytestmark = [pytest.mark.slow, pytest.mark.browser]
Serve = Callable[..., App]


def gray_folder(path: Path, count: int = 3) -> Path:
    """Gray scenes: a dark disc on a bright ground."""
    path.mkdir()
    y, x = np.mgrid[:240, :320]
    for number in range(count):
        gray = np.full((240, 320), 170, np.uint8)
        gray[(y - 120) ** 2 + (x - 100 - 40 * number) ** 2 < 60**2] = 90
        Image.fromarray(gray).save(path / f"{number:03}.png")
    return path


def dab(page: Any, x: float, y: float) -> None:
    page.mouse.click(*place(page, x, y))
    saved(page)


def picture(page: Any, path: str) -> np.ndarray:
    reply = page.request.get(page.url.split("?")[0].rstrip("/") + "/v1" + path)
    assert reply.ok, reply.text()
    return np.asarray(Image.open(io.BytesIO(reply.body()))).astype(int)


def by_hints(page: Any) -> None:
    until(page, "document.querySelector('#this-facts').textContent.includes('By your hints')")


def fresh(page: Any, identity: str) -> None:
    until(
        page,
        "id => fetch('/v1/images').then(reply => reply.json()).then(all =>"
        " all.items.some(one => one.id === id && one.answer_revision && !one.stale))",
        identity,
    )


def test_colour_hints_from_dab_to_export(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(gray_folder(tmp_path / "photos")))
    page.select_option("#task", "colorization")
    until(
        page, "document.querySelector('[data-tool=hint]').getAttribute('aria-pressed') === 'true'"
    )
    assert page.locator("[data-tool=brush]").is_hidden()
    one = open_id(page)
    page.keyboard.press("4")
    dab(page, 100, 120)
    by_hints(page)
    fresh(page, one)
    red = picture(page, f"/images/{one}/answer")
    assert red[120, 70, 0] > red[120, 70, 2] + 40
    page.keyboard.press("2")
    dab(page, 280, 40)
    fresh(page, one)
    both = picture(page, f"/images/{one}/answer")
    assert both[200, 300, 2] > both[200, 300, 0] + 20
    assert abs(both[120, 70] - red[120, 70]).max() <= 3
    page.keyboard.press("Control+z")
    saved(page)
    fresh(page, one)
    assert np.array_equal(picture(page, f"/images/{one}/answer"), red)
    page.keyboard.press("Control+Shift+z")
    saved(page)
    fresh(page, one)
    assert np.array_equal(picture(page, f"/images/{one}/answer"), both)
    page.keyboard.press("m")
    page.wait_for_selector(f".tile[data-id='{one}'] .badge.example")
    assert np.array_equal(picture(page, f"/images/{one}/output"), both)
    page.keyboard.press("j")
    other = open_id(page)
    fresh(page, other)
    page.keyboard.press("k")
    until(page, "document.querySelector('#this-facts').textContent.includes('An example')")
    page.click("#open-export")
    with page.expect_download() as download:
        page.click("dialog button[type=submit]")
    page.keyboard.press("Escape")
    with zipfile.ZipFile(download.value.path()) as archive:
        name = next(name for name in archive.namelist() if name.endswith("000.png"))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(archive.read(name)))), both)
    page.reload()
    page.wait_for_selector(".tile[aria-current=true]")
    assert len(get(page, f"/images/{one}/edits")["strokes"]) == 2


def test_colour_hints_by_keyboard_and_taken_away(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(gray_folder(tmp_path / "photos", 1)))
    page.select_option("#task", "colorization")
    until(
        page, "document.querySelector('[data-tool=hint]').getAttribute('aria-pressed') === 'true'"
    )
    one = open_id(page)
    page.locator("#stage").focus()
    page.keyboard.press("3")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    page.keyboard.press(" ")
    saved(page)
    by_hints(page)
    (stroke,) = get(page, f"/images/{one}/edits")["strokes"]
    assert (stroke["tool"], stroke["colour"]) == ("hint", [90, 130, 60])
    page.keyboard.press("Delete")
    saved(page)
    until(page, "document.querySelector('#this-facts').textContent.includes('No answer')")
    assert not page.evaluate("fetch('/v1/images').then(r => r.json()).then(a => a.items[0].hinted)")


class Screen:
    """Fingers and a pen on pixels of the image, as the browser hears them from a tablet."""

    def __init__(self, page: Any) -> None:
        self.page, self.browser = page, page.context.new_cdp_session(page)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        at = [place(self.page, *point) for point in points]
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(at)]
        sent = {"type": f"touch{kind}", "touchPoints": fingers}
        self.browser.send("Input.dispatchTouchEvent", sent)

    def pen(self, kind: str, x: float, y: float) -> None:
        across, down = place(self.page, x, y)
        sent = {"type": f"mouse{kind}", "x": across, "y": down, "pointerType": "pen"}
        held = {} if kind == "Moved" else {"button": "left", "clickCount": 1}
        sent |= held | {"buttons": int(kind != "Released")}
        self.browser.send("Input.dispatchMouseEvent", sent)


def strokes(page: Any, identity: str) -> list[list[list[float]]]:
    saved(page)
    return [stroke["points"] for stroke in get(page, f"/images/{identity}/edits")["strokes"]]


def test_fingers_and_a_pen(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(gray_folder(tmp_path / "photos", 1)))
    page.uncheck("#live")
    one = open_id(page)
    screen = Screen(page)
    touch, pen = screen.touch, screen.pen
    # A finger paints.
    touch("Start", (60, 60))
    touch("Move", (90, 60))
    touch("Move", (120, 60))
    touch("End")
    (painted,) = strokes(page, one)
    assert painted[0] == pytest.approx([60, 60], abs=1)
    assert painted[-1] == pytest.approx([120, 60], abs=1)
    # Two fingers zoom and pan, and paint nothing, also where the first had begun to.
    touch("Start", (100, 100))
    touch("Start", (100, 100), (140, 100))
    touch("Move", (80, 100), (160, 100))
    touch("Move", (40, 100), (200, 100))
    touch("End")
    assert len(strokes(page, one)) == 1
    touch("Start", (120, 100))
    touch("Move", (125, 100))
    touch("End")
    zoomed = strokes(page, one)[1]
    assert zoomed[-1][0] - zoomed[0][0] == pytest.approx(5 / 4, rel=0.2)
    page.keyboard.press("v")
    # A pen paints, and a palm that comes down meanwhile neither paints nor stops it.
    pen("Pressed", 60, 160)
    pen("Moved", 100, 160)
    touch("Start", (200, 200))
    touch("Move", (220, 210))
    pen("Moved", 140, 160)
    touch("End")
    pen("Moved", 180, 160)
    pen("Released", 180, 160)
    drawn = strokes(page, one)
    assert len(drawn) == 3
    assert all(y == pytest.approx(160, abs=1) for _, y in drawn[2])
    assert drawn[2][-1][0] == pytest.approx(180, abs=1)
    # From then on one finger pans.
    touch("Start", (100, 100))
    touch("Move", (120, 100))
    touch("Move", (150, 100))
    touch("End")
    assert len(strokes(page, one)) == 3
    pen("Pressed", 100, 100)
    pen("Released", 100, 100)
    moved = strokes(page, one)[3][0]
    assert moved == pytest.approx([50, 100], abs=2)
