"""Turning the published MAE-VQGAN files into model folders.

What is read: a file of the published training code (a dict with `model`, `args`, `optimizer` and
more), with the VQGAN inside under `vae.` or beside it as Lightning's `last.ckpt`, and that VQGAN's
`model.yaml`; or a VQGAN alone, to train models on its codes. The architecture is read from the
tensors' shapes and checked against whatever else the files say; the weights must fit it exactly.
Nothing in the files is executed (see :mod:`vicl.storage.checkpoints`), and a `target:` in the YAML
is never imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vicl.files import display, hash_file
from vicl.models.configs import VQGANConfig
from vicl.models.mae_vqgan import MAEVQGAN, MAEVQGANConfig
from vicl.models.pretrained import Pretrained, save_folder
from vicl.models.vqgan import VQGAN
from vicl.published.keys import (
    EXTRAS,
    POSITIONS,
    TOKENIZER,
    ShapeError,
    infer_config,
    infer_tokenizer,
    published_key,
)
from vicl.published.model_yaml import check_yaml
from vicl.storage.cards import Origin, converted_card
from vicl.storage.checkpoints import Checkpoint, CheckpointError, TensorRef, open_checkpoint
from vicl.storage.folder import ModelError, checked, compare
from vicl.storage.pickles import Placeholder

_POSITIONS_ATOL = 5e-3
"""Files in half precision round them by up to 2e-3; learned ones differ by far more."""
_VARIANTS = {"small": (384, 12), "base": (768, 12), "large": (1024, 24), "huge": (1280, 32)}
"""Width and depth of the encoders that the published code has by name."""


class TokenizerMissingError(ModelError):
    """A checkpoint without its VQGAN, which is to be given beside it."""


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    vqgan: str | os.PathLike[str] | None = None,
    vqgan_config: str | os.PathLike[str] | None = None,
    heads: tuple[int, int] | None = None,
    licence: str = "unknown",
    overwrite: bool = False,
) -> Path:
    """Turn a published checkpoint into a model folder.

    Args:
        source: The checkpoint (`.pth`), or its tensors as safetensors; or that of a VQGAN alone.
        out: The folder to make.
        vqgan: The VQGAN's own file (`last.ckpt`), where `source` does not hold it.
        vqgan_config: The VQGAN's `model.yaml`, to be checked against the weights.
        heads: Attention heads of encoder and decoder; needed for widths that no published model
            has.
        licence: Of the weights, in words, for the model card.
        overwrite: Replace a model folder that is there.

    Returns:
        The folder.

    Raises:
        TokenizerMissingError: If there is no VQGAN in `source`, and `vqgan` is not given.
        CheckpointError: If a file is broken.
        KeysError: If the weights do not fit the architecture; it lists every difference.
        ModelError: If the files contradict one another, or the folder cannot be made.
    """
    origins = [Origin.of(path, hash_file(path)) for path in (source, vqgan) if path is not None]
    model = read_published(source, vqgan=vqgan, vqgan_config=vqgan_config, heads=heads)
    name = Path(os.path.realpath(out)).name
    card = converted_card(model, name, origins, licence)
    save_folder(model, out, card=card, overwrite=overwrite)
    return Path(out)


def read_published(
    source: str | os.PathLike[str],
    *,
    vqgan: str | os.PathLike[str] | None = None,
    vqgan_config: str | os.PathLike[str] | None = None,
    heads: tuple[int, int] | None = None,
) -> Pretrained:
    """Read a published checkpoint into a model on the CPU, float32; see :func:`convert`."""
    with ExitStack() as stack:
        parts = [_Part.open(source, stack)]
        if vqgan is not None:
            parts.append(_Part.open(vqgan, stack, prefix=TOKENIZER))
        alone = vqgan is None and heads is None and parts[0].is_vqgan
        if alone:
            parts = [_Part.open(source, stack, prefix=TOKENIZER)]
        else:
            _check_parts(parts)
        shapes = {name: ref.shape for part in parts for name, ref in part.refs.items()}
        config: MAEVQGANConfig | VQGANConfig
        try:
            config = (
                infer_tokenizer(shapes) if alone else _infer(shapes, parts[0].checkpoint, heads)
            )
        except ShapeError as error:
            kind = "a VQGAN" if alone else "MAE-VQGAN"
            raise ModelError(
                f"{display(source)}: is not {kind} as published, or not all of it: {error}"
            ) from error
        if vqgan_config is not None:
            tokenizer = config if isinstance(config, VQGANConfig) else config.tokenizer
            check_yaml(vqgan_config, tokenizer)
        model = (VQGAN if alone else MAEVQGAN).empty(config)
        _fill(model, parts, shapes, "tokenizer." if alone else "")
    return model.eval()


@dataclass(frozen=True, eq=False)
class _Part:
    """An open checkpoint and the tensors in it that are the model's, by published name."""

    checkpoint: Checkpoint
    refs: dict[str, TensorRef]

    @property
    def is_vqgan(self) -> bool:
        """Whether these are the weights of a VQGAN, and of nothing else."""
        return "encoder.conv_in.weight" in self.refs and "patch_embed.proj.weight" not in self.refs

    @classmethod
    def open(cls, path: str | os.PathLike[str], stack: ExitStack, *, prefix: str = "") -> _Part:
        checkpoint = stack.enter_context(open_checkpoint(path))
        state = _state_dict(checkpoint)
        # Data-parallel training puts the model into a wrapper, whose name then leads every key.
        wrapped = all(key.startswith("module.") for key in state)
        named = {
            prefix + key.removeprefix("module." if wrapped else ""): v for key, v in state.items()
        }
        kept = {key: value for key, value in named.items() if not EXTRAS.match(key)}
        odd = [key for key, value in kept.items() if not isinstance(value, TensorRef)]
        if odd:
            raise CheckpointError(
                f"{display(path)}: holds no readable tensor under {display(odd[0])[:200]} (and "
                f"{len(odd) - 1} others); expected only tensors among the weights"
            )
        return cls(checkpoint, {k: v for k, v in kept.items() if isinstance(v, TensorRef)})


