"""Rules on batches of pictures, by the names and values of those in :mod:`vicl.figures.rules`.

A rule that changes scenes needs nothing here: both scenes are drawn.  The others are functions of a
few figures' pictures and values; a column of values has one number (or colour) a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.figures.rules import RULES, Values

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Shown:
    """Some pictures that share a rule, and its values.

    Attributes:
        image: RGB in [0, 1].
        visible: How much of each pixel shows each thing, in [0, 1].
        chosen: Which things have what the rule asks for; all, if it asks for nothing.
        values: One set a picture.
        generator: For noise.
    """

    image: Float[Tensor, "s 3 h w"]
    visible: Float[Tensor, "s n h w"]
    chosen: Bool[Tensor, "s n"]
    values: Sequence[Values]
    generator: Generator

    def column(self, name: str) -> Float[Tensor, "s 1 1 1"]:
        """A number of each picture's values."""
        found = [float(values[name]) for values in self.values]
        return torch.tensor(found, device=self.image.device)[:, None, None, None]

    def colour(self, name: str) -> Float[Tensor, "s 3 1 1"]:
        """Three numbers of each picture's values; colours, 0 to 255, come in [0, 1]."""
        found = [values[name] for values in self.values]
        return torch.tensor(found, device=self.image.device)[:, :, None, None] / 255


Images = Float[Tensor, "s 3 h w"]
BatchRule = Callable[[Shown], tuple[Images, Images]]
"""From pictures to inputs and outputs."""


def _filter(function: Callable[[Shown], Images]) -> BatchRule:
    return lambda shown: (shown.image, function(shown).clamp(0, 1))


def _undone(function: Callable[[Shown], Images]) -> BatchRule:
    return lambda shown: (function(shown).clamp(0, 1), shown.image)


def _gray(shown: Shown) -> Images:
    weights = torch.tensor(_LUMA, device=shown.image.device)[:, None, None]
    return (shown.image * weights).sum(dim=1, keepdim=True).expand_as(shown.image)


def _paint(shown: Shown, cover: Float[Tensor, "s h w"]) -> Images:
    return torch.lerp(shown.colour("off"), shown.colour("on"), cover.clamp(0, 1)[:, None])


def _mask(shown: Shown) -> Images:
    return _paint(shown, (shown.visible * shown.chosen[:, :, None, None]).sum(dim=1))


def _rims(shown: Shown) -> Float[Tensor, "s h w"]:
    """Lines along the inner side of each thing's border."""
    side = shown.image.shape[-1]
    widths = torch.tensor(
        [max(1, round(values["width"] * side)) for values in shown.values],
        device=shown.image.device,
    )[:, None, None, None]
    outside = 1 - shown.visible
    for step in range(int(widths.max())):
        outside = torch.where(step < widths, _grown(outside, square=step % 2 == 1), outside)
    return (shown.visible - (1 - outside)).clamp(0, 1).sum(dim=1).clamp(0, 1)


def _grown(cover: Float[Tensor, "s n h w"], *, square: bool) -> Float[Tensor, "s n h w"]:
    """Greatest value of each pixel and its neighbours: four, or eight.

    Crosses and squares in turn make an octagon.
    """
    padded = F.pad(cover, (1, 1, 1, 1))
    above, below = padded[..., :-2, :], padded[..., 2:, :]
    upright = torch.maximum(torch.maximum(above, below), padded[..., 1:-1, :])
    middle = upright if square else padded[..., 1:-1, :]
    level = torch.maximum(middle[..., :-2], middle[..., 2:])
    return torch.maximum(level, upright[..., 1:-1])


def _drawn_outline(shown: Shown) -> Images:
    return torch.lerp(shown.image, shown.colour("colour"), _rims(shown)[:, None])


