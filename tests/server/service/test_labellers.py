"""Label Studio's and CVAT's requests, as they document them, and what they read of the replies."""

from __future__ import annotations

import base64
import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.server.service.serving import Served, png, refused, scene, serving

import vicl
from vicl.server.service.labellers.brush import encode_brush

DATA_URI = f"data:image/png;base64,{base64.b64encode(png(scene(2)[0])).decode()}"


def config(*controls: str, labels: Sequence[str] = ("leaf",)) -> str:
    """A labelling interface, as Label Studio's templates have it."""
    inside = "".join(f'<Label value="{label}" background="#FFA39E"/>' for label in labels)
    tags = "".join(f'<{kind} name="tag" toName="img">{inside}</{kind}>' for kind in controls)
    return f'<View><Image name="img" value="$image" zoom="true"/><Header value="x"/>{tags}</View>'


def tasks(*images: str, labels: str, **params: Any) -> dict[str, Any]:
    """What Label Studio sends to /predict."""
    return {
        "tasks": [
            {
                "id": number,
                "data": {"image": image},
                "meta": {},
                "created_at": "2024-06-18T23:45:46.048490Z",
                "project": 1,
                "annotations": [],
                "predictions": [],
            }
            for number, image in enumerate(images, start=1)
        ],
        "model_version": None,
        "project": "1.1718754346",
        "label_config": labels,
        "params": {"login": None, "password": None, "context": None, **params},
    }


def decoded(data: list[int]) -> np.ndarray:
    """Label Studio's run lengths, read by their description, a bit at a time."""
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    assert place <= len(bits) < place + 8
    return np.array(values, np.uint8)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("label-studio")
    (folder / "media/upload/1").mkdir(parents=True)
    (folder / "media/upload/1/6b25fc23-my pic.png").write_bytes(png(scene(3)[0]))
    (folder / "secret.png").write_bytes(png(scene(3)[0]))
    (folder / "media/link.png").symlink_to(folder / "secret.png")
    return folder / "media"


@pytest.fixture(scope="module")
def made(leaf: Path, media: Path) -> Iterator[Served]:
    boxes = leaf.parent / "boxes.vicl"
    marked = {"leaf": [(5, 12, 21, 29)]}
    vicl.VisualPrompter("copy", [(scene(1)[0], marked)], "detection", classes="leaf=#ff0000").save(
        boxes
    )
    picture = leaf.parent / "picture.vicl"
    vicl.VisualPrompter("copy", [(scene(1)[0], scene(4)[0])], "image").save(picture)
    two = leaf.parent / "two.vicl"
    mask = np.zeros((40, 60), np.uint8)
    mask[3:9, 5:20], mask[20:30, 40:43] = 1, 2
    vicl.VisualPrompter(
        "copy", [(scene(1)[0], mask)], "segmentation", classes="leaf=1,stem=2"
    ).save(two)
    with serving(prompts=(leaf, boxes, picture, two), examples=False, media=media) as one:
        yield one


def direct(prompt: Path, seed: int = 2) -> Any:
    return vicl.VisualPrompter.load(prompt).predict(scene(seed)[0])


def test_label_studio_connects(made: Served) -> None:
    for path in ("/label-studio/leaf", "/label-studio/leaf/health"):
        reply = made.client.get(path)
        assert (reply.status_code, reply.json()["status"]) == (200, "UP")
    setup = {
        "project": "1.1718754346",
        "schema": config("BrushLabels"),
        "hostname": "http://localhost:8080",
        "access_token": "abc",
    }
    reply = made.client.post("/label-studio/leaf/setup", json=setup)
    assert reply.status_code == 200
    assert reply.json()["model_version"].startswith("leaf-")
    setup["schema"] = config("Choices")
    assert "<BrushLabels>" in refused(made.client.post("/label-studio/leaf/setup", json=setup), 422)
    refused(made.client.get("/label-studio/none/health"), 404)


