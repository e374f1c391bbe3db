"""Reading files: every format and mode, orientation, and every refusal."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFile

from vicl.images import ImageError, open_bytes, open_image, to_rgb, to_tensor

Array = npt.NDArray[Any]

COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [10, 20, 30], [255, 255, 255]]], np.uint8
)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def png(
    width: int, height: int, *, depth: int, colour: int, raw: bytes, extra: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rgb(path: Path) -> Array:
    return np.asarray(to_rgb(open_image(path)))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "gif"])
def test_lossless_formats_keep_every_colour(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS), **options)
    assert np.array_equal(rgb(path), COLOURS)


def test_jpeg_and_multi_picture_jpeg(tmp_path: Path) -> None:
    first = Image.new("RGB", (16, 8), (200, 100, 50))
    plain = save(tmp_path / "a.jpg", first, quality=95)
    assert np.abs(rgb(plain).astype(int) - [200, 100, 50]).max() <= 2
    second = Image.new("RGB", (16, 8), (0, 0, 0))
    several = save(
        tmp_path / "phone.jpg", first, format="MPO", save_all=True, append_images=[second]
    )
    assert np.abs(rgb(several).astype(int) - [200, 100, 50]).max() <= 8


def test_the_bytes_decide_not_the_suffix(tmp_path: Path) -> None:
    path = save(tmp_path / "really_a_png.jpg", Image.fromarray(COLOURS), format="PNG")
    assert np.array_equal(rgb(path), COLOURS)


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((255, 255, 255, 0), 0), ((0, 0, 0, 128), 127)],
)
def test_cmyk_jpeg(tmp_path: Path, ink: tuple[int, ...], colour: int) -> None:
    path = save(tmp_path / "print.jpg", Image.new("CMYK", (8, 8), ink), quality=100)
    assert open_image(path).mode == "CMYK"
    assert np.abs(rgb(path).astype(int) - colour).max() <= 2


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(
        tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options
    )
    assert np.array_equal(rgb(path), np.full((4, 4, 3), [255, 0, 0]))


def test_palette_with_transparency_goes_over_white(tmp_path: Path) -> None:
    extra = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60])) + chunk(b"tRNS", b"\x00\xff")
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1, depth=8, colour=3, raw=b"\0\0\1", extra=extra))
    assert open_image(path).mode == "P"
    assert rgb(path).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_transparent_grey_key_goes_over_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    extra = chunk(b"tRNS", struct.pack(">H", 7))
    path.write_bytes(png(2, 1, depth=8, colour=0, raw=b"\0\x07\x08", extra=extra))
    assert rgb(path)[0, :, 0].tolist() == [255, 8]


def test_transparent_gif_goes_over_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 40, 50, 60])
    image.putdata([0, 1])
    path = save(tmp_path / "a.gif", image, transparency=0)
    assert rgb(path).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    levels = [0, 128, 129, 257, 300, 25700, 65406, 65407, 65535]
    raw = b"\0" + struct.pack(f">{len(levels)}H", *levels)
    path = tmp_path / "a.png"
    path.write_bytes(png(len(levels), 1, depth=16, colour=0, raw=raw))
    assert open_image(path).mode == "I;16"
    assert rgb(path)[0, :, 0].tolist() == [0, 0, 1, 1, 1, 100, 254, 255, 255]
    assert to_tensor(path)[:, 0, -1].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bit_tiff_in_either_byte_order(tmp_path: Path, order: str) -> None:
    mode = "I;16" if order == "<u2" else "I;16B"
    values = np.array([[0, 65535], [257 * 77, 257 * 200]], order)
    path = save(tmp_path / "a.tif", Image.frombytes(mode, (2, 2), values.tobytes()))
    assert rgb(path)[..., 1].tolist() == [[0, 255], [77, 200]]


def test_sixteen_bit_colour_and_alpha(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    colour = b"\0" + struct.pack(">3H", 65535, 257 * 100, 0)
    path.write_bytes(png(1, 1, depth=16, colour=2, raw=colour))
    assert rgb(path).tolist() == [[[255, 100, 0]]]
    path.write_bytes(png(1, 1, depth=16, colour=6, raw=colour + struct.pack(">H", 0)))
    assert rgb(path).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(("depth", "white"), [(1, 1), (2, 3), (4, 15)])
def test_shallow_grey_png(tmp_path: Path, depth: int, white: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 2, depth=depth, colour=0, raw=bytes([0, white << 8 - depth, 0, 0])))
    assert rgb(path)[:, 0, 0].tolist() == [255, 0]


# What is stored for an upright picture U: EXIF says which visual side row 0 and column 0 are.
STORED: dict[int, Callable[[Array], Array]] = {
    1: lambda u: u,  # top, left
    2: lambda u: u[:, ::-1],  # top, right
    3: lambda u: u[::-1, ::-1],  # bottom, right
    4: lambda u: u[::-1],  # bottom, left
    5: lambda u: u.swapaxes(0, 1),  # left, top
    6: lambda u: u[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda u: u[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda u: u[::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = np.kron(COLOURS, np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    options: dict[str, Any] = {"jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    if suffix == "webp":
        options = {"lossless": True}
    path = save(tmp_path / f"a.{suffix}", stored, exif=exif, **options)
    image = open_image(path)
    assert image.size == (48, 32)
    assert np.abs(np.asarray(to_rgb(image)).astype(int) - upright).max() <= (suffix == "jpg") * 3
    # Read once more, from memory or from a copy on the disk, it must not turn again.
    assert np.array_equal(np.asarray(open_image(image)), np.asarray(image))
    again = save(tmp_path / "again.png", image)
    assert np.array_equal(np.asarray(open_image(again)), np.asarray(image))


def test_a_lazy_pil_image_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS), exif=exif)
    with Image.open(path) as lazy:
        assert np.array_equal(np.asarray(open_image(lazy)), COLOURS[::-1, ::-1])


def test_an_upright_pil_image_comes_back_itself() -> None:
    image = Image.fromarray(COLOURS)
    assert open_image(image) is image
    assert to_rgb(image) is image


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_damaged_exif_counts_as_none(tmp_path: Path, exif: bytes) -> None:
    path = save(tmp_path / "a.jpg", Image.new("RGB", (8, 8), "#ffffff"), exif=exif)
    assert rgb(path).min() >= 254


# Each has been thrown by one of Pillow's parsers at one time or another.
THROWN = [
    Image.DecompressionBombError,
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    UnicodeDecodeError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    ZeroDivisionError,
    AttributeError,
    AssertionError,
    RecursionError,
    NotImplementedError,
    MemoryError,
    BufferError,
    struct.error,
    zlib.error,
]


def thrown(kind: type[Exception]) -> Callable[..., None]:
    def throw(*args: object, **options: object) -> None:
        raise kind("utf-8", b"", 0, 1, "bad") if kind is UnicodeDecodeError else kind("bad")

    return throw


@pytest.mark.parametrize("place", [(Image, "open"), (ImageFile.ImageFile, "load")])
@pytest.mark.parametrize("kind", THROWN)
def test_whatever_a_parser_throws_is_an_image_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Exception],
    place: tuple[object, str],
) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS))
    monkeypatch.setattr(*place, thrown(kind))
    with pytest.raises(
        ImageError, match=r"a\.png: (damaged or truncated PNG|has more pixels)"
    ) as e:
        open_image(path)
    assert isinstance(e.value.__cause__, kind)


@pytest.mark.parametrize("kind", THROWN)
def test_whatever_the_exif_parser_throws_counts_as_no_exif(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS))
    monkeypatch.setattr(Image.Image, "getexif", thrown(kind))
    assert np.array_equal(np.asarray(open_image(path)), COLOURS)


def test_a_fault_of_ours_is_not_called_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS))
    monkeypatch.setattr("vicl.images.decoding.open_plain", thrown(ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        open_image(path)


FOREIGN = [
    (b"%PDF-1.7 ...", "PDF"),
    (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
    (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    (b"\0\0\0\x18ftypheic", "HEIC"),
    (b"8BPS", "Photoshop"),
    (b"P6 1 1 255 abc", "not an image of a known format"),
    (b"hello", "not an image of a known format"),
]


@pytest.mark.parametrize(("data", "word"), FOREIGN)
def test_other_formats_are_named_and_refused(tmp_path: Path, data: bytes, word: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=rf"picture\.png: is {word}.*; convert it to PNG or JPEG$"):
        open_image(path)


def test_bytes_are_read_as_files_are(tmp_path: Path) -> None:
    data = save(tmp_path / "a.png", Image.fromarray(COLOURS)).read_bytes()
    assert np.array_equal(np.asarray(open_bytes(data, "upload")), COLOURS)
    for bad, words in [
        (b"", "is not an image of a known format"),
        (b"%PDF-1.7", "is PDF"),
        (data[:45], "damaged or truncated PNG"),
    ]:
        with pytest.raises(ImageError, match=f"^upload: {words}"):
            open_bytes(bad, "upload")
    with pytest.raises(ImageError, match=r"^upload: has more pixels \(3 x 2"):
        open_bytes(data, "upload", limit_pixels=5)


@pytest.mark.parametrize("suffix", ["ppm", "ico", "tga", "pcx", "jp2"])
def test_pillows_other_formats_are_not_opened(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.new("RGB", (16, 16)))
    with pytest.raises(ImageError, match="convert it to PNG or JPEG"):
        open_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "gif"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = save(tmp_path / f"whole.{suffix}", Image.fromarray(noise)).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match=r"cut\..*: damaged or truncated .*; get a whole copy"):
            open_image(path)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_missing_folder_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, fault, remedy in [
        ("nothing.png", "no such file", "check the path"),
        ("empty.png", "empty file", "get a whole copy"),
        (".", "is a folder", "give the files in it"),
        ("empty.png/a.png", "cannot be opened", "check the path"),
        ("loop.png", "cannot be opened", "check the path"),
        ("n" * 300, "cannot be opened", "check the path"),
        ("a\0b.png", "cannot be opened", "check the path"),
    ]:
        with pytest.raises(ImageError, match=f": .*{fault}.*; .*{remedy}"):
            open_image(os.path.join(tmp_path, name))  # noqa: PTH118 - the string as people give it


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS))

    def refuse(self: Path, *args: object) -> io.BytesIO:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read all
    with pytest.raises(ImageError, match=r"a\.png: may not be read; change its permissions"):
        open_image(path)


def test_a_message_is_one_line_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "evil\n\x1b[31mname.png"
    path.write_bytes(b"hello")
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert str(caught.value).isprintable()
    assert r"evil\n\x1b[31mname.png" in str(caught.value)


def test_the_limit_is_compared_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(100, 50, depth=8, colour=0, raw=b""))  # nothing in it to decode
    with pytest.raises(ImageError, match=r"a\.png: has more pixels \(100 x 50 = 0\.005 Mpx\)"):
        open_image(path, limit_pixels=4999)
    with pytest.raises(ImageError, match="truncated"):
        open_image(path, limit_pixels=5000)


def test_the_default_limit_is_64_megapixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for width, word in [(8000, "truncated"), (8001, "limit of 64 Mpx; shrink")]:
        path.write_bytes(png(width, 8000, depth=8, colour=0, raw=b""))
        with pytest.raises(ImageError, match=word):
            open_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "gif"])
def test_a_limit_above_pillows_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.new("RGB", (20, 20)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # warns from 101, raises from 201
    assert open_image(path, limit_pixels=400).size == (20, 20)
    assert Image.MAX_IMAGE_PIXELS == 100
    with pytest.raises(ImageError, match="than the limit of"):
        open_image(path, limit_pixels=399)
    with pytest.raises(ImageError, match="than the limit of"):
        open_image(path, limit_pixels=50)
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match="than the limit of"):
        open_image(path, limit_pixels=399)
    assert Image.MAX_IMAGE_PIXELS is None


def test_the_limit_must_be_positive() -> None:
    with pytest.raises(ImageError, match="limit_pixels: got 0"):
        open_image("a.png", limit_pixels=0)


def test_the_limit_holds_for_pil_images() -> None:
    with pytest.raises(ImageError, match=r"PIL image: has more pixels \(3 x 2"):
        open_image(Image.fromarray(COLOURS), limit_pixels=5)


def test_threads_leave_the_warning_filters_alone(tmp_path: Path) -> None:
    exif = save(
        tmp_path / "a.jpg", Image.new("RGB", (8, 8)), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
    )
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda _: open_image(exif).size, range(400)))
    assert sizes == [(8, 8)] * 400
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)
