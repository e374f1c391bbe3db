"""A server over a folder of small drawn pictures; the floor `copy` answers at once."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from vicl.app.factory import create_app
from vicl.server.project import Project
from vicl.server.security import Guard
from vicl.server.services import Services

ANY = {"If-Match": "*"}


def scene(seed: int, size: tuple[int, int] = (40, 60)) -> Image.Image:
    """A disc on a coloured ground, elsewhere for each seed."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    middle = 15 + 5 * (seed % 4)
    pixels = np.full((height, width, 3), (40, 90, 30 + seed), np.uint8)
    pixels[(y - 20) ** 2 + (x - middle) ** 2 < 64] = (220, 200, 40)
    return Image.fromarray(pixels)


def draw_folder(folder: Path, count: int = 3) -> Path:
    """A folder of scenes, one of them below, and a broken one."""
    (folder / "below").mkdir(parents=True)
    for number in range(1, count):
        scene(number).save(folder / f"p{number}.png")
    scene(count).save(folder / "below" / f"p{count}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not more")
    return folder


@dataclass
class Page:
    """A client, and short ways to do what a page does."""

    client: TestClient
    services: Services
    folder: Path

    @property
    def project(self) -> Project:
        return self.services.project

    def id(self, name: str) -> str:
        return next(i for i, entry in self.project.images.items() if entry.name == name)

    def stroke(self, image: str, label: int | None, points: Any, **more: Any) -> Any:
        body = {"op": "stroke", "class": label, "tool": "brush", "points": points, "size": 6}
        return self.client.post(f"/v1/images/{image}/edits", json=body | more, headers=ANY)

    def step(self, image: str, op: str) -> Any:
        return self.client.post(f"/v1/images/{image}/edits", json={"op": op}, headers=ANY)

    def status(self, image: str, **change: Any) -> Any:
        return self.client.put(f"/v1/images/{image}/status", json=change, headers=ANY)

    def change(self, **change: Any) -> Any:
        return self.client.patch("/v1/project", json=change, headers=ANY)

    def marks(self, image: str) -> np.ndarray:
        reply = self.client.get(f"/v1/images/{image}/marks")
        return np.asarray(Image.open(io.BytesIO(reply.content)))

    def answer(self, image: str) -> np.ndarray:
        reply = self.client.get(f"/v1/images/{image}/answer")
        assert reply.status_code == 200, reply.text
        return np.asarray(Image.open(io.BytesIO(reply.content)))

    def teach(self, image: str) -> None:
        """Mark the disc and some ground of one scene, whole."""
        self.stroke(image, 0, [[0, 0], [60, 40]], tool="box")
        self.stroke(image, 1, [[20, 20]], size=16)
        self.status(image, example=True)

    def wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not done():
            assert time.monotonic() < end, "it took too long"
            time.sleep(0.005)


def packed(pixels: np.ndarray) -> str:
    """A picture as PNG in base64."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def open_page(folder: Path, place: Path | None = None, **guard: Any) -> Page:
    """A page over a folder."""
    services = Services(Project(place or folder / "vicl-project", folder))
    client = TestClient(create_app(services, Guard(**guard)), base_url="http://localhost")
    return Page(client, services, folder)
