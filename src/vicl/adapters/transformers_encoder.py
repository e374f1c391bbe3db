"""Encoders of the transformers library: DINOv2, DINOv3, CLIP and SigLIP, from their folders.

Folders can come from strangers. The library reads none of their files: the configuration is
checked here, what is no number or word of the architecture is left out (it could name code on the
hub), and the weights are safetensors. So no code but the library's own runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from vicl.engine import Features
from vicl.files import display, hash_file, reason
from vicl.files.bounded import read_bounded
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.storage.checkpoints import TensorRef, open_checkpoint
from vicl.storage.folder import CONFIG, WEIGHTS, ModelError, checked

PREPROCESSOR: Final = "preprocessor_config.json"
"""Where a folder says how its model wants colours normalised; it may be absent."""

FILES: Final = (CONFIG, WEIGHTS, PREPROCESSOR)
"""What is read of a folder."""

_LEVELS: Final = 4
"""So many of a transformer's last layers are levels."""

_MOST_LAYERS: Final = 200
_CONFIG_LIMIT: Final = 1 << 20

_Colours = tuple[tuple[float, float, float], tuple[float, float, float]]

_IMAGENET: Final[_Colours] = (IMAGENET_MEAN, IMAGENET_STD)
_CLIP: Final[_Colours] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF: Final[_Colours] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


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
    colours: _Colours = _IMAGENET
    resize: bool = False


_KINDS: Final[Mapping[str, _Kind]] = {
    "dinov2": _Kind("Dinov2", "layernorm"),
    "dinov2_with_registers": _Kind("Dinov2WithRegisters", "layernorm"),
    "dinov3_vit": _Kind("DINOv3ViT", "norm"),
    "dinov3_convnext": _Kind("DINOv3ConvNext", None),
    "clip_vision_model": _Kind("CLIPVision", "post_layernorm", colours=_CLIP, resize=True),
    "siglip_vision_model": _Kind(
        "SiglipVision", "post_layernorm", extra=0, colours=_HALF, resize=True
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
        _check_files(path)
        found = _read_json(path / CONFIG)
        kind, fields = _architecture(found, display(path / CONFIG))
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_file(path / WEIGHTS)
        self._kind = kind
        mean, deviation = _colours(path / PREPROCESSOR, kind)
        self._mean = torch.tensor(mean, device=device)[:, None, None]
        self._deviation = torch.tensor(deviation, device=device)[:, None, None]
        self._model = _build(_library(), kind, fields, path).to(device)
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


def _library() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            'encoders of the transformers library need it: pip install "vicl[transformers]"'
        ) from error
    return transformers


def _check_files(folder: Path) -> None:
    name = display(folder)
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{name}: is no folder of an encoder, it has no {CONFIG}")
    if (folder / WEIGHTS).is_file():
        return
    if (folder / f"{WEIGHTS}.index.json").is_file():
        raise ModelError(
            f"{name}: its weights are in several files, which vicl does not read; save them as "
            f"one {WEIGHTS}"
        )
    raise ModelError(
        f"{name}: has no {WEIGHTS}; vicl reads no pickled weights (pytorch_model.bin), so take a "
        "version of the model that has safetensors"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bounded(path, _CONFIG_LIMIT, ModelError))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{display(path)}: is no JSON ({reason(error)})") from error
    if not isinstance(found, dict):
        raise ModelError(f"{display(path)}: got a {type(found).__name__}, expected an object")
    return found


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
    plain = {key: value for key, value in found.items() if _is_plain(value)}
    if kind.norm is None:
        stages = [plain.get(key) or [1] * 4 for key in ("depths", "hidden_sizes")]
        counts, fits = stages[0], all(isinstance(s, list) and len(s) == 4 for s in stages)
    else:
        counts, fits = [plain.get("num_hidden_layers", 1)], type(plain.get("patch_size", 1)) is int
    if not fits or not all(type(n) is int and 1 <= n <= _MOST_LAYERS for n in counts):
        raise ModelError(
            f"{name}: expected a patch_size in pixels and 1 to {_MOST_LAYERS} layers, or four "
            "stages of so many"
        )
    if plain.get("num_channels", 3) != 3:
        raise ModelError(f"{name}: its images have other channels than red, green and blue")
    return kind, plain


def _is_plain(value: object) -> bool:
    """A number or a word, or a short list of numbers."""
    if isinstance(value, list):
        return len(value) <= 8 and all(isinstance(one, int) for one in value)
    return isinstance(value, int | float | str)


def _colours(path: Path, kind: _Kind) -> _Colours:
    """Mean and deviation of red, green and blue in [0, 1]."""
    if not path.is_file():
        return kind.colours
    said = _read_json(path)
    if said.get("do_normalize") is False:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean = _three(said.get("image_mean", kind.colours[0]))
    deviation = _three(said.get("image_std", kind.colours[1]))
    if mean is None or deviation is None or min(deviation) < 1e-6:
        raise ModelError(
            f"{display(path)}: image_mean and image_std: expected three numbers each, deviations "
            "over 0"
        )
    return mean, deviation


def _three(values: object) -> tuple[float, float, float] | None:
    if not isinstance(values, list | tuple) or len(values) != 3:
        return None
    if not all(isinstance(v, int | float) and abs(v) <= 1000 for v in values):  # NaN is not
        return None
    return float(values[0]), float(values[1]), float(values[2])


def _build(library: ModuleType, kind: _Kind, fields: dict[str, Any], folder: Path) -> Any:
    """The model with its folder's weights, in float32; every one that it needs."""
    name = display(folder)
    config_class = getattr(library, f"{kind.body}Config")
    model_class = getattr(library, f"{kind.body}Model")
    # What all configurations have is no architecture: among it are names of code to fetch.
    own = config_class().to_dict().keys() - library.PretrainedConfig().to_dict().keys()
    with open_checkpoint(folder / WEIGHTS) as checkpoint:
        data = checkpoint.data if isinstance(checkpoint.data, dict) else {}
        refs = {
            str(key): ref
            for key, ref in data.items()
            if isinstance(ref, TensorRef) and ref.storage.dtype.is_floating_point
        }
        try:
            with _quiet(library):
                config = config_class(**{k: v for k, v in fields.items() if k in own})
                with torch.device("meta"):
                    empty = model_class(config)
                needed = sum(
                    value.numel()
                    for key, value in empty.named_parameters()
                    if not key.endswith(_UNUSED)
                )
                there = sum(ref.storage.numel for ref in refs.values())
                if needed > 2 * there:  # before the library takes memory for them
                    raise ModelError(f"it needs {needed:,} weights, but the file has {there:,}")
                tensors = {
                    key: checked(tensor, key, checkpoint.path)
                    for key, tensor in checkpoint.load(refs).items()
                }
                model, told = model_class.from_pretrained(
                    None,
                    config=config,
                    state_dict=tensors,
                    output_loading_info=True,
                    dtype=torch.float32,
                )
        except Exception as error:  # the library's errors share no base class but Exception
            raise ModelError(
                f"{name}: its configuration and weights make no {kind.body} ({reason(error)}); get "
                "whole copies of both"
            ) from error
    missing = sorted(key for key in told["missing_keys"] if not key.endswith(_UNUSED))
    if missing:
        raise ModelError(
            f"{name}: {WEIGHTS} lacks {len(missing)} of the weights that {CONFIG} asks for "
            f"({display(missing[0])[:80]} first); get whole copies of both"
        )
    return model.requires_grad_(False).eval()


@contextmanager
def _quiet(library: ModuleType) -> Iterator[None]:
    """Without the library's bars and reports while it loads; what matters is told by errors."""
    logging = library.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
