"""Models on disk: a folder with `config.json`, `model.safetensors` and `README.md`, the card.

Folders can come from strangers: the configuration is validated, the weights are safetensors, and
nothing in either names code to run. A folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import save, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vicl.files import FileError, display, hash_file, open_plain, reason
from vicl.models.configs import Config
from vicl.storage.cards import plain_card
from vicl.storage.checkpoints import Checkpoint, TensorRef, open_checkpoint

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT_VERSION = 1
_METADATA = {"format": "pt"}
_CONFIG_LIMIT = 1 << 20
_TABLE_LIMIT = 1 << 28
"""Of numbers in a model's position table, which its configuration alone decides."""
_DEPTH_LIMIT = 256

_INITIALISERS = frozenset(("kaiming_uniform_", "uniform_", "normal_", "zero_", "fill_"))

Device = Literal["auto", "cpu", "cuda", "mps"]
_DTYPES = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16}


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


@dataclass(frozen=True)
class _Kind:
    """A kind of model: where its class and its configuration's are, as "module:Class"."""

    model: str
    config: str


_KINDS = {
    "mae-vqgan": _Kind("vicl.models.mae_vqgan:MAEVQGAN", "vicl.models.configs:MAEVQGANConfig"),
    "mae": _Kind("vicl.models.mae:MAE", "vicl.models.configs:MAEConfig"),
    "beit": _Kind("vicl.models.beit:BEiT", "vicl.models.configs:BEiTConfig"),
    "autoregressive": _Kind(
        "vicl.models.autoregressive:Autoregressive", "vicl.models.configs:AutoregressiveConfig"
    ),
    "unet": _Kind("vicl.models.unet:UNet", "vicl.models.configs:UNetConfig"),
    "vqgan": _Kind("vicl.models.vqgan:VQGAN", "vicl.models.configs:VQGANConfig"),
}


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    format: int
    model: str
    architecture: dict[str, Any]


