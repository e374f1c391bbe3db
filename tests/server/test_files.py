from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from tests.cli.test_cli import vicl
from tests.server.pages import Page, draw_folder, open_page

from vicl.server.schemas import ExportFormat


def export(page: Page, *formats: ExportFormat, which: str = "all") -> zipfile.ZipFile:
    wish = {"formats": formats, "which": which, "prompt": True}
    reply = page.client.post("/v1/export", json=wish)
    assert reply.status_code == 200, reply.text
    return zipfile.ZipFile(io.BytesIO(reply.content))


def test_an_export_is_what_vicl_predict_writes(page: Page, tmp_path: Path) -> None:
    page.teach(page.id("p1.png"))
    for name in ("p2.png", "below/p3.png"):
        page.status(page.id(name), status="accepted")
    packed = export(page, "masks", "coco", "yolo", "overlays", which="accepted")
    prompt = tmp_path / "p.vicl"
    prompt.write_bytes(packed.read("prompt.vicl"))
    photos = page.folder
    (photos / "p1.png").rename(tmp_path / "p1.png")
    (photos / "broken.jpg").unlink()
    assert list((photos / "vicl-project").rglob("*.png"))  # which are no photographs
    for name, format in (("masks", "png"), ("coco", "coco"), ("yolo", "yolo")):
        out = tmp_path / name
        more = ["--overlay"] if format == "png" else []
        done = vicl(
            "predict",
            str(photos),
            "--prompt",
            str(prompt),
            "--format",
            format,
            "-o",
            f"{out}/",
            *more,
        )
        assert done.exit_code == 0, done.output
        files = {
            f"{name}/{file.relative_to(out).as_posix()}": file.read_bytes()
            for file in out.rglob("*")
            if file.is_file() and file.name != ".vicl-outputs" and ".overlay" not in file.name
        }
        assert files == {n: packed.read(n) for n in packed.namelist() if n.startswith(name + "/")}
    for name in ("p2", "below/p3"):
        drawn = (tmp_path / "masks" / f"{name}.overlay.png").read_bytes()
        assert packed.read(f"overlays/{name}.overlay.png") == drawn


def test_marks_lie_over_answers_and_some_images_stay_out(page: Page) -> None:
    page.teach(page.id("p1.png"))
    page.stroke(page.id("p2.png"), 0, [[0, 0], [60, 40]], tool="box")
    page.status(page.id("below/p3.png"), status="skipped")
    names = ("masks", "indexed", "per-class", "labelme", "coco-polygons")
    packed = export(page, *names)
    assert not any("p3" in name for name in packed.namelist())
    mask = np.asarray(Image.open(io.BytesIO(packed.read("masks/p2.png"))))
    assert not mask.any()
    mask = np.asarray(Image.open(io.BytesIO(packed.read("masks/p1.png"))))
    index = np.asarray(Image.open(io.BytesIO(packed.read("indexed/p1.png"))))
    one = np.asarray(Image.open(io.BytesIO(packed.read("per-class/1-object/p1.png"))))
    assert (mask == 255 * index).all()
    assert (mask == one).all()
    assert index[20, 20] == 1
    assert json.loads(packed.read("labelme/p1.json"))["imagePath"] == "p1.png"
    assert json.loads(packed.read("coco-polygons/annotations.json"))["images"]
    again = export(page, *names)
    assert {n: again.read(n) for n in again.namelist()} == {
        n: packed.read(n) for n in packed.namelist()
    }


def test_nothing_here_is_exported_as_nothing(page: Page) -> None:
    page.status(page.id("p2.png"), status="nothing")
    packed = export(page, "masks", which="accepted")
    assert not np.asarray(Image.open(io.BytesIO(packed.read("masks/p2.png")))).any()
    assert "prompt.vicl" not in packed.namelist()


def test_what_was_accepted_stays_as_it_was(page: Page) -> None:
    image, other = page.id("p1.png"), page.id("p2.png")
    page.teach(image)
    page.client.post("/v1/answers", json={"scope": "open", "image": other})
    page.wait(lambda: page.project.facts(other) is not None)
    page.status(other, status="accepted")
    before = export(page, "masks").read("masks/p2.png")
    page.stroke(image, 1, [[0, 0], [60, 40]], tool="box")
    assert export(page, "masks").read("masks/p2.png") == before


