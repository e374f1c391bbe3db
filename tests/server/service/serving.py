"""A service in this process, and what is sent to it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

import vicl
from vicl.server.service.app import create_service_app
from vicl.server.service.service import Service
from vicl.server.service.settings import ServiceSettings

Part = tuple[str, tuple[str | None, bytes]]


def scene(seed: int, size: tuple[int, int] = (40, 60)) -> tuple[Image.Image, Image.Image]:
    """A disc on a ground, elsewhere and in other colours for each seed; and its mask."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    inside = (y - 20) ** 2 + (x - 12 - seed % 30) ** 2 < 64
    pixels = np.full((height, width, 3), (40, 90, seed % 256), np.uint8)
    pixels[inside] = (220, 200, seed // 256 % 256)
    return Image.fromarray(pixels), Image.fromarray(inside)


def png(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def save_leaf(path: Path) -> Path:
    """A prompt file of one example, answered by `copy`."""
    vicl.VisualPrompter("copy", [scene(1)], "segmentation", classes="leaf").save(path)
    return path


def words(**fields: Any) -> list[Part]:
    return [
        (name, (None, (value if isinstance(value, str) else json.dumps(value)).encode()))
        for name, value in fields.items()
    ]


def files(field: str, *contents: bytes, name: str = "a.png") -> list[Part]:
    return [(field, (name, content)) for content in contents]


@dataclass
class Served:
    """A service and its client."""

    client: TestClient
    service: Service

    def post(self, parts: Sequence[Part], **more: Any) -> Any:
        return self.client.post("/v1/predict", files=list(parts), **more)

    def predict(self, query: int = 2, **fields: Any) -> Any:
        return self.post([*files("query", png(scene(query)[0])), *words(**fields)])

    def own(self, query: int = 2, **fields: Any) -> Any:
        """Ask by an example that is sent."""
        shown, mask = scene(1)
        parts = files("example_input", png(shown)) + files("example_output", png(mask))
        return self.post([*files("query", png(scene(query)[0])), *parts, *words(**fields)])


@contextmanager
def serving(**settings: Any) -> Iterator[Served]:
    service = Service(ServiceSettings(**settings))
    client = TestClient(
        create_service_app(service),
        base_url="http://localhost",
        raise_server_exceptions=False,
    )
    with client:
        yield Served(client, service)


def refused(reply: Any, status: int) -> str:
    """A problem as it should be; gives its sentence."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    said = reply.json()
    assert said["status"] == status
    assert said["title"]
    assert said["type"] == "about:blank"
    assert len(said["detail"]) > 15
    assert "vicl-serve-" not in said["detail"], "a path of the server"
    return str(said["detail"])
