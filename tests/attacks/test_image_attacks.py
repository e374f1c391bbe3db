"""Hostile image files: each is a picture or one clear :class:`ImageError`, in bounded memory."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vicl.images import ImageError, open_image, to_rgb

SRC = Path(__file__).parents[2] / "src"
Tags = dict[int, tuple[int, int, int]]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, extra: bytes = b"", zeros: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", squeezed(zeros))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@cache
def squeezed(size: int) -> bytes:
    """Zeros, compressed; of many megabytes the second one's block over and over."""
    many, rest = divmod(size, 2**20)
    squeeze = zlib.compressobj(9)
    blocks = [squeeze.compress(bytes(2**20)) + squeeze.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    if many < 2:
        return zlib.compress(bytes(size), 9)
    end = squeeze.compress(bytes(rest)) + squeeze.flush()
    adler = struct.pack(">HH", size % 65_521, 1)
    return blocks[0] + blocks[1] * (many - 1) + end[:-4] + adler


def tiff(tags: Tags, *, after: int = 0, data: bytes = b"\0" * 8) -> bytes:
    """Little-endian TIFF; tags: number -> (type, count, value); `data` starts at byte 8."""
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    ifd = struct.pack("<H", len(tags)) + entries + struct.pack("<I", after)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + ifd


def grey(width: int, height: int) -> Tags:
    """The tags of an uncompressed 8-bit grey TIFF in one strip at byte 8."""
    shape: Tags = {256: (4, 1, width), 257: (4, 1, height), 278: (4, 1, height)}
    kind: Tags = {258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    return shape | kind | {273: (4, 1, 8), 279: (4, 1, width * height % 2**32)}


def tiles(side: int) -> Tags:
    return {322: (4, 1, side), 323: (4, 1, side), 324: (4, 1, 8), 325: (4, 1, 1000)}


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, width, height, 1, 24, *[0] * 6)


def jpeg(width: int, height: int) -> bytes:
    data = bytearray(saved("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif(width: int, height: int, *, frames: int = 1) -> bytes:
    """The first frame is white, the others are black, all 1x1."""
    header = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    place = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    white, black = (place + b"\x02\x02" + code + b"\x01\0" for code in (b"\x4c", b"\x44"))
    return header + white + black * (frames - 1) + b";"


def riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp(width: int, height: int, *, frames: int = 1) -> bytes:
    """An animation of 1x1 frames on a canvas of any size."""
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    frame = riff(b"ANMF", bytes(12) + b"\1\0\0\0" + saved("WEBP", side=1)[12:])
    body = riff(b"VP8X", b"\x02\0\0\0" + size) + riff(b"ANIM", bytes(6)) + frame * frames
    return riff(b"RIFF", b"WEBP" + body)


@cache
def saved(kind: str, mode: str = "RGB", side: int = 5, **options: Any) -> bytes:
    ramp = (np.arange(side * side * 4) * 37 % 256).astype(np.uint8).reshape(side, side, 4)
    image = Image.fromarray(ramp)
    if mode in ("I;16", "I", "F"):
        kinds: dict[str, Any] = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
        levels = ramp[..., 0].astype(kinds[mode])
        image = Image.fromarray(levels / 255 if mode == "F" else levels * 257)
    elif mode != "RGBA":
        image = image.convert("RGB").convert(mode)
    if options.pop("several", False):
        options |= {"save_all": True, "append_images": [image.transpose(Image.Transpose.ROTATE_90)]}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def result(path: Path, data: bytes, **options: int) -> Image.Image | str:
    """The picture, or the message, which must be one line that names the file."""
    path.write_bytes(data)
    try:
        return to_rgb(open_image(path, **options))
    except ImageError as error:
        message = str(error)
    assert path.name in message or message.startswith("PIL image")
    assert message.isprintable()
    return message


HUGE = {
    "png": png(2**31 - 1, 2**31 - 1),
    "png, moderate": png(20_000, 20_000),
    "jpeg": jpeg(65_535, 65_535),
    "bmp": bmp(2**31 - 1, 2**31 - 1),
    "bmp upside down": bmp(20_000, -20_000),
    "gif": gif(65_535, 65_535),
    "webp": webp(2**24, 255),
    "webp, moderate": webp(9_000, 9_000),
    "tiff": tiff(grey(2**31 - 1, 2**31 - 1)),
    "tiff, thin": tiff(grey(64_000_001, 1)),
}

DAMAGED = {
    "text that inflates to 200 MB": png(
        1, 1, extra=chunk(b"zTXt", b"a\0\0" + squeezed(200 * 2**20))
    ),
    "200 texts that inflate to 1 MB each": png(
        1, 1, extra=chunk(b"zTXt", b"a\0\0" + squeezed(2**20 - 1)) * 200
    ),
    "colour profile that inflates to 200 MB": png(
        1, 1, extra=chunk(b"iCCP", b"a\0\0" + squeezed(200 * 2**20))
    ),
    "chunk of 2 GB that is not there": b"\x89PNG\r\n\x1a\n"
    + struct.pack(">I", 2**31 - 1)
    + b"IHDR",
    "no size": png(0, 0),
    "tiff without pixels": tiff(grey(0, 0)),
    "four thousand million strips": tiff(
        grey(1, 1) | {273: (4, 2**32 - 1, 8), 279: (4, 2**32 - 1, 8)}
    ),
    "a tile of 3600 million pixels": tiff(
        grey(1, 1) | tiles(60_000) | {259: (3, 1, 8)}, data=squeezed(200 * 2**20)
    ),
    "65535 samples a pixel": tiff(grey(1, 1) | {277: (3, 1, 65_535)}),
    "65535 tags that are not there": b"II*\0\x08\0\0\0\xff\xff",
    "directory beyond the end": b"II*\0\xff\xff\xff\xff",
    "palette missing": png(1, 1).replace(
        png(1, 1)[8:33], chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 3, 0, 0, 0))
    ),
}

HARMLESS = {
    "pixels that inflate to 200 MB behind a 1x1 header": png(1, 1, zeros=200 * 2**20),
    "directory that follows itself": tiff(grey(1, 1), after=16),
    "orientation that is a text": tiff(grey(1, 1) | {274: (2, 4, 0x41414141)}),
    "a strip of 4 billion rows": tiff(
        grey(100, 100) | {259: (3, 1, 8), 278: (4, 1, 2**32 - 1), 279: (4, 1, 32)},
        data=squeezed(10_000).ljust(32, b"\0"),
    ),
    "a million frames": gif(1, 1, frames=1_000_000),
    "a hundred thousand frames": webp(1, 1, frames=100_000),
}

# Versions of Pillow differ on these.
EITHER = {
    "description of 4 GB that is not there": tiff(grey(1, 1) | {270: (2, 2**32 - 1, 8)}),
}


@pytest.mark.parametrize("case", HUGE)
def test_huge_sizes_are_refused_from_the_header(tmp_path: Path, case: str) -> None:
    message = result(tmp_path / "a.png", HUGE[case])
    assert isinstance(message, str)
    assert "than the limit of 64 Mpx; shrink the image, or raise the limit" in message


@pytest.mark.parametrize("case", HUGE)
def test_a_lower_limit_comes_first(tmp_path: Path, case: str) -> None:
    message = result(tmp_path / "a.png", HUGE[case], limit_pixels=1_000_000)
    assert isinstance(message, str)
    assert "than the limit of 1 Mpx" in message


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused(tmp_path: Path, case: str) -> None:
    message = result(tmp_path / "a.png", DAMAGED[case])
    assert isinstance(message, str)
    assert "damaged or truncated" in message or "cannot be turned into RGB" in message


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_oddities_are_read(tmp_path: Path, case: str) -> None:
    picture = result(tmp_path / "a.png", HARMLESS[case])
    assert isinstance(picture, Image.Image)
    assert picture.size in ((1, 1), (100, 100))


@pytest.mark.parametrize("case", EITHER)
def test_other_oddities_are_read_or_refused(tmp_path: Path, case: str) -> None:
    assert result(tmp_path / "a.png", EITHER[case])


def test_only_the_first_frame_is_decoded(tmp_path: Path) -> None:
    picture = result(tmp_path / "a.gif", gif(1, 1, frames=3))
    assert isinstance(picture, Image.Image)
    assert picture.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".eps", ".pdf", ".svg"])
