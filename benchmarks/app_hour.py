"""An hour of a person's work in the app, compressed in time: does memory stay flat?

    pip install "vicl[app,browser]"     # and Debian's package `chromium`
    python benchmarks/app_hour.py [--images 24] [--minutes 60] [--engine NAME] [--seed 0]

A scripted person (`person.py`) works in the real page in Chromium until the gestures and looks have
cost so many minutes by the keystroke-level model, at which they are not waited for: a round marks
one image, which becomes the example, looks at each other one, accepts most, paints over some (with
undo, redo, the eraser, other sizes of the brush, ways of showing the answer), makes two of those
examples, exports all, and takes everything back. Two answers a round are waited for,
and the expected score after it.
At ten points the memory is printed: what the server's and the page's processes hold, the page's
JavaScript objects after a collection, and its nodes; then the slopes over the last half.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app import draw_folder
from browsing import (
    App,
    chromium,
    framed,
    items,
    opened,
    resident,
    saved,
    served,
    shown,
    until,
)
from person import BUTTON, CENTIMETRE, LINE, PER_CENTIMETRE, POINT, Person

SIZE = (1280, 720)
POINTS = 10
WAITED = 12
"""One of so many answers is waited for; between them the person is faster than the engine."""
MIB = 2**20
OPEN_ANSWERED = """fetch('/v1/images?sort=name&offset=0&limit=1000').then(reply => reply.json())
.then(all => all.items.some(one => one.example || (one.answer_revision && !one.stale &&
one.id === document.querySelector('.tile[aria-current=true]').dataset.id)))"""
COLUMNS = ("server", "page", "objects", "nodes")


@dataclass
class Work:
    """The person at the open page, and what was measured so far."""

    page: Any
    app: App
    renderer: int
    session: Any
    rng: np.random.Generator
    seconds: float
    person: Person
    done: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[float, ...]] = field(default_factory=list)

    def over(self) -> bool:
        """Note the memory where a point is reached; whether the time is over."""
        while len(self.rows) < POINTS and self.person.seconds >= self.seconds * (
            (len(self.rows) + 1) / POINTS
        ):
            self.rows.append(self._measured())
        return len(self.rows) == POINTS

    def _measured(self) -> tuple[float, ...]:
        self.session.send("HeapProfiler.collectGarbage")
        found = {
            one["name"]: one["value"]
            for one in self.session.send("Performance.getMetrics")["metrics"]
        }
        row = (
            self.person.seconds / 60,
            self.app.memory() / MIB,
            resident(self.renderer) / MIB,
            found["JSHeapUsedSize"] / MIB,
            found["Nodes"],
        )
        print(
            f"{row[0]:5.1f} min | {self.person.gestures:5d} | {row[1]:6.0f} | {row[2]:6.0f} | "
            f"{row[3]:6.2f} | {row[4]:6.0f}",
            flush=True,
        )
        return row

    def key(self, name: str, what: str = "") -> None:
        """Press a key."""
        self.person.key(name)
        if what:
            self.done[what] += 1

    def now(self) -> dict[str, Any]:
        """The open image, once it is shown."""
        shown(self.page)
        name = self.page.locator(".tile[aria-current=true]").get_attribute("data-id")
        return next(one for one in items(self.page) if one["id"] == name)

    def stroke(self, size: tuple[int, int]) -> None:
        """Draw a line somewhere on the open image; size is (width, height)."""
        ends = self.rng.uniform(0.1, 0.9, (3, 2)) * size
        frame = framed(self.page, size)
        path = [frame.place((float(x), float(y))) for x, y in ends]
        mouse = self.page.mouse
        mouse.move(*path[0])
        mouse.down()
        for point in path[1:]:
            mouse.move(*point, steps=8)
        mouse.up()
        length = np.linalg.norm(np.diff(np.array(path), axis=0), axis=1).sum() / PER_CENTIMETRE
        self.person.count("drags", POINT + 2 * BUTTON + LINE + CENTIMETRE * float(length))
        self.done["strokes"] += 1

    def paint(self, size: tuple[int, int]) -> None:
        """A few strokes: of a class, of the ground, erased, taken back and done again."""
        self.key("b")
        self.key("]" if self.person.size < 40 else "[")
        self.person.size = int(self.page.text_content("#size-now").split()[0])
        self.stroke(size)
        self.key("0")
        self.stroke(size)
        self.key("e")
        self.stroke(size)
        self.key("Control+z", "undo")
        self.key("Control+Shift+z", "redo")
        self.key("Control+z", "undo")
        self.key("b")
        self.key("1")
        saved(self.page)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--engine", help="the project's; default: the best for the task")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw_folder(Path(folder), given.images)
        with served(Path(folder)) as app, chromium() as browser:
            started = time.perf_counter()
            page = opened(browser, app.address, SIZE)
            if given.engine is not None:
                headers = {"If-Match": "*"}
                address = f"{app.address}v1/project"
                page.request.patch(address, data={"engine": given.engine}, headers=headers)
                page.reload()
                shown(page)
            work = Work(
                page,
                app,
                _renderer(browser),
                page.context.new_cdp_session(page),
                np.random.default_rng(given.seed),
                60 * given.minutes,
                Person(page),
            )
            heard = "new EventSource('/v1/events')"
            page.evaluate(
                f"window.heard = 0; {heard}.addEventListener('message', event => "
                "(window.heard += JSON.parse(event.data).kind === 'answer'))"
            )
            work.session.send("Performance.enable")
            print("person   | gestures | server MiB | page MiB | objects MiB | nodes")
            while not work.over():
                _round(work)
            took = time.perf_counter() - started
            work.done["answers"] = page.evaluate("window.heard")
    _report(work, took)


def _renderer(browser: Any) -> int:
    """The process of the page."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    used = [(one["cpuTime"], one["id"]) for one in found if one["type"] == "renderer"]
    return int(max(used)[1])


