"""Where the net touches exports, metrics and the command line: see `adapters`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from PIL import Image

from vicl import metrics
from vicl.cli import main
from vicl.exports import (
    Annotation,
    CocoWriter,
    mask_png,
    write_label_map,
    write_labelme,
    write_yolo,
    write_yolo_classes,
)
from vicl.metrics import edges as edge_metrics
from vicl.metrics import pictures as image_metrics
from vicl.tasks.boxes import Box

CLASSES = ("leaf", "stem", "flower")


def annotation(name: str, *, boxes: bool = True) -> Any:
    """Three classes in one image, one of them with a hole, and two boxes."""
    rows, columns = np.mgrid[:40, :52]
    mask = np.zeros((40, 52), np.uint8)
    away = np.hypot(rows - 16, columns - 18)
    mask[(away < 13) & (away > 5)] = 1
    mask[(rows > 28) & (columns > 4) & (columns < 47)] = 2
    mask[(rows - columns + 30) ** 2 < 9] = 3
    found = (Box((2, 3, 20.5, 30), 1, 0.75), Box((30, 1, 52, 12.25), 3, 0.5)) if boxes else ()
    sure = ((rows * 7 + columns * 3) % 11 / 10).astype(np.float32)
    return Annotation(name, (40, 52), CLASSES, mask, found, sure)


def boxes_only(name: str) -> Any:
    found = (Box((2, 3, 20.5, 30), 1, 0.75), Box((30, 1, 52, 12.25), 2, 0.5))
    return Annotation(name, (40, 52), CLASSES, boxes=found)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


def exported(write: Callable[[Path], object]) -> dict[str, Any]:
    """The bytes of what is written; of pictures the pixels too."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root)
        return contents(root)


def contents(root: Path, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        if path.name not in without:
            name = path.relative_to(root).as_posix()
            found[name] = [path.read_bytes()]
            if path.suffix == ".png":
                found[name].append(pixels(path))
    return found


def png(root: Path) -> None:
    mask_png(annotation("a.png").mask, root / "a.png", classes=CLASSES)
    mask_png(annotation("a.png").mask > 0, root / "b.png", classes=CLASSES[:1])
    write_label_map(root, CLASSES)


def yolo(root: Path) -> None:
    write_yolo(root / "boxes.txt", annotation("a.png"))
    write_yolo(root / "segments.txt", annotation("a.png"), style="segments")
    write_yolo(root / "only.txt", boxes_only("a.png"))
    write_yolo_classes(root, CLASSES)


def label_me(root: Path) -> None:
    write_labelme(root / "a.json", annotation("a.png"))
    write_labelme(root / "b.json", annotation("a.png"), min_area=20, tolerance=1.0)


def coco(style: str, root: Path) -> None:
    """Without what tells when and by what it was written."""
    with CocoWriter(root / "a.json", CLASSES, style=style) as writer:  # type: ignore[arg-type]
        for index in range(2):
            writer.add(annotation(f"{index}.png", boxes=bool(index)))
        writer.add(boxes_only("only.png"))
    data = json.loads((root / "a.json").read_text())
    data.pop("info", None)
    (root / "a.json").write_text(json.dumps(data))


def command(*words: str) -> list[str]:
    """Run the command line; its lines, without those that name a file it wrote."""
    result = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if tempfile.gettempdir() not in line]


def evaluation_files(out: Path) -> dict[str, Any]:
    """What `vicl evaluate` writes, without what no two runs share."""
    results = json.loads((out / "results.json").read_text())
    timed = ("seconds", "seconds_per_episode", "episodes_per_second")
    lines = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    engines = [
        {key: value for key, value in engine.items() if key not in timed}
        for engine in results["engines"]
    ]
    return {
        "engines": {engine.pop("name"): engine for engine in engines},
        "metrics": [metric["name"] for metric in results["metrics"]],
        "episodes": [{k: v for k, v in line.items() if k not in timed} for line in lines],
        "listing": listing((out / "listing.jsonl").read_text()),
        "sheets": {path.name: pixels(path) for path in sorted(out.glob("*.png"))},
    }


def listing(text: str) -> str:
    """A list of episodes as it was recorded, when their task was called kind."""
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        row["kind"] = row.pop("task")
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)


def study_files(out: Path) -> dict[str, Any]:
    """What `vicl evaluate study` writes, beside the folder of its run."""
    table = json.loads((out / "table.json").read_text())
    return {
        "rows": [
            [row["variant"], row["engine"], list(row["interval"].values()), row["scores"]]
            for row in table["rows"]
        ],
        "text": (out / "table.md").read_text(),
        "files": sorted(path.name for path in out.iterdir() if path.is_file()),
    }


def measured() -> dict[str, Any]:
    """Every metric on fixed arrays."""
    rng = np.random.default_rng(5)
    one = rng.random((3, 30, 41)).astype(np.float32)
    other = np.clip(one + 0.2 * rng.standard_normal(one.shape).astype(np.float32), 0, 1)
    mask, truth = one[0] > 0.6, other[0] > 0.55
    void = one[1] > 0.9
    labels, wanted = (4 * one[0]).astype(np.int64), (4 * other[0]).astype(np.int64)
    soft = one[2].astype(np.float64)
    lines = np.stack([other[2] > 0.9, one[1] > 0.93])
    counts = [
        edge_metrics.edge_counts(soft, lines, thresholds=9),
        edge_metrics.edge_counts(1 - soft, lines[:1], thresholds=9),
    ]
    values = rng.random(12).tolist()
    draws = rng.integers(0, 2, (20, 2))
    return {
        "iou": [metrics.iou(mask, truth), metrics.iou(mask, truth, void=void)],
        "accuracy": [metrics.pixel_accuracy(mask, truth, void=void)],
        "mean iou": float(
            np.mean([metrics.iou(labels == n, wanted == n) for n in np.union1d(labels, wanted)])
        ),
        "boxes": metrics.box_iou((0, 0, 10, 8), (3, 2, 12.5, 9)),
        "interval": metrics.bootstrap_interval(values),
        "paired": metrics.paired_interval(values, values[::-1]),
        "mse": image_metrics.mse(one, other),
        "psnr": image_metrics.psnr(one, other),
        "ssim": image_metrics.ssim(one, other),
        "chroma": image_metrics.chroma_error(one, other),
        "chroma recovered": image_metrics.chroma_recovered(one, other),
        "thin": edge_metrics.thin(soft),
        "counts": counts,
        "edges": edge_metrics.edge_f(counts),
        "one image": [edge_metrics.image_f(one) for one in counts],
        "resampled": edge_metrics.resampled_f(counts, draws),
    }
