"""Backbones from folders of the transformers library, with their classifiers where they have one.

Folders can come from strangers: see :mod:`vicl.adapters.transformers_folder`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vicl.adapters.transformers_folder import (
    CLIP,
    HALF,
    IMAGENET,
    PREPROCESSOR,
    Architecture,
    Colours,
    build,
    colours_of,
    open_folder,
    read_json,
)
from vicl.files import display
from vicl.prompts.backbones.backbone import Backbone, Reading, TokenBackbone
from vicl.storage.folder import CONFIG, WEIGHTS, ModelError
from vicl.storage.sharded import hash_weights, open_weights

_LARGEST: Final = 4096
"""Side of an image, in pixels."""

_UNUSED: Final = ("mask_token", "pooler.dense.weight", "pooler.dense.bias", "num_batches_tracked")
"""Ends of names of weights that features need not."""

_HEADS: Final = ("classifier.weight", "classifier.1.weight")
"""The weights of a classifier, a row for each of its labels."""

_FILTERS: Final[Mapping[object, Literal["bilinear", "bicubic"]]] = {2: "bilinear", 3: "bicubic"}
"""By the numbers that the library knows them by."""


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        body: Its class in the library starts so; `Config` and `Model` follow.
        form: A stack of layers over tokens, windows of tokens, or convolutions.
        classifies: Whether the library has a model of it with a classifier.
        prefix: Tokens before those of the patches; registers come on top.
        norm: Its last normalisation.
        resize: Whether it must be told to interpolate its positions.
        pool: Which tokens its features are: the first, with the mean of the patches where a
            classifier follows (`both`), the mean of all but the first, or what a head of its own
            makes of them.
        colours: Mean and deviation by which its images are normalised unless its folder says.
        side: Of its images unless its folder says; None: what its configuration has, which of a
            DINOv2 is that of its last days of training.
        part: What the names of its weights start with, in a file that has others, too.
        inner: The field of a configuration that has that of the network; None: the whole.
    """

    body: str
    form: Literal["tokens", "windows", "convolutions"]
    classifies: bool = False
    prefix: int = 1
    norm: str = "layernorm"
    resize: bool = False
    pool: Literal["first", "both", "mean", "head"] = "first"
    colours: Colours = IMAGENET
    side: int | None = None
    part: str | None = None
    inner: str | None = None


_CLIP: Final = Kind("CLIPVision", "tokens", norm="post_layernorm", resize=True, colours=CLIP)
_SIGLIP: Final = Kind(
    "SiglipVision",
    "tokens",
    prefix=0,
    norm="post_layernorm",
    resize=True,
    pool="head",
    colours=HALF,
)

KINDS: Final[Mapping[str, Kind]] = {
    "vit": Kind("ViT", "tokens", classifies=True, resize=True, colours=HALF),
    "vit_mae": Kind("ViT", "tokens", resize=True, pool="mean", part="vit."),
    "dinov2": Kind("Dinov2", "tokens", classifies=True, pool="both", side=224),
    "dinov2_with_registers": Kind(
        "Dinov2WithRegisters", "tokens", classifies=True, pool="both", side=224
    ),
    "dinov3_vit": Kind("DINOv3ViT", "tokens", norm="norm"),
    "dinov3_convnext": Kind("DINOv3ConvNext", "convolutions", norm="layer_norm"),
    "swin": Kind("Swin", "windows", classifies=True, resize=True),
    "resnet": Kind("ResNet", "convolutions", classifies=True, norm=""),
    "convnext": Kind("ConvNext", "convolutions", classifies=True),
    "clip_vision_model": _CLIP,
    "clip": Kind(**{**vars(_CLIP), "part": "vision_model.", "inner": "vision_config"}),
    "siglip_vision_model": _SIGLIP,
    "siglip": Kind(**{**vars(_SIGLIP), "part": "vision_model.", "inner": "vision_config"}),
}
"""By the model_type of a configuration."""


def open_backbone(folder: Path, source: str) -> Backbone:
    """The network of a folder.

    Args:
        folder: With `config.json`, `model.safetensors` and, if there is one,
            `preprocessor_config.json`.
        source: How it is called.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """
    kind, fields = open_folder(folder, KINDS, "a backbone")
    if kind.inner is not None:
        inner = fields.get(kind.inner)
        fields = inner if isinstance(inner, dict) else {}
    labels = _labels(folder) if kind.classifies else None
    name = f"{kind.body}{'Model' if labels is None else 'ForImageClassification'}"
    part = kind.part
    wanted = None if part is None else lambda key: key.startswith(part)
    net = build(
        Architecture(f"{kind.body}Config", name, unused=_UNUSED, wanted=wanted),
        fields,
        folder,
        labels=labels,
    )
    made = make_backbone(net, kind, source)
    made.weights_hash = hash_weights(folder, WEIGHTS)
    made.colours(*colours_of(folder, kind.colours))
    made.reading = _reading(folder, kind.side or made.side)
    step = made.patch if isinstance(made, TokenBackbone) else 1
    if made.side % step:
        raise ModelError(
            f"{display(folder / PREPROCESSOR)}: got images of {made.side} pixels, expected a "
            f"multiple of {step}, the side of the model's patches"
        )
    return made


