"""What `/v1/predict` gives, and what it refuses."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.cli.test_cli import vicl
from tests.server.service.serving import (
    Served,
    files,
    pixels,
    png,
    refused,
    scene,
    serving,
    words,
)

from vicl.exports.rle import decode_rle


def test_the_picture_is_what_the_command_line_writes(
    served: Served, leaf: Path, tmp_path: Path
) -> None:
    query = tmp_path / "q.png"
    query.write_bytes(png(scene(2)[0]))
    done = vicl("predict", str(query), "--prompt", str(leaf), "-o", str(tmp_path / "out.png"))
    assert done.exit_code == 0, done.output
    reply = served.predict(prompt="leaf", format="png")
    assert reply.headers["content-type"] == "image/png"
    assert reply.content == (tmp_path / "out.png").read_bytes()


def test_answers_as_json(served: Served) -> None:
    reply = served.predict(prompt="leaf", pixels="rle").json()
    assert (reply["prompt"], reply["engine"], reply["task"]) == ("leaf", "copy", "segmentation")
    (answer,) = reply["answers"]
    assert answer["size"] == [40, 60]
    mask = np.asarray(scene(1)[1])
    assert decode_rle(answer["rle"][0]).tolist() == mask.tolist()
    (leaf,) = answer["classes"]
    assert (leaf["number"], leaf["name"], leaf["score"]) == (1, "leaf", 1)
    assert leaf["area"] == pytest.approx(mask.mean(), abs=1e-5)
    assert "png" not in answer
    answer = served.predict(prompt="leaf").json()["answers"][0]
    assert (pixels(base64.b64decode(answer["png"])) > 0).tolist() == mask.tolist()
    assert "rle" not in served.predict(prompt="leaf", pixels="none").json()["answers"][0]


def test_a_zip_of_several_under_one_name(served: Served) -> None:
    queries = files("query", *(png(scene(n)[0]) for n in (3, 4)), name="../../x/a.jpg")
    reply = served.post([*queries, *words(prompt="leaf", format="zip")])
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.namelist() == ["a.png", "a-2.png", "answers.json", "labels.json"]
        assert json.loads(archive.read("labels.json")) == {"0": "background", "255": "leaf"}
        told = json.loads(archive.read("answers.json"))
        assert [answer["query"] for answer in told["answers"]] == ["a.jpg", "a.jpg"]
        assert pixels(archive.read("a.png")).shape == (40, 60)


def test_examples_of_the_request_and_what_they_teach_is_kept(served: Served) -> None:
    for query in (5, 6):  # the second finds the prompt made
        reply = served.own(query, task="image", format="png")
        assert reply.status_code == 200, reply.text
        assert pixels(reply.content).tolist() == np.asarray(scene(query)[0]).tolist()
    kept = len(served.service._brought)
    served.own(7, task="image")
    assert len(served.service._brought) == kept


def test_no_more_sets_of_examples_are_kept_than_said(leaf: Path) -> None:
    with serving(model="identity", kept=2) as made:
        for seed in range(4):
            assert made.own(settings={"seed": seed}).status_code == 200
        assert len(made.service._brought) == 2
        assert len([*made.service.folder.iterdir()]) <= 2


def test_boxes_of_examples(served: Served) -> None:
    shown = files("query", png(scene(2)[0])) + files("example_input", png(scene(1)[0]))
    boxes = words(task="detection", classes="leaf", example_boxes=[{"leaf": [[5, 5, 21, 29]]}])
    reply = served.post([*shown, *boxes, *words(pixels="none")])
    assert reply.status_code == 200, reply.text
    assert reply.json()["task"] == "detection"
    assert "1" in refused(served.post([*shown, *words(task="detection", example_boxes=[])]), 422)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Send `prompt`"),
        ({"prompt": "none"}, "there are: leaf"),
        ({"prompt": "/etc/passwd"}, "there are: leaf"),
        ({"prompt": "leaf", "task": "edges"}, "leave out task"),
        ({"prompt": "leaf", "settings": {"seed": 1}}, "leave out settings"),
        ({"prompt": "leaf", "format": "gif"}, "format"),
        ({"prompt": "leaf", "timeout": 0}, "timeout"),
        ({"prompt": "leaf", "timeout": "soon"}, "timeout"),
        ({"prompt": "leaf", "model": "http://example.org/m"}, "no field that is known"),
        ({"prompt": "leaf", "settings": "{"}, "settings"),
        ({"prompt": "leaf", "settings": "[1]"}, "settings"),
    ],
)
def test_fields_that_cannot_be(served: Served, fields: dict[str, Any], said: str) -> None:
    assert said in refused(served.predict(**fields), 422)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"samples": 1000}, "samples: at most 8"),
        ({"spins": 64}, "spins: at most 4"),
        ({"tile": 16}, "tile: at least 128"),
        ({"sead": 1}, "sead: no such setting"),
        ({"seed": -1}, "seed"),
        ({"fuse": "nonsense"}, "fuse"),
        ({"arrangements": 8}, "arrangements"),
        ({"samples": 8, "arrangements": 8}, "ask 64 times"),
    ],
)
def test_settings_that_are_too_much_or_none(
    served: Served, settings: dict[str, Any], said: str
) -> None:
    assert said in refused(served.own(settings=settings), 422)


def test_a_part_of_an_example(served: Served) -> None:
    query = files("query", png(scene(2)[0]))
    shown = files("example_input", png(scene(1)[0]))
    assert "each example has both" in refused(served.post(query + shown), 422)
    assert "query: is missing" in refused(served.post(words(prompt="leaf")), 422)
    twice = query + words(prompt="leaf") + words(prompt="leaf")
    assert "more than once" in refused(served.post(twice), 422)
    text = words(query="a") + words(prompt="leaf")
    assert "send it as a file" in refused(served.post(text), 422)
    assert "send it as text" in refused(served.post(query + files("prompt", b"leaf")), 422)
    two = query + query + words(prompt="leaf", format="png")
    assert "ask for zip" in refused(served.post(two), 422)


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", b"\x80\x04K\x01.", b"\x89PNG\r\n\x1a\n cut", png(scene(1)[0])[:120]],
    ids=["empty", "text", "pickle", "header", "cut"],
)
def test_what_is_no_picture_is_called_by_its_name(served: Served, content: bytes) -> None:
    reply = served.post([*files("query", content, name="b.png"), *words(prompt="leaf")])
    assert "b.png" in refused(reply, 422)


def test_limits(leaf: Path) -> None:
    limits = {"limit_pixels": 2400, "files": 3, "body_bytes": 40_000, "queue": 1}
    with serving(prompts=(leaf,), examples=False, **limits) as made:
        assert made.predict(prompt="leaf").status_code == 200
        large = files("query", png(scene(1, (41, 60))[0])) + words(prompt="leaf")
        assert "more pixels" in refused(made.post(large), 413)
        four = files("query", *[b""] * 4)
        assert "files is 3" in refused(made.post(four), 413)
        refused(made.post(files("query", bytes(50_000))), 413)
        several = files("query", *[png(scene(1)[0])] * 2)
        assert "at most 1 at once" in refused(made.post(several + words(prompt="leaf")), 413)
        assert "say by which" in refused(made.own(), 422)
    with serving(prompts=(leaf,), examples=False, limit_pixels=2400) as made:
        together = files("query", *[png(scene(1)[0])] * 3) + words(prompt="leaf")
        assert "0.0072 Mpx together" in refused(made.post(together), 413)


def test_a_body_without_a_length_is_not_read_to_its_end(leaf: Path) -> None:
    def endless() -> Any:
        head = b'--b\r\nContent-Disposition: form-data; name="query"; filename="a"\r\n\r\n'
        yield head
        for _ in range(1000):
            yield bytes(10_000)

    with serving(prompts=(leaf,), examples=False, body_bytes=100_000) as made:
        kind = {"content-type": "multipart/form-data; boundary=b"}
        refused(made.client.post("/v1/predict", content=endless(), headers=kind), 413)
        assert made.predict(prompt="leaf").status_code == 200
