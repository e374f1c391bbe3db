"""Shards that the tests make for themselves."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Literal

from PIL import Image


def image_bytes(grey: int, kind: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    """An image file of one level of grey, by which tests know it again."""
    stream = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(stream, kind)
    return stream.getvalue()


def grey_of(image: Image.Image) -> int:
    return image.convert("L").tobytes()[0]


def write_tar(path: Path, members: dict[str, bytes], mode: Literal["w", "w:gz"] = "w") -> Path:
    with tarfile.open(path, mode=mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_shards(folder: Path, sizes: list[int]) -> str:
    """Shards of so many images each; the n-th image of all has the grey level n."""
    grey = 0
    for number, size in enumerate(sizes):
        members = {}
        for _ in range(size):
            members[f"{grey:04}.png"] = image_bytes(grey)
            members[f"{grey:04}.json"] = b"{}"
            grey += 1
        write_tar(folder / f"s-{number}.tar", members)
    return str(folder / f"s-{{0..{len(sizes) - 1}}}.tar")
