"""Pools and indexes from strangers: refused in one clear error, and nothing of them is run."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.selection.encoders import Mean, labelled

from vicl.cli import main
from vicl.selection.index_folder import index_pool
from vicl.selection.pool import PoolError, open_pool


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("run",)


def coco(**changes: Any) -> bytes:
    image = {"id": 1, "file_name": "images/red.png", "height": 24, "width": 24}
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25}
    found = {"images": [image], "annotations": [entry], "categories": [{"id": 1, "name": "a"}]}
    return json.dumps(found | changes).encode()


LIST = b"image,annotation\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.json", b'{"images":' * 50_000),
        ("p.json", coco(images=[{"id": {}, "file_name": "\0", "height": 1, "width": 1}])),
        ("p.json", coco(images=[{"id": [], "file_name": "/dev/zero", "height": 9, "width": 9}])),
        ("p.json", coco(annotations=[{"image_id": {}, "category_id": []}] * 9)),
        ("p.json", coco(annotations=[{"image_id": 1, "category_id": 1, "bbox": [1e308] * 4}])),
        ("p.json", coco(categories=[{"id": 1, "name": "\x1b[31m\n"}])),
        ("p.csv", LIST + b"a\0b,c\n"),
        ("p.csv", LIST + b"/dev/zero,/dev/zero\n"),
        ("p.csv", LIST + b"images/red.png,/dev/zero\n"),
        ("p.csv", LIST + b"x" * 200_000 + b",y\n"),
        ("p.csv", b"\xff\xfe\xfd"),
    ],
)
def test_a_hostile_pool_ends_in_one_line(
    tmp_path: Path, name: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(labelled(tmp_path))
    Path(name).write_bytes(data)
    asked = ("predict", "images/blue.png", "--pool", name, "--select", "random", "--json")
    result = CliRunner().invoke(main, [*asked, "--task", "segmentation", "--model", "copy"])
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert errors[0].isprintable()


def test_an_index_is_never_unpickled_or_left(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    pool, place = open_pool(labelled(tmp_path / "p")), tmp_path / "p.index"
    index_pool(pool, Mean(), place)
    rows = next(place.glob("*.npy"))
    whole, manifest = rows.read_bytes(), (place / "index.json").read_text()
    hostile = np.empty((5, 3), object)
    hostile[:] = Runs()
    np.save(rows, hostile, allow_pickle=True)
    objects = rows.read_bytes()
    huge = whole.replace(b"(5, 3), }", b"(10000000000000, 3), }")[:-13]
    for data in (objects, pickle.dumps(Runs()), huge, b"", b"\x93NUMPY"):
        rows.write_bytes(data)
        with pytest.raises(PoolError, match="index the pool anew"):
            index_pool(pool, Mean(), place)
    rows.write_bytes(whole)
    for old, new in (
        (rows.name, "../../outside.npy"),
        ('"version":1', '"version":2'),
        ('"channels":3', '"channels":30000000'),
        ('"rows":[', '"rows":[' + "[" * 9000),
    ):
        (place / "index.json").write_text(manifest.replace(old, new))
        with pytest.raises(PoolError):
            index_pool(pool, Mean(), place)
    assert not Path("run").exists()
