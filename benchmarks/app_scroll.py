"""How smoothly a folder of 500 images scrolls in the app while answers stream in.

    pip install "vicl[app,browser]"     # and Debian's package `chromium`
    python benchmarks/app_scroll.py [--images 500] [--seconds 20]

One image is marked in the real page in Chromium; once answers come, the list of images is scrolled
to its end and back by the wheel. The page notes when each of its frames begins: the time between
two is told, and beside it the processor time of the page's main thread between two turns of the
wheel, which are several frames apart: all of it, the browser's layout and painting, and the page's
scripts alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from app import draw_folder
from browsing import chromium, framed, items, opened, saved, served, until

NOTE = """() => {
    window.frames_at = [];
    window.noting = true;
    const note = (now) => {
        window.frames_at.push(now);
        if (window.noting) requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
}"""
STEP = 400
"""Pixels a turn of the wheel."""


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw_folder(Path(folder), given.images)
        with served(Path(folder)) as app, chromium() as browser:
            page = opened(browser, app.address, (1280, 720))
            first = items(page)[0]
            size = (first["width"], first["height"])
            _mark(page, size)
            until(page, "document.getElementById('progress').value > 0")
            measure(page, given.seconds)


def _mark(page: Any, size: tuple[int, int]) -> None:
    frame = framed(page, size)
    for key, height in (("1", 0.5), ("0", 0.05)):
        page.keyboard.press(key)
        page.mouse.move(*frame.place((0.4 * size[0], height * size[1])))
        page.mouse.down()
        page.mouse.move(*frame.place((0.6 * size[0], height * size[1])), steps=4)
        page.mouse.up()
    saved(page)


def measure(page: Any, seconds: float) -> None:
    """Scroll, and tell how long frames took."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked() -> tuple[float, float]:
        metrics = session.send("Performance.getMetrics")["metrics"]
        values = {one["name"]: float(one["value"]) for one in metrics}
        return values["TaskDuration"], values["ScriptDuration"]

    before = sum(one["answer_revision"] is not None for one in items(page))
    page.hover("#tiles")
    page.evaluate(NOTE)
    steps, way, most = [worked()], STEP, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        page.mouse.wheel(0, way)
        page.evaluate("new Promise(requestAnimationFrame)")
        steps.append(worked())
        top, rest = page.evaluate(
            "(list => [list.scrollTop, list.scrollHeight - list.clientHeight - list.scrollTop])"
            "(document.getElementById('tiles'))"
        )
        most = max(most, top)
        way = -STEP if rest < 1 else STEP if top < 1 else way
    frames = page.evaluate("(window.noting = false, window.frames_at)")
    after = sum(one["answer_revision"] is not None for one in items(page))
    apart = np.diff(frames)
    work, scripts = 1000 * np.diff(steps, axis=0).T
    print(
        f"{len(steps) - 1} turns of the wheel, down to {most:.0f} px; {after - before} answers came"
    )
    for what, values in (
        ("between frames", apart),
        ("the page's work a turn", work),
        ("its scripts a turn", scripts),
    ):
        p50, p95 = np.percentile(values, (50, 95))
        print(
            f"{what}, ms: p50 {p50:.1f}, p95 {p95:.1f}, at most {values.max():.1f} ({len(values)})"
        )


if __name__ == "__main__":
    main()
