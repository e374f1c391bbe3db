"""Tiny datasets in the layouts in which they are published."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = (8, 10)


def picture(root: Path, path: str, values: np.ndarray, *, palette: bool = False) -> str:
    """Write a picture; returns its path as datasets name it."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image.putpalette([n for index in range(256) for n in (index, 255 - index, 7 * index % 256)])
    image.save(root / path)
    return path


def photo(root: Path, path: str, seed: int, size: tuple[int, int] = SIZE) -> str:
    """Write a photograph: random pixels, unlike those of any other seed."""
    values = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return picture(root, path, values)


def text(root: Path, path: str, content: str) -> None:
    """Write a file of text."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content, encoding="utf-8")


def manifest_tree(root: Path, *, reverse: bool = False) -> Path:
    """Five frames of two videos with a dog, four shirts with boxes, six with edges, one gray."""
    rows: list[dict[str, Any]] = []

    def image(name: str, source: str, **more: Any) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": name,
            "image": photo(root, f"images/{source}/{name}.png", seed=len(rows)),
            "source": source,
            "annotations": {},
            "width": 10,
            "height": 8,
            **more,
        }
        rows.append(row)
        return row

    for index in range(5):
        row = image(f"v{index}", "video", sequence="ab"[index // 3])
        mask = np.zeros(SIZE, dtype=np.uint8)
        mask[:4, : index + 1] = 3  # 4 (index + 1) of 80 pixels: 5% to 25%
        mask[7, 9] = 9
        path = picture(root, f"masks/video/v{index}.png", mask)
        classes = {
            "dog": {"value": 3, "fraction": 4 * (index + 1) / 80},
            "speck": {"value": 9, "fraction": 1 / 80},
        }
        row["annotations"]["mask"] = {"path": path, "kind": "semantic", "classes": classes}
    for index in range(4):
        row = image(f"s{index}", "shop")
        # 2 x 3, 2 x 6, 2 x 9 pixels of 80, and two boxes of one class
        boxes = [{"class": "shirt", "box": [1, 2, 3, min(8, 2 + 3 * (index + 1))]}]
        row["annotations"]["boxes"] = boxes * (2 if index == 3 else 1)
    for index in range(6):
        row = image(f"e{index}", "bsds", subset="val" if index < 3 else "train")
        soft = np.full(SIZE, 51, dtype=np.uint8)
        row["annotations"]["edges"] = picture(root, f"edges/bsds/e{index}.png", soft)
        if index < 3:
            row["annotations"]["edges_by_annotator"] = [
                picture(root, f"edges/by/e{index}_{who}.png", np.eye(8, 10, who) > 0)
                for who in range(2)
            ]
    image("g0", "shop", gray=True)
    if reverse:
        rows.reverse()
    text(root, "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return root


def pascal_tree(
    root: Path, masks: Mapping[str, np.ndarray], *, folder: str = "SegmentationClassAug"
) -> Path:
    """VOC 2012 with these masks, in palette pictures as VOC has them; all of them in val.txt."""
    for index, (name, values) in enumerate(masks.items()):
        photo(root, f"JPEGImages/{name}.jpg", index, values.shape)
        picture(root, f"{folder}/{name}.png", values.astype(np.uint8), palette=True)
    text(root, "ImageSets/Segmentation/val.txt", "".join(f"{name}\n" for name in masks))
    return root


def voc_xml(objects: Sequence[tuple[str, tuple[float, ...]]], size: tuple[int, int]) -> str:
    """An annotation as VOC 2012 writes it."""
    found = "".join(
        f"""
    <object>
        <name>{name}</name>
        <pose>Left</pose>
        <difficult>0</difficult>
        <part><name>head</name><bndbox>
            <xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>
        </bndbox></part>
        <bndbox>
            <xmax>{box[2]}</xmax><xmin>{box[0]}</xmin><ymax>{box[3]}</ymax><ymin>{box[1]}</ymin>
        </bndbox>
    </object>"""
        for name, box in objects
    )
    return f"""<annotation>
    <folder>VOC2012</folder>
    <filename>2008_000001.jpg</filename>
    <size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>{found}
</annotation>
"""


def bsds_tree(root: Path, counts: Mapping[str, int]) -> Path:
    """BSDS500 with so many images a subset; image i of a subset has i + 1 annotators."""
    for subset, count in counts.items():
        for index in range(count):
            name = f"{subset}{index}"
            photo(root, f"images/{subset}/{name}.jpg", index)
            maps = [np.eye(8, 10, who, dtype=np.uint8) for who in range(index + 1)]
            boundaries(root / f"groundTruth/{subset}/{name}.mat", maps)
    return root


def boundaries(path: Path, maps: Sequence[np.ndarray]) -> None:
    """Write a ground truth as BSDS500 has it: a cell array, per annotator a struct."""
    cells = np.empty((1, len(maps)), dtype=object)
    for index, lines in enumerate(maps):
        cells[0, index] = {"Segmentation": lines.astype(np.uint16) + 1, "Boundaries": lines}
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"groundTruth": cells}, do_compression=True)
