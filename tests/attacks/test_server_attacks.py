"""Attacks on the app's server: pages elsewhere, tokens, paths, bombs and what is no picture."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from tests.server.pages import ANY, Page, draw_folder, open_page, packed

from vicl.app.factory import STATIC
from vicl.server.security import Guard, is_loopback


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    made = open_page(draw_folder(tmp_path_factory.mktemp("still") / "photos"))
    with made.client:
        made.change(engine="copy")
        yield made


@pytest.mark.parametrize(
    "host",
    ["evil.com", "evil.com:80", "localhost.evil.com", "127.0.0.1.evil.com", "", "a b", "[::1", "0"],
)
def test_a_foreign_host_is_refused(still: Page, host: str) -> None:
    for path in ("/v1/project", "/", "/static/main.js"):
        reply = still.client.get(path, headers={"Host": host})
        assert reply.status_code == 403
        assert reply.json()["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9", "127.0.0.1:80", "[::1]:80", "LocalHost"]
)
def test_this_machine_is_let_in(still: Page, host: str) -> None:
    assert still.client.get("/v1/project", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.com"}, {"Origin": "null"}, {"Origin": "http://localhost:1"},
        {"Origin": "file://"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ],
)  # fmt: skip
def test_a_page_elsewhere_is_refused(still: Page, headers: dict[str, str]) -> None:
    reply = still.client.patch("/v1/project", json={"task": "edges"}, headers=ANY | headers)
    assert reply.status_code == 403
    assert still.client.get("/v1/project").json()["task"] == "segmentation"
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert still.client.get("/v1/project", headers=own).status_code == 200


def test_every_reply_is_marked(still: Page) -> None:
    for path in ("/v1/project", "/v1/none", "/v1/images?limit=0"):
        headers = still.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_others_need_the_token(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = draw_folder(tmp_path_factory.mktemp("token") / "photos")
    page = open_page(folder, hosts=("box.lan",), token="s3cret")
    page.client.base_url = "http://box.lan"
    with page.client:
        for shown in ("", "?token=", "?token=wrong", "?token=s3cre", "?token=s3cret1"):
            assert page.client.get(f"/v1/project{shown}").status_code == 401
        bad = ("vicl_token=x", "vicl_token=", "\x00=;", "vicl_token=s3cre")
        for cookie in bad:
            reply = page.client.get("/v1/project", headers={"Cookie": cookie})
            assert reply.status_code == 401
        first = page.client.get("/v1/project?token=s3cret")
        assert first.status_code == 200
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert page.client.get("/v1/project").status_code == 200  # by the cookie
        page.client.cookies.clear()
        bearer = {"Authorization": "Bearer s3cret"}
        assert page.client.get("/v1/project", headers=bearer).status_code == 200
        evil = page.client.get("/v1/project", headers=bearer | {"Host": "evil.com"})
        assert evil.status_code == 403


@pytest.mark.parametrize(
    ("host", "inside"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("0.0.0.0", False), ("box", False)],
)
def test_what_is_this_machine_alone(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside
    assert not Guard().allows_host("0.0.0.0")


@pytest.mark.parametrize(
    "image",
    ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "a" * 5000, "..\\..", "folder", "~", "%ff"],
)
def test_no_path_of_a_request_is_opened(still: Page, image: str) -> None:
    for what in ("thumbnail", "picture", "marks", "edits", "answer", "output", "answer.json"):
        reply = still.client.get(f"/v1/images/{image}/{what}")
        assert reply.status_code == 404
        assert "root:" not in reply.text
    assert still.client.put(f"/v1/images/{image}/status", json={}, headers=ANY).status_code in (
        404,
        405,
    )


@pytest.mark.parametrize("path", ["..%2f__init__.py", "%2e%2e/factory.py", "....//factory.py"])
def test_the_pages_files_are_all_there_is(still: Page, path: str) -> None:
    if not STATIC.is_dir():
        pytest.skip("the page is not here")
    reply = still.client.get(f"/static/{path}")
    assert reply.status_code == 404
    assert "import" not in reply.text


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [bomb(60000, 60000), bomb(100, 100), b"", b"GIF89a", b"PK\3\4", b"\x80\x04N.", b"<svg/>" * 9],
    ids=["bomb", "cut", "empty", "gif", "zip", "pickle", "svg"],
)
def test_uploads_that_are_no_pictures(still: Page, data: bytes) -> None:
    reply = still.client.post("/v1/images", files=[("files", ("x.png", data))])
    assert reply.status_code == 201
    (item,) = reply.json()["items"]
    assert len(item["broken"]) > 20
    assert not (still.project.place / "uploads").exists()
    image = still.id("p1.png")
    put = still.client.put(
        f"/v1/images/{image}/output", files={"file": ("x.png", data)}, headers=ANY
    )
    assert put.status_code == 422
    opened = still.client.post("/v1/prompt", files={"file": ("x.vicl", data)})
    assert opened.status_code == 422
    assert "x.vicl" in opened.json()["detail"]
    assert "/tmp" not in opened.text


@pytest.mark.parametrize(
    ("method", "path", "content", "kind"),
    [
        ("POST", "/v1/answers", b"{", "application/json"),
        ("POST", "/v1/answers", b"[" * 100_000, "application/json"),
        ("POST", "/v1/answers", b'{"scope": "all", "image": NaN}', "application/json"),
        ("POST", "/v1/answers", b"\xff\xfe", "application/json"),
        ("POST", "/v1/answers", b'{"scope": "all"}', "text/plain"),
        ("POST", "/v1/answers", b"", "application/json"),
        ("PATCH", "/v1/project", b'{"classes": "' + b"9" * 100_000 + b'"}', "application/json"),
        (
            "PATCH",
            "/v1/project",
            b'{"settings": {"seed": ' + b"9" * 9000 + b"}}",
            "application/json",
        ),
        ("POST", "/v1/images", b"--x\r\nnothing", "multipart/form-data; boundary=x"),
        ("POST", "/v1/images", b"x", "multipart/form-data"),
        ("POST", "/v1/export", b'{"formats": [1]}', "application/json"),
        ("POST", "/v1/samples", b'{"name": 7}', "application/json"),
        ("DELETE", "/v1/project", b"", "application/json"),
        ("POST", "/v1/import?as=pickles", b"", "application/json"),
    ],
)
def test_bodies_that_are_wrong(
    still: Page, method: str, path: str, content: bytes, kind: str
) -> None:
    headers = ANY | {"Content-Type": kind}
    reply = still.client.request(method, path, content=content, headers=headers)
    assert 400 <= reply.status_code < 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["detail"]
    assert len(reply.text) < 2000


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30, '"', "W/", "*, *"])
def test_revisions_that_are_none(still: Page, value: str) -> None:
    reply = still.client.patch("/v1/project", json={}, headers={"If-Match": value})
    assert reply.status_code == 400


def test_bodies_that_are_too_long(still: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicl.server.security._JSON_LIMIT", 1000)
    said = still.client.post("/v1/answers", content=b"x" * 2000)
    assert said.status_code == 413

    def parts() -> Iterator[bytes]:
        yield from (b'{"scope": "' for _ in range(500))

    unsaid = still.client.post(
        "/v1/answers", content=parts(), headers={"Content-Type": "application/json"}
    )
    assert 400 <= unsaid.status_code < 500
    lying = still.client.post("/v1/answers", headers={"Content-Length": "-5"})
    assert lying.status_code == 400


def test_masks_that_are_bombs(still: Page) -> None:
    import base64

    image = still.id("p1.png")
    for data in (bomb(60000, 60000), bomb(60, 40), b""):
        body = {"op": "stroke", "class": 1, "tool": "mask", "png": base64.b64encode(data).decode()}
        reply = still.client.post(f"/v1/images/{image}/edits", json=body, headers=ANY)
        assert reply.status_code == 422
    small = packed(np.zeros((4, 4), np.uint8))
    body = {"op": "stroke", "class": 1, "tool": "answer", "png": small}
    assert still.client.post(f"/v1/images/{image}/edits", json=body, headers=ANY).status_code == 422
    assert still.project.edit_revision(image) == 0


def test_pictures_of_a_project_from_elsewhere(still: Page) -> None:
    image = still.id("p1.png")
    output = still.project.file_of(image, "output.png")
    output.parent.mkdir(parents=True, exist_ok=True)
    for data in (bomb(60000, 60000), b"GIF89a", b""):
        output.write_bytes(data)
        reply = still.client.get(f"/v1/images/{image}/output", params={"max": 64})
        assert reply.status_code == 422
        assert "output.png" in reply.json()["detail"]
    output.unlink()
    still.project.file_of(image, "answer.png").write_bytes(bomb(60000, 60000))
    reply = still.step(image, "take-answer")
    still.project.file_of(image, "answer.png").unlink()
    assert reply.status_code == 422
    assert "answer.png" in reply.json()["detail"]


def zipped(names: list[str], data: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as inner:
        for name in names:
            inner.writestr(name, data)
    return archive.getvalue()


def test_zips_of_strangers(still: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicl.server.unpacking._MOST_BYTES", 5_000_000)
    monkeypatch.setattr("vicl.server.unpacking._MOST_FILES", 10)
    good = zipped(["../../p1.png"], b"x")
    sent = {
        "bomb": (zipped(["a.png"], b"\0" * 10_000_000), 413),
        "one": (zipped(["a.xml"], b"\0" * ((1 << 22) + 1)), 413),
        "many": (zipped([f"{n}.png" for n in range(11)], b""), 413),
        "cut": (good[:-10], 422),
        "none": (b"PK", 422),
        "slip": (good, 201),
    }
    for name, (data, status) in sent.items():
        reply = still.client.post("/v1/import", files=[("files", ("x.zip", data))])
        assert reply.status_code == status, name
        assert name != "one" or "a.xml in it is over 4 MiB" in reply.text
    assert "p1.png" in reply.json()["left_out"][0]
    assert not (still.folder.parent / "p1.png").exists()


def test_a_picture_that_links_out_of_the_folder_is_not_served_as_another(still: Page) -> None:
    """A link in the folder is the person's own; a link to a folder is not followed."""
    outside = still.folder.parent / "outside"
    outside.mkdir()
    Image.new("RGB", (8, 8)).save(outside / "secret.png")
    (still.folder / "link").symlink_to(outside)
    names = [one["name"] for one in still.client.get("/v1/images").json()["items"]]
    assert not any("secret" in name for name in names)
