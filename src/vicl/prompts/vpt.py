"""Visual prompt tuning on any backbone: which kind suits it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Generator

from vicl.prompts.backbones.backbone import Backbone, TokenBackbone
from vicl.prompts.deep import DeepPrompt, Tuned
from vicl.prompts.options import VptOptions
from vicl.prompts.placed import BelowPrompt, PaddedPrompt


def make_vpt(
    backbone: Backbone, classes: Sequence[str], options: VptOptions, generator: Generator
) -> Tuned:
    """Visual prompts of a backbone.

    Raises:
        ValueError: If the backbone has no tokens to prompt, or the options do not fit.
    """
    if options.placement == "pad":
        return PaddedPrompt(backbone, classes, options, generator=generator)
    if options.placement == "below":
        return BelowPrompt(backbone, classes, options, generator=generator)
    if isinstance(backbone, TokenBackbone):
        return DeepPrompt(backbone, classes, options, generator=generator)
    from vicl.prompts.backbones.transformers import SwinBackbone

    if isinstance(backbone, SwinBackbone):
        from vicl.prompts.swin import SwinPrompt

        return SwinPrompt(backbone, classes, options, generator=generator)
    raise ValueError(
        f"placement: {backbone.source} has no tokens, so it takes pad or below, got "
        f"{options.placement}"
    )
