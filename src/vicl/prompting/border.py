"""Learned borders: a frame of pixels that is added to the pictures on a canvas (InMeMo).

A frame is the padding prompt of :mod:`vicl.prompts.pixel`. A cell of the canvas is enlarged to its
side, the frame is added, and the sum is brought back to the cell; values are not cut to [0, 1], as
published. The engine stays as it is, so that a border is of use to that engine alone.

Source: Zhang, Wang, Li, Nakashima and Nagahara 2023, arXiv:2311.03648, section 3, and the published
code.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.canvas.layout import Layout
from vicl.canvas.rects import Rect
from vicl.engine import Named
from vicl.prompting.learned import (
    LearnedError,
    LearnedFile,
    Told,
    pack,
    read_learned,
    unpack,
)

if TYPE_CHECKING:
    from vicl.prompts.pixel import PixelPrompt

BORDER: Final = "border.safetensors"
"""What the file is called in the folder of a run, and in a prompt file."""
_MOST_SIDE: Final = 1024
_PARTS: Final = ("up", "down", "left", "right")

BorderMode = Literal["spimg_spmask", "spimg", "qrimg", "spimg_qrimg", "spimg_spmask_qrimg"]
"""Which cells get the border, by the published names: the examples' inputs (spimg), their outputs
(spmask), the query (qrimg)."""


class BorderTold(Told):
    """What a border's file says of it.

    Attributes:
        mode: Which cells get it.
    """

    mode: BorderMode


@dataclass(frozen=True, eq=False)
class Border(LearnedFile):
    """A learned border.

    Attributes:
        parts: Its pixels, as :class:`vicl.prompts.pixel.PixelPrompt` names them: `up` and `down`
            (1, 3, w, s), `left` and `right` (1, 3, s - 2w, w), in units of [0, 1].
        told: Which cells get it, and whose it is.
    """

    parts: dict[str, Tensor]
    told: BorderTold

    def __repr__(self) -> str:
        width, side = self.parts["up"].shape[2:]
        return f"Border({self.told.mode!r}, {width} of {side} px, of {self.told.engine!r})"

    @cached_property
    def picture(self) -> Float[Tensor, "1 3 s s"]:
        """All of it; 0 inside."""
        return prompt_of(self.parts).picture()

    def on(self, image: Float[Tensor, "*b 3 H W"], layout: Layout) -> Float[Tensor, "*b 3 H W"]:
        """Canvases of a layout with the border on its cells."""
        return bordered(image, layout, self.picture.to(image), self.told.mode)

    def check(self, engine: Named) -> None:
        """Refuse another engine than the one that it was learned with.

        Raises:
            LearnedError: If the weights are others.
        """
        self.told.check("border", engine)

    def to_bytes(self) -> bytes:
        """As a safetensors file; the same border gives the same bytes."""
        return pack({name: self.parts[name].contiguous() for name in _PARTS}, self.told)


def border_of(prompt: PixelPrompt, mode: BorderMode, engine: Named) -> Border:
    """What a pixel prompt has learned, as a value that stays as it is.

    Raises:
        LearnedError: If the engine has no hash by which it could be told from others.
    """
    parts = {key: value.cpu().float().clone() for key, value in prompt.state_dict().items()}
    return Border(parts, BorderTold.of(engine, mode=mode))


def prompt_of(parts: dict[str, Tensor]) -> PixelPrompt:
    """The pixel prompt of a border's parts; frozen."""
    # It comes with classifiers and their texts, for which a prompt without a border need not wait.
    from vicl.prompts.pixel import PixelPrompt

    width, side = parts["up"].shape[2:]
    made = PixelPrompt(side, width=width, init="zero", generator=Generator())
    made.load_state_dict(parts)
    return made.requires_grad_(False)


def bordered(
    image: Float[Tensor, "*b 3 H W"],
    layout: Layout,
    picture: Float[Tensor, "1 3 s s"],
    mode: BorderMode,
) -> Float[Tensor, "*b 3 H W"]:
    """Canvases with a border on the cells that a mode names; gradients flow into the border."""
    found = image.clone()
    for cell in _cells(layout, mode):
        shown = cell.of(image).reshape(-1, 3, *cell.size)
        large = F.interpolate(shown, picture.shape[-2:], mode="bilinear", align_corners=False)
        back = F.interpolate(large + picture, cell.size, mode="bilinear", align_corners=False)
        cell.of(found)[:] = back.view(cell.of(image).shape)
    return found


def _cells(layout: Layout, mode: BorderMode) -> Iterator[Rect]:
    named = mode.split("_")
    yield from layout.inputs if "spimg" in named else ()
    yield from layout.outputs if "spmask" in named else ()
    yield from (layout.query,) if "qrimg" in named else ()


def read_border(data: bytes, name: str) -> Border:
    """A border of the bytes of its file, which may come from a stranger.

    Args:
        data: As :meth:`Border.to_bytes` gave them.
        name: What messages call the file.

    Raises:
        LearnedError: If it is none, or broken.
    """
    parts, told = unpack(data, BorderTold, name)
    shapes = {key: tuple(part.shape) for key, part in parts.items()}
    up, expected = shapes.get("up", ()), {}
    if len(up) == 4 and 0 < 2 * up[2] < up[3] <= _MOST_SIDE:
        beside = (1, 3, up[3] - 2 * up[2], up[2])
        expected = dict(zip(_PARTS, [(1, 3, *up[2:])] * 2 + [beside] * 2, strict=True))
    if shapes != expected or any(not part.is_floating_point() for part in parts.values()):
        raise LearnedError(
            f"{name}: holds {shapes}, expected {', '.join(_PARTS)} of a frame around at most "
            f"{_MOST_SIDE} px; the file is damaged, learn the border anew"
        )
    return Border(parts, told)


def as_border(given: Border | str | os.PathLike[str] | None) -> Border | None:
    """A border, its file, or the folder of the run that made it.

    Raises:
        LearnedError: If there is none, or it is broken.
    """
    if given is None or isinstance(given, Border):
        return given
    return read_border(*read_learned(given, BORDER))
