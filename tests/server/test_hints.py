"""Hints of colour in a project: an image is answered by its own."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from tests.server.pages import ANY, Page

from vicl.server.project import Project
from vicl.tasks.colour_hints import Dab, colorize

RED, BLUE = [200, 40, 40], [40, 60, 220]


def dab(page: Page, image: str, x: float, y: float, colour: object) -> None:
    reply = page.stroke(image, None, [[x, y]], tool="hint", size=5, colour=colour)
    assert reply.status_code == 200, reply.text


def answered(page: Page, image: str) -> np.ndarray:
    assert (
        page.client.post("/v1/answers", json={"scope": "open", "image": image}).status_code == 202
    )
    page.wait(lambda: not item(page, image)["stale"] and item(page, image)["answer_revision"])
    return page.answer(image)


def item(page: Page, image: str) -> dict[str, Any]:
    listed = page.client.get("/v1/images").json()["items"]
    return next(one for one in listed if one["id"] == image)


def test_hints_answer_their_image_and_are_undone(page: Page) -> None:
    page.change(task="colorization")
    one = page.id("p1.png")
    dab(page, one, 20, 20, RED)
    dab(page, one, 50, 5, BLUE)
    assert item(page, one)["hinted"]
    assert not item(page, one)["marked"]
    both = answered(page, one)
    hints = [Dab(20, 20, (200, 40, 40), 5), Dab(50, 5, (40, 60, 220), 5)]
    assert np.array_equal(both, np.asarray(colorize(page.folder / "p1.png", hints)))
    page.step(one, "undo")
    assert item(page, one)["stale"]
    first = answered(page, one)
    assert np.array_equal(first, np.asarray(colorize(page.folder / "p1.png", hints[:1])))
    page.step(one, "redo")
    assert np.array_equal(answered(page, one), both)
    page.step(one, "clear")
    gone = item(page, one)
    assert (gone["hinted"], gone["answer_revision"]) == (False, None)
    assert page.client.get(f"/v1/images/{one}/answer").status_code == 404
    reply = page.client.post("/v1/answers", json={"scope": "open", "image": one})
    assert reply.status_code == 409
    page.step(one, "undo")
    assert np.array_equal(answered(page, one), both)


def test_a_hinted_image_becomes_an_example_and_stays_one_as_it_changes(page: Page) -> None:
    page.change(task="colorization")
    one, other = page.id("p1.png"), page.id("p2.png")
    dab(page, one, 20, 20, RED)
    assert page.status(one, example=True).json()["output"]
    made = page.answer(one)
    output = page.client.get(f"/v1/images/{one}/output").content
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(output))), made)
    # The floor `copy` answers with the example's output.
    assert np.array_equal(answered(page, other), made)
    dab(page, one, 50, 5, BLUE)
    changed = answered(page, one)
    assert not np.array_equal(changed, made)
    assert np.array_equal(answered(page, other), changed)


def test_hints_are_kept_and_exported(page: Page) -> None:
    page.change(task="colorization")
    one = page.id("p1.png")
    dab(page, one, 20, 20, RED)
    line = json.loads((page.project.place / "images" / one / "strokes.jsonl").read_text())
    assert (line["tool"], line["colour"]) == ("hint", RED)
    zipped = page.client.post("/v1/export", json={"formats": ["masks"]})
    assert zipped.status_code == 200, zipped.text
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        (name,) = archive.namelist()
        picture = np.asarray(Image.open(io.BytesIO(archive.read(name))))
    assert np.array_equal(picture, page.answer(one))
    page.project.close()
    again = Project(page.project.place)
    assert again.is_hinted(one)
    assert again.edits(one).hints()[0].colour == (200, 40, 40)
    again.close()


def test_hints_change_no_marks_and_no_other_task(page: Page) -> None:
    one = page.id("p1.png")
    page.stroke(one, 1, [[20, 20]])
    before = page.marks(one)
    dab(page, one, 20, 20, RED)
    assert np.array_equal(page.marks(one), before)
    assert not item(page, one)["hinted"]
    page.change(task="colorization")
    assert item(page, one)["hinted"]


@pytest.mark.parametrize(
    "body",
    [
        {"points": [[1, 1]]},
        {"points": [], "colour": RED},
        {"points": [[1, 1]], "colour": [1, 2, 256]},
        {"points": [[1, 1]], "colour": [1, 2]},
    ],
)
def test_a_hint_that_is_none_is_refused(still: Page, body: dict[str, object]) -> None:
    one = still.id("p1.png")
    sent = {"op": "stroke", "class": None, "tool": "hint", **body}
    assert still.client.post(f"/v1/images/{one}/edits", json=sent, headers=ANY).status_code == 422
