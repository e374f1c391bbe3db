"""Looking at held-out images on the way: a loss, PSNR beside a floor, and pictures.

Every inpainting model is asked the same: to fill the last quarter of a canvas, where the answer of
a 2x2 prompt stands.  A VQGAN is asked to draw what it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vicl.exports.sheets import contact_sheet
from vicl.models.vqgan import VQGAN
from vicl.training.job import Look

_BATCH = 16
_PEAK_DB = 99.0
"""What counts as the PSNR of an exact answer, so that means stay finite."""
_Answered: TypeAlias = tuple[
    Float[Tensor, "b 3 H W"], Float[Tensor, "b 3 H W"], Bool[Tensor, "b H W"], Float[Tensor, " b"]
]
"""Of each image: what is shown, what is answered, where, and the loss."""


@torch.no_grad()
def look(model: nn.Module, images: Sequence[Float[Tensor, "3 H W"]], *, rows: int) -> Look:
    """Ask a model about held-out images.

    Args:
        model: In evaluation mode; an inpainter with `loss`, or a VQGAN.
        images: RGB in [0, 1], at the model's canvas size, on the CPU; at least one.
        rows: How many of them the contact sheet shows.

    Returns:
        The figures are `loss` (the model's own), `psnr` in dB (in the hole; of a VQGAN over the
        image), and `psnr_floor`: what the mean colour of the visible pixels (of a VQGAN: of the
        image) scores.
    """
    device = next(model.parameters()).device
    totals: dict[str, float] = {}
    pictures: list[list[Tensor | None]] = []
    for start in range(0, len(images), _BATCH):
        image = torch.stack(list(images[start : start + _BATCH])).to(device)
        if isinstance(model, VQGAN):
            shown, answer, where, loss = _reconstruct(model, image)
        else:
            shown, answer, where, loss = _inpaint(model, image)
        mean = _mean_colour(image, ~where if not bool(where.all()) else where)
        for name, values in (
            ("loss", loss),
            ("psnr", _psnr(answer, image, where)),
            ("psnr_floor", _psnr(mean.expand_as(image), image, where)),
        ):
            totals[name] = totals.get(name, 0.0) + float(values.sum())
        for row in range(min(len(image), rows - len(pictures))):
            pictures.append([part[row].cpu() for part in (shown, answer, image)])
    return Look(
        {name: total / len(images) for name, total in totals.items()},
        contact_sheet(pictures, headers=("shown", "answered", "true"), cell=128),
        len(images),
    )


def last_quarter(grid: tuple[int, int], patch_size: int) -> Bool[Tensor, "H W"]:
    """The hole of the published 2x2 prompt on a canvas of any size: its bottom right quarter."""
    rows, columns = grid
    hole = torch.zeros(rows * patch_size, columns * patch_size, dtype=torch.bool)
    hole[-(rows // 2) * patch_size :, -(columns // 2) * patch_size :] = True
    return hole


def _inpaint(model: Any, image: Float[Tensor, "b 3 H W"]) -> _Answered:
    """What is shown, what is answered, where, and the loss of each."""
    hole = last_quarter(model.config.grid, model.patch_size).expand(len(image), -1, -1)
    loss = torch.stack(
        [model.loss(image[i : i + 1], hole[i : i + 1]) for i in range(len(image))]
    ).float()
    where = hole.to(image.device)
    answer = model.inpaint(image, where).image
    return torch.where(where[:, None], 0.5, image), answer, where, loss


def _reconstruct(model: VQGAN, image: Float[Tensor, "b 3 H W"]) -> _Answered:
    drawn = model.decode(model.encode(image))
    everywhere = torch.ones_like(image[:, 0], dtype=torch.bool)
    return image, drawn, everywhere, (drawn - image).abs().mean(dim=(1, 2, 3))


def _mean_colour(
    image: Float[Tensor, "b 3 H W"], where: Bool[Tensor, "b H W"]
) -> Float[Tensor, "b 3 1 1"]:
    weight = where[:, None].to(image.dtype)
    mean: Tensor = (image * weight).sum(dim=(2, 3), keepdim=True) / weight.sum(
        dim=(2, 3), keepdim=True
    )
    return mean


def _psnr(
    answer: Float[Tensor, "b 3 H W"], truth: Float[Tensor, "b 3 H W"], where: Bool[Tensor, "b H W"]
) -> Float[Tensor, " b"]:
    """PSNR in dB over the pixels of `where`, of each image."""
    weight = where[:, None].to(answer.dtype)
    error = ((answer - truth).square() * weight).sum(dim=(1, 2, 3)) / (
        3 * weight.sum(dim=(1, 2, 3))
    )
    return (-10 * error.clamp(min=10 ** (-_PEAK_DB / 10)).log10()).float()
