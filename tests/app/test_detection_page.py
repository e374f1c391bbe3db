"""Detection in the browser: boxes, answers, corrections, export."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import App, drag, folder_of, get, open_id, opened, place, saved, until

pytestmark = [pytest.mark.slow, pytest.mark.browser]
Serve = Callable[..., App]


def strokes(page: Any, identity: str) -> list[dict[str, Any]]:
    saved(page)
    found: list[dict[str, Any]] = get(page, f"/images/{identity}/edits")["strokes"]
    return found


def test_boxes_from_the_first_to_export(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 3)))
    page.select_option("#task", "detection")
    until(page, "document.querySelector('[data-tool=box]').getAttribute('aria-pressed') === 'true'")
    assert page.locator("[data-tool=brush]").is_hidden()
    assert "Ground" not in page.text_content("#class-list")
    first = open_id(page)
    drag(page, (39, 43), (121, 125))
    drag(page, (200, 20), (260, 60))
    # One too many: clicked away, and undone, and clicked away again.
    page.keyboard.press("e")
    for again in range(2):
        page.mouse.click(*place(page, 230, 40))
        assert [one["class"] for one in strokes(page, first)] == [1, 1, None]
        if not again:
            page.keyboard.press("Control+z")
            saved(page)
    until(page, "document.querySelectorAll('.badge.example').length === 1")
    until(
        page,
        "fetch('/v1/images').then(reply => reply.json()).then(all =>"
        " all.items.filter(one => one.answer_revision && !one.stale).length === 3)",
    )
    page.keyboard.press("j")
    second = open_id(page)
    until(page, "/object|nothing/.test(document.querySelector('#this-facts').textContent)")
    found = get(page, f"/images/{second}/answer.json")["boxes"]
    assert found
    # A correction takes the answer's boxes first, and makes no example.
    page.keyboard.press("r")
    drag(page, (10, 10), (50, 40))
    taken, added = strokes(page, second)
    assert [one["box"] for one in taken["boxes"]] == [one["box"] for one in found]
    assert (added["tool"], added["class"]) == ("box", 1)
    assert page.locator(f".tile[data-id='{second}'] .badge.example").count() == 0
    page.keyboard.press("m")
    page.wait_for_selector(f".tile[data-id='{second}'] .badge.example")
    assert len(strokes(page, second)) == 2
    page.click("#open-export")
    assert page.locator("dialog input[value=indexed]").count() == 0
    for name in ("yolo", "voc"):
        page.check(f"dialog input[value={name}]")
    with page.expect_download() as download:
        page.click("dialog button[type=submit]")
    page.keyboard.press("Escape")
    with zipfile.ZipFile(download.value.path()) as archive:
        names = archive.namelist()
        coco = json.loads(archive.read(next(n for n in names if n.endswith(".json"))))
    assert {name.split("/")[0] for name in names} == {"masks", "coco", "yolo", "voc", "prompt.vicl"}
    image = next(one["id"] for one in coco["images"] if one["file_name"] == "001.png")
    marked = [one["bbox"] for one in coco["annotations"] if one["image_id"] == image]
    assert len(marked) == len(found) + 1
    assert any(box == pytest.approx([10, 10, 40, 30], abs=1) for box in marked)