def make_backbone(net: nn.Module, kind: Kind, source: str) -> Backbone:
    """A network of the library as a backbone; of images at the side that it was made for.

    Args:
        net: With or without a classifier.
        kind: Of which kind it is.
        source: How it is called.
    """
    forms = {"tokens": TransformersTokens, "windows": SwinBackbone, "convolutions": Convolutions}
    made: Backbone = forms[kind.form](net, kind, source)
    return made


class _Wrapped(Backbone):
    """What all of them share."""

    def __init__(self, net: nn.Module, kind: Kind, source: str) -> None:
        super().__init__()
        self.net, self.kind = net, kind
        self.source, self.weights_hash = source, None
        body = self.body
        if isinstance(getattr(body, "pooler", None), nn.Module) and hasattr(body.pooler, "dense"):
            body.pooler = None  # features are taken before it
        for part in (body, body.embeddings if hasattr(body, "embeddings") else body):
            if getattr(part, "mask_token", None) is not None:
                part.mask_token = None  # only training in which places are hidden needs it
        head = self.classifier()
        self.labels = 0 if head is None else _linear(head).out_features
        side = getattr(body.config, "image_size", None)
        side = side[0] if isinstance(side, list | tuple) else side
        self.reading = Reading(None, 224 if side is None else int(side), "bicubic")
        self.colours(*kind.colours)

    @property
    def body(self) -> Any:
        """The network without its classifier."""
        net: Any = self.net
        found = getattr(net, net.base_model_prefix, net) if self._classifies else net
        # In transformers 5.0 the bodies of CLIP and SigLIP lie one level deeper.
        return getattr(found, "vision_model", found)

    @property
    def _classifies(self) -> bool:
        return hasattr(self.net, "classifier")

    def classifier(self) -> nn.Module | None:
        """See :meth:`Backbone.classifier`."""
        found: nn.Module | None = getattr(self.net, "classifier", None)
        return None if isinstance(found, nn.Identity) else found

    def tail(self) -> list[nn.Module]:
        """See :meth:`Backbone.tail`."""
        found = [getattr(self.body, self.kind.norm)] if self.kind.norm else []
        return [*found, self.body.head] if self.kind.pool == "head" and self._pools else found

    @property
    def _pools(self) -> bool:
        return isinstance(getattr(self.body, "head", None), nn.Module)