def save_folder(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    card: str | None = None,
    overwrite: bool = False,
    extras: Mapping[str, bytes] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model folder, whole or not at all.

    Args:
        model: One of the package's own, with `config`.
        folder: To make; may be there already if it is empty.
        card: Text of `README.md`; None writes a plain one.
        overwrite: Replace a model folder that is there.
        extras: Further files, by name, such as pictures that the card shows.
        dtype: Of the weights in the file; they are read as float32 whatever it is.

    Raises:
        ModelError: If the folder exists and holds anything, or cannot be written.
    """
    target = Path(os.path.realpath(folder))
    name = display(folder)
    _check_target(target, name, overwrite)
    temporary = target.parent / f".vicl-{secrets.token_hex(8)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        (temporary / CONFIG).write_text(_manifest(model), encoding="utf-8")
        (temporary / CARD).write_text(card or plain_card(model, target.name), encoding="utf-8")
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


def load_folder(
    folder: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> nn.Module:
    """Load a model folder; its `name` is the folder's, its `weights_hash` that of its weights.

    Args:
        folder: With `config.json` and `model.safetensors`.
        device: See :func:`pick_device`.
        dtype: "float32", "bfloat16", or "auto" for float32, in which results are exact.

    Raises:
        ModelError: If a file is missing or broken, or the weights do not fit the configuration.
        ValueError: If there is no such device or dtype.
    """
    place, kind = pick_device(device), pick_dtype(dtype)
    path = Path(folder)
    name = display(folder)
    for part in (CONFIG, WEIGHTS):
        if not (path / part).is_file():
            raise ModelError(
                f"{name}: is no model folder, it has no {part}; make one with `vicl convert` or "
                "`vicl download`"
            )
    model = build(_read_manifest(path / CONFIG))
    with open_checkpoint(path / WEIGHTS) as checkpoint:
        fill(model, _refs(checkpoint), checkpoint)
    model.name = path.resolve().name  # type: ignore[assignment]
    model.weights_hash = hash_file(path / WEIGHTS)  # type: ignore[assignment]
    return model.to(device=place, dtype=kind).eval()


def build(config: Config) -> nn.Module:
    """A model of a configuration, its weights without memory until :func:`fill` gives them.

    Raises:
        ModelError: If the configuration asks for a canvas that no memory holds.
    """
    # Of a configuration's class or, for one that is derived from it, the nearest.
    kinds = {kind.config: kind for kind in _KINDS.values()}
    kind = next(kinds[home] for home in map(_home, type(config).__mro__) if home in kinds)
    table, depth = config.largest_table, config.deepest_stack
    if table > _TABLE_LIMIT or depth > _DEPTH_LIMIT:
        raise ModelError(
            f"got a configuration with a table of {table} positions times channels (at most "
            f"{_TABLE_LIMIT}) and {depth} blocks (at most {_DEPTH_LIMIT}), which is too large a "
            "model"
        )
    try:
        with torch.device("meta"), _Uninitialised():
            model: nn.Module = _named(kind.model)(config)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise ModelError(f"the configuration fits no model: {reason(error)}") from error
    return model


class _Uninitialised(TorchFunctionMode):
    """Skips drawing random weights, which on tensors without memory would be slow and in vain."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in _INITIALISERS:
            return args[0] if args else given.get("tensor")
        return func(*args, **given)


def fill(model: nn.Module, refs: Mapping[str, TensorRef], checkpoint: Checkpoint) -> None:
    """Give a model from :func:`build` its weights, as float32; exactly those that it needs.

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
    """SHA-256, in hex, of the `model.safetensors` that :func:`save_folder` would write."""
    return hashlib.sha256(save(weights(model), metadata=_METADATA)).hexdigest()


def pick_device(device: str) -> torch.device:
    """The device to run on.

    Args:
        device: "cpu", "cuda" or "mps"; "auto" takes CUDA, else MPS, else the CPU.

    Raises:
        ValueError: If it is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there.get(device, False):
        names = ", ".join(("auto", *(name for name, found in there.items() if found)))
        raise ValueError(f"device: got {device!r}, expected one of those that are here: {names}")
    return torch.device(device)


def pick_dtype(dtype: str) -> torch.dtype:
    """The type of weights and arithmetic.

    Raises:
        ValueError: If it is none of "auto", "float32" and "bfloat16".
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype: got {dtype!r}, expected one of {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def _write_weights(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file, readable as the umask says, and wait until the disk has it."""
    path.touch(exist_ok=False)
    mode = path.stat().st_mode
    save_file(tensors, path, metadata=_METADATA)
    path.chmod(mode)  # the library leaves its files to their owner alone
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def _manifest(model: nn.Module) -> str:
    found = [name for name, kind in _KINDS.items() if kind.model == _home(type(model))]
    if not found:
        raise ModelError(f"{type(model).__name__}: is no model that vicl can save")
    config: Any = model.config
    manifest = _Manifest(
        format=FORMAT_VERSION, model=found[0], architecture=config.model_dump(mode="json")
    )
    return manifest.model_dump_json(indent=1) + "\n"


def _read_manifest(path: Path) -> Config:
    """The validated configuration in a `config.json`."""
    name = display(path)
    with open_plain(path) as stream:
        text = stream.read(_CONFIG_LIMIT + 1)
    if len(text) > _CONFIG_LIMIT:
        raise ModelError(f"{name}: is larger than 1 MiB, which no configuration is")
    try:
        raw = json.loads(text)
        version = raw.get("format") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ModelError(
                f"{name}: was made by a newer vicl (format {version}, this one reads up to "
                f"{FORMAT_VERSION}); upgrade vicl"
            )
        manifest = _Manifest.model_validate(raw)
        kind = _KINDS.get(manifest.model)
        if kind is None:
            names = ", ".join(_KINDS)
            raise ModelError(f"{name}: got the model {manifest.model[:80]!r}, expected {names}")
        config: Config = _named(kind.config).model_validate(manifest.architecture)
        return config
    except ModelError:
        raise
    except (ValidationError, ValueError, RecursionError) as error:
        fault = re.sub(r"\s+", " ", str(error))[:300]
        raise ModelError(f"{name}: is no valid configuration: {fault}") from error


def _refs(checkpoint: Checkpoint) -> dict[str, TensorRef]:
    if not isinstance(checkpoint.data, dict):
        raise ModelError(f"{display(checkpoint.path)}: is not safetensors")
    return {str(k): v for k, v in checkpoint.data.items() if isinstance(v, TensorRef)}


def _home(named: type) -> str:
    """Where a class is, as :class:`_Kind` says it."""
    return f"{named.__module__}:{named.__name__}"


def _named(home: str) -> Any:
    module, _, attribute = home.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _check_target(target: Path, name: str, overwrite: bool) -> None:
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
