"""Journeys of a person who marks: tools, zoom, keys alone, large pictures; no stroke is lost."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.app.conftest import (
    App,
    answered,
    drag,
    folder_of,
    get,
    marks,
    open_id,
    opened,
    place,
    saved,
    scene,
    shown,
    until,
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.browser]
Serve = Callable[..., App]


def test_keys_of_classes_and_undo_over_tools(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 2)))
    page.click("#add-class")
    page.fill("#class-name", "leaf")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("#class-list li:nth-child(3)")
    page.locator("#stage").focus()
    one = open_id(page)
    page.keyboard.press("1")
    drag(page, (80, 80), (100, 80))
    page.keyboard.press("2")
    page.keyboard.press("r")
    drag(page, (200, 100), (260, 160))
    page.keyboard.press("0")
    page.keyboard.press("l")
    drag(page, (20, 180), (60, 180), (60, 220), (20, 220))
    page.keyboard.press("2")
    page.keyboard.press("p")
    for corner in ((120, 20), (160, 20), (160, 60)):
        page.mouse.click(*place(page, *corner))
    page.keyboard.press("Enter")
    saved(page)
    drawn = marks(page, one)
    at = [drawn.getpixel(point) for point in ((90, 80), (230, 130), (40, 200), (150, 30), (5, 5))]
    assert at == [1, 2, 0, 2, 255]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    saved(page)
    drawn = marks(page, one)
    assert [drawn.getpixel(point) for point in ((40, 200), (150, 30), (230, 130))] == [255, 255, 2]
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("e")
    drag(page, (70, 80), (110, 80))
    saved(page)
    drawn = marks(page, one)
    assert [drawn.getpixel(point) for point in ((40, 200), (90, 80))] == [0, 255]


def test_three_candidates(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 1)))
    one = open_id(page)
    page.keyboard.press("c")
    page.mouse.click(*place(page, 80, 84))
    hint = page.locator("#hint")
    until(page, "document.getElementById('hint').textContent.includes('Mask 1 of 3')")
    page.keyboard.press("Tab")
    assert "Mask 2 of 3" in hint.text_content()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert "Mask 1 of 3" in hint.text_content()
    page.keyboard.press("Enter")
    saved(page)
    assert marks(page, one).getpixel((80, 84)) == 1
    assert get(page, f"/images/{one}/edits")["undo"] == 1


def test_no_stroke_is_lost_by_a_reload_or_a_killed_server(
    page: Any, serve: Serve, tmp_path: Path
) -> None:
    app = serve(folder_of(tmp_path / "photos", 1))
    opened(page, app)
    one = open_id(page)
    page.uncheck("#live")
    page.keyboard.press("[")
    for line in range(3):
        drag(page, (40, 30 + 20 * line), (120, 30 + 20 * line))
    app.kill()
    for line in range(3, 6):
        drag(page, (40, 30 + 20 * line), (120, 30 + 20 * line))
    assert "to save" in page.text_content("#saved")
    app.start()
    saved(page)
    assert get(page, f"/images/{one}/edits")["undo"] == 6
    app.kill()
    drag(page, (200, 40), (260, 40))
    app.start()
    page.reload()
    shown(page)
    until(
        page,
        "fetch('/v1/images/' + document.querySelector('.tile').dataset.id +"
        " '/edits').then(r => r.json()).then(all => all.undo === 7)",
    )
    drawn = marks(page, one)
    assert [drawn.getpixel((80, 30 + 20 * line)) for line in range(6)] == [1] * 6
    assert drawn.getpixel((230, 40)) == 1


def test_a_stroke_that_is_not_finished(page: Any, serve: Serve, tmp_path: Path) -> None:
    """The page is left, then the server dies, while the pointer is down."""
    app = serve(folder_of(tmp_path / "photos", 1))
    opened(page, app)
    one = open_id(page)
    page.uncheck("#live")
    drag(page, (40, 40), (120, 40))
    saved(page)
    page.mouse.move(*place(page, 40, 120))
    page.mouse.down()
    page.mouse.move(*place(page, 120, 120), steps=4)
    page.reload()
    shown(page)
    page.mouse.up()
    assert get(page, f"/images/{one}/edits")["undo"] == 1
    drag(page, (40, 200), (120, 200))
    saved(page)
    page.mouse.move(*place(page, 200, 40))
    page.mouse.down()
    page.mouse.move(*place(page, 230, 40), steps=4)
    app.kill()
    page.mouse.move(*place(page, 260, 40), steps=4)
    page.mouse.up()
    assert "1 to save" in page.text_content("#saved")
    app.start()
    saved(page)
    drawn = marks(page, one)
    at = [drawn.getpixel(point) for point in ((80, 40), (80, 120), (80, 200), (210, 40), (250, 40))]
    assert at == [1, 255, 1, 1, 1]


def test_zoom_lock_and_fill(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 1)))
    one = open_id(page)
    page.uncheck("#live")
    page.fill("#size", "10")
    page.keyboard.press("l")
    drag(page, (40, 40), (200, 40), (200, 200), (40, 200))
    page.keyboard.press("0")
    page.keyboard.press("f")
    page.mouse.click(*place(page, 300, 20))
    saved(page)
    drawn = marks(page, one)
    assert [drawn.getpixel(point) for point in ((120, 120), (20, 20), (300, 220))] == [1, 0, 0]
    # What is locked stays as it is; the ground beside it does not.
    page.click("#class-list [aria-label^='Lock']")
    page.wait_for_selector("#class-list [aria-label^='Lock'][aria-pressed=true]")
    page.keyboard.press("e")
    drag(page, (120, 120), (300, 120))
    saved(page)
    drawn = marks(page, one)
    assert [drawn.getpixel(point) for point in ((130, 120), (250, 120))] == [1, 255]
    # The wheel zooms about the pointer: what is under it stays, so a dab lands where it points.
    page.keyboard.press("b")
    middle = place(page, 250, 100)
    page.mouse.move(*middle)
    page.mouse.wheel(0, -900)
    page.mouse.wheel(0, -300)
    page.mouse.click(*middle)
    page.mouse.click(middle[0] + 40, middle[1])
    saved(page)
    drawn = marks(page, one)
    assert [drawn.getpixel(point) for point in ((250, 100), (252, 100))] == [0, 0]
    scale = page.evaluate("Konva.stages[0].scaleX()")
    assert scale > 4
    assert get(page, f"/images/{one}/edits")["strokes"][-1]["points"][0] == pytest.approx(
        [250 + 40 / scale, 100], abs=1
    )
    page.keyboard.press("v")
    assert page.evaluate("Konva.stages[0].scaleX()") < scale
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Shift")
    until(page, "Number(document.getElementById('size').value) > 10")


def test_by_keyboard_only(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 2)))
    one = open_id(page)
    assert goes_to(page, "stage")
    # The thing, from the middle of the picture to the left, then a stroke of ground below.
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(" ")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press(" ")
    page.keyboard.press("0")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press(" ")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press(" ")
    saved(page)
    assert marks(page, one).getpixel((145, 120)) == 1
    assert has_ground(page, one)
    page.keyboard.press("Control+z")
    saved(page)
    assert not has_ground(page, one)
    page.keyboard.press("Control+Shift+z")
    saved(page)
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    assert "undo" in page.text_content("dialog")
    page.keyboard.press("Escape")
    answered(page, 2)
    page.keyboard.press("j")
    other = open_id(page)
    assert other != one
    shown(page)
    page.keyboard.press("a")
    page.wait_for_selector(f".tile[data-id='{other}'] .badge.accepted")
    assert goes_to(page, "open-export")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    with page.expect_download() as download:
        assert goes_to(page, "", "document.activeElement.type === 'submit'")
        page.keyboard.press("Enter")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "coco/annotations.json" in archive.namelist()


def has_ground(page: Any, identity: str) -> bool:
    return 0 in [value for _, value in marks(page, identity).getcolors()]


def goes_to(page: Any, identity: str, reached: str = "") -> bool:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        if page.evaluate(reached or f"document.activeElement.id === '{identity}'"):
            return True
        page.keyboard.press("Tab")
    return False


def test_a_picture_of_24_megapixels(page: Any, serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    size = (6000, 4000)
    for name, discs in (("large.jpg", 2), ("other.jpg", 3)):
        scene(folder / name, discs, size=size)
    opened(page, serve(folder))
    page.fill("#size", "300")
    drag(page, (1400, 1400), (1800, 1400), size=size)
    page.keyboard.press("0")
    drag(page, (600, 3600), (5400, 3600), size=size)
    saved(page)
    drawn = marks(page, open_id(page))
    assert drawn.size == size
    assert drawn.getpixel((1600, 1400)) == 1
    assert drawn.getpixel((1600, 1620)) == 255
    answered(page, 2)
    page.keyboard.press("j")
    shown(page)
    address = f"{page.url.rstrip('/')}/v1/images/{open_id(page)}/answer"
    assert picture(page.request.get(address)).size == size
    assert "sure" in page.text_content("#this-facts")


def picture(reply: Any) -> Image.Image:
    return Image.open(io.BytesIO(reply.body()))