def test_brush(made: Served, leaf: Path) -> None:
    body = tasks(DATA_URI, "/data/upload/1/6b25fc23-my%20pic.png", labels=config("BrushLabels"))
    reply = made.client.post("/label-studio/leaf/predict", json=body)
    assert reply.status_code == 200, reply.text
    results = reply.json()["results"]
    for result, seed in zip(results, (2, 3), strict=True):
        assert result["model_version"] == reply.json()["model_version"]
        (region,) = result["result"]
        assert (region["from_name"], region["to_name"], region["type"]) == (
            *("tag", "img", "brushlabels"),
        )
        assert (region["original_width"], region["original_height"]) == (60, 40)
        assert region["value"]["format"] == "rle"
        assert region["value"]["brushlabels"] == ["leaf"]
        pixels = decoded(region["value"]["rle"]).reshape(40, 60, 4)
        expected = direct(leaf, seed).mask
        assert (pixels[..., 3] > 127).tolist() == (expected == 1).tolist()


def test_polygons_and_rectangles(made: Served, leaf: Path) -> None:
    inside = np.argwhere(direct(leaf).mask == 1)
    (y0, x0), (y1, x1) = inside.min(0).tolist(), (inside.max(0) + 1).tolist()
    body = tasks(DATA_URI, labels=config("RectangleLabels", "PolygonLabels"))
    reply = made.client.post("/label-studio/leaf/predict", json=body).json()
    (region,) = reply["results"][0]["result"]
    assert (region["type"], region["value"]["polygonlabels"]) == ("polygonlabels", ["leaf"])
    points = np.array(region["value"]["points"]) * (60, 40) / 100
    assert np.abs(points.min(0) - (x0, y0)).max() <= 1
    assert np.abs(points.max(0) - (x1, y1)).max() <= 1
    body["label_config"] = config("RectangleLabels")
    reply = made.client.post("/label-studio/leaf/predict", json=body).json()
    value = reply["results"][0]["result"][0]["value"]
    assert value["rectanglelabels"] == ["leaf"]
    sides = [value[side] for side in ("x", "y", "width", "height")]
    expected = (x0 / 0.6, y0 / 0.4, (x1 - x0) / 0.6, (y1 - y0) / 0.4)
    np.testing.assert_allclose(sides, expected)


def test_boxes_of_detection(made: Served, leaf: Path) -> None:
    boxes = direct(leaf.parent / "boxes.vicl").boxes
    assert boxes
    body = tasks(DATA_URI, labels=config("BrushLabels", "RectangleLabels"))
    reply = made.client.post("/label-studio/boxes/predict", json=body).json()
    value = reply["results"][0]["result"][0]["value"]
    assert value["width"] == pytest.approx((boxes[0].box[2] - boxes[0].box[0]) / 0.6)
    body["label_config"] = config("BrushLabels")
    reply = made.client.post("/label-studio/boxes/predict", json=body)
    assert "no <RectangleLabels>" in refused(reply, 422)
    (found,) = made.client.post("/cvat/boxes", json={"image": DATA_URI.partition(",")[2]}).json()
    assert (found["type"], found["points"]) == ("rectangle", pytest.approx(list(boxes[0].box)))


