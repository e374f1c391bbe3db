"""Promptable segmentation: an image encoded once, then clicks and boxes to masks quickly."""

from vicl.models.promptable.network import PromptableNet as PromptableNet
