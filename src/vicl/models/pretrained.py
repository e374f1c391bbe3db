"""What models that can be saved, loaded and shared inherit.

Folders can come from strangers: the configuration is validated, the weights are safetensors, and
nothing in either names code to run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vicl.files import display, reason
from vicl.files.faults import said
from vicl.models.configs import Asking, Config
from vicl.models.devices import Device, pick_device, pick_dtype
from vicl.storage.cards import plain_card
from vicl.storage.folder import (
    CONFIG,
    FORMAT_VERSION,
    Manifest,
    ModelError,
    fill_from,
    read_manifest,
    write_folder,
)
from vicl.storage.hub import fetch_from_hub, upload

Model = TypeVar("Model", bound="Pretrained")

_INITIALISERS = frozenset(("kaiming_uniform_", "uniform_", "normal_", "zero_", "fill_"))


class Pretrained(nn.Module):
    """A network that can be saved; its constructor takes its configuration alone.

    Attributes:
        kind: What `config.json` and recipes call it.
        config_class: Of its configurations.
        config: Its architecture.
        asking: How it is asked; None where it answers nothing.
        name: What people call it.
        weights_hash: SHA-256 of the weights' file; None until weights are loaded.
    """

    kind: ClassVar[str]
    config_class: ClassVar[type[Config]]
    config: Config
    asking: Asking | None = None
    name: str
    weights_hash: str | None

    def __repr__(self) -> str:
        """One line; its layers are those of `named_modules()`."""
        weights = sum(weight.numel() for weight in self.parameters()) / 1e6
        return (
            f"{type(self).__name__}({getattr(self, 'name', '')!r}, {weights:.1f} million weights)"
        )

    @classmethod
    def empty(cls: type[Model], config: Config, asking: Asking | None = None) -> Model:
        """A model whose weights have no memory until they are given some.

        Raises:
            ModelError: If no model can be built of the configuration.
            ValueError: If the model cannot be asked so.
        """
        try:
            with torch.device("meta"), _Uninitialised():
                model = cls(config)
        except (RuntimeError, ValueError, OverflowError) as error:
            raise ModelError(f"the configuration fits no model: {reason(error)}") from error
        if asking is not None:
            model.asking = asking
        return model

    @classmethod
    def open(
        cls: type[Model], folder: Path, manifest: Manifest, *, device: Device, dtype: str
    ) -> Model:
        """Load the folder of a model of this kind; see :func:`vicl.loading.load_folder`."""
        place, kind = pick_device(device), pick_dtype(dtype)
        try:
            manifest = _current(manifest)
            config = cls.config_class.model_validate(manifest.architecture)
            asking = None
            if manifest.asking is not None:
                asking = Asking.model_validate(manifest.asking)
                if cls.asking is None:
                    raise ValueError(f"asking: got one for a {cls.kind}, which answers nothing")
            model = cls.empty(config, asking)
        except ModelError:
            raise
        except ValueError as error:
            name = display(folder / CONFIG)
            raise ModelError(f"{name}: is no valid configuration: {said(error)}") from error
        model.weights_hash = fill_from(model, folder)
        model.name = folder.resolve().name
        return model.to(device=place, dtype=kind).eval()

    @classmethod
    def from_pretrained(
        cls: type[Model],
        source: str | os.PathLike[str],
        *,
        revision: str | None = None,
        device: Device = "auto",
        dtype: str = "auto",
    ) -> Model:
        """Load a model folder, or one on the Hugging Face hub ("owner/name").

        Raises:
            ModelError: If it is broken, or another kind of model.
        """
        local = Path(source).is_dir()
        folder = Path(source) if local else fetch_from_hub(os.fspath(source), revision=revision)
        manifest = read_manifest(folder)
        if manifest.model != cls.kind:
            raise ModelError(f"{display(source)}: is a {manifest.model[:80]}, not a {cls.kind}")
        model = cls.open(folder, manifest, device=device, dtype=dtype)
        if not local:
            model.name = os.fspath(source).rpartition("/")[2]
        return model

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, card: str | None = None, overwrite: bool = False
    ) -> None:
        """Save as a model folder; see :func:`save_folder`."""
        save_folder(self, folder, card=card, overwrite=overwrite)

    def push_to_hub(
        self, repo_id: str, *, card: str | None = None, private: bool = False, message: str = ""
    ) -> str:
        """Upload the model folder to the Hugging Face hub; gives the address of the commit.

        Args:
            repo_id: "owner/name"; made if it is not there.
            card: The model card; None writes a plain one.
            private: Of a new repository.
            message: Of the commit.

        Raises:
            ModelError: If huggingface_hub is not installed.
        """
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / repo_id.rpartition("/")[2]
            self.save_pretrained(own, card=card)
            return upload(
                own, repo_id, private=private, message=message or "Upload a model with vicl"
            )


def save_folder(
    model: Pretrained,
    folder: str | os.PathLike[str],
    *,
    card: str | None = None,
    overwrite: bool = False,
    extras: Mapping[str, bytes] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model folder, whole or not at all.

    Args:
        model: What is saved.
        folder: To make; may be there already if it is empty.
        card: Text of `README.md`; None writes a plain one.
        overwrite: Replace a model folder that is there.
        extras: Further files, by name, such as pictures that the card shows.
        dtype: Of the weights in the file; they are read as float32 whatever it is.

    Raises:
        ModelError: If the folder exists and holds anything, or cannot be written.
    """
    asking = model.asking
    manifest = Manifest(
        format=FORMAT_VERSION,
        model=model.kind,
        architecture=model.config.model_dump(mode="json"),
        asking=None if asking is None else asking.model_dump(mode="json"),
    )
    text = card or plain_card(model, Path(os.path.realpath(folder)).name)
    write_folder(model, folder, manifest, text, overwrite=overwrite, extras=extras, dtype=dtype)


def empty_like(model: Pretrained) -> Pretrained:
    """A model of the same architecture, asked in the same way; see :meth:`Pretrained.empty`."""
    return type(model).empty(model.config, model.asking)


class _Uninitialised(TorchFunctionMode):
    """Skips drawing random weights, which on tensors without memory would be slow and in vain."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in _INITIALISERS:
            return args[0] if args else given.get("tensor")
        return func(*args, **given)


def _current(manifest: Manifest) -> Manifest:
    """A manifest of today's format; format 1 had how a model is asked in its architecture."""
    if manifest.format > 1:
        return manifest
    if manifest.asking is not None:
        raise ValueError("asking: got one, which format 1 has not")
    asking = {k: v for k, v in manifest.architecture.items() if k in Asking.model_fields}
    rest = {k: v for k, v in manifest.architecture.items() if k not in asking}
    return manifest.model_copy(update={"architecture": rest, "asking": asking or None})