def test_labels_that_do_not_fit(made: Served) -> None:
    ask = made.client.post
    body = tasks(DATA_URI, labels=config("BrushLabels", labels=("Leaf", "Stem")))
    reply = ask("/label-studio/two/predict", json=body)
    assert {one["value"]["brushlabels"][0] for one in reply.json()["results"][0]["result"]} == {
        *("Leaf", "Stem"),
    }
    body["label_config"] = config("BrushLabels", labels=("leaf", "other"))
    assert "no label 'stem'" in refused(ask("/label-studio/two/predict", json=body), 422)
    body["label_config"] = config("BrushLabels", labels=("Blatt",))
    reply = ask("/label-studio/leaf/predict", json=body)
    assert reply.json()["results"][0]["result"][0]["value"]["brushlabels"] == ["Blatt"]
    body["label_config"] = config("BrushLabels")
    assert "are no labels" in refused(ask("/label-studio/picture/predict", json=body), 422)
    for broken, said in (
        ("", "is no XML"),
        ("<View>", "is no XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "document type"),
        ("<View/>", "<Image"),
        ("<a>" * 40 + "</a>" * 40, "nested more than"),
        ("\ud800", "expected text"),
    ):
        body["label_config"] = broken
        sent = json.dumps(body)
        reply = ask("/label-studio/leaf/predict", content=sent)
        assert said in refused(reply, 422)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("http://example.org/a.png", "opens none"),
        ("https://example.org/data/other/a.png", "opens none"),
        ("s3://bucket/a.png", "opens none"),
        ("file:///etc/passwd", "opens none"),
        ("/etc/passwd", "opens none"),
        ("/data/local-files/?d=../secret.png", "no such file"),
        ("/data/local-files/?d=%2e%2e/secret.png", "no such file"),
        ("/data/local-files/?d=/etc/passwd", "no such file"),
        ("/data/local-files/?d=link.png", "no such file"),
        ("/data/local-files/?d=upload", "no such file"),
        ("/data/local-files/?d=a%00b", "no such file"),
        ("/data/upload/../../secret.png", "no such file"),
        ("http://[broken", "opens none"),
        ("data:image/png;base64,####", "no base64"),
        ("data:image/png,abc", "not in base64"),
        ("data:image/png;base64,bm8gcGljdHVyZQ==", "task 1"),
        ("", "no image"),
    ],
)
def test_images_that_are_not_opened(made: Served, image: str, said: str) -> None:
    body = tasks(image, labels=config("BrushLabels"))
    assert said in refused(made.client.post("/label-studio/leaf/predict", json=body), 422)


def test_images_of_the_media_folder(made: Served, served: Served) -> None:
    for image in (
        "/data/local-files/?d=upload/1/6b25fc23-my%20pic.png",
        "http://label-studio.example:8080/data/upload/1/6b25fc23-my%20pic.png",
    ):
        body = tasks(image, image, labels=config("BrushLabels"))
        reply = made.client.post("/label-studio/leaf/predict", json=body)
        assert len(reply.json()["results"]) == 2
        reply = served.client.post("/label-studio/leaf/predict", json=body)
        assert "--media" in refused(reply, 422)


def test_bodies_that_are_none(made: Served) -> None:
    ask = made.client.post
    body = tasks(DATA_URI, labels=config("BrushLabels"), context={"result": [{"type": "keypoint"}]})
    assert "interactive" in refused(ask("/label-studio/leaf/predict", json=body), 422)
    body = tasks(*[DATA_URI] * 40, labels=config("BrushLabels"))
    assert "at most 32" in refused(ask("/label-studio/leaf/predict", json=body), 413)
    for path in ("label-studio/leaf/predict", "label-studio/leaf/setup", "cvat/leaf"):
        refused(ask(f"/{path}", json={}), 422)
        refused(ask(f"/{path}", json=[1]), 422)
        refused(ask(f"/{path}", content=b"{"), 400)
        refused(ask(f"/{path}", content=b"[" * 100_000), 400)
        refused(ask(f"/{path}", content=b"a=b", headers={"content-type": "text/plain"}), 415)


def test_webhook(made: Served) -> None:
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "task": {}, "annotation": {}}
    reply = made.client.post("/label-studio/leaf/webhook", json=event)
    assert (reply.status_code, reply.json()["status"]) == (200, "ok")
    event["action"] = "START_TRAINING"
    assert "not trained" in refused(made.client.post("/label-studio/leaf/webhook", json=event), 422)
    refused(made.client.post("/label-studio/leaf/webhook", json={}), 422)