def _appears(page: Any, selector: str) -> None:
    """Wait for something, and hold on to nothing: a handle would keep nodes that the page drops."""
    page.locator(selector).first.wait_for()


def _round(work: Work) -> None:
    """From no example to an export, and back."""
    page, person = work.page, work.person
    first = work.now()
    size = (first["width"], first["height"])
    work.paint(size)
    _appears(page, f".tile[data-id='{first['id']}'] .badge.example")
    work.done["images opened"] += 1
    work.key("a", "accepted")
    examples = [first["id"]]
    for number in range(1, len(items(page))):
        open_now = work.now()
        work.done["images opened"] += 1
        if number % WAITED == 1:
            until(page, OPEN_ANSWERED)
        person.look()
        if number % 4 == 1:
            work.paint((open_now["width"], open_now["height"]))
            work.done["corrections"] += 1
            if len(examples) < 3:
                examples.append(open_now["id"])
                work.key("m")
                _appears(page, f".tile[data-id='{open_now['id']}'] .badge.example")
        if number % 5 == 0:
            work.key("t")
        _judge(work, open_now["id"])
        if work.over():
            return
    _appears(page, "#score .figure")
    work.done["scores"] += 1
    _export(work)
    for one in items(page):
        person.press(f".tile[data-id='{one['id']}']")
        work.done["images opened"] += 1
        work.now()
        if one["example"]:
            work.key("m")
            _appears(page, f".tile[data-id='{one['id']}'] .badge:not(.example)")
        if one["marked"]:
            work.key("Delete", "cleared")
            saved(page)
        work.key("a")
        _appears(page, f".tile[data-id='{one['id']}']:not(:has(.badge))")
    person.press(f".tile[data-id='{first['id']}']")
    work.done["rounds"] += 1


def _judge(work: Work, image: str) -> None:
    work.key("a", "accepted")
    _appears(work.page, f".tile[data-id='{image}'] .badge:is(.accepted, .example)")
    work.page.wait_for_timeout(20)


def _export(work: Work) -> None:
    work.person.press("#open-export")
    with work.page.expect_download() as download:
        work.person.press("dialog button[type=submit]")
    download.value.delete()
    work.key("Escape", "exports")


def _report(work: Work, took: float) -> None:
    person = work.person
    print(f"{person.seconds / 60:.0f} min of a person's time in {took / 60:.1f} min")
    print(f"{person.gestures} gestures {person.kinds}")
    print(", ".join(f"{count} {what}" for what, count in work.done.items()))
    rows = np.array(work.rows)[POINTS // 2 :]
    for column, name in enumerate(COLUMNS, start=1):
        slope = np.polyfit(rows[:, 0] / 60, rows[:, column], 1)[0]
        first, last = rows[0, column], rows[-1, column]
        print(f"{name}, last half: {first:.1f} to {last:.1f}, {slope:+.1f} an hour")


if __name__ == "__main__":
    main()
