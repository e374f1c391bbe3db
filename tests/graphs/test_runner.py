"""Running graphs: files are told from others, answers are read at the query's size."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vicl
from vicl.engine import MaskPrompt
from vicl.graphs import runner
from vicl.models.promptable.asked import guide_of
from vicl.models.promptable.closer import in_shares, moved, part_around, seen_from
from vicl.segmenters import promptable

Tiny = Callable[..., Path]


@pytest.fixture(autouse=True)
def installed() -> None:
    pytest.importorskip("onnxruntime", reason="exported graphs need vicl[onnx]")


def mask_of(path: Path, picture: np.ndarray) -> np.ndarray:
    mask = vicl.load_exported(path).predict(picture).mask
    assert mask is not None
    assert mask.dtype == np.uint8
    return mask


def query(height: int, width: int) -> np.ndarray:
    """Red on the left, gray (none surely) on the right."""
    picture = np.full((height, width, 3), 100, np.uint8)
    picture[:, : width // 2] = (255, 0, 0)
    return picture


def test_a_mask_is_read_from_scores(tiny: Tiny) -> None:
    predictor = vicl.load_exported(tiny())
    found = predictor.predict(query(20, 40))
    assert predictor.info["classes"] == ["red", "green", "blue"]
    assert found.scores.shape == (3, 20, 40)
    assert found.picture is None
    mask = mask_of(tiny(), query(20, 40))
    assert (mask[:, :20] == 1).all()
    assert not mask[:, 20:].any()


def test_a_picture_is_given_as_one(tiny: Tiny) -> None:
    picture = query(24, 30)
    found = vicl.load_exported(tiny("picture", classes=[], task="image")).predict(picture)
    assert found.mask is None
    np.testing.assert_array_equal(found.picture, picture)


def test_a_large_query_is_shown_smaller_and_answered_at_its_size(tiny: Tiny) -> None:
    mask = mask_of(tiny(), query(90, 200))
    assert mask.shape == (90, 200)
    assert (mask[:, :95] == 1).all()
    assert not mask[:, 105:].any()


def test_a_file_of_too_many_pixels_is_refused_from_its_header(tiny: Tiny, tmp_path: Path) -> None:
    Image.new("1", (64_001, 1000)).save(tmp_path / "huge.png")
    with pytest.raises(ValueError, match=r"huge\.png: has 64 million pixels, expected at most 64"):
        vicl.load_exported(tiny()).predict(tmp_path / "huge.png")


def test_a_file_is_turned_upright(tiny: Tiny, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(query(20, 40)).save(tmp_path / "q.jpg", exif=exif, quality=95)
    assert vicl.load_exported(tiny()).predict(tmp_path / "q.jpg").mask.shape == (40, 20)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"format": "another"}, "got another, version 1"),
        ({"version": 2}, "version 2, kind prompt; expected vicl graph, version 1"),
        ({"kind": "decoder"}, "kind decoder; expected"),
    ],
)
def test_other_graphs_are_refused(tiny: Tiny, changed: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        vicl.load_exported(tiny(**changed))


def test_what_is_no_graph_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    whole = tiny().read_bytes()
    for name, data in {"cut": whole[: len(whole) // 2], "text": b"hello", "empty": b""}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}.onnx': is no graph of vicl's"):
            vicl.load_exported(path)
    with pytest.raises(ValueError, match="is no file"):
        vicl.load_exported(tmp_path / "missing.onnx")


@pytest.mark.slow
def test_nothing_of_pytorch_is_imported(tiny: Tiny) -> None:
    path = tiny()
    code = (
        "import json, sys, numpy, vicl\n"
        f"found = vicl.load_exported({str(path)!r}).predict(numpy.zeros((16, 16, 3), 'uint8'))\n"
        "print(json.dumps([int(found.mask.sum()), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, False]


def test_it_may_be_copied_to_where_vicl_is_not() -> None:
    read = ast.parse(Path(runner.__file__).read_text("utf-8"))
    named = [n.module or "" for n in ast.walk(read) if isinstance(n, ast.ImportFrom)]
    named += [a.name for n in ast.walk(read) if isinstance(n, ast.Import) for a in n.names]
    assert {"numpy", "PIL"} <= {*named}
    assert not [name for name in named if name.partition(".")[0] in ("vicl", "torch", "")]


def test_the_closer_look_is_the_segmenters() -> None:
    """The runner has its own copies, since it imports nothing of vicl."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = (int(v) for v in rng.integers(20, 600, 2))
        ends = np.sort(rng.uniform(0, 1, (2, 2)), axis=0) * (width, height)
        box = ends.ravel().astype(np.float32)
        part = part_around(box, (height, width))
        assert runner._around(box, (width, height)) == part
        whole = (0, 0, width, height)
        assert runner._is_small(part, whole) == promptable._is_closer(part, whole)
    values = rng.normal(size=(3, 24, 24)).astype(np.float32)
    shares = np.array([0.1, 0.3, 0.55, 1.0])
    wanted = seen_from(torch.from_numpy(values), torch.from_numpy(shares).float()).numpy()
    np.testing.assert_allclose(runner._seen_from(values, shares), wanted, atol=1e-5)


def test_clicks_on_the_border_of_a_part_are_seen_as_the_segmenter_sees_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A share such as 70 / 100 is no float: both round it alike, or one takes the click for out."""
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def answer(_: object, neck: object, points: np.ndarray, labels: np.ndarray, box: object) -> Any:
        asked.append((points, labels))
        return np.zeros((3, 192, 192), np.float32), np.zeros(3, np.float32)

    monkeypatch.setattr(runner.ExportedSegmenter, "_asked", answer)
    monkeypatch.setattr(runner.ExportedSegmenter, "_seen", lambda *_: {})
    segmenter = object.__new__(runner.ExportedSegmenter)
    for width in range(90, 130):
        segmenter.encode(Image.new("RGB", (width, 80)))
        box = np.array([width - 31, 40, width - 15, 56], np.float32)
        x0, y0, x1, _ = part = part_around(box, (80, width))
        points = [(x0, y0), (x1, y0), (x0 - 1, y0), (x0, 40)]
        segmenter.masks(points, box=box)
        guide = guide_of(MaskPrompt(points, box=tuple(box.tolist())), (80, width))
        wanted = moved(guide, in_shares(part, (80, width)))
        assert asked[-1][1].tolist() == wanted.labels[0].tolist()
        np.testing.assert_allclose(asked[-1][0], wanted.points[0].numpy(), atol=1e-6)
