"""A perceptual distance: how far apart two images are in the features of a network.

The network is a `Trunk`; how its features are weighed is up to the `PerceptualDistance`.  Their
weights come from files that the user supplies, since none are shipped.  Training takes VGG-16;
what papers report as LPIPS takes AlexNet.

Sources: Zhang, Isola, Efros, Shechtman and Wang 2018, arXiv:1801.03924, section 3 (the distance,
known as LPIPS); Simonyan and Zisserman 2014, arXiv:1409.1556, table 1, configuration D (VGG-16);
Krizhevsky 2014, arXiv:1404.5997 (AlexNet with one tower).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.files import display
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.storage.checkpoints import Checkpoint, TensorRef, open_checkpoint
from vicl.storage.folder import ModelError, checked, compare

_VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_ALEXNET = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))
"""Channels, side, stride and padding of its convolutions."""
_POOLED = 2
"""AlexNet pools before its second and its third convolution."""
_EXTRAS = re.compile(r"classifier\.")
"""What files of both networks hold beside their convolutions."""
_EPS = 1e-10


class Trunk(nn.Module):
    """Layers whose activations are looked at on the way.

    Attributes:
        features: The layers.
        taps: Which layers' outputs are looked at.
        widths: Their channels.
    """

    def __init__(self, features: nn.Sequential, taps: tuple[int, ...]) -> None:
        super().__init__()
        self.features = features
        self.taps = taps
        self.widths = tuple(_width(list(features)[: tap + 1]) for tap in taps)

    def forward(self, image: Float[Tensor, "b 3 H W"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The activations at the taps; `image` is normalised as the network expects it."""
        seen: list[Tensor] = []
        for index, layer in enumerate(self.features):
            image = layer(image)
            if index in self.taps:
                seen.append(image)
        return seen


def vgg16() -> Trunk:
    """VGG-16 up to relu5_3, looked at after the last convolution before each pooling.

    Its state dict has the names of the published weights: "features.0.weight" and so on.
    """
    return _trunk([[(wide, 3, 1, 1) for wide in stage] for stage in _VGG16], pool=2, pooled=4)


def alexnet() -> Trunk:
    """AlexNet up to relu5, looked at after each of its five convolutions.

    Its state dict has the names of the published weights: "features.0.weight" and so on.
    """
    return _trunk([[convolution] for convolution in _ALEXNET], pool=3, pooled=_POOLED)


def _trunk(
    stages: Sequence[Sequence[tuple[int, int, int, int]]], *, pool: int, pooled: int
) -> Trunk:
    """Stages of convolutions, looked at after each; `pooled` of them are pooled before the next."""
    layers: list[nn.Module] = []
    taps: list[int] = []
    width = 3
    for index, stage in enumerate(stages):
        if 0 < index <= pooled:
            layers.append(nn.MaxPool2d(pool, stride=2))
        for wide, side, stride, padding in stage:
            layers += [nn.Conv2d(width, wide, side, stride, padding), nn.ReLU()]
            width = wide
        taps.append(len(layers) - 1)
    return Trunk(nn.Sequential(*layers), tuple(taps))


