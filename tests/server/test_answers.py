from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from tests.server.pages import ANY, Page, open_page

from vicl.engine import Candidates
from vicl.files import FileError
from vicl.prompting.prompter import VisualPrompter
from vicl.segmenters.encoded import EncodedImage
from vicl.server.events import Events
from vicl.server.worker import Urgency, Worker


@pytest.fixture
def news(page: Page, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The events that are told from now on."""
    heard: list[dict[str, object]] = []

    def tell(kind: str, **facts: object) -> None:
        heard.append({"kind": kind, **facts})

    monkeypatch.setattr(page.services.events, "tell", tell)
    return heard


@pytest.fixture
def held(page: Page) -> Iterator[threading.Event]:
    """The worker does something that lasts until this is set."""
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go_on.wait(10)

    page.services.worker.submit(Urgency.CLICK, hold)
    assert begun.wait(10)
    yield go_on
    go_on.set()


def test_without_an_example_there_is_no_answer(page: Page) -> None:
    reply = page.client.post("/v1/answers", json={"scope": "all"})
    assert reply.status_code == 409
    assert "mark a part of one image" in reply.json()["detail"]
    assert page.client.get(f"/v1/images/{page.id('p1.png')}/answer").status_code == 404


def test_all_images_are_answered_the_open_one_first(
    page: Page, news: list[dict[str, object]]
) -> None:
    example, last = page.id("p1.png"), page.id("p2.png")
    page.teach(example)
    reply = page.client.post("/v1/answers", json={"scope": "all", "image": last})
    assert reply.json() == {"total": 3}
    page.wait(lambda: sum(one["kind"] == "progress" for one in news) == 3)
    answers = [one["id"] for one in news if one["kind"] == "answer"]
    assert answers[0] == last
    assert len(set(answers)) == 3
    told = next(one for one in news if one["kind"] == "answer")
    listed = {one["id"]: one for one in page.client.get("/v1/images").json()["items"]}[last]
    assert told["revision"] == listed["answer_revision"]
    assert (told["confidence"], told["presence"]) == (listed["confidence"], listed["presence"])
    assert [one for one in news if one["kind"] == "error"] == []
    mask = page.answer(last)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}
    item = page.client.get("/v1/images?sort=unsure").json()["items"][0]
    assert item["answer_revision"] == page.client.get("/v1/project").json()["prompt"]
    assert item["stale"] is False
    facts = page.client.get(f"/v1/images/{last}/answer.json").json()
    assert facts["engine"] == "copy"
    assert facts["objects"] == 1
    assert page.client.post("/v1/answers", json={"scope": "all"}).json() == {"total": 0}
    page.stroke(example, 0, [[5, 5]])
    assert page.client.get("/v1/images").json()["items"][-1]["stale"] is True
    small = page.client.get(f"/v1/images/{last}/answer?max=30")
    assert Image.open(io.BytesIO(small.content)).size == (30, 20)


def test_answers_hold_the_ids_of_classes(page: Page) -> None:
    image, other = page.id("p1.png"), page.id("p2.png")
    page.change(classes=[{"id": 7, "name": "disc", "colour": [255, 0, 0]}])
    page.stroke(image, 0, [[0, 0], [60, 40]], tool="box")
    page.stroke(image, 7, [[20, 20]], size=16)
    page.status(image, example=True)
    page.client.post("/v1/answers", json={"scope": "open", "image": other})
    page.wait(lambda: page.project.facts(other) is not None)
    assert set(np.unique(page.answer(other))) == {0, 7}


def test_an_answer_is_taken_where_nothing_is_marked(page: Page) -> None:
    image, other = page.id("p1.png"), page.id("p2.png")
    page.teach(image)
    page.stroke(other, 0, [[0, 0], [30, 40]], tool="box")
    assert page.step(other, "take-answer").status_code == 409
    page.client.post("/v1/answers", json={"scope": "open", "image": other})
    page.wait(lambda: page.project.facts(other) is not None)
    answer = page.answer(other)
    assert page.step(other, "take-answer").status_code == 200
    marks = page.marks(other)
    assert (marks[:, :30] == 0).all()
    assert (marks[:, 30:] == answer[:, 30:]).all()
    page.step(other, "undo")
    assert (page.marks(other)[:, 30:] == 255).all()


def test_nothing_here_is_an_example_too(page: Page) -> None:
    image = page.id("p1.png")
    page.status(image, status="nothing", example=True)
    page.teach(page.id("p2.png"))
    state = page.client.get("/v1/project").json()
    assert state["counts"]["examples"] == 2
    score = page.client.get("/v1/score").json()
    assert score["examples"] == 2
    assert score["low"] <= score["expected"] <= score["high"]
    assert score["history"] == [{"examples": 2, "expected": score["expected"]}]
    assert score == page.client.get("/v1/score").json()


def test_what_shows_nothing_is_no_example(page: Page) -> None:
    image = page.id("p1.png")
    refused = page.status(image, example=True)
    assert refused.status_code == 409
    assert "p1.png: has no marks" in refused.json()["detail"]
    assert page.status(image, status="accepted").json()["example"] is False
    page.change(task="edges")
    assert "no output picture" in page.status(image, example=True).json()["detail"]
    page.change(task="colorization")
    assert page.status(image, example=True).json()["example"] is True


def test_a_score_needs_two_examples(page: Page) -> None:
    assert page.client.get("/v1/score").json()["needs"] == "two examples"
    assert page.client.get("/v1/engines/try").json()["needs"] == "two examples"
    assert page.client.post("/v1/engines/try").status_code == 409


def engines_tried(page: Page, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        page.services.engines.let_in(name)
    monkeypatch.setattr(page.services.engines, "tried", lambda: names)
    page.teach(page.id("p1.png"))
    page.teach(page.id("p2.png"))


def test_engines_are_tried_on_the_examples(
    page: Page, news: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A setting of canvases is not for these, and one that all take is.
    assert page.change(settings={"spins": 2, "min_presence": 0.5}).status_code == 200
    engines_tried(page, monkeypatch, "copy", "identity", "missing")
    begun = page.client.post("/v1/engines/try")
    assert [one["name"] for one in begun.json()["engines"]] == ["copy", "identity", "missing"]
    assert begun.json()["seconds"] == 6
    page.wait(lambda: news[-1:] == [{"kind": "trials"}])
    tried = [one for one in news if one["kind"] == "trial"]
    assert [one["engine"] for one in tried] == ["copy", "identity", "missing"]
    assert all("min_presence" in str(one["detail"]) for one in tried[:2])
    assert "got 'missing'" in str(tried[2]["detail"])
    page.change(settings={"spins": 2})
    page.client.post("/v1/engines/try")
    page.wait(lambda: sum(one["kind"] == "trials" for one in news) == 2)
    assert [one["engine"] for one in news if "expected" in one] == ["copy", "identity"]


def test_trying_ends_where_it_is_cancelled(
    page: Page, news: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines_tried(page, monkeypatch, "copy", "identity")
    asked = left_out(page, monkeypatch, lambda: page.client.delete("/v1/engines/try"))
    page.client.post("/v1/engines/try")
    page.services.answering.run(Urgency.LATER, lambda: None)
    assert asked == [0]
    assert [one for one in news if one["kind"] in ("trial", "trials")] == []


def left_out(page: Page, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> list[int]:
    """Which examples were left out; `then` is done once at the first."""
    asked: list[int] = []
    real = VisualPrompter._left_out

    def counted(self: VisualPrompter, engine: Any, passes: Any, index: int) -> float:
        value = real(self, engine, passes, index)
        asked.append(index)
        if len(asked) == 1:
            then()
        return value

    monkeypatch.setattr(VisualPrompter, "_left_out", counted)
    return asked


def test_a_stroke_ends_the_score_that_is_being_worked_out(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = page.id("p1.png"), page.id("p2.png")
    page.teach(one)
    page.teach(other)
    asked = left_out(page, monkeypatch, lambda: page.stroke(one, 1, [[50, 30]]))
    reply = page.client.get("/v1/score")
    assert reply.status_code == 409
    assert "ask again" in reply.json()["detail"]
    assert asked == [0]
    assert page.client.get("/v1/score").json()["examples"] == 2


def test_what_is_urgent_is_done_in_the_middle_of_a_score(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    page.teach(page.id("p1.png"))
    page.teach(page.id("p2.png"))
    worker = page.services.worker
    asked = left_out(
        page, monkeypatch, lambda: worker.submit(Urgency.CLICK, lambda: done.append(len(asked)))
    )
    assert page.client.get("/v1/score").json()["expected"] is not None
    assert done == [1]
    assert len(asked) == 4


def test_a_server_that_leaves_ends_a_score(page: Page, held: threading.Event) -> None:
    page.teach(page.id("p1.png"))
    page.teach(page.id("p2.png"))
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(page.client.get, "/v1/score")
        page.wait(lambda: page.services.worker.waiting > 0)
        page.services.leave()
        reply = asked.result(5)
    assert reply.status_code == 503
    assert "is ending" in reply.json()["detail"]
    assert page.client.get("/v1/score").status_code == 503


def test_a_restart_shows_how_the_score_moved(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("p1.png", "p2.png", "below/p3.png"):
        page.teach(page.id(name))
        page.client.get("/v1/score")
    told = page.client.get("/v1/score").json()
    assert [one["examples"] for one in told["history"]] == [2, 3]
    held = json.loads((page.project.place / "score.json").read_text())
    assert held["score"]["copy"] == told["copy"]
    page.client.__exit__()
    again = open_page(page.folder)
    monkeypatch.setattr(VisualPrompter, "expected_score", None)  # it is not worked out again
    with again.client:
        assert again.client.get("/v1/score").json() == told
        again.change(engine="identity")
        monkeypatch.undo()
        other = again.client.get("/v1/score").json()
        assert len(other["history"]) == 1
        again.change(engine="copy")
        assert again.client.get("/v1/score").json()["history"] == told["history"]


def test_answers_of_a_task_that_is_no_more_are_dropped_quietly(
    page: Page, news: list[dict[str, object]], held: threading.Event
) -> None:
    page.teach(page.id("p1.png"))
    page.client.post("/v1/answers", json={"scope": "all"})
    page.change(task="image")
    held.set()
    page.services.answering.run(Urgency.LATER, lambda: None)
    assert [one["kind"] for one in news] == ["progress", "project"]
    page.change(task="segmentation")
    page.client.post("/v1/answers", json={"scope": "open", "image": page.id("p2.png")})
    page.step(page.id("p1.png"), "clear")  # no example is left
    page.services.answering.run(Urgency.LATER, lambda: None)
    assert "error" not in [one["kind"] for one in news]


def test_an_answer_that_is_ready_after_the_task_changed_is_not_kept(
    page: Page, news: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = page.id("p2.png")
    page.teach(page.id("p1.png"))
    real = VisualPrompter.predict

    def late(self: VisualPrompter, query: Any) -> Any:
        answer = real(self, query)
        page.change(task="image")
        return answer

    monkeypatch.setattr(VisualPrompter, "predict", late)
    page.client.post("/v1/answers", json={"scope": "open", "image": other})
    page.services.answering.run(Urgency.LATER, lambda: None)
    assert page.project.facts(other) is None
    assert "error" not in [one["kind"] for one in news]


def test_a_task_from_image_to_image(page: Page) -> None:
    image, other = page.id("p1.png"), page.id("p2.png")
    page.change(task="image")
    wrong = io.BytesIO()
    Image.new("RGB", (9, 9)).save(wrong, "PNG")
    put = f"/v1/images/{image}/output"
    files = {"file": ("out.png", wrong.getvalue())}
    refused = page.client.put(put, files=files, headers=ANY)
    assert refused.status_code == 422
    assert "9x9" in refused.json()["detail"]
    right = io.BytesIO()
    Image.new("RGB", (60, 40), (9, 8, 7)).save(right, "PNG")
    files = {"file": ("out.png", right.getvalue())}
    assert page.client.put(put, files=files).status_code == 428
    given = page.client.put(put, files=files, headers=ANY).json()
    assert given["output"]
    assert given["example"]
    page.client.post("/v1/answers", json={"scope": "open", "image": other})
    page.wait(lambda: page.project.facts(other) is not None)
    assert (page.answer(other) == (9, 8, 7)).all()
    assert page.client.get(f"/v1/images/{other}/confidence").status_code == 404
    assert page.client.get(f"/v1/images/{other}/canvas").status_code == 404
    gone = page.client.delete(put, headers=ANY).json()
    assert not gone["output"]
    assert page.client.get(put).status_code == 404


def test_an_image_that_turns_out_to_be_broken(page: Page, news: list[dict[str, object]]) -> None:
    image = page.id("p1.png")
    page.teach(page.id("p2.png"))
    path = page.project.path(image)
    path.write_bytes(path.read_bytes()[:120])
    page.client.post("/v1/answers", json={"scope": "open", "image": image})
    page.wait(lambda: any(one["kind"] == "error" for one in news))
    assert "p1.png" in str(page.project.entry(image).broken)
    assert page.client.get(f"/v1/images/{image}/picture").status_code == 409


def test_clicks_give_candidates(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = np.zeros((4, 40, 60), bool)
    for number in range(3):
        masks[number, 5 : 10 + number, 5:20] = True
    found = Candidates(masks, np.array([0.9, 0.8, 0.7, 0.1], np.float32))
    encoded: list[object] = []

    class Segmenter:
        name, weights_hash, accepts = "fake", None, frozenset({"points", "box"})

        def encode(self, image: object) -> EncodedImage:
            encoded.append(image)
            return EncodedImage((40, 60), self.accepts, lambda prompts: [found for _ in prompts])

    monkeypatch.setattr(page.services.clicking, "_segmenter", Segmenter())
    image = page.id("p1.png")
    where = f"/v1/images/{image}/candidates"
    for body in ({"points": [[9, 9]], "labels": [1]}, {"box": [1, 1, 20, 20]}):
        shown = page.client.post(where, json=body).json()["candidates"]
        assert [round(one["score"], 2) for one in shown] == [0.9, 0.8, 0.7]
        assert shown[1]["box"] == [5, 5, 20, 11]
    assert len(encoded) == 1
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[0]["png"]))))
    assert (mask == masks[0]).all()
    page.stroke(image, 1, [], tool="mask", png=shown[0]["png"])
    assert ((page.marks(image) == 1) == masks[0]).all()
    assert page.client.post(where, json={}).status_code == 422
    off = page.client.post(where, json={"points": [[99, 9]], "labels": [1]})
    assert off.status_code == 422
    assert "pixels of the image" in off.json()["detail"]


def test_a_newer_question_drops_the_older(page: Page, held: threading.Event) -> None:
    page.teach(page.id("p1.png"))
    page.client.post("/v1/answers", json={"scope": "all"})
    page.client.delete("/v1/answers")
    page.client.post("/v1/answers", json={"scope": "open", "image": page.id("p2.png")})
    held.set()
    page.services.answering.run(Urgency.LATER, lambda: None)
    answered = [image for image in page.project.images if page.project.facts(image)]
    assert answered == [page.id("p2.png")]


def test_what_is_more_urgent_goes_first() -> None:
    worker = Worker()
    order: list[Urgency] = []
    go_on = threading.Event()
    first = worker.submit(Urgency.CLICK, lambda: go_on.wait(10))
    done = [
        worker.submit(urgency, partial(order.append, urgency))
        for urgency in (Urgency.LATER, Urgency.OTHERS, Urgency.OPEN, Urgency.CLICK)
    ]
    failing = worker.submit(Urgency.LATER, lambda: 1 / 0)
    go_on.set()
    first.result(10)
    for one in done:
        one.result(10)
    assert order == sorted(order)
    with pytest.raises(ZeroDivisionError):
        failing.result(10)
    worker.end()
    with pytest.raises(CancelledError):
        worker.submit(Urgency.CLICK, lambda: None).result(1)


def test_events_reach_those_that_listen() -> None:
    async def talk() -> list[str]:
        events = Events()
        heard = []
        stream = events.listen(quiet=0.01)
        heard.append(await anext(stream))
        heard.append(await anext(stream))
        threading.Thread(target=events.tell, args=("answer",), kwargs={"id": "x"}).start()
        while not heard[-1].startswith("data"):
            heard.append(await anext(stream))
        events.end()
        heard += [line async for line in stream if line.startswith("data")]
        events.tell("nobody listens")
        return heard

    heard = asyncio.run(talk())
    assert heard[0] == ": vicl\n\n"
    assert heard[1] == ": still here\n\n"
    assert json.loads(heard[-1].removeprefix("data: ")) == {"kind": "answer", "id": "x"}


def test_a_project_that_cannot_be_written_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    """Permissions do not bind the tests' user: writing is made to fail."""

    def refuse(*_: object, **__: object) -> None:
        raise FileError("strokes.jsonl: cannot be written (permission denied)")

    page.stroke(image := page.id("p1.png"), 1, [[20, 20]])
    monkeypatch.setattr("vicl.files.journal.Journal.append", refuse)
    monkeypatch.setattr("vicl.server.project.write_atomic", refuse)
    assert page.client.get("/v1/project").status_code == 200
    assert page.stroke(image, 1, [[30, 30]]).status_code == 503
    assert page.client.get(f"/v1/images/{image}/edits").json()["revision"] == 1
    assert page.marks(image)[30, 30] == 255
    refused = page.status(image, status="accepted")
    assert refused.status_code == 503
    assert "cannot be written" in refused.json()["detail"]
    assert page.project.status(image).status == "open"
