"""Journeys of a person who judges, and of what comes in: verdicts, looks, samples, files."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tests.app.conftest import (
    App,
    answered,
    folder_of,
    get,
    open_id,
    opened,
    paint_example,
    scene,
    shown,
    until,
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.browser]
Serve = Callable[..., App]


def count_answered(page: Any) -> int:
    items = get(page, "/images?sort=name&offset=0&limit=500")["items"]
    return sum(item["answer_revision"] is not None for item in items)


def test_stop_and_answer_now(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 40)))
    page.uncheck("#live")
    paint_example(page)
    assert count_answered(page) == 0
    page.keyboard.press("u")
    page.wait_for_selector("#cancel:not([hidden])")
    answered(page, 2)
    page.click("#cancel")
    page.wait_for_selector("#cancel", state="hidden")
    # What was begun may still come; what was not begun does not.
    stopped = count_answered(page)
    page.wait_for_timeout(5000)
    assert count_answered(page) <= min(stopped + 1, 39)
    page.click("[data-act=once]")
    answered(page, 40)
    until(page, "document.getElementById('progress-text').textContent.includes('answered')")


def test_verdicts_and_ways_to_look(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 5)))
    paint_example(page)
    answered(page, 4)
    page.select_option("#sort", "unsure")
    order = [one["id"] for one in get(page, "/images?sort=unsure")["items"]]
    shown_order = "[...document.querySelectorAll('.tile')].map(one => one.dataset.id).join()"
    until(page, f"order => {shown_order} === order", ",".join(order))
    page.keyboard.press("j")
    one = ""
    for key, badge in (("s", "skipped"), ("x", "rejected"), ("n", "nothing"), ("a", "accepted")):
        # The badge may come before the page goes on to the next image.
        until(
            page,
            "one => document.querySelector('.tile[aria-current=true]')?.dataset.id !== one",
            one,
        )
        shown(page)
        one = open_id(page)
        page.keyboard.press(key)
        page.wait_for_selector(f".tile[data-id='{one}'] .badge.{badge}")
    counts = get(page, "/project")["counts"]
    assert [counts[name] for name in ("skipped", "rejected", "nothing", "accepted")] == [1] * 4
    shown(page)
    for look in ("contours", "confidence", "side", "none", "overlay"):
        page.keyboard.press("t")
        assert page.input_value("#look") == look
        assert page.locator("#side").is_visible() == (look == "side")
    page.keyboard.press("o")
    assert page.input_value("#look") == "none"
    page.click("#theme")
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    shown(page)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.locator(".badge.accepted").count() == 1
    until(page, "/^\\d answered$/.test(document.getElementById('progress-text').textContent)")


def test_an_empty_folder_a_sample_and_dropped_files(
    page: Any, serve: Serve, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    page.goto(serve(folder).address)
    page.click("#empty .sample >> nth=0")
    shown(page)
    answered(page, 1)
    before = page.locator(".tile").count()
    files = {
        "fine.png": base64.b64encode(scene(tmp_path / "fine.png", 2).read_bytes()).decode(),
        "torn.png": base64.b64encode(b"\x89PNG\r\n\x1a\nno more").decode(),
    }
    page.evaluate(
        """files => {
            const data = new DataTransfer();
            for (const [name, base64] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
                data.items.add(new File([bytes], name, { type: 'image/png' }));
            }
            for (const kind of ['dragenter', 'dragover', 'drop'])
                document.body.dispatchEvent(
                    new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        files,
    )
    until(page, "count => document.querySelectorAll('.tile').length === count", before + 1)
    page.wait_for_selector("#notes >> text=torn.png")


def test_masks_come_in_as_examples(page: Any, serve: Serve, tmp_path: Path) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 3)))
    mask = Image.new("L", (320, 240))
    ImageDraw.Draw(mask).ellipse((40, 44, 120, 124), fill=255)
    mask.save(tmp_path / "000.png")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.write(tmp_path / "000.png", "000.png")
    page.click("#open-import")
    page.locator("dialog input[accept*='.zip']").first.set_input_files(tmp_path / "masks.zip")
    until(page, "document.querySelector('dialog [role=status]').textContent === 'Done.'")
    page.keyboard.press("Escape")
    page.wait_for_selector(".badge.example")
    answered(page, 2)