@pytest.mark.parametrize(
    "head", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.7\n", b"<svg/>", b"\xc5\xd0\xd3\xc6"]
)
def test_documents_disguised_as_images_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, suffix: str
) -> None:
    def run(*args: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", run)
    body = b"%%BoundingBox: 0 0 10 10\n%%EndComments\n(touch pwned) system\n%%EOF\n"
    message = result(tmp_path / f"a{suffix}", head + body)
    assert isinstance(message, str)
    assert "which is not supported; convert it to PNG or JPEG" in message


def test_a_file_far_larger_than_its_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(saved("WEBP"))
    os.truncate(path, 2**40)  # sparse: takes no space on the disk
    with pytest.raises(ImageError, match=r"a\.webp: is a file of 1\.1e\+06 MB"):
        open_image(path)


OPEN = """
import sys
from vicl.images.decoding import ImageError, open_image

for path in sys.argv[1:]:
    try:
        open_image(path)
        print("opened")
    except ImageError as error:
        print(error)
"""


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{kind}.png" for kind in ("fifo", "link", "device", "socket")]
    os.mkfifo(paths[0])
    paths[1].symlink_to(paths[0])
    paths[2].symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(paths[3]))
    # In another process: if this ever blocks, the test fails instead of hanging.
    command = [sys.executable, "-c", OPEN, *map(str, paths)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    refusals = done.stdout.splitlines()
    assert len(refusals) == len(paths)
    for path, refusal in zip(paths, refusals, strict=True):
        assert f"{path.name}: is a device or pipe; save its contents to a plain file" in refusal


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SRC)}