def _blur(shown: Shown) -> Images:
    """Gaussian blur, of another width for each picture."""
    sigma = (shown.column("radius") * shown.image.shape[-1]).reshape(-1, 1)
    far = int((3 * sigma.max()).ceil())
    steps = torch.arange(-far, far + 1, device=sigma.device)
    kernel = (-(steps**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)[:, None]
    count, height, width = len(sigma) * 3, *shown.image.shape[-2:]
    flat = F.pad(shown.image.reshape(1, count, height, width), (far,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, :, None], groups=count)
    flat = F.conv2d(flat, kernel[..., None], groups=count)
    return flat.reshape(shown.image.shape)


def _noisy(shown: Shown) -> Images:
    """Noise that is added, multiplied, or replaces pixels by black and white."""
    image, amount = shown.image, shown.column("amount")
    kinds = [values["kind"] for values in shown.values]
    normal = torch.randn(image.shape, generator=shown.generator, device=image.device) * amount
    even = torch.rand(
        (len(kinds), 1, *image.shape[-2:]), generator=shown.generator, device=image.device
    )
    salted = torch.where(even > 1 - amount / 2, 1.0, torch.where(even < amount / 2, 0.0, image))
    ways = torch.stack([image + normal, image + normal * image, salted])
    kind = torch.tensor(
        [("gaussian", "speckle", "salt").index(name) for name in kinds], device=image.device
    )
    return ways[kind, torch.arange(len(kinds), device=image.device)]


def _fog(shown: Shown) -> Images:
    share = shown.column("density")
    return shown.image * (1 - share) + shown.column("level") / 255 * share


def _swapped(shown: Shown) -> Images:
    orders = torch.tensor([values["order"] for values in shown.values], device=shown.image.device)
    return shown.image.gather(1, orders[:, :, None, None].expand_as(shown.image))


def _mirrored(shown: Shown) -> Images:
    across = torch.tensor([v["axis"] == "x" for v in shown.values], device=shown.image.device)
    flat = across[:, None, None, None]
    return torch.where(flat, shown.image.flip(-1), shown.image.flip(-2))


def _quantised(shown: Shown) -> Images:
    steps = shown.column("levels") - 1
    image = torch.where(shown.column("gray") > 0, _gray(shown), shown.image)
    return (image * steps).round() / steps


_OWN: Mapping[str, BatchRule] = {
    "copy": _filter(lambda s: s.image),
    "mask": _filter(_mask),
    "mask-inverse": _filter(_mask),
    "mask-colours": _filter(_mask),
    "choose-colour": _filter(_mask),
    "choose-size": _filter(_mask),
    "choose-shape": _filter(_mask),
    "choose-texture": _filter(_mask),
    "choose-position": _filter(_mask),
    "outline": _filter(lambda s: _paint(s, _rims(s))),
    "drawn-outline": _filter(_drawn_outline),
    "grayscale": _filter(_gray),
    "colourise-naturally": _undone(_gray),
    "negative": _filter(lambda s: 1 - s.image),
    "swap-channels": _filter(_swapped),
    "quantise": _filter(_quantised),
    "duotone": _filter(lambda s: torch.lerp(s.colour("dark"), s.colour("light"), _gray(s))),
    "mirror": _filter(_mirrored),
    "brightness": _filter(lambda s: s.image * s.column("factor")),
    "contrast": _filter(lambda s: 128 / 255 + (s.image - 128 / 255) * s.column("factor")),
    "gamma": _filter(lambda s: s.image ** s.column("gamma")),
    "saturation": _filter(lambda s: torch.lerp(_gray(s), s.image, s.column("factor"))),
    "colour-cast": _filter(lambda s: s.image * s.colour("factors") * 255),
    "white-balance": _undone(lambda s: s.image * s.colour("factors") * 255),
    "expose": _undone(lambda s: s.image * s.column("factor")),
    "blur": _filter(_blur),
    "deblur": _undone(_blur),
    "denoise": _undone(_noisy),
    "clear-fog": _undone(_fog),
}


def needs_function(name: str) -> bool:
    """Whether a rule of the batch is one of pictures, not a change of scenes."""
    return name in _OWN


def apply(name: str, shown: Shown) -> tuple[Images, Images]:
    """Inputs and outputs of a rule of pictures.

    Args:
        name: Such that :func:`needs_function`.
        shown: The pictures.
    """
    return _OWN[name](shown)


BATCHED_RULES: tuple[str, ...] = (
    *_OWN,
    *(rule.name for rule in RULES.values() if rule.change is not None and rule.name not in _OWN),
)
"""Names of the rules that can be shown in batches."""
