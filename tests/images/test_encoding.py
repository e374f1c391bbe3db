"""Saving pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vicl.images import ImageError, open_image, save_image, to_rgb

NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".webp", ".bmp", ".tif", ".tiff"])
def test_lossless_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"made here/a{suffix}"
    save_image(Image.fromarray(NOISE), path)
    assert np.array_equal(np.asarray(to_rgb(open_image(path))), NOISE)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_is_near(tmp_path: Path, suffix: str) -> None:
    smooth = Image.fromarray(NOISE).resize((96, 96), Image.Resampling.BICUBIC)
    save_image(smooth, tmp_path / f"a{suffix}")
    stored = open_image(tmp_path / f"a{suffix}")
    assert stored.format == "JPEG"
    assert np.abs(np.asarray(stored).astype(int) - np.asarray(smooth)).mean() < 2


def test_gif_keeps_up_to_256_colours(tmp_path: Path) -> None:
    few = Image.fromarray(NOISE[:8, :8])
    save_image(few, tmp_path / "a.gif")
    assert np.array_equal(np.asarray(to_rgb(open_image(tmp_path / "a.gif"))), NOISE[:8, :8])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_keeps_the_mode_and_every_value(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(NOISE[..., 0].astype(np.uint16) * 251)
    else:
        image = Image.fromarray(NOISE).convert(mode)
    save_image(image, tmp_path / "a.png")
    stored = open_image(tmp_path / "a.png")
    assert stored.mode == mode
    assert np.array_equal(np.asarray(stored), np.asarray(image))
    assert stored.getpalette() == image.getpalette()


def test_black_and_white_areas_are_written_as_runs(tmp_path: Path) -> None:
    y, x = np.mgrid[:600, :800]
    marked = np.where((x - 400) ** 2 + 2 * (y - 300) ** 2 < 90_000, np.uint8(255), np.uint8(0))
    for suffix in (".png", ".tif", ".jpg"):
        save_image(Image.fromarray(marked), tmp_path / f"plain{suffix}")
        save_image(Image.fromarray(marked), tmp_path / f"flat{suffix}", flat=True)
    stored = open_image(tmp_path / "flat.png")
    assert stored.mode == "L"
    assert np.array_equal(np.asarray(stored), marked)
    assert (tmp_path / "flat.png").stat().st_size < (tmp_path / "plain.png").stat().st_size
    for suffix in (".tif", ".jpg"):
        assert (tmp_path / f"flat{suffix}").read_bytes() == (
            tmp_path / f"plain{suffix}"
        ).read_bytes()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "gif"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_every_mode_can_be_saved_in_every_format(tmp_path: Path, mode: str, suffix: str) -> None:
    value: Any = {
        "F": 1.0,
        "I;16": 65535,
        "CMYK": (0, 0, 0, 0),
        "PA": (0, 0),
        "YCbCr": (255, 128, 128),
    }
    white = Image.new(mode, (8, 8), value.get(mode, "white"))
    if mode == "P":
        white = Image.new("RGB", (8, 8), "white").convert("P")
    save_image(white, tmp_path / f"a.{suffix}")
    assert np.asarray(to_rgb(open_image(tmp_path / f"a.{suffix}"))).min() >= 254


def test_transparency_goes_over_white_where_the_format_has_none(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    for name in ("a.jpg", "a.bmp"):
        save_image(clear, tmp_path / name)
        assert np.asarray(open_image(tmp_path / name)).min() >= 254


@pytest.mark.parametrize("name", ["a.txt", "a", "a.pdf", "a.svg", ".png"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=r"suffix .* is not a format .*; use one of \.png, \.jpg"):
        save_image(Image.new("L", (1, 1)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_never_over_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.png"
    source.write_bytes(b"precious")
    (tmp_path / "sub").mkdir()
    (tmp_path / "soft.png").symlink_to(source)
    (tmp_path / "hard.png").hardlink_to(source)
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    picture = Image.new("L", (1, 1))
    for output in (
        source,
        "in.png",
        "./sub/../in.png",
        tmp_path / "soft.png",
        tmp_path / "hard.png",
        tmp_path / "folder" / "in.png",
    ):
        for given in (source, "in.png", tmp_path / "soft.png"):
            with pytest.raises(ImageError, match=r"is one of the inputs; choose another name"):
                save_image(picture, output, inputs=[picture, np.zeros((1, 1)), "other.png", given])
    assert source.read_bytes() == b"precious"
    save_image(picture, tmp_path / "out.png", inputs=[source])
    assert open_image(tmp_path / "out.png").size == (1, 1)


def test_an_input_that_is_gone_still_counts(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is one of the inputs"):
        save_image(
            Image.new("L", (1, 1)), tmp_path / "a.png", inputs=[tmp_path / "b" / ".." / "a.png"]
        )


def test_a_failing_encoder_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(self: Image.Image, fp: Any, *args: object, **options: object) -> None:
        fp.write(b"half")
        raise OSError("encoder error -2")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(ImageError, match=r"a\.png: cannot be saved as PNG \(encoder error -2\)"):
        save_image(Image.new("L", (1, 1)), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_too_large_for_the_format(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.webp: cannot be saved as WEBP .*; use \.png"):
        save_image(Image.new("RGB", (16384, 1)), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_an_image_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ImageError, match=r"a\.png: is a folder"):
        save_image(Image.new("L", (1, 1)), tmp_path / "a.png")
