"""Frames and pages: counted, told of, and read one by one."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vicl.images import Frame, ImageError, count_frames, open_frames, open_image, to_tensor
from vicl.images.counting import MOST_FRAMES

LEVELS = (0, 60, 120, 180)


def save(path: Path, levels: tuple[int, ...] = LEVELS) -> Path:
    frames = [Image.new("RGB", (6, 4), (level, level, level)) for level in levels]
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **lossless)
    return path


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".png", ".webp", ".avif"])
def test_every_frame_is_read(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}")
    assert count_frames(path) == 4
    found = [np.asarray(frame.convert("RGB")) for frame in open_frames(path)]
    assert [round(float(frame.mean())) for frame in found] == pytest.approx(LEVELS, abs=1)
    third = to_tensor(Frame(path, 3))
    assert third.shape == (3, 4, 6)
    assert round(float(third.mean() * 255)) == pytest.approx(120, abs=1)


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".png", ".webp"])
def test_the_first_of_several_is_told_once_a_file(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / f"a{suffix}")
    alone = save(tmp_path / f"b{suffix}", (60,))
    for _ in range(2):
        assert np.asarray(open_image(path).convert("RGB")).max() == 0
        open_image(alone)
    (record,) = caplog.records
    assert (
        f"a{suffix}: has 4 frames; the first is taken; of queries --all-frames"
        in record.getMessage()
    )


def test_a_phones_second_picture_is_not_a_frame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    pair[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=pair[1:])
    assert count_frames(tmp_path / "a.jpg") == 1
    open_image(tmp_path / "a.jpg")
    assert not caplog.records


def test_pages_may_differ_in_size_and_kind(tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((8, 9), 700, np.uint16))
    Image.new("L", (4, 3)).save(tmp_path / "a.tif", save_all=True, append_images=[deep])
    first, second = open_frames(tmp_path / "a.tif")
    assert (first.size, first.mode, second.size, second.mode) == ((4, 3), "L", (9, 8), "I;16")
    with pytest.raises(ImageError, match=r"a\.tif \(frame 2\): has more pixels .*9 x 8"):
        list(open_frames(tmp_path / "a.tif", limit_pixels=20))


def test_a_frame_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.gif \(frame 9\): damaged or truncated GIF"):
        to_tensor(Frame(save(tmp_path / "a.gif"), 9))


def test_what_is_no_image_counts_as_one_and_fails_later(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    assert count_frames(tmp_path / "a.png") == count_frames(tmp_path / "none.png") == 1
    with pytest.raises(ImageError, match="not an image of a known format"):
        list(open_frames(tmp_path / "a.png"))


def test_a_header_may_say_any_number(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    data = path.read_bytes()
    at = data.index(b"acTL") + 4
    control = struct.pack(">II", 2_000_000_000, 0)
    check = struct.pack(">I", zlib.crc32(b"acTL" + control))
    path.write_bytes(data[:at] + control + check + data[at + 12 :])
    with pytest.raises(ImageError, match=f"more than {MOST_FRAMES} frames"):
        count_frames(path)


def test_colour_that_lies_in_the_lower_bits_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pillow keeps the upper 8 of 16 bits of colour; it writes none, so the PNG is made here."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    for name, top in (("dim", 4095), ("full", 65535)):
        rows = b"".join(b"\0" + struct.pack(">6H", *[top, 0, top // 2] * 2) for _ in range(2))
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
        data = header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
        open_image(tmp_path / f"{name}.png")
    (record,) = caplog.records
    assert "dim.png: is 16-bit colour" in record.getMessage()
