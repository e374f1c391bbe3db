"""EfficientNet-Lite: small convolutional networks that Google trained on ImageNet-1k.

Source: Tan and Le, "EfficientNet", ICML 2019; the Lite variants (no squeeze-and-excitation, ReLU6,
stem and head not scaled) of TensorFlow's TPU models. The weights are Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.encoders.layers import convolve
from vicl.encoders.packaged import PACKAGED
from vicl.engine import Features

Variant = Literal[0, 2]

_SCALES: Final[Mapping[Variant, tuple[float, float]]] = {0: (1.0, 1.0), 2: (1.1, 1.2)}
"""Of width and depth."""

_STAGES: Final = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
"""Side of the kernel, repeats, channels, expansion, stride: of Lite0."""

_LEVELS: Final = (1, 2, 3, 4, 5)
"""Stages whose ends are levels."""

_STEM, _HEAD, _LABELS = 32, 1280, 1000
_EPSILON: Final = 1e-3
"""Of the batch normalisation that is folded into the convolutions."""


class EfficientNetLite(nn.Module):
    """Features of an ImageNet network: five levels, from parts' edges to things.

    The levels are the ends of the stages of stride 4, 8, 16, 16 and 32, before any activation; of
    the whole image it gives the 1,280 numbers that the classifier sees.

    Args:
        variant: 2, the better one (6.1 million weights), or 0 (4.7 million).
        device: Where it runs.
        dtype: Of its arithmetic; what it says is float32.

    Raises:
        vicl.encoders.packaged.MissingWeightsError: If the weights are not installed, or altered;
            the message has the command that installs them.
    """

    strides: tuple[int, ...] = (4, 8, 16, 16, 32)

    def __init__(
        self,
        variant: Variant = 2,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        width, depth = _SCALES[variant]
        self.name = f"efficientnet-lite{variant}"
        weights = PACKAGED[self.name]
        self.weights_hash: str | None = weights.sha256
        with torch.device("meta"):
            self.stem = _conv(3, _STEM, 3, 2)
            blocks: list[nn.Module] = []
            ends: list[int] = []
            channels: list[int] = []
            inputs = _STEM
            for index, (kernel, repeats, outputs, expand, stride) in enumerate(_STAGES):
                outputs = _rounded(outputs * width)
                if 0 < index < len(_STAGES) - 1:
                    repeats = -int(-repeats * depth // 1)
                for repeat in range(repeats):
                    blocks.append(_Block(inputs, outputs, kernel, 1 if repeat else stride, expand))
                    inputs = outputs
                ends.append(len(blocks) - 1)
                channels.append(outputs)
            self.blocks = nn.ModuleList(blocks)
            self.head = nn.Conv2d(inputs, _HEAD, 1)
            self.classifier = nn.Linear(_HEAD, _LABELS)
        self.channels: tuple[int, ...] = tuple(channels[index] for index in _LEVELS)
        self._ends = tuple(ends[index] for index in _LEVELS)
        self.load_state_dict(_folded(weights.read(), len(blocks)), strict=True, assign=True)
        self.requires_grad_(False).eval().to(device, dtype)

    @torch.no_grad()
    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """See :meth:`vicl.engine.Encoder.encode`; the features stay on the encoder's device."""
        image = image.to(self.head.weight.device)
        # On a CPU convolutions of a batch are not those of its members to the last bit.
        alone = image.device.type == "cpu" and not torch.compiler.is_exporting()
        parts = image[:, None] if alone else image[None]
        each = [self.levels(self._normalised(part)) for part in parts]
        levels = zip(*(one[0] for one in each), strict=True)
        return Features(
            tuple(torch.cat(found).float() for found in levels),
            torch.cat([one[1] for one in each]).float(),
        )

    @torch.no_grad()
    def classify(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1000"]:
        """Chances of ImageNet-1k's labels, in their usual order; best for sides of about 256 px.

        Raises:
            ValueError: If `h` or `w` is not a multiple of 32.
        """
        image = image.to(self.head.weight.device)
        return torch.softmax(
            self.classifier(self.levels(self._normalised(image))[1]).float(), dim=1
        )

    def levels(self, image: Float[Tensor, "b 3 h w"]) -> tuple[list[Tensor], Tensor]:
        """Levels, and the whole image's numbers, of pixels in [-127 / 128, 1]; differentiable.

        Raises:
            ValueError: If `h` or `w` is not a multiple of 32.
        """
        height, width = image.shape[2:]
        step = self.strides[-1]
        if height % step or width % step:
            raise ValueError(
                f"image: got {height}x{width} pixels, expected sides that are multiples of {step}"
            )
        values = _same(self.stem, image)
        levels = []
        for index, block in enumerate(self.blocks):
            values = block(values)
            if index in self._ends:
                levels.append(values)
        return levels, convolve(self.head, values, relu6=True).mean(dim=(2, 3))

    def _normalised(self, image: Tensor) -> Tensor:
        return ((image * 255 - 127) / 128).to(self.head.weight.dtype)


class _Block(nn.Module):
    """An inverted residual: expand, filter each channel, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.expand = nn.Conv2d(inputs, inner, 1) if expand > 1 else None
        self.depthwise = _conv(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, values: Tensor) -> Tensor:
        inner = values if self.expand is None else convolve(self.expand, values, relu6=True)
        found = convolve(self.project, _same(self.depthwise, inner), relu6=False)
        return values + found if self.residual else found


def _conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    padding = kernel // 2 if stride == 1 else 0
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)


def _same(conv: nn.Conv2d, values: Tensor) -> Tensor:
    """Convolve with TensorFlow's padding, then cut to [0, 6].

    Of an even side that is halved, TensorFlow puts one pixel more at the end than before.
    """
    if conv.stride[0] > 1:
        over = conv.kernel_size[0] - conv.stride[0]
        values = F.pad(values, (over // 2, over - over // 2) * 2)
    return convolve(conv, values, relu6=True)


def _rounded(channels: float) -> int:
    """To a multiple of 8, never below nine tenths."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def _folded(tensors: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """The file's weights with each normalisation folded into the convolution before it."""
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for index in range(blocks):
        for at, name in enumerate(("expand", "depthwise", "project")):
            start = f"_blocks.{index}."
            pairs[f"blocks.{index}.{name}"] = (f"{start}_{name}_conv", f"{start}_bn{at}")
    state = {f"classifier.{part}": tensors[f"_fc.{part}"] for part in ("weight", "bias")}
    for name, (conv, norm) in pairs.items():
        if f"{conv}.weight" not in tensors:  # the first block does not expand
            continue
        scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + _EPSILON).sqrt()
        state[f"{name}.weight"] = tensors[f"{conv}.weight"] * scale[:, None, None, None]
        state[f"{name}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    return state
