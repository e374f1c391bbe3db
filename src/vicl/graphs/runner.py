"""Runs what `vicl export` wrote, by NumPy, Pillow and onnxruntime.

It needs neither PyTorch nor any other file of vicl, so this file may be copied to
where vicl is not installed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

ENTRY: Final = "vicl"
"""The metadata's only entry."""

FORMAT: Final = "vicl graph"
VERSION: Final = 1

_LIMIT_PIXELS: Final = 64_000_000
"""Of a file: a header may promise more than a memory holds."""

_Floats = npt.NDArray[np.float32]
_Part = tuple[int, int, int, int]
"""Of an image: x0, y0, x1, y1 in pixels."""

_AROUND, _NARROWEST, _LEAST, _SMALL = 1.6, 0.5, 32, 0.8
"""A part is so many times as large as its box; its shorter side at least that share of the longer,
and so many pixels. Parts of more than that share of the image are not looked at."""

_Picture = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Found:
    """The answer to one query; everything at its own size (h, w).

    Attributes:
        scores: Segmentation and detection: float32 (classes, h, w) in [0, 1].
        mask: Class numbers, uint8 (h, w), 0 = background.
        presence: Of the engine `matching`: the chance of each class to be there, (classes,).
        picture: Of other tasks: uint8 (h, w, 3).
    """

    scores: _Floats | None = None
    mask: npt.NDArray[np.uint8] | None = None
    presence: _Floats | None = None
    picture: npt.NDArray[np.uint8] | None = None


class Exported:
    """A prompt in a graph.

    Attributes:
        info: What the file says of itself: task, classes, colours, engine, weights and more.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 0) -> None:
        self._session, self.info = _open(path, "prompt", threads)

    def predict(self, query: _Picture) -> Found:
        """Answer one query: a file, a PIL image or a uint8 array (h, w, 3)."""
        image = _rgb(query)
        size, shown = image.size, image.copy()
        if max(size) > self.info["longest"]:
            shown.thumbnail((self.info["longest"],) * 2, Image.Resampling.BICUBIC)
        names = self.info["outputs"]
        found = dict(zip(names, self._session.run(names, {"query": _planes(shown)}), strict=True))
        planes = np.stack([_enlarged(plane, size) for plane in found[names[0]]])
        if "picture" in found:
            levels = (planes.clip(0, 1) * 255).round().astype(np.uint8)
            return Found(picture=np.ascontiguousarray(levels.transpose(1, 2, 0)))
        mask = np.where(planes.max(0) > 0.5, planes.argmax(0) + 1, 0).astype(np.uint8)
        return Found(planes, mask, found.get("presence"))


class ExportedSegmenter:
    """A segmenter in two graphs; an image is encoded once.

    Attributes:
        info: What the encoder's file says of itself.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 0) -> None:
        self._encoder, self.info = _open(Path(folder) / "encoder.onnx", "encoder", threads)
        self._decoder, _ = _open(Path(folder) / "decoder.onnx", "decoder", threads)
        self._image: Image.Image | None = None
        self._neck: dict[str, Any] = {}
        self._closer: tuple[_Part, dict[str, Any]] | None = None

    def encode(self, image: _Picture) -> None:
        """Look at an image: a file, a PIL image or a uint8 array (h, w, 3)."""
        opened = _rgb(image)
        self._neck, self._image, self._closer = self._seen(opened), opened, None

    def masks(
        self, points: Any = (), labels: Any = None, *, box: Any = None
    ) -> tuple[npt.NDArray[np.bool_], _Floats]:
        """Three masks, bool (3, h, w), and the IoU that each is expected to have, best first.

        What a box is around is looked at once more, from nearer, and the mean of both counts; more
        clicks on the same box do not look again.

        Args:
            points: (x, y) pairs in pixels.
            labels: One a point: 1 = in, 0 = out; None: all are in.
            box: (x0, y0, x1, y1) in pixels.

        Raises:
            ValueError: If no image was encoded, or nothing is asked.
        """
        if self._image is None:
            raise ValueError("no image: call encode(image) first")
        size = np.array(self._image.size, np.float32)
        at = np.asarray(points, np.float32).reshape(-1, 2) / size
        if not len(at) and box is None:
            raise ValueError("nothing is asked: give points, a box, or both")
        told = np.ones(len(at)) if labels is None else np.asarray(labels)
        if not len(at):
            at, told = np.zeros((1, 2), np.float32), np.array([-1])
        sides = np.full(4, -1.0) if box is None else np.asarray(box, float)
        scale = np.concatenate([size, size])
        part: _Part = (0, 0, *self._image.size)
        odds, ious = self._asked(self._neck, at, told, sides if box is None else sides / scale)
        if box is not None and _is_small(near := _around(sides, self._image.size), part):
            shares, part = (np.asarray(near) / scale).astype(np.float32), near
            low, wide = shares[:2], shares[2:] - shares[:2]
            moved = (at - low) / wide
            there = np.where(((moved >= 0) & (moved < 1)).all(1), told, -1)
            inner = (sides / scale - np.tile(low, 2)) / np.tile(wide, 2)
            neck = self._near(near)
            closer, expected = self._asked(neck, moved.clip(0, 1), there, inner.clip(0, 1))
            odds, ious = (_seen_from(odds, shares) + closer) / 2, (ious + expected) / 2
        order = np.argsort(-ious, kind="stable")
        x0, y0, x1, y1 = part
        masks = np.zeros((len(odds), *self._image.size[::-1]), bool)
        masks[:, y0:y1, x0:x1] = [_enlarged(odds[i], (x1 - x0, y1 - y0)) > 0 for i in order]
        return masks, ious[order]

    def _seen(self, image: Image.Image) -> dict[str, Any]:
        names = self.info["outputs"]
        found = self._encoder.run(names, {"image": _planes(image)})
        return dict(zip(names, found, strict=True))

    def _near(self, part: _Part) -> dict[str, Any]:
        """What the encoder says of a part; the last one is kept."""
        assert self._image is not None
        if self._closer is None or self._closer[0] != part:
            self._closer = part, self._seen(self._image.crop(part))
        return self._closer[1]

    def _asked(self, neck: dict[str, Any], points: Any, labels: Any, box: Any) -> tuple[Any, Any]:
        """Log-odds (3, 192, 192) and IoUs; points and box are in shares."""
        asked = {
            "points": points.astype(np.float32)[None],
            "labels": labels.astype(np.int64)[None],
            "box": np.asarray(box, np.float32)[None],
            "earlier": np.full((1, 96, 96), -1, np.float32),
        }
        odds, ious = self._decoder.run(["masks", "ious"], {**neck, **asked})
        return odds, ious


