"""Sharing models: the methods that a model which can be saved has, and the Hugging Face hub."""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vicl.files import display, reason
from vicl.storage.folder import (
    CARD,
    CONFIG,
    WEIGHTS,
    Device,
    ModelError,
    load_folder,
    save_folder,
)

if TYPE_CHECKING:
    from torch import nn

ModelType = TypeVar("ModelType", bound="Pretrained")


class Pretrained:
    """What a model that can be saved inherits: saving, loading and sharing it.

    The model has `config`, a validated configuration that its constructor takes, and the attributes
    `name` and `weights_hash`.
    """

    name: str
    weights_hash: str | None

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, card: str | None = None, overwrite: bool = False
    ) -> None:
        """Save as a model folder; see :func:`save_folder`."""
        save_folder(cast("nn.Module", self), folder, card=card, overwrite=overwrite)

    @classmethod
    def from_pretrained(
        cls: type[ModelType],
        source: str | os.PathLike[str],
        *,
        revision: str | None = None,
        device: Device = "auto",
        dtype: str = "auto",
    ) -> ModelType:
        """Load a model folder, or one on the Hugging Face hub ("owner/name").

        Raises:
            ModelError: If it is broken, or another kind of model.
        """
        local = Path(source).is_dir()
        folder = Path(source) if local else fetch_from_hub(os.fspath(source), revision=revision)
        model: Any = load_folder(folder, device=device, dtype=dtype)
        if not isinstance(model, cls):
            raise ModelError(f"{display(source)}: is a {type(model).__name__}, not {cls.__name__}")
        if not local:
            model.name = os.fspath(source).rpartition("/")[2]
        loaded: ModelType = model
        return loaded

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
        hub = _hub()
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "model", card=card)
            api = hub.HfApi()
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=Path(folder) / "model",
                commit_message=message or "Upload a model with vicl",
            )
        return str(commit)


def fetch_from_hub(repo_id: str, *, revision: str | None = None) -> Path:
    """Get a model folder from the Hugging Face hub, or from its cache when offline.

    Raises:
        ModelError: If huggingface_hub is not installed, there is no such model, or the hub cannot
            be reached and the model is not in the cache.
    """
    hub = _hub()
    try:
        return Path(
            hub.snapshot_download(
                repo_id, revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD]
            )
        )
    except Exception as error:  # the hub's errors share no base class but Exception
        raise ModelError(
            f"{display(repo_id)}: is no folder or file here, and cannot be had from the Hugging "
            f"Face hub ({reason(error)}); check the name and the network"
        ) from error


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ModelError(
            'models on the Hugging Face hub need its library: pip install "vicl[hub]"'
        ) from error
