"""Backbones by name: those that come with vicl, and folders of others' models."""

from __future__ import annotations

from vicl.files import display
from vicl.models.devices import Device, pick_device
from vicl.prompts.backbones.backbone import Backbone
from vicl.storage.folder import ModelError

NAMES = ("efficientnet-lite0", "efficientnet-lite2")
"""Those that have a name."""


def load_backbone(source: str, *, device: Device = "auto") -> Backbone:
    """A backbone, frozen and in evaluation mode.

    Args:
        source: One of :data:`NAMES`; or a folder of a CLIP or SigLIP of the transformers library;
            or "hub:owner/name" or "hub:owner/name@revision".
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
    from vicl.adapters.opening import HUB_FILES, find_folder
    from vicl.prompts.backbones.clip import open_worded

    folder, _ = find_folder(source, HUB_FILES)
    if not folder.is_dir():
        raise ModelError(
            f"backbone: got {display(source)!r}, expected one of {', '.join(NAMES)}, or the folder "
            "of a model (there is none of this name), or a model on the hub as hub:owner/name"
        )
    return open_worded(folder, source)
