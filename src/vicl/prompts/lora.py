"""LoRA: low-rank additions to the matrices of a frozen transformer, by the library peft.

Source: Hu et al. 2022, arXiv:2106.09685.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import ModuleType
from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vicl.files.extras import to_install
from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier
from vicl.prompts.linear import silent_layer
from vicl.storage.folder import ModelError

_ASKED: Final = frozenset({"q_proj", "v_proj", "query", "value", "qkv"})
"""Names of the matrices of queries and values; some networks have them in one with the keys."""


class Lora(Classifier):
    """A linear layer on a backbone with low-rank additions, which are learned.

    Args:
        backbone: Copied.
        classes: Names, in the order of the answers.
        rank: Of the additions.
        alpha: They are scaled by it, over the rank.
        dropout: Share of their inputs that is dropped in training.
        targets: Matrices of queries and values, or all of the layers.
        generator: For first weights.

    Raises:
        ModelError: If peft is not installed.
        ValueError: If the backbone has no such matrices.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        rank: int = 8,
        alpha: float = 16.0,
        dropout: float = 0.0,
        targets: Literal["query-value", "all"] = "query-value",
        generator: Generator,
    ) -> None:
        peft = _peft()
        super().__init__(copy.deepcopy(backbone), classes)
        names = _matrices(self.backbone, targets)
        config = peft.LoraConfig(
            r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names
        )
        peft.inject_adapter_in_model(config, self.backbone)
        kind = peft.tuners.lora.LoraLayer
        layers = [module for module in self.backbone.modules() if isinstance(module, kind)]
        learned = list[nn.Parameter]()
        with torch.no_grad():
            for layer in layers:
                first, second = layer.lora_A["default"].weight, layer.lora_B["default"].weight
                most = first.shape[1] ** -0.5
                # Drawn on the CPU, so that every device begins with the same numbers.
                drawn = torch.empty(first.shape).uniform_(-most, most, generator=generator)
                first.copy_(drawn)
                learned += [first, second]
        self.head = silent_layer(backbone.width, len(classes))
        self.freeze_all_but([*learned, *self.head.parameters()])

    def train(self, mode: bool = True) -> Lora:
        """See :meth:`Classifier.train`; the additions' dropout drops in training."""
        super().train(mode)
        for name, module in self.backbone.named_modules():
            if name.endswith("lora_dropout"):
                module.train(mode)
        return self

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.read`."""
        found: Tensor = self.head(features)
        return found


def _matrices(backbone: Backbone, targets: str) -> list[str]:
    """Full names of the matrices of a backbone's layers that get additions."""
    inside = {id(module) for block in backbone.blocks() for module in block.modules()}
    found = [
        name
        for name, module in backbone.named_modules()
        if id(module) in inside and isinstance(module, nn.Linear)
        if targets == "all" or name.rpartition(".")[2] in _ASKED
    ]
    if not found:
        raise ValueError(
            f"lora: the layers of {backbone.source} have no matrices of queries and values; take a "
            "transformer, or targets=all where they have others"
        )
    return found


def _peft() -> ModuleType:
    """The library.

    Raises:
        ModelError: If it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ModelError(f"lora needs the library peft: {to_install('lora')}") from error
    return peft
