"""Models on disk: a folder with `config.json`, `model.safetensors` and `README.md`, the card.

Folders can come from strangers: the configuration is validated, the weights are safetensors, and
nothing in either names code to run. A folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import save, save_file
from torch import Tensor, nn

from vicl.files import FileError, display, hash_file, open_plain, reason
from vicl.files.faults import said
from vicl.files.plain_json import parse_json
from vicl.storage.checkpoints import Checkpoint, TensorRef, open_checkpoint

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT_VERSION = 2
"""1 had how a model is asked in its architecture."""
_METADATA = {"format": "pt"}
_CONFIG_LIMIT = 1 << 20


class ModelError(FileError):
    """A model that cannot be read or written; the message names it, the fault and the remedy."""


class KeysError(ModelError):
    """Weights that do not fit the architecture.

    Attributes:
        missing: Names that the architecture has and the file has not.
        unexpected: The reverse.
        misshapen: Names with both shapes, as "name: got (2, 3), expected (3, 2)".
    """

    def __init__(
        self, path: str, missing: list[str], unexpected: list[str], misshapen: list[str]
    ) -> None:
        self.path = path
        self.missing = missing
        self.unexpected = unexpected
        self.misshapen = misshapen
        super().__init__(self.report(shown=5).replace("\n", " "))

    def report(self, *, shown: int | None = None) -> str:
        """Every difference, a line each; or the first `shown` of each kind."""
        lines = [f"{display(self.path)}: its weights do not fit the architecture."]
        for title, names in (
            ("Missing", self.missing),
            ("Unexpected", self.unexpected),
            ("Of the wrong shape", self.misshapen),
        ):
            if not names:
                continue
            lines.append(f"{title} ({len(names)}):")
            lines += [f"  {display(name)[:200]}" for name in names[:shown]]
            if shown is not None and len(names) > shown:
                lines.append(f"  and {len(names) - shown} more.")
        return "\n".join(lines)


def compare(
    path: str, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> None:
    """Check that a file holds exactly the expected tensors.

    Raises:
        KeysError: If not; it lists every difference.
    """
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    misshapen = [
        f"{name}: got {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if missing or unexpected or misshapen:
        raise KeysError(path, missing, unexpected, misshapen)


class Manifest(BaseModel):
    """What `config.json` holds.

    Attributes:
        format: Version of the format.
        model: Its kind.
        architecture: Its configuration.
        asking: How it is asked; None for a model that answers nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: int
    model: str
    architecture: dict[str, Any]
    asking: dict[str, Any] | None = None


def write_folder(
    model: nn.Module,
    folder: str | os.PathLike[str],
    manifest: Manifest,
    card: str,
    *,
    overwrite: bool,
    extras: Mapping[str, bytes] | None,
    dtype: torch.dtype,
) -> None:
    """Write a model folder, whole or not at all; see :func:`vicl.models.pretrained.save_folder`.

    Raises:
        ModelError: If the folder exists and holds anything, or cannot be written.
    """
    check_target(folder, overwrite=overwrite)
    target = Path(os.path.realpath(folder))
    name = display(folder)
    temporary = target.parent / f".vicl-{secrets.token_hex(8)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        left_out = {"asking"} if manifest.asking is None else None
        config = manifest.model_dump_json(indent=1, exclude=left_out) + "\n"
        (temporary / CONFIG).write_text(config, encoding="utf-8")
        (temporary / CARD).write_text(card, encoding="utf-8")
        for extra, content in (extras or {}).items():
            (temporary / extra).write_bytes(content)
        _write_weights(_castable(weights(model, dtype), name), temporary / WEIGHTS)
        _replace(temporary, target)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{name}: cannot be written ({reason(error)}); free some space, check the "
            "permissions, or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_manifest(folder: Path) -> Manifest:
    """What the `config.json` of a model folder says; its configuration is not looked at.

    Raises:
        ModelError: If this is no model folder, or the file is broken or of a newer vicl.
    """
    for part in (CONFIG, WEIGHTS):
        if not (folder / part).is_file():
            raise ModelError(
                f"{display(folder)}: is no model folder, it has no {part}; make one with `vicl "
                "convert` or `vicl download`"
            )
    name = display(folder / CONFIG)
    with open_plain(folder / CONFIG) as stream:
        text = stream.read(_CONFIG_LIMIT + 1)
    if len(text) > _CONFIG_LIMIT:
        raise ModelError(f"{name}: is larger than 1 MiB, which no configuration is")
    try:
        raw = parse_json(text)
        version = raw.get("format") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ModelError(
                f"{name}: was made by a newer vicl (format {version}, this one reads up to "
                f"{FORMAT_VERSION}); upgrade vicl"
            )
        return Manifest.model_validate(raw)
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"{name}: is no valid configuration: {said(error)}") from error


