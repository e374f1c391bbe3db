"""Queries of many requests through one engine: together, in turn, and never mixed up."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.server.service.serving import (
    Served,
    files,
    pixels,
    png,
    refused,
    save_leaf,
    scene,
    serving,
    words,
)

import vicl
from vicl.engine import Filled
from vicl.images import to_tensor
from vicl.prompt import Prompt
from vicl.server.problems import Refusal
from vicl.server.service.batcher import Batcher, Prompted, Query


@dataclass
class Slow:
    """Answers the query itself once it is let go; notes how many it was asked at once."""

    name: str = "slow"
    weights_hash: str | None = None
    max_size: int | None = None
    calls: list[int] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        self.calls.append(len(prompts))
        self.begun.set()
        assert self.go.wait(30)
        found = [to_tensor(prompt.query).clone() for prompt in prompts]
        if any(bool((one == 1).all()) for one in found):
            raise RuntimeError("nothing to see in white")
        return [Filled(one) for one in found]


class Nobody:
    """Counts nothing."""

    def waiting(self, count: int) -> None: ...

    def batch(self, size: int, seconds: float) -> None: ...


def prompted(engine: Any, made: list[str] | None = None) -> Prompted:
    def make() -> vicl.VisualPrompter:
        if made is not None:
            made.append("made")
        return vicl.VisualPrompter(engine, [scene(0)], "image")

    return Prompted("slow", make)


@pytest.fixture
def batcher() -> Iterator[Callable[..., Batcher]]:
    made: list[Batcher] = []

    def make(**given: Any) -> Batcher:
        made.append(Batcher(**{"at_once": 4, "wait": 0.0, "room": 16, **given}, watcher=Nobody()))
        return made[-1]

    yield make
    for one in made:
        one.end()


def drawn(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{n}" for n in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(png(scene(number)[0]))
    return paths


def test_what_waits_is_answered_together_and_the_prompt_is_made_once(
    batcher: Callable[..., Batcher], tmp_path: Path
) -> None:
    engine, made = Slow(), list[str]()
    prompt, queue = prompted(engine, made), batcher()
    queries = [Query(prompt, path) for path in drawn(tmp_path, 10)]
    queue.put(queries[:1])
    assert engine.begun.wait(30)
    for query in queries[1:]:
        queue.put([query])  # as of nine requests
    engine.go.set()
    for number, query in enumerate(queries):
        answer = query.future.result(30)
        assert np.asarray(answer.image).tolist() == np.asarray(scene(number)[0]).tolist()
    assert engine.calls == [1, 4, 4, 1]
    assert made == ["made"]


def test_an_idle_engine_waits_a_little_for_others(
    batcher: Callable[..., Batcher], tmp_path: Path
) -> None:
    engine = Slow()
    engine.go.set()
    prompt, queue = prompted(engine), batcher(wait=20.0)
    queries = [Query(prompt, path) for path in drawn(tmp_path, 4)]
    started = time.monotonic()
    for query in queries:
        queue.put([query])
    for query in queries:
        query.future.result(30)
    assert engine.calls == [4]
    assert time.monotonic() - started < 15, "a full batch waits for nobody"


def test_the_oldest_goes_first_whatever_its_prompt(
    batcher: Callable[..., Batcher], tmp_path: Path
) -> None:
    first, second = Slow(), Slow()
    one, other = prompted(first), prompted(second)
    queue, paths = batcher(), drawn(tmp_path, 4)
    order = [Query(one, paths[0]), Query(other, paths[1]), Query(one, paths[2])]
    queue.put(order[:1])
    assert first.begun.wait(30)
    queue.put(order[1:])
    first.go.set()
    assert second.begun.wait(30)
    assert not order[2].future.done()
    second.go.set()
    order[2].future.result(30)
    assert (first.calls, second.calls) == ([1, 1], [1])


def test_one_that_fails_takes_nobody_along(batcher: Callable[..., Batcher], tmp_path: Path) -> None:
    engine = Slow()
    prompt, queue, paths = prompted(engine), batcher(), drawn(tmp_path, 4)
    paths[1].write_bytes(b"no picture")
    paths[2].write_bytes(png(vicl.images.to_pil(torch.ones(3, 20, 20))))
    queries = [Query(prompt, path) for path in paths]
    engine.go.set()
    queue.put(queries)
    for good in (0, 3):
        queries[good].future.result(30)
    with pytest.raises(vicl.ImageError, match="not an image"):
        queries[1].future.result(30)
    with pytest.raises(RuntimeError, match="nothing to see"):
        queries[2].future.result(30)


def test_a_prompt_that_cannot_be_made_is_told_to_all_and_the_next_is_answered(
    batcher: Callable[..., Batcher], tmp_path: Path
) -> None:
    def broken() -> vicl.VisualPrompter:
        raise ValueError("no such thing")

    engine, queue, paths = Slow(), batcher(), drawn(tmp_path, 3)
    engine.go.set()
    bad = Prompted("bad", broken)
    queries = [Query(bad, paths[0]), Query(bad, paths[1]), Query(prompted(engine), paths[2])]
    queue.put(queries)
    for query in queries[:2]:
        with pytest.raises(ValueError, match="no such thing"):
            query.future.result(30)
    queries[2].future.result(30)


def test_a_full_queue_refuses_at_once_all_or_none(
    batcher: Callable[..., Batcher], tmp_path: Path
) -> None:
    engine = Slow()
    prompt, queue, paths = prompted(engine), batcher(room=2), drawn(tmp_path, 6)
    queue.put([Query(prompt, paths[0])])
    assert engine.begun.wait(30)
    waiting = [Query(prompt, path) for path in paths[1:3]]
    queue.put(waiting)
    with pytest.raises(Refusal, match="2 queries wait") as refusal:
        queue.put([Query(prompt, paths[3])])
    assert (refusal.value.status, refusal.value.retry_after) == (503, 1)
    waiting[0].future.cancel()  # its client has left
    with pytest.raises(Refusal):
        queue.put([Query(prompt, path) for path in paths[3:5]])
    queue.put([Query(prompt, paths[5])])
    engine.go.set()
    waiting[1].future.result(30)
    queue.end()
    assert sum(engine.calls) == 3, "who left is not answered"


def test_the_end_answers_what_was_taken(batcher: Callable[..., Batcher], tmp_path: Path) -> None:
    engine = Slow()
    prompt, queue, paths = prompted(engine), batcher(at_once=1), drawn(tmp_path, 4)
    queries = [Query(prompt, path) for path in paths]
    queue.put(queries[:3])
    assert engine.begun.wait(30)
    queue.close()
    with pytest.raises(Refusal, match="ending"):
        queue.put(queries[3:])
    engine.go.set()
    queue.end()
    assert all(query.future.done() for query in queries[:3])


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Served, Slow]]:
    """A service whose prompt `slow` is answered by an engine that waits."""
    engine = Slow()
    leaf = save_leaf(tmp_path / "leaf.vicl")
    with serving(prompts=(leaf,), examples=False, at_once=1, queue=1) as made:
        made.service.prompts["slow"] = prompted(engine)
        try:
            yield made, engine
        finally:
            engine.go.set()


def test_time_that_is_up_is_504_and_a_full_queue_503(slow: tuple[Served, Slow]) -> None:
    served, engine = slow
    assert "Time was up" in refused(served.predict(prompt="slow", timeout=0.2), 504)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.predict, prompt="slow")  # behind the one that still runs
        while not served.service._batcher._waiting:
            time.sleep(0.005)
        started = time.monotonic()
        reply = served.predict(prompt="slow")
        assert "queries wait" in refused(reply, 503)
        assert int(reply.headers["retry-after"]) >= 1
        assert time.monotonic() - started < 5
        engine.go.set()
        assert waiting.result(30).status_code == 200
    assert engine.calls == [1, 1]


def test_a_client_that_leaves_takes_its_query_back(slow: tuple[Served, Slow]) -> None:
    served, engine = slow
    app: Any = served.client.app
    made = served.client.build_request(
        "POST",
        "/v1/predict",
        files=[*files("query", png(scene(1)[0])), *words(prompt="slow")],
    )
    body = made.read()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "raw_path": b"/v1/predict",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in made.headers.items()],
        "http_version": "1.1",
        "scheme": "http",
        "app": app,
    }

    async def ask(leave: asyncio.Event) -> list[Any]:
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(dict(scope), receive, send)
        return sent

    async def both() -> list[Any]:
        stay, leave = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(ask(stay))
        assert await asyncio.to_thread(engine.begun.wait, 30)
        second = asyncio.create_task(ask(leave))
        while not served.service._batcher._waiting:
            await asyncio.sleep(0.005)
        leave.set()
        assert (await second)[0]["status"] == 499
        engine.go.set()
        return await first

    assert asyncio.run(both())[0]["status"] == 200
    served.service._batcher.end()
    assert engine.calls == [1]


def test_no_answer_is_mixed_up(served: Served) -> None:
    """Sixty pictures at once, alone and in threes, each answered by itself."""

    def ask(first: int) -> None:
        count = 1 + 2 * (first % 2)
        numbers = [first + 300 * n for n in range(count)]
        example = files("example_input", png(scene(1)[0])) + files(
            "example_output", png(scene(1)[0])
        )
        query = [(name, part) for n in numbers for name, part in _query(n)]
        reply = served.post([*query, *example])
        assert reply.status_code == 200, reply.text
        for number, answer in zip(numbers, reply.json()["answers"], strict=True):
            assert answer["query"] == f"{number}.png"
            got = pixels(base64.b64decode(answer["png"]))
            assert got.tolist() == np.asarray(scene(number)[0]).tolist(), number

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(30)))


def _query(number: int) -> list[Any]:
    return files("query", png(scene(number)[0]), name=f"{number}.png")