def load_exported(
    path: str | os.PathLike[str], *, threads: int = 0
) -> Exported | ExportedSegmenter:
    """Open what `vicl export` wrote.

    Args:
        path: The file of a prompt, or the folder of a segmenter.
        threads: Of onnxruntime; 0: as many as there are cores.

    Raises:
        ValueError: If it is something else, or onnxruntime is not installed.
    """
    return ExportedSegmenter(path, threads) if Path(path).is_dir() else Exported(path, threads)


def _open(path: str | os.PathLike[str], kind: str, threads: int) -> tuple[Any, dict[str, Any]]:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError('exported graphs need onnxruntime: pip install "vicl[onnx]"') from error
    if not Path(path).is_file():
        raise ValueError(f"{os.fspath(path)!r}: is no file; expected a graph of `vicl export`")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
        info = json.loads(session.get_modelmeta().custom_metadata_map[ENTRY])
        told = {name: info[name] for name in ("format", "version", "kind", "outputs")}
    except Exception as error:  # onnxruntime's own are of many kinds
        raise ValueError(
            f"{os.fspath(path)!r}: is no graph of vicl's, or a part of one; make one with "
            "`vicl export`"
        ) from error
    wanted = {"format": FORMAT, "version": VERSION, "kind": kind}
    if any(told[name] != value for name, value in wanted.items()):
        raise ValueError(
            f"{os.fspath(path)!r}: got {told['format']!s:.40}, version {told['version']!s:.8}, "
            f"kind {told['kind']!s:.20}; expected {FORMAT}, version {VERSION}, kind {kind}"
        )
    return session, info


def _rgb(image: _Picture) -> Image.Image:
    if isinstance(image, np.ndarray):
        return Image.fromarray(image).convert("RGB")
    opened = image if isinstance(image, Image.Image) else Image.open(image)
    if opened is not image and (pixels := opened.width * opened.height) > _LIMIT_PIXELS:
        opened.close()
        raise ValueError(
            f"{image}: has {pixels / 1e6:.0f} million pixels, expected at most "
            f"{_LIMIT_PIXELS / 1e6:.0f} million; open it yourself if you trust it"
        )
    return ImageOps.exif_transpose(opened).convert("RGB")


def _planes(image: Image.Image) -> _Floats:
    return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255)


def _enlarged(plane: _Floats, size: tuple[int, int]) -> _Floats:
    """A map at another (width, height)."""
    if plane.shape == size[::-1]:
        return plane
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))


def _around(box: npt.NDArray[Any], size: tuple[int, int]) -> _Part:
    """A box with its surroundings, as far as the image (width, height) goes."""
    middle, sides = (box[:2] + box[2:]) / 2, _AROUND * (box[2:] - box[:2])
    half = np.maximum(sides, max(_NARROWEST * sides.max(), _LEAST)) / 2
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, size)
    return *np.floor(low).astype(int).tolist(), *np.ceil(high).astype(int).tolist()


def _is_small(part: _Part, whole: _Part) -> bool:
    (x0, y0, x1, y1), (_, _, width, height) = part, whole
    return (x1 - x0) * (y1 - y0) <= _SMALL * width * height


def _seen_from(values: _Floats, part: npt.NDArray[Any]) -> _Floats:
    """Maps of an image on a grid of a part of it, which is in shares; as many places a side."""
    side = values.shape[-1]
    axis = (np.arange(side) + 0.5) / side
    across, down = (_between(part[i] + axis * (part[i + 2] - part[i]), side) for i in (0, 1))
    return np.asarray(down @ values @ across.T, np.float32)


def _between(at: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """How much each place of a line weighs at some points, which are in shares of it."""
    place = (at * side - 0.5).clip(0, side - 1)
    return (1 - np.abs(place[:, None] - np.arange(side))).clip(0)