def test_cvat(made: Served, leaf: Path) -> None:
    image = DATA_URI.partition(",")[2]
    expected = direct(leaf.parent / "two.vicl").mask
    reply = made.client.post("/cvat/two", json={"image": image, "threshold": 0.1})
    assert reply.status_code == 200, reply.text
    drawn = np.zeros((40, 60), np.uint8)
    for item in reply.json():
        assert item["type"] == "mask"
        assert 0 <= float(item["confidence"]) <= 1
        *pixels, x0, y0, x1, y1 = item["mask"]
        inside = np.array(pixels).reshape(y1 - y0 + 1, x1 - x0 + 1)
        number = 1 + ("leaf", "stem").index(item["label"])
        drawn[y0 : y1 + 1, x0 : x1 + 1] += (number * inside).astype(np.uint8)
        assert len(item["points"]) >= 6
        assert len(item["points"]) % 2 == 0
    assert drawn.tolist() == expected.tolist()
    for shape, length in (("rectangle", 4), ("polygon", 8)):
        items = made.client.post(f"/cvat/two?type={shape}", json={"image": image}).json()
        assert {item["type"] for item in items} == {shape}
        assert all("mask" not in item and len(item["points"]) >= length for item in items)


def test_cvat_refuses(made: Served) -> None:
    image = DATA_URI.partition(",")[2]
    ask = made.client.post
    assert "no base64" in refused(ask("/cvat/leaf", json={"image": "####"}), 422)
    refused(ask("/cvat/leaf", json={"image": base64.b64encode(b"none").decode()}), 422)
    refused(ask("/cvat/leaf?type=tag", json={"image": image}), 422)
    refused(ask("/cvat/boxes?type=mask", json={"image": image}), 422)
    refused(ask("/cvat/leaf", json={"image": image, "threshold": 7}), 422)
    assert "are no labels" in refused(ask("/cvat/picture", json={"image": image}), 422)
    refused(ask("/cvat/none", json={"image": image}), 404)


def test_the_function_of_the_page_hands_on(made: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "serving.md").read_text()
    blocks = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if "def handler(" in block)

    class Reply(io.BytesIO):
        status = 200

    def urlopen(request: urllib.request.Request, timeout: float) -> Reply:
        path = request.full_url.partition("8472")[2]
        got = made.client.post(path, content=request.data, headers=dict(request.header_items()))
        if got.status_code != 200:
            code, body = got.status_code, io.BytesIO(got.content)
            raise urllib.error.HTTPError(request.full_url, code, "no", Message(), body)
        return Reply(got.content)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    names: dict[str, Any] = {}
    exec(code, names)
    context = SimpleNamespace(Response=SimpleNamespace)
    image = DATA_URI.partition(",")[2]
    for body, status in (({"image": image, "threshold": 0.1}, 200), ({"image": "####"}, 422)):
        reply = names["handler"](context, SimpleNamespace(body=body))
        assert (reply.status_code, reply.content_type) == (status, "application/json")
    assert "no base64" in json.loads(reply.body)["detail"]


def test_basic_authentication(leaf: Path) -> None:
    """Label Studio can show a user and a password, and nothing else."""
    key = "a" * 24
    with serving(prompts=(leaf,), examples=False, keys=(key,)) as made:
        get = made.client.get
        assert get("/label-studio/leaf/health", auth=("anybody", key)).status_code == 200
        refused(get("/label-studio/leaf/health", auth=(key, "")), 401)
        refused(get("/label-studio/leaf/health"), 401)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_brush_keeps_every_pixel(share: float) -> None:
    mask = np.random.default_rng(3).random((37, 53)) < share
    bytes_ = encode_brush(np.flatnonzero(mask.T), (37, 53))
    values = decoded(bytes_).reshape(37, 53, 4)
    assert set(bytes_) <= set(range(256))
    for channel in range(4):
        assert (values[..., channel] == 255 * mask).all()


def test_brush_of_runs_longer_than_it_counts() -> None:
    values = decoded(encode_brush(np.arange(7, 40_000), (200, 201))).reshape(200, 201, 4)
    expected = np.zeros(200 * 201, bool)
    expected[7:40_000] = True
    assert ((values[..., 3] > 0) == expected.reshape(201, 200).T).all()