def _state_dict(checkpoint: Checkpoint) -> dict[str, Any]:
    """The weights in a checkpoint: under `model`, `state_dict`, or the whole of it."""
    data = checkpoint.data
    if isinstance(data, dict):
        for found in (data.get("model"), data.get("state_dict"), data):
            if isinstance(found, dict) and any(isinstance(v, TensorRef) for v in found.values()):
                return {str(key) if isinstance(key, str) else "?": v for key, v in found.items()}
        keys = ", ".join(display(str(key))[:40] for key in list(data)[:10])
        raise CheckpointError(
            f"{display(checkpoint.path)}: holds no weights under 'model' or 'state_dict'; it has "
            f"{keys or 'nothing'}"
        )
    raise CheckpointError(f"{display(checkpoint.path)}: holds no dict, so no weights by name")


def _check_parts(parts: list[_Part]) -> None:
    """Refuse files in the wrong places: two VQGANs, none, or a VQGAN for the model."""
    source = parts[0]
    name = display(source.checkpoint.path)
    inside = any(key.startswith(TOKENIZER) for key in source.refs)
    if source.is_vqgan:
        raise ModelError(
            f"{name}: is a VQGAN alone; give the MAE-VQGAN file as SOURCE and this one with "
            "--vqgan, or this one without --vqgan and --heads to make a tokenizer of it"
        )
    if inside and len(parts) > 1:
        raise ModelError(f"{name}: has its VQGAN inside; leave out --vqgan, so that none is mixed")
    if not inside and len(parts) == 1:
        raise TokenizerMissingError(
            f"{name}: has no VQGAN inside; give its file beside it by vqgan=... (command line: "
            "--vqgan last.ckpt --vqgan-config model.yaml)"
        )


def _fill(
    model: nn.Module, parts: list[_Part], shapes: Mapping[str, tuple[int, ...]], prefix: str
) -> None:
    """Give the model its weights, by the published names, and check the positions.

    Args:
        model: Without memory for them.
        parts: The files.
        shapes: Of all that is in them.
        prefix: Of the model's own names within MAE-VQGAN.
    """
    parameters = model.state_dict()
    ours = {published_key(prefix + name): name for name in parameters}
    expected = {public: tuple(parameters[name].shape) for public, name in ours.items()}
    path = parts[0].checkpoint.path
    compare(path, expected, {key: s for key, s in shapes.items() if key not in POSITIONS})
    state: dict[str, Tensor] = {}
    for part in parts:
        for public, tensor in part.checkpoint.load(part.refs).items():
            value = checked(tensor, public, part.checkpoint.path)
            if public in POSITIONS:
                _check_positions(getattr(model, POSITIONS[public]), value, public, path)
            else:
                state[ours[public]] = value
    model.load_state_dict(state, strict=True, assign=True)


def _check_positions(expected: Tensor, found: Tensor, public: str, path: str) -> None:
    """Refuse position embeddings that are not the fixed ones, which the model computes itself."""
    if tuple(found.shape) != (1, *expected.shape):
        raise ModelError(
            f"{display(path)}: {public}: got {tuple(found.shape)}, expected {(1, *expected.shape)}"
        )
    error = float((found[0] - expected).abs().max())
    if not error <= _POSITIONS_ATOL:
        raise ModelError(
            f"{display(path)}: {public} differs from the fixed sine-cosine embeddings by up to "
            f"{error:.3g}; a model with learned ones is not MAE-VQGAN as published"
        )


def _plain_args(data: Any) -> dict[str, int | str]:
    """What the training's arguments say in plain numbers and words; nothing else is looked at."""
    args = data.get("args") if isinstance(data, dict) else None
    state = args.state if isinstance(args, Placeholder) else args
    if not isinstance(state, dict):
        return {}
    return {
        key: value
        for key, value in state.items()
        if isinstance(key, str) and isinstance(value, int | str) and len(str(value)[:101]) <= 100
    }


def _infer(
    shapes: Mapping[str, tuple[int, ...]], checkpoint: Checkpoint, heads: tuple[int, int] | None
) -> MAEVQGANConfig:
    """The architecture of MAE-VQGAN, from shapes and the file's own arguments."""
    args = _plain_args(checkpoint.data)
    config = infer_config(shapes, heads=heads, input_size=_input_size(args))
    _check_args(config, args, display(checkpoint.path))
    return config


def _input_size(args: Mapping[str, int | str]) -> int | None:
    size = args.get("input_size")
    return size if isinstance(size, int) and 0 < size <= 4096 else None


def _check_args(config: MAEVQGANConfig, args: Mapping[str, int | str], name: str) -> None:
    """Refuse weights of another size than the file's own arguments name."""
    named = re.fullmatch(r"mae_vit_(\w+)_patch(\d{1,3})\w*", str(args.get("model", "")), re.ASCII)
    if named and named[1] in _VARIANTS:
        said = (*_VARIANTS[named[1]], int(named[2]))
        got = (config.embed_dim, config.depth, config.patch_size)
        if said != got:
            raise ModelError(
                f"{name}: its arguments say {named[0]} (width, blocks, patch {said}), but its "
                f"weights are those of {got}; the file is not what it says"
            )
    size = _input_size(args)
    if size is not None and (size, size) != config.canvas_size:
        raise ModelError(
            f"{name}: its arguments say a canvas of {size} px, but its weights are those of "
            f"{config.canvas_size[0]} px"
        )
