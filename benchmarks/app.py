"""The app's latencies: from a new stroke to the open image's new answer, and a folder answered.

    python benchmarks/app.py [--images 200] [--strokes 20] [--hints 20] [--cold]

A folder is drawn of copies of the package's photographs, each a little different, so that nothing
is known beforehand. The server runs in this process, without a socket: what is measured is its own
work. `--strokes` new strokes are made on one example, each waited for; then all images are
answered, then the prompt changes and all are answered again with their features kept as far as
the cache holds them. As in `vicl app` the engine is loaded beforehand, unless `--cold` says that
the first stroke does it. Memory is the process's at its highest, after each part. At the end an
image with a side of 1280 pixels is coloured by hints, dab by dab.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from vicl.app.factory import create_app
from vicl.files.machine import peak_memory
from vicl.files.packaged import PHOTOS
from vicl.server.project import Project
from vicl.server.security import Guard
from vicl.server.services import Services
from vicl.server.worker import Urgency

ANY = {"If-Match": "*"}


def draw_folder(folder: Path, count: int) -> None:
    """Photographs of the package, cut and mirrored differently."""
    photos = [Image.open(PHOTOS / f"dandelion_{n}.jpg").convert("RGB") for n in (1, 2, 3)]
    for number in range(count):
        photo = photos[number % 3]
        cut = 1 + number // 3 % 40
        shown = photo.crop((cut, cut, photo.width, photo.height))
        if number // 120 % 2:
            shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        shown.save(folder / f"{number:04d}.jpg", quality=92)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--strokes", type=int, default=20)
    parser.add_argument("--hints", type=int, default=20)
    parser.add_argument("--cold", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw_folder(folder, given.images)
        started = time.perf_counter()
        services = Services(Project(folder / "vicl-project", folder))
        print(f"a folder of {given.images} opened: {time.perf_counter() - started:.2f} s")
        if not given.cold:
            started = time.perf_counter()
            services.warm()
            services.answering.run(Urgency.LATER, lambda: None)
            print(f"engine and segmenter loaded: {time.perf_counter() - started:.2f} s")
        with TestClient(create_app(services, Guard()), base_url="http://localhost") as client:
            measure(client, services, given.strokes)
            measure_hints(client, services, given.hints)


def measure_hints(client: TestClient, services: Services, count: int) -> None:
    """Dab by dab on a large gray image, each waited for."""
    data = io.BytesIO()
    photo = Image.open(PHOTOS / "dandelion_1.jpg").convert("L")
    photo.resize((1280, round(1280 * photo.height / photo.width))).save(data, "PNG")
    client.patch("/v1/project", json={"task": "colorization"}, headers=ANY).raise_for_status()
    sent = client.post("/v1/images", files={"files": ("gray.png", data.getvalue())})
    sent.raise_for_status()
    (image,) = sent.json()["items"]
    places = np.random.default_rng(0).uniform(50, 600, (count, 2)).tolist()
    waits, work = [], []
    for number, point in enumerate(places):
        colour = [200, (37 * number) % 256, 50]
        body = {"op": "stroke", "class": None, "tool": "hint", "colour": colour, "size": 12}
        started, cpu = time.perf_counter(), time.process_time()
        where, before = f"/v1/images/{image['id']}", services.project.facts(image["id"])
        client.post(
            f"{where}/edits", json={**body, "points": [point]}, headers=ANY
        ).raise_for_status()
        client.post("/v1/answers", json={"scope": "open", "image": image["id"]}).raise_for_status()
        while services.project.facts(image["id"]) == before:  # to list all images is work itself
            time.sleep(0.002)
        waits.append(time.perf_counter() - started)
        work.append(time.process_time() - cpu)
    for what, values in (("wall clock", waits), ("processor", work)):
        p50, p95 = np.percentile(values, (50, 95))
        print(f"dab to answer, {what}: p50 {p50:.2f} s, p95 {p95:.2f} s ({count} dabs)")


def measure(client: TestClient, services: Services, strokes: int) -> None:
    """Stroke by stroke, then all images, twice."""
    started = time.perf_counter()
    items = client.get("/v1/images").json()["items"]
    print(f"all images listed: {time.perf_counter() - started:.2f} s")
    example, query = items[0], items[1]
    width, height = example["width"], example["height"]

    def stroke(label: int, points: list[list[float]], size: float) -> None:
        body = {"op": "stroke", "class": label, "tool": "brush", "points": points, "size": size}
        reply = client.post(f"/v1/images/{example['id']}/edits", json=body, headers=ANY)
        reply.raise_for_status()

    def answered(image: str) -> None:
        client.post("/v1/answers", json={"scope": "open", "image": image}).raise_for_status()
        key = client.get("/v1/project").json()["prompt"]
        while True:
            facts = services.project.facts(image)
            if facts is not None and facts.prompt_revision == key:
                return
            time.sleep(0.002)

    stroke(0, [[10, 10], [width - 10, 10]], 12)
    client.put(f"/v1/images/{example['id']}/status", json={"example": True}, headers=ANY)
    waits, work = [], []
    for number in range(strokes + 1):
        started, cpu = time.perf_counter(), time.process_time()
        stroke(1, [[width / 2, height / 2], [width / 2 + 2 * number, height / 2 + 20]], 10)
        answered(query["id"])
        waits.append(time.perf_counter() - started)
        work.append(time.process_time() - cpu)
    print(f"first stroke to answer: {waits[0]:.2f} s")
    for what, values in (("wall clock", waits[1:]), ("processor", work[1:])):
        p50, p95 = np.percentile(values, (50, 95))
        print(f"stroke to answer, {what}: p50 {p50:.2f} s, p95 {p95:.2f} s ({strokes} strokes)")
    print(f"memory: {peak_memory() / 2**20:.0f} MiB")
    for turn in ("first", "second"):
        stroke(1, [[width / 2, height / 2]], 14 if turn == "first" else 16)
        started = time.perf_counter()
        total = client.post("/v1/answers", json={"scope": "all"}).json()["total"]
        key = client.get("/v1/project").json()["prompt"]
        while any(
            one is None or one.prompt_revision != key
            for one in (services.project.facts(item["id"]) for item in items)
        ):
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        print(
            f"{total} images answered, {turn} time: {seconds:.1f} s, {seconds / total:.2f} s each"
        )
        print(f"memory: {peak_memory() / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
