"""Detection in a project: boxes as examples, as answers, corrected, and exported."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi")

from tests.cli.test_cli import vicl
from tests.server.pages import Page

LEAF = {"id": 2, "name": "leaf", "colour": [0, 99, 0], "key": "2"}
DISC = {"id": 1, "name": "disc", "colour": [200, 0, 0], "key": "1"}


def boxes(page: Page, image: str) -> list[tuple[int, list[float]]]:
    return [(one.class_, list(one.box)) for one in page.project.edits(image).boxes()]


def answered(page: Page, image: str) -> list[tuple[int, list[float]]]:
    asked = page.client.post("/v1/answers", json={"scope": "open", "image": image})
    assert asked.status_code == 202, asked.text
    page.wait(lambda: not item(page, image)["stale"] and item(page, image)["answer_revision"])
    facts = page.client.get(f"/v1/images/{image}/answer.json").json()
    return [(one["class"], one["box"]) for one in facts["boxes"]]


def item(page: Page, image: str) -> dict[str, Any]:
    listed = page.client.get("/v1/images").json()["items"]
    return next(one for one in listed if one["id"] == image)


def teach(page: Page) -> str:
    """Two boxes of one class on the first image, one of another: an example."""
    page.change(task="detection", classes=[DISC, LEAF])
    one = page.id("p1.png")
    page.stroke(one, 1, [[30, 30], [10, 10]], tool="box")
    page.stroke(one, 1, [[40, 2], [50, 9]], tool="box")
    page.stroke(one, 2, [[-5, 30], [8, 45]], tool="box")
    assert page.status(one, example=True).json()["marked"]
    return one


def test_boxes_count_and_are_taken_away(page: Page) -> None:
    one = teach(page)
    first, second = (1, [10, 10, 30, 30]), (1, [40, 2, 50, 9])
    leaf = (2, [0, 30, 8, 40])
    assert boxes(page, one) == [first, second, leaf]
    page.stroke(one, 1, [[5, 5], [5.5, 20]], tool="box")  # narrower than a pixel: none
    page.stroke(one, None, [[15, 15], [25, 25]], tool="box")
    assert boxes(page, one) == [second, leaf]
    page.step(one, "undo")
    assert boxes(page, one) == [first, second, leaf]
    page.step(one, "clear")
    assert boxes(page, one) == []
    assert not item(page, one)["marked"]


def test_an_example_without_boxes_is_refused_and_a_score_no_number(page: Page) -> None:
    page.change(task="detection", classes=[DISC, LEAF])
    two = page.id("p2.png")
    refused = page.status(two, example=True)
    assert (refused.status_code, page.status(two, status="nothing", example=True).status_code) == (
        409,
        200,
    )
    assert "p2.png: has no boxes" in refused.json()["detail"]
    box = {"class": 1, "box": [1, 1, 9, 9], "score": "nan"}
    assert page.stroke(two, None, [], tool="answer", boxes=[box]).status_code == 422


def test_boxes_answer_the_others_and_are_taken_to_correct(page: Page) -> None:
    teach(page)
    two = page.id("p2.png")
    # The floor `copy` answers with the example's boxes; largest first.
    found = answered(page, two)
    assert found == [(1, [10, 10, 30, 30]), (1, [40, 2, 50, 9]), (2, [0, 30, 8, 40])]
    ids = page.answer(two)
    assert (ids[20, 20], ids[35, 4], ids[20, 50]) == (1, 2, 0)
    page.step(two, "take-answer")
    assert boxes(page, two) == found
    page.stroke(two, None, [[0, 25], [10, 45]], tool="box")
    page.stroke(two, 2, [[30, 20], [44, 38]], tool="box")
    assert boxes(page, two) == [*found[:2], (2, [30, 20, 44, 38])]
    assert page.project.edits(two).boxes()[0].score == 1


@pytest.mark.slow
def test_an_export_is_what_vicl_predict_writes(page: Page, tmp_path: Path) -> None:
    teach(page)
    formats = {"masks": "png", "coco": "coco", "yolo": "yolo", "voc": "voc"}
    wish = {"formats": [*formats], "which": "accepted", "prompt": True}
    for name in ("p2.png", "below/p3.png"):
        page.status(page.id(name), status="accepted")
    reply = page.client.post("/v1/export", json=wish)
    assert reply.status_code == 200, reply.text
    packed = zipfile.ZipFile(io.BytesIO(reply.content))
    prompt = tmp_path / "p.vicl"
    prompt.write_bytes(packed.read("prompt.vicl"))
    photos = page.folder
    (photos / "p1.png").rename(tmp_path / "p1.png")
    (photos / "broken.jpg").unlink()
    (photos / "vicl-project").rename(tmp_path / "project")
    for name, format in formats.items():
        out = tmp_path / name
        given = ("--prompt", str(prompt), "--format", format, "-o", f"{out}/")
        done = vicl("predict", str(photos), *given)
        assert done.exit_code == 0, done.output
        files = {
            f"{name}/{file.relative_to(out).as_posix()}": file.read_bytes()
            for file in out.rglob("*")
            if file.is_file() and file.name != ".vicl-outputs"
        }
        assert files == {n: packed.read(n) for n in packed.namelist() if n.startswith(name + "/")}
        assert len(files) >= 1


def test_corrected_boxes_are_exported_and_nothing_is_nothing(page: Page) -> None:
    teach(page)
    two, three = page.id("p2.png"), page.id("below/p3.png")
    page.stroke(two, 2, [[30, 20], [44, 38]], tool="box")
    page.status(three, status="nothing")
    wish = {"formats": ["coco", "labelme", "overlays"], "which": "all"}
    reply = page.client.post("/v1/export", json=wish)
    assert reply.status_code == 200, reply.text
    packed = zipfile.ZipFile(io.BytesIO(reply.content))
    name = next(n for n in packed.namelist() if n.startswith("coco/"))
    coco = json.loads(packed.read(name))
    by_name = {one["id"]: one["file_name"] for one in coco["images"]}
    found = [(by_name[a["image_id"]], a["category_id"], a["bbox"]) for a in coco["annotations"]]
    assert ("p2.png", 2, [30, 20, 14, 18]) in found
    assert [n for n, *_ in found].count("p2.png") == 1
    assert [n for n, *_ in found].count("p1.png") == 3
    assert "below/p3.png" not in [n for n, *_ in found]
    refused = page.client.post("/v1/export", json={"formats": ["indexed"]})
    assert refused.status_code == 409
    assert "boxes, not masks" in refused.json()["detail"]


@pytest.mark.slow
def test_a_prompt_file_of_boxes_comes_back(page: Page) -> None:
    one = teach(page)
    prompt = page.client.get("/v1/prompt").content
    before = boxes(page, one)
    page.status(one, example=False)
    reply = page.client.post("/v1/prompt", files={"file": ("p.vicl", prompt)})
    assert reply.status_code == 201, reply.text
    (found,) = [item["id"] for item in reply.json()["items"]]
    assert sorted(boxes(page, found)) == sorted(before)
    assert page.project.file.task == "detection"


@pytest.mark.parametrize("kind", ["examples", "answers"])
def test_boxes_of_other_tools_are_imported(page: Page, kind: str) -> None:
    page.change(task="detection", classes=[DISC])
    coco = {
        "images": [{"id": 1, "file_name": "p1.png", "width": 60, "height": 40}],
        "categories": [{"id": 4, "name": "disc"}, {"id": 9, "name": "new"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 4, "bbox": [10, 12, 20, 8]},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": [40, 2, 10, 7]},
        ],
    }
    labelme = {"shape_type": "rectangle", "label": "new", "points": [[1, 2], [9, 12]]}
    whole = {"imagePath": "p3.png", "imageWidth": 60, "imageHeight": 40, "shapes": [labelme]}
    files = [
        ("files", ("all.json", json.dumps(coco).encode())),
        ("files", ("p2.txt", b"0 0.5 0.5 0.1 0.5\n")),
        ("files", ("p3.json", json.dumps(whole).encode())),
    ]
    reply = page.client.post(f"/v1/import?as={kind}", files=files)
    assert reply.status_code == 201, reply.text
    assert (len(reply.json()["items"]), reply.json()["left_out"]) == (3, [])
    ids = {one["name"]: one["id"] for one in page.client.get("/v1/project").json()["classes"]}
    one, two, three = page.id("p1.png"), page.id("p2.png"), page.id("below/p3.png")

    def found(image: str) -> list[tuple[int, list[float]]]:
        if kind == "examples":
            assert page.project.status(image).example
            return boxes(page, image)
        facts = page.client.get(f"/v1/images/{image}/answer.json").json()
        return [(box["class"], box["box"]) for box in facts["boxes"]]

    assert found(one) == [(ids["disc"], [10, 12, 30, 20]), (ids["new"], [40, 2, 50, 9])]
    assert found(two) == [(ids["disc"], [27, 10, 33, 30])]
    assert found(three) == [(ids["new"], [1, 2, 9, 12])]


def test_an_import_of_no_boxes_is_nothing_and_a_mask_is_refused(page: Page) -> None:
    page.change(task="detection", classes=[DISC])
    two = page.id("p2.png")
    mask = io.BytesIO()
    Image.new("L", (60, 40)).save(mask, "PNG")
    files = [("files", ("p2.txt", b"")), ("files", ("p1.png", mask.getvalue()))]
    reply = page.client.post("/v1/import?as=examples", files=files).json()
    assert [one["id"] for one in reply["items"]] == [two]
    assert (page.project.status(two).status, page.project.status(two).example) == ("nothing", True)
    assert "takes boxes" in reply["left_out"][0]
    page.change(task="colorization")
    assert page.client.post("/v1/import", files=files).status_code == 409