def test_there_must_be_something_to_export(page: Page) -> None:
    reply = page.client.post("/v1/export", json={"formats": ["masks"]})
    assert reply.status_code == 409
    assert "mark a part of one image" in reply.json()["detail"]
    assert page.client.get("/v1/prompt").status_code == 409
    page.change(task="image")
    reply = page.client.post("/v1/export", json={"formats": ["coco"]})
    assert "are pictures" in reply.json()["detail"]
    assert page.client.post("/v1/export", json={"formats": ["xls"]}).status_code == 422


def test_a_prompt_file_comes_back_as_the_same(page: Page, tmp_path: Path) -> None:
    classes = [
        {"id": 4, "name": "disc", "colour": [255, 0, 0]},
        {"id": 2, "name": "edge", "colour": [0, 0, 255]},
    ]
    page.change(classes=classes, settings={"seed": 3})
    image = page.id("p1.png")
    page.stroke(image, 4, [[20, 20]], size=10)
    page.stroke(image, 2, [[0, 0], [60, 3]], tool="box")
    page.stroke(image, 0, [[40, 20]], size=10)
    page.status(image, example=True)
    data = page.client.get("/v1/prompt").content
    other = open_page(draw_folder(tmp_path / "other"))
    with other.client:
        opened = other.client.post("/v1/prompt", files={"file": ("leaf.vicl", data)})
        assert opened.status_code == 201, opened.text
        (item,) = opened.json()["items"]
        assert item["name"] == "leaf-1.png"
        assert item["example"]
        state = other.client.get("/v1/project").json()
        assert [one["name"] for one in state["classes"]] == ["disc", "edge"]
        assert state["settings"]["seed"] == 3
        assert other.client.get("/v1/prompt").content == data


@pytest.mark.parametrize("kind", ["examples", "answers"])
def test_annotations_are_imported(page: Page, kind: str) -> None:
    page.teach(page.id("p1.png"))
    packed = export(page, "masks", "coco", "labelme", "yolo")
    sent = {
        "mask": ("p2.png", packed.read("masks/p2.png")),
        "labelme": ("p2.json", packed.read("labelme/p2.json")),
        "yolo": ("p2.txt", packed.read("yolo/p2.txt")),
        "coco": ("all.json", packed.read("coco/annotations.json")),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as inner:
        inner.writestr("some/folder/p2.png", sent["mask"][1])
    sent["zip"] = ("all.zip", archive.getvalue())
    expected = np.asarray(Image.open(io.BytesIO(sent["mask"][1]))) // 255
    other = page.id("p2.png")
    for name in sent:
        page.step(other, "clear")
        reply = page.client.post(f"/v1/import?as={kind}", files=[("files", sent[name])])
        assert reply.status_code == 201, (name, reply.text)
        assert other in [one["id"] for one in reply.json()["items"]], name
        found = page.answer(other) if kind == "answers" else page.marks(other)
        ids = [one["id"] for one in page.client.get("/v1/project").json()["classes"]]
        assert set(np.unique(found)) <= {0, *ids}
        assert ((found > 0) == expected).all(), name
        assert page.project.status(other).example is (kind == "examples")


def test_what_is_of_no_image_is_left_out(page: Page) -> None:
    good = io.BytesIO()
    Image.new("L", (60, 40)).save(good, "PNG")
    files = [
        ("files", ("unknown.png", good.getvalue())),
        ("files", ("p1.json", b"{}")),
        ("files", ("p2.png", b"no picture")),
    ]
    reply = page.client.post("/v1/import", files=files).json()
    assert reply["items"] == []
    assert ["unknown.png" in reply["left_out"][0], len(reply["left_out"])] == [True, 3]
    assert not any("/tmp" in said for said in reply["left_out"])


def test_samples_give_a_first_result(page: Page) -> None:
    sets = page.client.get("/v1/samples").json()["samples"]
    assert {"coins_1", "dandelion_1"} <= {one["name"] for one in sets}
    added = page.client.post("/v1/samples", json={"name": "coins_1"}).json()["items"]
    assert [one["name"] for one in added] == ["coins_1.jpg", "coins_2.jpg"]
    assert added[0]["example"]
    assert added[0]["marked"]
    assert page.client.post("/v1/samples", json={"name": "../x"}).status_code == 404
    edges = next(one for one in sets if one["task"] == "edges")
    assert page.client.post("/v1/samples", json={"name": edges["name"]}).status_code == 201
    assert page.client.get("/v1/project").json()["counts"]["examples"] == 1
