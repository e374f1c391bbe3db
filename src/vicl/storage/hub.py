"""The Hugging Face hub: model folders from it, and to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from vicl.files import display, reason
from vicl.files.extras import to_install
from vicl.storage.folder import CARD, CONFIG, WEIGHTS, ModelError


def fetch_from_hub(
    repo_id: str,
    *,
    revision: str | None = None,
    files: Sequence[str] = (CONFIG, WEIGHTS, CARD),
) -> Path:
    """Get a model folder from the Hugging Face hub, or from its cache when offline.

    Args:
        repo_id: "owner/name".
        revision: Of the repository; None takes the newest.
        files: What is wanted of it, if it is there.

    Raises:
        ModelError: If huggingface_hub is not installed, there is no such model, or the hub cannot
            be reached and the model is not in the cache.
    """
    hub = _hub()
    try:
        return Path(hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(files)))
    except Exception as error:  # the hub's errors share no base class but Exception
        raise ModelError(
            f"{display(repo_id)}: is no folder or file here, and cannot be had from the Hugging "
            f"Face hub ({reason(error)}); check the name and the network"
        ) from error


def cached_models() -> dict[str, Path]:
    """The models of the hub that are in its cache, by "owner/name": the newest of each.

    Empty where huggingface_hub is not installed, or has fetched nothing yet.
    """
    try:
        hub = _hub()
        repositories = hub.scan_cache_dir(hub.constants.HF_HUB_CACHE).repos
    except ModelError:
        return {}
    except hub.errors.CacheNotFound:
        return {}
    return {
        str(one.repo_id): max(one.revisions, key=lambda r: r.last_modified).snapshot_path
        for one in sorted(repositories, key=lambda one: one.repo_id)
        if one.repo_type == "model" and one.revisions
    }


def upload(folder: Path, repo_id: str, *, private: bool, message: str) -> str:
    """Upload a model folder; gives the address of the commit.

    Args:
        folder: With everything that is to be in the repository.
        repo_id: "owner/name"; made if it is not there.
        private: Of a new repository.
        message: Of the commit.

    Raises:
        ModelError: If huggingface_hub is not installed, or the hub refuses.
    """
    hub = _hub()
    try:
        api = hub.HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message)
    except Exception as error:  # as above
        raise ModelError(
            f"{display(repo_id)}: cannot be uploaded to the Hugging Face hub ({reason(error)}); "
            "check the name and the network, and log in (hf auth login)"
        ) from error
    return str(commit)


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ModelError(
            f"models on the Hugging Face hub need its library: {to_install('hub')}"
        ) from error
    return huggingface_hub