MEASURE = """
import sys
from vicl.images.decoding import ImageError, open_image

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

for number, path in enumerate(sys.argv[1:]):
    before = peak()
    try:
        open_image(path)
    except ImageError:
        pass
    print(peak() - before)
"""


def memory_growth(paths: list[Path]) -> list[float]:
    """How many MB each file adds to the peak of a fresh process that opens one after another."""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    command = [sys.executable, "-c", MEASURE, *map(str, paths)]
    output = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return [int(line) / 1024 for line in output.stdout.split()]


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path: Path) -> None:
    warm = [saved(kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")]
    attacks = HUGE | DAMAGED | HARMLESS | EITHER
    paths = []
    for number, data in enumerate([*warm, *attacks.values()]):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(data)
    growth = dict(zip(attacks, memory_growth(paths)[len(warm) :], strict=True))
    # Pillow keeps up to 64 MB of texts; every one of these would else take 200 MB or more.
    assert {case: size for case, size in growth.items() if size > 100} == {}


SEEDS = [
    *[saved("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[saved("JPEG", mode) for mode in ("L", "RGB", "CMYK")],
    *[saved("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")],
    *[
        saved("TIFF", mode)
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
    ],
    *[
        saved("TIFF", "RGB", compression=c)
        for c in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")
    ],
    *[saved("WEBP", mode, lossless=exact) for mode in ("RGB", "RGBA") for exact in (True, False)],
    *[saved("GIF", mode) for mode in ("L", "P")],
    *[saved(kind, several=True) for kind in ("PNG", "GIF", "WEBP", "TIFF", "MPO")],
    saved(
        "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06"
    ),
]


def mend_png(data: bytes) -> bytes:
    """Make the checksums right, so that the damage reaches the parser behind them."""
    at, mended = 8, data[:8]
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            break
        mended += chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + size])
        at += 12 + size
    return mended + data[at:]


EDIT = st.tuples(
    st.sampled_from(["set", "flip", "long", "delete", "insert", "cut"]),
    st.one_of(st.integers(0, 80), st.integers(0, 3000)),
    st.binary(min_size=1, max_size=8),
)


def damage(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, position, piece in edits:
        at = position % max(1, len(data))
        match kind:
            case "set":
                data = data[:at] + piece + data[at + len(piece) :]
            case "flip":
                data = data[:at] + bytes([data[at] ^ piece[0]]) + data[at + 1 :] if data else data
            case "long":
                number = [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"][piece[0] % 4]
                data = data[:at] + number + data[at + 4 :]
            case "delete":
                data = data[:at] + data[at + len(piece) :]
            case "insert":
                data = data[:at] + piece + data[at:]
            case _:
                data = data[:at]
    return data


@settings(max_examples=400)
@given(st.sampled_from(SEEDS), st.lists(EDIT, min_size=1, max_size=6), st.booleans())
def test_damaged_at_random_is_a_picture_or_an_image_error(
    tmp_path: Path, seed: bytes, edits: list[tuple[str, int, bytes]], mend: bool
) -> None:
    data = damage(seed, edits)
    if mend and data.startswith(b"\x89PNG"):
        data = mend_png(data)
    result(tmp_path / "a.png", data, limit_pixels=1_000_000)


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_cut_at_every_length(tmp_path: Path, number: int) -> None:
    seed = SEEDS[number]
    whole = result(tmp_path / "a.png", seed)
    assert isinstance(whole, Image.Image)
    for length in range(0, len(seed), 1 if len(seed) < 150 else 11):
        cut = result(tmp_path / "a.png", seed[:length])
        # What is missing may lie behind the pixels; then they must all be right.
        assert isinstance(cut, str) or cut.tobytes() == whole.tobytes()