class Convolutions(_Wrapped):
    """ResNet, ConvNeXt and the like: stages of convolutions, and a mean over places."""

    def __init__(self, net: nn.Module, kind: Kind, source: str) -> None:
        super().__init__(net, kind, source)
        self.width, self.step = int(self.body.config.hidden_sizes[-1]), 32

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Backbone.features`."""
        found: Tensor = self.body(pixels).pooler_output
        return found.flatten(1)

    def blocks(self) -> list[nn.Module]:
        """See :meth:`Backbone.blocks`."""
        body = self.body
        encoder = body.encoder if hasattr(body, "encoder") else body.model
        return [layer for stage in encoder.stages for layer in stage.layers]


class SwinBackbone(_Wrapped):
    """Swin: four stages of attention in windows; what :mod:`vicl.prompts.swin` needs of it."""

    def __init__(self, net: nn.Module, kind: Kind, source: str) -> None:
        super().__init__(net, kind, source)
        config = self.body.config
        self.width = int(config.embed_dim * 2 ** (len(config.depths) - 1))
        self.step = int(config.patch_size) * 2 ** (len(config.depths) - 1)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Backbone.features`: the mean over places."""
        tokens, grid = self.embed(pixels)
        for stage in self.stages:
            tokens = stage(tokens, grid)[0]
            if stage.downsample is not None:
                grid = ((grid[0] + 1) // 2, (grid[1] + 1) // 2)
        found: Tensor = self.body.layernorm(tokens).mean(dim=1)
        return found

    def embed(
        self, pixels: Float[Tensor, "b 3 s s"]
    ) -> tuple[Float[Tensor, "b n c"], tuple[int, int]]:
        """Tokens of the patches in raster order, and the rows and columns of their grid."""
        tokens, grid = self.body.embeddings(pixels, interpolate_pos_encoding=True)
        return tokens, (int(grid[0]), int(grid[1]))

    @property
    def stages(self) -> list[Any]:
        """Its stages, each with `blocks` and `downsample`."""
        return list(self.body.encoder.layers)

    def blocks(self) -> list[nn.Module]:
        """See :meth:`Backbone.blocks`."""
        return [block for stage in self.stages for block in stage.blocks]


class TransformersTokens(_Wrapped, TokenBackbone):
    """ViT, DINOv2, DINOv3, and the vision bodies of CLIP and SigLIP."""

    def __init__(self, net: nn.Module, kind: Kind, source: str) -> None:
        super().__init__(net, kind, source)
        config = self.body.config
        self.depth, self.dim = int(config.num_hidden_layers), int(config.hidden_size)
        patch = config.patch_size
        self.patch = self.step = int(patch[0] if isinstance(patch, list | tuple) else patch)
        self.prefix = kind.prefix + int(getattr(config, "num_register_tokens", 0) or 0)
        self.width = self.dim * (2 if self._both else 1)

    @property
    def _both(self) -> bool:
        """Whether its classifier sees the first token and the mean of the patches."""
        return self.kind.pool == "both" and self._classifies

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b n d"]:
        """See :meth:`TokenBackbone.embed`; positions are interpolated for images of other sizes."""
        options = {"interpolate_pos_encoding": True} if self.kind.resize else {}
        found: Tensor = self.body.embeddings(pixels, **options)
        return found

    def enter(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See :meth:`TokenBackbone.enter`."""
        norm = getattr(self.body, "pre_layrnorm", None)  # the library's spelling
        return tokens if norm is None else norm(tokens)

    def layer(self, index: int, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See :meth:`TokenBackbone.layer`; where places turn features, those of its own side."""
        return self._layer(index, tokens, self.side)

    def _layer(self, index: int, tokens: Tensor, side: int) -> Tensor:
        options: dict[str, Any] = {}
        if hasattr(self.body, "rope_embeddings"):
            like = tokens.new_empty(1, 3, side, side)
            options["position_embeddings"] = self.body.rope_embeddings(like)
        found: Any = self._layers[index](tokens, None, **options)
        whole: Tensor = found[0] if isinstance(found, tuple) else found
        return whole

    def finish(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See :meth:`TokenBackbone.finish`."""
        found: Tensor = getattr(self.body, self.kind.norm)(tokens)
        return found

    def pool(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b w"]:
        """See :meth:`TokenBackbone.pool`; prompts count as patches where a mean is taken."""
        if self.kind.pool == "head":
            found: Tensor = self.body.head(tokens) if self._pools else tokens.mean(dim=1)
            return found
        if self.kind.pool == "mean":
            return tokens[:, self.prefix :].mean(dim=1)
        if self._both:
            return torch.cat([tokens[:, 0], tokens[:, self.prefix :].mean(dim=1)], dim=1)
        return tokens[:, 0]

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Backbone.features`; of images of any side."""
        tokens = self.enter(self.embed(pixels))
        for index in range(self.depth):
            tokens = self._layer(index, tokens, pixels.shape[-1])
        return self.read(tokens)

    def class_tokens(self) -> list[nn.Parameter]:
        """See :meth:`TokenBackbone.class_tokens`."""
        found = (getattr(self.body.embeddings, n, None) for n in ("cls_token", "class_embedding"))
        return [one for one in found if isinstance(one, nn.Parameter)]

    @functools.cached_property
    def _where(self) -> str:
        """The name of its list of layers, which is another in every kind."""
        for name, module in self.body.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == self.depth:
                return str(name)
        raise ModelError(
            f"{self.source}: this version of transformers has its layers where vicl finds none; "
            "pip install -U transformers"
        )

    @property
    def _layers(self) -> Any:
        return self.body.get_submodule(self._where)

    def blocks(self) -> list[nn.Module]:
        """See :meth:`Backbone.blocks`."""
        return list(self._layers)


def _linear(head: nn.Module) -> nn.Linear:
    """The linear layer of a classifier."""
    return next(module for module in head.modules() if isinstance(module, nn.Linear))


def _labels(folder: Path) -> int | None:
    """Labels of the classifier that a folder's weights have; None: they have none."""
    with open_weights(folder, WEIGHTS) as weights:
        for key in _HEADS:
            shape = weights.refs[key].shape if key in weights.refs else ()
            if len(shape) == 2:
                return shape[0]
    return None


def _reading(folder: Path, usual: int) -> Reading:
    """How a folder's model wants images brought to its size.

    Args:
        folder: May have a :data:`PREPROCESSOR`.
        usual: Side if it says nothing.

    Raises:
        ModelError: If what it says cannot be.
    """
    path = folder / PREPROCESSOR
    said = read_json(path) if path.is_file() else {}
    size, cropped = said.get("size"), said.get("crop_size")
    crop = cropped if said.get("do_center_crop") is not False else None
    short = size.get("shortest_edge") if isinstance(size, dict) else size
    both = size.get("height") if isinstance(size, dict) else None
    side = crop.get("height") if isinstance(crop, dict) else crop
    resize = short
    if side is None:
        side, resize = (both, None) if both is not None else (short, None)
    elif both is not None:
        resize = both
    if side is None:
        side, resize = usual, None
    for number in (side, resize):
        if number is not None and (type(number) is not int or not 1 <= number <= _LARGEST):
            where = path if said else folder / CONFIG
            raise ModelError(
                f"{display(where)}: size or crop_size: got {display(str(number))[:40]}, expected a "
                f"side of 1 to {_LARGEST} pixels"
            )
    if resize is not None and resize < side:
        resize = side
    return Reading(resize, side, _FILTERS.get(said.get("resample", 3), "bicubic"))
