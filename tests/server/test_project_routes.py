from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from tests.server.pages import ANY, Page, draw_folder, open_page, scene

from vicl.files import FileError
from vicl.server.names import safe_name
from vicl.server.project import Project


def test_a_project_tells_of_its_folder(page: Page) -> None:
    state = page.client.get("/v1/project").json()
    assert state["task"] == "segmentation"
    assert state["engine"] == "copy"
    assert state["counts"] == {
        "images": 4, "broken": 1, "marked": 0, "examples": 0, "answered": 0,
        "accepted": 0, "skipped": 0, "rejected": 0, "nothing": 0,
    }  # fmt: skip
    assert {"matching", "copy"} <= {engine["name"] for engine in state["engines"]}
    assert state["prompt"] is None


def test_images_are_listed_by_name_and_in_pages(page: Page) -> None:
    whole = page.client.get("/v1/images").json()
    assert [one["name"] for one in whole["items"]] == [
        "below/p3.png", "broken.jpg", "p1.png", "p2.png",
    ]  # fmt: skip
    assert (whole["items"][2]["width"], whole["items"][2]["height"]) == (60, 40)
    assert "broken.jpg" in whole["items"][1]["broken"]
    part = page.client.get("/v1/images?offset=2&limit=1").json()
    assert part["total"] == 4
    assert [one["name"] for one in part["items"]] == ["p1.png"]


def test_a_file_that_comes_later_is_listed(page: Page) -> None:
    scene(9).save(page.folder / "p9.png")
    assert page.client.get("/v1/images").json()["total"] == 5


def test_two_tabs_do_not_overwrite_each_other(page: Page) -> None:
    revision = page.client.get("/v1/project").json()["revision"]
    first = page.client.patch(
        "/v1/project", json={"task": "image"}, headers={"If-Match": str(revision)}
    )
    assert first.json()["revision"] == revision + 1
    second = page.client.patch(
        "/v1/project", json={"task": "edges"}, headers={"If-Match": f'"{revision}"'}
    )
    assert second.status_code == 409
    assert second.headers["content-type"] == "application/problem+json"
    assert second.json()["state"]["task"] == "image"
    missing = page.client.patch("/v1/project", json={"task": "edges"})
    assert missing.status_code == 428


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "none"}, "expected one of matching"),
        ({"settings": {"speed": 2}}, "no such setting"),
        ({"settings": {"tile": 3}}, "tile"),
        ({"classes": []}, "classes"),
        ({"classes": [{"id": 300, "name": "a", "colour": [0, 0, 0]}]}, "at most 254"),
        ({"classes": [{"id": 1, "name": "a", "colour": [0, 0, 0]}] * 2}, "stands twice"),
        ({"task": "poetry"}, "task"),
        ({"colour": 1}, "no key that is known"),
    ],
)
def test_what_cannot_be_is_refused_in_words(still: Page, change: object, said: str) -> None:
    reply = still.client.patch("/v1/project", json=change, headers=ANY)
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


def test_a_project_goes_on_where_it_was_left(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "photos")
    page = open_page(folder)
    with page.client:
        page.change(task="image")
        page.status(page.id("p1.png"), status="accepted")
    again = open_page(folder)
    with again.client:
        assert again.client.get("/v1/project").json()["task"] == "image"
        assert again.client.get("/v1/project").json()["counts"]["accepted"] == 1


def test_a_moved_project_finds_its_photographs(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "photos")
    page = open_page(folder)
    with page.client:
        page.change(task="image")
        image = page.id("p1.png")
    moved = folder.rename(tmp_path / "elsewhere")
    project = Project(moved / "vicl-project")
    assert project.folder == moved
    assert image in project.images
    project.close()


def test_two_servers_do_not_share_a_project(page: Page) -> None:
    with pytest.raises(FileError, match="is open in another vicl app"):
        Project(page.project.place, page.folder)


def test_a_damaged_project_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "project.json").write_text('{"version": 1, "task": 3}')
    with pytest.raises(FileError, match=r"project\.json: is damaged: task"):
        Project(tmp_path)
    (tmp_path / "project.json").write_text('{"version": 99}')
    with pytest.raises(FileError, match="newer vicl"):
        Project(tmp_path)


def test_a_damaged_log_breaks_its_image_alone(page: Page) -> None:
    image, other = page.id("p1.png"), page.id("p2.png")
    for one in (image, other):
        page.teach(one)
    log = page.project.file_of(image, "strokes.jsonl")
    whole = log.read_bytes()
    log.write_bytes(b"{}\n" + whole)
    page.client.__exit__()
    again = open_page(page.folder)
    with again.client:
        items = {one["id"]: one for one in again.client.get("/v1/images").json()["items"]}
        assert "strokes.jsonl: line 1 is no edit" in items[image]["broken"]
        assert items[other]["marked"]
        assert again.client.get("/v1/project").json()["counts"]["examples"] == 1
        assert again.stroke(image, 1, [[3, 3]]).status_code == 409
    log.write_bytes(whole)
    mended = open_page(page.folder)
    with mended.client:
        assert mended.client.get("/v1/project").json()["counts"]["examples"] == 2