class PerceptualDistance(nn.Module):
    """The distance of images in the features of a trunk; frozen.

    Attributes:
        trunk: The network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: Trunk, heads: list[Float[Tensor, " _"]] | None = None) -> None:
        """Put the distance together.

        Args:
            trunk: A network for images normalised by ImageNet's mean and deviation.
            heads: Weights of each tap's channels, at least 0; None weighs all channels of a tap
                alike, by 1 over their number.
        """
        super().__init__()
        self.trunk = trunk.requires_grad_(False).eval()
        equal = [torch.full((width,), 1 / width) for width in trunk.widths]
        for index, head in enumerate(equal if heads is None else heads):
            self.register_buffer(f"head_{index}", head)
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)

    def forward(
        self, image: Float[Tensor, "b 3 H W"], other: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, " b"]:
        """Distance of each image from its other; 0 for the same image, else positive.

        At each tap the channels of every place are scaled to length 1; the squared differences
        are weighed and summed over channels and averaged over places; the taps are summed.

        Args:
            image: RGB in [0, 1], up to overshoot; sides of at least 16 pixels for VGG-16, 31 for
                AlexNet.
            other: Likewise.

        Source: Zhang et al. 2018, equation 1.
        """
        total = image.new_zeros(len(image), dtype=torch.float32)
        pairs = zip(self._look(image), self._look(other), strict=True)
        for index, (one, two) in enumerate(pairs):
            apart = (_directions(one) - _directions(two)).square()
            head: Tensor = self.get_buffer(f"head_{index}")
            total = total + (apart * head[:, None, None]).sum(dim=1).mean(dim=(1, 2))
        return total

    def _look(self, image: Float[Tensor, "b 3 H W"]) -> list[Float[Tensor, "b _ _ _"]]:
        seen: list[Tensor] = self.trunk((image - self.mean) / self.std)
        return seen


def load_perceptual(path: str | os.PathLike[str]) -> PerceptualDistance:
    """The perceptual distance with a VGG-16 from a file.

    Args:
        path: Safetensors, or a torch checkpoint, which is read without unpickling it. It holds
            VGG-16 under the names "features.0.weight" and so on; "classifier." may be there too
            and is not read. If it also holds "lin0.model.1.weight" to "lin4.model.1.weight", these
            are the learned weights of the channels; else all channels of a tap count alike.

    Raises:
        KeysError: If tensors are missing, of the wrong shape, or not expected; it lists all.
        ModelError: If it holds no finite numbers, or negative weights of channels.
        CheckpointError: If the file is broken.
    """
    return _load(vgg16, (path,), learned=False)


def load_lpips(
    trunk: str | os.PathLike[str], heads: str | os.PathLike[str] | None = None
) -> PerceptualDistance:
    """LPIPS as papers report it: AlexNet, with the learned weights of its channels.

    Args:
        trunk: AlexNet, under the names "features.0.weight" and so on, as safetensors or a torch
            checkpoint, which is read without unpickling it; "classifier." may be there too and is
            not read. What `vicl download lpips-alex` makes holds the channels' weights too.
        heads: The channels' weights, "lin0.model.1.weight" to "lin4.model.1.weight", where
            `trunk` does not hold them.

    Raises:
        KeysError: If tensors are missing, of the wrong shape, or not expected; it lists all.
        ModelError: If a file holds no finite numbers, or negative weights of channels.
        CheckpointError: If a file is broken.
    """
    return _load(alexnet, (trunk,) if heads is None else (trunk, heads), learned=True)


def _load(
    build: Callable[[], Trunk], paths: Sequence[str | os.PathLike[str]], *, learned: bool
) -> PerceptualDistance:
    """A distance from one or more files.

    Args:
        build: The network.
        paths: Together they hold all of it, and perhaps the channels' weights.
        learned: Whether these must be there.
    """
    with torch.device("meta"):
        trunk = build()
    shapes = {name: tuple(value.shape) for name, value in trunk.state_dict().items()}
    names = [f"lin{index}.model.1.weight" for index in range(len(trunk.widths))]
    with ExitStack() as stack:
        parts = [_Part.open(path, stack) for path in paths]
        refs = {name: ref for part in parts for name, ref in part.refs.items()}
        learned = learned or any(name in refs for name in names)
        if learned:
            shapes |= {n: (1, w, 1, 1) for n, w in zip(names, trunk.widths, strict=True)}
        together = " and ".join(part.checkpoint.path for part in parts)
        compare(together, shapes, {name: ref.shape for name, ref in refs.items()})
        state = {
            name: checked(tensor, name, part.checkpoint.path)
            for part in parts
            for name, tensor in part.checkpoint.load(part.refs).items()
        }
    heads = [state.pop(name).flatten() for name in names] if learned else None
    for name, head in zip(names, heads or (), strict=False):
        if bool((head < 0).any()):
            raise ModelError(
                f"{display(together)}: {name} has negative numbers; expected weights of a "
                "distance, which are at least 0"
            )
    trunk.load_state_dict(state, strict=True, assign=True)
    return PerceptualDistance(trunk, heads)


@dataclass(frozen=True, eq=False)
class _Part:
    """An open file, and the tensors in it that are not expected extras."""

    checkpoint: Checkpoint
    refs: dict[str, TensorRef]

    @classmethod
    def open(cls, path: str | os.PathLike[str], stack: ExitStack) -> _Part:
        checkpoint = stack.enter_context(open_checkpoint(path))
        if not isinstance(checkpoint.data, dict):
            raise ModelError(
                f"{display(checkpoint.path)}: holds no tensors by name; expected those of a network"
            )
        items = ((str(name), value) for name, value in checkpoint.data.items())
        tensors = {n: v for n, v in items if isinstance(v, TensorRef) and not _EXTRAS.match(n)}
        return cls(checkpoint, tensors)


def _width(layers: list[nn.Module]) -> int:
    """The channels that come out of layers."""
    return [part for part in layers if isinstance(part, nn.Conv2d)][-1].out_channels


def _directions(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The channels of every place at length 1; where all are 0 they stay so."""
    return F.normalize(features.float(), dim=1, eps=_EPS)
