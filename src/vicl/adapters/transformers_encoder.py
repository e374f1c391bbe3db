"""Encoders of the transformers library: DINOv2, DINOv3, CLIP and SigLIP, from their folders.

Folders can come from strangers: see :mod:`vicl.adapters.transformers_folder`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from vicl.adapters.transformers_folder import (
    CLIP,
    HALF,
    IMAGENET,
    PREPROCESSOR,
    Architecture,
    Colours,
    build,
    check_files,
    colours_of,
    read_json,
)
from vicl.engine import Features
from vicl.files import display
from vicl.storage.folder import CARD, CONFIG, WEIGHTS, ModelError
from vicl.storage.sharded import hash_weights, patterns

FILES: Final = (CONFIG, *patterns(WEIGHTS), PREPROCESSOR, CARD)
"""What is read of a folder, and its card."""

_LEVELS: Final = 4
"""So many of a transformer's last layers are levels."""

_MOST_LAYERS: Final = 200


@dataclass(frozen=True)
class _Kind:
    """A kind of body.

    Attributes:
        body: Its class in the library starts so; `Config` and `Model` follow.
        norm: Its last normalisation, which every level goes through; None for the stages of a
            ConvNeXt, which are taken as they are.
        extra: Tokens before those of the patches; registers come on top.
        colours: Mean and deviation by which its images are normalised unless its folder says.
        resize: Whether it must be told to interpolate its positions.
    """

    body: str
    norm: str | None
    extra: int = 1
    colours: Colours = IMAGENET
    resize: bool = False


_KINDS: Final[Mapping[str, _Kind]] = {
    "dinov2": _Kind("Dinov2", "layernorm"),
    "dinov2_with_registers": _Kind("Dinov2WithRegisters", "layernorm"),
    "dinov3_vit": _Kind("DINOv3ViT", "norm"),
    "dinov3_convnext": _Kind("DINOv3ConvNext", None),
    "clip_vision_model": _Kind("CLIPVision", "post_layernorm", colours=CLIP, resize=True),
    "siglip_vision_model": _Kind(
        "SiglipVision", "post_layernorm", extra=0, colours=HALF, resize=True
    ),
}

_WHOLE: Final = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
"""Models of pictures and words, whose configuration has one of the vision body inside."""

_UNUSED: Final = ("mask_token",)
"""Weights that only training needs."""


class TransformersEncoder:
    """The features of a body of the transformers library.

    A transformer's levels are its last four layers on the grid of patches, without its class and
    register tokens, each through the model's last normalisation; the positions are interpolated to
    any size. A ConvNeXt's are the ends of its four stages. Of the whole image it gives what the
    model pools, the class token for most. It computes in float32.

    Args:
        folder: With `config.json`, `model.safetensors` and, if there is one,
            `preprocessor_config.json`.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        check_files(path)
        found = read_json(path / CONFIG)
        kind, fields = _architecture(found, display(path / CONFIG))
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self._kind = kind
        mean, deviation = colours_of(path, kind.colours)
        self._mean = torch.tensor(mean, device=device)[:, None, None]
        self._deviation = torch.tensor(deviation, device=device)[:, None, None]
        self._model = build(
            Architecture(f"{kind.body}Config", f"{kind.body}Model", unused=_UNUSED),
            fields,
            path,
            device=device,
        )
        config = self._model.config
        if kind.norm is None:
            self.strides: tuple[int, ...] = tuple(4 << stage for stage in range(4))
            self.channels: tuple[int, ...] = tuple(config.hidden_sizes)
        else:
            count = min(_LEVELS, config.num_hidden_layers)
            self.strides = (config.patch_size,) * count
            self.channels = (config.hidden_size,) * count
            self._skipped = kind.extra + getattr(config, "num_register_tokens", 0)

    @torch.no_grad()
    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """See :meth:`vicl.engine.Encoder.encode`; the features stay on the encoder's device."""
        height, width = image.shape[2:]
        step = self.strides[-1]
        if height % step or width % step:
            raise ValueError(
                f"image: got {height}x{width} pixels, expected sides that are multiples of {step}"
            )
        image = image.to(self._mean.device)
        # On a CPU what a batch gets is not what its members get, to the last bit.
        parts = image[:, None] if image.device.type == "cpu" else image[None]
        each = [self._features(part) for part in parts]
        levels = tuple(torch.cat(found) for found in zip(*(one[0] for one in each), strict=True))
        return Features(levels, torch.cat([one[1] for one in each]))

    def _features(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        height, width = image.shape[2:]
        pixels = (image - self._mean) / self._deviation
        options = {"interpolate_pos_encoding": True} if self._kind.resize else {}
        out = self._model(pixels, output_hidden_states=True, **options)
        if self._kind.norm is None:
            return list(out.hidden_states[-len(self.strides) :]), out.pooler_output
        # The library's last hidden state is normalised in some kinds and not in others.
        # In transformers 5.0 the bodies of CLIP and SigLIP lie one level deeper.
        body = getattr(self._model, "vision_model", self._model)
        normalise = getattr(body, self._kind.norm)
        rows, columns = (side // self.strides[0] for side in (height, width))
        grids = [
            normalise(hidden)[:, self._skipped :]
            .unflatten(1, (rows, columns))
            .permute(0, 3, 1, 2)
            .contiguous()
            for hidden in out.hidden_states[-len(self.strides) :]
        ]
        pooled = out.pooler_output
        return grids, grids[-1].mean(dim=(2, 3)) if pooled is None else pooled


def _architecture(found: dict[str, Any], name: str) -> tuple[_Kind, dict[str, Any]]:
    """The kind that a configuration is of, and its numbers and words."""
    said = found.get("model_type")
    if isinstance(said, str) and said in _WHOLE:
        inner = found.get("vision_config")
        said, found = _WHOLE[said], inner if isinstance(inner, dict) else {}
    kind = _KINDS.get(said) if isinstance(said, str) else None
    if kind is None:
        known = ", ".join([*_KINDS, *_WHOLE])
        raise ModelError(
            f"{name}: got the model_type {display(str(said))[:80]!r}, expected one of {known}"
        )
    if kind.norm is None:
        stages = [found.get(key) or [1] * 4 for key in ("depths", "hidden_sizes")]
        counts, fits = stages[0], all(isinstance(s, list) and len(s) == 4 for s in stages)
    else:
        counts, fits = [found.get("num_hidden_layers", 1)], type(found.get("patch_size", 1)) is int
    if not fits or not all(type(n) is int and 1 <= n <= _MOST_LAYERS for n in counts):
        raise ModelError(
            f"{name}: expected a patch_size in pixels and 1 to {_MOST_LAYERS} layers, or four "
            "stages of so many"
        )
    if found.get("num_channels", 3) != 3:
        raise ModelError(f"{name}: its images have other channels than red, green and blue")
    return kind, found