def test_a_photograph_that_becomes_another_keeps_its_marks_to_itself(page: Page) -> None:
    image = page.id("p1.png")
    page.teach(image)
    scene(1, (20, 30)).save(page.folder / "p1.png")
    items = page.client.get("/v1/images").json()["items"]
    assert next(one for one in items if one["id"] == image)["height"] == 20
    assert page.marks(image).shape == (20, 30)
    assert page.client.post("/v1/answers", json={"scope": "all"}).status_code == 202


def test_a_project_that_cannot_be_written_is_looked_at(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = page.id("p1.png")
    page.teach(image)
    before = page.marks(image)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vicl.files.journal.os.fsync", full)
    refused = page.stroke(image, 1, [[50, 30]], key="again")
    assert refused.status_code in (503, 507)  # the page keeps the stroke, and tries again
    assert "No space left" in refused.json()["detail"]
    assert (page.marks(image) == before).all()
    monkeypatch.undo()
    done = page.stroke(image, 1, [[50, 30]], key="again")
    assert done.status_code == 200
    page.client.__exit__()
    again = open_page(page.folder)
    with again.client:
        assert again.project.edit_revision(image) == done.json()["revision"] == 3
        assert (again.marks(image) == page.marks(image)).all()


def test_a_folder_that_disappears_is_told_of_and_comes_back(page: Page, tmp_path: Path) -> None:
    image = page.id("p1.png")
    away = page.folder.rename(tmp_path / "away")
    reply = page.client.get(f"/v1/images/{image}/thumbnail")
    assert reply.status_code == 409
    assert "p1.png" in reply.json()["detail"]
    assert page.client.get("/v1/images").json()["total"] == 4
    away.rename(page.folder)
    assert page.client.get(f"/v1/images/{image}/thumbnail").status_code == 200


def test_a_thumbnail_is_sent_again_only_if_its_file_changed(page: Page) -> None:
    where = f"/v1/images/{page.id('p1.png')}/thumbnail"
    first = page.client.get(where)
    tag = {"If-None-Match": first.headers["etag"]}
    assert page.client.get(where, headers=tag).status_code == 304
    scene(8).save(page.folder / "p1.png")
    page.client.get("/v1/images")
    again = page.client.get(where, headers=tag)
    assert again.status_code == 200
    assert again.content != first.content


def test_a_name_that_is_no_text_is_told_of(page: Page) -> None:
    odd = os.fsdecode(os.fsencode(page.folder) + b"/p\xff.png")
    scene(5).save(odd)
    (item,) = [one for one in page.client.get("/v1/images").json()["items"] if "xff" in one["name"]]
    assert "rename the file" in item["broken"]
    assert page.client.get(f"/v1/images/{item['id']}/thumbnail").status_code == 409


def test_a_project_is_opened_again_by_itself(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "photos")
    Project(tmp_path / "kept", folder).close()
    again = Project(tmp_path / "kept")
    assert again.folder == folder.resolve()
    assert len(again.images) == 4
    again.close()


def test_uploads_are_kept_under_safe_names(page: Page) -> None:
    path = page.folder.parent / "new.png"
    scene(7).save(path)
    good = path.read_bytes()
    reply = page.client.post(
        "/v1/images",
        files=[
            ("files", ("../../evil?.png", good)),
            ("files", ("text.png", b"no image")),
            ("files", ("evil_.png", good[:-30])),
        ],
    )
    items = reply.json()["items"]
    assert [one["name"] for one in items] == ["evil_.png", "text.png", "evil_.png"]
    assert [one["broken"] is None for one in items] == [True, False, False]
    assert [p.name for p in (page.project.place / "uploads").iterdir()] == ["evil_.png"]
    assert page.client.get(f"/v1/images/{items[0]['id']}/picture").status_code == 200


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.png", "a.png"), ("../../etc/passwd", "passwd"), ("c:\\x\\b.jpg", "b.jpg"),
        ("..", "image"), ("", "image"), ("\0.png", "_.png"), (".hidden", "hidden"),
    ],
)  # fmt: skip
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_files_of_a_project_are_readable(page: Page) -> None:
    image = page.id("p1.png")
    page.teach(image)
    below = page.project.place / "images" / image
    page.wait(lambda: (below / "marks.png").is_file())
    lines = (below / "strokes.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "op": "stroke", "class": 0, "tool": "box", "points": [[0, 0], [60, 40]], "size": 6,
    }  # fmt: skip
    assert json.loads((page.project.place / "project.json").read_text())["folder"] == ".."


def test_the_description_names_every_route(page: Page) -> None:
    described = page.client.get("/v1/openapi.json").json()
    assert len(described["paths"]) >= 20
    for path, methods in described["paths"].items():
        for method in methods.values():
            assert method["summary"], path
            assert "422" in method["responses"], path
