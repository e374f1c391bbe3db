"""Backbones by name: those that come with vicl, and folders of others' models."""

from __future__ import annotations

from vicl.files import display
from vicl.models.devices import Device, pick_device
from vicl.prompts.backbones.backbone import Backbone
from vicl.storage.folder import CONFIG, ModelError

NAMES = ("efficientnet-lite0", "efficientnet-lite2")
"""Those that have a name."""

VOCABULARIES = ("tokenizer.json", "vocab.json")
"""A folder of a CLIP or SigLIP that has one of them is read with its words, else without."""


def load_backbone(source: str, *, device: Device = "auto") -> Backbone:
    """A backbone, frozen and in evaluation mode.

    Args:
        source: One of :data:`NAMES`; or a folder of the transformers library, or one of vicl's
            masked autoencoders; or "hub:owner/name" or "hub:owner/name@revision".
        device: Where it runs.

    Raises:
        ModelError: If there is no such backbone, or it cannot be read.
    """
    if source in NAMES:
        from vicl.prompts.backbones.efficientnet import EfficientNetBackbone

        found: Backbone = EfficientNetBackbone(0 if source.endswith("0") else 2)
    else:
        found = _opened(source)
    return found.requires_grad_(False).eval().to(pick_device(device))


def _opened(source: str) -> Backbone:
    """The backbone of a folder, or of one on the hub."""
    from vicl.adapters.opening import HUB_FILES, find_folder, stated_kind

    folder, _ = find_folder(source, HUB_FILES)
    if not folder.is_dir():
        raise ModelError(
            f"backbone: got {display(source)!r}, expected one of {', '.join(NAMES)}, or the folder "
            "of a model (there is none of this name), or a model on the hub as hub:owner/name"
        )
    if not (folder / CONFIG).is_file():
        raise ModelError(
            f"{display(folder)}: is no folder of a backbone, it has no {CONFIG}; give the folder "
            "of a model of the transformers library, or of a masked autoencoder of vicl's"
        )
    kind = stated_kind(folder)
    if kind in ("clip", "siglip") and any((folder / name).is_file() for name in VOCABULARIES):
        from vicl.prompts.backbones.clip import open_worded

        return open_worded(folder, source)
    if kind is not None:
        from vicl.prompts.backbones.transformers import open_backbone

        return open_backbone(folder, source)
    from vicl.prompts.backbones.own import open_own

    return open_own(folder, source)
