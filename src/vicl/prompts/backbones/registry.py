"""Backbones by name: those that come with vicl, and folders of others' models."""

from __future__ import annotations

from vicl.models.devices import Device, pick_device
from vicl.prompts.backbones.backbone import Backbone
from vicl.storage.folder import ModelError

NAMES = ("efficientnet-lite0", "efficientnet-lite2")
"""Those that have a name."""


def load_backbone(source: str, *, device: Device = "auto") -> Backbone:
    """A backbone, frozen and in evaluation mode.

    Args:
        source: One of :data:`NAMES`.
        device: Where it runs.

    Raises:
        ModelError: If there is no such backbone, or it cannot be read.
    """
    if source not in NAMES:
        raise ModelError(f"backbone: got {source!r}, expected one of {', '.join(NAMES)}")
    from vicl.prompts.backbones.efficientnet import EfficientNetBackbone

    found = EfficientNetBackbone(0 if source.endswith("0") else 2)
    return found.requires_grad_(False).eval().to(pick_device(device))