def fill_from(model: nn.Module, folder: Path) -> str:
    """Give a model without memory the weights of its folder; gives the SHA-256 of their file.

    Raises:
        ModelError: If they are broken, or do not fit.
    """
    with open_checkpoint(folder / WEIGHTS) as checkpoint:
        if not isinstance(checkpoint.data, dict):
            raise ModelError(f"{display(checkpoint.path)}: is not safetensors")
        refs = {str(k): v for k, v in checkpoint.data.items() if isinstance(v, TensorRef)}
        fill(model, refs, checkpoint)
    return hash_file(folder / WEIGHTS)


def fill(model: nn.Module, refs: Mapping[str, TensorRef], checkpoint: Checkpoint) -> None:
    """Give a model without memory its weights, as float32; exactly those that it needs.

    Raises:
        KeysError: If others are there, or some are not.
        ModelError: If they are not finite floating-point numbers.
    """
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    compare(checkpoint.path, shapes, {name: ref.shape for name, ref in refs.items()})
    state = {
        name: checked(tensor, name, checkpoint.path)
        for name, tensor in checkpoint.load(refs).items()
    }
    model.load_state_dict(state, strict=True, assign=True)


def checked(tensor: Tensor, name: str, path: str) -> Tensor:
    """A weight as contiguous float32.

    Raises:
        ModelError: If it holds integers, infinities or NaN.
    """
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        raise ModelError(
            f"{display(path)}: {display(name)[:200]} does not hold finite floating-point numbers; "
            "the file is damaged, or its training went wrong"
        )
    return tensor.to(torch.float32).contiguous()


def weights(model: nn.Module, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The weights as they are saved, on the CPU."""
    return {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in model.state_dict().items()
    }


def _castable(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights, if none is too large for its type."""
    for key, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"{name}: {key} holds numbers that are not finite in {value.dtype}; save it as "
                "float32 or bfloat16, or train it again if they are not finite there"
            )
    return tensors


def weights_hash(model: nn.Module) -> str:
    """SHA-256, in hex, of the `model.safetensors` that a model folder would have."""
    return hashlib.sha256(save(weights(model), metadata=_METADATA)).hexdigest()


def _write_weights(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file, readable as the umask says, and wait until the disk has it."""
    path.touch(exist_ok=False)
    mode = path.stat().st_mode
    save_file(tensors, path, metadata=_METADATA)
    path.chmod(mode)  # the library leaves its files to their owner alone
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def check_target(folder: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Refuse a place where no model folder may be written.

    Args:
        folder: To make; may be there already if it is empty.
        overwrite: A model folder that is there may be replaced.

    Raises:
        ModelError: If it holds anything, or anything else than a model.
    """
    target, name = Path(os.path.realpath(folder)), display(folder)
    if not target.exists():
        return
    if not target.is_dir():
        raise ModelError(f"{name}: is a file; give the name of a folder")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise ModelError(f"{name}: is there already and not empty; choose another, or overwrite it")
    if not (target / CONFIG).is_file():
        raise ModelError(f"{name}: holds other things than a model; choose another folder")


def _replace(temporary: Path, target: Path) -> None:
    """Give a finished folder its name; an old one goes only once the new one has it."""
    old = target.parent / f".vicl-{secrets.token_hex(8)}.tmp"
    if target.exists():
        target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
