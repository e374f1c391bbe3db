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

_Floats = npt.NDArray[np.float32]
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
        self._neck: dict[str, Any] = {}
        self._size = (0, 0)

    def encode(self, image: _Picture) -> None:
        """Look at an image: a file, a PIL image or a uint8 array (h, w, 3)."""
        opened = _rgb(image)
        names, self._size = self.info["outputs"], opened.size
        found = self._encoder.run(names, {"image": _planes(opened)})
        self._neck = dict(zip(names, found, strict=True))

    def masks(
        self, points: Any = (), labels: Any = None, *, box: Any = None
    ) -> tuple[npt.NDArray[np.bool_], _Floats]:
        """Three masks, bool (3, h, w), and the IoU that each is expected to have, best first.

        Args:
            points: (x, y) pairs in pixels.
            labels: One a point: 1 = in, 0 = out; None: all are in.
            box: (x0, y0, x1, y1) in pixels.

        Raises:
            ValueError: If no image was encoded, or nothing is asked.
        """
        if not self._neck:
            raise ValueError("no image: call encode(image) first")
        at = np.asarray(points, np.float32).reshape(-1, 2) / np.array(self._size, np.float32)
        if not len(at) and box is None:
            raise ValueError("nothing is asked: give points, a box, or both")
        told = np.ones(len(at)) if labels is None else np.asarray(labels)
        if not len(at):
            at, told = np.zeros((1, 2), np.float32), np.array([-1])
        sides = [-1.0] * 4 if box is None else np.asarray(box) / (self._size * 2)
        asked = {
            "points": at[None],
            "labels": told.astype(np.int64)[None],
            "box": np.asarray(sides, np.float32)[None],
            "earlier": np.full((1, 96, 96), -1, np.float32),
        }
        odds, ious = self._decoder.run(["masks", "ious"], {**self._neck, **asked})
        order = np.argsort(-ious, kind="stable")
        return np.stack([_enlarged(odds[i], self._size) > 0 for i in order]), ious[order]


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
    return ImageOps.exif_transpose(opened).convert("RGB")


def _planes(image: Image.Image) -> _Floats:
    return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255)


def _enlarged(plane: _Floats, size: tuple[int, int]) -> _Floats:
    """A map at another (width, height)."""
    if plane.shape == size[::-1]:
        return plane
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
