"""Between what people have and tensors; resizing."""

from __future__ import annotations

import math
import os
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.files import FileError, display, open_plain
from vicl.images.decoding import (
    ANY_SIZE,
    DEFAULT_LIMIT_PIXELS,
    PARSER_ERRORS,
    ImageError,
    Size,
    image_name,
    open_reduced,
    opened,
)
from vicl.images.frames import Frame, open_frame
from vicl.images.modes import deep_grey, is_deep, stored_levels, to_rgb

ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor
"""What a person may give as an image; see :func:`to_tensor`."""

Filter: TypeAlias = Literal["bicubic", "bilinear", "lanczos", "nearest"]
"""Pillow's resampling filters."""

_BAND: Final = 1 << 22
"""Pixels of a large image that are turned to 8 bits at a time."""


def to_tensor(
    image: ImageLike, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS, white: float | None = None
) -> Float[Tensor, "3 h w"]:
    """Take an image as people have it.

    Deep grey (16-bit, 32-bit and float) keeps its depth; all else has 8 bits a channel.

    Args:
        image: A path or PIL image (see :func:`open_image` and :func:`to_rgb`); an array HxW,
            HxWx1, HxWx3 or HxWx4 (RGBA, put over white) of uint8 in [0, 255] or bool; an array
            HxW of uint16; or a floating-point tensor 3xHxW in [0, 1].
        limit_pixels: Largest width times height of a file or PIL image.
        white: The value that is white in deep grey; larger ones are cut to it.  None: 65535 for
            integers, 1 for floats.  Other images do not heed it.

    Returns:
        Float32 RGB in [0, 1], (3, h, w).  A float32 tensor is returned itself, on its device.

    Raises:
        ImageError: If the file cannot be used, or the array's or tensor's type, shape or range is
            another; the message says how to convert.
    """
    return _opened(image, None, limit_pixels, white)[0]


def open_shrunk(
    image: ImageLike,
    longest: int,
    *,
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    white: float | None = None,
) -> tuple[Float[Tensor, "3 h w"], Size]:
    """Take an image no longer than needed, without holding it at its full size in floats.

    Args:
        image: As for :func:`to_tensor`.
        longest: In pixels, at least 1.
        limit_pixels: As for :func:`to_tensor`; of the full size.
        white: As for :func:`to_tensor`.

    Returns:
        What :func:`shrink` gives of :func:`to_tensor`, but for large JPEG files, which are decoded
        smaller (:func:`vicl.images.decoding.open_reduced`); and the full (height, width).

    Raises:
        ImageError: As :func:`to_tensor`.
    """
    return _opened(image, longest, limit_pixels, white)


