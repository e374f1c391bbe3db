"""Promptable segmentation: an image encoded once, then points and boxes to masks in milliseconds."""

from vicl.models.promptable.network import PromptableNet as PromptableNet