def size_of(image: ImageLike, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Size:
    """(height, width) of an image, upright; it is opened for it.

    Raises:
        ImageError: As :func:`to_tensor`.
    """
    if isinstance(image, Tensor):
        return _size(_checked_tensor(image))
    return _decoded(image, 1, limit_pixels)[1]


def _opened(
    image: Any, longest: int | None, limit_pixels: int, white: float | None
) -> tuple[Tensor, Size]:
    """An image, shrunk where a longest side is given, and its full size."""
    if isinstance(image, Tensor):
        checked = _checked_tensor(image)
        return (checked if longest is None else shrink(checked, longest)), _size(checked)
    decoded, size, name = _decoded(image, longest, limit_pixels)
    if is_deep(decoded):
        grey = torch.from_numpy(deep_grey(decoded, name, white=white))[None].expand(3, -1, -1)
        return (grey.contiguous() if longest is None else shrink(grey, longest)), size
    if longest is not None:
        # Shrunk as it is, where its channels are colours; then there is less to convert.
        plain = decoded.mode in ("L", "RGB") and not decoded.has_transparency_data
        ready = decoded if plain else to_rgb(decoded, name=name)
        decoded = _resized(ready, shrunk_size(size, longest), "bicubic")
    return _rgb_to_tensor(to_rgb(decoded, name=name)), size


def to_levels(
    image: ImageLike, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> UInt8[np.ndarray, "h w 3"]:
    """Take an image that is not deep as 8-bit RGB: a quarter of what :func:`to_tensor` takes.

    Args:
        image: As for :func:`to_tensor`; of tensors and deep grey the depth is lost.
        limit_pixels: Likewise.

    Raises:
        ImageError: As :func:`to_tensor`.
    """
    return open_levels(image, limit_pixels=limit_pixels)[0]


def open_levels(
    image: ImageLike,
    *,
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    halve_over: int | None = None,
) -> tuple[UInt8[np.ndarray, "h w 3"], Size]:
    """Take an image as :func:`to_levels` does, but a huge one at half its height and width.

    Args:
        image: As for :func:`to_levels`.
        limit_pixels: Of the full size.
        halve_over: Pixels above which it is halved: a JPEG file with even sides as it is
            decoded, others by the mean of four pixels; an odd last one is cut. None: never.

    Returns:
        Its levels, and the full (height, width).

    Raises:
        ImageError: As :func:`to_tensor`.
    """
    if isinstance(image, Tensor):
        checked = _checked_tensor(image)
        decoded, size, name = to_pil(checked), _size(checked), "tensor"
    else:
        decoded, size, name = _decoded(image, None, limit_pixels, halve_over=halve_over)
    rgb = to_rgb(decoded, name=name)
    if halve_over is not None and math.prod(size) > halve_over:
        if (rgb.height, rgb.width) == size:
            rgb = rgb.reduce(2)
        rgb = rgb.crop((0, 0, size[1] // 2, size[0] // 2))
    return stored_levels(rgb), size


def _decoded(
    image: Any, longest: int | None, limit_pixels: int, *, halve_over: int | None = None
) -> tuple[Image.Image, Size, str]:
    """What is no tensor as a PIL image, its full size, and its name."""
    if isinstance(image, np.ndarray):
        decoded, name = _from_array(image), "array"
    elif isinstance(image, Frame):
        decoded, name = open_frame(image, limit_pixels=limit_pixels), display(image)
    elif isinstance(image, str | os.PathLike | Image.Image):
        name = image_name(image) if isinstance(image, Image.Image) else display(image)
        decoded, size = open_reduced(
            image, longest, limit_pixels=limit_pixels, halve_over=halve_over
        )
        return decoded, size, name
    else:
        raise ImageError(
            f"image: got {type(image).__name__}, expected a path, a PIL image, a uint8 array "
            "HxW or HxWx3, or a float tensor 3xHxW in [0, 1]; of an open file its name or "
            "PIL.Image.open(file), of bytes PIL.Image.open(io.BytesIO(data))"
        )
    return decoded, (decoded.height, decoded.width), name


def highest_value(image: ImageLike, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> float | None:
    """The largest value that is stored in a deep grey image; None for every other image.

    Of a file that is not deep only the header is read.

    Raises:
        ImageError: If the image is deep and cannot be used.
    """
    if isinstance(image, np.ndarray):
        deep = image.dtype == np.uint16 and image.size > 0
        return float(image.max()) if deep else None
    if isinstance(image, Image.Image):
        deep = is_deep(image)
    elif isinstance(image, str | os.PathLike):
        deep = _is_deep_file(image)
    else:
        return None
    if not deep:
        return None
    decoded, _, _ = _decoded(image, None, limit_pixels)
    return float(np.asarray(decoded).max()) if is_deep(decoded) else None


def _is_deep_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file's header says so; False for one that cannot be opened, which is told later."""
    try:
        with open_plain(path) as stream, opened(stream, display(path), ANY_SIZE) as image:
            if isinstance(path, Frame) and image.format == "TIFF":
                image.seek(path.number - 1)  # pages may differ in kind
            return is_deep(image)
    except (FileError, *PARSER_ERRORS):
        return False


def to_pil(image: Float[Tensor, "3 h w"]) -> Image.Image:
    """Round to the nearest 8-bit colours.

    Args:
        image: Float RGB in [0, 1], (3, h, w), on any device; what lies outside is clamped.

    Returns:
        An image of mode RGB.
    """
    levels = torch.empty(*image.shape[1:], 3, dtype=torch.uint8)
    # A plane that is repeated, as of a mask, is rounded once.
    planes = image[:1] if image.stride(0) == 0 else image
    # In bands, since each step in floats takes four times the picture's memory.
    rows = max(1, _BAND // max(1, image.shape[2]))
    for top in range(0, image.shape[1], rows):
        band = planes[:, top : top + rows].detach().float().clamp(0, 1).mul_(255).round_()
        levels[top : top + rows] = band.to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(levels.numpy())


def resize(
    image: Float[Tensor, "3 h w"], size: tuple[int, int], *, filter: Filter = "bicubic"
) -> Float[Tensor, "3 h2 w2"]:
    """Resize exactly as Pillow resizes the 8-bit picture.

    Args:
        image: Float RGB in [0, 1], (3, h, w).
        size: (height, width) in pixels, each at least 1.
        filter: Pillow's filter of that name; all but `nearest` are antialiased when shrinking.

    Returns:
        Float32 RGB in whole 255ths, (3, height, width), on the image's device; the image itself,
        not rounded, where it has that size already.

    Raises:
        ImageError: If the size is not positive or the filter is unknown.
    """
    height, width = _checked_size(size)
    if filter not in get_args(Filter):
        raise ImageError(f"filter: got {filter!r}, expected one of {', '.join(get_args(Filter))}")
    if tuple(image.shape[1:]) == (height, width):
        return image
    return _rgb_to_tensor(_resized(to_pil(image), (height, width), filter)).to(image.device)


def _resized(image: Image.Image, size: Size, filter: Filter) -> Image.Image:
    return image.resize((size[1], size[0]), Image.Resampling[filter.upper()])


def shrink(image: Float[Tensor, "3 h w"], longest: int) -> Float[Tensor, "3 h2 w2"]:
    """Shrink so that no side is longer; the image itself where none is.

    Args:
        image: Float RGB in [0, 1], (3, h, w).
        longest: In pixels, at least 1.
    """
    return resize(image, shrunk_size(_size(image), longest))


def shrunk_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) in the same shape with no side longer; as it is where none is."""
    scale = longest / max(size)
    if scale >= 1:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_map(
    values: Float[Tensor, "*c h w"],
    size: tuple[int, int],
    *,
    filter: Literal["bilinear", "bicubic"] = "bilinear",
) -> Float[Tensor, "*c h2 w2"]:
    """Resize maps of numbers, such as scores, without rounding.

    Args:
        values: Finite numbers of any range, (..., h, w).
        size: (height, width) in pixels, each at least 1.
        filter: Interpolation, antialiased when shrinking.

    Returns:
        (..., height, width), same dtype and device, clamped to the smallest and largest of
        `values` (bicubic overshoots); `values` itself where it has that size already.

    Raises:
        ImageError: If the size is not positive, or `values` is empty or not finite.
    """
    height, width = _checked_size(size)
    if values.numel() == 0:
        raise ImageError(f"values: got shape {tuple(values.shape)}, expected at least one number")
    low, high = torch.aminmax(values)
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        raise ImageError(
            "values: got infinities or NaN, expected finite numbers; use torch.nan_to_num first"
        )
    if tuple(values.shape[-2:]) == (height, width):
        return values
    planes = values.reshape(1, -1, *values.shape[-2:])
    wide = planes if planes.dtype == torch.float64 else planes.float()
    resized = torch.nn.functional.interpolate(
        wide, (height, width), mode=filter, antialias=True, align_corners=False
    )
    limited = resized.to(values.dtype).clamp_(low, high)  # in place: it may be large
    return limited.reshape(*values.shape[:-2], height, width)


def _rgb_to_tensor(image: Image.Image) -> Tensor:
    return as_floats(np.array(image))


def as_floats(
    levels: UInt8[np.ndarray, "h w 3"] | Float[Tensor, "3 h w"],
) -> Float[Tensor, "3 h w"]:
    """8-bit levels as floats in [0, 1]; a tensor as it is."""
    if isinstance(levels, Tensor):
        return levels
    writable = np.require(levels, requirements="W")  # PyTorch warns of others
    return torch.from_numpy(writable).permute(2, 0, 1).contiguous().float().div_(255)


def _from_array(array: npt.NDArray[Any]) -> Image.Image:
    """Check an array's type and shape."""
    got = f"array: got {array.dtype} of shape {array.shape}"
    if array.dtype == np.uint16 and array.size and array.shape[2:] in ((), (1,)) and array.ndim > 1:
        return Image.fromarray(np.ascontiguousarray(array.reshape(array.shape[:2])))
    if array.dtype not in (np.uint8, np.bool_):
        raise ImageError(
            f"{got}, expected uint8 in [0, 255], or uint16 of shape HxW; from floats in [0, 1] use "
            "(array * 255).round().astype(np.uint8), from colour of any depth "
            "(array / array.max() * 255).round().astype(np.uint8)"
        )
    if array.size == 0 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; move the channels last with array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; give one image at a time, array[0]"
        raise ImageError(f"{got}, expected HxW, HxWx1, HxWx3 or HxWx4 with pixels in it{hint}")
    levels = array.astype(np.uint8) * np.uint8(255) if array.dtype == np.bool_ else array
    if levels.shape[2:] == (1,):
        levels = levels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(levels))


def _checked_tensor(image: Tensor) -> Tensor:
    """Check a tensor's type, shape and range."""
    got = f"tensor: got {image.dtype} of shape {tuple(image.shape)}"
    if not image.is_floating_point():
        raise ImageError(f"{got}, expected floats in [0, 1]; from uint8 use tensor.float() / 255")
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        hint = ""
        if image.ndim == 3 and image.shape[-1] == 3:
            hint = "; move the channels first with tensor.permute(2, 0, 1)"
        elif image.ndim == 4:
            hint = "; give one image at a time, tensor[0]"
        elif image.ndim == 2 or (image.ndim == 3 and image.shape[0] == 1):
            hint = "; repeat the grey channel with tensor.expand(3, -1, -1)"
        raise ImageError(f"{got}, expected 3xHxW with pixels in it{hint}")
    low, high = (float(value) for value in torch.aminmax(image.detach()))
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise ImageError(
            f"{got} with values from {low:g} to {high:g}, expected finite values in [0, 1]; "
            "divide by 255, undo the normalisation, or use tensor.clamp(0, 1)"
        )
    return image.to(torch.float32)


def _size(image: Tensor) -> Size:
    return image.shape[1], image.shape[2]


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    height, width = size
    if height < 1 or width < 1:
        raise ImageError(f"size: got {size}, expected (height, width), each at least 1")
    return height, width
